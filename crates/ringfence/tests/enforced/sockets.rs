//! Who listens on the host: what arrives here was accepted in every respect.

use std::collections::BTreeMap;
use std::net::{IpAddr, UdpSocket};

use crate::oracle::namespace::Network;

/// Other ports of the packets have no listener: there the host itself answers.
pub(crate) const PORTS: [u16; 3] = [4569, 5060, 10_000];

/// Source, source port, destination port and payload of a UDP datagram.
pub(crate) type Letter = (IpAddr, u16, u16, Vec<u8>);

/// Sockets on [`PORTS`], and how often each datagram was received.
#[derive(Debug)]
pub(crate) struct Sockets {
    open: Vec<(u16, UdpSocket)>,
    received: BTreeMap<Letter, u32>,
}

impl Sockets {
    pub(crate) fn open(network: &Network, v4: bool) -> Self {
        let open = network.inside("host", || {
            PORTS.map(|port| {
                let socket = UdpSocket::bind((if v4 { "0.0.0.0" } else { "::" }, port)).expect("binds");
                socket.set_nonblocking(true).expect("set");
                (port, socket)
            })
        });
        Self { open: open.into(), received: BTreeMap::new() }
    }

    /// Takes what is there, before the sockets' buffers are full.
    pub(crate) fn drain(&mut self) {
        let mut buffer = vec![0; 65_536];
        for (port, socket) in &self.open {
            while let Ok((len, from)) = socket.recv_from(&mut buffer) {
                let letter = (from.ip(), from.port(), *port, buffer[..len].to_vec());
                *self.received.entry(letter).or_default() += 1;
            }
        }
    }

    pub(crate) fn received(mut self) -> BTreeMap<Letter, u32> {
        self.drain();
        self.received
    }
}
