//! What may be wrong around the ledger: each is told clearly, and nobody who was banned comes through for it.

use std::path::Path;
use std::process::Command;

use lab::Node;

use crate::scene::{ATTACKER, SIP, Scene, json, says, until, verify};

/// A small disk.
struct Disk<'a>(&'a Path);

impl<'a> Disk<'a> {
    fn mount(path: &'a Path) -> Self {
        std::fs::create_dir_all(path).unwrap();
        let disk = Self(path);
        disk.call("mount", &["-t", "tmpfs", "-o", "size=2m,mode=700", "disk"]);
        disk
    }

    fn call(&self, program: &str, args: &[&str]) {
        assert!(
            Command::new(program).args(args).arg(self.0).status().unwrap().success(),
            "{program} {args:?}"
        );
    }

    /// Leaves no room.
    fn fill(&self) {
        // It ends with an error: the disk is full.
        std::fs::write(self.0.join("filling"), vec![0; 4 << 20]).unwrap_err();
    }

    fn make_room(&self) {
        std::fs::remove_file(self.0.join("filling")).unwrap();
    }
}

impl Drop for Disk<'_> {
    fn drop(&mut self) {
        Command::new("umount").arg("--lazy").arg(self.0).status().ok();
    }
}

#[test]
fn on_a_full_disk_bans_hold_and_it_is_said_that_they_are_not_kept() {
    let Some(scene) = Scene::new("full", &[]) else { return };
    let state = scene.directory("state");
    let disk = Disk::mount(&state);
    let mut guard = scene.guard_in(&[("RINGFENCE_COMPARE_MS", "1000")]);
    says(&guard, &["ban", "10.0.0.1"], 0);
    disk.fill();
    let mut said = String::new();
    // What SQLite has reserved already lets some more through.
    for number in 0..2000 {
        let ban = guard.command(&["ban", &format!("10.1.{}.{}", number / 250, number % 250)]).unwrap();
        if ban.status.code() == Some(3) {
            said = ban.text();
            break;
        }
    }
    assert!(said.contains("the disk is full"), "{said}");
    let ban = says(&guard, &["ban", &ATTACKER.to_string()], 3);
    assert!(ban.contains("1 bans are in force, but not in the ledger yet"), "{ban}");
    assert!(!scene.serves(Node::Attacker, SIP));
    let status = json(&guard, &["status"]).remove(0);
    assert!(status["faults"].to_string().contains("the disk is full"), "{status}");
    // The next comparisons do not take it for somebody else's.
    std::thread::sleep(std::time::Duration::from_millis(2500));
    assert!(!scene.serves(Node::Attacker, SIP));
    assert!(!guard.process().stderr().contains("but not in the ledger"), "{}", guard.process().stderr());

    disk.make_room();
    until("all well", std::time::Duration::from_secs(15), || {
        json(&guard, &["status"])[0]["faults"].as_array().unwrap().is_empty()
    });
    let listed = says(&guard, &["bans", "--format", "plain"], 0);
    assert!(
        listed.lines().any(|line| line == ATTACKER.to_string()),
        "it was written when that was possible: {listed}"
    );
    // A daemon that starts on a full disk enforces what there is.
    guard.process().kill();
    disk.fill();
    let guard = scene.guard();
    assert!(!scene.serves(Node::Attacker, SIP));
    assert_eq!(verify(&guard)["repairs"], 0);
}

#[test]
fn a_ledger_that_cannot_be_used_is_told_and_the_kernel_goes_on() {
    let Some(scene) = Scene::new("broken", &["sqlite3"]) else { return };
    let state = scene.directory("state");
    let disk = Disk::mount(&state);
    let mut guard = scene.guard();
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    guard.process().kill();
    let refused = |words: &[&str]| {
        let start = scene.run("run", "ringfence", &[]);
        assert_eq!(start.status.code(), Some(3), "{}", start.text());
        assert!(words.iter().all(|word| start.stderr.contains(word)), "{}", start.stderr);
        assert_eq!(start.stderr.lines().count(), 1, "one clear line: {}", start.stderr);
        assert!(!scene.serves(Node::Attacker, SIP), "the kernel goes on");
    };

    disk.call("mount", &["-o", "remount,ro"]);
    refused(&["read-only"]);
    disk.call("mount", &["-o", "remount,rw"]);

    let ledger = state.join("ledger.db");
    let sqlite = |sql: &str| {
        assert!(Command::new("sqlite3").arg(&ledger).arg(sql).status().unwrap().success(), "{sql}");
    };
    sqlite("PRAGMA user_version = 99");
    refused(&["made by a newer Ringfence", "ledger.db"]);
    sqlite("PRAGMA user_version = 2; PRAGMA wal_checkpoint(TRUNCATE)");

    let whole = std::fs::read(&ledger).unwrap();
    let mut damaged = whole.clone();
    damaged[4096..8192].fill(0x5a);
    std::fs::write(&ledger, &damaged).unwrap();
    refused(&["is damaged", "sqlite3"]);
    std::fs::write(&ledger, "no database").unwrap();
    refused(&["is damaged"]);
    std::fs::write(&ledger, "").unwrap();
    refused(&["is damaged"]);
    assert_eq!(std::fs::read(&ledger).unwrap(), b"", "nothing was put in its place");

    std::fs::write(&ledger, whole).unwrap();
    let guard = scene.guard();
    assert_eq!(verify(&guard)["agree"], 1);
    assert!(!scene.serves(Node::Attacker, SIP));
}

#[test]
fn two_daemons_do_not_share_what_belongs_to_one() {
    let Some(scene) = Scene::new("two", &[]) else { return };
    let guard = scene.guard();
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    let same = scene.run("run", "ringfence", &[]);
    assert_eq!(same.status.code(), Some(1), "{}", same.text());
    assert!(same.stderr.contains("a daemon is running already"), "{}", same.stderr);
    let other = scene.run("run-2", "other", &[]);
    assert_eq!(other.status.code(), Some(1), "{}", other.text());
    assert!(other.stderr.contains("another daemon uses the state directory"), "{}", other.stderr);
    let other = scene.run_with("state-3", "run-3", "ringfence", &[]);
    assert_eq!(other.status.code(), Some(1), "{}", other.text());
    assert!(other.stderr.contains("another daemon uses the pins in"), "{}", other.stderr);
    let status = verify(&guard);
    assert_eq!((&status["enforced"], &status["repairs"]), (&true.into(), &0.into()), "{status}");
    assert!(!scene.serves(Node::Attacker, SIP));
}

#[test]
fn the_socket_of_a_dead_daemon_is_told_from_a_living_one() {
    let Some(scene) = Scene::new("dead", &[]) else { return };
    let mut guard = scene.guard();
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    guard.process().kill();
    assert!(scene.directory("run/control.sock").exists());
    for args in
        [&["bans"][..], &["ban", "10.0.0.1"], &["why", "10.0.0.1"], &["trust"], &["status", "--verify"]]
    {
        let said = says(&guard, args, 3);
        assert!(said.contains("no daemon answers at") && said.contains("ringfence run"), "{said}");
    }
    assert!(!scene.serves(Node::Attacker, SIP));
    let guard = scene.guard();
    assert_eq!(json(&guard, &["bans"]).len(), 1);
}
