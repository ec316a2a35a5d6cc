//! The nftables table of some policies, as `nft/NAME.nft`, and nft's own word on it.
//! `UPDATE_GOLDEN=1 cargo test -p policy` writes the expected tables anew.
#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use policy::Policy;
use policy::diagnostic::Style;
use policy::plan::nft::{self, Mode, Tag};

#[test]
fn every_policy_has_its_table() {
    let mut wrong = Vec::new();
    for file in policies() {
        let text = table(&file, Mode::Enforce, Tag::default());
        let golden = file.with_extension("nft");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&golden, text).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{}:\n{text}", golden.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn nft_takes_every_table() {
    if let Err(reason) = check("table inet ringfence {\n}\n") {
        lab::skip::skip("nft_takes_every_table", &format!("needs root, unshare and nft: {reason}"));
        return;
    }
    let mut wrong = Vec::new();
    for file in policies() {
        for (mode, tag) in [
            (Mode::Enforce, Tag::default()),
            (Mode::Enforce, Tag::of_namespace(4_026_531_840)),
            (Mode::Observe, Tag::default()),
        ] {
            if let Err(message) = check(&table(&file, mode, tag)) {
                wrong.push(format!("{} ({mode:?}): {message}", file.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// Nothing is lost while the daemon only looks on.
#[test]
fn observing_drops_nothing() {
    for file in policies() {
        let text = table(&file, Mode::Observe, Tag::default());
        for line in text.lines().filter(|line| line.starts_with("\t\t")) {
            let statement = line.split(" comment ").next().unwrap();
            assert!(!statement.ends_with(" drop") && !statement.contains(" reject "), "{line}");
        }
    }
}

/// The sets are rendered as they are: what the gate cannot enforce is its own matter.
fn table(file: &Path, mode: Mode, tag: Tag) -> String {
    let policy = Policy::parse("policy", fs::read(file).unwrap()).unwrap_or_else(|mistakes| {
        let text: String = mistakes.iter().map(|mistake| mistake.render(Style::Plain)).collect();
        unreadable(file, &text)
    });
    nft::render(policy.sets(), mode, tag).unwrap_or_else(|errors| unreadable(file, &format!("{errors:#?}")))
}

#[expect(clippy::panic, reason = "a test's own file is wrong")]
fn unreadable<T>(file: &Path, text: &str) -> T {
    panic!("{}:\n{text}", file.display())
}

fn policies() -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/nft");
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|file| file.extension().is_some_and(|extension| extension != "nft"));
    files.sort();
    assert!(files.len() >= 3);
    files
}

/// `nft -c` in a network namespace that ends with it.
fn check(table: &str) -> Result<(), String> {
    let child = Command::new("unshare")
        .args(["-n", "nft", "-c", "-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = child.map_err(|error| error.to_string())?;
    let _ = child.stdin.take().unwrap().write_all(table.as_bytes());
    let output = child.wait_with_output().unwrap();
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
}
