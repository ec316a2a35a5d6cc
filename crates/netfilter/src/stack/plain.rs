//! A datagram of UDP as nearly all media is, read without what only others need: IPv4 without options, whole.

use std::net::Ipv4Addr;

use super::{Flow, Settings, Way};
use crate::conntrack::Tuple;
use crate::packet::{arrival, checksum, protocol};

/// Such a datagram, with a right header checksum and a sound length.
#[derive(Clone, Copy, Debug)]
pub struct Plain<'a> {
    pub source: Ipv4Addr,
    pub destination: Ipv4Addr,
    pub source_port: u16,
    pub destination_port: u16,
    /// Of the whole datagram, in bytes ([`crate::packet::Packet::total_len`]).
    pub len: usize,
    /// As far as UDP says that it goes.
    udp: &'a [u8],
    is_summed: bool,
}

impl<'a> Plain<'a> {
    /// Reads the datagram at the start of `data`; `None` where it takes a [`crate::packet::Packet`] to tell what it is.
    pub fn read(data: &'a [u8]) -> Option<Self> {
        let (header, behind) = data.split_first_chunk::<20>()?;
        // Version and header length, offset and whether more fragments follow, protocol.
        let &[0x45, _, l0, l1, _, _, f0, f1, _, protocol::UDP, _, _, s0, s1, s2, s3, d0, d1, d2, d3] = header
        else {
            return None;
        };
        let is_whole = u16::from_be_bytes([f0, f1]) & 0x3fff == 0;
        let len = usize::from(u16::from_be_bytes([l0, l1]));
        let payload = behind.get(..len.checked_sub(header.len())?)?;
        let &[p0, p1, q0, q1, u0, u1, c0, c1] = payload.first_chunk::<8>()?;
        let udp = payload.get(..usize::from(u16::from_be_bytes([u0, u1])))?;
        if !is_whole || udp.len() < 8 || !checksum::is_right_v4(header) {
            return None;
        }
        Some(Self {
            source: Ipv4Addr::new(s0, s1, s2, s3),
            destination: Ipv4Addr::new(d0, d1, d2, d3),
            source_port: u16::from_be_bytes([p0, p1]),
            destination_port: u16::from_be_bytes([q0, q1]),
            len,
            udp,
            is_summed: [c0, c1] != [0, 0],
        })
    }

    /// Whether nothing but its flow is asked of such a datagram, as far as its own bytes tell. `settings` are the stack's.
    pub fn is_sound(&self, way: Way, settings: &Settings) -> bool {
        let verify = settings.conntrack.checksums && way == Way::Input && self.is_summed;
        !verify || checksum::udp_v4(self.source, self.destination, self.udp)
    }

    /// As [`Flow::of`], without looking at this one's checksum ([`Plain::is_sound`]).
    pub fn flow<'i>(&self, way: Way, interface: Option<&'i str>) -> Option<Flow<'i>> {
        let Self { source, destination, source_port, destination_port, .. } = *self;
        if way == Way::Input && arrival::is_martian(source.into(), destination.into(), false) {
            return None;
        }
        Flow::new(Tuple::udp_v4(source, destination, (source_port, destination_port)), way, interface)
    }
}
