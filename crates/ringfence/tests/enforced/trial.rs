//! Rule files and packets, in the kernel under `ringfence run` and in the model.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use netfilter::packet::{Packet, Transport, protocol};
use netfilter::rules::Verdict;
use netfilter::stack::{Judged, Why};
use policy::Policy;
use policy::ruleset::{Family, Match, RuleSet};

use super::answers;
use super::daemon::{Daemon, Place};
use super::model::{self, Model};
use super::packets::{self, Kind};
use super::policies;
use super::sockets::{Letter, Sockets};
use super::watch::{self, Passed, Watch};
use crate::oracle::namespace::{Network, Side};
use crate::oracle::random::Random;

const PACKETS: usize = 1500;
const FILES: u32 = 14;
const TOOLS: [&str; 5] = ["conntrack", "ip", "mount", "nft", "tcpdump"];

/// The seed of files and packets: always the same, unless another is asked for.
fn random(test: &str) -> Random {
    let seed = std::env::var("ORACLE_SEED").ok().and_then(|text| text.parse().ok()).unwrap_or(2);
    eprintln!("{test}: ORACLE_SEED={seed}");
    Random::new(seed)
}

/// How many datagrams fared how.
#[derive(Debug, Default)]
struct Tally {
    accepted: usize,
    by_text: usize,
    by_text_whole_again: usize,
    dropped: usize,
    rejected: usize,
    received: usize,
}

/// Puts `rules` in force, sends the packets and compares.
fn compare(
    network: &Network,
    daemon: &Daemon<'_>,
    rules: &str,
    random: &mut Random,
) -> Result<Tally, String> {
    let meant = Policy::parse("meant", policies::meant(rules).into_bytes()).expect("a policy");
    let [set] = meant.sets() else { panic!("one family in a file") };
    let kind = Kind { v4: set.family == Family::Ipv4, tracked: set.needs_conntrack() };
    let packets = without_text_in_first_pieces(set, packets::packets(random, kind, PACKETS));
    let packets = without_shared_connections(set, packets);
    daemon.reload(rules)?;
    network.host("conntrack", &["-F"]);
    let watch = Watch::start(network);
    let mut sockets = Sockets::open(network, kind.v4);
    let left = network.port(Side::Left);
    for (number, datagram) in packets.iter().enumerate() {
        left.send(datagram);
        if number % 32 == 31 {
            std::thread::sleep(Duration::from_millis(1));
            sockets.drain();
        }
    }
    let passed = watch.end(network);
    let counters = watch::counters(network);
    judge(set, &packets, &passed, sockets.received(), &counters)
}

/// The gate searches the first fragment as it is: in IPv6 with its fragment header, which the whole datagram does not have any
/// more. So it may find a text in there, and places are eight bytes further. Such datagrams are left out.
fn without_text_in_first_pieces(set: &RuleSet, mut packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let rules = set.chains.iter().flat_map(|chain| &chain.rules);
    let texts: Vec<Vec<u8>> = rules
        .flat_map(|rule| &rule.matches)
        .filter_map(
            |one| if let Match::Text(text) = one { Some(text.pattern.to_ascii_uppercase()) } else { None },
        )
        .collect();
    let id = |datagram: &[u8]| {
        let packet = Packet::parse(datagram, datagram.len()).expect("a datagram");
        packet.fragment().filter(|_| !packet.is_ipv4()).map(|fragment| (fragment.id, fragment.offset))
    };
    let found = |datagram: &[u8]| {
        let bytes = datagram.to_ascii_uppercase();
        texts.iter().any(|text| bytes.windows(text.len()).any(|window| window == text))
    };
    let first = |datagram: &Vec<u8>| match id(datagram) {
        Some((id, 0)) if found(datagram) => Some(id),
        Some(_) | None => None,
    };
    let spoiled: Vec<u32> = packets.iter().filter_map(first).collect();
    packets.retain(|datagram| id(datagram).is_none_or(|(id, _)| !spoiled.contains(&id)));
    packets
}

