//! What the kernel says is in force, compared with what should be.

use std::fmt;
use std::fs;
use std::path::PathBuf;
use std::thread;

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, LpmTrie};
use aya::programs::links::{FdLink, PinnedLink};
use aya::programs::{SchedClassifier, Xdp};
use gate::layout::{NetworkKey, Outputs, Ports, Rule, map};
use gate::memory::GateTables;

use super::attach::{Mode, Place};
use super::filter::{self, Side};
use super::pins::Pins;
use super::{out_name, tc_name, xdp_name};

/// An interface with the gate before it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Guarded {
    pub interface: String,
    pub index: u32,
    pub mode: Mode,
    /// Whether what arrives is judged here, or what leaves watched.
    pub side: Side,
    /// Whether its frames begin with the network header.
    pub raw_ip: bool,
    /// Where its link is pinned or, for a classic filter, where it is written down.
    pub pin: PathBuf,
    /// Whether the link of a former daemon was taken over.
    pub adopted: bool,
}

impl Guarded {
    pub(super) fn place(&self) -> Place {
        Place { side: self.side, mode: self.mode }
    }
}

/// Something that is not in force though it should be.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Fault {
    /// The link's pin is gone or cannot be opened.
    LinkGone { interface: String },
    /// The link is there, but the interface is not, or is another one.
    Detached { interface: String },
    /// Another program runs on the link.
    OtherProgram { interface: String },
    /// At TC behind somebody else's generic XDP: the kernel may copy a packet for that program and lose where its link
    /// header was (`skb_pp_cow_data` in net/core/skbuff.c leaves `mac_len` behind), so that the gate reads nonsense.
    Unframed { interface: String },
    /// What this host answers is not watched, though the policy needs it.
    Unwatched { interface: String },
    /// The gate stands before no interface at all.
    Nowhere,
    /// Reassembled datagrams are not searched.
    Reassembly,
    /// A table does not hold what was written.
    Table { name: &'static str },
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LinkGone { interface } => write!(f, "{interface}: the pinned link is gone"),
            Self::Detached { interface } => write!(f, "{interface}: the gate is no longer attached"),
            Self::OtherProgram { interface } => write!(f, "{interface}: the link runs another program"),
            Self::Unframed { interface } => write!(
                f,
                "{interface}: packets come through another program's generic XDP, after which the gate may not be able \
                 to read them; load that program in the driver, or take it off"
            ),
            Self::Unwatched { interface } => write!(f, "{interface}: what this host answers is not seen"),
            Self::Nowhere => {
                write!(f, "the gate stands before no interface: none of the named ones is there")
            }
            Self::Reassembly => write!(f, "reassembled datagrams are not searched: the hook is gone"),
            Self::Table { name } => write!(f, "the table {name} was changed by somebody else"),
        }
    }
}

pub(super) fn faults(ebpf: &Ebpf, pins: &Pins, guarded: &[Guarded], tables: &GateTables) -> Vec<Fault> {
    let there = crate::machine::interfaces().unwrap_or_default();
    let is_gone = |guarded: &&Guarded| there.iter().all(|one| one.name != guarded.interface);
    // An interface that is gone needs no guard, as containers and tunnels come and go. But a gate that stands before
    // nothing at all is no peace.
    let all_gone = guarded.iter().all(|guarded| is_gone(&guarded));
    let expected = guarded.iter().filter(|guarded| all_gone || !is_gone(guarded));
    let mut faults: Vec<Fault> = expected.filter_map(|guarded| fault(ebpf, guarded)).collect();
    if guarded.is_empty() {
        faults.push(Fault::Nowhere);
    }
    if tables.config.tag != 0 && !super::reassembly::is_in_force(ebpf, &pins.reassembly()) {
        faults.push(Fault::Reassembly);
    }
    let ports = |index: u32| (index == 0).then(|| *tables.port_bits());
    let rules = |index: u32| tables.rules.get(index as usize).copied();
    let outputs = |index: u32| tables.outputs.get(index as usize).copied();
    for (name, same) in [
        (map::FILTER, is_one(ebpf, map::FILTER, tables.filter.as_deref())),
        (map::PORTS, holds::<Ports>(ebpf, map::PORTS, ports)),
        (map::RULES, holds::<Rule>(ebpf, map::RULES, rules)),
        (map::AUTOMATON, with_room(|| is_one(ebpf, map::AUTOMATON, tables.automaton.as_deref()))),
        (map::OUTPUTS, holds::<Outputs>(ebpf, map::OUTPUTS, outputs)),
        (map::BLOCKED, has_networks(ebpf, map::BLOCKED, &tables.blocked)),
        (map::TRUSTED, has_networks(ebpf, map::TRUSTED, &tables.trusted)),
    ] {
        if !same {
            faults.push(Fault::Table { name });
        }
    }
    faults
}

