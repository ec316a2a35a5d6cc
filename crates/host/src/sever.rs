//! What a banned source still has open: TCP connections of this host, and connections that netfilter tracks. Nothing of them
//! gets through the gate any more; but a program would go on talking to a peer that it thinks is there, until its timers end.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::netlink::{Part, attribute, command, dump_each, put};

/// What was ended.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Severed {
    pub sockets: usize,
    pub tracked: usize,
}

/// One end of a connection, as seen from this host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Peer {
    pub address: IpAddr,
    /// The port of this host; 0 where the protocol has none.
    pub local_port: u16,
    /// IP protocol number.
    pub protocol: u8,
    /// Our host began it.
    pub is_ours: bool,
}

/// `IPPROTO_TCP`
const TCP: u8 = 6;
const INET: u8 = 2;
const INET6: u8 = 10;

/// Ends every TCP connection of this network namespace whose peer is as asked for: its program gets `ECONNABORTED`, the peer a
/// reset. How many there were.
///
/// # Errors
///
/// The kernel cannot list them, or was built without `CONFIG_INET_DIAG_DESTROY`.
pub fn sockets(is_wanted: impl Fn(&Peer) -> bool) -> io::Result<usize> {
    const BY_FAMILY: u16 = 20;
    const DESTROY: u16 = 21;
    let mut found = Vec::new();
    for family in [INET, INET6] {
        dump_each(Part::Sockets, BY_FAMILY, &diag_request(family, &[0; SOCKET_ID]), |_, body| {
            if let Some((peer, id)) = diag_socket(body)
                && is_wanted(&peer)
            {
                found.push((family, id));
            }
        })?;
    }
    let requests = found.iter().map(|(family, id)| diag_request(*family, id));
    end_all(requests.map(|request| command(Part::Sockets, DESTROY, &request)))
}

