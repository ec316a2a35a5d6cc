//! Whoever administers the host over SSH stays in, or comes back in: with a real server and a real client.

use std::path::PathBuf;
use std::time::Duration;

use lab::{Guard, Node, Process, guard};
use rustix::process::{Pid, Signal};

use crate::scene::{ATTACKER, PBX, PHONE, SIP, Scene, binary, json, says, until};

/// Nothing but SIP gets in.
const NO_SSH: &str = "signatures = []\n[services]\nsip = { udp = [5060], inspect = true }\n";
const TOOLS: &[&str] = &["ssh", "sshd"];

/// An SSH server in the PBX's namespace, and a key for the phone's.
struct Ssh<'a> {
    scene: &'a Scene,
    key: PathBuf,
    _server: Process,
}

impl<'a> Ssh<'a> {
    fn start(scene: &'a Scene) -> Self {
        let base = scene.lab.dir().join("ssh");
        std::fs::create_dir_all(&base).unwrap();
        let key = base.join("key");
        for name in ["host", "key"] {
            let mut keygen = scene.lab.command(Node::Pbx, "ssh-keygen");
            keygen.args(["-q", "-t", "ed25519", "-N", "", "-f"]).arg(base.join(name));
            assert!(lab::run(keygen, Duration::from_secs(10)).unwrap().status.success());
        }
        let config = base.join("config");
        let text = format!(
            "Port 22\nPort 2222\nHostKey {0}/host\nAuthorizedKeysFile {0}/key.pub\nPidFile none\nUsePAM no\n\
             StrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n",
            base.display()
        );
        std::fs::write(&config, text).unwrap();
        // Where its unprivileged half lives; the package's service makes it at the start of the machine.
        std::fs::create_dir_all("/run/sshd").unwrap();
        let mut command = scene.lab.command(Node::Pbx, "/usr/sbin/sshd");
        command.args(["-D", "-e", "-f"]).arg(config);
        let server = scene.lab.spawn("sshd", command).unwrap();
        let ssh = Self { scene, key, _server: server };
        until("an SSH server", Duration::from_secs(10), || ssh.logs_in());
        ssh
    }

    fn client(&self, port: u16, command: &str) -> std::process::Command {
        let mut ssh = self.scene.lab.command(Node::Phone, "ssh");
        ssh.args(["-F", "none", "-o", "BatchMode=yes", "-o", "ConnectTimeout=2", "-o", "LogLevel=ERROR"]);
        ssh.args(["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null", "-i"])
            .arg(&self.key);
        ssh.args(["-p", &port.to_string(), &format!("root@{PBX}"), command]);
        ssh
    }

    /// Whether a new session does what it is told.
    fn logs_in(&self) -> bool {
        lab::run(self.client(22, "echo hello"), Duration::from_secs(20)).unwrap().stdout == "hello\n"
    }

    /// A session that stays.
    fn session(&self, port: u16) -> Process {
        let session = self.scene.lab.spawn("ssh", self.client(port, "echo in; exec sleep 600")).unwrap();
        until("a session", Duration::from_secs(10), || session.stdout() == "in\n");
        session
    }
}

