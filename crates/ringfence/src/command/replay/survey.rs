//! The first pass: whose traffic a capture shows.
//!
//! The guarded host is told, in this order: by the direction that cooked captures and pcapng keep; by SIP requests (every
//! request must have a guarded end: the address that most different peers ask comes first, then whoever else only ever is
//! asked); by the number of packets.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use capture::Direction;
use foldhash::quality::RandomState;
use netfilter::packet::{Packet, Transport, tcp_flags};

use super::ahead::Prepared;
use super::locals::{Evidence, Locals, is_loopback};

/// Addresses and pairs of addresses remembered; what comes later is not counted.
const MAX_ADDRESSES: usize = 65_536;
const MAX_PAIRS: usize = 65_536;

/// Frames whose transport checksums are looked at.
const SUMMED_FRAMES: u64 = 20_000;

/// What is known about a capture.
#[derive(Debug, Default)]
pub(super) struct Survey {
    /// Nothing but checksums is asked for.
    only_checksums: bool,
    /// Packets with that address at one end; only their greatest number is asked for, so the order shows nowhere.
    packets: HashMap<IpAddr, u64, RandomState>,
    /// SIP requests by who was asked and who asked.
    requests: BTreeMap<(IpAddr, IpAddr), u64>,
    /// Sources of frames that the machine sent, and of those that it received.
    sent: BTreeSet<IpAddr>,
    received: BTreeSet<IpAddr>,
    frames: u64,
    named_frames: u64,
    /// Right and wrong transport checksums by source.
    checksums: BTreeMap<IpAddr, (u64, u64)>,
}

impl Survey {
    /// Of captures whose guarded host is known.
    pub(super) fn of_checksums() -> Self {
        Self { only_checksums: true, ..Self::default() }
    }

    pub(super) fn see(&mut self, prepared: &Prepared<'_>) {
        let Prepared { frame, decoded, packet, .. } = prepared;
        self.frames += 1;
        self.named_frames += u64::from(frame.interface.is_some());
        let Some(Ok(packet)) = packet else { return };
        let (source, destination) = (packet.source(), packet.destination());
        if is_loopback(source) || is_loopback(destination) {
            return;
        }
        self.see_checksum(packet);
        if self.only_checksums {
            return;
        }
        match decoded.direction {
            Some(Direction::Outgoing) => note(&mut self.sent, source),
            Some(Direction::Incoming) => note(&mut self.received, source),
            None => {}
        }
        for address in [source, destination] {
            if !is_group(address)
                && (self.packets.len() < MAX_ADDRESSES || self.packets.contains_key(&address))
            {
                *self.packets.entry(address).or_default() += 1;
            }
        }
        if is_request(packet) && !is_group(destination) {
            let pair = (destination, source);
            if self.requests.len() < MAX_PAIRS || self.requests.contains_key(&pair) {
                *self.requests.entry(pair).or_default() += 1;
            }
        }
    }

    fn see_checksum(&mut self, packet: &Packet<'_>) {
        // A part of the packets tells enough.
        if self.frames < SUMMED_FRAMES
            && let Some(right) = packet.transport_checksum()
        {
            let (good, bad) = self.checksums.entry(packet.source()).or_default();
            *(if right { good } else { bad }) += 1;
        }
    }

    /// Whether more frames would not tell more about checksums.
    pub(super) fn knows_checksums(&self) -> bool {
        self.frames >= SUMMED_FRAMES
    }

    /// Whether every frame has the name of its interface.
    pub(super) fn all_named(&self) -> bool {
        self.named_frames == self.frames
    }

    /// Whether arriving packets had their transport checksums when the capture was made. Between machines nearly all are
    /// right; on one machine (namespaces, virtual links) many are not filled in. Those that the guarded host sends tell
    /// nothing: its network card may fill them in later.
    pub(super) fn checksums_are_real(&self, locals: &Locals) -> bool {
        let arriving = self.checksums.iter().filter(|(source, _)| !locals.contains(**source));
        let (good, bad) = arriving.fold((0, 0), |sum, (_, counts)| (sum.0 + counts.0, sum.1 + counts.1));
        bad * 10 <= good
    }

