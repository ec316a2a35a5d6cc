//! Rule files that `run` accepts.

use std::fmt::Write as _;

use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};
use policy::ruleset::Family;

use crate::oracle::generate;
use crate::oracle::random::Random;

const TEXTS: [&str; 7] = [
    "--string \"friendly-scanner\"",
    "--string \"sipcli\"",
    "--string \"iWar\"",
    "--string \"aab\"",
    "--string \"x\"",
    "--hex-string \"sip|63 6c 69|\"",
    "--hex-string \"|0d0a|\"",
];

/// A generated file, without the lines that `run` refuses, and with rules that search for text before the others.
pub(crate) fn generated(random: &mut Random, family: Family) -> String {
    let file = generate::rules(random, family);
    let mut text = String::new();
    let mut begun = false;
    // Half of the files ask for no connection's state.
    let stateful = random.one_in(2);
    for line in file.lines() {
        if line.starts_with("-A") && !begun {
            begun = true;
            text.push_str(":SCAN - [0:0]\n");
            for _ in 0..=random.below(10) {
                writeln!(text, "-A INPUT {}", early(random, family)).expect("text");
            }
            for inner in
                ["-s NETWORK -j LOG", "-p tcp -m tcp --dport 80 -j RETURN", "-p udp -j DROP", "-j DROP"]
            {
                if random.one_in(2) {
                    writeln!(text, "-A SCAN {}", addresses(inner, family)).expect("text");
                }
            }
        }
        if stateful || !line.contains("state") {
            writeln!(text, "{line}").expect("text");
        }
    }
    enforceable(&text)
}

/// A rule that searches for text, or one that decides before those do.
fn early(random: &mut Random, family: Family) -> String {
    let packet = random.pick(&[
        "",
        "-p udp",
        "-p udp -m udp --dport 5060",
        "-p udp -m udp --dport 5060:20000",
        "-p udp -m udp ! --sport 5060",
        "-p udp -m multiport --dports 5060,10000:20000",
        "-p udp -m multiport --sports 22,5060",
        "-p udp -m length --length 60:90",
        "-p udp -m length ! --length 0:80",
        "-p tcp -m tcp --dport 5060",
        "-p tcp -m tcp ! --dport 22",
        "-p tcp -m tcp --tcp-flags SYN,ACK SYN",
        "-p tcp -m tcp ! --syn",
        "-p tcp",
        "-s NETWORK -p udp",
        "! -s NETWORK",
        "-d HOST -i left0",
        "! -i left0",
        "-i l+ -p udp -m udp",
        "! -p udp",
    ]);
    let rule = if random.one_in(4) {
        let target =
            random.pick(&["-j ACCEPT", "-j DROP", "-j REJECT", "-j ONE", "-j TWO", "-g THREE", "-j LOG"]);
        format!("{packet} {target}")
    } else {
        let mut search = format!("-m string {} --algo {}", random.pick(&TEXTS), random.pick(&["bm", "kmp"]));
        if random.one_in(4) {
            write!(search, " --from {}", random.pick(&[20, 28, 40, 60])).expect("text");
        }
        if random.one_in(4) {
            write!(search, " --to {}", random.pick(&[60, 70, 100, 65535])).expect("text");
        }
        if random.one_in(3) {
            search.push_str(" --icase");
        }
        let target = random.pick(&[
            "-j DROP",
            "-j DROP",
            "-j SCAN",
            "-j SCAN",
            "-j LOG --log-prefix \"text: \"",
            "-j NFLOG --nflog-group 9",
            "",
        ]);
        format!("{packet} {search} {target}")
    };
    addresses(&rule, family)
}

fn addresses(rule: &str, family: Family) -> String {
    let (network, host) = match family {
        Family::Ipv4 => ("10.1.0.2/31", crate::oracle::namespace::HOST_V4),
        Family::Ipv6 => ("2001:db8:1::2/127", crate::oracle::namespace::HOST_V6),
    };
    rule.replace("NETWORK", network).replace("HOST", host)
}

/// The file without the lines that `run` refuses, or that make others impossible to enforce. Rules that search TCP are left out as
/// well: there the gate follows connections, and these packets belong to none (`crates/host/tests/gate/streams.rs` has some that do).
fn enforceable(text: &str) -> String {
    let searches_tcp =
        |line: &str| line.contains("-m string") && (!line.contains("-p udp") || line.contains("! -p udp"));
    let lines: Vec<&str> = text.lines().filter(|line| !searches_tcp(line)).collect();
    let mut text = lines.join("\n") + "\n";
    loop {
        let refused = match plan(&text) {
            Ok(()) => return text,
            Err(lines) => lines,
        };
        let keep =
            |(index, line): &(usize, &str)| !(refused.contains(&(index + 1)) && line.starts_with("-A"));
        let kept: Vec<&str> = text.lines().enumerate().filter(keep).map(|(_, line)| line).collect();
        assert!(
            kept.len() < text.lines().count(),
            "lines {refused:?} are refused, and are no rules:\n{text}"
        );
        text = kept.join("\n") + "\n";
    }
}

/// The lines that are refused.
fn plan(text: &str) -> Result<(), Vec<usize>> {
    Policy::parse("generated", text.as_bytes().to_vec())
        .and_then(|policy| Plan::new(&policy, Mode::Enforce, Tag::of_namespace(1)).map(|_| ()))
        .map_err(|mistakes| mistakes.iter().map(policy::diagnostic::Diagnostic::line).collect())
}

/// What `run` makes of `text`: a text that is divided over fragments is found by `--algo bm`, too. (The kernel's `bm` begins
/// anew in each fragment, where it kept them apart.)
pub(crate) fn meant(text: &str) -> String {
    text.replace("--algo bm", "--algo kmp")
}
