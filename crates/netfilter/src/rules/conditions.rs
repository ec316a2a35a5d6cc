//! Conditions on the packet alone, as `ip_packet_match`, `ip6_packet_match` and the modules of the matches check them.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use policy::ruleset::{Match, PortSide, States};
use policy::signature::Matcher;

use crate::conntrack::State;
use crate::packet::{Icmp, Packet, Tcp, Transport};

/// What a condition says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Held {
    Yes,
    No,
    /// The packet is dropped at once: a header that must be there is not.
    HotDrop,
}

impl From<bool> for Held {
    fn from(held: bool) -> Self {
        if held { Self::Yes } else { Self::No }
    }
}

/// The packet under judgement, with what is worked out once for all rules.
pub(super) struct Subject<'p> {
    packet: &'p Packet<'p>,
    state: State,
    jiffies: u64,
    transport: Transport<'p>,
    uncertain: bool,
    /// No condition asked for more than what all packets of a flow have in common, and the one search for signatures on headers.
    is_of_flow: bool,
    /// The packet in capitals, for searches that ignore case.
    capitals: Option<Vec<u8>>,
    /// Whether any signature on a header is in it, once that was searched.
    any_header: Option<bool>,
}

impl<'p> Subject<'p> {
    pub(super) fn new(packet: &'p Packet<'_>, state: State, jiffies: u64) -> Self {
        Self {
            packet,
            state,
            jiffies,
            transport: packet.transport(),
            uncertain: false,
            is_of_flow: true,
            capitals: None,
            any_header: None,
        }
    }

    pub(super) fn packet(&self) -> &'p Packet<'p> {
        self.packet
    }

    /// Whether any signature of the one search that all of them share is in the packet.
    pub(super) fn has_any_header(&mut self, any: &Matcher) -> bool {
        *self.any_header.get_or_insert_with(|| any.is_in(self.packet.bytes()))
    }

    pub(super) fn jiffies(&self) -> u64 {
        self.jiffies
    }

    /// `skb->len`: from the network header on.
    pub(super) fn len(&self) -> usize {
        self.packet.total_len()
    }

    pub(super) fn uncertain(&self) -> bool {
        self.uncertain
    }

    /// Whether signatures on headers were looked for by the one search for all of them.
    pub(super) fn was_searched(&self) -> bool {
        self.any_header.is_some()
    }

    /// Whether every other packet of the flow would have had the same answers, if no signature on a header is in it.
    pub(super) fn is_of_flow(&self) -> bool {
        self.is_of_flow && !self.is_odd()
    }

    /// Whether it has what other packets of its flow need not have: a signature on a header, or an end that the capture did not keep
    /// and a rule looked for.
    pub(super) fn is_odd(&self) -> bool {
        self.uncertain || self.any_header == Some(true)
    }

    /// A condition looks at what is this packet's own, or at what changes with time.
    pub(super) fn looks_beyond_flow(&mut self) {
        self.is_of_flow = false;
    }

    /// A rule looked for what the capture did not keep.
    pub(super) fn doubt_if_cut(&mut self) {
        self.uncertain |= self.packet.is_cut();
    }

    /// A header that is not all there: dropped, unless only the capture lacks it.
    pub(super) fn short_header(&mut self) -> Held {
        self.doubt_if_cut();
        if self.packet.is_cut() { Held::No } else { Held::HotDrop }
    }

    pub(super) fn is_later_fragment(&self) -> bool {
        self.packet.fragment().is_some_and(|fragment| fragment.offset > 0)
    }

    /// The packet's bytes, letters in capitals when case is ignored.
    pub(super) fn bytes(&mut self, ignore_case: bool, capital: impl Fn(u8) -> u8) -> &[u8] {
        let bytes = self.packet.bytes();
        if !ignore_case {
            return bytes;
        }
        self.capitals.get_or_insert_with(|| bytes.iter().map(|byte| capital(*byte)).collect())
    }
}

