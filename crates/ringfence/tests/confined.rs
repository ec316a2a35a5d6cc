//! What is left to somebody who takes the daemon over: the table of SECURITY.md is what comes of trying, and the daemon that serves is
//! confined as that table says. Root only.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use lab::{Guard, Lab, skip};
use serde_json::{Value, json};

const POLICY: &str = "signatures = []\n[services]\nsip = { udp = [5060], tcp = [5060], inspect = true }\n";
const BEGIN: &str = "<!-- tried -->\n";
const END: &str = "<!-- end -->\n";
/// What stands in the way of what is refused, where that is not the list of system calls.
const BY_FILES: &[&str] = &[
    "write to a file of root's elsewhere",
    "remove a file of root's elsewhere",
    "run a program that it has written",
    "run a program from elsewhere",
];
const BY_SCOPE: &str = "send a signal to another process";
const BY_CAPABILITIES: &[&str] = &[
    "give a file to another user",
    "listen on a port below 1024",
    "see what another process has open",
    "open the memory of another process",
];

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

/// The version of Landlock that this kernel has; 0 without it.
fn landlock() -> i64 {
    let script = "import ctypes; print(ctypes.CDLL(None).syscall(444, None, 0, 1))";
    let said = Command::new("python3").args(["-c", script]).output().unwrap();
    String::from_utf8(said.stdout).unwrap().trim().parse::<i64>().unwrap().max(0)
}

/// What would refuse an act.
fn obstacle(act: &str, outcome: &str) -> &'static str {
    if outcome == "yes" {
        ""
    } else if BY_FILES.contains(&act) {
        "Landlock"
    } else if act == BY_SCOPE {
        "Landlock 6 (Linux 6.12)"
    } else if BY_CAPABILITIES.contains(&act) {
        "capabilities"
    } else {
        "system calls"
    }
}

fn table(outcomes: &[(String, String)]) -> String {
    let mut text = "| tries to | may it | else for want of |\n|---|---|---|\n".to_owned();
    for (act, outcome) in outcomes {
        text.push_str(&format!("| {act} | {outcome} | {} |\n", obstacle(act, outcome)));
    }
    text
}

#[test]
fn what_somebody_tries_who_took_it_over_comes_to_what_is_documented() {
    if !skip::ready("what_somebody_tries", &["nft", "ip", "python3", "unshare"]) {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (own, other) = (folder.path().join("own"), folder.path().join("other"));
    for folder in [&own, &other] {
        fs::create_dir(folder).unwrap();
        fs::copy("/bin/true", folder.join("program")).unwrap();
    }
    fs::write(other.join("file"), "").unwrap();
    fs::write(other.join("there"), "").unwrap();
    let mut other_process = Command::new("sleep").arg("60").spawn().unwrap();
    let tried = Command::new("unshare")
        .arg("--net")
        .arg(binary())
        .arg("confined")
        .arg("--writable")
        .arg(&own)
        .args(["--", "python3", concat!(env!("CARGO_MANIFEST_DIR"), "/tests/confined/acts.py")])
        .args([&own, &other])
        .arg(other_process.id().to_string())
        // Of the system: what else there may be is made of programs that are elsewhere.
        .env("PATH", "/usr/sbin:/usr/bin:/sbin:/bin")
        .output()
        .unwrap();
    other_process.kill().unwrap();
    other_process.wait().unwrap();
    let said = String::from_utf8(tried.stdout).unwrap();
    assert!(tried.status.success(), "{said}{}", String::from_utf8_lossy(&tried.stderr));
    let mut outcomes: Vec<(String, String)> = said
        .lines()
        .map(|line| line.split_once('\t').unwrap())
        .map(|(act, outcome)| (act.to_owned(), outcome.to_owned()))
        .collect();
    // What a kernel without Landlock lets through is in the document as what one with it refuses.
    let version = landlock();
    for (act, outcome) in &mut outcomes {
        let needs = if BY_FILES.contains(&act.as_str()) { 1 } else { 6 };
        if (BY_FILES.contains(&act.as_str()) || act == BY_SCOPE) && version < needs {
            assert_eq!(outcome, "yes", "{act}, with Landlock {version}");
            println!("this kernel has Landlock {version}, so it may: {act}");
            *outcome = "no".to_owned();
        }
    }
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../SECURITY.md");
    let document = fs::read_to_string(&path).unwrap();
    let (head, rest) = document.split_once(BEGIN).unwrap();
    let (documented, tail) = rest.split_once(END).unwrap();
    let found = table(&outcomes);
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        fs::write(&path, format!("{head}{BEGIN}{found}{END}{tail}")).unwrap();
        return;
    }
    assert_eq!(documented, found, "`UPDATE_GOLDEN=1` writes what was found into SECURITY.md");
}

