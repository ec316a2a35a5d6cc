//! A process that is killed at any moment: what it confirmed is there, nothing is there twice, no batch is there in part.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use ledger::{Ban, Change, Ledger, Unban, Which};
use proptest::prelude::Rng as _;
use proptest::test_runner::{RngAlgorithm, TestRng};
use rusqlite::Connection;

use crate::sample::{ban, net, seconds};

const ROUNDS: usize = 40;
const BATCH: u32 = 10;
const FILE: &str = "LEDGER_TEST_FILE";
const FIRST: &str = "LEDGER_TEST_FIRST";

#[test]
fn what_was_confirmed_outlives_a_kill() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let mut random = TestRng::deterministic_rng(RngAlgorithm::ChaCha);
    let mut written = 0;
    for _ in 0..ROUNDS {
        let pause = Duration::from_micros(random.next_u64() % 150_000);
        let confirmed = kill_after(&path, written, pause);
        let found = check(&path);
        // The last one may have been on the disk and not yet confirmed.
        assert!((confirmed..=confirmed + 1).contains(&found), "confirmed {confirmed}, found {found}");
        written = found;
    }
    assert!(written > 100, "{written}");
}

/// Writes until it is killed. Not a test of its own: it runs in the process that the test above starts.
#[test]
#[ignore = "the other test starts it"]
fn child() {
    let Some(path) = std::env::var_os(FILE) else {
        return;
    };
    let mut ledger = Ledger::open(Path::new(&path)).unwrap();
    let first = std::env::var(FIRST).unwrap().parse().unwrap();
    for number in first.. {
        ledger.apply(&batch(number)).unwrap();
        let mut out = std::io::stdout().lock();
        writeln!(out, "\ndone {number}").unwrap();
        out.flush().unwrap();
    }
}

/// Ten bans, and the first one of the batch before is lifted.
fn batch(number: u32) -> Vec<Change> {
    let bans = (0..BATCH).map(|place| Change::Ban(Ban { dropped: 1, ..ban(&source(number, place)) }));
    let lifted = number.checked_sub(1).map(|before| {
        let which = Which { within: Some(net(&source(before, 0))), ..Which::default() };
        Change::Unban(Unban { which, who: "admin".to_owned(), note: String::new(), at: seconds(0) })
    });
    bans.chain(lifted).collect()
}

fn source(batch: u32, place: u32) -> String {
    std::net::Ipv4Addr::from_bits(0x0a00_0000 + batch * BATCH + place).to_string()
}

/// Returns how many batches are confirmed.
fn kill_after(path: &Path, first: u32, pause: Duration) -> u32 {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kill::child", "--ignored", "--nocapture"])
        .env(FILE, path)
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let output = BufReader::new(child.stdout.take().unwrap());
    let reader = std::thread::spawn(move || {
        let lines = output.lines().map_while(Result::ok);
        let numbers = lines.filter_map(|line| line.strip_prefix("done ")?.parse::<u32>().ok());
        numbers.last().map_or(first, |last| last + 1)
    });
    // A part of that is for the start, so that some are killed while they open the ledger.
    std::thread::sleep(pause);
    child.kill().unwrap();
    child.wait().unwrap();
    reader.join().unwrap()
}

/// Returns how many batches are there, all of them whole.
fn check(path: &Path) -> u32 {
    let ledger = Ledger::open(path).unwrap();
    let mut dropped = BTreeMap::new();
    ledger
        .read()
        .active(seconds(0), |row| assert_eq!(dropped.insert(row.ban.source, row.ban.dropped), None))
        .unwrap();
    let count = u32::try_from(dropped.len()).unwrap();
    let batches = if count == 0 { 0 } else { (count - 1) / (BATCH - 1) };
    for number in 0..batches {
        for place in 0..BATCH {
            let expected = (place > 0 || number + 1 == batches).then_some(&1);
            assert_eq!(dropped.get(&net(&source(number, place))), expected);
        }
    }
    assert_eq!(count, batches * (BATCH - 1) + batches.min(1), "no batch in part");
    assert_eq!(ledger.read().counts(seconds(0)).unwrap().total, u64::from(count));
    let raw = Connection::open(path).unwrap();
    let number = |sql: &str| raw.query_row(sql, (), |row| row.get::<_, u32>(0)).unwrap();
    assert_eq!(number("SELECT count(*) FROM past"), batches.saturating_sub(1));
    assert_eq!(number("SELECT rows FROM size WHERE what = 'past'"), batches.saturating_sub(1));
    let found: String = raw.query_row("PRAGMA integrity_check", (), |row| row.get(0)).unwrap();
    assert_eq!(found, "ok");
    batches
}
