//! The pure core of `replay`: frames in, records out.

mod follow;
mod observe;
mod reasons;

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use capture::link::{Decoded, Payload};
use capture::{Direction, Frame, Problem};
use engine::{Enforcer, Reading, Stop};
use netfilter::defrag::Refusal;
use netfilter::packet::{Malformed, Packet, protocol};
use netfilter::stack::{Fate, Judged, Settings, Stack, Way, Why};
use policy::Policy;
use policy::ruleset::Family;

use super::ahead::Prepared;
use super::locals::{Locals, is_loopback};
use super::record::{self, Decision, End, Place, Protocol, Reason, Record};
use crate::detection::Detection;
use follow::{Follower, Stopped};
use observe::Piece;
use reasons::Reasons;

/// Judges frame after frame.
pub(super) struct Judge<'a> {
    reasons: Reasons,
    locals: &'a Locals,
    /// Of frames for which the capture names none.
    interface: Option<&'a str>,
    stack: Stack<Ticket>,
    detection: Detection,
    enforcer: Enforcer,
    /// Made when the first packet comes that is no UDP: it compiles the policy.
    follower: OnceCell<Option<Follower>>,
    policy: &'a Policy,
    /// The latest time seen; it never goes back, though captures of several interfaces may.
    now: Duration,
    decided: VecDeque<Record>,
    /// What was decided about packets that the machine sent to itself, for the copies that it received.
    sent_to_self: VecDeque<(Vec<u8>, record::Packet)>,
    problems: Vec<String>,
    /// Problems that were not kept.
    suppressed: u64,
    unsupported: BTreeMap<(Rc<str>, u16), u64>,
    capture: Rc<str>,
}

/// What the stack hands back with a fate.
#[derive(Debug)]
struct Ticket {
    place: Place,
    family: Family,
    /// A copy to come has this content.
    copy: Option<Vec<u8>>,
    way: Way,
    /// What a fragment holds, for the engine.
    piece: Option<Piece>,
}

/// Problems told of each capture; the rest is counted.
const MAX_PROBLEMS: usize = 50;

/// Two runs are to be the same.
const SEED: u64 = 0;

/// Bans and limits in force, at most.
const MAX_BANS: usize = 1 << 20;

/// Packets to itself whose second copy is awaited; the oldest makes room.
const MAX_COPIES: usize = 64;

impl<'a> Judge<'a> {
    /// Judges by a policy, and lets the engine watch. What grows is bounded by `settings`; problems are handed out with
    /// [`Judge::take_problems`].
    pub(super) fn new(
        policy: &'a Policy,
        settings: Settings,
        locals: &'a Locals,
        interface: Option<&'a str>,
    ) -> Self {
        Self {
            reasons: Reasons::new(policy.sets()),
            locals,
            interface,
            stack: Stack::new(policy.sets(), settings),
            detection: Detection::new(policy, SEED),
            enforcer: Enforcer::new(&policy.detection().settings, MAX_BANS),
            follower: OnceCell::new(),
            policy,
            now: Duration::ZERO,
            decided: VecDeque::new(),
            sent_to_self: VecDeque::new(),
            problems: Vec::new(),
            suppressed: 0,
            unsupported: BTreeMap::new(),
            capture: Rc::from(""),
        }
    }

    /// Whether `time` lies before what was judged already.
    pub(super) fn is_past(&self, time: Duration) -> bool {
        time < self.now
    }

    /// Takes the next frame of a capture, with what was read of it.
    pub(super) fn see(&mut self, capture: &str, prepared: &Prepared<'_>, reading: Option<Reading<'_, '_>>) {
        let Prepared { frame, decoded, packet } = prepared;
        if *self.capture != *capture {
            self.capture = Rc::from(capture);
        }
        self.now = self.now.max(frame.time);
        let place = |protocol, source, destination| Place {
            capture: Rc::clone(&self.capture),
            frame: frame.number,
            time: frame.time,
            protocol,
            source,
            destination,
        };
        match decoded.payload {
            Payload::Ip { data, wire_len } => match packet {
                Some(Ok(packet)) => {
                    let place = place(
                        packet.protocol().map_or(Protocol::Ip, Protocol::Upper),
                        end(packet.source(), packet.ports().map(|(source, _)| source)),
                        end(packet.destination(), packet.ports().map(|(_, destination)| destination)),
                    );
                    self.datagram(packet, reading, prepared, place);
                }
                Some(Err(Malformed::HeaderCut)) if data.len() < wire_len => {
                    self.problems
                        .push(format!("{capture}: frame {}: the ip header is cut off", frame.number));
                }
                Some(Err(_)) | None => {
                    let (source, destination) = addresses(data);
                    let sent = matches!(source, End::Address(address) if self.locals.contains(address));
                    let verdict = if sent { Decision::Accept } else { Decision::Drop };
                    self.plain(place(Protocol::Ip, source, destination), verdict, Reason::Malformed);
                }
            },
            Payload::Other(ether_type) => {
                let (source, destination) = link_addresses(frame);
                let protocol = Protocol::Link(ether_type.unwrap_or(0));
                self.plain(place(protocol, source, destination), Decision::Accept, Reason::NotIp);
            }
            Payload::Cut => {
                self.tell(format!("{capture}: frame {}: the link header is cut off", frame.number));
            }
            Payload::Unsupported(link) => {
                *self.unsupported.entry((Rc::clone(&self.capture), link)).or_default() += 1;
            }
        }
        self.collect(None);
    }

