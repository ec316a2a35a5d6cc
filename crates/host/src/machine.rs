//! Privileges, kernel, interfaces, clocks.

/// File systems that are mounted for us alone.
pub(crate) mod detached;
/// Who is logged in, looked for by a process of its own.
pub mod sessions;
/// Whom a ban would lock out.
mod shelter;
/// What listens, and whose it is.
mod sockets;
/// What sysfs tells about interfaces.
mod sysfs;

pub use detached::keep as keep_mounts;
pub use shelter::{Session, listening, own_addresses, ssh_sessions, visitors};
pub use sockets::{Listening, client_ports, listening_sockets};

use std::fs;

use policy::ruleset::InterfaceName;

use crate::error::Error;
use sysfs::{Device, Sysfs};

/// Refuses early, before anything is touched, what cannot work.
///
/// # Errors
///
/// [`Error::NotRoot`] or [`Error::OldKernel`].
pub fn check() -> Result<(), Error> {
    if !rustix::process::geteuid().is_root() {
        return Err(Error::NotRoot);
    }
    let release = rustix::system::uname().release().to_string_lossy().into_owned();
    let mut numbers = release.split(['.', '-', '+']).map_while(|part| part.parse::<u32>().ok());
    let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
    if version < (6, 1) {
        return Err(Error::OldKernel { found: release });
    }
    Ok(())
}

/// A network interface of this namespace.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Interface {
    pub name: String,
    pub index: u32,
    /// The kernel's `ARPHRD_*` number.
    pub kind: u32,
    /// Whether it is a bond.
    pub bond: bool,
}

/// `ARPHRD_ETHER`
const ETHER: u32 = 1;
/// `ARPHRD_LOOPBACK`
const LOOPBACK: u32 = 772;
/// `ARPHRD_NONE`: tun, WireGuard.
const NONE: u32 = 65534;
/// `ARPHRD_PPP`, whose frames reach the hooks without a link header.
const PPP: u32 = 512;

impl Interface {
    /// Whether its frames begin with the network header.
    pub fn is_raw_ip(&self) -> bool {
        matches!(self.kind, NONE | PPP)
    }

    /// Whether it is the loopback device.
    pub fn is_loopback(&self) -> bool {
        self.kind == LOOPBACK
    }

    /// Whether the gate can read its frames.
    pub fn is_readable(&self) -> bool {
        matches!(self.kind, ETHER | LOOPBACK | NONE | PPP)
    }
}

/// All interfaces, by index.
///
/// # Errors
///
/// [`Error::Io`] when `/proc` cannot be read.
pub fn interfaces() -> Result<Vec<Interface>, Error> {
    Ok(devices()?.into_iter().map(|(interface, _)| interface).collect())
}

/// `/proc/thread-self` follows the network namespace of whoever asks.
fn devices() -> Result<Vec<(Interface, Device)>, Error> {
    let path = "/proc/thread-self/net/dev";
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let sysfs = Sysfs::open().ok();
    let mut all: Vec<(Interface, Device)> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, _)| device(name.trim(), sysfs.as_ref()))
        .collect();
    all.sort_by_key(|(interface, _)| interface.index);
    Ok(all)
}

fn device(name: &str, sysfs: Option<&Sysfs>) -> Option<(Interface, Device)> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None).ok()?;
    let index = rustix::net::netdevice::name_to_index(&socket, name).ok()?;
    // Where no sysfs shows our namespace: nearly every device is Ethernet (veth), and loopback is told by its name.
    let guess = || Device {
        kind: if name == "lo" { LOOPBACK } else { ETHER },
        up: true,
        port: false,
        bond: false,
        below: Vec::new(),
    };
    let device = sysfs.and_then(|sysfs| sysfs.device(name, index)).unwrap_or_else(guess);
    Some((Interface { name: name.to_owned(), index, kind: device.kind, bond: device.bond }, device))
}

/// What is to be guarded now.
#[derive(Debug, Default)]
pub struct Selection {
    /// The interfaces that are there.
    pub interfaces: Vec<Interface>,
    /// Names that were asked for and are not there (yet).
    pub waiting: Vec<String>,
    /// What was asked for and cannot be guarded.
    pub refused: Vec<Error>,
}