/// How many were ended; or the first error, after all were tried.
fn end_all(done: impl Iterator<Item = io::Result<()>>) -> io::Result<usize> {
    let mut ended = 0;
    let mut failed = None;
    for one in done {
        match one {
            Ok(()) => ended += 1,
            // It ended by itself meanwhile.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(ended), Err)
}

/// Makes netfilter forget every connection whose peer is as asked for; how many there were.
///
/// # Errors
///
/// The kernel cannot list or delete them.
pub fn tracked(is_wanted: impl Fn(&Peer) -> bool) -> io::Result<usize> {
    const GET: u16 = 1 << 8 | 1;
    const DELETE: u16 = 1 << 8 | 2;
    let mut found = Vec::new();
    // Of every family.
    dump_each(Part::Netfilter, GET, &[0; 4], |_, body| {
        if tracked_peers(body).is_some_and(|peers| peers.iter().any(&is_wanted)) {
            found.extend(tracked_identity(body));
        }
    })?;
    end_all(found.iter().map(|delete| command(Part::Netfilter, DELETE, delete)))
}

/// Bytes of `struct inet_diag_sockid`.
const SOCKET_ID: usize = 48;

/// `struct inet_diag_req_v2` (include/uapi/linux/inet_diag.h): all states but listening and those that end by themselves.
fn diag_request(family: u8, id: &[u8; SOCKET_ID]) -> Vec<u8> {
    const TIME_WAIT: u32 = 1 << 6;
    const CLOSE: u32 = 1 << 7;
    const LISTEN: u32 = 1 << 10;
    const ALL: u32 = 0xfff;
    let mut body = vec![family, TCP, 0, 0];
    body.extend((ALL & !(TIME_WAIT | CLOSE | LISTEN)).to_ne_bytes());
    body.extend(id);
    body
}

/// A socket of `struct inet_diag_msg`: who is at its other end, and its identity.
fn diag_socket(body: &[u8]) -> Option<(Peer, [u8; SOCKET_ID])> {
    let family = *body.first()?;
    let id: &[u8; SOCKET_ID] = body.get(4..)?.first_chunk()?;
    let (source_port, rest) = id.split_first_chunk::<2>()?;
    // The peer's port and our address.
    let rest = rest.get(2 + 16..)?;
    let address = match family {
        INET => address(rest.first_chunk::<4>()?),
        INET6 => address(rest.first_chunk::<16>()?),
        _ => None,
    }?;
    let local_port = u16::from_be_bytes(*source_port);
    // A server's socket and a client's look alike here.
    Some((Peer { address, local_port, protocol: TCP, is_ours: false }, *id))
}

/// Attributes of a tracked connection (include/uapi/linux/netfilter/nfnetlink_conntrack.h).
const TUPLE_ORIG: u16 = 1;

/// Who may be the peer of a tracked connection.
fn tracked_peers(body: &[u8]) -> Option<[Peer; 2]> {
    const TUPLE_IP: u16 = 1;
    const TUPLE_PROTO: u16 = 2;
    let (head, attributes) = body.split_first_chunk::<4>()?;
    let tuple = attribute(attributes, TUPLE_ORIG)?;
    let addresses = attribute(tuple, TUPLE_IP)?;
    let (source, destination) = match head.first()? {
        &INET => (attribute(addresses, 1)?, attribute(addresses, 2)?),
        _ => (attribute(addresses, 3)?, attribute(addresses, 4)?),
    };
    let protocol = attribute(tuple, TUPLE_PROTO)?;
    let port = |kind| {
        attribute(protocol, kind)
            .and_then(|port| port.first_chunk())
            .map_or(0, |port| u16::from_be_bytes(*port))
    };
    let number = *attribute(protocol, 1)?.first()?;
    Some([
        Peer { address: address(source)?, local_port: port(3), protocol: number, is_ours: false },
        Peer { address: address(destination)?, local_port: port(2), protocol: number, is_ours: true },
    ])
}

/// What deletes a tracked connection, and no other that came in its place.
fn tracked_identity(body: &[u8]) -> Option<Vec<u8>> {
    const ID: u16 = 12;
    const ZONE: u16 = 18;
    const NESTED: u16 = 0x8000;
    let (head, attributes) = body.split_first_chunk::<4>()?;
    let mut delete = head.to_vec();
    put(&mut delete, TUPLE_ORIG | NESTED, attribute(attributes, TUPLE_ORIG)?);
    for kind in [ID, ZONE] {
        if let Some(value) = attribute(attributes, kind) {
            put(&mut delete, kind, value);
        }
    }
    Some(delete)
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    if let Ok(bytes) = <[u8; 4]>::try_from(bytes) {
        return Some(Ipv4Addr::from(bytes).into());
    }
    let bytes = <[u8; 16]>::try_from(bytes).ok()?;
    Some(IpAddr::from(Ipv6Addr::from(bytes)).to_canonical())
}

#[cfg(test)]
mod tests {
    use std::io::{Read as _, Write as _};
    use std::net::{TcpListener, TcpStream};

    use super::*;

    fn is_root() -> bool {
        let is_root = nix::unistd::geteuid().is_root();
        assert!(is_root || std::env::var_os("RINGFENCE_NO_SKIP").is_none(), "needs root");
        if !is_root {
            eprintln!("skipped: needs root");
        }
        is_root
    }

    #[test]
    fn a_connection_is_ended_and_its_neighbour_goes_on() {
        if !is_root() {
            return;
        }
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut client = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut served, _) = listener.accept().unwrap();
        let mut other = TcpStream::connect(("127.0.0.1", port)).unwrap();
        let (mut kept, _) = listener.accept().unwrap();
        let mine = client.local_addr().unwrap().port();
        // From the client's end, so that the two differ.
        let is_wanted = |peer: &Peer| peer.address.is_loopback() && peer.local_port == mine;
        assert_eq!(sockets(is_wanted).unwrap(), 1);
        assert!(client.write_all(b"x").is_err());
        assert!(served.read(&mut [0; 8]).is_err(), "it was reset");
        other.write_all(b"y").unwrap();
        assert_eq!(kept.read(&mut [0; 8]).unwrap(), 1);
        assert_eq!(sockets(is_wanted).unwrap(), 0);
    }

    #[test]
    fn messages_that_are_cut_are_nobodys() {
        let mut body = vec![INET, 1, 0, 0];
        body.extend([0x13, 0xc4, 0x30, 0x39]);
        body.extend([0; 16]);
        body.extend([203, 0, 113, 9]);
        body.extend([0; 24]);
        let (peer, _) = diag_socket(&body).unwrap();
        let address = "203.0.113.9".parse().unwrap();
        assert_eq!(peer, Peer { address, local_port: 5060, protocol: TCP, is_ours: false });
        for cut in 0..52 {
            assert_eq!(diag_socket(&body[..cut]), None);
            assert_eq!(tracked_peers(&body[..cut]), None);
            assert_eq!(tracked_identity(&body[..cut]), None);
        }
    }
}
