//! `ringfence init`: what it writes, what it leaves alone, and a PBX under its policy without an edit.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use lab::asterisk::{PHONE, WEAK};
use lab::attack;
use lab::phone::{Answer, ECHO, Phone, Transport};
use lab::probe::{self, IcmpError, Listener, TcpProbe};
use lab::{AsteriskOptions, Guard, Lab, Node, Process, skip};
use serde_json::Value;

const FREEPBX: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../audit/tests/trees/freepbx");
const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const SIP: SocketAddr = SocketAddr::new(PBX, 5060);
const LIMIT: Duration = Duration::from_secs(2);
/// Where the test's SSH server listens.
const SSH: u16 = 2222;
const DATABASE: u16 = 3306;

/// The program under test: `RINGFENCE_BIN` where the task runner built one, else the one that cargo built with this test.
fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

fn init(args: &[&str]) -> Output {
    Command::new(binary()).arg("init").args(args).output().unwrap()
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn a_dry_run_prints_a_good_policy() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let shown = init(&["--dry-run", "--asterisk-dir", FREEPBX, "--output", policy.to_str().unwrap()]);
    assert_eq!(shown.status.code(), Some(0), "{}", stderr(&shown));
    assert!(!policy.exists(), "nothing is written");
    fs::write(&policy, stdout(&shown)).unwrap();
    let checked = Command::new(binary()).arg("check").arg(&policy).output().unwrap();
    assert_eq!(checked.status.code(), Some(0), "{}", stderr(&checked));
    assert_eq!(stderr(&checked), "", "no warning either");
    assert!(stdout(&shown).contains("rtp = { udp = [\"10000-20000\"] }"), "{}", stdout(&shown));
    for secret in ["secret = ", "password"] {
        assert!(!stdout(&shown).lines().any(|line| !line.starts_with('#') && line.contains(secret)));
    }
}

#[test]
fn a_policy_that_is_there_stays() {
    let folder = tempfile::tempdir().unwrap();
    let policy = folder.path().join("policy.toml");
    let write = |more: &[&str]| {
        init(&[&["--asterisk-dir", FREEPBX, "--output", policy.to_str().unwrap()], more].concat())
    };
    let wrote = write(&[]);
    assert_eq!(wrote.status.code(), Some(0), "{}", stderr(&wrote));
    let said = stdout(&wrote);
    for next in ["ringfence check ", "--observe", "--confirm 60s", "ringfence audit"] {
        assert!(said.contains(next), "{said}");
    }
    fs::write(&policy, "# mine\n").unwrap();
    let refused = write(&[]);
    assert_eq!(refused.status.code(), Some(1));
    assert!(stderr(&refused).contains("is there already"), "{}", stderr(&refused));
    assert_eq!(fs::read_to_string(&policy).unwrap(), "# mine\n");
    assert_eq!(write(&["--force"]).status.code(), Some(0));
    assert!(fs::read_to_string(&policy).unwrap().starts_with("# A policy for this host"));
    // The package's own is nobody's work.
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/policy.toml");
    fs::copy(shipped, &policy).unwrap();
    assert_eq!(write(&[]).status.code(), Some(0));
    assert!(fs::read_to_string(&policy).unwrap().starts_with("# A policy for this host"));
}

#[test]
fn what_is_not_there_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let named = init(&["--dry-run", "--asterisk-dir", folder.path().to_str().unwrap()]);
    assert_eq!(named.status.code(), Some(1));
    assert!(stderr(&named).contains("there is no configuration of Asterisk in"), "{}", stderr(&named));
    if Path::new("/etc/asterisk").exists() {
        return skip::note("what_is_not_there_is_said", "this host has a PBX");
    }
    let nothing = init(&["--dry-run"]);
    assert_eq!(nothing.status.code(), Some(0), "{}", stderr(&nothing));
    if !stderr(&nothing).contains("note: there is no PBX here") {
        // Another test's Asterisk is not in this network namespace, so somebody runs one.
        skip::note("what_is_not_there_is_said", "a PBX listens here");
    }
}

