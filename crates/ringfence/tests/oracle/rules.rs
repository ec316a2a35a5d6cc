//! Rule files in the kernel and in our evaluator: the fate of every packet, and the counter of every rule.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use capture::Reader;
use capture::link::{Payload, decode};
use netfilter::packet::Packet;
use netfilter::rules::{Hook, Verdict};
use netfilter::stack::{Settings, Stack, Way, Why};
use policy::iptables::IptablesFile;
use policy::ruleset::{Family, RuleSet};

use super::generate::{self, Tools};
use super::namespace::{HOST_MAC, HOST_V4, HOST_V6, Network, Side};
use super::nflog::{Logged, Recorder};
use super::random::Random;
use super::traffic;

/// Copies of what goes into and comes out of the filter table.
fn probes() -> String {
    let mut text = String::new();
    for (table, prefix) in [("mangle", "before"), ("security", "after")] {
        writeln!(text, "*{table}").expect("text");
        for chain in ["INPUT", "FORWARD"] {
            writeln!(text, "-A {chain} -j NFLOG --nflog-group 5 --nflog-threshold 1 --nflog-prefix {prefix}")
                .expect("text");
        }
        writeln!(text, "COMMIT").expect("text");
    }
    text
}

/// What the kernel made of a datagram.
#[derive(Debug)]
struct Seen {
    datagram: Vec<u8>,
    accepted: bool,
}

/// What was compared: the recording, and which of its frames the kernel accepted.
struct Agreed {
    recording: tempfile::TempDir,
    frames: Vec<(u64, bool)>,
}

/// Loads the rules, sends the packets, and compares. `None` when both sides refuse the rules.
fn compare(
    network: &Network,
    family: Family,
    rules: &str,
    packets: &[(Side, Vec<u8>)],
) -> Result<Option<Agreed>, String> {
    let tools = Tools::of(family);
    let file = match policy::iptables::parse(name(family), rules) {
        Ok(file) => file,
        Err(errors) => {
            // What both refuse (a rate that overflows) is agreement, too.
            let theirs = network.host_with_input(tools.restore, &[], rules);
            network.host_with_input(tools.restore, &[], generate::EMPTY)?;
            let ours = errors.first().expect("an error");
            return if theirs.is_err() { Ok(None) } else { Err(format!("only we refuse it: {ours}")) };
        }
    };
    // Connections outlive the rules that asked for them.
    network.host("conntrack", &["-F"]);
    // The rules come in last, so that their counters begin with our packets.
    let wire = Recorder::start(network, "left0");
    let copies = Recorder::start(network, "nflog:5");
    network.host_with_input(tools.restore, &[], &format!("{}{rules}", probes()))?;
    let (left, right) = (network.port(Side::Left), network.port(Side::Right));
    for (number, (side, datagram)) in packets.iter().enumerate() {
        match side {
            Side::Left => left.send(datagram),
            Side::Right => right.send(datagram),
        }
        if number % 32 == 31 {
            std::thread::sleep(Duration::from_millis(1));
        }
    }
    let seen = pair(&copies.logged());
    let directory = wire.stop();
    let counters = network.host(tools.save, &["-c", "-t", "filter"]);
    network.host_with_input(tools.restore, &[], generate::EMPTY)?;
    let frames = judge(&file, family, &directory.path().join("out.pcap"), &seen, &counters)?;
    Ok(Some(Agreed { recording: directory, frames }))
}

fn name(family: Family) -> &'static str {
    match family {
        Family::Ipv4 => "iptables",
        Family::Ipv6 => "ip6tables",
    }
}

/// A copy before, and one after if it was accepted.
fn pair(logged: &[Logged]) -> Vec<Seen> {
    let mut seen: Vec<Seen> = Vec::new();
    for entry in logged {
        if entry.prefix == "before" {
            seen.push(Seen { datagram: entry.datagram.clone(), accepted: false });
        } else {
            let last = seen.iter_mut().rev().find(|seen| seen.datagram == entry.datagram);
            last.expect("what comes out went in").accepted = true;
        }
    }
    seen
}

