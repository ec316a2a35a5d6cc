//! What a sender is told when it is rejected.

use std::net::IpAddr;

use netfilter::packet::{Icmp, Packet, Transport};
use netfilter::rules::Verdict;
use policy::ruleset::RejectWith;

/// Type and code of the answer; `None` for a TCP reset.
fn code(with: RejectWith) -> Option<(u8, u8)> {
    match with {
        RejectWith::IcmpNetUnreachable => Some((3, 0)),
        RejectWith::IcmpHostUnreachable => Some((3, 1)),
        RejectWith::IcmpProtoUnreachable => Some((3, 2)),
        RejectWith::IcmpPortUnreachable => Some((3, 3)),
        RejectWith::IcmpNetProhibited => Some((3, 9)),
        RejectWith::IcmpHostProhibited => Some((3, 10)),
        RejectWith::IcmpAdminProhibited => Some((3, 13)),
        RejectWith::TcpReset => None,
        RejectWith::Icmp6NoRoute => Some((1, 0)),
        RejectWith::Icmp6AdminProhibited => Some((1, 1)),
        RejectWith::Icmp6AddrUnreachable => Some((1, 3)),
        RejectWith::Icmp6PortUnreachable => Some((1, 4)),
        RejectWith::Icmp6PolicyFail => Some((1, 5)),
        RejectWith::Icmp6RejectRoute => Some((1, 6)),
    }
}

/// Whether `answers` are what a packet with that verdict brings about.
pub(crate) fn fit(packet: &Packet<'_>, verdict: Verdict, answers: &[Vec<u8>]) -> Result<(), String> {
    let to_sender: Vec<Packet<'_>> = answers
        .iter()
        .filter_map(|datagram| Packet::parse(datagram, datagram.len()).ok())
        .filter(|answer| answer.destination() == packet.source())
        .collect();
    match verdict {
        // The host itself may answer.
        Verdict::Accept => Ok(()),
        Verdict::Drop if to_sender.is_empty() => Ok(()),
        Verdict::Drop => Err(format!("it was answered: {:02x?}", answers)),
        Verdict::Reject(with) => {
            if to_sender.is_empty() && !is_answered(packet, with) {
                return Ok(());
            }
            let [answer] = to_sender.as_slice() else {
                return Err(format!("{} answers instead of one", to_sender.len()));
            };
            is_right(packet, answer, with)
        }
    }
}

/// Whether this packet surely is answered. No answer goes to resets, to ICMP errors, and to what is broken.
fn is_answered(packet: &Packet<'_>, with: RejectWith) -> bool {
    if packet.fragment().is_some() || packet.transport_checksum() != Some(true) {
        return false;
    }
    match packet.transport() {
        Transport::Tcp(tcp) => with != RejectWith::TcpReset || tcp.flags & 4 == 0,
        Transport::Udp(_) => with != RejectWith::TcpReset,
        Transport::Icmp(Icmp { kind, .. }) => matches!(kind, 0 | 8 | 13),
        Transport::Icmpv6(Icmp { kind, .. }) => kind >= 128,
        Transport::Later
        | Transport::Other
        | Transport::Ports { .. }
        | Transport::Truncated
        | Transport::UdpLite(_) => false,
    }
}

fn is_right(packet: &Packet<'_>, answer: &Packet<'_>, with: RejectWith) -> Result<(), String> {
    let wrong = || Err(format!("{with:?} expected, and the answer is {:02x?}", answer.bytes()));
    match (code(with), answer.transport()) {
        (None, Transport::Tcp(reset)) => {
            let ports = packet.ports().map(|(source, destination)| (destination, source));
            let from: IpAddr = answer.source();
            let right = reset.flags & 4 != 0
                && Some((reset.source, reset.destination)) == ports
                && from == packet.destination();
            if right { Ok(()) } else { wrong() }
        }
        (Some(code), Transport::Icmp(found) | Transport::Icmpv6(found)) => {
            let quoted = answer.payload().get(8 + if packet.is_ipv4() { 12 } else { 8 }..);
            let addresses = packet.bytes().get(if packet.is_ipv4() { 12..20 } else { 8..40 });
            let quotes = addresses.zip(quoted).is_some_and(|(own, quoted)| quoted.starts_with(own));
            if code == (found.kind, found.code) && quotes { Ok(()) } else { wrong() }
        }
        (_, _) => wrong(),
    }
}
