//! What was acknowledged is there after whatever happens.

use std::collections::BTreeSet;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use lab::Node;
use serde_json::{Value, json as object};

use crate::scene::{ATTACKER, SIP, Scene, json, says, verify};

/// Bans that one request brings.
const TOGETHER: u32 = 500;

/// Bans one batch after another until the daemon is gone; what was acknowledged.
fn feed(socket: &Path, next: &AtomicU32) -> Vec<String> {
    let mut acknowledged = Vec::new();
    loop {
        let first = next.fetch_add(TOGETHER, Ordering::Relaxed);
        let targets: Vec<String> = (first..first + TOGETHER).map(address).collect();
        let Ok(mut stream) = UnixStream::connect(socket) else { return acknowledged };
        let request =
            object!({ "command": "ban", "targets": targets, "period": null, "reason": "a list" }).to_string();
        let mut answer = String::new();
        let done = stream
            .write_all(format!("{request}\n").as_bytes())
            .and_then(|()| BufReader::new(stream).read_line(&mut answer));
        match serde_json::from_str::<Value>(&answer) {
            Ok(answer) if done.is_ok() => {
                assert_eq!((&answer["ok"], &answer["banned"]), (&true.into(), &TOGETHER.into()), "{answer}");
                acknowledged.extend(targets);
            }
            Ok(_) | Err(_) => return acknowledged,
        }
    }
}

/// All over 11.0.0.0/8, so that each bucket gets some.
fn address(number: u32) -> String {
    std::net::Ipv4Addr::from(0x0b00_0000 | (number.wrapping_mul(0x9e_3779) & 0xff_ffff)).to_string()
}

#[test]
fn a_daemon_killed_while_it_bans_has_lost_nothing_that_it_acknowledged() {
    let Some(scene) = Scene::new("killed", &["sqlite3"]) else { return };
    let socket = scene.directory("run/control.sock");
    let next = AtomicU32::new(0);
    let mut acknowledged = BTreeSet::new();
    let (mut seconds, mut count) = (0.0, 0);
    for round in 0..8_u64 {
        let mut guard = scene.guard();
        let begin = Instant::now();
        let banned: Vec<Vec<String>> = thread::scope(|scope| {
            let feeders: Vec<_> = (0..2).map(|_| scope.spawn(|| feed(&socket, &next))).collect();
            thread::sleep(Duration::from_millis(300 + 137 * round));
            guard.process().kill();
            feeders.into_iter().map(|feeder| feeder.join().unwrap()).collect()
        });
        seconds += begin.elapsed().as_secs_f64();
        count += banned.iter().map(Vec::len).sum::<usize>();
        acknowledged.extend(banned.into_iter().flatten());

        let mut guard = scene.guard();
        let status = verify(&guard);
        let said = guard.process().stderr();
        assert!(!said.contains("not in the kernel as"), "round {round}: {said}");
        let plain = says(&guard, &["bans", "--format", "plain"], 0);
        let listed: BTreeSet<String> = plain.lines().map(str::to_owned).collect();
        assert_eq!(listed.len(), plain.lines().count(), "none twice");
        let lost: Vec<_> = acknowledged.difference(&listed).take(3).collect();
        assert!(lost.is_empty(), "round {round}: {lost:?} and maybe more are lost");
        assert_eq!(status["agree"], listed.len(), "each is in the kernel: {status}");
        guard.process().kill();
    }
    let rate = count as f64 / seconds;
    println!("{count} bans acknowledged, {rate:.0} a second, starts of feeding and kills included");
    assert!(count > 10_000, "only {count} bans were acknowledged: nothing was tried");
    let guard = scene.guard();
    says(&guard, &["unban", "--by", "operator"], 0);
    let status = verify(&guard);
    assert_eq!((&status["repairs"], &status["agree"]), (&0.into(), &0.into()), "nothing was there twice");
}

#[test]
fn what_is_over_does_not_come_back_and_what_is_not_does() {
    let Some(scene) = Scene::new("restart", &[]) else { return };
    let mut guard = scene.guard();
    says(&guard, &["ban", &ATTACKER.to_string(), "--for", "2s"], 0);
    says(&guard, &["ban", "192.0.2.20", "--for", "1h"], 0);
    guard.process().kill();
    // Nobody is there, and the kernel goes on.
    assert!(!scene.serves(Node::Phone, SIP));
    thread::sleep(Duration::from_secs(4));
    let mut guard = scene.guard();
    let said = guard.process().stderr();
    assert!(said.contains("1 bans of the ledger are in force"), "{said}");
    assert!(scene.serves(Node::Attacker, SIP) && !scene.serves(Node::Phone, SIP));
    assert_eq!(json(&guard, &["bans"]).len(), 1);
}

#[test]
fn setting_the_clock_neither_ends_bans_nor_lengthens_them() {
    let Some(scene) = Scene::new("clock", &["faketime"]) else { return };
    let clock = scene.lab.dir().join("faketime");
    let file = clock.display().to_string();
    let library = ["x86_64", "aarch64"]
        .map(|machine| format!("/usr/lib/{machine}-linux-gnu/faketime/libfaketime.so.1"))
        .into_iter()
        .find(|path| Path::new(path).exists())
        .unwrap();
    let environment = [
        ("LD_PRELOAD", library.as_str()),
        ("FAKETIME_TIMESTAMP_FILE", &file),
        ("FAKETIME_NO_CACHE", "1"),
        ("FAKETIME_DONT_FAKE_MONOTONIC", "1"),
    ];
    let day = 24 * 60 * 60;
    std::fs::write(&clock, "+0").unwrap();
    let mut guard = scene.guard_in(&environment);
    says(&guard, &["ban", &ATTACKER.to_string(), "--for", "1h"], 0);
    says(&guard, &["ban", "10.0.0.0/8", "--for", "20d"], 0);
    for (by, seconds) in [("+10d", 10 * day), ("-10d", -10 * day)] {
        std::fs::write(&clock, by).unwrap();
        for restart in [false, true] {
            if restart {
                guard.process().kill();
                guard = scene.guard_in(&environment);
            }
            assert!(!scene.serves(Node::Attacker, SIP), "{by}");
            let status = verify(&guard);
            assert_eq!((&status["repairs"], &status["agree"]), (&0.into(), &2.into()), "{by}: {status}");
            assert_eq!(status["ledger"]["repaired"], 0, "{by}: {status}");
            let bans = json(&guard, &["bans", "--within", "203.0.113.0/24"]);
            // Shown as the clock has it now: an hour from then, which was some seconds ago.
            let shown: jiff::Timestamp = bans[0]["until"].as_str().unwrap().parse().unwrap();
            let left = shown.as_second() - (jiff::Timestamp::now().as_second() + seconds);
            assert!((3400..=3602).contains(&left), "{by}: {left} s are left of {bans:?}");
        }
    }
}
