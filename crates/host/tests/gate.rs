//! The kernel program against the verdict in user space: the same frames must get the same verdict, reason, rule,
//! signature and log statements. Needs root.
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what it did, and fails by panicking"
)]

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use gate::bans::Term;
use gate::layout::{
    self, ALL_PROTOCOLS, CAPTURES, Event, FOLLOWS, HAS_BLOCKED, HAS_NETWORKS, HAS_TRUSTED, LIMITED, OBSERVE,
    REPORT_ALL, TAG_MASK,
};
use gate::limit::{Limits, Rate};
use gate::memory::MemoryTables;
use gate::{Address, Family, Found, Judgement, Link, Reason, Verdict, judge};
use host::gate::{Banned, Events, Network, Standing, TestGate};
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};

use crate::frames::{Random, mutate, seeds};

#[path = "gate/frames.rs"]
mod frames;
#[path = "gate/limits.rs"]
mod limits;
#[path = "gate/streams.rs"]
mod streams;
#[path = "gate/tagged.rs"]
mod tagged;

/// Frames that are mutated and judged twice, over all policies and both hooks.
const MUTATIONS: usize = 1_000_000;

/// Frames after which both sides begin anew. Of more connections than there is room for the kernel forgets the one that was
/// quiet for longest, as nearly as it can tell on each CPU, and the tables in memory the oldest.
const FRESH: usize = 100_000;

/// Names another number of frames: an emulated machine has not the time for a million, a patient one has it for ten. Everything else that is counted in
/// thousands shrinks with it.
const FRAMES: &str = "GATE_FRAMES";

/// What is left of `whole` where fewer frames are wanted than [`MUTATIONS`].
fn share_of(whole: usize) -> usize {
    let frames =
        std::env::var(FRAMES).map_or(MUTATIONS, |text| text.parse().expect("GATE_FRAMES is a number"));
    (whole * frames / MUTATIONS).max(1)
}

const XDP_DROP: u32 = 1;
const XDP_PASS: u32 = 2;
/// `TC_ACT_SHOT` and `TC_ACT_UNSPEC` (-1: the next program decides).
const TC_SHOT: u32 = 2;
const TC_UNSPEC: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
enum Hook {
    Tc,
    Xdp,
}

#[test]
fn kernel_and_user_space_agree_on_a_million_mutated_frames() {
    if !lab::skip::ready("kernel_and_user_space_agree", &[]) {
        return;
    }
    let policies = policies();
    let seeds = seeds();
    let share = share_of(MUTATIONS) / policies.len() / 2;
    let mut reasons = [0usize; gate::reason::REASONS];
    for (name, tables) in &policies {
        for hook in [Hook::Xdp, Hook::Tc] {
            let mut pair = Pair::new(tables, Link::Ethernet);
            for seed in &seeds {
                count(&mut reasons, pair.compare(hook, seed, name));
            }
            let mut random = Random(0x5eed ^ share as u64);
            for number in 0..share {
                if number % FRESH == FRESH - 1 {
                    pair = Pair::new(tables, Link::Ethernet);
                }
                let frame = mutate(&seeds, &mut random);
                count(&mut reasons, pair.compare(hook, &frame, name));
            }
        }
    }
    // A comparison that never met a reason says nothing about it. (`forwarded` needs a route, which the lab has; limits
    // are compared for themselves.)
    let elsewhere = [Reason::Forwarded, Reason::LimitedNetwork, Reason::LimitedSource, Reason::OverCeiling];
    for reason in Reason::ALL.into_iter().filter(|reason| !elsewhere.contains(reason)) {
        assert!(
            reasons[reason as usize] > 0 || share_of(100) < 10 && reason == Reason::EndedConnection,
            "only {} frames of reason {}",
            reasons[reason as usize],
            reason.as_str()
        );
    }
    println!("{:?}", Reason::ALL.map(|reason| (reason.as_str(), reasons[reason as usize])));
}

