//! One IP datagram as netfilter's hooks see it: from the network header to the end that its length field names.
//!
//! Parsing is lax: what can be understood is kept. [`Packet::parse`] refuses only what `ip_rcv` and `ip6_rcv` could not even
//! hand to a hook (wrong version, impossible lengths). [`Packet::arrival_fault`] names the rest of what they discard, which
//! holds for packets that *arrive*: a packet that this host sends may lawfully lack its checksum in a capture (offload).
//!
//! | checked | where | kernel |
//! |---|---|---|
//! | version, header length, total length against the bytes on the wire | `parse` | `ip_rcv_core`, `ip6_rcv_core` |
//! | IPv4 header checksum, total length 0, impossible source addresses | `arrival_fault` | the same, `ip_route_input_slow` |
//! | UDP, TCP, ICMP checksum | `transport_checksum` | `nf_checksum`, by connection tracking only |

pub(crate) mod arrival;
pub(crate) mod checksum;
mod extensions;
mod transport;

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

pub(crate) use extensions::ExtensionWalk;
pub use extensions::FragmentHeader;
pub use transport::{Icmp, Tcp, Transport, Udp, tcp_flags};

/// Upper-layer protocol numbers (IANA "Protocol Numbers").
pub mod protocol {
    pub const HOP_BY_HOP: u8 = 0;
    pub const ICMP: u8 = 1;
    pub const TCP: u8 = 6;
    pub const UDP: u8 = 17;
    pub const DCCP: u8 = 33;
    pub const ROUTING: u8 = 43;
    pub const FRAGMENT: u8 = 44;
    pub const GRE: u8 = 47;
    pub const ESP: u8 = 50;
    pub const AH: u8 = 51;
    pub const ICMPV6: u8 = 58;
    pub const NO_NEXT_HEADER: u8 = 59;
    pub const DESTINATION_OPTIONS: u8 = 60;
    pub const SCTP: u8 = 132;
    pub const UDPLITE: u8 = 136;
}

/// One IP datagram, or one fragment of it. Borrows its bytes from a frame or from [`crate::defrag`].
#[derive(Clone, Copy, Debug)]
pub struct Packet<'a> {
    bytes: &'a [u8],
    source: IpAddr,
    destination: IpAddr,
    declared_len: usize,
    total_len: usize,
    protocol: Option<u8>,
    transport_offset: usize,
    fragment: Option<Fragment>,
    fragment_header: Option<FragmentHeader>,
    /// Read once: tracking and every rule ask for it.
    transport: Transport<'a>,
    /// Whether the sum over IPv4's header is right, or cannot be told.
    is_summed: bool,
    has_gaps: bool,
    seams: &'a [usize],
    in_interface: Option<&'a str>,
    out_interface: Option<&'a str>,
}

/// Which part of a datagram a fragment is. Absent from whole and from reassembled datagrams.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fragment {
    /// Where its first byte belongs, in bytes (a multiple of 8).
    pub offset: usize,
    /// More fragments follow.
    pub more: bool,
    /// IPv4: 16 bits; IPv6: 32 bits.
    pub id: u32,
}

/// Why the kernel discards a datagram before any hook or rule sees it.
#[derive(Clone, Copy, Debug, Eq, PartialEq, Ord, PartialOrd)]
pub enum Malformed {
    /// The IPv4 header checksum is wrong.
    Checksum,
    /// Fewer bytes than the smallest header of its version.
    HeaderCut,
    /// IPv4 header length below 20 or beyond the total length.
    HeaderLength,
    /// The length field names more than arrived, or less than the header.
    Length,
    /// A source or destination that cannot come over this wire: multicast source, loopback from outside, `0.0.0.0/8`.
    Martian,
    /// Neither version 4 nor 6.
    Version,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Checksum => "wrong ip header checksum",
            Self::HeaderCut => "ip header cut off",
            Self::HeaderLength => "impossible ip header length",
            Self::Length => "ip length field does not fit the bytes on the wire",
            Self::Martian => "impossible source or destination address",
            Self::Version => "neither ipv4 nor ipv6",
        })
    }
}

impl std::error::Error for Malformed {}

impl<'a> Packet<'a> {
    /// Reads the datagram at the start of `data`. `wire_len` is how many bytes there were on the wire from the network
    /// header on: at least `data.len()`, more when the capture cut the packet (snap length).
    pub fn parse(data: &'a [u8], wire_len: usize) -> Result<Self, Malformed> {
        let wire_len = wire_len.max(data.len());
        match data.first().map(|byte| byte >> 4) {
            Some(4) => Self::parse_v4(data, wire_len),
            Some(6) => Self::parse_v6(data, wire_len),
            Some(_) => Err(Malformed::Version),
            None => Err(Malformed::HeaderCut),
        }
    }

