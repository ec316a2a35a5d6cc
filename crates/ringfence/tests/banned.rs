//! The engine at work on a real PBX: who guesses passwords or walks extensions is stopped by what he does, whatever he calls
//! himself; who telephones is not. There are no signatures here. Root only.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::asterisk::{PHONE, WEAK};
use lab::attack;
use lab::phone::{Answer, ECHO, Phone, Transport};
use lab::{AsteriskOptions, Guard, Lab, Node, skip};
use serde_json::Value;

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
const SIP: SocketAddr = SocketAddr::new(PBX, 5060);
const TOOLS: &[&str] = &["bpftool", "debootstrap", "nft", "sipp", "sipsak", "svcrack"];

const POLICY: &str = "signatures = []\n[services]\nsip = { udp = [5060], tcp = [5060], inspect = true }\n\
    rtp = { udp = [\"10000-20000\"] }\n";

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

/// The daemon's JSON lines of one type about the attacker.
fn told(guard: &Guard<'_>, kind: &str) -> Vec<Value> {
    let text = std::fs::read_to_string(guard.state_dir().join("events.jsonl")).unwrap_or_default();
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    lines.filter(|line| line["type"] == kind && line["source"] == ATTACKER.to_string()).collect()
}

#[test]
fn a_guesser_is_banned_before_his_tenth_guess_and_a_phone_is_not() {
    if !skip::ready("a_guesser_is_banned", TOOLS) {
        return;
    }
    let lab = Lab::up("banned").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions::default()).unwrap();
    let policy = lab.dir().join("policy.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let phone = Phone::new(&lab, Node::Phone, PHONE, Transport::Udp);
    assert_eq!(phone.register(SIP).unwrap(), Answer::Done);

    // The password is the eighth of the list.
    let found = attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "100-300").unwrap();
    assert_eq!(found, None);
    asterisk.settle().unwrap();
    let wait = Instant::now();
    while told(&guard, "ban").is_empty() && wait.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(100));
    }
    let bans = told(&guard, "ban");
    assert!(!bans.is_empty(), "{:?}", told(&guard, "evidence"));
    assert_eq!(bans[0]["proven"], true);
    assert!(!told(&guard, "evidence").is_empty());
    let status = guard.command(&["status", "--format", "json"]).unwrap();
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["bans"]["active"], 1, "{status}");
    assert!(status["packets"]["by_reason"]["banned"].as_u64().unwrap() > 0, "{status}");
    assert!(
        guard.system_log().iter().any(|line| line.contains(&format!("ban SRC={ATTACKER}"))),
        "{:?}",
        guard.system_log()
    );

    // He hears nothing more, and the phone notices nothing.
    assert_eq!(attack::sipsak(&lab, Node::Attacker, SIP, ECHO).unwrap(), None);
    assert_eq!(phone.register(SIP).unwrap(), Answer::Done);
    assert!(phone.call(SIP, ECHO).unwrap().audio_both_ways());
    // The ban is the kernel's: it outlives the daemon.
    drop(guard);
}

#[test]
fn who_only_observes_tells_of_bans_and_bans_nobody() {
    if !skip::ready("who_only_observes_bans_nobody", TOOLS) {
        return;
    }
    let lab = Lab::up("observing").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions::default()).unwrap();
    let policy = lab.dir().join("policy.toml");
    std::fs::write(&policy, POLICY).unwrap();
    let guard = Guard::start_with(&lab, &binary(), &policy, &["--observe"]).unwrap();
    let found = attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "100-120").unwrap();
    assert_eq!(found.as_deref(), Some(WEAK.password), "nothing is in the guesser's way");
    asterisk.settle().unwrap();
    let wait = Instant::now();
    while told(&guard, "ban").is_empty() && wait.elapsed() < Duration::from_secs(5) {
        std::thread::sleep(Duration::from_millis(100));
    }
    assert!(!told(&guard, "ban").is_empty(), "{:?}", told(&guard, "evidence"));
    let status = guard.command(&["status", "--format", "json"]).unwrap();
    let status: Value = serde_json::from_str(&status.stdout).unwrap();
    assert_eq!(status["bans"]["active"], 0, "{status}");
    assert_eq!(status["packets"]["drop"], 0, "{status}");
    let why = guard.command(&["why", &ATTACKER.to_string()]).unwrap();
    assert!(why.stdout.contains("is not banned") && why.stdout.contains("password-guessing"), "{}", why.stdout);
}
