//! Logs in force: what a filter finds is counted and banned, through rotation, kills and lies. Root only.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::cell::Cell;
use std::fmt::Write as _;
use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant, SystemTime};

use lab::{Guard, Lab, Node, skip};
use ledger::{Net, Reader, Time};
use rustix::process::Signal;
use serde_json::Value;

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
const TOOLS: &[&str] = &["bpftool", "nft"];
const JOURNAL_REMOTE: &str = "systemd-journal-remote";

/// A filter as fail2ban has them, for a service of our own.
const FILTER: &str = "\
[INCLUDES]
before = common-lines.conf

[Definition]
failregex = %(begin)s refused <F-USER>\\S+</F-USER> from <HOST>$
            %(begin)s no such door, says <HOST>$
ignoreregex = from 198\\.51\\.100\\.99$
";
const COMMON: &str = "[DEFAULT]\nbegin = ^\\s*doorman\\[\\d+\\]:\n";

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

/// A lab with a log, its filter, and a policy that searches it.
struct Doors {
    lab: Lab,
    written: Cell<u32>,
}

impl Doors {
    fn new(name: &str) -> Self {
        let lab = Lab::up(name).unwrap();
        fs::write(lab.dir().join("common-lines.conf"), COMMON).unwrap();
        fs::write(lab.dir().join("doorman.conf"), FILTER).unwrap();
        Self { lab, written: Cell::new(0) }
    }

    fn log(&self) -> PathBuf {
        self.lab.dir().join("doors.log")
    }

    /// A policy whose jail has more keys.
    fn policy(&self, more: &str) -> PathBuf {
        let path = self.lab.dir().join("policy.toml");
        let (filter, log) = (self.lab.dir().join("doorman.conf"), self.log());
        let text = format!(
            "signatures = []\n[services]\nssh = {{ tcp = [22] }}\nsip = {{ udp = [5060], tcp = [5060], inspect = true }}\n\
             [jails.doors]\nfilter = \"{}\"\nfiles = [\"{}\"]\n{more}",
            filter.display(),
            log.display()
        );
        fs::write(&path, text).unwrap();
        path
    }

    fn append(&self, text: &str) {
        let mut file = OpenOptions::new().create(true).append(true).open(self.log()).unwrap();
        file.write_all(text.as_bytes()).unwrap();
    }

    /// One failure of each of so many new addresses.
    fn strangers(&self, count: u32) {
        let first = self.written.get();
        let lines: String = (first..first + count)
            .map(|number| line(&format!("refused guest from {}", stranger(number))))
            .collect();
        self.written.set(first + count);
        self.append(&lines);
    }
}

fn stranger(number: u32) -> IpAddr {
    Ipv4Addr::from_bits(0xcb00_7100 + (number << 8)).into()
}

/// A line that is written now.
fn line(text: &str) -> String {
    let now = jiff::Zoned::now();
    format!("{} doorman[7]: {text}\n", now.strftime("%Y-%m-%d %H:%M:%S"))
}

