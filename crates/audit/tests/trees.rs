//! Folders with configuration, and what is found in them. `UPDATE_GOLDEN=1` writes `expected` anew.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use std::{fs, io};

use audit::{Accepted, Files, Here, Protocol, Report, Socket, Style};

/// 2027-01-15.
const NOW: Duration = Duration::from_secs(1_800_000_000);

#[test]
fn trees_give_what_is_expected() {
    for tree in trees() {
        let report = look(&tree);
        let found: String =
            report.findings.iter().map(|f| format!("{} {} {}\n", f.check.id, f.place, f.message)).collect();
        let path = tree.join("expected");
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            fs::write(&path, &found).unwrap();
        }
        assert_eq!(found, fs::read_to_string(&path).unwrap(), "{}", tree.display());
    }
}

#[test]
fn a_clean_one_has_nothing() {
    let report = look(&folder().join("clean"));
    assert_eq!((report.json().as_str(), report.notes.len()), ("", 0));
    assert_eq!(report.text(Style::Plain), "nothing needs attention\n");
}

#[test]
fn every_check_has_a_tree() {
    let found: BTreeSet<&str> =
        trees().iter().flat_map(|tree| look(tree).findings).map(|finding| finding.check.id).collect();
    let missing: Vec<_> = audit::checks::REGISTRY.iter().filter(|check| !found.contains(check.id)).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn no_secret_is_told() {
    for tree in trees() {
        let report = look(&tree);
        let told = format!(
            "{}{}{}{report:?}",
            report.json(),
            report.text(Style::Plain),
            report.text(Style::Terminal)
        );
        // A secret that is an account's name is told as that name, and as nothing else.
        let named: BTreeSet<&str> = told.split(|letter: char| !letter.is_alphanumeric()).collect();
        for secret in secrets(&tree) {
            let is_a_name = named.contains(secret.as_str()) && is_name(&tree, &secret);
            assert!(is_a_name || !told.contains(&secret), "{}: {secret}", tree.display());
        }
    }
}

#[test]
fn accepted_findings_are_silent() {
    let mut accepted = Accepted::parse(
        "weak-secret pjsip.conf:1000 # soon\nno-tls pjsip.conf # a tunnel\nrtp-timeout # all\nold-tls # nothing",
    )
    .unwrap();
    let mut report = look(&folder().join("planted-pjsip"));
    let before = report.findings.len();
    report.accept(&mut accepted);
    assert_eq!(report.accepted, before - report.findings.len());
    let left: Vec<_> = report.findings.iter().filter(|f| f.check.id == "weak-secret").collect();
    assert!(left.iter().all(|finding| finding.section.as_deref() != Some("1000")) && !left.is_empty());
    assert!(!report.findings.iter().any(|finding| matches!(finding.check.id, "no-tls" | "rtp-timeout")));
    assert_eq!(accepted.unused().collect::<Vec<_>>(), [(4, "old-tls")]);
}

#[test]
fn json_is_as_promised() {
    let report = look(&folder().join("planted-listeners"));
    let line = report.json().lines().find(|line| line.contains("strict-rtp-off")).unwrap().to_owned();
    let start = r#"{"id":"strict-rtp-off","severity":"medium","file":"rtp.conf","line":2,"message":"`strictrtp` is off","fix":""#;
    assert!(line.starts_with(start), "{line}");
    for line in report.json().lines() {
        let value: serde_json::Value = serde_json::from_str(line).unwrap();
        let keys: Vec<_> = value.as_object().unwrap().keys().collect();
        assert_eq!(keys, ["id", "severity", "file", "line", "message", "fix"]);
    }
}

#[test]
fn a_socket_has_no_line() {
    let report = look(&folder().join("planted-sockets"));
    let line = report.json().lines().find(|line| line.contains("tcp/3306")).unwrap().to_owned();
    let start =
        r#"{"id":"database-exposed","severity":"high","file":"tcp/3306","line":0,"message":"a database"#;
    assert!(line.starts_with(start), "{line}");
    assert!(report.text(Style::Plain).contains("\n  tcp/3306  a database"), "{}", report.text(Style::Plain));
    let mut accepted = Accepted::parse("database-exposed tcp/3306:mariadbd # the second node").unwrap();
    let mut report = report;
    report.accept(&mut accepted);
    assert!(report.findings.iter().all(|finding| finding.check.id != "database-exposed"));
}

#[test]
fn a_copy_is_not_in_force() {
    assert!(audit::is_in_force(&Disk, Path::new("/etc/asterisk")));
    assert!(!audit::is_in_force(&Disk, &folder().join("clean")));
}

#[test]
fn what_is_not_there_is_said() {
    let error = audit::audit(&Disk, &folder().join("templates/templates.d"), NOW, None).unwrap_err();
    assert!(error.to_string().starts_with("there is no configuration of Asterisk in"), "{error}");
}

/// Asterisk's own sample files have three weak places, which it says itself.
#[test]
fn asterisks_samples_have_only_what_is_true() {
    if !lab::asterisk::is_cached() {
        return println!("SKIPPED: no Asterisk is cached; `cargo xtask lab up` makes one");
    }
    let samples = lab::asterisk::root().unwrap().join("etc/asterisk");
    let report = look(&samples);
    let found: BTreeSet<_> = report.findings.iter().map(|f| (f.check.id, f.place.file.to_string())).collect();
    let expected = [
        ("guests-allowed", "iax.conf"),
        ("security-log-off", "logger.conf"),
        ("weak-secret", "voicemail.conf"),
    ];
    assert_eq!(found, expected.into_iter().map(|(id, file)| (id, file.to_owned())).collect());
}

#[test]
fn the_corpus_is_read() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/asterisk_conf");
    let files: Vec<_> = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(files.len() >= 4, "a corpus");
    files.iter().for_each(|path| audit::fuzzing::tree(&fs::read(path).unwrap()));
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/trees")
}