    /// Nothing comes any more: what waits for the rest of its fragments is given up.
    pub(super) fn end(&mut self) {
        self.stack.end();
        self.collect(None);
        self.pass_time();
    }

    /// The next frame whose fate is known, in the order of decision (fragments wait for their datagram), and what the engine says
    /// about it.
    pub(super) fn decided(&mut self) -> Option<Record> {
        self.decided.pop_front()
    }

    /// Something that the reader could not read.
    pub(super) fn problem(&mut self, capture: &str, problem: Problem) {
        self.tell(format!("{capture}: frame {}: {}", problem.frame, problem.what));
    }

    /// What could not be judged, or not surely, since the last call.
    pub(super) fn take_problems(&mut self) -> Vec<String> {
        let mut problems = std::mem::take(&mut self.problems);
        let suppressed = std::mem::take(&mut self.suppressed);
        if suppressed > 0 {
            problems.push(format!("{}: {suppressed} more problems like these", self.capture));
        }
        for ((capture, link), count) in std::mem::take(&mut self.unsupported) {
            problems.push(format!(
                "{capture}: link type {link} is not supported; {count} frames were not judged"
            ));
        }
        problems
    }

    fn tell(&mut self, problem: String) {
        if self.problems.len() < MAX_PROBLEMS {
            self.problems.push(problem);
        } else {
            self.suppressed += 1;
        }
    }

    fn plain(&mut self, place: Place, verdict: Decision, reason: Reason) {
        self.decided.push_back(Record::Packet(record::Packet {
            place,
            verdict,
            reason,
            rule: None,
            log: None,
        }));
    }

    fn datagram(
        &mut self,
        packet: &Packet<'_>,
        reading: Option<Reading<'_, '_>>,
        prepared: &Prepared<'_>,
        place: Place,
    ) {
        let Prepared { frame, decoded, .. } = prepared;
        let ends = Ends {
            from_us: self.locals.contains(packet.source()),
            to_us: self.locals.contains(packet.destination()),
        };
        let loopback = is_loopback_packet(packet, decoded, ends);
        if loopback && decoded.direction == Some(Direction::Incoming) && self.copy(packet, &place) {
            return;
        }
        let Some(way) = self.way(packet, decoded, ends, loopback) else {
            return self.plain(place, Decision::Accept, Reason::NotLocal);
        };
        if way == Way::Input
            && let Some(stop) = self.stop(packet)
        {
            let reason = match stop {
                Stop::Banned => Reason::Banned,
                Stop::Limited => Reason::Limited,
            };
            let number = place.frame;
            self.plain(place, Decision::Drop, reason);
            return self.observe(packet, reading, way, observe::fate_of(Decision::Drop, reason), number);
        }
        if way == Way::Input
            // Datagrams stand alone.
            && packet.protocol() != Some(protocol::UDP)
            && let Some(Stopped { reason, rule, log }) =
                self.follow(packet)
        {
            let (number, verdict) = (place.frame, Decision::Drop);
            self.decided.push_back(Record::Packet(record::Packet { place, verdict, reason, rule, log }));
            return self.observe(packet, reading, way, observe::fate_of(verdict, reason), number);
        }
        let name = if loopback { Some("lo") } else { frame.interface.or(self.interface) };
        let packet = packet.with_interfaces(name, if way == Way::Forward { None } else { name });
        let copy = (way == Way::Loopback && decoded.direction.is_some()).then(|| packet.bytes().to_vec());
        let family = if packet.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let piece = Piece::of(&packet);
        self.stack.push(&packet, way, Ticket { place, family, copy, way, piece }, self.now);
        self.collect(Some((&packet, reading)));
    }

    /// Which chains a packet meets; `None` when it is not this host's affair.
    fn way(&self, packet: &Packet<'_>, decoded: &Decoded<'_>, ends: Ends, loopback: bool) -> Option<Way> {
        let Ends { from_us, to_us } = ends;
        let to_all = decoded.to_group || is_group(packet.destination());
        if decoded.other_host {
            return None;
        }
        match decoded.direction {
            _ if loopback => Some(Way::Loopback),
            // What is passed on was judged when it came in.
            Some(Direction::Outgoing) => (from_us || !self.locals.are_certain()).then_some(Way::Output),
            Some(Direction::Incoming) if to_us || to_all => Some(Way::Input),
            Some(Direction::Incoming) => self.forwards(packet).then_some(Way::Forward),
            None if from_us => Some(Way::Output),
            None if to_us || to_all => Some(Way::Input),
            None => self.forwards(packet).then_some(Way::Forward),
        }
    }

