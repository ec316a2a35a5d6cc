//! The pure core of `replay`: frames in, records out.

mod follow;
mod made;
mod observe;
mod reasons;

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::rc::Rc;
use std::time::Duration;

use capture::link::Payload;
use capture::{Direction, Frame, Problem};
use engine::{Enforcer, Reading, Stop};
use netfilter::defrag::Refusal;
use netfilter::packet::{Malformed, Packet, protocol};
use netfilter::stack::{Fate, Judged, Stack, Way, Why};
use policy::Policy;
use policy::ruleset::Family;

use super::ahead::{OfFlow, Prepared};
use super::locals::Locals;
use super::record::{self, Decision, End, Place, Protocol, Reason, Record};
use crate::detection::Detection;
use follow::{Follower, Stopped};
use observe::Piece;
use reasons::Reasons;

/// Judges frame after frame.
pub(super) struct Judge<'a> {
    reasons: Reasons,
    locals: &'a Locals,
    stack: Stack<Ticket>,
    detection: Detection,
    enforcer: Enforcer,
    /// Made when the first packet comes that is no UDP: it compiles the policy.
    follower: OnceCell<Option<Follower>>,
    policy: &'a Policy,
    /// The latest time seen; it never goes back, though captures of several interfaces may.
    now: Duration,
    decided: VecDeque<Record>,
    /// Accepted packets are told one by one; else only counted.
    tells_accepted: bool,
    /// How many were counted since they were asked for.
    accepted: u64,
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

/// Packets to itself whose second copy is awaited; the oldest makes room.
const MAX_COPIES: usize = 64;