/// The gate stands before connection tracking. So it makes a difference to the other packets of a TCP connection whether a
/// packet of it was dropped by the gate or, as in iptables, by a rule: such connections are left out.
fn without_shared_connections(set: &RuleSet, packets: Vec<Vec<u8>>) -> Vec<Vec<u8>> {
    let mut model = Model::new(set);
    let mut connections: BTreeMap<_, (usize, usize)> = BTreeMap::new();
    let mut by_text = vec![false; packets.len()];
    for (index, datagram) in packets.iter().enumerate() {
        for judged in model.sent(index, datagram) {
            if model.is_by_text(&judged.fate.why) {
                judged.tags.iter().for_each(|&tag| by_text[tag] = true);
            }
        }
    }
    let connection = |datagram: &[u8]| {
        let packet = Packet::parse(datagram, datagram.len()).expect("a datagram");
        let ends = (packet.source(), packet.destination());
        // A later fragment has no ports; all of them count as one connection.
        (packet.protocol() == Some(protocol::TCP)).then(|| (ends, packet.ports().unwrap_or_default()))
    };
    for (datagram, by_text) in packets.iter().zip(&by_text) {
        if let Some(key) = connection(datagram) {
            let entry = connections.entry(key).or_default();
            entry.0 += 1;
            entry.1 += usize::from(*by_text);
        }
    }
    let stays = |(datagram, by_text): &(Vec<u8>, bool)| {
        let shared = connection(datagram).is_some_and(|key| connections[&key].0 > connections[&key].1);
        !(shared && *by_text)
    };
    packets.into_iter().zip(by_text).filter(stays).map(|(datagram, _)| datagram).collect()
}

fn judge(
    set: &RuleSet,
    packets: &[Vec<u8>],
    passed: &[Passed],
    mut received: BTreeMap<Letter, u32>,
    counters: &BTreeMap<usize, (u64, u64)>,
) -> Result<Tally, String> {
    let mut model = Model::new(set);
    let mut tally = Tally::default();
    let mut fates: Vec<Option<&Passed>> = Vec::new();
    let mut coming = passed.iter().peekable();
    for (index, datagram) in packets.iter().enumerate() {
        let judged = model.sent(index, datagram);
        let fate = coming.next_if(|passed| passed.datagram == *datagram);
        fates.push(fate);
        if let Some(fate) = fate {
            let accepted = model.passed(index, datagram);
            if accepted != fate.accepted {
                return Err(format!(
                    "packet {index}: our table {} it, and its rules say {accepted}\n{datagram:02x?}",
                    if fate.accepted { "accepted" } else { "dropped" },
                ));
            }
            fate.answers.iter().for_each(|answer| model.answered(answer));
        }
        for one in judged {
            check(&model, &one, packets, &fates, &mut tally)
                .map_err(|error| format!("packet {index}: {error}\n{:?}\n{datagram:02x?}", one.fate))?;
            if one.fate.verdict == Verdict::Accept {
                let whole = model.whole.get(&index).map_or(datagram.as_slice(), Vec::as_slice);
                if let Some(letter) = model::letter(whole) {
                    tally.received += 1;
                    let left = received.get_mut(&letter).filter(|left| **left > 0);
                    *left.ok_or_else(|| format!("packet {index} was not delivered\n{datagram:02x?}"))? -= 1;
                }
            }
        }
    }
    if let Some(left) = coming.next() {
        return Err(format!("nobody sent {:02x?}", left.datagram));
    }
    if let Some((letter, count)) = received.iter().find(|(_, count)| **count > 0) {
        return Err(format!("delivered {count} times too often: {letter:02x?}"));
    }
    for (line, expected) in model.counters() {
        let found = counters.get(&line).copied().unwrap_or_default();
        if found != expected {
            return Err(format!("line {line}: the table counts {found:?}, and should {expected:?}"));
        }
    }
    Ok(tally)
}