#[test]
fn the_source_of_an_ssh_session_is_not_banned() {
    let Some(scene) = Scene::new("operator", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let guard = scene.guard();
    // Whatever the port is called, it is an SSH server that has it.
    for port in [22, 2222] {
        let session = ssh.session(port);
        for target in
            [PHONE.to_string(), "192.0.2.0/24".to_owned(), "0.0.0.0/1".to_owned(), "128.0.0.0/1".to_owned()]
        {
            let said = says(&guard, &["ban", &target, "--all-ports"], 1);
            assert!(
                said.contains("an SSH session of this host comes from") || said.contains("own address"),
                "{said}"
            );
        }
        let said = says(&guard, &["ban", &PHONE.to_string(), "--all-ports"], 1);
        assert!(
            said.contains(&format!("an SSH session of this host comes from {PHONE}")),
            "port {port}: {said}"
        );
        assert!(says(&guard, &["ban", &PBX.to_string()], 1).contains("own address"));
        assert!(scene.serves(Node::Phone, SIP) && ssh.logs_in());
        drop(session);
        until("the end of the session", Duration::from_secs(10), || {
            let sessions = scene.shell("ss -Htn state established '( sport = :22 or sport = :2222 )'");
            sessions.stdout.is_empty()
        });
    }
    // What was known of sessions is a second old at most.
    std::thread::sleep(Duration::from_millis(1200));
    says(&guard, &["ban", &PHONE.to_string(), "--all-ports"], 0);
    assert!(!ssh.logs_in(), "without a session it is an address as any");
}

/// Anybody can open a connection to the port; that must not keep an attacker from being banned.
#[test]
fn who_only_connects_to_the_ssh_port_is_no_operator() {
    let Some(scene) = Scene::new("knocker", TOOLS) else { return };
    let _ssh = Ssh::start(&scene);
    let guard = scene.guard();
    let knocker = scene.lab.inside(Node::Attacker, || {
        let mut stream = std::net::TcpStream::connect((PBX, 22)).unwrap();
        let mut banner = [0; 4];
        std::io::Read::read_exact(&mut stream, &mut banner).unwrap();
        assert_eq!(&banner, b"SSH-");
        stream
    });
    let knocker = knocker.unwrap();
    std::thread::sleep(Duration::from_millis(1200));
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    assert!(!scene.serves(Node::Attacker, SIP));
    drop(knocker);
}

#[test]
fn a_policy_that_locks_the_operator_out_is_refused() {
    let Some(scene) = Scene::new("refuse", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let _session = ssh.session(22);
    std::fs::write(&scene.policy, NO_SSH).unwrap();
    let refused = scene.run("run", "ringfence", &[]);
    assert_eq!(refused.status.code(), Some(1), "{}", refused.text());
    assert!(refused.stderr.contains("this policy locks you out"), "{}", refused.stderr);
    assert_eq!(guard::remains(&scene.lab).unwrap(), [""; 0]);
    assert!(ssh.logs_in());
}

#[test]
fn what_nobody_confirms_is_rolled_back_even_if_the_daemon_dies_or_hangs() {
    let Some(scene) = Scene::new("rollback", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let session = ssh.session(22);
    std::fs::write(&scene.policy, NO_SSH).unwrap();
    for what in [None, Some(Signal::KILL), Some(Signal::STOP)] {
        let mut guard = unconfirmed(&scene, "4s");
        if let Some(signal) = what {
            guard.process().signal(signal);
        }
        assert!(!ssh.logs_in(), "{what:?}: the operator is locked out");
        until("a way back", Duration::from_secs(20), || ssh.logs_in());
        until("nothing left", Duration::from_secs(5), || guard::remains(&scene.lab).unwrap().is_empty());
        until("the end of the daemon", Duration::from_secs(5), || guard.process().status().is_some());
    }
    drop(session);
}

#[test]
fn what_is_confirmed_in_time_stays() {
    let Some(scene) = Scene::new("confirm", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    std::fs::write(&scene.policy, NO_SSH).unwrap();
    let guard = unconfirmed(&scene, "3s");
    says(&guard, &["confirm"], 0);
    std::thread::sleep(Duration::from_secs(4));
    assert!(!ssh.logs_in());
    assert_eq!(json(&guard, &["status"])[0]["enforced"], true);
    assert!(says(&guard, &["confirm"], 1).contains("nothing waits"));
    assert!(says(&guard, &["panic"], 0).contains("removed"));
    assert!(ssh.logs_in());
}

#[test]
fn panic_takes_everything_off_whatever_the_daemon_does() {
    let Some(scene) = Scene::new("panic", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    std::fs::write(&scene.policy, NO_SSH).unwrap();
    for signal in [Signal::STOP, Signal::KILL, Signal::CONT] {
        let mut guard = scene.guard();
        says(&guard, &["ban", "192.0.2.0/24", "--all-ports"], 0);
        assert!(!ssh.logs_in());
        guard.process().signal(signal);
        says(&guard, &["panic"], 0);
        assert_eq!(guard::remains(&scene.lab).unwrap(), [""; 0], "{signal:?}");
        assert!(ssh.logs_in(), "{signal:?}");
        until("the end of the daemon", Duration::from_secs(5), || guard.process().status().is_some());
        // What the operator saw was the bans, too; they are still in the ledger.
        let again = scene.guard();
        says(&again, &["unban", "192.0.2.0/24"], 0);
        says(&again, &["panic"], 0);
    }
}

fn unconfirmed<'a>(scene: &'a Scene, period: &str) -> Guard<'a> {
    Guard::start_with(&scene.lab, &binary(), &scene.policy, &["--confirm", period]).unwrap()
}

/// A policy that lets SSH in is in force, and one is tried that does not.
fn tried<'a>(scene: &'a Scene, ssh: &Ssh<'_>, period: &str) -> Guard<'a> {
    let guard = scene.guard();
    std::fs::write(&scene.policy, NO_SSH).unwrap();
    assert!(says(&guard, &["reload", "--confirm", period], 0).contains("ringfence confirm"));
    assert!(!ssh.logs_in(), "the operator is locked out");
    assert_eq!(standing(&guard), "on-trial");
    guard
}

fn standing(guard: &Guard<'_>) -> String {
    json(guard, &["status"])[0]["policy"]["standing"].as_str().unwrap().to_owned()
}

#[test]
fn a_policy_on_trial_gives_way_to_the_one_before() {
    let Some(scene) = Scene::new("trial", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let guard = tried(&scene, &ssh, "4s");
    says(&guard, &["ban", &ATTACKER.to_string()], 0);
    until("a way back", Duration::from_secs(20), || ssh.logs_in());
    until("the daemon has gone back", Duration::from_secs(5), || standing(&guard) == "rolled-back");
    let status = json(&guard, &["status"]).remove(0);
    assert_eq!(status["enforced"], true, "{status}");
    assert!(!scene.serves(Node::Attacker, SIP) && scene.serves(Node::Phone, SIP));
    // It does not come back by itself, and not by a slip.
    assert!(says(&guard, &["reload"], 1).contains("nobody confirmed it"));
    assert!(ssh.logs_in());
    says(&guard, &["reload", "--confirm", "30s"], 0);
    says(&guard, &["confirm"], 0);
    until("it is kept", Duration::from_secs(5), || standing(&guard) == "kept");
    assert!(!ssh.logs_in());
    says(&guard, &["reload"], 0);
    assert!(says(&guard, &["panic"], 0).contains("removed"));
}

#[test]
fn a_policy_on_trial_gives_way_even_if_the_daemon_dies_or_hangs() {
    let Some(scene) = Scene::new("trials", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    for signal in [Signal::KILL, Signal::STOP] {
        std::fs::write(&scene.policy, crate::scene::POLICY).unwrap();
        let mut guard = tried(&scene, &ssh, "4s");
        guard.process().signal(signal);
        until("a way back", Duration::from_secs(30), || ssh.logs_in());
        until("the end of the daemon", Duration::from_secs(5), || guard.process().status().is_some());
        assert!(!guard::remains(&scene.lab).unwrap().is_empty(), "the policy before is in force");
        assert!(!scene.serves(Node::Phone, 4001));
        // A service manager starts it again with the policy that nobody confirmed.
        let again = scene.guard();
        assert_eq!(standing(&again), "rolled-back", "{signal:?}");
        assert!(ssh.logs_in());
        says(&again, &["panic"], 0);
    }
}

/// As a service manager does that ends the whole group and starts the daemon again.
#[test]
fn a_policy_on_trial_gives_way_when_the_watch_dies_with_the_daemon() {
    let Some(scene) = Scene::new("group", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let mut guard = tried(&scene, &ssh, "10m");
    rustix::process::kill_process(watch_of(&scene), Signal::KILL).unwrap();
    guard.process().signal(Signal::KILL);
    until("the end of the daemon", Duration::from_secs(5), || guard.process().status().is_some());
    let again = scene.guard();
    assert_eq!(standing(&again), "rolled-back");
    assert!(ssh.logs_in());
    says(&again, &["panic"], 0);
}

#[test]
fn what_is_gone_back_to_is_the_last_that_stood() {
    let Some(scene) = Scene::new("latest", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let guard = scene.guard();
    // Loaded as it is, later than what `run` began with: it has one port more.
    let latest = crate::scene::POLICY.replace("[4000]", "[4000, 4001]");
    std::fs::write(&scene.policy, &latest).unwrap();
    says(&guard, &["reload"], 0);
    std::fs::write(&scene.policy, NO_SSH).unwrap();
    says(&guard, &["reload", "--confirm", "8s"], 0);
    // A slip in the middle of a trial changes nothing of it.
    std::fs::write(&scene.policy, "nonsense").unwrap();
    assert!(says(&guard, &["reload", "--confirm", "10m"], 1).contains("the policy in force stays"));
    assert_eq!(standing(&guard), "on-trial");
    assert!(!ssh.logs_in());
    until("a way back", Duration::from_secs(20), || ssh.logs_in());
    until("the daemon has gone back", Duration::from_secs(5), || standing(&guard) == "rolled-back");
    let kept = std::fs::read_to_string(guard.state_dir().join("policy.kept")).unwrap();
    assert_eq!(kept, latest);
    let rules = scene.shell("nft list table inet ringfence").stdout;
    assert!(rules.contains("4001"), "{rules}");
    says(&guard, &["panic"], 0);
}

/// What the policy before needs beside the gate may have gone with the change that nobody confirmed.
#[test]
fn the_way_back_does_not_depend_on_files() {
    let Some(scene) = Scene::new("files", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let secret = scene.lab.dir().join("secret");
    std::fs::write(&secret, "hush").unwrap();
    std::fs::set_permissions(&secret, std::os::unix::fs::PermissionsExt::from_mode(0o600)).unwrap();
    let manager = format!(
        "{}[managers.pbx]\nkind = \"asterisk\"\nuser = \"x\"\nsecret-file = \"{}\"\n",
        crate::scene::POLICY,
        secret.display()
    );
    for signal in [None, Some(Signal::KILL)] {
        std::fs::write(&secret, "hush").unwrap();
        std::fs::write(&scene.policy, &manager).unwrap();
        let mut guard = scene.guard();
        std::fs::write(&scene.policy, NO_SSH).unwrap();
        says(&guard, &["reload", "--confirm", "4s"], 0);
        std::fs::remove_file(&secret).unwrap();
        assert!(!ssh.logs_in());
        if let Some(signal) = signal {
            guard.process().signal(signal);
            until("the end of the daemon", Duration::from_secs(5), || guard.process().status().is_some());
            guard = scene.guard();
        }
        until("a way back", Duration::from_secs(20), || ssh.logs_in());
        until("the daemon has gone back", Duration::from_secs(5), || standing(&guard) == "rolled-back");
        says(&guard, &["panic"], 0);
        std::fs::remove_file(guard.state_dir().join("policy.unconfirmed")).unwrap();
    }
}

#[test]
fn what_was_just_confirmed_is_what_is_gone_back_to() {
    let Some(scene) = Scene::new("just", TOOLS) else { return };
    let ssh = Ssh::start(&scene);
    let guard = scene.guard();
    let better = crate::scene::POLICY.replace("[4000]", "[4000, 4001]");
    std::fs::write(&scene.policy, &better).unwrap();
    says(&guard, &["reload", "--confirm", "10m"], 0);
    // At once: before the daemon could have noticed.
    std::fs::write(&scene.policy, NO_SSH).unwrap();
    let script = "\"$R\" confirm --run-dir \"$D\" && \"$R\" reload --confirm 3s --run-dir \"$D\"";
    let done = scene.shell(script);
    assert!(done.status.success(), "{}", done.text());
    until("a way back", Duration::from_secs(20), || ssh.logs_in());
    assert_eq!(std::fs::read_to_string(guard.state_dir().join("policy.kept")).unwrap(), better);
    says(&guard, &["panic"], 0);
}

/// The process that waits for a confirmation.
fn watch_of(scene: &Scene) -> Pid {
    let run_dir = scene.directory("run").display().to_string();
    let pids =
        std::fs::read_dir("/proc").unwrap().filter_map(|entry| entry.unwrap().file_name().into_string().ok());
    let is_watch = |pid: &String| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let words: Vec<&[u8]> = line.split(|byte| *byte == 0).collect();
        words.contains(&b"roll-back".as_slice()) && words.contains(&run_dir.as_bytes())
    };
    let mut pids = pids.filter(|pid| pid.parse::<i32>().is_ok()).filter(is_watch);
    let pid = pids.next().expect("a watch");
    Pid::from_raw(pid.parse().unwrap()).unwrap()
}
