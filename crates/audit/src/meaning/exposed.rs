//! What of this host others reach.

use std::fmt;
use std::net::IpAddr;

use super::Pbx;
use crate::profile::{self, Listener, Media};
use crate::socket::Socket;

/// A port that listens beyond loopback.
#[derive(Clone, Debug)]
pub(crate) struct Exposed<'a> {
    /// The first of its sockets.
    pub(crate) socket: &'a Socket,
    addresses: Vec<IpAddr>,
}

/// More addresses of one port are not shown.
const SHOWN: usize = 4;

impl fmt::Display for Exposed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.socket.program {
            Some(program) => write!(f, "`{program}` listens on ")?,
            None => f.write_str("something listens on ")?,
        }
        let mut shown: Vec<String> = self.addresses.iter().take(SHOWN).map(IpAddr::to_string).collect();
        if self.addresses.len() > SHOWN {
            shown.push("…".to_owned());
        }
        write!(f, "{}, port {}/{}", shown.join(" and "), self.socket.port, self.socket.protocol.as_str())
    }
}

impl Pbx {
    /// By protocol and port; nothing where this is no configuration of this host.
    pub(crate) fn exposed(&self) -> Vec<Exposed<'_>> {
        let sockets = self.here.iter().flat_map(|here| &here.sockets);
        let mut open: Vec<&Socket> = sockets.filter(|socket| !socket.is_loopback()).collect();
        open.sort();
        let of_one_port = |a: &&Socket, b: &&Socket| (a.protocol, a.port) == (b.protocol, b.port);
        let ports = open.chunk_by(of_one_port);
        let exposed = ports.filter_map(|of_port| {
            let mut addresses: Vec<IpAddr> = of_port.iter().map(|socket| socket.address).collect();
            addresses.dedup();
            Some(Exposed { socket: of_port.first()?, addresses })
        });
        exposed.collect()
    }

    pub(crate) fn listeners(&self) -> Vec<Listener> {
        profile::listeners(self)
    }

    pub(crate) fn media(&self) -> Media {
        profile::media(self)
    }
}