impl Judge<'_> {
    /// Whether `time` lies before what was judged already.
    pub(super) fn is_past(&self, time: Duration) -> bool {
        time < self.now
    }

    /// The frames to come are of this capture.
    pub(super) fn begin(&mut self, capture: &str) {
        self.capture = Rc::from(capture);
    }

    /// Takes the next frame, with what was read of it.
    pub(super) fn see(&mut self, prepared: &Prepared<'_>, reading: Option<Reading<'_, '_>>) {
        let Prepared { frame, decoded, packet, .. } = prepared;
        self.now = self.now.max(frame.time);
        match decoded.payload {
            Payload::Ip { data, wire_len } => match packet {
                Some(Ok(packet)) => self.datagram(packet, reading, prepared),
                Some(Err(Malformed::HeaderCut)) if data.len() < wire_len => {
                    self.tell(format!("{}: frame {}: the ip header is cut off", self.capture, frame.number));
                }
                Some(Err(_)) | None => {
                    let (source, destination) = addresses(data);
                    let sent = matches!(source, End::Address(address) if self.locals.contains(address));
                    let verdict = if sent { Decision::Accept } else { Decision::Drop };
                    let place = self.place(frame, Protocol::Ip, source, destination);
                    self.plain(place, verdict, Reason::Malformed);
                }
            },
            Payload::Other(ether_type) => {
                let (source, destination) = link_addresses(frame);
                let protocol = Protocol::Link(ether_type.unwrap_or(0));
                let place = self.place(frame, protocol, source, destination);
                self.plain(place, Decision::Accept, Reason::NotIp);
            }
            Payload::Cut => {
                self.tell(format!("{}: frame {}: the link header is cut off", self.capture, frame.number));
            }
            Payload::Unsupported(link) => {
                *self.unsupported.entry((Rc::clone(&self.capture), link)).or_default() += 1;
            }
        }
    }

    /// Takes the next frame if its flow tells that it is accepted; if not, [`Judge::see`] has to.
    pub(super) fn passes(&mut self, of_flow: &OfFlow<'_, '_>) -> bool {
        self.now = self.now.max(of_flow.time);
        self.stack.expire(self.now);
        self.collect(None);
        // Neither bans nor limits are asked for: the flow is between ports that the engine does not guard (`may_be_sip` of
        // `ahead::prepared`).
        let passes = self.stack.accepts_again(of_flow.flow, of_flow.len, self.now);
        self.accepted += u64::from(passes);
        passes
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

    /// How many packets were accepted since the last call without being told.
    pub(super) fn take_accepted(&mut self) -> u64 {
        std::mem::take(&mut self.accepted)
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

    fn place(&self, frame: &Frame<'_>, protocol: Protocol, source: End, destination: End) -> Place {
        let capture = Rc::clone(&self.capture);
        Place { capture, frame: frame.number, time: frame.time, protocol, source, destination }
    }

    fn place_of(&self, frame: &Frame<'_>, packet: &Packet<'_>) -> Place {
        let ports = packet.ports();
        self.place(
            frame,
            packet.protocol().map_or(Protocol::Ip, Protocol::Upper),
            end(packet.source(), ports.map(|(source, _)| source)),
            end(packet.destination(), ports.map(|(_, destination)| destination)),
        )
    }

    fn plain(&mut self, place: Place, verdict: Decision, reason: Reason) {
        self.put(record::Packet { place, verdict, reason, rule: None, log: None });
    }

    fn put(&mut self, packet: record::Packet) {
        if packet.verdict == Decision::Accept && !self.tells_accepted {
            self.accepted += 1;
        } else {
            self.decided.push_back(Record::Packet(packet));
        }
    }

    fn datagram(&mut self, packet: &Packet<'_>, reading: Option<Reading<'_, '_>>, prepared: &Prepared<'_>) {
        let Prepared { frame, decoded, course, .. } = prepared;
        let number = frame.number;
        let loopback = course.is_loopback;
        if loopback && decoded.direction == Some(Direction::Incoming) && self.copy(packet, frame) {
            return;
        }
        let Some(way) = course.way else {
            return self.plain(self.place_of(frame, packet), Decision::Accept, Reason::NotLocal);
        };
        if reading.is_some() {
            // Memory answers while the rules are asked.
            self.detection.expect(if way == Way::Input { packet.source() } else { packet.destination() });
        }
        if way == Way::Input
            && let Some(stop) = self.stop(packet)
        {
            let reason = match stop {
                Stop::Banned => Reason::Banned,
                Stop::Limited => Reason::Limited,
            };
            self.plain(self.place_of(frame, packet), Decision::Drop, reason);
            return self.observe(packet, reading, way, observe::fate_of(Decision::Drop, reason), number);
        }
        if way == Way::Input
            // Datagrams stand alone.
            && packet.protocol() != Some(protocol::UDP)
            && let Some(Stopped { reason, rule, log }) =
                self.follow(packet)
        {
            let (place, verdict) = (self.place_of(frame, packet), Decision::Drop);
            self.put(record::Packet { place, verdict, reason, rule, log });
            return self.observe(packet, reading, way, observe::fate_of(verdict, reason), number);
        }
        let family = if packet.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let keeps_copy = way == Way::Loopback && decoded.direction.is_some();
        self.stack.expire(self.now);
        self.collect(None);
        if packet.fragment().is_none()
            && !keeps_copy
            && let Some(fate) = self.stack.alone(packet, way, self.now)
        {
            let seen = self.conclude(&fate, family, frame, packet);
            return self.observe(packet, reading, way, seen, number);
        }
        let copy = keeps_copy.then(|| packet.bytes().to_vec());
        let piece = Piece::of(packet);
        let ticket = Ticket { place: self.place_of(frame, packet), family, copy, way, piece };
        self.stack.push(packet, way, ticket, self.now);
        self.collect(Some((packet, reading)));
    }

    /// Writes down the fate of a packet that waited for no other.
    fn conclude(
        &mut self,
        fate: &Fate,
        family: Family,
        frame: &Frame<'_>,
        packet: &Packet<'_>,
    ) -> engine::Fate {
        if Decision::from(fate.verdict) == Decision::Accept && !self.tells_accepted && !fate.uncertain {
            self.accepted += 1;
            return engine::Fate::Passed;
        }
        let place = self.place_of(frame, packet);
        self.doubt(fate, &place);
        let packet = self.record(place, family, fate);
        let seen = observe::fate_of(packet.verdict, packet.reason);
        self.put(packet);
        seen
    }

    /// Tells of a packet that a rule could not judge surely.
    fn doubt(&mut self, fate: &Fate, place: &Place) {
        if fate.uncertain {
            self.tell(format!(
                "{}: frame {}: the capture kept only part of it, and a rule looks beyond",
                place.capture, place.frame
            ));
        }
    }

    /// Gives the received copy of a packet to itself the fate of the sent one.
    fn copy(&mut self, packet: &Packet<'_>, frame: &Frame<'_>) -> bool {
        let found = self.sent_to_self.iter().position(|(bytes, _)| bytes == packet.bytes());
        let Some((_, decided)) = found.and_then(|index| self.sent_to_self.remove(index)) else {
            return false;
        };
        self.put(record::Packet { place: self.place_of(frame, packet), ..decided });
        true
    }

    /// Takes what the stack decided; `current` is the packet that made it decide, if it was one.
    fn collect(&mut self, current: Option<(&Packet<'_>, Option<Reading<'_, '_>>)>) {
        while let Some(Judged { tags, fate }) = self.stack.judged() {
            let mut pieces = Vec::new();
            let mut last = None;
            for Ticket { place, family, copy, way, piece } in tags {
                self.doubt(&fate, &place);
                let packet = self.record(place, family, &fate);
                pieces.extend(piece);
                last = Some((packet.place.clone(), way, observe::fate_of(packet.verdict, packet.reason)));
                if let Some(bytes) = copy {
                    if self.sent_to_self.len() >= MAX_COPIES {
                        self.sent_to_self.pop_front();
                    }
                    self.sent_to_self.push_back((bytes, packet.clone()));
                }
                self.put(packet);
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
