//! What a ledger of a million bans costs: `cargo run --release -p ledger --example million [DIRECTORY]`. Without a directory
//! it is made beside the other temporary files, which may be in memory; say where the disk is.

#![expect(clippy::print_stdout, reason = "it prints figures")]

use std::net::{IpAddr, Ipv4Addr};
use std::path::{Path, PathBuf};
use std::time::Instant;

use ledger::{Ban, By, Change, Error, Evidence, Kind, Ledger, Net, Reader, Scope, Time, Unban, Which};

const BANS: u32 = 1_000_000;
const BATCH: usize = 10_000;
const NOW: Time = Time(1_780_000_000_000_000);
const HOUR: i64 = 3_600_000_000;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let directory = std::env::args_os().nth(1).map_or_else(std::env::temp_dir, PathBuf::from);
    let directory = tempfile::tempdir_in(directory)?;
    for (name, scatter) in [("in order", false), ("in random order", true)] {
        println!("{BANS} bans {name}, {BATCH} in a transaction");
        measure(&directory.path().join(format!("{scatter}.db")), scatter)?;
    }
    Ok(())
}

fn measure(path: &Path, scatter: bool) -> Result<(), Error> {
    let mut ledger = Ledger::open(path)?;
    let bans: Vec<Change> = (0..BANS).map(|number| Change::Ban(ban(number, scatter))).collect();
    let start = Instant::now();
    let mut slowest = 0.0_f64;
    for batch in bans.chunks(BATCH) {
        let start = Instant::now();
        ledger.apply(batch)?;
        slowest = slowest.max(start.elapsed().as_secs_f64());
    }
    let seconds = start.elapsed().as_secs_f64();
    println!("  import                    {seconds:8.2} s   (slowest transaction {:.0} ms)", slowest * 1e3);
    drop(bans);

    let source = ban(BANS / 2, scatter).source;
    timed("one piece of evidence", || {
        ledger.apply(&[Change::Evidence(Evidence {
            source,
            time: NOW,
            detector: "guess".to_owned(),
            detail: "wrong password for 100".to_owned(),
            line: Some("REGISTER sip:pbx.example.org SIP/2.0".to_owned()),
        })])
    })?;
    drop(timed("close", || -> Result<(), Error> {
        drop(ledger);
        Ok(())
    }));
    let size = |suffix: &str| {
        let file = format!("{}{suffix}", path.display());
        std::fs::metadata(file).map_or(0.0, |file| file.len() as f64 / 1e6)
    };
    println!("  file                      {:8.1} MB", size(""));

    let mut ledger = timed("open", || Ledger::open(path))?;
    let reader = timed("open to read", || Reader::open(path))?;
    let mut rows = 0_u32;
    timed("all that are in force", || reader.active(NOW, |row| rows += u32::from(row.rules)))?;
    assert_eq!(rows, BANS, "every ban was given out");
    timed("story of one", || reader.story(source, NOW))?;
    timed("counts", || reader.counts(NOW))?;
    let rare = Which { reason: Some("none".to_owned()), ..Which::default() };
    timed("page, a reason nobody has", || reader.bans(&rare, None, 100, NOW))?;
    timed("page of 100", || reader.bans(&Which::default(), None, 100, NOW))?;
    timed("lift one", || ledger.apply(&[unban(Which { within: Some(source), ..Which::default() })]))?;
    timed("expire 10,000", || ledger.expire(Time(NOW.0 + HOUR + HOUR / 100)).map(drop))?;
    timed("lift all of the feed", || {
        ledger.apply(&[unban(Which { kind: Some(Kind::Feed), ..Which::default() })])
    })?;
    println!("  file in the end           {:8.1} MB, its log {:.1} MB", size(""), size("-wal"));
    Ok(())
}

fn timed<T>(what: &str, run: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    let start = Instant::now();
    let result = run();
    println!("  {what:25} {:8.2} ms", start.elapsed().as_secs_f64() * 1e3);
    result
}

fn unban(which: Which) -> Change {
    Change::Unban(Unban { which, who: "admin".to_owned(), note: "measured".to_owned(), at: NOW })
}

/// Half of them of a feed, and half of a detector, for hours that differ.
fn ban(number: u32, scatter: bool) -> Ban {
    // An odd factor gives each number another one.
    let address = if scatter { number.wrapping_mul(0x9e37_79b1) } else { 0x0b00_0000 + number * 7 };
    let feed = number.is_multiple_of(2);
    let since = Time(NOW.0 - i64::from(number));
    Ban {
        source: Net::from(IpAddr::V4(Ipv4Addr::from_bits(address))),
        by: if feed { By::Feed("example-drop".to_owned()) } else { By::Detector },
        reason: if feed { "listed" } else { "guess" }.to_owned(),
        detail: if feed { String::new() } else { format!("{} wrong passwords in 60 s", number % 50) },
        since,
        until: (!feed).then_some(Time(NOW.0 + HOUR + i64::from(number % 1000) * HOUR / 1000)),
        first_seen: since,
        last_seen: NOW,
        level: 1,
        scope: Scope::AllPorts,
        dropped: 0,
        evidence: number % 50,
    }
}