fn judge(
    file: &IptablesFile,
    family: Family,
    capture: &Path,
    seen: &[Seen],
    counters: &str,
) -> Result<Vec<(u64, bool)>, String> {
    let set = file.family(family).ok_or("read for the other family")?;
    let mut stack: Stack<usize> = Stack::new([set], Settings::default());
    let mut reader = Reader::open(capture).expect("a capture");
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut kernel = seen.iter();
    let mut numbers: Vec<u64> = Vec::new();
    let mut judged = Vec::new();
    while let Some(frame) = reader.next_frame() {
        let Payload::Ip { data, wire_len } = decode(&frame).payload else { continue };
        let Ok(packet) = Packet::parse(data, wire_len) else { continue };
        if packet.is_ipv4() != (family == Family::Ipv4) {
            continue;
        }
        let ours = [HOST_V4, HOST_V6]
            .iter()
            .any(|host| packet.destination() == host.parse::<std::net::IpAddr>().expect("host"));
        let way = match (frame.data.get(6..12) == Some(&HOST_MAC[..]), ours) {
            (true, _) => Way::Output,
            (false, true) => Way::Input,
            (false, false) => Way::Forward,
        };
        let output = if way == Way::Forward { "right0" } else { "left0" };
        let packet = packet.with_interfaces(Some("left0"), Some(output));
        stack.push(&packet, way, frames.len(), frame.time);
        frames.push(packet.bytes().to_vec());
        numbers.push(frame.number);
        while let Some(decided) = stack.judged() {
            let Why::Rules { hook: Hook::Input | Hook::Forward, .. } = &decided.fate.why else {
                continue;
            };
            let index = decided.tags[decided.tags.len() - 1];
            let expected = kernel
                .next()
                .ok_or_else(|| format!("the kernel never saw frame {index}: {:02x?}", frames[index]))?;
            let whole = decided.tags.len() == 1 && packet.fragment().is_none();
            if whole && unrouted(&expected.datagram) != unrouted(&frames[index]) {
                return Err(format!(
                    "out of step at {index}:\nours   {:02x?}\nkernel {:02x?}",
                    frames[index], expected.datagram
                ));
            }
            if decided.tags.len() > 1 && data_end(&decided.tags, &frames) != expected.datagram.len() {
                let pieces: Vec<_> =
                    decided.tags.iter().map(|&tag| format!("{:02x?}", frames[tag])).collect();
                return Err(format!(
                    "another datagram:\n{:02x?}\nfrom\n{}",
                    expected.datagram,
                    pieces.join("\n")
                ));
            }
            let accepted = decided.fate.verdict == Verdict::Accept;
            if accepted != expected.accepted {
                return Err(format!(
                    "frame {index}: the kernel {} it, we say {:?}\n{:02x?}",
                    if expected.accepted { "accepted" } else { "dropped" },
                    decided.fate,
                    expected.datagram
                ));
            }
            judged.extend(decided.tags.iter().map(|&tag| (numbers[tag], accepted)));
        }
    }
    if let Some(left) = kernel.next() {
        return Err(format!("we never saw {:02x?}", left.datagram));
    }
    same_counters(set, &stack, counters)?;
    Ok(judged)
}

/// How long the datagram of these fragments is.
fn data_end(tags: &[usize], frames: &[Vec<u8>]) -> usize {
    let ends = tags.iter().map(|&tag| {
        let packet = Packet::parse(&frames[tag], frames[tag].len()).expect("parsed before");
        let header = packet.fragment_header().map_or(packet.transport_offset(), |header| header.at);
        let data = packet.fragment_header().map_or(header, |header| header.at + 8);
        header + packet.fragment().expect("a fragment").offset + packet.total_len() - data
    });
    ends.max().expect("fragments")
}

