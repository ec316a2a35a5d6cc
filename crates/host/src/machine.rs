//! Privileges, kernel, interfaces, clocks.

use std::fs;
use std::path::Path;

use crate::error::Error;

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

/// All interfaces, by index. `/proc/net/dev` follows the network namespace of the process; `/sys/class/net` shows the
/// namespace in which sysfs was mounted, so it is asked only for what belongs to the right device.
///
/// # Errors
///
/// [`Error::Io`] when `/proc` cannot be read.
pub fn interfaces() -> Result<Vec<Interface>, Error> {
    let path = "/proc/self/net/dev";
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let mut all: Vec<Interface> = text
        .lines()
        .filter_map(|line| line.split_once(':'))
        .filter_map(|(name, _)| interface(name.trim()))
        .collect();
    all.sort_by_key(|interface| interface.index);
    Ok(all)
}

fn interface(name: &str) -> Option<Interface> {
    let socket =
        rustix::net::socket(rustix::net::AddressFamily::INET, rustix::net::SocketType::DGRAM, None).ok()?;
    let index = rustix::net::netdevice::name_to_index(&socket, name).ok()?;
    let at = Path::new("/sys/class/net").join(name);
    let number =
        |file: &str| fs::read_to_string(at.join(file)).ok().and_then(|text| text.trim().parse::<u32>().ok());
    // Where sysfs shows another namespace, the index differs or the entry is missing: nearly every device there is
    // Ethernet (veth), and loopback is told by its name.
    let kind = match (number("ifindex"), number("type")) {
        (Some(same), Some(kind)) if same == index => kind,
        (_, _) if name == "lo" => LOOPBACK,
        (_, _) => ETHER,
    };
    Some(Interface { name: name.to_owned(), index, kind })
}

/// The interfaces to guard: those that were named, or all that carry traffic from others, and loopback.
///
/// # Errors
///
/// [`Error::NoInterface`] for a name that is not there, [`Error::NoInterfaces`] when there is nothing but loopback.
pub fn select(named: &[String]) -> Result<Vec<Interface>, Error> {
    let all = interfaces()?;
    if named.is_empty() {
        let readable: Vec<Interface> = all.into_iter().filter(Interface::is_readable).collect();
        if readable.iter().all(Interface::is_loopback) {
            return Err(Error::NoInterfaces);
        }
        return Ok(readable);
    }
    let find = |name: &String| {
        all.iter().find(|interface| interface.name == *name).cloned().ok_or_else(|| Error::NoInterface {
            name: name.clone(),
            known: all.iter().map(|interface| interface.name.as_str()).collect::<Vec<_>>().join(", "),
        })
    };
    named.iter().map(find).collect()
}

/// The inode number of our network namespace: what tells it from others while it lives.
pub fn namespace() -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    fs::metadata("/proc/self/ns/net").map_or(0, |metadata| metadata.ino())
}

/// Nanoseconds since boot, suspended time included: the clock of the gate.
pub fn boot_time() -> u64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::Boottime);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    seconds.saturating_mul(1_000_000_000).saturating_add(u64::try_from(time.tv_nsec).unwrap_or(0))
}