fn trees() -> Vec<PathBuf> {
    let mut trees: Vec<_> = fs::read_dir(folder()).unwrap().flatten().map(|entry| entry.path()).collect();
    trees.sort();
    assert!(trees.len() >= 7);
    trees
}

fn look(tree: &Path) -> Report {
    audit::audit(&Disk, tree, NOW, here(tree)).unwrap()
}

/// What runs beside the configuration, from the file `here` of the folder: `tcp 0.0.0.0:3306 mariadbd`, `policy 10000-20000`.
fn here(tree: &Path) -> Option<Here> {
    let text = fs::read_to_string(tree.join("here")).ok()?;
    let mut here = Here::default();
    for line in text.lines().filter(|line| !line.starts_with(';')) {
        let words: Vec<&str> = line.split_whitespace().collect();
        let protocol = match *words.as_slice() {
            ["policy", range] => {
                let (first, last) = range.split_once('-').unwrap();
                let range = first.parse().unwrap()..=last.parse().unwrap();
                here.open_udp.get_or_insert_default().push(range);
                continue;
            }
            ["tcp", ..] => Protocol::Tcp,
            ["udp", ..] => Protocol::Udp,
            _ => panic!("{line}"),
        };
        let at: std::net::SocketAddr = words[1].parse().unwrap();
        let program = words.get(2).map(|program| (*program).to_owned());
        here.sockets.push(Socket { protocol, port: at.port(), address: at.ip(), program });
    }
    Some(here)
}

/// Read otherwise than the program does: whatever stands behind such a key, in any file.
fn secrets(tree: &Path) -> BTreeSet<String> {
    let mut secrets =
        BTreeSet::from(["zX9-very.Secret7", "Zu8-pW3q", "hunter2", "quartz77"].map(str::to_owned));
    for text in texts(tree) {
        for line in text.lines() {
            let Some((key, value)) = line.split_once('=') else { continue };
            if ["secret", "password", "md5_cred"].iter().any(|word| key.trim().ends_with(word)) {
                secrets.insert(value.trim().replace("\\;", ";"));
            }
        }
    }
    secrets
}

/// Whether the secret is a section's name, which is told, or a part of nothing else.
fn is_name(tree: &Path, secret: &str) -> bool {
    texts(tree).iter().any(|text| text.contains(&format!("[{secret}]")))
}

fn texts(folder: &Path) -> Vec<String> {
    let paths = fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path());
    let (folders, files): (Vec<_>, Vec<_>) = paths.partition(|path| path.is_dir());
    let readable = files.iter().filter(|path| path.file_name().unwrap() != "expected");
    let own = readable.map(|path| fs::read_to_string(path).unwrap());
    own.chain(folders.iter().flat_map(|folder| texts(folder))).collect()
}

struct Disk;

impl Files for Disk {
    fn read(&self, path: &Path) -> io::Result<Vec<u8>> {
        fs::read(path)
    }

    fn list(&self, folder: &Path) -> io::Result<Vec<PathBuf>> {
        Ok(fs::read_dir(folder)?.flatten().map(|entry| entry.path()).collect())
    }
}