/// The interfaces to guard: those that were named, or all that carry traffic from others, and loopback.
///
/// If none was named, each packet is judged once:
///
/// - Ports of a bridge, bond, team or virtual switch are left out: the master is guarded, as what arrives there is what
///   arrives at this host, under the name that the rules know. Before a port the gate would judge what is only bridged.
/// - VLAN, macvlan and ipvlan devices are left out if the device below is guarded, where their frames are seen first. If
///   a rule tells the two apart by name (`patterns`), both are guarded: better twice than by the wrong rules only.
///
/// [`unguarded`] tells what else is left out.
///
/// # Errors
///
/// [`Error::Io`] when `/proc` cannot be read.
pub fn select(named: &[String], patterns: &[InterfaceName]) -> Result<Selection, Error> {
    let all = devices()?;
    let mut selection = Selection::default();
    if named.is_empty() {
        selection.interfaces = by_default(all, patterns);
        return Ok(selection);
    }
    for name in named {
        match all.iter().find(|(interface, _)| interface.name == *name) {
            None => selection.waiting.push(name.clone()),
            Some((interface, _)) if selection.interfaces.contains(interface) => {}
            Some((interface, _)) if interface.is_readable() => selection.interfaces.push(interface.clone()),
            Some((interface, _)) => {
                selection.refused.push(Error::Unreadable { name: name.clone(), kind: interface.kind });
            }
        }
    }
    Ok(selection)
}

fn by_default(all: Vec<(Interface, Device)>, patterns: &[InterfaceName]) -> Vec<Interface> {
    let alike = |one: &str, other: &str| {
        patterns.iter().all(|pattern| pattern.matches(one) == pattern.matches(other))
    };
    let is_candidate = |(interface, device): &(Interface, Device)| interface.is_readable() && !device.port;
    // A stack may be deeper than one: what is below a VLAN that is left out is guarded itself, or stacked in turn.
    let is_seen_below = |interface: &Interface, device: &Device| {
        !device.below.is_empty()
            && device.below.iter().all(|name| {
                alike(name, &interface.name) && all.iter().any(|one| one.0.name == *name && is_candidate(one))
            })
    };
    all.iter()
        .filter(|one| is_candidate(one) && !is_seen_below(&one.0, &one.1))
        .map(|(interface, _)| interface.clone())
        .collect()
}

/// The interfaces that are up but left out by [`select`] because the gate cannot read their frames (GRE, IPIP, SIT, …).
/// Ports of a bridge or bond are not among them.
///
/// # Errors
///
/// [`Error::Io`] when `/proc` cannot be read.
pub fn unguarded() -> Result<Vec<String>, Error> {
    let left_out = |(interface, device): (Interface, Device)| {
        (device.up && !interface.is_readable()).then_some(interface.name)
    };
    Ok(devices()?.into_iter().filter_map(left_out).collect())
}

/// Two random numbers that nobody can guess.
///
/// # Errors
///
/// [`Error::Io`] where the kernel gives none.
pub fn random() -> Result<[u64; 2], Error> {
    use std::io::Read as _;
    const SOURCE: &str = "/dev/urandom";
    let mut bytes = [0; 16];
    let mut file = fs::File::open(SOURCE).map_err(Error::io("open", SOURCE))?;
    file.read_exact(&mut bytes).map_err(Error::io("read", SOURCE))?;
    let number = u128::from_ne_bytes(bytes);
    Ok([(number >> 64) as u64, number as u64])
}

/// Whether our network namespace sends packets on from one interface to another.
pub fn forwards() -> bool {
    let is_on = |path: &str| fs::read_to_string(path).is_ok_and(|text| text.trim() != "0");
    is_on("/proc/sys/net/ipv4/ip_forward") || is_on("/proc/sys/net/ipv6/conf/all/forwarding")
}

/// The inode number of our network namespace: what tells it from others while it lives.
pub fn namespace() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self/ns/net").map_or(0, |metadata| metadata.ino())
}

