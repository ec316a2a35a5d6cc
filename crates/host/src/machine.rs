//! Privileges, kernel, interfaces, clocks.

/// File systems that are mounted for us alone.
pub(crate) mod detached;
/// What sysfs tells about interfaces.
mod sysfs;

use std::fs;

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
    let guess = || Device { kind: if name == "lo" { LOOPBACK } else { ETHER }, up: true, port: false };
    let device = sysfs.and_then(|sysfs| sysfs.device(name, index)).unwrap_or_else(guess);
    Some((Interface { name: name.to_owned(), index, kind: device.kind }, device))
}

/// The interfaces to guard: those that were named, or all that carry traffic from others, and loopback.
///
/// If none was named, ports of a bridge or bond are left out: the bridge or bond itself is guarded, and before a port the
/// gate would judge frames that are only bridged. [`unguarded`] tells what else is left out.
///
/// # Errors
///
/// [`Error::NoInterface`] for a name that is not there, [`Error::Unreadable`] for one whose frames the gate cannot read,
/// [`Error::NoInterfaces`] when there is nothing but loopback.
pub fn select(named: &[String]) -> Result<Vec<Interface>, Error> {
    let all = devices()?;
    if named.is_empty() {
        let guarded: Vec<Interface> = all
            .into_iter()
            .filter(|(interface, device)| interface.is_readable() && !device.port)
            .map(|(interface, _)| interface)
            .collect();
        if guarded.iter().all(Interface::is_loopback) {
            return Err(Error::NoInterfaces);
        }
        return Ok(guarded);
    }
    let find = |name: &String| {
        let Some((interface, _)) = all.iter().find(|(interface, _)| interface.name == *name) else {
            let known: Vec<&str> = all.iter().map(|(interface, _)| interface.name.as_str()).collect();
            return Err(Error::NoInterface { name: name.clone(), known: known.join(", ") });
        };
        if interface.is_readable() {
            Ok(interface.clone())
        } else {
            Err(Error::Unreadable { name: name.clone(), kind: interface.kind })
        }
    };
    named.iter().map(find).collect()
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
            &["python3", "-c", UNREADABLE],
        ] {
            run(&lab, argv);
        }
        let select = |named: &[&str]| {
            let named: Vec<String> = named.iter().map(|name| (*name).to_owned()).collect();
            lab.inside(Node::Pbx, || select(&named)).unwrap()
        };
        let unguarded = || lab.inside(Node::Pbx, unguarded).unwrap().unwrap();

        let guarded = select(&[]).unwrap();
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

        assert_eq!(select(&["port9"]).unwrap().len(), 1, "a port may be named");
        let refused = select(&["eth0", "gre9"]).unwrap_err().to_string();
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
