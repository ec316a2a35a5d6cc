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

/// Loads the rules, sends the packets, and compares.
fn compare(
    network: &Network,
    family: Family,
    rules: &str,
    packets: &[(Side, Vec<u8>)],
) -> Result<usize, String> {
    let file = policy::iptables::parse(name(family), rules)
        .map_err(|errors| format!("we refuse it: {}", errors.first().expect("an error")))?;
    let tools = Tools::of(family);
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
    judge(&file, family, &directory.path().join("out.pcap"), &seen, &counters)
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
) -> Result<usize, String> {
    let set = file.family(family).ok_or("read for the other family")?;
    let mut stack: Stack<usize> = Stack::new([set], Settings::default());
    let mut reader = Reader::open(capture).expect("a capture");
    let mut frames: Vec<Vec<u8>> = Vec::new();
    let mut kernel = seen.iter();
    let mut judged = 0;
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
            let accepted = decided.fate.verdict == Verdict::Accept;
            if accepted != expected.accepted {
                return Err(format!(
                    "frame {index}: the kernel {} it, we say {:?}\n{:02x?}",
                    if expected.accepted { "accepted" } else { "dropped" },
                    decided.fate,
                    expected.datagram
                ));
            }
            judged += 1;
        }
    }
    if let Some(left) = kernel.next() {
        return Err(format!("we never saw {:02x?}", left.datagram));
    }
    same_counters(set, &stack, counters)?;
    Ok(judged)
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
    if !lab::skip::ready(test, &["ip", "tcpdump", "iptables-legacy-restore"]) {
        return;
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/article/iptables");
    let Ok(rules) = std::fs::read_to_string(&path) else {
        return lab::skip::skip(test, "the article's rule file is not here");
    };
    let network = Network::up();
    let mut random = Random::seeded("article");
    let packets = generate::packets(&mut random, true, 6000);
    let judged = compare(&network, Family::Ipv4, &rules, &packets).unwrap_or_else(|error| panic!("{error}"));
    eprintln!("{judged} packets agree");
}

fn generated(test: &str, family: Family) {
    if !lab::skip::ready(test, &["ip", "tcpdump", Tools::of(family).restore]) {
        return;
    }
    let network = Network::up();
    let mut random = Random::seeded(test);
    let (mut files, mut judged) = (0, 0);
    let begin = std::time::Instant::now();
    while begin.elapsed() < Duration::from_secs(25) {
        let rules = generate::rules(&mut random, family);
        let packets = generate::packets(&mut random, family == Family::Ipv4, 300);
        match compare(&network, family, &rules, &packets) {
            Ok(count) => judged += count,
            Err(error) => panic!("{error}\n{rules}"),
        }
        files += 1;
    }
    eprintln!("{judged} packets in {files} rule files agree");
}

#[test]
fn generated_ipv4_files_agree_with_the_kernel() {
    generated("generated_ipv4_files_agree_with_the_kernel", Family::Ipv4);
}

#[test]
fn generated_ipv6_files_agree_with_the_kernel() {
    generated("generated_ipv6_files_agree_with_the_kernel", Family::Ipv6);
}
