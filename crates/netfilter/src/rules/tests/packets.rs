//! Packets for tests, built by hand. Checksums are left out: rules do not look at them.

use std::net::IpAddr;

use crate::conntrack::State;

/// A packet in the making.
#[derive(Clone, Debug)]
pub(super) struct Build {
    source: IpAddr,
    destination: IpAddr,
    protocol: u8,
    /// Upper-layer header and what follows it.
    payload: Vec<u8>,
    hop_by_hop: bool,
    fragment: Option<(u16, bool)>,
    ttl: u8,
    /// Whole length, with the length fields adjusted.
    cut: Option<usize>,
    pub(super) input: Option<&'static str>,
    pub(super) output: Option<&'static str>,
    pub(super) state: State,
}

/// An IPv4 UDP packet to refine.
pub(super) fn ip4() -> Build {
    build("198.51.100.7", "198.51.100.1")
}

/// An IPv6 UDP packet to refine.
pub(super) fn ip6() -> Build {
    build("2001:db8:7::7", "2001:db8:1::1")
}

fn build(source: &str, destination: &str) -> Build {
    Build {
        source: source.parse().unwrap(),
        destination: destination.parse().unwrap(),
        protocol: 17,
        payload: vec![0; 8],
        hop_by_hop: false,
        fragment: None,
        ttl: 64,
        cut: None,
        input: Some("eth0"),
        output: None,
        state: State::New,
    }
}

impl Build {
    pub(super) fn from(self, source: &str) -> Self {
        Self { source: source.parse().unwrap(), ..self }
    }

    pub(super) fn to(self, destination: &str) -> Self {
        Self { destination: destination.parse().unwrap(), ..self }
    }

    pub(super) fn input(self, input: Option<&'static str>) -> Self {
        Self { input, ..self }
    }

    pub(super) fn output(self, output: Option<&'static str>) -> Self {
        Self { output, ..self }
    }

    pub(super) fn state(self, state: State) -> Self {
        Self { state, ..self }
    }

    pub(super) fn ttl(self, ttl: u8) -> Self {
        Self { ttl, ..self }
    }

    pub(super) fn protocol(self, protocol: u8) -> Self {
        Self { protocol, payload: vec![0; 8], ..self }
    }

    pub(super) fn udp(self, source: u16, destination: u16) -> Self {
        self.udp_like(17, source, destination)
    }

    pub(super) fn udp_like(self, protocol: u8, source: u16, destination: u16) -> Self {
        let payload = [source.to_be_bytes(), destination.to_be_bytes(), [0, 8], [0, 0]].concat();
        Self { protocol, payload, ..self }
    }

    pub(super) fn sctp(self, source: u16, destination: u16) -> Self {
        let payload = [source.to_be_bytes().as_slice(), &destination.to_be_bytes(), &[0; 8]].concat();
        Self { protocol: 132, payload, ..self }
    }

    pub(super) fn tcp(self, source: u16, destination: u16, flags: u8) -> Self {
        let ports = [source.to_be_bytes(), destination.to_be_bytes()].concat();
        let payload = [ports.as_slice(), &[0; 8], &[0x50, flags], &[0; 6]].concat();
        Self { protocol: 6, payload, ..self }
    }

    /// `options`: a multiple of four bytes.
    pub(super) fn tcp_options(mut self, options: &[u8]) -> Self {
        self.payload.truncate(20);
        self.payload.extend_from_slice(options);
        let words = u8::try_from(5 + options.len() / 4).unwrap();
        self.data_offset(words)
    }

    /// TCP's data offset, in words.
    pub(super) fn data_offset(mut self, words: u8) -> Self {
        self.payload[12] = words << 4;
        self
    }

    pub(super) fn icmp(self, kind: u8, code: u8) -> Self {
        let protocol = if self.source.is_ipv4() { 1 } else { 58 };
        Self { protocol, payload: vec![kind, code, 0, 0, 0, 0, 0, 0], ..self }
    }

    pub(super) fn data(mut self, data: &[u8]) -> Self {
        self.payload.extend_from_slice(data);
        self
    }

    pub(super) fn hop_by_hop(self) -> Self {
        Self { hop_by_hop: true, ..self }
    }

    /// `offset` in bytes.
    pub(super) fn fragment(self, offset: u16, more: bool) -> Self {
        Self { fragment: Some((offset, more)), ..self }
    }

    /// Ends the packet early; it says so itself, so it is not the capture that cut it.
    pub(super) fn cut_to(self, len: usize) -> Self {
        Self { cut: Some(len), ..self }
    }

    pub(super) fn bytes(&self) -> Vec<u8> {
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                let len = self.cut.unwrap_or(20 + self.payload.len());
                let (offset, more) = self.fragment.unwrap_or((0, false));
                let fragment = (offset / 8) | if more { 0x2000 } else { 0 };
                let mut bytes = vec![0x45, 0];
                bytes.extend(u16::try_from(len).unwrap().to_be_bytes());
                bytes.extend([0, 1]);
                bytes.extend(fragment.to_be_bytes());
                bytes.extend([self.ttl, self.protocol, 0, 0]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.extend(&self.payload);
                bytes.truncate(len);
                bytes
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                let mut body = Vec::new();
                if self.hop_by_hop {
                    body.extend([self.protocol, 0, 1, 4, 0, 0, 0, 0]);
                }
                body.extend(&self.payload);
                if let Some(len) = self.cut {
                    body.truncate(len - 40);
                }
                let next = if self.hop_by_hop { 0 } else { self.protocol };
                let mut bytes = vec![0x60, 0, 0, 0];
                bytes.extend(u16::try_from(body.len()).unwrap().to_be_bytes());
                bytes.extend([next, self.ttl]);
                bytes.extend(source.octets());
                bytes.extend(destination.octets());
                bytes.extend(body);
                bytes
            }
            _ => panic!("two families in one packet"),
        }
    }
}
