//! What identifies one direction of a connection.

use std::hash::{Hash, Hasher};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::packet::{ExtensionWalk, Packet, Transport, Udp, V6_HEADER_LEN, protocol};

/// Which way a packet goes in its connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    /// As the packet that opened it.
    Original,
    /// Against it.
    Reply,
}

impl Direction {
    pub(super) fn other(self) -> Self {
        match self {
            Self::Original => Self::Reply,
            Self::Reply => Self::Original,
        }
    }
}

/// Addresses, protocol and what tells connections of it apart.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Tuple {
    pub(super) source: IpAddr,
    pub(super) destination: IpAddr,
    protocol: u8,
    discriminator: Discriminator,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Discriminator {
    None,
    Ports {
        source: u16,
        destination: u16,
    },
    /// ICMP queries: identifier, type and code.
    Query {
        id: u16,
        kind: u8,
        code: u8,
    },
}

/// In as few words as it fits in: every packet is looked up.
impl Hash for Tuple {
    fn hash<H: Hasher>(&self, hasher: &mut H) {
        let halves = |address: Ipv6Addr| {
            let bits = address.to_bits();
            [(bits >> 64) as u64, bits as u64]
        };
        match (self.source, self.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                hasher.write_u64(u64::from(source.to_bits()) << 32 | u64::from(destination.to_bits()));
            }
            (IpAddr::V6(source), IpAddr::V6(destination)) => {
                halves(source).into_iter().chain(halves(destination)).for_each(|half| hasher.write_u64(half));
            }
            (source, destination) => (source, destination).hash(hasher),
        }
        let (kind, first, second) = match self.discriminator {
            Discriminator::None => (0, 0, 0),
            Discriminator::Ports { source, destination } => (1, source, destination),
            Discriminator::Query { id, kind, code } => (2, id, u16::from_be_bytes([kind, code])),
        };
        let rest = kind << 48 | u64::from(self.protocol) << 32 | u64::from(first) << 16 | u64::from(second);
        hasher.write_u64(rest);
    }
}

impl Tuple {
    /// `None` where the header that names ports is missing.
    pub(super) fn of(packet: &Packet<'_>) -> Option<Self> {
        let discriminator = match packet.transport() {
            Transport::Icmp(icmp) | Transport::Icmpv6(icmp) => {
                Discriminator::Query { id: icmp.id, kind: icmp.kind, code: icmp.code }
            }
            Transport::Tcp(_) | Transport::Udp(_) | Transport::UdpLite(_) | Transport::Ports { .. } => {
                let (source, destination) = packet.ports()?;
                Discriminator::Ports { source, destination }
            }
            Transport::Other => Discriminator::None,
            Transport::Later | Transport::Truncated => return None,
        };
        Some(Self {
            source: packet.source(),
            destination: packet.destination(),
            protocol: packet.protocol()?,
            discriminator,
        })
    }

    /// As [`Tuple::of`], of a packet with this header.
    pub(crate) fn of_udp(packet: &Packet<'_>, udp: &Udp) -> Self {
        let Udp { source, destination, .. } = *udp;
        Self {
            source: packet.source(),
            destination: packet.destination(),
            protocol: protocol::UDP,
            discriminator: Discriminator::Ports { source, destination },
        }
    }

    /// Of UDP over IPv4; `ports` of source and destination.
    pub(crate) fn udp_v4(source: Ipv4Addr, destination: Ipv4Addr, ports: (u16, u16)) -> Self {
        let discriminator = Discriminator::Ports { source: ports.0, destination: ports.1 };
        Self {
            source: source.into(),
            destination: destination.into(),
            protocol: protocol::UDP,
            discriminator,
        }
    }

    /// A number that tuples seldom share, unless somebody wants them to: for places that hold one of many.
    pub(crate) fn near(&self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let bits = |address| match address {
            IpAddr::V4(address) => u64::from(Ipv4Addr::to_bits(address)),
            IpAddr::V6(address) => {
                let bits = Ipv6Addr::to_bits(address);
                (bits >> 64) as u64 ^ bits as u64
            }
        };
        let ports = match self.discriminator {
            Discriminator::Ports { source, destination } => u64::from(source) << 16 | u64::from(destination),
            Discriminator::None | Discriminator::Query { .. } => 0,
        };
        let mixed = bits(self.source).rotate_left(32) ^ bits(self.destination) ^ ports.wrapping_mul(ODD);
        usize::try_from(mixed.wrapping_mul(ODD) >> 40).unwrap_or_default()
    }

