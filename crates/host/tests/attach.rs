//! Where the gate is attached, and that it goes as it came: with TC links and with the classic filters of kernels before
//! 6.6, beside programs and filters of others. Needs root.
#![expect(
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a test says what it did, and fails by panicking"
)]

use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use aya::programs::links::FdLink;
use aya::programs::{Xdp, XdpMode};
use aya::{Ebpf, EbpfLoader};
use gate::layout::{CAPTURES, Event, VERSION, map};
use gate::memory::GateTables;
use host::gate::{Fault, Gate, Mode};
use host::machine::{Interface, select};
use lab::probe::{self, Listener, UdpProbe};
use lab::{Lab, Node, guard, skip};
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::Tag;

/// Others may have programs like ours: what tells ours apart is where they are pinned or written down.
static OBJECT: &[u8] = aya::include_bytes_aligned!("../../../bpf/gate.bpf.o");
const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const CLSACT: &str = "tc: qdisc clsact ffff: dev eth0 parent ffff:fff1 ";

fn tables(flags: u32) -> GateTables {
    let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/asterisk.rules");
    let policy = Policy::parse(rules, std::fs::read(rules).unwrap());
    let policy = policy.unwrap_or_else(|mistakes| panic!("{mistakes:#?}"));
    let plan = Plan::new(&policy, policy::plan::nft::Mode::Enforce, Tag::default());
    let mut tables = plan.unwrap_or_else(|mistakes| panic!("{mistakes:#?}")).gate.tables;
    tables.config.flags |= flags;
    tables.config.events_per_second = 1000;
    tables
}

fn pins(lab: &Lab) -> PathBuf {
    lab.bpffs().join("gate")
}

/// Runs `work` in the PBX's namespace. Reading the tables back takes more stack than a test's thread has.
fn inside(lab: &Lab, work: impl FnOnce() + Send) {
    let large = || {
        std::thread::scope(|scope| {
            let thread = std::thread::Builder::new().stack_size(32 << 20).spawn_scoped(scope, work).unwrap();
            if let Err(failure) = thread.join() {
                std::panic::resume_unwind(failure);
            }
        });
    };
    lab.inside(Node::Pbx, large).unwrap();
}

/// A gate before `eth0` of the lab's PBX.
fn attached(lab: &Lab, flags: u32, tc_links: bool) -> Gate {
    let mut gate = Gate::load(&tables(flags), &pins(lab)).unwrap();
    if !tc_links {
        gate = gate.without_tc_links();
    }
    attach(lab, &mut gate);
    gate
}

fn attach(lab: &Lab, gate: &mut Gate) {
    let interfaces = eth0();
    gate.attach(&interfaces, &[]).unwrap();
    assert_eq!(faults(gate), [], "{:?} in {}", gate.guarded().collect::<Vec<_>>(), lab.id());
}

fn eth0() -> Vec<Interface> {
    select(&["eth0".to_owned()], &[]).unwrap().interfaces
}

fn faults(gate: &Gate) -> Vec<Fault> {
    gate.faults()
}

fn modes(gate: &Gate) -> (Vec<Mode>, Vec<Mode>) {
    (gate.guarded().map(|one| one.mode).collect(), gate.watched().map(|one| one.mode).collect())
}

fn remove(lab: &Lab) -> usize {
    host::gate::remove(&pins(lab)).unwrap().len()
}

fn remains(lab: &Lab) -> Vec<String> {
    let all = guard::remains(lab).unwrap();
    all.into_iter().filter(|line| !line.starts_with("pin: ") || !line.ends_with("/gate")).collect()
}

/// A program at XDP that is not ours, and lets everything pass; gone when dropped.
fn foreign_xdp(mode: XdpMode) -> (Ebpf, FdLink) {
    let config = tables(0).config;
    let mut loader = EbpfLoader::new();
    let mut ebpf = loader.override_global(map::CONFIG, &config, true).load(OBJECT).unwrap();
    let program: &mut Xdp = ebpf.program_mut("ringfence_xdp").unwrap().try_into().unwrap();
    program.load().unwrap();
    let id = program.attach_to_if_index(eth0()[0].index, mode).unwrap();
    let link = program.take_link(id).unwrap().try_into().unwrap();
    (ebpf, link)
}