/// Without what forwarding changes.
fn unrouted(datagram: &[u8]) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    if datagram[0] >> 4 == 4 {
        datagram[8] = 0;
        datagram[10..12].fill(0);
    } else {
        datagram[7] = 0;
    }
    datagram
}

/// `[packets:bytes] -A CHAIN …` of `iptables-save -c` against ours. OUTPUT is left out: what the kernel answers may be held
/// back by its own limits after the rules.
fn same_counters(set: &RuleSet, stack: &Stack<usize>, saved: &str) -> Result<(), String> {
    let mut kernel: BTreeMap<&str, Vec<(&str, &str)>> = BTreeMap::new();
    for line in saved.lines().filter(|line| line.starts_with('[')) {
        let (counter, rule) = line.trim_start_matches('[').split_once("] ").expect("a counter");
        kernel.entry(rule.split(' ').nth(1).expect("a chain")).or_default().push((counter, rule));
    }
    for (name, rules) in kernel {
        let (id, chain) = set.chain(name).ok_or_else(|| format!("no chain {name}"))?;
        let ours = stack.rules().counters(set.family, id);
        assert_eq!(ours.len(), rules.len(), "{name}");
        if name == "OUTPUT" {
            continue;
        }
        for ((theirs, rule), (ours, at)) in rules.iter().zip(ours.iter().zip(&chain.rules)) {
            let ours = format!("{}:{}", ours.packets, ours.bytes);
            if ours != *theirs {
                return Err(format!(
                    "line {}: the kernel counts {theirs}, we count {ours}: {rule}",
                    at.line.0
                ));
            }
        }
    }
    Ok(())
}

/// The article's own rule file.
#[test]
fn the_articles_file_agrees_with_the_kernel() {
    let test = "the_articles_file_agrees_with_the_kernel";
    if !lab::skip::ready(test, &["ip", "tcpdump", "iptables-legacy-restore", "conntrack"]) {
        return;
    }
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut path = here.join("../../../shared/data/article/iptables");
    if !path.exists() {
        lab::skip::note(test, "the article's own file is not here; the sample is taken instead");
        path = here.join("../../samples/asterisk.rules");
    }
    let rules = std::fs::read_to_string(&path).expect("a rule file");
    let network = Network::up();
    let mut random = Random::seeded("article");
    let packets = traffic::packets(&mut random, true, 6000);
    let agreed = compare(&network, Family::Ipv4, &rules, &packets).unwrap_or_else(|error| panic!("{error}"));
    let agreed = agreed.expect("a good rule file");
    command_line(&path, &agreed);
    eprintln!("{} frames agree", agreed.frames.len());
}

/// `ringfence replay` says the same about every frame.
fn command_line(policy: &Path, agreed: &Agreed) {
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args([
            "replay",
            "--format",
            "json",
            "--all",
            "--local",
            HOST_V4,
            "--checksums",
            "verify",
            "--policy",
        ])
        .arg(policy)
        .arg(agreed.recording.path().join("out.pcap"))
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut ours: BTreeMap<u64, bool> = BTreeMap::new();
    for line in text.lines() {
        let line: serde_json::Value = serde_json::from_str(line).expect("json");
        if line["type"] == "packet" {
            ours.insert(line["frame"].as_u64().expect("a number"), line["verdict"] == "accept");
        }
    }
    for (frame, accepted) in &agreed.frames {
        assert_eq!(ours.get(frame), Some(accepted), "frame {frame}");
    }
}

/// How long rule files are generated; `ORACLE_SECONDS=…` for more than every day's check.
fn patience() -> Duration {
    let seconds = std::env::var("ORACLE_SECONDS").ok().and_then(|text| text.parse().ok());
    Duration::from_secs(seconds.unwrap_or(20))
}