    pub(crate) fn is_ipv4(&self) -> bool {
        self.source.is_ipv4()
    }

    /// The tuple of the packet that an ICMP error quotes. Only the first bytes of it are there, so its length fields are not
    /// looked at.
    pub(super) fn of_quoted(quoted: &[u8], v4: bool) -> Option<Self> {
        let (source, destination, number, offset) = if v4 { quoted_v4(quoted)? } else { quoted_v6(quoted)? };
        let payload = quoted.get(offset..)?;
        let discriminator = match number {
            protocol::ICMP | protocol::ICMPV6 => {
                let &[kind, code, _, _, i0, i1, _, _] = payload.first_chunk::<8>()?;
                Discriminator::Query { id: u16::from_be_bytes([i0, i1]), kind, code }
            }
            protocol::TCP | protocol::UDP | protocol::UDPLITE | protocol::SCTP | protocol::DCCP => {
                let &[s0, s1, d0, d1] = payload.first_chunk::<4>()?;
                let (source, destination) = (u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1]));
                Discriminator::Ports { source, destination }
            }
            _ => Discriminator::None,
        };
        Some(Self { source, destination, protocol: number, discriminator })
    }

    /// What the answer carries; `None` when this kind has no answer.
    pub(super) fn inverse(&self) -> Option<Self> {
        let discriminator = match self.discriminator {
            Discriminator::None => Discriminator::None,
            Discriminator::Ports { source, destination } => {
                Discriminator::Ports { source: destination, destination: source }
            }
            Discriminator::Query { id, kind, code } => {
                Discriminator::Query { id, kind: answering_kind(self.protocol, kind)?, code }
            }
        };
        Some(Self { source: self.destination, destination: self.source, discriminator, ..*self })
    }
}

/// Query and answer belong together: echo (RFC 792, RFC 4443), timestamp, information, address mask (RFC 950), node
/// information (RFC 4620).
fn answering_kind(number: u8, kind: u8) -> Option<u8> {
    let pairs: &[(u8, u8)] = if number == protocol::ICMPV6 {
        &[(128, 129), (139, 140)]
    } else {
        &[(8, 0), (13, 14), (15, 16), (17, 18)]
    };
    pairs.iter().find_map(|&(query, answer)| match kind {
        kind if kind == query => Some(answer),
        kind if kind == answer => Some(query),
        _ => None,
    })
}

fn quoted_v4(quoted: &[u8]) -> Option<(IpAddr, IpAddr, u8, usize)> {
    let &[first, _, _, _, _, _, frag0, frag1, _, number, _, _, s0, s1, s2, s3, d0, d1, d2, d3] =
        quoted.first_chunk::<20>()?;
    let later_fragment = u16::from_be_bytes([frag0, frag1]) & 0x1fff != 0;
    if later_fragment {
        return None;
    }
    let source = IpAddr::V4(Ipv4Addr::new(s0, s1, s2, s3));
    let destination = IpAddr::V4(Ipv4Addr::new(d0, d1, d2, d3));
    Some((source, destination, number, usize::from(first & 0x0f) * 4))
}

fn quoted_v6(quoted: &[u8]) -> Option<(IpAddr, IpAddr, u8, usize)> {
    let (fixed, addresses) = quoted.split_first_chunk::<8>()?;
    let (source, rest) = addresses.split_first_chunk::<16>()?;
    let destination = rest.first_chunk::<16>()?;
    let &[_, _, _, _, _, _, next_header, _] = fixed;
    let walk = ExtensionWalk::run(quoted, next_header);
    debug_assert!(walk.offset >= V6_HEADER_LEN);
    if walk.fragment.is_some_and(|fragment| fragment.offset > 0) {
        return None;
    }
    let source = IpAddr::V6(Ipv6Addr::from(*source));
    let destination = IpAddr::V6(Ipv6Addr::from(*destination));
    Some((source, destination, walk.protocol?, walk.offset))
}
