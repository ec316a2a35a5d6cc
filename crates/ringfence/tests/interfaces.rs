//! Interfaces that come and go while the daemon runs, and kernels without TC links, through the real program. Root only.

#![expect(clippy::panic, clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use lab::{Guard, Lab, Node, guard, skip};
use serde_json::Value;

const TOOLS: &[&str] = &["bpftool", "nft"];

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

fn sample() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../samples/asterisk.rules").canonicalize().unwrap()
}

fn ip(lab: &Lab, words: &str) {
    let output = lab.command(Node::Pbx, "ip").args(words.split(' ')).output().unwrap();
    assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
}

fn status(guard: &Guard<'_>) -> Value {
    let output = guard.command(&["status", "--format", "json"]).unwrap();
    serde_json::from_str(&output.stdout).unwrap_or_else(|error| panic!("{error}: {}", output.text()))
}

/// The mode in which an interface is guarded.
fn mode(status: &Value, name: &str) -> Option<String> {
    let all = status["interfaces"].as_array().unwrap();
    let one = all.iter().find(|one| one["name"] == name)?;
    Some(one["mode"].as_str().unwrap().to_owned())
}

/// Waits until the daemon has said this line.
fn wait_for(guard: &mut Guard<'_>, line: &str) {
    let deadline = Instant::now() + Duration::from_secs(5);
    while !guard.process().stderr().lines().any(|said| said == line) {
        assert!(Instant::now() < deadline, "no `{line}` in:\n{}", guard.process().stderr());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn clean(lab: &Lab, guard: &Guard<'_>) {
    let stopped = guard.command(&["stop", "--clean"]).unwrap();
    assert!(stopped.status.success(), "{}", stopped.text());
    assert_eq!(guard::remains(lab).unwrap(), [""; 0]);
}

#[test]
fn a_named_interface_is_guarded_when_it_comes() {
    if !skip::ready("a_named_interface_is_guarded_when_it_comes", TOOLS) {
        return;
    }
    let lab = Lab::up("late").unwrap();
    let mut guard = Guard::start_with(&lab, &binary(), &sample(), &["--interface", "late0"]).unwrap();
    assert_eq!(guard.ready(), "ready: eth0 (driver), late0 (waiting)");
    let warning = "warning: there is no interface `late0` yet; it is guarded when it appears (the interfaces here are: lo, eth0)";
    wait_for(&mut guard, warning);
    let before = status(&guard);
    assert_eq!((&before["enforced"], &before["waiting"][0]), (&true.into(), &"late0".into()), "{before}");
    let text = guard.command(&["status"]).unwrap().stdout;
    assert!(text.contains("interfaces  eth0 (driver), late0 (waiting)\n"), "{text}");

    ip(&lab, "link add late0 type veth peer name far0");
    wait_for(&mut guard, "guarding late0 (driver)");
    let there = status(&guard);
    assert_eq!(mode(&there, "late0").as_deref(), Some("driver"));
    assert_eq!(there["waiting"], Value::Array(Vec::new()));
    assert_eq!(mode(&there, "far0"), None, "nobody named it");

    ip(&lab, "link set late0 down");
    ip(&lab, "link set late0 up");
    assert_eq!(status(&guard)["enforced"], true, "a link that is down keeps its program");

    ip(&lab, "link del late0");
    wait_for(&mut guard, "no longer guarding late0");
    assert_eq!(status(&guard)["waiting"][0], "late0");
    ip(&lab, "link add late1 type veth peer name far0");
    ip(&lab, "link set late1 name late0");
    wait_for(&mut guard, "guarding late0 (driver)");
    let again = status(&guard);
    assert_eq!((mode(&again, "late0").as_deref(), &again["enforced"]), (Some("driver"), &true.into()));

    // Also what came while no daemon ran.
    guard.process().kill();
    ip(&lab, "link del late0");
    ip(&lab, "link add late0 type veth peer name far0");
    let second = Guard::start_with(&lab, &binary(), &sample(), &["--interface", "late0"]).unwrap();
    assert_eq!(second.ready(), "ready: eth0 (driver), late0 (driver)");
    clean(&lab, &second);
}

#[test]
fn the_daemon_goes_with_all_interfaces() {
    if !skip::ready("the_daemon_goes_with_all_interfaces", TOOLS) {
        return;
    }
    let lab = Lab::up("goes").unwrap();
    let mut guard = Guard::start_before(&lab, &binary(), &sample(), &[], &[]).unwrap();
    assert_eq!(guard.ready(), "ready: lo (tc), eth0 (driver)");
    ip(&lab, "link add tun9x type veth peer name far0");
    wait_for(&mut guard, "guarding tun9x (driver)");
    wait_for(&mut guard, "guarding far0 (driver)");
    ip(&lab, "link set far0 name near0");
    wait_for(&mut guard, "guarding near0 (driver)");
    ip(&lab, "tuntap add dev tun8 mode tun");
    let deadline = Instant::now() + Duration::from_secs(5);
    while mode(&status(&guard), "tun8").is_none() {
        assert!(Instant::now() < deadline, "{}", guard.process().stderr());
    }

    // A bridge takes over from what becomes its port, and gives it back.
    ip(&lab, "link add br9 type bridge");
    wait_for(&mut guard, "guarding br9 (generic)");
    ip(&lab, "link set near0 master br9");
    wait_for(&mut guard, "no longer guarding near0");
    assert_eq!(mode(&status(&guard), "near0"), None);
    ip(&lab, "link set near0 nomaster");
    let deadline = Instant::now() + Duration::from_secs(5);
    while mode(&status(&guard), "near0").is_none() {
        assert!(Instant::now() < deadline, "{}", guard.process().stderr());
    }
    assert_eq!(status(&guard)["enforced"], true);
    clean(&lab, &guard);
}

#[test]
fn nothing_to_guard_is_not_called_enforced() {
    if !skip::ready("nothing_to_guard_is_not_called_enforced", TOOLS) {
        return;
    }
    let lab = Lab::up("nowhere").unwrap();
    let guard = Guard::start_before(&lab, &binary(), &sample(), &["eth9"], &[]).unwrap();
    assert_eq!(guard.ready(), "ready: eth9 (waiting)");
    let status = status(&guard);
    assert_eq!(status["enforced"], false, "{status}");
    assert_eq!(
        status["faults"][0], "the gate stands before no interface: none of the named ones is there",
        "{status}"
    );
    clean(&lab, &guard);
}

#[test]
fn classic_filters_outlive_a_killed_daemon_and_are_taken_over() {
    if !skip::ready("classic_filters_outlive_a_killed_daemon_and_are_taken_over", TOOLS) {
        return;
    }
    let lab = Lab::up("old").unwrap();
    let environment = [("RINGFENCE_NO_TCX", "1")];
    let interfaces = ["eth0", "lo"];
    let mut first = Guard::start_before(&lab, &binary(), &sample(), &interfaces, &environment).unwrap();
    assert_eq!(first.ready(), "ready: eth0 (driver), lo (tc filter)");
    first.process().kill();
    let hooks = lab.must(Node::Pbx, ["tc", "filter", "show", "dev", "lo", "ingress"]).unwrap().stdout;
    assert!(hooks.contains("ringfence_tc") && hooks.contains("direct-action"), "{hooks}");

    let mut second = Guard::start_before(&lab, &binary(), &sample(), &interfaces, &environment).unwrap();
    let before = status(&second);
    assert_eq!((&before["enforced"], &before["interfaces"][1]["adopted"]), (&true.into(), &true.into()));
    let reloaded = second.command(&["reload"]).unwrap();
    assert!(reloaded.status.success(), "{}", reloaded.text());
    assert_eq!(status(&second)["enforced"], true);
    let hooks = lab.must(Node::Pbx, ["tc", "filter", "show", "dev", "lo", "ingress"]).unwrap().stdout;
    assert_eq!(hooks.matches("handle").count(), 1, "{hooks}");

    second.process().kill();
    clean(&lab, &second);
}