#[test]
fn every_program_is_verified() {
    if !lab::skip::ready("every_program_is_verified", &[]) {
        return;
    }
    let (_, mut tables) = policies().remove(0);
    // What a policy does not ask for, the kernel drops unseen: it is to see everything.
    let config = &mut tables.policy.config;
    config.flags |= CAPTURES | FOLLOWS | LIMITED | OBSERVE;
    let rate = Rate::new(1, 1, 1);
    config.limits = Limits { source: rate, network: rate, all: rate, key: [1, 2] };
    config.tag = TAG_MASK;
    let mut gate = TestGate::load(&tables.policy, layout::Interface::default()).unwrap();
    let verified = gate.verified().unwrap();
    // `cargo xtask kernels` reads these lines.
    for (program, instructions) in verified {
        println!("verified {program} {instructions}");
    }
}

#[test]
fn frames_without_a_link_header_are_read_where_the_interface_says_so() {
    if !lab::skip::ready("frames_without_a_link_header", &[]) {
        return;
    }
    let (name, tables) = policies().remove(0);
    let mut pair = Pair::new(&tables, Link::Ip);
    let mut random = Random(7);
    for seed in seeds() {
        let Some(packet) = seed.get(14..).filter(|packet| packet.len() >= 14) else { continue };
        pair.compare(Hook::Xdp, packet, &name);
        for _ in 0..share_of(200) {
            let frame = mutate(&[packet.to_vec()], &mut random);
            pair.compare(Hook::Xdp, &frame, &name);
        }
    }
}

fn count(reasons: &mut [usize; gate::reason::REASONS], reason: Option<Reason>) {
    if let Some(reason) = reason {
        reasons[reason as usize] += 1;
    }
}

/// The kernel's gate and ours, with the same tables.
struct Pair {
    kernel: TestGate,
    events: Events,
    user: MemoryTables,
    link: Link,
}

impl Pair {
    fn new(tables: &MemoryTables, link: Link) -> Self {
        let interface =
            layout::Interface { patterns: tables.patterns, raw_ip: u32::from(link == Link::Ip), reserved: 0 };
        let mut kernel = TestGate::load(&tables.policy, interface).unwrap();
        let bans = tables.bans.all();
        let all = bans.into_iter().map(|(address, until, all_ports)| Banned { address, until, all_ports });
        assert_eq!(kernel.sources().unwrap().ban(all).unwrap().refused, 0);
        for network in tables.networks.iter().map(network) {
            assert!(kernel.sources().unwrap().set_network(&network).unwrap());
        }
        let events = kernel.take_events().unwrap();
        Self { kernel, events, user: tables.clone(), link }
    }

    /// Judges `frame` twice and demands the same answer. `None` for a frame that the kernel takes from a wire but not
    /// from a test (`bpf_prog_test_run_skb` wants room for an IP header).
    fn compare(&mut self, hook: Hook, frame: &[u8], policy: &str) -> Option<Reason> {
        if matches!(hook, Hook::Tc) && frame.len() < 14 + 40 {
            return None;
        }
        let mut ours = Judgement::NONE;
        judge(frame, &self.user, self.link, &mut Found::default(), &mut ours);
        let (value, _) = match hook {
            Hook::Xdp => self.kernel.run_xdp(frame, 1).unwrap(),
            Hook::Tc => self.kernel.run_tc(frame, 1).unwrap(),
        };
        let expected = match (hook, ours.reason.verdict()) {
            (Hook::Xdp, Verdict::Drop) => XDP_DROP,
            (Hook::Xdp, Verdict::Pass) => XDP_PASS,
            (Hook::Tc, Verdict::Drop) => TC_SHOT,
            (Hook::Tc, Verdict::Pass) => TC_UNSPEC,
        };
        let event =
            self.events.next().and_then(|record| Event::from_bytes(&record)).expect("an event a frame");
        let theirs = (value, event.reason, event.rule, event.signature, event.notes, event.source_port);
        let our =
            (expected, ours.reason as u8, ours.rule, ours.signature, ours.notes, ours.packet.source_port);
        assert!(
            theirs == our && event.source == ours.packet.source && event.length == ours.packet.length,
            "{hook:?}, policy {policy}: the kernel says {theirs:?}, we say {our:?} ({})\n{frame:02x?}",
            ours.reason.as_str()
        );
        Some(ours.reason)
    }
}

