//! Whom a ban would lock out: this host itself, and whoever administers it over SSH right now.

use std::collections::BTreeSet;
use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::error::Error;

/// Where an SSH server listens, if nothing else is known.
const SSH: u16 = 22;
/// How the processes of SSH servers are called.
const SERVERS: [&str; 2] = ["sshd", "dropbear"];
/// `TCP_ESTABLISHED` in include/net/tcp_states.h.
const ESTABLISHED: &str = "01";
/// `TCP_LISTEN`.
const LISTENING: &str = "0A";

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

/// The SSH sessions of this host: established connections to port 22, to the other `ports` where an SSH server is known to
/// listen, and those that an SSH server has open, whatever its port.
///
/// # Errors
///
/// [`Error::Io`] if `/proc` cannot be read.
pub fn ssh_sessions(ports: &[u16]) -> Result<Vec<Session>, Error> {
    let mut sessions = Vec::new();
    let servers = ssh_sockets();
    for name in ["tcp", "tcp6"] {
        let path = format!("/proc/thread-self/net/{name}");
        let text = match fs::read_to_string(&path) {
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            text => text.map_err(Error::io("read", &path))?,
        };
        let established = sockets(&text).filter(|socket| socket.state == ESTABLISHED);
        let ours = established.filter(|socket| {
            socket.local_port == SSH || ports.contains(&socket.local_port) || servers.contains(&socket.inode)
        });
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

/// Where the SSH sessions of this host come from.
///
/// # Errors
///
/// [`Error::Io`] if `/proc` cannot be read.
pub fn ssh_peers(ports: &[u16]) -> Result<BTreeSet<IpAddr>, Error> {
    Ok(ssh_sessions(ports)?.into_iter().map(|session| session.peer).collect())
}

/// The sockets of SSH servers, by their inodes (proc_pid_fd(5)). What cannot be read has ended, or is not ours to read.
fn ssh_sockets() -> BTreeSet<u64> {
    let mut all = BTreeSet::new();
    for process in fs::read_dir("/proc").into_iter().flatten().flatten() {
        let path = process.path();
        let name = fs::read_to_string(path.join("comm")).unwrap_or_default();
        if !SERVERS.iter().any(|server| name.starts_with(server)) {
            continue;
        }
        for file in fs::read_dir(path.join("fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(file.path()).unwrap_or_default();
            let inode = link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']'));
            all.extend(inode.and_then(|inode| inode.parse::<u64>().ok()));
        }
    }
    all
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

struct Socket<'a> {
    local: IpAddr,
    local_port: u16,
    remote: IpAddr,
    state: &'a str,
    inode: u64,
}

/// The lines of `/proc/net/tcp` and `tcp6` (`get_tcp4_sock` in net/ipv4/tcp_ipv4.c): number, local and remote address as
/// hexadecimal words in the machine's order, state, five more, inode.
fn sockets(text: &str) -> impl Iterator<Item = Socket<'_>> {
    text.lines().skip(1).filter_map(|line| {
        let mut fields = line.split_whitespace().skip(1);
        let (local, local_port) = end(fields.next()?)?;
        let (remote, _) = end(fields.next()?)?;
        let state = fields.next()?;
        Some(Socket { local, local_port, remote, state, inode: fields.nth(5)?.parse().ok()? })
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
        assert!(!ssh_peers(&[port]).unwrap().contains(&[127, 0, 0, 1].into()));
        let _client = std::net::TcpStream::connect(("127.0.0.1", port)).unwrap();
        assert!(ssh_peers(&[port]).unwrap().contains(&[127, 0, 0, 1].into()));
    }
}
