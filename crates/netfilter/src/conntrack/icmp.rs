//! ICMP and ICMPv6: errors belong to the connection that they quote, queries open one.

use super::tuple::Tuple;
use crate::packet::{Icmp, Packet, Transport};

/// What an ICMP message is about.
pub(super) enum About {
    /// The packet with this tuple.
    Connection(Tuple),
    /// Not an error, or not ICMP.
    Nothing,
    /// An error about nothing that can be told, or a type that nobody knows.
    Unknown,
    /// Neighbour discovery or multicast listening.
    Untracked,
}

pub(super) fn about(packet: &Packet<'_>) -> About {
    match packet.transport() {
        Transport::Icmp(icmp) if packet.is_ipv4() => about_v4(packet, icmp),
        Transport::Icmpv6(icmp) if !packet.is_ipv4() => about_v6(packet, icmp),
        Transport::Icmp(_)
        | Transport::Icmpv6(_)
        | Transport::Later
        | Transport::Other
        | Transport::Ports { .. }
        | Transport::Tcp(_)
        | Transport::Truncated
        | Transport::Udp(_)
        | Transport::UdpLite(_) => About::Nothing,
    }
}

/// The highest type that Linux knows; RFC 1122 section 3.2.2 wants others discarded.
const HIGHEST_V4: u8 = 18;

fn about_v4(packet: &Packet<'_>, icmp: Icmp) -> About {
    match icmp.kind {
        // Unreachable, source quench, redirect, time exceeded, parameter problem.
        3 | 4 | 5 | 11 | 12 => quoted(packet, 8),
        kind if kind > HIGHEST_V4 => About::Unknown,
        _ => About::Nothing,
    }
}

fn about_v6(packet: &Packet<'_>, icmp: Icmp) -> About {
    match icmp.kind {
        // Listener query, report, done (RFC 2710); router and neighbour solicitation and advertisement (RFC 4861);
        // version 2 listener report (RFC 3810).
        130..=136 | 143 => About::Untracked,
        REDIRECT => redirect(packet),
        kind if kind < 128 => quoted(packet, 8),
        _ => About::Nothing,
    }
}

/// Neighbour discovery's redirect (RFC 4861 section 4.5).
const REDIRECT: u8 = 137;

/// The redirected packet is quoted in an option; only a neighbour's redirect counts.
fn redirect(packet: &Packet<'_>) -> About {
    const HEADER_LEN: usize = 40;
    const REDIRECTED_HEADER_OPTION: u8 = 4;
    let hop_limit = packet.bytes().get(7).copied();
    let neighbour = matches!(packet.source(), std::net::IpAddr::V6(source) if source.is_unicast_link_local());
    let option = packet.payload().get(HEADER_LEN..).and_then(|rest| rest.first_chunk::<2>());
    match option {
        Some(&[REDIRECTED_HEADER_OPTION, units]) if units > 0 && hop_limit == Some(255) && neighbour => {
            quoted(packet, HEADER_LEN + 8)
        }
        Some(_) | None => About::Unknown,
    }
}

fn quoted(packet: &Packet<'_>, at: usize) -> About {
    packet
        .payload()
        .get(at..)
        .and_then(|quoted| Tuple::of_quoted(quoted, packet.is_ipv4()))
        .map_or(About::Unknown, About::Connection)
}

/// Whether a message of this type may be the first of its connection.
pub(super) fn opens_connection(packet: &Packet<'_>, kind: u8) -> bool {
    match packet.transport() {
        // Echo, timestamp, information, address mask.
        Transport::Icmp(_) => packet.is_ipv4() && matches!(kind, 8 | 13 | 15 | 17),
        // Echo, node information.
        Transport::Icmpv6(_) => !packet.is_ipv4() && matches!(kind, 128 | 139),
        Transport::Later
        | Transport::Other
        | Transport::Ports { .. }
        | Transport::Tcp(_)
        | Transport::Truncated
        | Transport::Udp(_)
        | Transport::UdpLite(_) => false,
    }
}