fn json(guard: &Guard<'_>, args: &[&str]) -> Vec<Value> {
    let done = guard.command(args).unwrap();
    assert!(done.status.success(), "{args:?}: {}", done.text());
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn jail(guard: &Guard<'_>) -> Value {
    json(guard, &["status", "--format", "json"])[0]["jails"][0].clone()
}

#[track_caller]
fn wait(what: &str, is_so: impl Fn() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// How often each stranger is told of in the ledger.
fn told(guard: &Guard<'_>, count: u32) -> Vec<usize> {
    let reader = Reader::open(&guard.state_dir().join("ledger.db")).unwrap();
    let story = |number| reader.story(Net::new(stranger(number), 128), Time(0)).unwrap();
    (0..count).map(|number| story(number).evidence.len()).collect()
}

#[test]
fn a_jail_bans_and_what_is_open_ends() {
    if !skip::ready("a_jail_bans_and_what_is_open_ends", TOOLS) {
        return;
    }
    let doors = Doors::new("jail");
    let policy = doors.policy("max-failures = 3\nwithin = \"10m\"\nban = \"2h\"\n");
    let guard = Guard::start(&doors.lab, &binary(), &policy).unwrap();
    assert!(!jail(&guard)["files"][0]["open"].as_bool().unwrap(), "it is not there yet");
    let listener = doors.lab.inside(Node::Pbx, || TcpListener::bind((PBX, 22)).unwrap()).unwrap();
    let mut open = doors.lab.inside(Node::Attacker, || TcpStream::connect((PBX, 22)).unwrap()).unwrap();
    let (mut served, _) = listener.accept().unwrap();
    served.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    open.write_all(b"x").unwrap();
    std::io::Read::read_exact(&mut served, &mut [0]).unwrap();

    doors.append(&line("opened for a friend"));
    doors.append(&line(&format!("refused root from {ATTACKER}")));
    doors.append(&line("refused root from 198.51.100.99"));
    doors.append(&line(&format!("no such door, says {ATTACKER}")));
    wait("three lines are read", || jail(&guard)["lines"] == 4);
    assert!(json(&guard, &["bans", "--format", "json"]).is_empty());
    // Whole lines only.
    let last = line(&format!("refused admin from {ATTACKER}"));
    let (begin, end) = last.split_at(last.len() - 4);
    doors.append(begin);
    std::thread::sleep(Duration::from_millis(300));
    assert!(json(&guard, &["bans", "--format", "json"]).is_empty());
    doors.append(end);
    wait("a ban", || !json(&guard, &["bans", "--format", "json"]).is_empty());

    let ban = json(&guard, &["bans", "--format", "json"])[0].clone();
    assert_eq!((&ban["source"], &ban["reason"]), (&ATTACKER.to_string().into(), &"jail:doors".into()));
    assert_eq!((&ban["by"], &ban["scope"]), (&"detector".into(), &"all".into()), "{ban}");
    let error = std::io::Read::read(&mut served, &mut [0]).unwrap_err();
    assert_ne!(error.kind(), std::io::ErrorKind::WouldBlock, "the connection was ended: {error}");
    let status = json(&guard, &["status", "--format", "json"])[0].clone();
    assert_eq!(status["bans"]["ended"]["sockets"], 1, "{status:#}");
    assert!(status["bans"]["ended"]["tracked"].as_u64().unwrap() >= 1, "{status:#}");
    let why = guard.command(&["why", &ATTACKER.to_string()]).unwrap().stdout;
    assert!(why.contains("failure 3 of 3 within 10 min in jail doors, of account `admin`"), "{why}");
    assert!(why.contains(last.trim_end()), "the line itself: {why}");
    let connect = || TcpStream::connect_timeout(&(PBX, 22).into(), Duration::from_secs(1));
    assert!(doors.lab.inside(Node::Attacker, connect).unwrap().is_err(), "every port is closed to it");

    // An unban forgets the count.
    assert!(guard.command(&["unban", &ATTACKER.to_string()]).unwrap().status.success());
    doors.append(&line(&format!("refused root from {ATTACKER}")));
    wait("one more line", || jail(&guard)["lines"] == 6);
    assert!(json(&guard, &["bans", "--format", "json"]).is_empty());
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

#[test]
fn nothing_is_lost_or_told_twice() {
    if !skip::ready("nothing_is_lost_or_told_twice", TOOLS) {
        return;
    }
    let doors = Doors::new("jailkill");
    let policy = doors.policy("max-failures = 3\n");
    doors.strangers(20);
    for round in 0..6 {
        let mut guard = Guard::start(&doors.lab, &binary(), &policy).unwrap();
        // Of a log that was never read yet nobody knows where it was.
        wait("the log is known", || round > 0 || told(&guard, 20) == [1; 20]);
        doors.strangers(50);
        match round {
            1 => fs::rename(doors.log(), doors.lab.dir().join("doors.log.1")).unwrap(),
            2 => {
                fs::copy(doors.log(), doors.lab.dir().join("doors.log.2")).unwrap();
                File::create(doors.log()).unwrap();
            }
            3 => {
                fs::copy(doors.log(), doors.lab.dir().join("new")).unwrap();
                fs::rename(doors.lab.dir().join("new"), doors.log()).unwrap();
            }
            4 => fs::set_permissions(doors.log(), fs::Permissions::from_mode(0o000)).unwrap(),
            _ => {}
        }
        doors.strangers(200);
        std::thread::sleep(Duration::from_millis(30 * round));
        guard.process().signal(Signal::KILL);
        guard.process().wait(Duration::from_secs(10)).unwrap();
        doors.strangers(5);
    }
    let guard = Guard::start(&doors.lab, &binary(), &policy).unwrap();
    let written = doors.written.get();
    let deadline = Instant::now() + Duration::from_secs(20);
    while told(&guard, written).iter().sum::<usize>() < written as usize && Instant::now() < deadline {
        std::thread::sleep(Duration::from_millis(100));
    }
    std::thread::sleep(Duration::from_millis(500));
    let told = told(&guard, written);
    let wrong: Vec<_> = told.iter().enumerate().filter(|(_, count)| **count != 1).collect();
    assert!(wrong.is_empty(), "of {}: {wrong:?}", told.len());
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

#[test]
fn what_counted_before_a_kill_counts_after_it() {
    if !skip::ready("what_counted_before_a_kill_counts_after_it", TOOLS) {
        return;
    }
    let doors = Doors::new("jailcount");
    let policy = doors.policy("max-failures = 3\n");
    let mut guard = Guard::start(&doors.lab, &binary(), &policy).unwrap();
    doors.append(&line(&format!("refused root from {ATTACKER}")).repeat(2));
    let attacker = || {
        let reader = Reader::open(&doors.lab.dir().join("ringfence/state/ledger.db")).unwrap();
        reader.story(Net::new(ATTACKER, 128), Time(0)).unwrap().evidence.len()
    };
    wait("two failures", || attacker() == 2);
    guard.process().signal(Signal::KILL);
    guard.process().wait(Duration::from_secs(10)).unwrap();
    let guard = Guard::start(&doors.lab, &binary(), &policy).unwrap();
    // A reload reads again, and counts nothing twice.
    assert!(guard.command(&["reload"]).unwrap().status.success());
    std::thread::sleep(Duration::from_millis(800));
    assert!(json(&guard, &["bans", "--format", "json"]).is_empty());
    doors.append(&line("opened for a friend"));
    wait("it is read on", || jail(&guard)["lines"] == 1);
    doors.append(&line(&format!("refused root from {ATTACKER}")));
    wait("a ban", || !json(&guard, &["bans", "--format", "json"]).is_empty());
    assert_eq!(attacker(), 3);
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

#[test]
fn a_line_with_somebody_elses_address_bans_nobody() {
    if !skip::ready("a_line_with_somebody_elses_address_bans_nobody", TOOLS) {
        return;
    }
    let doors = Doors::new("jaillies");
    let policy = doors.policy("max-failures = 1\n");
    // The filter's second expression finds what a guest wrote as his name.
    fs::write(
        doors.lab.dir().join("doorman.conf"),
        "[Definition]\nfailregex = doorman.* refused .*from <HOST>\n",
    )
    .unwrap();
    let guard = Guard::start(&doors.lab, &binary(), &policy).unwrap();
    doors.append(&line(&format!("refused x from 192.0.2.20 from {ATTACKER}")));
    wait("the line is read", || jail(&guard)["lines"] == 1);
    std::thread::sleep(Duration::from_millis(200));
    assert!(json(&guard, &["bans", "--format", "json"]).is_empty());
    assert_eq!(jail(&guard)["ambiguous"], 1, "{:#}", jail(&guard));
    doors.append(&line(&format!("refused x from {ATTACKER}")));
    wait("a ban", || !json(&guard, &["bans", "--format", "json"]).is_empty());
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

/// Writes entries to a journal in a folder of its own, as systemd does.
fn write_journal(folder: &Path, messages: &[String]) {
    let mut entries = String::new();
    for message in messages {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros();
        let id = "0123456789abcdef0123456789abcdef";
        write!(
            entries,
            "__REALTIME_TIMESTAMP={now}\n__MONOTONIC_TIMESTAMP={now}\n_BOOT_ID={id}\n_MACHINE_ID={id}\n_HOSTNAME=pbx\n\
             SYSLOG_IDENTIFIER=sshd\n_COMM=sshd\n_PID=77\n_SYSTEMD_UNIT=ssh.service\nMESSAGE={message}\n\n"
        )
        .unwrap();
    }
    let mut remote = Command::new(lab::tools::find(JOURNAL_REMOTE).unwrap());
    remote.arg(format!("--output={}", folder.join("test.journal").display())).arg("-");
    let mut remote = remote.stdin(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    remote.stdin.take().unwrap().write_all(entries.as_bytes()).unwrap();
    assert!(remote.wait().unwrap().success());
}

#[test]
fn the_journal_is_a_log_like_any_other() {
    let test = "the_journal_is_a_log_like_any_other";
    if !skip::ready(test, &["bpftool", "nft", "journalctl", JOURNAL_REMOTE, "fail2ban-server"]) {
        return;
    }
    let lab = Lab::up("jailjournal").unwrap();
    let folder = lab.dir().join("journal");
    let tools = lab.dir().join("tools");
    fs::create_dir_all(&folder).unwrap();
    fs::create_dir_all(&tools).unwrap();
    // The test's own journal in place of the machine's.
    let journalctl = tools.join("journalctl");
    fs::write(&journalctl, format!("#!/bin/sh\nexec /usr/bin/journalctl -D {} \"$@\"\n", folder.display()))
        .unwrap();
    fs::set_permissions(&journalctl, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:{}", tools.display(), std::env::var("PATH").unwrap());
    let failed = |number: u32| format!("Failed password for root from {} port 4022 ssh2", stranger(number));
    let again = |count: u32| -> Vec<String> { (0..count).map(|_| failed(7)).collect() };
    write_journal(&folder, &again(1));
    let policy = lab.dir().join("policy.toml");
    fs::write(&policy, "signatures = []\n[jails.sshd]\njournal = true\nmax-failures = 4\n").unwrap();
    let start =
        || Guard::start_before(&lab, &binary(), &policy, &[Node::INTERFACE], &[("PATH", &path)]).unwrap();
    let mut guard = start();
    wait("what was there", || jail(&guard)["failures"] == 1);
    let more = [again(1), vec!["Server listening on 0.0.0.0 port 22.".to_owned()]].concat();
    write_journal(&folder, &more);
    wait("what is new", || jail(&guard)["failures"] == 2);
    std::thread::sleep(Duration::from_millis(1500));
    guard.process().signal(Signal::KILL);
    guard.process().wait(Duration::from_secs(10)).unwrap();
    write_journal(&folder, &again(1));
    let guard = start();
    wait("what came meanwhile, once", || jail(&guard)["failures"] == 1);
    assert!(json(&guard, &["bans", "--format", "json"]).is_empty());
    write_journal(&folder, &again(1));
    wait("a ban", || !json(&guard, &["bans", "--format", "json"]).is_empty());
    let reader = Reader::open(&guard.state_dir().join("ledger.db")).unwrap();
    assert_eq!(reader.story(Net::new(stranger(7), 128), Time(0)).unwrap().evidence.len(), 4);
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

#[test]
fn a_filter_that_is_wrong_is_told_before_anything_is_done() {
    if !skip::ready("a_filter_that_is_wrong", TOOLS) {
        return;
    }
    let doors = Doors::new("jailbad");
    let policy = doors.policy("");
    let guard = Guard::start(&doors.lab, &binary(), &policy).unwrap();
    fs::write(doors.lab.dir().join("doorman.conf"), "[Definition]\nfailregex = ^x (<HOST>$\n").unwrap();
    let reload = guard.command(&["reload"]).unwrap();
    assert_eq!(reload.status.code(), Some(1), "{}", reload.text());
    assert!(reload.stderr.contains("the jail `doors` has no filter"), "{}", reload.text());
    assert!(reload.stderr.contains("the policy in force stays"), "{}", reload.text());
    assert_eq!(jail(&guard)["name"], "doors");
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}
