//! The Internet checksum (RFC 1071) and the pseudo-headers over it.

use std::net::{IpAddr, Ipv4Addr};

use super::{Packet, Transport, protocol};

/// One's-complement sum of 16-bit words, folded; 0xffff over data that carries a right checksum.
pub(crate) fn sum(data: &[u8]) -> u16 {
    fold(words(data))
}

/// Whether data carries a right checksum.
pub(super) fn is_right(data: &[u8]) -> bool {
    // The same in any order of bytes.
    fold(native(data)) == 0xffff
}

/// Whether an IPv4 header without options carries a right checksum.
#[inline]
pub(crate) fn is_right_v4(header: &[u8; 20]) -> bool {
    fold(native(header)) == 0xffff
}

/// Whether `datagram`, of UDP over IPv4, carries a right checksum.
pub(crate) fn udp_v4(source: Ipv4Addr, destination: Ipv4Addr, datagram: &[u8]) -> bool {
    let addresses = words(&source.octets()) + words(&destination.octets());
    let len = u64::try_from(datagram.len()).unwrap_or(u64::MAX);
    fold(addresses.wrapping_add(u64::from(protocol::UDP)).wrapping_add(len).wrapping_add(words(datagram)))
        == 0xffff
}

/// `nf_checksum`: `None` where nothing can be said.
pub(super) fn transport(packet: &Packet<'_>) -> Option<bool> {
    if packet.fragment().is_some() || packet.is_cut() || packet.has_gaps() {
        return None;
    }
    let payload = packet.payload();
    let number = packet.protocol()?;
    let total = match number {
        protocol::ICMP => words(payload),
        // IPv6 forbids it (RFC 8200 section 8.1), but conntrack does not mind.
        protocol::UDP if matches!(packet.transport(), Transport::Udp(udp) if udp.checksum == 0) => {
            return None;
        }
        protocol::UDP => {
            let &[_, _, _, _, l0, l1, ..] = payload.first_chunk::<8>()?;
            // The sum covers the UDP length, which may be less than what IP carries.
            let covered = payload.get(..usize::from(u16::from_be_bytes([l0, l1])))?;
            pseudo_header(packet, number, covered.len()) + words(covered)
        }
        protocol::TCP | protocol::ICMPV6 => pseudo_header(packet, number, payload.len()) + words(payload),
        _ => return None,
    };
    let right = fold(total) == 0xffff;
    if !right && is_left_to_the_card(packet, number, payload) {
        return None;
    }
    Some(right)
}

/// Linux hands UDP and TCP to a network card with only the pseudo-header summed (`CHECKSUM_PARTIAL`), and captures them so.
/// Between namespaces no card ever finishes the sum, and the receiver takes it for right.
fn is_left_to_the_card(packet: &Packet<'_>, number: u8, payload: &[u8]) -> bool {
    let at = match number {
        protocol::UDP => 6,
        protocol::TCP => 16,
        _ => return false,
    };
    let field = payload.get(at..).and_then(|rest| rest.first_chunk::<2>());
    field
        .is_some_and(|&field| u16::from_be_bytes(field) == fold(pseudo_header(packet, number, payload.len())))
}

fn pseudo_header(packet: &Packet<'_>, number: u8, len: usize) -> u64 {
    let addresses = match (packet.source(), packet.destination()) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            words(&source.octets()) + words(&destination.octets())
        }
        (source, destination) => octets(source) + octets(destination),
    };
    // At most 64 KiB (or a jumbogram below 4 GiB), so nothing is lost and nothing overflows.
    addresses + u64::from(number) + u64::try_from(len).unwrap_or(u64::from(u32::MAX))
}

fn octets(address: IpAddr) -> u64 {
    match address {
        IpAddr::V4(address) => words(&address.octets()),
        IpAddr::V6(address) => words(&address.octets()),
    }
}

/// As the sum does not depend on the order of bytes (RFC 1071 section 2), it is made of whatever the machine adds fastest.
fn words(data: &[u8]) -> u64 {
    u64::from(u16::from_be(fold(native(data))))
}

#[inline]
fn native(data: &[u8]) -> u64 {
    let (fours, rest) = data.as_chunks::<4>();
    let last = match *rest {
        [] => [0; 4],
        [a] => [a, 0, 0, 0],
        [a, b] => [a, b, 0, 0],
        [a, b, c, ..] => [a, b, c, 0],
    };
    let four = |bytes| u64::from(u32::from_ne_bytes(bytes));
    // Not even a jumbogram has so many bytes that this wraps.
    fours.iter().fold(four(last), |sum, &bytes| sum.wrapping_add(four(bytes)))
}

#[inline]
fn fold(mut total: u64) -> u16 {
    while total > 0xffff {
        total = (total & 0xffff) + (total >> 16);
    }
    u16::try_from(total).unwrap_or(u16::MAX)
}
