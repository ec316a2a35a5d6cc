//! A lab leaves nothing behind, however its owner ends. Root only.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use lab::probe::{self, IcmpError, Listener, TcpProbe, UdpProbe};
use lab::{Lab, Node, skip};

const LIMIT: Duration = Duration::from_secs(2);
const DIE: &str = "RINGFENCE_LAB_TEST_DIE";

fn namespaces(id: &str) -> Vec<String> {
    let listed: Vec<std::fs::DirEntry> =
        std::fs::read_dir("/run/netns").map(|dir| dir.flatten().collect()).unwrap_or_default();
    let names = listed.into_iter().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| name.starts_with(&format!("rf-{id}-"))).collect()
}

fn mounts_below(dir: &Path) -> usize {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap_or_default();
    let dir = dir.to_string_lossy().into_owned();
    mounts.lines().filter(|line| line.contains(&dir)).count()
}

fn lives(pid: u32) -> bool {
    // A killed process may stay as a zombie when nobody reaps orphans here.
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

#[test]
fn dropping_removes_everything() {
    if !skip::ready("dropping_removes_everything", &[]) {
        return;
    }
    let lab = Lab::up("drop").unwrap();
    let (id, dir) = (lab.id().to_owned(), lab.dir());
    let mut command = lab.command(Node::Pbx, "sh");
    command.args(["-c", "sleep 300 & sleep 300"]);
    let process = lab.spawn("sleep", command).unwrap();
    assert_eq!(namespaces(&id).len(), Node::ALL.len());
    assert_eq!(mounts_below(&dir), 1, "its bpffs");
    assert!(lives(process.id()));

    drop(lab);
    assert!(namespaces(&id).is_empty());
    assert!(!dir.exists());
    assert_eq!(mounts_below(&dir), 0);
    assert!(!lives(process.id()));
}

#[test]
fn a_panic_removes_everything() {
    if !skip::ready("a_panic_removes_everything", &[]) {
        return;
    }
    let id = format!("panic-{}", std::process::id());
    let failed = std::panic::catch_unwind(|| {
        let lab = Lab::up("panic").unwrap();
        assert_eq!(namespaces(lab.id()).len(), Node::ALL.len());
        lab.inside(Node::Pbx, || assert_eq!(1, 2, "on purpose")).unwrap();
    });
    let panic = failed.unwrap_err();
    assert!(panic.downcast_ref::<String>().is_some_and(|text| text.contains("on purpose")));
    assert!(namespaces(&id).is_empty());
}

#[test]
fn remains_of_a_dead_run_are_removed_and_living_labs_are_not() {
    let test = "remains_of_a_dead_run_are_removed_and_living_labs_are_not";
    if !skip::ready(test, &[]) {
        return;
    }
    if std::env::var_os(DIE).is_some() {
        let lab = Lab::up("dead").unwrap();
        let mut command = lab.command(Node::Phone, "sleep");
        command.arg("300");
        let process = lab.spawn("sleep", command).unwrap();
        std::fs::write(std::env::var_os(DIE).unwrap(), format!("{} {}", lab.id(), process.id())).unwrap();
        std::process::abort();
    }
    let note = std::env::temp_dir().join(format!("ringfence-lab-dead-{}", std::process::id()));
    let living = Lab::up("living").unwrap();
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args(["--exact", test, "--quiet"]).env(DIE, &note);
    assert!(!child.output().unwrap().status.success());
    let noted = std::fs::read_to_string(&note).unwrap();
    std::fs::remove_file(&note).unwrap();
    let (id, pid) = noted.split_once(' ').unwrap();
    let pid: u32 = pid.parse().unwrap();
    // Another test's lab may have come up since and have tidied already.

    let next = Lab::up("next").unwrap();
    assert!(namespaces(id).is_empty(), "{id} is swept");
    assert!(!lives(pid), "its process is ended");
    assert_eq!(namespaces(living.id()).len(), Node::ALL.len(), "a living lab is left alone");
    assert_eq!(namespaces(next.id()).len(), Node::ALL.len());
    let listed = lab::list().unwrap();
    let of = |id: &str| listed.iter().find(|lab| lab.id == id).map(|lab| (lab.kept, lab.owned));
    assert_eq!(of(living.id()), Some((false, true)));
    assert_eq!(of(id), None);
}

#[test]
fn a_lab_made_to_stay_stays_until_it_is_taken_down() {
    if !skip::ready("a_lab_made_to_stay_stays_until_it_is_taken_down", &[]) {
        return;
    }
    let name = format!("stay{}", std::process::id());
    drop(Lab::up_to_stay(&name).unwrap());
    assert!(Lab::up_to_stay(&name).is_err(), "the name is taken");
    let other = Lab::up("sweeper").unwrap();
    assert_eq!(namespaces(&name).len(), Node::ALL.len());
    let found = Lab::find(&name).unwrap();
    assert!(found.must(Node::Phone, ["true"]).is_ok());
    drop(found);
    Lab::down(&name).unwrap();
    assert!(namespaces(&name).is_empty());
    assert!(Lab::find(&name).is_err());
    drop(other);
}

#[test]
fn probes_tell_refusals_apart() {
    if !skip::ready("probes_tell_refusals_apart", &["ping", "nft"]) {
        return;
    }
    let lab = Lab::up("probe").unwrap();
    let v4 = |port| SocketAddr::from((Node::Pbx.v4(), port));
    let v6 = |port| SocketAddr::from((Node::Pbx.v6(), port));
    let tcp = |to| probe::tcp(&lab, Node::Attacker, to, LIMIT).unwrap();
    let udp = |to| probe::udp(&lab, Node::Attacker, to, b"hello", LIMIT).unwrap();
    let _tcp = Listener::tcp(&lab, Node::Pbx, 80).unwrap();
    let _udp = Listener::udp_echo(&lab, Node::Pbx, 15_000).unwrap();
    lab.must(
        Node::Pbx,
        [
            "nft",
            "add table inet t; add chain inet t i { type filter hook input priority 0; }; \
             add rule inet t i th dport 81 drop; \
             add rule inet t i th dport 83 meta nfproto ipv4 reject with icmp type host-prohibited; \
             add rule inet t i th dport 83 meta nfproto ipv6 reject with icmpv6 type admin-prohibited; \
             add rule inet t i tcp dport 84 reject with icmpx type port-unreachable",
        ],
    )
    .unwrap();

    for (open, closed, dropped, prohibited, unreachable, prohibition) in [
        (v4(80), v4(82), v4(81), v4(83), v4(84), IcmpError::HostProhibited),
        (v6(80), v6(82), v6(81), v6(83), v6(84), IcmpError::AdminProhibited),
    ] {
        assert_eq!(tcp(open), TcpProbe::Open);
        assert_eq!(tcp(closed), TcpProbe::RefusedRst);
        assert_eq!(tcp(dropped), TcpProbe::Timeout);
        assert_eq!(tcp(prohibited), TcpProbe::Icmp(prohibition));
        assert_eq!(tcp(unreachable), TcpProbe::Icmp(IcmpError::PortUnreachable));
        assert_eq!(udp(prohibited), UdpProbe::Icmp(prohibition));
        assert_eq!(udp(dropped), UdpProbe::Silent);
        assert_eq!(udp(closed), UdpProbe::Icmp(IcmpError::PortUnreachable));
        assert!(probe::ping(&lab, Node::Attacker, open.ip()).unwrap());
    }
    assert_eq!(udp(v4(15_000)), UdpProbe::Reply(b"hello".to_vec()));
    assert_eq!(udp(v6(15_000)), UdpProbe::Reply(b"hello".to_vec()));
    assert_eq!(probe::read_banner(&lab, Node::Phone, v4(80), LIMIT).unwrap(), "hello\n");
}
