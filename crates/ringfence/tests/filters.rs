//! `test-filter` and the jails of `convert`, as a user runs them.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::io::Write as _;
use std::path::Path;
use std::process::{Command, Output};

use flate2::Compression;
use flate2::write::GzEncoder;

const FILTER: &str = "[Definition]\nfailregex = ^\\s*login of <F-USER>.*</F-USER> failed from <HOST>\\b\n            ^\\s*bad <mode> <HOST>$\nmode = normal\n";
const LOG: &str = "2026-11-28 10:20:30 login of joe failed from 203.0.113.9\n2026-11-28 10:20:31 all is well\n\
                   2026-11-28 10:20:32 login of a failed from 198.51.100.1 failed from 203.0.113.9\n2026-11-28 10:20:33 bad extra 2001:db8::1\n";

fn ringfence(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_ringfence"))
        .args(args)
        .current_dir(folder)
        .env("TZ", "UTC")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("my.conf"), FILTER).unwrap();
    std::fs::write(folder.path().join("log"), LOG).unwrap();
    folder
}

#[test]
fn each_line_gives_an_object() {
    let folder = folder();
    let expected = "{\"line\":1,\"match\":true,\"host\":\"203.0.113.9\",\"time\":\"2026-11-28T10:20:30.000000Z\",\"regex\":1,\"user\":\"joe\"}\n\
                    {\"line\":2,\"match\":false}\n\
                    {\"line\":3,\"match\":true,\"host\":\"203.0.113.9\",\"time\":\"2026-11-28T10:20:32.000000Z\",\"regex\":1,\"user\":\"a failed from 198.51.100.1\",\"other\":\"198.51.100.1\"}\n\
                    {\"line\":4,\"match\":true,\"host\":\"2001:db8::1\",\"time\":\"2026-11-28T10:20:33.000000Z\",\"regex\":2}\n\
                    {\"type\":\"summary\",\"lines\":4,\"matched\":3,\"ignored\":0,\"undated\":0,\"hosts\":2,\"ambiguous\":1,\"gave_up\":0,\"cut\":0}\n";
    let output =
        ringfence(folder.path(), &["test-filter", "log", "./my.conf[mode=extra]", "--format", "json"]);
    assert_eq!(
        (text(&output.stdout).as_str(), output.status.code()),
        (expected, Some(0)),
        "{}",
        text(&output.stderr)
    );
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(LOG.as_bytes()).unwrap();
    std::fs::write(folder.path().join("log.gz"), packed.finish().unwrap()).unwrap();
    let by_name = ["test-filter", "log.gz", "my[mode=extra]", "--filter-dir", ".", "--format", "json"];
    assert_eq!(text(&ringfence(folder.path(), &by_name).stdout), expected, "packed, and by name");
}

#[test]
fn people_get_a_summary() {
    let folder = folder();
    let output = text(&ringfence(folder.path(), &["test-filter", "log", "./my.conf"]).stdout);
    for part in [
        "./my.conf in log",
        "      2   1: ^\\s*login of",
        "      2  203.0.113.9          2026-11-28T10:20:32.000000Z",
        "203.0.113.9 or 198.51.100.1? 3: 2026-11-28",
        "  2: 2026-11-28 10:20:31 all is well",
        "4 lines: 2 matched, 0 ignored, 2 not; 0 without a date",
    ] {
        assert!(output.contains(part), "{part} in:\n{output}");
    }
}

#[test]
fn a_wrong_filter_is_told_with_its_line() {
    let folder = folder();
    std::fs::write(
        folder.path().join("bad.conf"),
        "[Definition]\nfailregex = ^fine <HOST>\n            ^(bad <HOST>\n",
    )
    .unwrap();
    let output = ringfence(folder.path(), &["test-filter", "log", "./bad.conf"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        text(&output.stderr).contains("a `)` is missing") && text(&output.stderr).contains("bad.conf:3"),
        "{}",
        text(&output.stderr)
    );
    assert_eq!(ringfence(folder.path(), &["test-filter", "log"]).status.code(), Some(2));
    assert_eq!(ringfence(folder.path(), &["test-filter", "nothing", "./my.conf"]).status.code(), Some(1));
}

#[test]
fn jails_become_tables() {
    let folder = folder();
    std::fs::create_dir(folder.path().join("filter.d")).unwrap();
    std::fs::write(folder.path().join("filter.d/my.conf"), FILTER).unwrap();
    let jails = "[DEFAULT]\nbantime = 1h\nignoreip = 192.0.2.0/24\n[my]\nenabled = true\nport = 5060\nlogpath = /var/log/my\n";
    std::fs::write(folder.path().join("jail.local"), jails).unwrap();
    let output = ringfence(folder.path(), &["convert", "jail.local"]);
    assert_eq!(
        text(&output.stdout),
        "[jails.my]\nfilter = \"my\"\nfiles = [\"/var/log/my\"]\nmax-failures = 5\nwithin = \"10m\"\nban = \"1h\"\nports = \"sip\"\nsip = true\n"
    );
    assert!(text(&output.stderr).contains("[my] never bans 192.0.2.0/24"), "{}", text(&output.stderr));
    std::fs::write(folder.path().join("policy.toml"), &output.stdout).unwrap();
    let check = ringfence(folder.path(), &["check", "policy.toml"]);
    assert_eq!(check.status.code(), Some(0), "{}", text(&check.stderr));
}