/// An SSH server on a port of its own.
fn ssh(lab: &Lab) -> Process {
    let base = lab.dir().join("ssh");
    fs::create_dir_all(&base).unwrap();
    for name in ["host", "key"] {
        let mut keygen = lab.command(Node::Pbx, "ssh-keygen");
        keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(base.join(name));
        assert!(lab::run(keygen, Duration::from_secs(10)).unwrap().status.success());
    }
    let config = base.join("config");
    let text = format!(
        "Port {SSH}\nHostKey {0}/host\nAuthorizedKeysFile {0}/key.pub\nPidFile none\nUsePAM no\nStrictModes no\n\
         PermitRootLogin yes\nPasswordAuthentication no\n",
        base.display()
    );
    fs::write(&config, text).unwrap();
    // Where its unprivileged half lives; the package's service makes it at the start of the machine.
    fs::create_dir_all("/run/sshd").unwrap();
    let mut command = lab.command(Node::Pbx, "/usr/sbin/sshd");
    command.args(["-D", "-e", "-f"]).arg(config);
    let server = lab.spawn("sshd", command).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while tcp(lab, SSH) != TcpProbe::Open {
        assert!(Instant::now() < deadline, "{}", server.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
    server
}

fn tcp(lab: &Lab, port: u16) -> TcpProbe {
    probe::tcp(lab, Node::Attacker, (PBX, port).into(), LIMIT).unwrap()
}

#[test]
fn whoever_is_logged_in_is_trusted() {
    if !skip::ready("whoever_is_logged_in_is_trusted", &["ssh", "sshd"]) {
        return;
    }
    let lab = Lab::up("operator-init").unwrap();
    let _ssh = ssh(&lab);
    let mut client = lab.command(Node::Phone, "ssh");
    client.args(["-F", "none", "-o", "BatchMode=yes", "-o", "StrictHostKeyChecking=no"]);
    client.args(["-o", "UserKnownHostsFile=/dev/null", "-i"]).arg(lab.dir().join("ssh/key"));
    client.args(["-p", &SSH.to_string(), &format!("root@{PBX}"), "echo in; exec sleep 600"]);
    let session = lab.spawn("ssh", client).unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while session.stdout() != "in\n" {
        assert!(Instant::now() < deadline, "{}", session.stderr());
        std::thread::sleep(Duration::from_millis(50));
    }
    let draft = |connection: &str| {
        let mut command = lab.command(Node::Pbx, &binary().display().to_string());
        command.args(["init", "--dry-run", "--asterisk-dir", FREEPBX]).env("SSH_CONNECTION", connection);
        lab::run(command, Duration::from_secs(30)).unwrap()
    };
    let operator = format!("\n    \"{}\",\n", Node::Phone.v4());
    for connection in
        [format!("{} 40000 {PBX} {SSH}", Node::Phone.v4()), "203.0.113.250 1 192.0.2.1 22".to_owned()]
    {
        let shown = draft(&connection);
        assert!(shown.stdout.contains(&operator), "{}", shown.text());
        assert!(!shown.stdout.contains("203.0.113.250"), "of a terminal that outlived its session");
        assert!(!shown.stderr.contains("locks you out"), "{}", shown.text());
    }
}

/// A carrier, known by an address and by a name.
const TRUNK: &str = "
[carrier]
type = endpoint
context = public
disallow = all
allow = ulaw

[carrier]
type = identify
endpoint = carrier
match = 192.0.2.200

[carrier]
type = registration
server_uri = sip:sip.carrier.example
client_uri = sip:me@sip.carrier.example
";

#[test]
fn its_policy_guards_a_pbx_without_an_edit() {
    let tools = &["bpftool", "debootstrap", "nft", "sipp", "sshd", "svmap"];
    if !skip::ready("its_policy_guards_a_pbx_without_an_edit", tools) {
        return;
    }
    let lab = Lab::up("init").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions::default()).unwrap();
    let etc = lab.dir().join("asterisk/etc");
    let mut pjsip = fs::OpenOptions::new().append(true).open(etc.join("pjsip.conf")).unwrap();
    pjsip.write_all(TRUNK.as_bytes()).unwrap();
    asterisk.cli("module reload res_pjsip.so").unwrap();
    let _ssh = ssh(&lab);
    let _database = Listener::tcp(&lab, Node::Pbx, DATABASE).unwrap();
    assert_eq!(tcp(&lab, DATABASE), TcpProbe::Open, "nobody guards it yet");

    let policy = lab.dir().join("policy.toml");
    let mut command = lab.command(Node::Pbx, &binary().display().to_string());
    command.args(["init", "--asterisk-dir"]).arg(&etc).arg("--output").arg(&policy);
    let done = lab::run(command, Duration::from_secs(30)).unwrap();
    assert!(done.status.success(), "{}", done.text());
    let text = fs::read_to_string(&policy).unwrap();
    for line in [
        "ssh = { tcp = [2222] }",
        "sip = { tcp = [5060], udp = [5060], inspect = true }",
        "rtp = { udp = [\"10000-20000\"] }",
        "# mysql = { tcp = [3306], from = [\"192.0.2.0/24\"] }",
        "    \"192.0.2.200\",",
        "    \"sip.carrier.example\",",
    ] {
        assert!(text.lines().any(|one| one == line), "{line} is missing:\n{text}");
    }
    assert!(text.contains("# SSH: `sshd` listens on every address, port 2222/tcp."), "{text}");

    its_audit_sees_the_sockets(&lab, &etc, &policy);
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let trusted: Vec<Value> = guard
        .command(&["trust", "--format", "json"])
        .unwrap()
        .stdout
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(trusted[0]["what"], "sip.carrier.example", "{trusted:?}");
    assert_eq!(trusted[0]["note"], "in the policy");

    assert_eq!(attack::svmap(&lab, Node::Attacker, PBX).unwrap(), []);
    assert_eq!(attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "100-110").unwrap(), None);
    let phone = Phone::new(&lab, Node::Phone, PHONE, Transport::Udp);
    assert_eq!(phone.register(SIP).unwrap(), Answer::Done);
    let call = phone.call(SIP, ECHO).unwrap();
    assert!(call.audio_both_ways(), "{call:?}");
    assert_eq!(tcp(&lab, SSH), TcpProbe::Open);
    let closed = TcpProbe::Icmp(IcmpError::HostProhibited);
    assert_eq!((tcp(&lab, DATABASE), tcp(&lab, 22)), (closed, closed));
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

/// The same configuration as a copy, and as the one in force.
fn its_audit_sees_the_sockets(lab: &Lab, etc: &Path, policy: &Path) {
    let audit = || -> Vec<(String, String, u64)> {
        let mut command = lab.command(Node::Pbx, &binary().display().to_string());
        command.args(["audit", "--format", "json", "--asterisk-dir"]).arg(etc).arg("--policy").arg(policy);
        let done = lab::run(command, Duration::from_secs(30)).unwrap();
        let found = done.stdout.lines().map(|line| {
            let line: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| line[key].as_str().unwrap().to_owned();
            (text("id"), text("file"), line["line"].as_u64().unwrap())
        });
        let about_this_host =
            ["control-exposed", "database-exposed", "rtp-policy", "sip-plaintext", "unused-protocol"];
        found.filter(|(id, _, _)| about_this_host.contains(&id.as_str())).collect()
    };
    assert_eq!(audit(), [], "its sockets are another host's");
    let asterisk = etc.join("asterisk.conf");
    let mut text = fs::read_to_string(&asterisk).unwrap();
    text.push_str(&format!("\n[directories]\nastetcdir => {}\n", etc.display()));
    fs::write(&asterisk, text).unwrap();
    let found = audit();
    let kinds: Vec<_> = found.iter().map(|(id, file, _)| (id.as_str(), file.as_str())).collect();
    let expected =
        [("database-exposed", "tcp/3306"), ("sip-plaintext", "pjsip.conf"), ("sip-plaintext", "pjsip.conf")];
    assert_eq!(kinds, expected, "{found:?}");
    fs::write(etc.join("rtp.conf"), "[general]\nrtpstart = 10000\nrtpend = 20001\n").unwrap();
    assert!(audit().contains(&("rtp-policy".to_owned(), "rtp.conf".to_owned(), 2)));
}