/// The fate of a datagram against what the whole file says.
fn check(
    model: &Model<'_>,
    judged: &Judged<usize>,
    packets: &[Vec<u8>],
    fates: &[Option<&Passed>],
    tally: &mut Tally,
) -> Result<(), String> {
    let tags = &judged.tags;
    let last = fates[tags[tags.len() - 1]];
    let accepted = last.is_some_and(|fate| fate.accepted);
    let all_passed = tags.iter().all(|&tag| fates[tag].is_some());
    match (judged.fate.verdict, &judged.fate.why) {
        (Verdict::Accept, _) => {
            tally.accepted += 1;
            if accepted { Ok(()) } else { Err("not accepted".to_owned()) }
        }
        (_, why) if model.is_by_text(why) => {
            tally.by_text += 1;
            if !all_passed {
                return Ok(());
            }
            // Found when it is whole again, at its socket: what is delivered is compared. Only UDP has listeners here.
            tally.by_text_whole_again += 1;
            if tags.len() > 1 { Ok(()) } else { Err("a text passed the gate".to_owned()) }
        }
        (verdict, Why::Rules { .. }) => {
            if !all_passed {
                return Err("stopped by the gate".to_owned());
            }
            if accepted {
                return Err("accepted".to_owned());
            }
            *if verdict == Verdict::Drop { &mut tally.dropped } else { &mut tally.rejected } += 1;
            let parsed =
                tags.iter().map(|&tag| Packet::parse(&packets[tag], packets[tag].len()).expect("a datagram"));
            let parsed: Vec<Packet<'_>> = parsed.collect();
            let first = parsed.iter().find(|packet| packet.transport() != Transport::Later);
            let answers = last.map_or(&[][..], |fate| &fate.answers);
            answers::fit(first.unwrap_or(&parsed[0]), verdict, answers)
        }
        (_, _) if accepted => Err("accepted".to_owned()),
        (_, _) => Ok(()),
    }
}

/// The start needs a policy; those that are compared follow by reload.
const FIRST: &str = "*filter\n:INPUT ACCEPT [0:0]\nCOMMIT\n";

fn generated(test: &str, family: Family) {
    if !lab::skip::ready(test, &TOOLS) {
        return;
    }
    let (network, place) = (Network::up(), Place::new());
    let daemon =
        Daemon::start(&network, &place, "one", "left0", FIRST).unwrap_or_else(|said| panic!("{said}"));
    let mut random = random(test);
    let (mut by_text, mut whole_again, mut received) = (0, 0, 0);
    for number in 0..FILES {
        let rules = policies::generated(&mut random, family);
        match compare(&network, &daemon, &rules, &mut random) {
            Ok(tally) => {
                eprintln!("file {number}: {tally:?}");
                by_text += tally.by_text;
                whole_again += tally.by_text_whole_again;
                received += tally.received;
            }
            Err(error) => panic!("file {number}: {error}\n{rules}"),
        }
    }
    assert!(
        by_text > 100 && whole_again > 0 && received > 500,
        "{by_text} {whole_again} {received}: hardly a test"
    );
}

#[test]
fn generated_ipv4_files_are_enforced_as_they_are_meant() {
    generated("generated_ipv4_files_are_enforced_as_they_are_meant", Family::Ipv4);
}

#[test]
fn generated_ipv6_files_are_enforced_as_they_are_meant() {
    generated("generated_ipv6_files_are_enforced_as_they_are_meant", Family::Ipv6);
}

#[test]
fn known_files_are_enforced_as_they_are_meant() {
    let test = "known_files_are_enforced_as_they_are_meant";
    if !lab::skip::ready(test, &TOOLS) {
        return;
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let sample = std::fs::read_to_string(root.join("samples/asterisk.rules")).expect("the sample");
    let mut files = vec![sample];
    match std::fs::read_to_string(root.join("../shared/data/article/iptables")) {
        Ok(article) => files.push(article),
        Err(_) => lab::skip::note(test, "the article's own file is not here"),
    }
    let (network, place) = (Network::up(), Place::new());
    let mut random = random(test);
    let daemon =
        Daemon::start(&network, &place, "one", "left0", FIRST).unwrap_or_else(|said| panic!("{said}"));
    for rules in files {
        let tally = compare(&network, &daemon, &rules, &mut random)
            .unwrap_or_else(|error| panic!("{error}\n{rules}"));
        eprintln!("{tally:?}");
        assert!(tally.by_text > 20 && tally.accepted > 100 && tally.rejected > 100, "{tally:?}");
    }
}