fn generated(test: &str, family: Family) {
    if !lab::skip::ready(test, &["ip", "tcpdump", Tools::of(family).restore, "conntrack"]) {
        return;
    }
    let network = Network::up();
    let mut random = Random::seeded(test);
    let (mut files, mut judged) = (0, 0);
    let begin = std::time::Instant::now();
    while begin.elapsed() < patience() {
        let rules = generate::rules(&mut random, family);
        let packets = traffic::packets(&mut random, family == Family::Ipv4, 300);
        match compare(&network, family, &rules, &packets) {
            Ok(agreed) => judged += agreed.map_or(0, |agreed| agreed.frames.len()),
            Err(error) => panic!("{error}\n{rules}"),
        }
        files += 1;
    }
    eprintln!("{judged} frames in {files} rule files agree");
}

#[test]
fn generated_ipv4_files_agree_with_the_kernel() {
    generated("generated_ipv4_files_agree_with_the_kernel", Family::Ipv4);
}

#[test]
fn generated_ipv6_files_agree_with_the_kernel() {
    generated("generated_ipv6_files_agree_with_the_kernel", Family::Ipv6);
}

/// Rates that refill while packets come, which the kernel counts in ticks of its own clock.
const RATES: &str = "*filter
:INPUT ACCEPT [0:0]
:FORWARD ACCEPT [0:0]
:OUTPUT ACCEPT [0:0]
-A INPUT -m limit --limit 20/second --limit-burst 5
-A INPUT -m hashlimit --hashlimit-upto 30/second --hashlimit-burst 5 --hashlimit-mode srcip --hashlimit-name rate
-A INPUT -m recent --name seen --rcheck --seconds 1 --hitcount 10
-A INPUT -m recent --name seen --set
-A INPUT -m state --state NEW
COMMIT
";

#[test]
fn rates_agree_with_the_kernel_within_a_margin() {
    let test = "rates_agree_with_the_kernel_within_a_margin";
    if !lab::skip::ready(test, &["ip", "tcpdump", "iptables-legacy-restore"]) {
        return;
    }
    let network = Network::up();
    let wire = Recorder::start(&network, "left0");
    network.host_with_input("iptables-legacy-restore", &[], RATES).expect("rules");
    let left = network.port(Side::Left);
    let mut random = Random::seeded(test);
    for _ in 0..400 {
        for (_, datagram) in traffic::packets(&mut random, true, 1) {
            left.send(&datagram);
        }
        std::thread::sleep(Duration::from_millis(u64::from(random.below(12))));
    }
    let directory = wire.stop();
    let saved = network.host("iptables-legacy-save", &["-c", "-t", "filter"]);
    let file = policy::iptables::parse("iptables", RATES).expect("rules");
    let set = file.family(Family::Ipv4).expect("rules");
    let mut stack: Stack<()> = Stack::new([set], Settings::default());
    let mut reader = Reader::open(&directory.path().join("out.pcap")).expect("a capture");
    while let Some(frame) = reader.next_frame() {
        let Payload::Ip { data, wire_len } = decode(&frame).payload else { continue };
        let Ok(packet) = Packet::parse(data, wire_len) else { continue };
        let way = if packet.source() == HOST_V4.parse::<std::net::IpAddr>().expect("host") {
            Way::Output
        } else if packet.destination() == HOST_V4.parse::<std::net::IpAddr>().expect("host") {
            Way::Input
        } else {
            Way::Forward
        };
        stack.push(&packet, way, (), frame.time);
    }
    let (input, _) = set.chain("INPUT").expect("INPUT");
    let ours: Vec<u64> =
        stack.rules().counters(Family::Ipv4, input).iter().map(|counter| counter.packets).collect();
    let theirs: Vec<u64> = saved
        .lines()
        .filter_map(|line| {
            line.strip_prefix('[')?.split_once("] -A INPUT")?.0.split_once(':')?.0.parse().ok()
        })
        .collect();
    eprintln!("packets counted by each rule: kernel {theirs:?}, here {ours:?}");
    assert_eq!(ours.len(), theirs.len());
    for (ours, theirs) in ours.iter().zip(&theirs) {
        assert!(ours.abs_diff(*theirs) <= 3 + theirs / 20, "the clocks differ by more than a tick or two");
    }
}