/// Every file of `tests/gate/*.rules`, with bans, blocks and trust beside; and the article's file, where it is at hand.
fn policies() -> Vec<(String, MemoryTables)> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut files: Vec<PathBuf> =
        fs::read_dir(here.join("tests/gate")).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension == "rules"));
    files.push(here.join("../../../shared/data/article/iptables"));
    files.sort();
    files
        .iter()
        .filter_map(|file| match fs::read(file) {
            Ok(bytes) => Some((file.display().to_string(), tables(&file.display().to_string(), bytes))),
            Err(_) => {
                lab::skip::note("kernel_and_user_space_agree", "the article's own file is not here");
                None
            }
        })
        .collect()
}

/// A policy's tables, told to report everything.
fn lawful_tables(policy: gate::memory::GateTables) -> MemoryTables {
    let mut tables = MemoryTables { policy, now: 4 << 30, ..MemoryTables::default() };
    tables.policy.config.flags |= REPORT_ALL;
    tables.policy.config.events_per_second = u32::MAX;
    tables
}

fn tables(name: &str, bytes: Vec<u8>) -> MemoryTables {
    let policy = Policy::parse(name, bytes).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let plan =
        Plan::new(&policy, Mode::Enforce, Tag::default()).unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let mut tables =
        MemoryTables { policy: plan.gate.tables, patterns: 0b01, now: 4 << 30, ..MemoryTables::default() };
    let config = &mut tables.policy.config;
    config.flags |= REPORT_ALL | HAS_BLOCKED | HAS_TRUSTED;
    config.events_per_second = u32::MAX;
    let v4 = |octets: [u8; 4]| Address::v4(octets).0;
    // The seeds come from these networks and addresses.
    tables.policy.blocked = vec![(96 + 29, v4([192, 0, 2, 64])), (48, Address::from(V6_BLOCKED).0)];
    tables.policy.trusted = vec![(96 + 32, v4([192, 0, 2, 33])), (128, Address::from(V6_TRUSTED).0)];
    for (address, until, all_ports) in [
        (IpAddr::from([192, 0, 2, 17]), u64::MAX, false),
        (IpAddr::from([192, 0, 2, 18]), u64::MAX, true),
        // Over since long ago, so without effect.
        (IpAddr::from([192, 0, 2, 19]), 1, true),
        (V6_BANNED, u64::MAX, false),
    ] {
        tables.ban(address, until, all_ports);
    }
    tables.networks = [
        (96 + 30, v4([192, 0, 2, 20]), Term::new(u64::MAX, false)),
        (96 + 32, v4([192, 0, 2, 21]), Term::trusted(u64::MAX)),
        (96 + 32, v4([192, 0, 2, 22]), Term::new(u64::MAX, true)),
        (96 + 32, v4([192, 0, 2, 23]), Term::new(1, true)),
        (48, Address::from(V6_NETWORK).0, Term::new(u64::MAX, false)),
    ]
    .to_vec();
    tables.live.flags |= HAS_NETWORKS;
    if name.ends_with("everywhere.rules") {
        assert!(tables.policy.config.flags & ALL_PROTOCOLS != 0);
    }
    tables
}

/// As the host writes it.
fn network((prefix, address, term): &(u8, layout::NetworkKey, Term)) -> Network {
    let is_v4 = address[..12] == Address::v4([0; 4]).0[..12];
    let standing = if term.is_trust() {
        Standing::Trusted
    } else {
        Standing::Banned { all_ports: term.covers_all_ports() }
    };
    Network {
        address: Address(*address).to_ip(if is_v4 { Family::Ipv4 } else { Family::Ipv6 }),
        prefix: if is_v4 { prefix - 96 } else { *prefix },
        standing,
        until: term.until(),
    }
}

const V6_NETWORK: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 48, 0, 0, 0, 0, 0));
const V6_BANNED: IpAddr = IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 0, 17, 0, 0, 0, 9));
const V6_BLOCKED: std::net::IpAddr =
    std::net::IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 64, 0, 0, 0, 0, 0));
const V6_TRUSTED: std::net::IpAddr =
    std::net::IpAddr::V6(std::net::Ipv6Addr::new(0x2001, 0xdb8, 33, 0, 0, 0, 0, 1));
