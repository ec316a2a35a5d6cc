//! The real fail2ban, banning through Ringfence with the action that is shipped. Root only.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Guard, Lab, Node, Process, skip};
use serde_json::Value;

const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
const TOOLS: &[&str] = &["bpftool", "fail2ban-server", "nft"];
const JAIL: &str = "asterisk";
const POLICY: &str = "signatures = []\n[services]\nsip = { udp = [5060], inspect = true }\n";

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

/// A fail2ban with files of its own, and Debian's filter for Asterisk.
struct Fail2ban<'lab> {
    lab: &'lab Lab,
    base: PathBuf,
    _process: Process,
}

impl<'lab> Fail2ban<'lab> {
    fn start(lab: &'lab Lab, bantime: &str) -> Self {
        let base = lab.dir().join("fail2ban");
        let _ = fs::remove_dir_all(&base);
        fs::create_dir_all(base.join("action.d")).unwrap();
        std::os::unix::fs::symlink("/etc/fail2ban/filter.d", base.join("filter.d")).unwrap();
        let action =
            Path::new(env!("CARGO_MANIFEST_DIR")).join("../../packaging/fail2ban/action.d/ringfence.conf");
        fs::copy(action, base.join("action.d/ringfence.conf")).unwrap();
        let at = |name: &str| base.join(name).display().to_string();
        fs::write(base.join("pbx.log"), "").unwrap();
        let main = format!(
            "[Definition]\nloglevel = INFO\nlogtarget = {}\nsyslogsocket = auto\nsocket = {}\npidfile = {}\ndbfile = {}\n\
             dbpurgeage = 1d\ndbmaxmatches = 10\n",
            at("log"),
            at("sock"),
            at("pid"),
            at("db")
        );
        fs::write(base.join("fail2ban.conf"), main).unwrap();
        let options = format!("--run-dir {}", lab.dir().join("ringfence/run").display());
        let jail = format!(
            "[DEFAULT]\nbackend = polling\nusedns = no\nfindtime = 10m\nmaxretry = 2\nbantime = {bantime}\nfilter = %(__name__)s\n\
             [{JAIL}]\nenabled = true\nlogpath = {}\n\
             action = ringfence[name=%(__name__)s, banoptions=\"--all-ports\", ringfence=\"{}\", options=\"{options}\"]\n",
            at("pbx.log"),
            binary().display()
        );
        fs::write(base.join("jail.conf"), jail).unwrap();
        let mut command = lab.command(Node::Pbx, "fail2ban-server");
        command.args(["-c", &base.display().to_string(), "-s", &at("sock"), "-p", &at("pid"), "-f", "start"]);
        let process = lab.spawn("fail2ban", command).unwrap();
        let fail2ban = Self { lab, base, _process: process };
        let deadline = Instant::now() + Duration::from_secs(20);
        while !fail2ban.log().contains(&format!("Jail '{JAIL}' started")) {
            assert!(Instant::now() < deadline, "{}", fail2ban.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        fail2ban
    }

    fn log(&self) -> String {
        fs::read_to_string(self.base.join("log")).unwrap_or_default()
    }

    fn client(&self, args: &[&str]) {
        let mut command = self.lab.command(Node::Pbx, "fail2ban-client");
        command.args(["-c", &self.base.display().to_string()]);
        command.args(["-s", &self.base.join("sock").display().to_string()]).args(args);
        let done = lab::run(command, Duration::from_secs(20)).unwrap();
        assert!(done.status.success(), "{args:?}: {}{}", done.text(), self.log());
    }

    /// As Asterisk logs a wrong password.
    fn wrong_password(&self, from: IpAddr) {
        let date = self.lab.must(Node::Pbx, ["date", "+%Y-%m-%d %H:%M:%S"]).unwrap().stdout;
        let mut log = fs::OpenOptions::new().append(true).open(self.base.join("pbx.log")).unwrap();
        writeln!(
            log,
            "[{}] NOTICE[1234] chan_sip.c: Registration from '<sip:100@198.51.100.10>' failed for '{from}:5060' - Wrong password",
            date.trim()
        )
        .unwrap();
    }

    /// No command of the action failed.
    fn assert_no_errors(&self) {
        let log = self.log();
        assert!(!log.contains("ERROR"), "{log}");
    }
}

/// Who banned the attacker, in the order in which they rule; and whether he is banned in the kernel.
fn bans(guard: &Guard<'_>) -> (Vec<Value>, bool) {
    let why = guard.command(&["why", &ATTACKER.to_string(), "--format", "json"]).unwrap();
    let why: Value = serde_json::from_str(why.stdout.lines().next().unwrap()).unwrap();
    (why["active"].as_array().unwrap().clone(), why["in_kernel"] == true)
}

fn wait_until(what: &str, fail2ban: &Fail2ban<'_>, mut is_so: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(20);
    while !is_so() {
        assert!(Instant::now() < deadline, "{what}: {}", fail2ban.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn fail2ban_bans_and_unbans_through_ringfence() {
    if !skip::ready("fail2ban_bans_and_unbans_through_ringfence", TOOLS) {
        return;
    }
    let lab = Lab::up("fail2ban").unwrap();
    let policy = lab.dir().join("policy.toml");
    fs::write(&policy, POLICY).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let fail2ban = Fail2ban::start(&lab, "1h");
    fail2ban.wrong_password(ATTACKER);
    fail2ban.wrong_password(ATTACKER);
    wait_until("banned", &fail2ban, || bans(&guard).1);
    let (active, _) = bans(&guard);
    assert_eq!(active.len(), 1, "{active:#?}");
    assert_eq!(active[0]["by"], "feed:fail2ban.asterisk");
    assert_eq!(active[0]["detail"], "fail2ban asterisk: 2 failures");
    assert!(active[0]["until"].is_string(), "{active:#?}");
    assert_eq!(active[0]["scope"], "all");

    println!("{}", guard.command(&["bans", "--by", "feed:fail2ban.asterisk"]).unwrap().stdout);

    // What the operator has banned stays when fail2ban lifts its own.
    assert!(guard.command(&["ban", &ATTACKER.to_string(), "--reason", "mine"]).unwrap().status.success());
    fail2ban.client(&["set", JAIL, "unbanip", &ATTACKER.to_string()]);
    wait_until("lifted", &fail2ban, || bans(&guard).0.len() == 1);
    let (active, in_kernel) = bans(&guard);
    assert_eq!((&active[0]["by"], in_kernel), (&"operator".into(), true));
    let not_his = guard.command(&["unban", &ATTACKER.to_string(), "--by", "detector"]).unwrap();
    assert_eq!(not_his.status.code(), Some(1), "{}", not_his.text());
    assert!(bans(&guard).1, "what somebody else has banned stays in the kernel");
    assert!(guard.command(&["unban", &ATTACKER.to_string(), "--by", "operator"]).unwrap().status.success());
    assert_eq!(bans(&guard), (Vec::new(), false));

    // By hand, through fail2ban; and what is over already is no error.
    fail2ban.client(&["set", JAIL, "banip", &ATTACKER.to_string()]);
    wait_until("banned by hand", &fail2ban, || bans(&guard).1);
    assert!(guard.command(&["unban", &ATTACKER.to_string()]).unwrap().status.success());
    fail2ban.client(&["set", JAIL, "unbanip", &ATTACKER.to_string()]);
    // All at once.
    fail2ban.client(&["set", JAIL, "banip", &ATTACKER.to_string()]);
    wait_until("banned again", &fail2ban, || bans(&guard).1);
    fail2ban.client(&["unban", "--all"]);
    wait_until("all lifted", &fail2ban, || !bans(&guard).1);
    fail2ban.assert_no_errors();
    println!("{}", fail2ban.log());
    drop(fail2ban);

    // For ever.
    let fail2ban = Fail2ban::start(&lab, "-1");
    fail2ban.client(&["set", JAIL, "banip", &ATTACKER.to_string()]);
    wait_until("banned for ever", &fail2ban, || bans(&guard).1);
    assert_eq!(bans(&guard).0[0]["until"], Value::Null);
    fail2ban.assert_no_errors();
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}
