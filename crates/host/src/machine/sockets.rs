//! What listens here, and whose it is.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::shelter::{LISTENING, sockets};
use crate::error::Error;

/// `TCP_CLOSE`: a UDP socket that is connected to nobody.
const UNCONNECTED: &str = "07";
/// More are not told; a table of the kernel may hold millions.
const MAX_SOCKETS: usize = 4096;
/// What systemd holds until somebody comes.
const STARTER: &str = "systemd";

/// A socket that takes what others send.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Listening {
    /// Of UDP otherwise.
    pub is_tcp: bool,
    pub address: IpAddr,
    pub port: u16,
    /// What the kernel calls the program. Without root those of others are not seen.
    pub program: Option<String>,
}

/// TCP sockets that listen, and UDP sockets without a peer, of this network namespace.
///
/// # Errors
///
/// [`Error::Io`] if `/proc` cannot be read.
pub fn listening_sockets() -> Result<Vec<Listening>, Error> {
    let mut found = Vec::new();
    for (name, state) in
        [("tcp", LISTENING), ("tcp6", LISTENING), ("udp", UNCONNECTED), ("udp6", UNCONNECTED)]
    {
        let path = format!("/proc/thread-self/net/{name}");
        let text = match fs::read_to_string(&path) {
            // A kernel without IPv6.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            text => text.map_err(Error::io("read", &path))?,
        };
        let listening = sockets(&text).filter(|socket| socket.state == state && socket.local_port != 0);
        let room = MAX_SOCKETS.saturating_sub(found.len());
        found.extend(listening.take(room).map(|socket| {
            let is_tcp = state == LISTENING;
            let listening =
                Listening { is_tcp, address: socket.local, port: socket.local_port, program: None };
            (socket.inode, listening)
        }));
    }
    let programs = programs(&found.iter().map(|(inode, _)| *inode).collect());
    let mut all: Vec<Listening> = found
        .into_iter()
        .map(|(inode, socket)| Listening { program: programs.get(&inode).cloned(), ..socket })
        .collect();
    all.sort();
    all.dedup();
    Ok(all)
}

/// Whose these sockets are, by their inodes (proc_pid_fd(5)). Of several the one that does not only start others, and of those
/// the oldest.
fn programs(wanted: &BTreeSet<u64>) -> BTreeMap<u64, String> {
    let mut found: BTreeMap<u64, String> = BTreeMap::new();
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    let mut ids: Vec<u32> = processes.filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect();
    ids.sort_unstable();
    for id in ids {
        for file in fs::read_dir(format!("/proc/{id}/fd")).into_iter().flatten().flatten() {
            let link = fs::read_link(file.path()).unwrap_or_default();
            let inode =
                link.to_str().and_then(|link| link.strip_prefix("socket:[")?.strip_suffix(']')?.parse().ok());
            let Some(inode) = inode.filter(|inode| wanted.contains(inode)) else { continue };
            if found.get(&inode).is_none_or(|program| program == STARTER)
                && let Ok(name) = fs::read_to_string(format!("/proc/{id}/comm"))
            {
                found.insert(inode, name.trim_end_matches('\n').to_owned());
            }
        }
    }
    found
}

/// The ports that the kernel gives to clients; what it is shipped with where it does not tell.
#[must_use]
pub fn client_ports() -> RangeInclusive<u16> {
    let text = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    let mut numbers = text.split_whitespace().map_while(|word| word.parse::<u16>().ok());
    match (numbers.next(), numbers.next()) {
        (Some(first), Some(last)) if first <= last => first..=last,
        _ => 32768..=60999,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_test_listens() {
        let tcp = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let udp = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        let connected = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
        connected.connect(udp.local_addr().unwrap()).unwrap();
        let all = listening_sockets().unwrap();
        let find = |is_tcp: bool, port: u16| all.iter().find(|one| one.is_tcp == is_tcp && one.port == port);
        let own = find(true, tcp.local_addr().unwrap().port()).unwrap();
        assert!(own.address.is_loopback());
        let name = fs::read_to_string("/proc/self/comm").unwrap();
        assert!(own.program.as_deref() == Some(name.trim()) || own.program.is_some(), "{own:?}");
        assert!(find(false, udp.local_addr().unwrap().port()).is_some());
        assert!(find(false, connected.local_addr().unwrap().port()).is_none(), "it has a peer");
        assert!(client_ports().contains(&tcp.local_addr().unwrap().port()));
    }
}