/// The nice value (setpriority(2)) of what nobody waits for.
const UNHURRIED: i32 = 10;

/// Lets others go before the calling thread, and before what it starts. Where that is refused all stays as it is.
pub fn let_others_go_first() {
    // To Linux the calling "process" is the thread.
    if rustix::process::getpriority_process(None).is_ok_and(|nice| nice < UNHURRIED) {
        let _ = rustix::process::setpriority_process(None, UNHURRIED);
    }
}

/// Nanoseconds of `CLOCK_MONOTONIC`: the clock of the gate.
pub fn monotonic() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use lab::{Lab, Node};

    use super::*;

    /// A GRE tunnel, for the kernel that builds machines use has none: a tun device that says it is one.
    const UNREADABLE: &str = "import fcntl, struct
tun = open('/dev/net/tun', 'r+b', buffering=0)
fcntl.ioctl(tun, 0x400454ca, struct.pack('16sH22x', b'gre9', 0x1001))
fcntl.ioctl(tun, 0x400454cd, 778)
fcntl.ioctl(tun, 0x400454cb, 1)";

    #[test]
    fn interfaces_are_those_of_our_namespace() {
        if !lab::skip::ready("interfaces_are_those_of_our_namespace", &["python3"]) {
            return;
        }
        let lab = Lab::up("machine").unwrap();
        for argv in [
            ["ip", "tuntap", "add", "dev", "tun9", "mode", "tun"].as_slice(),
            &["ip", "link", "add", "br9", "type", "bridge"],
            &["ip", "link", "add", "port9", "type", "veth", "peer", "name", "free9"],
            &["ip", "link", "set", "port9", "master", "br9"],
            &["ip", "link", "add", "mac9", "link", "free9", "type", "macvlan", "mode", "bridge"],
            &["python3", "-c", UNREADABLE],
        ] {
            run(&lab, argv);
        }
        let select = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            lab.inside(Node::Pbx, || select(&named, &[])).unwrap().unwrap()
        };
        let unguarded = || lab.inside(Node::Pbx, unguarded).unwrap().unwrap();

        let guarded = select(&[]).interfaces;
        let kind = |name: &str| {
            guarded.iter().find(|interface| interface.name == name).map(|interface| interface.kind)
        };
        assert_eq!(kind("lo"), Some(LOOPBACK));
        assert_eq!(kind("eth0"), Some(ETHER));
        assert_eq!(kind("tun9"), Some(NONE), "a tun device is not taken for Ethernet");
        assert_eq!(kind("br9"), Some(ETHER));
        assert_eq!(kind("free9"), Some(ETHER));
        assert_eq!(kind("port9"), None, "the bridge is guarded in its place");
        assert_eq!(kind("gre9"), None);

        assert_eq!(kind("mac9"), None, "its frames pass the gate at free9");
        let pattern = InterfaceName { name: "mac".to_owned(), prefix: true };
        let both = lab.inside(Node::Pbx, || super::select(&[], &[pattern])).unwrap().unwrap();
        assert!(both.interfaces.iter().any(|one| one.name == "mac9"), "a rule tells them apart");

        let named = select(&["port9", "eth8"]);
        assert_eq!(named.interfaces.len(), 1, "a port may be named");
        assert_eq!(named.waiting, ["eth8"]);
        let refused = select(&["eth0", "gre9"]).refused.remove(0).to_string();
        assert!(
            refused.starts_with("`gre9` cannot be guarded: the gate cannot read its frames"),
            "{refused}"
        );

        assert_eq!(unguarded(), [""; 0], "what is down receives nothing");
        run(&lab, &["ip", "link", "set", "gre9", "up"]);
        assert_eq!(unguarded(), ["gre9"]);
    }

    fn run(lab: &Lab, argv: &[&str]) {
        let (program, arguments) = argv.split_first().unwrap();
        let output = lab.command(Node::Pbx, program).args(arguments).output().unwrap();
        assert!(output.status.success(), "{argv:?}: {}", String::from_utf8_lossy(&output.stderr));
    }
}