/// Sends a datagram to the PBX, which answers, and counts the events about the one and the other.
fn seen(lab: &Lab, gate: &mut Gate) -> (usize, usize) {
    let _echo = Listener::udp_echo(lab, Node::Pbx, 5060).unwrap();
    let mut events = gate.take_events().unwrap();
    let to = SocketAddr::new(PBX, 5060);
    let answer = probe::udp(lab, Node::Phone, to, b"hello", Duration::from_secs(2)).unwrap();
    assert_eq!(answer, UdpProbe::Reply(b"hello".to_vec()), "{:?}", gate.counts());
    let mut found = (0, 0);
    while let Some(record) = events.next() {
        let event = Event::from_bytes(&record).unwrap();
        match (event.outgoing, event.source_port, event.destination_port) {
            (0, _, 5060) => found.0 += 1,
            (1, 5060, _) => found.1 += 1,
            _ => {}
        }
    }
    found
}

#[test]
fn what_an_older_version_attached_is_taken_over() {
    if !skip::ready("what_an_older_version_attached_is_taken_over", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("older").unwrap();
    let [ours, older, newer, ancient] =
        [VERSION, VERSION - 1, VERSION + 1, 2].map(|version| pins(&lab).join(format!("v{version}")));
    inside(&lab, || {
        drop(attached(&lab, CAPTURES, true));
        std::fs::rename(&ours, &older).unwrap();
        let gate = attached(&lab, CAPTURES, true);
        assert!(gate.guarded().chain(gate.watched()).all(|one| one.adopted), "no moment without a program");
        assert_eq!(faults(&gate), []);
        assert!(ours.exists() && !older.exists());
        drop(gate);
        for other in [newer, ancient] {
            std::fs::rename(&ours, &other).unwrap();
            assert!(Gate::load(&tables(CAPTURES), &pins(&lab)).is_err(), "{}", other.display());
            std::fs::rename(&other, &ours).unwrap();
        }
    });
}

#[test]
fn answers_are_watched_only_where_the_policy_asks() {
    if !skip::ready("answers_are_watched_only_where_the_policy_asks", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("egress").unwrap();
    let out = pins(&lab).join(format!("v{VERSION}/links/out-eth0"));
    inside(&lab, || {
        let mut first = attached(&lab, CAPTURES, true);
        assert_eq!(modes(&first).1, [Mode::Tc]);
        assert!(out.exists());
        assert_eq!(seen(&lab, &mut first), (1, 1));

        // A reload switches the same link.
        let mut second = attached(&lab, CAPTURES, true);
        assert!(second.watched().all(|one| one.adopted));
        assert!(matches!(faults(&first)[..], [Fault::OtherProgram { .. }, Fault::Unwatched { .. }]));
        assert_eq!(seen(&lab, &mut second), (1, 1));

        // Whoever removes it is found out.
        std::fs::remove_file(&out).unwrap();
        assert_eq!(faults(&second), [Fault::Unwatched { interface: "eth0".to_owned() }]);
        let third = attached(&lab, CAPTURES, true);
        assert!(out.exists());
        let fourth = attached(&lab, 0, true);
        assert!(!out.exists(), "nobody asks for it any more");
        assert_eq!(modes(&fourth).1, []);
        drop((third, fourth));
        assert_eq!(remove(&lab), 1);
    });
    assert_eq!(remains(&lab), [""; 0]);
}

#[test]
fn without_tc_links_classic_filters_do_the_same() {
    if !skip::ready("without_tc_links_classic_filters_do_the_same", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("filters").unwrap();
    inside(&lab, || {
        let foreign = foreign_xdp(XdpMode::Driver);
        let mut first = attached(&lab, CAPTURES, false);
        assert_eq!(modes(&first), (vec![Mode::Filter], vec![Mode::Filter]));
        assert_eq!(seen(&lab, &mut first), (1, 1));

        let mut second = attached(&lab, CAPTURES, false);
        assert!(second.guarded().chain(second.watched()).all(|one| one.adopted));
        assert!(matches!(faults(&first)[..], [Fault::OtherProgram { .. }, Fault::Unwatched { .. }]));
        assert_eq!(seen(&lab, &mut second), (1, 1), "one program judges, not two");

        lab.must(Node::Pbx, ["tc", "filter", "del", "dev", "eth0", "egress"]).unwrap();
        assert_eq!(faults(&second), [Fault::Unwatched { interface: "eth0".to_owned() }]);
        attach(&lab, &mut second);
        let third = attached(&lab, 0, false);
        assert_eq!(modes(&third), (vec![Mode::Filter], vec![]));
        assert_eq!(filters(&lab, "egress"), [""; 0], "nobody asks for it any more");

        // As after a daemon that was killed: what is written down is all that is known.
        drop((first, second, third));
        assert_eq!(filters(&lab, "ingress").len(), 1);
        assert_eq!(remove(&lab), 1);
        assert!(!remains(&lab).iter().any(|line| line.starts_with("tc: ")), "{:?}", remains(&lab));
        drop(foreign);
    });
    assert_eq!(remains(&lab), [""; 0]);
}

#[test]
fn what_others_have_at_an_interface_stays() {
    if !skip::ready("what_others_have_at_an_interface_stays", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("others").unwrap();
    inside(&lab, || {
        let _foreign = foreign_xdp(XdpMode::Driver);
        lab.must(Node::Pbx, ["tc", "qdisc", "add", "dev", "eth0", "clsact"]).unwrap();
        // A filter of another kind at the priority that we would like.
        let words = "filter add dev eth0 ingress prio 1 protocol all u32 match u32 1 0xffffffff at 0";
        let output = lab.command(Node::Pbx, "tc").args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let before = (filters(&lab, "ingress"), remains(&lab));
        let first = attached(&lab, CAPTURES, false);
        assert_eq!(modes(&first), (vec![Mode::Filter], vec![Mode::Filter]));
        drop(first);
        assert_eq!(remove(&lab), 2);
        assert_eq!((filters(&lab, "ingress"), remains(&lab)), before);
        assert!(remains(&lab).iter().any(|line| line.starts_with(CLSACT)), "{:?}", remains(&lab));

        // Our qdisc, which somebody else began to use.
        lab.must(Node::Pbx, ["tc", "qdisc", "del", "dev", "eth0", "clsact"]).unwrap();
        let second = attached(&lab, 0, false);
        drop(second);
        their_filter();
        assert_eq!(filters(&lab, "ingress").len(), 2);
        assert_eq!(remove(&lab), 1);
        assert_eq!(filters(&lab, "ingress").len(), 1, "theirs");
        assert!(remains(&lab).iter().any(|line| line.starts_with(CLSACT)), "{:?}", remains(&lab));

        // And a filter of theirs at the first priority is no hindrance.
        let third = attached(&lab, 0, false);
        assert_eq!(filters(&lab, "ingress").len(), 2);
        drop(third);
        remove(&lab);
        assert_eq!(filters(&lab, "ingress").len(), 1, "theirs");
        lab.must(Node::Pbx, ["tc", "qdisc", "del", "dev", "eth0", "clsact"]).unwrap();
    });
}

/// A program of somebody else as a classic filter, by aya's own way, which leaves it there when forgotten.
fn their_filter() {
    use aya::programs::tc::{NlOptions, TcAttachOptions, TcHandle};
    use aya::programs::{SchedClassifier, TcAttachType};
    let mut ebpf = Ebpf::load(OBJECT).unwrap();
    let program: &mut SchedClassifier = ebpf.program_mut("ringfence_out").unwrap().try_into().unwrap();
    program.load().unwrap();
    let options = NlOptions { priority: 1, handle: TcHandle::new(0, 7), classid: None };
    let id = program
        .attach_with_options("eth0", TcAttachType::Ingress, TcAttachOptions::Netlink(options))
        .unwrap();
    std::mem::forget(program.take_link(id).unwrap());
}

/// The filters on one side of `eth0`, a line each.
fn filters(lab: &Lab, side: &str) -> Vec<String> {
    let shown = lab.must(Node::Pbx, ["tc", "filter", "show", "dev", "eth0", side]).unwrap().stdout;
    shown.lines().filter(|line| line.contains("handle")).map(str::to_owned).collect()
}

#[test]
fn links_follow_interfaces_that_change_their_names() {
    if !skip::ready("links_follow_interfaces_that_change_their_names", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("names").unwrap();
    inside(&lab, || {
        let ip = |arguments: &[&str]| {
            let output = lab.command(Node::Pbx, "ip").args(arguments).output().unwrap();
            assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        };
        ip(&["link", "add", "aa", "type", "veth", "peer", "name", "bb"]);
        let all = || select(&[], &[]).unwrap().interfaces;
        let names = |gate: &Gate| {
            let mut all: Vec<(u32, String)> =
                gate.guarded().map(|one| (one.index, one.interface.clone())).collect();
            all.sort();
            all
        };
        let mut gate = Gate::load(&tables(CAPTURES), &pins(&lab)).unwrap();
        gate.attach(&all(), &[]).unwrap();
        let before = names(&gate);
        assert_eq!(before.len(), 4, "{before:?}");

        for (from, to) in [("aa", "cc"), ("bb", "aa"), ("cc", "bb")] {
            ip(&["link", "set", from, "name", to]);
        }
        assert!(gate.follow(&all(), &[]).unwrap().is_empty());
        assert_eq!(faults(&gate), []);
        let swapped = names(&gate);
        assert_ne!(swapped, before);
        assert_eq!(swapped.len(), 4);
        let links = || std::fs::read_dir(pins(&lab).join(format!("v{VERSION}/links"))).unwrap().count();
        assert_eq!(links(), 8);

        ip(&["link", "set", "bb", "down"]);
        ip(&["link", "set", "bb", "up"]);
        assert_eq!(faults(&gate), [], "down and up changes nothing");

        ip(&["link", "del", "bb"]);
        assert!(gate.follow(&all(), &[]).unwrap().is_empty());
        assert_eq!((names(&gate).len(), links()), (2, 4));
        ip(&["link", "add", "aa", "type", "veth", "peer", "name", "bb"]);
        assert!(gate.follow(&all(), &[]).unwrap().is_empty());
        assert_eq!((names(&gate).len(), links()), (4, 8));
        assert_eq!(faults(&gate), []);
        // Nowhere at all is no peace.
        assert!(gate.follow(&[], &[]).unwrap().is_empty());
        assert_eq!(faults(&gate), [Fault::Nowhere]);
        assert_eq!(links(), 0);
        remove(&lab);
    });
    assert_eq!(remains(&lab), [""; 0]);
}

/// The PBX's address moves to a device above `eth0`, with a bridge's or a macvlan's way of getting at its frames.
fn move_address(lab: &Lab, device: &[&str]) {
    for words in device.iter().copied().chain([
        "addr flush dev eth0",
        "link set up0 up",
        "addr add 198.51.100.10/24 dev up0",
        "route add default via 198.51.100.1",
    ]) {
        let output = lab.command(Node::Pbx, "ip").args(words.split(' ')).output().unwrap();
        assert!(output.status.success(), "ip {words}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn a_packet_that_passes_several_devices_is_judged_once() {
    if !skip::ready("a_packet_that_passes_several_devices_is_judged_once", &["bpftool", "nft"]) {
        return;
    }
    let bridge: &[&str] = &["link add up0 type bridge", "link set eth0 master up0"];
    // Without ARP, lest eth0 answers for the address, too.
    let macvlan: &[&str] = &["link add up0 link eth0 type macvlan mode bridge", "link set eth0 arp off"];
    for (name, device, chosen) in [("bridge", bridge, "up0"), ("macvlan", macvlan, "eth0")] {
        let lab = Lab::up(name).unwrap();
        inside(&lab, || {
            move_address(&lab, device);
            let by_default = select(&[], &[]).unwrap().interfaces;
            let names: Vec<&str> =
                by_default.iter().filter(|one| !one.is_loopback()).map(|one| one.name.as_str()).collect();
            assert_eq!(names, [chosen], "{name}");
            let mut gate = Gate::load(&tables(CAPTURES), &pins(&lab)).unwrap();
            gate.attach(&by_default, &[]).unwrap();
            assert_eq!(seen(&lab, &mut gate), (1, 1), "{name}");

            let both = select(&["eth0".to_owned(), "up0".to_owned()], &[]).unwrap().interfaces;
            let mut gate = Gate::load(&tables(CAPTURES), &pins(&lab)).unwrap();
            gate.attach(&both, &[]).unwrap();
            assert_eq!(seen(&lab, &mut gate), (2, 2), "{name}: whoever names both gets both");
            drop(gate);
            remove(&lab);
        });
    }
}

#[test]
fn foreign_generic_xdp_before_the_gate_is_told() {
    if !skip::ready("foreign_generic_xdp_before_the_gate_is_told", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("generic").unwrap();
    inside(&lab, || {
        let foreign = foreign_xdp(XdpMode::Skb);
        let mut gate = Gate::load(&tables(0), &pins(&lab)).unwrap();
        gate.attach(&eth0(), &[]).unwrap();
        assert_eq!(modes(&gate).0, [Mode::Tc]);
        assert_eq!(faults(&gate), [Fault::Unframed { interface: "eth0".to_owned() }]);
        drop(foreign);
        assert_eq!(faults(&gate), []);
        drop(gate);
        remove(&lab);
    });
}