/// A field of every thread of a process.
fn fields(pid: u64, name: &str) -> Vec<String> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap().flatten();
    let texts = threads.filter_map(|thread| fs::read_to_string(thread.path().join("status")).ok());
    let field = |text: String| {
        text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).unwrap().trim().to_owned()
    };
    texts.map(field).collect()
}

fn status(guard: &Guard<'_>) -> Value {
    serde_json::from_str(&guard.command(&["status", "--verify", "--format", "json"]).unwrap().stdout).unwrap()
}

#[test]
fn the_daemon_that_serves_is_confined_and_works() {
    if !skip::ready("the_daemon_that_serves_is_confined", &["bpftool", "nft", "python3"]) {
        return;
    }
    let lab = Lab::up("confined").unwrap();
    let policy = lab.dir().join("policy.toml");
    fs::write(&policy, POLICY).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let done = |args: &[&str]| {
        let done = guard.command(args).unwrap();
        assert!(done.status.success(), "{args:?}: {}", done.text());
        done.text()
    };
    done(&["ban", "203.0.113.9", "--for", "10m"]);
    done(&["reload"]);
    done(&["reload", "--confirm", "60s"]);
    done(&["confirm"]);
    let now = status(&guard);
    assert_eq!((&now["enforced"], &now["agree"]), (&json!(true), &json!(1)), "{now:#}");

    let version = landlock();
    let landlock = if version == 0 { Value::Null } else { json!(version.min(10)) };
    let kept = json!(["CAP_DAC_READ_SEARCH", "CAP_NET_ADMIN", "CAP_PERFMON", "CAP_BPF"]);
    let confined = &now["confined"];
    let told =
        ["capabilities", "no_new_privs", "seccomp", "landlock", "switched_off"].map(|name| &confined[name]);
    assert_eq!(told, [&kept, &json!(true), &json!(true), &landlock, &json!(false)], "{confined:#}");
    assert_eq!(confined["missing"].as_array().unwrap().len(), usize::from(version == 0), "{confined:#}");
    let processes = &confined["processes"];
    assert_eq!(processes["sessions"]["capabilities"], json!(["CAP_DAC_READ_SEARCH", "CAP_SYS_PTRACE"]));
    assert_eq!(
        (&processes["fetchers"]["user"], &processes["fetchers"]["capabilities"]),
        (&json!(65534), &json!([]))
    );
    assert!(
        done(&["status"]).contains("confined    to 4 capabilities, system calls"),
        "{}",
        done(&["status"])
    );

    let pid = now["pid"].as_u64().unwrap();
    // CAP_DAC_READ_SEARCH 2, CAP_NET_ADMIN 12, CAP_PERFMON 38, CAP_BPF 39.
    let most = 1_u64 << 2 | 1 << 12 | 1 << 38 | 1 << 39;
    for name in ["CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb"] {
        for set in fields(pid, name) {
            assert_eq!(u64::from_str_radix(&set, 16).unwrap() & !most, 0, "{name} {set}");
        }
    }
    assert!(fields(pid, "NoNewPrivs").iter().all(|one| one == "1"));
    assert!(fields(pid, "Seccomp").iter().all(|one| one == "2"));
    done(&["stop", "--clean"]);
}

#[test]
fn whoever_switches_it_off_is_told() {
    if !skip::ready("whoever_switches_it_off_is_told", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("unconfined").unwrap();
    let policy = lab.dir().join("policy.toml");
    fs::write(&policy, POLICY).unwrap();
    let guard = Guard::start_with(&lab, &binary(), &policy, &["--no-confine"]).unwrap();
    let now = status(&guard);
    // Whoever runs the tests may have given up something himself.
    let told = (&now["confined"]["switched_off"], &now["confined"]["landlock"], &now["enforced"]);
    assert_eq!(told, (&json!(true), &Value::Null, &json!(true)), "{now:#}");
    let text = guard.command(&["status"]).unwrap().stdout;
    assert!(text.contains("confined    NO: started with --no-confine"), "{text}");
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}
