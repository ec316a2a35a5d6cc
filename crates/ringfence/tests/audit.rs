//! `ringfence audit` as it is typed: output, status, and what is silenced.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

const TREES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../audit/tests/trees");

#[test]
fn the_status_tells() {
    let clean = audit(&["--asterisk-dir", &format!("{TREES}/clean")]);
    assert_eq!((clean.status.code(), stdout(&clean)), (Some(0), "nothing needs attention\n".to_owned()));
    let weak = audit(&["--asterisk-dir", &format!("{TREES}/freepbx")]);
    assert_eq!(weak.status.code(), Some(1));
    assert!(stdout(&weak).contains("\n  voicemail.conf:4  the PIN of mailbox `200`"), "{}", stdout(&weak));
    assert!(!stdout(&weak).contains('\u{1b}'), "colours are for terminals");
    let nothing = audit(&["--asterisk-dir", "/no/such/folder"]);
    assert_eq!(nothing.status.code(), Some(3));
    assert!(stderr(&nothing).contains("name the folder with `--asterisk-dir`"), "{}", stderr(&nothing));
}

#[test]
fn json_is_an_object_a_line() {
    let weak = audit(&["--asterisk-dir", &format!("{TREES}/freepbx"), "--format", "json"]);
    let lines: Vec<serde_json::Value> =
        stdout(&weak).lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let pin = lines.iter().find(|line| line["file"] == "voicemail.conf").unwrap();
    assert_eq!(
        (pin["id"].as_str(), pin["severity"].as_str(), pin["line"].as_u64()),
        (Some("weak-secret"), Some("high"), Some(4))
    );
}

#[test]
fn what_is_accepted_is_silent() {
    let folder = tempfile::tempdir().unwrap();
    let list = folder.path().join("accepted");
    let tree = format!("{TREES}/templates");
    let with = |text: &str| {
        fs::write(&list, text).unwrap();
        audit(&["--asterisk-dir", &tree, "--accepted", list.to_str().unwrap()])
    };
    let silent = with("plain-media templates.d/10-phone.conf:1002 # in the cellar\nno-tls # none\n");
    assert_eq!(
        (silent.status.code(), stdout(&silent)),
        (Some(0), "nothing needs attention (1 accepted)\n".to_owned())
    );
    assert!(
        stderr(&silent).contains("accepted:2: nothing is found that `no-tls` would silence"),
        "{}",
        stderr(&silent)
    );
    let wrong = with("plain-media\n");
    assert_eq!(wrong.status.code(), Some(1));
    assert!(stderr(&wrong).contains("accepted: line 1: it is not said why"), "{}", stderr(&wrong));
    fs::remove_file(&list).unwrap();
    let missing = audit(&["--asterisk-dir", &tree, "--accepted", list.to_str().unwrap()]);
    assert_eq!(missing.status.code(), Some(3));
}

#[test]
fn a_file_that_is_no_file_is_told() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("rtp.conf"), "[general]\nstrictrtp=yes\n#include extra\n").unwrap();
    fs::create_dir(folder.path().join("extra")).unwrap();
    let told = audit(&["--asterisk-dir", path(folder.path()), "--format", "json"]);
    assert!(
        stdout(&told)
            .starts_with(r#"{"id":"broken-configuration","severity":"medium","file":"rtp.conf","line":3"#)
    );
    std::os::unix::fs::symlink("/no/such/file", folder.path().join("sip.conf")).unwrap();
    let dangling = audit(&["--asterisk-dir", path(folder.path())]);
    assert_eq!(dangling.status.code(), Some(3));
    assert!(
        stderr(&dangling).contains("sip.conf: it is a link to /no/such/file, which is not there\nhelp: see")
    );
    fs::remove_file(folder.path().join("sip.conf")).unwrap();
    // Larger than any configuration is, and sparse on the disk.
    fs::File::create(folder.path().join("http.conf")).unwrap().set_len(1 << 30).unwrap();
    let large = audit(&["--asterisk-dir", path(folder.path())]);
    assert_eq!(large.status.code(), Some(3));
    assert!(stderr(&large).contains("http.conf is larger than 16 MiB\nhelp:"), "{}", stderr(&large));
}

fn audit(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence")).arg("audit").args(arguments).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

fn path(path: &Path) -> &str {
    path.to_str().unwrap()
}
