//! Whom a ban would lock out: this host itself, and whoever administers it over SSH right now.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::unix::fs::MetadataExt as _;

use crate::error::Error;

/// How the processes of an SSH server are called: `sshd`, and since OpenSSH 9.8 `sshd-session`.
const SERVER: &str = "sshd";
/// `TCP_ESTABLISHED` in include/net/tcp_states.h.
const ESTABLISHED: &str = "01";
/// `TCP_LISTEN`.
pub(super) const LISTENING: &str = "0A";
/// `TCP_TIME_WAIT`: who closed the connection first remembers it for a minute.
const TIME_WAIT: &str = "06";
/// More are not told.
const MAX_VISITORS: usize = 10_000;

/// Addresses of this host, loopback included.
///
/// # Errors
///
/// [`Error::Io`] if the kernel does not tell.
pub fn own_addresses() -> Result<BTreeSet<IpAddr>, Error> {
    let path = "/proc/thread-self/net";
    let all = nix::ifaddrs::getifaddrs().map_err(|error| Error::io("read", path)(error.into()))?;
    Ok(all
        .filter_map(|one| {
            let address = one.address?;
            let v4 = address.as_sockaddr_in().map(|v4| IpAddr::V4(v4.ip()));
            v4.or_else(|| address.as_sockaddr_in6().map(|v6| IpAddr::V6(v6.ip())))
        })
        .collect())
}

/// An SSH session: who administers this host from where.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Session {
    pub peer: IpAddr,
    pub local: IpAddr,
    pub port: u16,
    /// The interface that has the local address.
    pub interface: Option<String>,
}

/// The SSH sessions of this host, on whatever port: established connections whose client has logged in. Whoever only connects
/// to the port may be anybody.
///
/// # Errors
///
/// [`Error::Io`] if `/proc` cannot be read.
pub fn ssh_sessions() -> Result<Vec<Session>, Error> {
    let mut sessions = Vec::new();
    let logged_in = logged_in();
    if logged_in.is_empty() {
        // The tables below are as long as the machine's memory is large, however few connections there are.
        return Ok(sessions);
    }
    for name in ["tcp", "tcp6"] {
        let path = format!("/proc/thread-self/net/{name}");
        let text = match fs::read_to_string(&path) {
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            text => text.map_err(Error::io("read", &path))?,
        };
        let established = sockets(&text).filter(|socket| socket.state == ESTABLISHED);
        let ours = established.filter(|socket| logged_in.contains(&socket.inode));
        sessions.extend(ours.map(|socket| Session {
            peer: socket.remote,
            local: socket.local,
            port: socket.local_port,
            interface: None,
        }));
    }
    sessions.sort();
    sessions.dedup();
    for session in &mut sessions {
        session.interface = interface_with(session.local);
    }
    Ok(sessions)
}

/// The sockets of clients that have logged in, by their inodes (proc_pid_fd(5)): a server of root has each open, and a process
/// of the server says so that somebody is in. The second alone any user of this host could pretend. What cannot be read has
/// ended.
fn logged_in() -> BTreeSet<u64> {
    let (mut of_root, mut of_sessions) = (BTreeSet::new(), BTreeSet::new());
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        if !fs::read_to_string(path.join("comm")).is_ok_and(|name| name.starts_with(SERVER)) {
            continue;
        }
        let mut inodes = BTreeSet::new();
        for file in fs::read_dir(path.join("fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(file.path()).unwrap_or_default();
            let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
            inodes.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
        }
        if fs::metadata(&path).is_ok_and(|process| process.uid() == 0) {
            of_root.extend(inodes.iter().copied());
        }
        if fs::read(path.join("cmdline")).is_ok_and(|title| is_session(&title)) {
            of_sessions.extend(inodes);
        }
    }
    &of_root & &of_sessions
}

/// Whether a process of an SSH server says that somebody has logged in: `sshd: root@pts/0`. Before that it is `sshd: root [net]`
/// and the like (`session_proctitle` in session.c, `privsep_preauth` in sshd.c of OpenSSH).
fn is_session(title: &[u8]) -> bool {
    let title = String::from_utf8_lossy(title);
    let title = title.trim_end_matches(['\0', ' ']);
    title.split_once(": ").is_some_and(|(_, what)| what.contains('@') && !what.ends_with(']'))
}

fn interface_with(address: IpAddr) -> Option<String> {
    let has_it = |one: &nix::ifaddrs::InterfaceAddress| {
        let there = one.address.as_ref();
        let v4 = there.and_then(|there| there.as_sockaddr_in()).map(|v4| IpAddr::V4(v4.ip()));
        let v6 = || there.and_then(|there| there.as_sockaddr_in6()).map(|v6| IpAddr::V6(v6.ip()));
        v4.or_else(v6) == Some(address)
    };
    nix::ifaddrs::getifaddrs().ok()?.find(has_it).map(|one| one.interface_name)
}