/// Whether every network of a list is in its trie.
fn has_networks(ebpf: &Ebpf, name: &str, networks: &[(u8, NetworkKey)]) -> bool {
    let Some(Ok(trie)) = ebpf.map(name).map(LpmTrie::<_, NetworkKey, u32>::try_from) else { return false };
    networks.iter().all(|(prefix, network)| trie.get(&Key::new(u32::from(*prefix), *network), 0).is_ok())
}

/// Runs `look` where there is room for an automaton on the stack several times over, which is how aya returns a value.
fn with_room(look: impl FnOnce() -> bool + Send) -> bool {
    const ROOM: usize = 16 * size_of::<gate::automaton::Automaton>();
    std::thread::scope(|scope| {
        let thread = std::thread::Builder::new().stack_size(ROOM).spawn_scoped(scope, look);
        thread.ok().and_then(|thread| thread.join().ok()).unwrap_or(false)
    })
}

/// Whether an array of one value holds the expected one, if any is expected.
fn is_one<V: aya::Pod + PartialEq + Send + Sync>(ebpf: &Ebpf, name: &str, expected: Option<&V>) -> bool {
    /// The library reads a value onto the stack, and the automaton has four megabytes.
    const STACK: usize = 64 << 20;
    let Some(expected) = expected else { return true };
    let Some(Ok(array)) = ebpf.map(name).map(Array::<_, V>::try_from) else { return false };
    thread::scope(|scope| {
        let read = || array.get(&0, 0).is_ok_and(|there| there == *expected);
        let reader = thread::Builder::new().stack_size(STACK).spawn_scoped(scope, read);
        reader.is_ok_and(|reader| reader.join().unwrap_or(false))
    })
}

/// Whether an array begins with the expected values.
fn holds<V: aya::Pod + PartialEq>(ebpf: &Ebpf, name: &str, expected: impl Fn(u32) -> Option<V>) -> bool {
    let Some(Ok(array)) = ebpf.map(name).map(Array::<_, V>::try_from) else { return false };
    (0u32..)
        .map_while(|index| expected(index).map(|value| (index, value)))
        .all(|(index, value)| array.get(&index, 0).is_ok_and(|there| there == value))
}

fn fault(ebpf: &Ebpf, guarded: &Guarded) -> Option<Fault> {
    let found =
        if guarded.mode == Mode::Filter { filter_fault(ebpf, guarded) } else { link_fault(ebpf, guarded) };
    let at_tc = guarded.side == Side::In && matches!(guarded.mode, Mode::Tc | Mode::Filter);
    let found = found.or_else(|| {
        let unframed = at_tc && crate::netlink::has_generic_xdp(guarded.index);
        unframed.then(|| Fault::Unframed { interface: guarded.interface.clone() })
    })?;
    Some(match guarded.side {
        Side::In => found,
        Side::Out => Fault::Unwatched { interface: guarded.interface.clone() },
    })
}

fn link_fault(ebpf: &Ebpf, guarded: &Guarded) -> Option<Fault> {
    let interface = guarded.interface.clone();
    let Ok(link) = PinnedLink::from_pin(&guarded.pin).map(FdLink::from) else {
        return Some(Fault::LinkGone { interface });
    };
    if interface_of(&link) != Some(guarded.index) {
        return Some(Fault::Detached { interface });
    }
    let running = link.info().ok().map(|info| info.program_id());
    (running.is_none() || running != own_program(ebpf, guarded)).then_some(Fault::OtherProgram { interface })
}

fn filter_fault(ebpf: &Ebpf, guarded: &Guarded) -> Option<Fault> {
    let interface = guarded.interface.clone();
    let Ok(Some(there)) = filter::ours(guarded.index, guarded.side) else {
        return Some(Fault::Detached { interface });
    };
    (there.program.is_none() || there.program != own_program(ebpf, guarded))
        .then_some(Fault::OtherProgram { interface })
}

fn own_program(ebpf: &Ebpf, guarded: &Guarded) -> Option<u32> {
    let classifier = |name: &str| <&SchedClassifier>::try_from(ebpf.program(name)?).ok()?.info().ok();
    let info = match (guarded.side, guarded.mode) {
        (Side::In, Mode::Driver | Mode::Generic) => {
            <&Xdp>::try_from(ebpf.program(xdp_name(guarded.raw_ip))?).ok()?.info().ok()
        }
        (Side::In, Mode::Tc | Mode::Filter) => classifier(tc_name(guarded.raw_ip)),
        (Side::Out, _) => classifier(out_name(guarded.raw_ip)),
    };
    info.map(|info| info.id())
}

/// The interface that a link is attached to; `None` or 0 when it is gone. The kernel tells it in the description of
/// the open file (`bpf_link_show_fdinfo` in kernel/bpf/syscall.c).
pub(super) fn interface_of(link: &FdLink) -> Option<u32> {
    let id = link.info().ok()?.id();
    fs::read_dir("/proc/self/fdinfo").ok()?.flatten().find_map(|entry| {
        let text = fs::read_to_string(entry.path()).ok()?;
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name))
                .and_then(|value| value.trim().parse::<u32>().ok())
        };
        (field("link_id:")? == id).then(|| field("ifindex:"))?
    })
}
