//! fail2ban's own filters on fail2ban's own annotated logs: the same answer, line by line.
//!
//! Debian's package `fail2ban` brings both; `RINGFENCE_FAIL2BAN_DIR` names a checkout of fail2ban to take instead. Each line has
//! what is expected above it: `# failJSON: {"time": …, "match": true, "host": …}`; `# filterOptions:` says with which options the
//! filter is loaded. All of it runs at 2005-08-14 12:00 in Zurich, as fail2ban's own tests do.

#![expect(clippy::print_stdout, reason = "what is skipped is said")]

#[path = "fail2ban/annotated.rs"]
mod annotated;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use annotated::{Report, Where};

/// What must agree whole, whatever else may come.
const MUST: &[&str] = &[
    "asterisk",
    "freeswitch",
    "sshd",
    "apache-auth",
    "apache-badbots",
    "apache-botsearch",
    "apache-fakegooglebot",
    "apache-modsecurity",
    "apache-nohome",
    "apache-noscript",
    "apache-overflows",
    "apache-pass",
    "apache-shellshock",
    "nginx-bad-request",
    "nginx-botsearch",
    "nginx-http-auth",
    "nginx-limit-req",
    "postfix",
    "dovecot",
    "recidive",
];

#[test]
fn every_annotated_line_has_the_same_answer() {
    let Some(place) = place() else { return };
    let reports = place.check_all();
    println!("{:<24} {:>7} {:>9} {:>9} {:>10}", "filter", "loaded", "lines", "agreed", "ambiguous");
    for report in &reports {
        let loaded = if report.broken.is_none() { "yes" } else { "no" };
        println!(
            "{:<24} {loaded:>7} {:>9} {:>9} {:>10}",
            report.name,
            report.lines,
            report.agreed,
            report.ambiguous.len()
        );
    }
    let sum = |of: fn(&Report) -> usize| reports.iter().map(of).sum::<usize>();
    let loaded = reports.iter().filter(|report| report.broken.is_none()).count();
    println!(
        "{loaded} of {} filters loaded, {} of {} lines agree",
        reports.len(),
        sum(|report| report.agreed),
        sum(|report| report.lines)
    );
    for report in &reports {
        report.broken.iter().chain(&report.disagreed).for_each(|line| println!("{}: {line}", report.name));
        report.ambiguous.iter().for_each(|line| println!("ambiguous: {}: {line}", report.name));
    }
    assert_eq!(loaded, reports.len(), "every filter loads");
    assert_eq!(sum(|report| report.agreed), sum(|report| report.lines), "every line agrees");
    for name in MUST {
        assert!(reports.iter().any(|report| report.name == *name && report.lines > 0), "{name} was checked");
    }
}

/// The two logs of `../shared/data`, where they are: the same lines as `fail2ban-regex` finds in them with the same filters.
#[test]
fn the_shared_logs_have_the_same_answer_as_fail2ban_regex() {
    let Some(mut place) = place() else { return };
    place.logs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/fail2ban");
    if !place.logs.is_dir() {
        println!("skipped: `{}` is not there", place.logs.display());
        return;
    }
    for name in ["asterisk", "sshd"] {
        let Some(filters) = place.filters.first() else { continue };
        let theirs = Command::new("fail2ban-regex")
            .args(["--no-check-all", "--raw", "--out", "msg", "--config"])
            .arg(filters.parent().unwrap_or(filters))
            .args([&place.logs.join(name), &filters.join(format!("{name}.conf"))])
            .output();
        let Ok(theirs) = theirs else {
            println!("skipped: there is no fail2ban-regex");
            return;
        };
        let theirs = String::from_utf8_lossy(&theirs.stdout).into_owned();
        let theirs: BTreeSet<&str> = theirs.lines().map(str::trim_end).collect();
        let ours = place.matched(name);
        assert!(!ours.is_empty(), "{name}");
        assert_eq!(ours.iter().map(String::as_str).collect::<BTreeSet<_>>(), theirs, "{name}");
    }
}

/// Where fail2ban is; says aloud if it is nowhere.
fn place() -> Option<Where> {
    let place = match std::env::var_os("RINGFENCE_FAIL2BAN_DIR").map(PathBuf::from) {
        Some(dir) => Where {
            filters: vec![dir.join("config/filter.d"), dir.join("fail2ban/tests/config/filter.d")],
            logs: dir.join("fail2ban/tests/files/logs"),
        },
        None => {
            let tests = Path::new("/usr/lib/python3/dist-packages/fail2ban/tests");
            Where {
                filters: vec![PathBuf::from("/etc/fail2ban/filter.d"), tests.join("config/filter.d")],
                logs: tests.join("files/logs"),
            }
        }
    };
    if place.logs.is_dir() {
        return Some(place);
    }
    assert!(
        std::env::var_os("RINGFENCE_NO_SKIP").is_none(),
        "fail2ban is not installed: apt-get install fail2ban"
    );
    println!("skipped: fail2ban is not installed, `{}` is not there", place.logs.display());
    None
}