    /// Whether a packet between two others passes through this host. Link-local ones pass through nobody (RFC 4291 section
    /// 2.5.6).
    fn forwards(&self, packet: &Packet<'_>) -> bool {
        let stays = |address: IpAddr| match address {
            IpAddr::V4(_) => false,
            IpAddr::V6(address) => address.is_unicast_link_local(),
        };
        self.locals.are_certain() && !stays(packet.source()) && !stays(packet.destination())
    }

    /// Gives the received copy of a packet to itself the fate of the sent one.
    fn copy(&mut self, packet: &Packet<'_>, place: &Place) -> bool {
        let found = self.sent_to_self.iter().position(|(bytes, _)| bytes == packet.bytes());
        let Some((_, decided)) = found.and_then(|index| self.sent_to_self.remove(index)) else {
            return false;
        };
        self.decided.push_back(Record::Packet(record::Packet { place: place.clone(), ..decided }));
        true
    }

    /// Takes what the stack decided; `current` is the packet that made it decide, if it was one.
    fn collect(&mut self, current: Option<(&Packet<'_>, Option<Reading<'_, '_>>)>) {
        while let Some(Judged { tags, fate }) = self.stack.judged() {
            let mut pieces = Vec::new();
            let mut last = None;
            for Ticket { place, family, copy, way, piece } in tags {
                if fate.uncertain {
                    self.tell(format!(
                        "{}: frame {}: the capture kept only part of it, and a rule looks beyond",
                        place.capture, place.frame
                    ));
                }
                let packet = self.record(place, family, &fate);
                pieces.extend(piece);
                last = Some((packet.place.clone(), way, observe::fate_of(packet.verdict, packet.reason)));
                if let Some(bytes) = copy {
                    if self.sent_to_self.len() >= MAX_COPIES {
                        self.sent_to_self.pop_front();
                    }
                    self.sent_to_self.push_back((bytes, packet.clone()));
                }
                self.decided.push_back(Record::Packet(packet));
            }
            let Some((place, way, seen)) = last else { continue };
            if !pieces.is_empty() {
                self.observe_pieces(&pieces, &place, way, seen);
            } else if let Some((packet, reading)) = current {
                self.observe(packet, reading, way, seen, place.frame);
            }
        }
    }

    fn record(&self, place: Place, family: Family, fate: &Fate) -> record::Packet {
        let verdict = Decision::from(fate.verdict);
        let (reason, rule) = match &fate.why {
            Why::ConntrackFull => (Reason::ConntrackFull, None),
            Why::Fragment(Refusal::Timeout) => (Reason::FragmentTimeout, None),
            Why::Fragment(_) => (Reason::Fragment, None),
            Why::HopLimit => (Reason::HopLimit, None),
            Why::Malformed(_) => (Reason::Malformed, None),
            Why::Rules { hook, cause, via } => self.reasons.of(family, *hook, *cause, via, verdict),
        };
        let log = fate.logs.last().map(|log| log.prefix.clone());
        record::Packet { place, verdict, reason, rule, log }
    }
}

/// Which ends of a packet are the guarded host's.
#[derive(Clone, Copy, Debug)]
struct Ends {
    from_us: bool,
    to_us: bool,
}

fn is_loopback_packet(packet: &Packet<'_>, decoded: &Decoded<'_>, ends: Ends) -> bool {
    let both_local = ends.from_us && ends.to_us;
    decoded.loopback.unwrap_or(both_local && decoded.direction.is_none())
        || (is_loopback(packet.source()) && is_loopback(packet.destination()))
}

fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}

fn end(address: IpAddr, port: Option<u16>) -> End {
    port.map_or(End::Address(address), |port| End::Socket(SocketAddr::new(address, port)))
}

/// The addresses of a datagram that cannot be parsed, if it has so much.
fn addresses(data: &[u8]) -> (End, End) {
    let v4 = |at: usize| {
        let bytes = data.get(at..)?.first_chunk::<4>()?;
        Some(End::Address(IpAddr::from(*bytes)))
    };
    let v6 = |at: usize| {
        let bytes = data.get(at..)?.first_chunk::<16>()?;
        Some(End::Address(IpAddr::from(*bytes)))
    };
    let (source, destination) = match data.first().map(|first| first >> 4) {
        Some(4) => (v4(12), v4(16)),
        Some(6) => (v6(8), v6(24)),
        Some(_) | None => (None, None),
    };
    (source.unwrap_or(End::Unknown), destination.unwrap_or(End::Unknown))
}

fn link_addresses(frame: &Frame<'_>) -> (End, End) {
    const ETHERNET: u16 = 1;
    match frame.data.first_chunk::<12>() {
        Some(&[d0, d1, d2, d3, d4, d5, s0, s1, s2, s3, s4, s5]) if frame.link == ETHERNET => {
            (End::Link([s0, s1, s2, s3, s4, s5]), End::Link([d0, d1, d2, d3, d4, d5]))
        }
        Some(_) | None => (End::Unknown, End::Unknown),
    }
}