/// A condition that keeps no state. Those that do have modules of their own and never come here.
pub(super) fn plain(rule: &Match, subject: &mut Subject<'_>) -> Held {
    let packet = subject.packet;
    match rule {
        Match::Protocol { negated, protocol } => has_protocol(*protocol, *negated, subject),
        Match::Source { negated, network } => xor(network.contains(packet.source()), *negated),
        Match::SourceIn { negated, networks } => {
            xor(networks.iter().any(|network| network.contains(packet.source())), *negated)
        }
        Match::Destination { negated, network } => xor(network.contains(packet.destination()), *negated),
        // A packet that did not come in, or will not go out, has the empty name there.
        Match::InInterface { negated, name } => {
            xor(name.matches(packet.in_interface().unwrap_or_default()), *negated)
        }
        Match::OutInterface { negated, name } => {
            xor(name.matches(packet.out_interface().unwrap_or_default()), *negated)
        }
        Match::Fragment { negated } => xor(subject.is_later_fragment(), *negated),
        Match::SourcePort { negated, ports } => port(subject, *negated, ports, |(source, _)| source),
        Match::DestinationPort { negated, ports } => {
            port(subject, *negated, ports, |(_, destination)| destination)
        }
        Match::WholeHeader => match header_ports(subject) {
            Ok(_) => Held::Yes,
            Err(held) => held,
        },
        Match::TcpFlags { negated, mask, set } => {
            tcp(subject, |tcp| Ok((tcp.flags & mask == *set) != *negated))
        }
        Match::TcpOption { negated, option } => {
            tcp(subject, |tcp| tcp_option(tcp, *option).map(|found| found != *negated))
        }
        Match::Multiport { negated, side, ports } => multiport(subject, *negated, *side, ports),
        Match::State { negated, states } => xor(in_states(subject.state, *states), *negated),
        Match::Icmp { negated, types, codes } => icmp(subject, *negated, types, codes),
        Match::SourceRange { negated, range } => in_range(packet.source(), range, *negated),
        Match::DestinationRange { negated, range } => in_range(packet.destination(), range, *negated),
        Match::Length { negated, length } => {
            // A segment that the network card was to cut carries no length of its own.
            let declared = packet.declared_len();
            let len = if packet.is_ipv4() && declared == 0 { packet.total_len() } else { declared };
            let inside = usize::from(*length.start()) <= len && len <= usize::from(*length.end());
            xor(inside, *negated)
        }
        Match::Text(_) | Match::Header(_) | Match::Limit(_) | Match::HashLimit(_) | Match::Recent(_) => {
            Held::No
        }
    }
}

fn xor(holds: bool, negated: bool) -> Held {
    Held::from(holds != negated)
}

fn has_protocol(protocol: u8, negated: bool, subject: &mut Subject<'_>) -> Held {
    match subject.packet.protocol() {
        Some(found) => xor(found == protocol, negated),
        // IPv6 only: the chain of headers is broken off.
        None if subject.is_later_fragment() => Held::No,
        None => subject.short_header(),
    }
}

/// The ports behind `-m tcp|udp|udplite|sctp|dccp`, whose whole header must be there.
fn header_ports(subject: &mut Subject<'_>) -> Result<(u16, u16), Held> {
    match subject.transport {
        Transport::Tcp(tcp) => Ok((tcp.source, tcp.destination)),
        Transport::Udp(udp) | Transport::UdpLite(udp) => Ok((udp.source, udp.destination)),
        Transport::Ports { source, destination, .. } => Ok((source, destination)),
        Transport::Later => Err(later_fragment(subject)),
        Transport::Truncated => Err(subject.short_header()),
        Transport::Icmp(_) | Transport::Icmpv6(_) | Transport::Other => Err(Held::No),
    }
}