    fn parse_v4(data: &'a [u8], wire_len: usize) -> Result<Self, Malformed> {
        let header = data.first_chunk::<20>().ok_or(Malformed::HeaderCut)?;
        let &[
            first,
            _,
            len0,
            len1,
            id0,
            id1,
            frag0,
            frag1,
            _,
            protocol,
            _,
            _,
            s0,
            s1,
            s2,
            s3,
            d0,
            d1,
            d2,
            d3,
        ] = header;
        let header_len = usize::from(first & 0x0f) * 4;
        if header_len < header.len() {
            return Err(Malformed::HeaderLength);
        }
        let declared_len = usize::from(u16::from_be_bytes([len0, len1]));
        // A segment that the network card was to split carries 0 here; `arrival_fault` refuses it when it arrives.
        let total_len = if declared_len == 0 { wire_len } else { declared_len };
        if total_len < header_len || total_len > wire_len {
            return Err(Malformed::Length);
        }
        let bits = u16::from_be_bytes([frag0, frag1]);
        let fragment = Fragment {
            offset: usize::from(bits & 0x1fff) * 8,
            more: bits & 0x2000 != 0,
            id: u32::from(u16::from_be_bytes([id0, id1])),
        };
        let fragment = (fragment.more || fragment.offset > 0).then_some(fragment);
        let bytes = data.get(..total_len).unwrap_or(data);
        // A header that the capture cut cannot be judged. That of 20 bytes, which nearly all have, is summed by its constant length.
        let is_summed = match bytes.get(..header_len) {
            Some(whole) if whole.len() == header.len() => checksum::is_right(header),
            Some(whole) => checksum::is_right(whole),
            None => true,
        };
        let payload = bytes.get(header_len..).unwrap_or_default();
        Ok(Self {
            bytes,
            source: IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3)),
            destination: IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3)),
            declared_len,
            total_len,
            protocol: Some(protocol),
            transport_offset: header_len,
            fragment,
            fragment_header: None,
            transport: transport::parse(Some(protocol), fragment, payload),
            is_summed,
            has_gaps: false,
            seams: &[],
            in_interface: None,
            out_interface: None,
        })
    }

    fn parse_v6(data: &'a [u8], wire_len: usize) -> Result<Self, Malformed> {
        let (fixed, addresses) = data.split_first_chunk::<8>().ok_or(Malformed::HeaderCut)?;
        let (source, rest) = addresses.split_first_chunk::<16>().ok_or(Malformed::HeaderCut)?;
        let destination = rest.first_chunk::<16>().ok_or(Malformed::HeaderCut)?;
        let &[_, _, _, _, len0, len1, next_header, _] = fixed;
        let payload_len = usize::from(u16::from_be_bytes([len0, len1]));
        // A jumbogram (RFC 2675) carries its length in a hop-by-hop option and 0 here.
        let jumbo = payload_len == 0 && next_header == protocol::HOP_BY_HOP;
        let total_len = if jumbo { wire_len } else { payload_len + V6_HEADER_LEN };
        if total_len > wire_len {
            return Err(Malformed::Length);
        }
        let bytes = data.get(..total_len).unwrap_or(data);
        let walk = ExtensionWalk::run(bytes, next_header);
        Ok(Self {
            bytes,
            source: IpAddr::V6(Ipv6Addr::from(*source)),
            destination: IpAddr::V6(Ipv6Addr::from(*destination)),
            declared_len: payload_len + V6_HEADER_LEN,
            total_len,
            protocol: walk.protocol,
            transport_offset: walk.offset,
            fragment: walk.fragment,
            fragment_header: walk.fragment_header,
            transport: transport::parse(
                walk.protocol,
                walk.fragment,
                bytes.get(walk.offset..).unwrap_or_default(),
            ),
            is_summed: true,
            has_gaps: false,
            seams: &[],
            in_interface: None,
            out_interface: None,
        })
    }

    /// The same packet, come in through `input` or about to leave through `output`.
    #[must_use]
    pub fn with_interfaces(mut self, input: Option<&'a str>, output: Option<&'a str>) -> Self {
        self.set_interfaces(input, output);
        self
    }

    /// It came in through `input`, or is about to leave through `output`. Nothing is moved, as a packet is large.
    pub fn set_interfaces(&mut self, input: Option<&'a str>, output: Option<&'a str>) {
        (self.in_interface, self.out_interface) = (input, output);
    }

    /// The same packet with other content of the same layout.
    pub(crate) fn with_bytes<'b>(self, bytes: &'b [u8]) -> Packet<'b>
    where
        'a: 'b,
    {
        let payload = bytes.get(self.transport_offset..).unwrap_or_default();
        Packet { bytes, transport: transport::parse(self.protocol, self.fragment, payload), ..self }
    }

    /// The content as it is when FORWARD's rules see it, one hop further (`ip_decrease_ttl`); `None` when it has no hop left.
    pub(crate) fn routed(&self) -> Option<Vec<u8>> {
        let mut bytes = self.bytes.to_vec();
        let ttl = bytes.get_mut(if self.is_ipv4() { 8 } else { 7 })?;
        *ttl = ttl.checked_sub(1).filter(|&left| left > 0)?;
        if self.is_ipv4()
            && let Some(field) = bytes.get_mut(10..12)
            && let &mut [high, low] = field
        {
            let sum = u32::from(u16::from_be_bytes([high, low])) + 0x0100;
            let folded = (sum + u32::from(sum >= 0xffff)) & 0xffff;
            field.copy_from_slice(&u16::try_from(folded).unwrap_or_default().to_be_bytes());
        }
        Some(bytes)
    }

    /// The same packet, some of whose bytes are not known (zeros stand for them): its checksums say nothing.
    #[must_use]
    pub fn with_gaps(self, has_gaps: bool) -> Self {
        Self { has_gaps, ..self }
    }

    /// The same packet, reassembled from fragments that begin at these offsets (the first excepted), ascending.
    #[must_use]
    pub fn with_seams(self, seams: &'a [usize]) -> Self {
        Self { seams, ..self }
    }

    /// Where the fragments meet that the kernel holds this datagram in; empty when it is in one piece.
    pub fn seams(&self) -> &'a [usize] {
        self.seams
    }

    /// The whole datagram from its network header to the end that its length names; link padding is not part of it. A
    /// capture with a snap length may hold less than [`Packet::total_len`].
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    pub fn source(&self) -> IpAddr {
        self.source
    }

    pub fn destination(&self) -> IpAddr {
        self.destination
    }

    /// Whether it is IPv4 (else IPv6).
    pub fn is_ipv4(&self) -> bool {
        self.source.is_ipv4()
    }

    /// The upper-layer protocol: IPv4's field, or what follows IPv6's extension headers (59 when nothing does). `None` when
    /// that chain is broken off, where ip6tables' `-p` discards the packet (`hotdrop` in `ip6_packet_match`).
    pub fn protocol(&self) -> Option<u8> {
        self.protocol
    }

    /// Offset of the upper-layer header from the network header.
    pub fn transport_offset(&self) -> usize {
        self.transport_offset
    }

    /// Length in bytes that `-m length` compares: IPv4 total length; IPv6 payload length + 40.
    pub fn declared_len(&self) -> usize {
        self.declared_len
    }

    /// Length in bytes of the datagram on the wire; same as [`Packet::declared_len`] but for offloaded segments and jumbograms.
    pub fn total_len(&self) -> usize {
        self.total_len
    }

    /// Whether the capture holds less than the wire did.
    pub fn is_cut(&self) -> bool {
        self.bytes.len() < self.total_len
    }

    /// Whether zeros stand for bytes that a fragment's capture had cut.
    pub fn has_gaps(&self) -> bool {
        self.has_gaps
    }

    /// Set for a fragment that was not (or not yet) reassembled.
    pub fn fragment(&self) -> Option<Fragment> {
        self.fragment
    }

    /// Where the fragment header of an IPv6 fragment stands.
    pub fn fragment_header(&self) -> Option<FragmentHeader> {
        self.fragment_header
    }

    /// The interface it came in through, if known.
    pub fn in_interface(&self) -> Option<&'a str> {
        self.in_interface
    }

    /// The interface that it leaves through, if known.
    pub fn out_interface(&self) -> Option<&'a str> {
        self.out_interface
    }

    /// Bytes from the upper-layer header on; empty when it begins beyond the end.
    pub fn payload(&self) -> &'a [u8] {
        self.bytes.get(self.transport_offset..).unwrap_or_default()
    }

    /// The upper-layer header.
    pub fn transport(&self) -> Transport<'a> {
        self.transport
    }

    /// The first four bytes after the network header as two ports, as `-m multiport` reads them: only for TCP, UDP,
    /// UDP-Lite, SCTP and DCCP, and not for later fragments.
    pub fn ports(&self) -> Option<(u16, u16)> {
        let first = self.fragment.is_none_or(|fragment| fragment.offset == 0);
        if !first || !self.protocol.is_some_and(transport::has_ports) {
            return None;
        }
        let &[s0, s1, d0, d1] = self.payload().first_chunk::<4>()?;
        Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
    }

    /// Whether the upper-layer checksum holds: `None` when it cannot be told (no checksum in this protocol, a zero UDP
    /// checksum, one that was left to the network card, a fragment, a packet that the capture cut).
    pub fn transport_checksum(&self) -> Option<bool> {
        checksum::transport(self)
    }
}

/// IPv6's fixed header.
pub(crate) const V6_HEADER_LEN: usize = 40;

#[cfg(test)]
mod tests;
