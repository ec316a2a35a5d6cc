//! Records to test with.

use std::path::PathBuf;

use ledger::{Ban, By, Evidence, Ledger, Net, Scope, Time};
use tempfile::TempDir;

pub(crate) fn net(text: &str) -> Net {
    text.parse().unwrap()
}

/// A detector's ban of an hour from second 0 on.
pub(crate) fn ban(source: &str) -> Ban {
    Ban {
        source: net(source),
        by: By::Detector,
        reason: "guess".to_owned(),
        detail: "12 wrong passwords in 60 s".to_owned(),
        since: seconds(0),
        until: Some(seconds(3600)),
        first_seen: seconds(-60),
        last_seen: seconds(0),
        level: 1,
        scope: Scope::SipPorts,
        dropped: 5,
        evidence: 12,
    }
}

pub(crate) fn evidence(source: &str, time: Time, detail: &str) -> Evidence {
    let detector = "guess".to_owned();
    let line = Some("REGISTER sip:pbx.example.org SIP/2.0".to_owned());
    Evidence { source: net(source), time, detector, detail: detail.to_owned(), line }
}

pub(crate) fn seconds(seconds: i64) -> Time {
    Time(1_780_000_000_000_000 + seconds * 1_000_000)
}

pub(crate) fn fresh() -> (TempDir, PathBuf, Ledger) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ledger.db");
    let ledger = Ledger::open(&path).unwrap();
    (directory, path, ledger)
}