/// A fragment without the first header matches nothing; one that could overwrite TCP's flags (RFC 1858) is dropped. (For IPv6
/// the kernel compares bytes where it means units of eight, so that none is.)
fn later_fragment(subject: &Subject<'_>) -> Held {
    let packet = subject.packet;
    let evil = packet.is_ipv4()
        && packet.protocol() == Some(crate::packet::protocol::TCP)
        && packet.fragment().is_some_and(|fragment| fragment.offset == 8);
    if evil { Held::HotDrop } else { Held::No }
}

fn port(
    subject: &mut Subject<'_>,
    negated: bool,
    ports: &RangeInclusive<u16>,
    side: impl Fn((u16, u16)) -> u16,
) -> Held {
    match header_ports(subject) {
        Ok(found) => xor(ports.contains(&side(found)), negated),
        Err(held) => held,
    }
}

fn multiport(
    subject: &mut Subject<'_>,
    negated: bool,
    side: PortSide,
    ports: &[RangeInclusive<u16>],
) -> Held {
    if subject.is_later_fragment() {
        return Held::No;
    }
    // Only the four bytes of the ports must be there, not the whole header.
    let Some((source, destination)) = subject.packet.ports() else { return subject.short_header() };
    let listed = |port: u16| ports.iter().any(|range| range.contains(&port));
    let found = match side {
        PortSide::Source => listed(source),
        PortSide::Destination => listed(destination),
        PortSide::Either => listed(source) || listed(destination),
    };
    xor(found, negated)
}

/// A TCP option that cannot be looked for.
struct NoHeader;

fn tcp(subject: &mut Subject<'_>, holds: impl Fn(&Tcp<'_>) -> Result<bool, NoHeader>) -> Held {
    match subject.transport {
        Transport::Tcp(tcp) => match holds(&tcp) {
            Ok(held) => Held::from(held),
            Err(NoHeader) => subject.short_header(),
        },
        Transport::Later => later_fragment(subject),
        Transport::Truncated => subject.short_header(),
        Transport::Icmp(_)
        | Transport::Icmpv6(_)
        | Transport::Other
        | Transport::Ports { .. }
        | Transport::Udp(_)
        | Transport::UdpLite(_) => Held::No,
    }
}

/// `tcp_find_option` of `xt_tcpudp.c`.
fn tcp_option(tcp: &Tcp<'_>, wanted: u8) -> Result<bool, NoHeader> {
    let options = tcp.options.ok_or(NoHeader)?;
    let mut at = 0;
    while let Some(kind) = options.get(at) {
        if *kind == wanted {
            return Ok(true);
        }
        // 0 and 1 are one byte long; a length of 0 moves on by one, so that this ends.
        let len = if *kind < 2 { 1 } else { options.get(at + 1).map_or(1, |len| usize::from(*len).max(1)) };
        at += len;
    }
    Ok(false)
}

fn icmp(
    subject: &mut Subject<'_>,
    negated: bool,
    types: &RangeInclusive<u8>,
    codes: &RangeInclusive<u8>,
) -> Held {
    match subject.transport {
        Transport::Icmp(Icmp { kind, code, .. }) | Transport::Icmpv6(Icmp { kind, code, .. }) => {
            xor(types.contains(&kind) && codes.contains(&code), negated)
        }
        Transport::Truncated => subject.short_header(),
        Transport::Later
        | Transport::Other
        | Transport::Ports { .. }
        | Transport::Tcp(_)
        | Transport::Udp(_)
        | Transport::UdpLite(_) => Held::No,
    }
}

fn in_states(state: State, states: States) -> bool {
    match state {
        State::Established => states.established,
        State::Invalid => states.invalid,
        State::New => states.new,
        State::Related => states.related,
        State::Untracked => states.untracked,
    }
}

fn in_range(address: IpAddr, range: &RangeInclusive<IpAddr>, negated: bool) -> Held {
    xor(range.contains(&address), negated)
}