/// TCP ports with a listener, ascending.
///
/// # Errors
///
/// [`Error::Io`] if `/proc` cannot be read.
pub fn listening() -> Result<BTreeSet<u16>, Error> {
    let path = "/proc/thread-self/net/tcp";
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let more = fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default();
    let all = sockets(&text).chain(sockets(&more));
    Ok(all.filter(|socket| socket.state == LISTENING).map(|socket| socket.local_port).collect())
}

/// TCP connections that others opened to these ports of this host, and that still are or were open a minute ago (TIME_WAIT):
/// peer, its port, and ours. Those of this host itself are left out.
///
/// # Errors
///
/// [`Error::Io`] if `/proc` cannot be read.
pub fn visitors(ports: &[u16]) -> Result<BTreeSet<(SocketAddr, u16)>, Error> {
    let path = "/proc/thread-self/net/tcp";
    let text = fs::read_to_string(path).map_err(Error::io("read", path))?;
    let more = fs::read_to_string("/proc/thread-self/net/tcp6").unwrap_or_default();
    let (all, again) = (sockets(&text).chain(sockets(&more)), sockets(&text).chain(sockets(&more)));
    let listening: BTreeSet<u16> =
        again.filter(|socket| socket.state == LISTENING).map(|socket| socket.local_port).collect();
    Ok(all
        .filter(|socket| ports.contains(&socket.local_port) && listening.contains(&socket.local_port))
        .filter(|socket| matches!(socket.state, ESTABLISHED | TIME_WAIT))
        .filter(|socket| !socket.remote.is_loopback() && socket.remote != socket.local)
        .take(MAX_VISITORS)
        .map(|socket| (SocketAddr::new(socket.remote, socket.remote_port), socket.local_port))
        .collect())
}

/// A line of the kernel's tables.
pub(super) struct Socket<'a> {
    pub(super) local: IpAddr,
    pub(super) local_port: u16,
    remote: IpAddr,
    remote_port: u16,
    pub(super) state: &'a str,
    pub(super) inode: u64,
}

/// The lines of `/proc/net/tcp`, `udp` and those of IPv6 (`get_tcp4_sock` in net/ipv4/tcp_ipv4.c): number, local and remote address as
/// hexadecimal words in the machine's order, state, five more, inode.
pub(super) fn sockets(text: &str) -> impl Iterator<Item = Socket<'_>> {
    text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, local_port) = end(fields.next()?)?;
        let (remote, remote_port) = end(fields.next()?)?;
        let state = fields.next()?;
        Some(Socket { local, local_port, remote, remote_port, state, inode: fields.nth(5)?.parse().ok()? })
    })
}

fn end(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let word = |index: usize| u32::from_str_radix(address.get(index * 8..index * 8 + 8)?, 16).ok();
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?.to_ne_bytes())),
        32 => {
            let mut octets = [0; 16];
            for (index, place) in octets.as_chunks_mut::<4>().0.iter_mut().enumerate() {
                *place = word(index)?.to_ne_bytes();
            }
            IpAddr::V6(Ipv6Addr::from(octets)).to_canonical()
        }
        _ => return None,
    };
    Some((address, u16::from_str_radix(port, 16).ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_of_the_kernels_tables_are_read() {
        let expected: IpAddr = [127, 0, 0, 1].into();
        let loopback = format!("{:08X}", u32::from_ne_bytes([127, 0, 0, 1]));
        assert_eq!(end(&format!("{loopback}:0016")), Some((expected, 22)));
        let mapped = format!("{:08X}{:08X}{:08X}{loopback}", 0, 0, u32::from_ne_bytes([0, 0, 0xff, 0xff]));
        assert_eq!(end(&format!("{mapped}:1F90")), Some((expected, 8080)), "IPv4 on an IPv6 socket");
        assert_eq!(end("0100007F"), None);
        assert_eq!(end("xy:z"), None);
    }

    #[test]
    fn this_host_has_loopback_and_its_listeners() {
        assert!(own_addresses().unwrap().contains(&[127, 0, 0, 1].into()));
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        assert!(listening().unwrap().contains(&port));
        // Being connected is not being logged in.
        let _client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert!(ssh_sessions().unwrap().iter().all(|session| session.port != port));
    }

    #[test]
    fn who_has_logged_in_is_told_from_who_knocks() {
        for title in ["sshd: root@pts/0\0\0", "sshd: alice@notty", "sshd-session: alice@pts/1,pts/2   "] {
            assert!(is_session(title.as_bytes()), "{title}");
        }
        let others = [
            "sshd: /usr/sbin/sshd -D [listener] 1 of 10-100 startups",
            "sshd: unknown [net]",
            "sshd: alice [priv]",
            "sshd: alice@example.org [net]",
            "sshd: [accepted]",
            "/usr/sbin/sshd\0-D\0",
            "",
        ];
        for title in others {
            assert!(!is_session(title.as_bytes()), "{title}");
        }
    }
}
