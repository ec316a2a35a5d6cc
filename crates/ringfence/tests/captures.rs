//! The project's own recordings of attack tools before unguarded servers, judged by the shipped policy: who is stopped, by which
//! detector, and how much still came through.

#![expect(clippy::expect_used, reason = "helpers of tests")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/captures")
}

fn replay(capture: &Path) -> Vec<Value> {
    let policy = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/policy.toml");
    let output = Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(["replay", "--local", "198.51.100.10", "--format", "json", "--policy"])
        .args([&policy, capture])
        .output()
        .expect("runs");
    assert!(output.status.success(), "{}: {}", capture.display(), String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    text.lines().map(|line| serde_json::from_str(line).expect("json")).collect()
}

/// One line about a recording.
fn verdict(name: &str, records: &[Value]) -> String {
    let text = |record: &Value, key: &str| record[key].as_str().unwrap_or_default().to_owned();
    let detectors: BTreeSet<String> = records
        .iter()
        .filter(|record| record["type"] == "evidence")
        .map(|record| text(record, "detector"))
        .collect();
    let decisions: BTreeSet<String> = records
        .iter()
        .filter(|record| record["type"] == "ban" || record["type"] == "limit")
        .map(|record| format!("{} for {}", text(record, "type"), text(record, "reason")))
        .collect();
    let summary = records.last().expect("a summary");
    let join = |words: &BTreeSet<String>| words.iter().cloned().collect::<Vec<_>>().join(", ");
    format!(
        "{name}\n    seen by   {}\n    decided   {}\n    stopped   {} of {} packets {}\n",
        join(&detectors),
        if decisions.is_empty() { "nothing; the signatures drop it".to_owned() } else { join(&decisions) },
        summary["drop"],
        summary["packets"],
        summary["by_reason"],
    )
}

#[test]
fn each_tool_is_stopped_as_written() {
    let mut captures: Vec<PathBuf> = fs::read_dir(folder())
        .expect("the recordings")
        .map(|entry| entry.expect("an entry").path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "gz"))
        .collect();
    captures.sort();
    assert!(captures.len() > 30, "{}", captures.len());
    let mut said = String::new();
    for capture in captures {
        let name = capture.file_name().expect("a name").to_string_lossy().into_owned();
        let records = replay(&capture);
        assert!(records.iter().any(|record| record["type"] == "evidence"), "nothing was seen in {name}");
        let is_decision = |record: &Value| record["type"] == "ban" || record["type"] == "limit";
        let by_signature = records.last().is_some_and(|summary| summary["by_reason"]["signature"].is_u64());
        assert!(records.iter().any(is_decision) || by_signature, "nothing was decided in {name}");
        writeln!(said, "{}", verdict(name.trim_end_matches(".pcap.gz"), &records)).expect("text");
    }
    let golden = folder().join("judged.txt");
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&golden, &said).expect("written");
    }
    let written = fs::read_to_string(&golden).expect("judged.txt");
    assert_eq!(said, written, "UPDATE_GOLDEN=1 rewrites {}", golden.display());
}
