//! The limits for sources that are not proven, in the kernel: its clock is the real one, so what is let through is told within
//! the packets that a moment may add.

use std::net::IpAddr;
use std::time::Instant;

use gate::Reason;
use gate::limit::Rate;
use host::gate::TestGate;
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};

use super::frames::datagram;

fn gate(limits: &str) -> TestGate {
    let text = format!("[unproven]\n{limits}");
    let policy = Policy::parse("limits.toml", text.into_bytes()).unwrap();
    let plan = Plan::new(&policy, Mode::Enforce, Tag::default()).unwrap();
    TestGate::load(&plan.gate.tables, gate::layout::Interface::default()).unwrap()
}

/// Sends `count` datagrams of each source in turns; how many of them pass.
fn passing(gate: &mut TestGate, sources: &[[u8; 4]], count: usize) -> usize {
    let frames: Vec<Vec<u8>> =
        sources.iter().map(|source| datagram(*source, 5060, b"OPTIONS sip:x SIP/2.0\r\n\r\n")).collect();
    let mut passed = 0;
    for _ in 0..count {
        for frame in &frames {
            passed += usize::from(gate.run_xdp(frame, 1).unwrap().0 == super::XDP_PASS);
        }
    }
    passed
}

fn dropped(gate: &TestGate, reason: Reason) -> u64 {
    gate.counts().unwrap()[reason as usize]
}

#[test]
fn one_source_gets_its_burst_and_its_rate_and_leaves_the_others_alone() {
    if !lab::skip::ready("one_source_gets_its_burst", &[]) {
        return;
    }
    let mut gate = gate("source = \"100/second burst 20\"\n");
    let start = Instant::now();
    let passed = passing(&mut gate, &[[192, 0, 2, 1]], 2_000);
    let earned = start.elapsed().as_millis() as usize / 10;
    assert!((20..=22 + earned).contains(&passed), "{passed} passed, {earned} earned meanwhile");
    assert_eq!(dropped(&gate, Reason::LimitedSource) as usize, 2_000 - passed);
    assert_eq!(passing(&mut gate, &[[192, 0, 2, 2]], 20), 20, "another source has its own bucket");
    // What is not for a guarded port does not count.
    let other = datagram([192, 0, 2, 1], 10_000, b"media");
    assert!((0..100).all(|_| gate.run_xdp(&other, 1).unwrap().0 == super::XDP_PASS));
}

#[test]
fn a_network_and_all_together_have_their_limits_and_proven_sources_none() {
    if !lab::skip::ready("a_network_and_all_together", &[]) {
        return;
    }
    let mut gate = gate("network = \"1/second burst 50\"\nall = \"1/second burst 120\"\n");
    let start = Instant::now();
    let neighbours: Vec<[u8; 4]> = (1..=100).map(|host| [192, 0, 2, host]).collect();
    let near = passing(&mut gate, &neighbours, 1);
    assert!((50..55).contains(&near), "{near}");
    assert_eq!(dropped(&gate, Reason::LimitedNetwork) as usize, 100 - near);
    // A flood of forged addresses, each from another network.
    let forged: Vec<[u8; 4]> =
        (0..2_000u16).map(|number| [100, (number >> 8) as u8, number as u8, 7]).collect();
    let passed = passing(&mut gate, &forged, 1);
    let earned = 2 + start.elapsed().as_secs() as usize;
    assert!(
        (120..=120 + earned).contains(&(near + passed)),
        "{near} and {passed}, {earned} earned meanwhile"
    );
    assert_eq!(dropped(&gate, Reason::OverCeiling) as usize, 2_000 - passed);
    gate.sources().unwrap().prove(IpAddr::from([198, 51, 100, 7]), u64::MAX).unwrap();
    assert_eq!(passing(&mut gate, &[[198, 51, 100, 7]], 1_000), 1_000);
}

#[test]
fn a_limited_source_is_let_through_at_a_trickle_until_it_is_lifted() {
    if !lab::skip::ready("a_limited_source", &[]) {
        return;
    }
    let mut gate = gate("");
    let source = [203, 0, 113, 9];
    assert_eq!(passing(&mut gate, &[source], 100), 100);
    gate.sources().unwrap().limit(IpAddr::from(source), u64::MAX, Rate::new(1, 100, 5)).unwrap();
    assert_eq!(passing(&mut gate, &[source], 100), 5);
    assert_eq!(dropped(&gate, Reason::LimitedSource), 95);
    gate.sources().unwrap().unlimit(IpAddr::from(source));
    assert_eq!(passing(&mut gate, &[source], 100), 100);
}