    pub(super) fn locals(&self) -> Locals {
        let here: BTreeSet<IpAddr> = self.sent.difference(&self.received).copied().collect();
        if !here.is_empty() {
            return Locals::inferred(Evidence::Directions, here);
        }
        let asked = self.asked();
        if !asked.is_empty() {
            return Locals::inferred(Evidence::Requests, asked);
        }
        // Each family has its own most talkative address.
        let mut talkative = BTreeSet::new();
        for v4 in [true, false] {
            let of_family = self.packets.iter().filter(|(address, _)| address.is_ipv4() == v4);
            let most = of_family.max_by_key(|&(&address, &packets)| (packets, std::cmp::Reverse(address)));
            talkative.extend(most.map(|(&address, _)| address));
        }
        Locals::inferred(Evidence::MostPackets, talkative)
    }

    /// Addresses that are asked for SIP, until every request has one of them at an end.
    fn asked(&self) -> BTreeSet<IpAddr> {
        let mut found = BTreeSet::new();
        for v4 in [true, false] {
            let mut open: Vec<(IpAddr, IpAddr, u64)> = self
                .requests
                .iter()
                .filter(|((asked, _), _)| asked.is_ipv4() == v4)
                .map(|(&(asked, asking), &count)| (asked, asking, count))
                .collect();
            if let Some(first) = most_asked(&open) {
                found.insert(first);
                open.retain(|&(asked, asking, _)| asked != first && asking != first);
            }
            // The rest may be further addresses of the host, or further hosts; never those that only ask.
            let asking: BTreeSet<IpAddr> = open.iter().map(|&(_, asking, _)| asking).collect();
            found.extend(open.iter().map(|&(asked, _, _)| asked).filter(|asked| !asking.contains(asked)));
        }
        found
    }
}

/// Asked by the most different peers; then with the most requests more than it sends; then the lowest.
fn most_asked(requests: &[(IpAddr, IpAddr, u64)]) -> Option<IpAddr> {
    let mut scores: BTreeMap<IpAddr, (u64, i64)> = BTreeMap::new();
    for &(asked, asking, count) in requests {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let entry = scores.entry(asked).or_default();
        entry.0 += 1;
        entry.1 = entry.1.saturating_add(count);
        let entry = scores.entry(asking).or_default();
        entry.1 = entry.1.saturating_sub(count);
    }
    scores
        .into_iter()
        .max_by_key(|&(address, score)| (score, std::cmp::Reverse(address)))
        .map(|(address, _)| address)
}

fn note(addresses: &mut BTreeSet<IpAddr>, address: IpAddr) {
    if addresses.len() < MAX_ADDRESSES {
        addresses.insert(address);
    }
}

fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

/// A SIP request in one datagram or at the start of a segment, or the wish to connect to a SIP port.
fn is_request(packet: &Packet<'_>) -> bool {
    let sip_port = |port: u16| matches!(port, 5060 | 5061);
    match packet.transport() {
        Transport::Udp(_) => is_request_line(packet.payload().get(8..).unwrap_or_default()),
        Transport::Tcp(tcp) => {
            let connects = tcp.flags & (tcp_flags::SYN | tcp_flags::ACK) == tcp_flags::SYN;
            (connects && sip_port(tcp.destination)) || is_request_line(tcp.data)
        }
        Transport::Icmp(_)
        | Transport::Icmpv6(_)
        | Transport::Later
        | Transport::Other
        | Transport::Ports { .. }
        | Transport::Truncated
        | Transport::UdpLite(_) => false,
    }
}

/// `METHOD uri SIP/2.0` (RFC 3261 section 7.1); a method is at most 32 letters here.
fn is_request_line(data: &[u8]) -> bool {
    // Most is media, in whose bytes no line end need be looked for.
    if !data.first().is_some_and(u8::is_ascii_uppercase) {
        return false;
    }
    let line = data.split(|&byte| byte == b'\r' || byte == b'\n').next().unwrap_or_default();
    let method = line.split(|&byte| byte == b' ').next().unwrap_or_default();
    line.ends_with(b" SIP/2.0")
        && (1..=32).contains(&method.len())
        && method.iter().all(u8::is_ascii_uppercase)
}
