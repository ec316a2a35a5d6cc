//! Upper-layer headers, as far as rules and connection tracking look at them.

use super::{Fragment, protocol};

/// The upper-layer header of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport<'a> {
    Icmp(Icmp),
    Icmpv6(Icmp),
    /// A fragment other than the first: no header in it.
    Later,
    /// A protocol that neither rules nor connection tracking look into.
    Other,
    /// SCTP and DCCP.
    Ports {
        protocol: u8,
        source: u16,
        destination: u16,
    },
    Tcp(Tcp<'a>),
    /// Fewer bytes than the header of its protocol needs; the matches of that protocol discard such a packet (`hotdrop`).
    Truncated,
    Udp(Udp),
    UdpLite(Udp),
}

/// UDP (RFC 768) and UDP-Lite (RFC 3828).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Udp {
    pub source: u16,
    pub destination: u16,
    /// The length field as sent (UDP-Lite: checksum coverage); it may lie.
    pub len: u16,
    pub checksum: u16,
}

/// The first eight bytes of ICMP (RFC 792) or ICMPv6 (RFC 4443).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Icmp {
    pub kind: u8,
    pub code: u8,
    /// Identifier of queries: the first half of the four bytes after the checksum.
    pub id: u16,
    /// Sequence number of queries: the second half.
    pub sequence: u16,
}

/// TCP (RFC 9293).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Tcp<'a> {
    pub source: u16,
    pub destination: u16,
    pub sequence: u32,
    pub acknowledgement: u32,
    /// Bits of [`tcp_flags`], with ECE and CWR.
    pub flags: u8,
    /// As sent, not scaled.
    pub window: u16,
    /// Header length in bytes as the data offset names it; it may lie.
    pub header_len: usize,
    /// `None` when the data offset is below 5 or names more than there is.
    pub options: Option<&'a [u8]>,
    /// What follows the header; empty when the data offset lies.
    pub data: &'a [u8],
}

/// Bits of TCP's flag byte, as `--tcp-flags` names them.
pub mod tcp_flags {
    pub const FIN: u8 = 0x01;
    pub const SYN: u8 = 0x02;
    pub const RST: u8 = 0x04;
    pub const PSH: u8 = 0x08;
    pub const ACK: u8 = 0x10;
    pub const URG: u8 = 0x20;
    pub const ECE: u8 = 0x40;
    pub const CWR: u8 = 0x80;
}

/// Whether `-m multiport` knows ports for `protocol`.
pub(super) fn has_ports(number: u8) -> bool {
    matches!(number, protocol::TCP | protocol::UDP | protocol::UDPLITE | protocol::SCTP | protocol::DCCP)
}

/// The upper-layer header at the start of `payload`, of the protocol that the network header names.
pub(super) fn parse(protocol: Option<u8>, fragment: Option<Fragment>, payload: &[u8]) -> Transport<'_> {
    if fragment.is_some_and(|fragment| fragment.offset > 0) {
        return Transport::Later;
    }
    protocol.map_or(Transport::Truncated, |number| parse_header(number, payload))
}

/// The header of protocol `number` at the start of `payload`; also for the packet that an ICMP error quotes.
pub(crate) fn parse_header(number: u8, payload: &[u8]) -> Transport<'_> {
    let parsed = match number {
        // Most are, and nothing of this size is moved for them.
        protocol::UDP => return udp(payload).map_or(Transport::Truncated, Transport::Udp),
        protocol::ICMP => icmp(payload).map(Transport::Icmp),
        protocol::ICMPV6 => icmp(payload).map(Transport::Icmpv6),
        protocol::TCP => tcp(payload).map(Transport::Tcp),
        protocol::UDPLITE => udp(payload).map(Transport::UdpLite),
        protocol::SCTP => ports(number, payload, 12),
        protocol::DCCP => ports(number, payload, 12),
        _ => Some(Transport::Other),
    };
    parsed.unwrap_or(Transport::Truncated)
}

/// `header_len` is what the kernel's match for that protocol asks to be there.
fn ports(number: u8, payload: &[u8], header_len: usize) -> Option<Transport<'_>> {
    let &[s0, s1, d0, d1] = payload.get(..header_len)?.first_chunk::<4>()?;
    Some(Transport::Ports {
        protocol: number,
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
    })
}

fn icmp(payload: &[u8]) -> Option<Icmp> {
    let &[kind, code, _, _, i0, i1, s0, s1] = payload.first_chunk::<8>()?;
    Some(Icmp { kind, code, id: u16::from_be_bytes([i0, i1]), sequence: u16::from_be_bytes([s0, s1]) })
}

fn udp(payload: &[u8]) -> Option<Udp> {
    let &[s0, s1, d0, d1, l0, l1, c0, c1] = payload.first_chunk::<8>()?;
    Some(Udp {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        len: u16::from_be_bytes([l0, l1]),
        checksum: u16::from_be_bytes([c0, c1]),
    })
}

fn tcp(payload: &[u8]) -> Option<Tcp<'_>> {
    let &[s0, s1, d0, d1, q0, q1, q2, q3, a0, a1, a2, a3, offset, flags, w0, w1, _, _, _, _] =
        payload.first_chunk::<20>()?;
    let header_len = usize::from(offset >> 4) * 4;
    let options = payload.get(20..header_len);
    Some(Tcp {
        source: u16::from_be_bytes([s0, s1]),
        destination: u16::from_be_bytes([d0, d1]),
        sequence: u32::from_be_bytes([q0, q1, q2, q3]),
        acknowledgement: u32::from_be_bytes([a0, a1, a2, a3]),
        flags,
        window: u16::from_be_bytes([w0, w1]),
        header_len,
        options,
        data: options.and_then(|_| payload.get(header_len..)).unwrap_or_default(),
    })
}
