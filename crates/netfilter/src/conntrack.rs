//! Connection tracking: NEW, ESTABLISHED, RELATED, INVALID and UNTRACKED as Linux 6.1 to 6.18 gives them.
//!
//! As in the kernel a packet is looked up before the rules ([`Conntrack::track`]) and a connection that it opens exists only
//! once the packet was accepted to the end ([`Conntrack::confirm`]); a packet of a known connection renews that at once, even
//! when a rule drops it later.
//!
//! Simplified: SCTP and DCCP are known by their ports and have two time-outs, without their state machines; there are no
//! helpers, so RELATED only means ICMP errors (Linux assigns no helper by itself since 4.7).

mod answers;
mod icmp;
mod stream;
mod table;
mod tcp;
mod tuple;

use std::time::Duration;

use crate::packet::{Packet, Transport, protocol, tcp_flags};
use crate::rules::Known;
pub use answers::Answer;
use answers::Answers;
pub(crate) use stream::Found;
use table::{Entry, Handle, Progress, Table};
pub use tuple::Direction;
pub(crate) use tuple::Tuple;

/// What `-m state` and `-m conntrack --ctstate` compare.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum State {
    /// Of a connection that was answered, or the answer.
    Established,
    /// Of no connection, and cannot open one.
    Invalid,
    /// Opens a connection, or belongs to one that nobody answered yet.
    New,
    /// An ICMP error about a connection.
    Related,
    /// Not tracked on purpose: IPv6 neighbour discovery and multicast listener messages.
    Untracked,
}

/// Where a packet is looked up.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    /// It arrives.
    Prerouting,
    /// This host made it.
    Output,
}

/// Bounds and switches, named after the sysctls.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// Connections at most (`nf_conntrack_max`). A full table first loses what has expired, then the oldest connection that
    /// is not assured (answered and carried on); with none of those left, packets that would open one are refused.
    pub max: usize,
    /// Whether a wrong transport checksum of an arriving packet makes it INVALID (`nf_conntrack_checksum`).
    pub checksums: bool,
    /// Whether a connection may be picked up in its middle (`nf_conntrack_tcp_loose`).
    pub tcp_loose: bool,
    /// Whether TCP windows are not enforced (`nf_conntrack_tcp_be_liberal`).
    pub tcp_liberal: bool,
}

impl Default for Settings {
    /// Linux' own.
    fn default() -> Self {
        Self { max: 262_144, checksums: true, tcp_loose: true, tcp_liberal: false }
    }
}

/// What is known about one packet.
#[derive(Debug)]
pub struct Tracked {
    /// What rules see.
    pub state: State,
    /// Which way it goes in its connection, if it has one.
    pub direction: Option<Direction>,
    /// Its connection, if that was confirmed.
    handle: Option<Handle>,
    fresh: Option<Box<Entry>>,
}

/// The table is full: Linux drops the packet ("nf_conntrack: table full, dropping packet").
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct TableFull;

impl Tracked {
    fn without_connection(state: State) -> Self {
        Self { state, direction: None, handle: None, fresh: None }
    }

    /// Whether accepting the packet creates a connection.
    pub fn opens_connection(&self) -> bool {
        self.fresh.is_some()
    }
}

/// All connections. Time is capture time since the Unix epoch and must not go back.
#[derive(Debug)]
pub struct Conntrack {
    settings: Settings,
    table: Table,
    answers: Answers,
}

/// What the tracker of one protocol makes of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Judgement {
    /// Part of the connection.
    Valid,
    /// Not part of it: INVALID; the connection stays.
    Invalid,
    /// The connection is over (a reset was the only answer); the packet is still part of it.
    Ends,
    /// The connection was over and this packet opens a new one.
    Reopens,
}

impl Conntrack {
    /// At most `settings.max` connections, see there for what happens then.
    pub fn new(settings: Settings) -> Self {
        Self { settings, table: Table::new(settings.max), answers: Answers::new() }
    }

    /// Connections held, expired ones that were not yet removed included.
    pub fn len(&self) -> usize {
        self.table.len()
    }

    pub fn is_empty(&self) -> bool {
        self.table.len() == 0
    }

    /// Looks up (and follows) the connection of a whole datagram, as `nf_conntrack_in` does.
    pub fn track(&mut self, packet: &Packet<'_>, hook: Hook, now: Duration) -> Result<Tracked, TableFull> {
        if !is_sound(packet, hook, &self.settings) {
            return Ok(Tracked::without_connection(State::Invalid));
        }
        if hook == Hook::Output && self.answers.take(packet, now) {
            return Ok(Tracked::without_connection(State::Related));
        }
        match icmp::about(packet) {
            icmp::About::Nothing => {}
            icmp::About::Untracked => return Ok(Tracked::without_connection(State::Untracked)),
            icmp::About::Unknown => return Ok(Tracked::without_connection(State::Invalid)),
            icmp::About::Connection(quoted) => return Ok(self.relate(packet, quoted, now)),
        }
        let Some(tuple) = Tuple::of(packet) else {
            return Ok(Tracked::without_connection(State::Invalid));
        };
        if let Some((handle, direction)) = self.table.find(&tuple, now) {
            match self.follow(handle, direction, packet, now) {
                Some(tracked) => return Ok(tracked),
                None => self.table.remove(handle),
            }
        }
        match tuple.inverse() {
            Some(reply) => self.open(tuple, reply, packet, now),
            None => Ok(Tracked::without_connection(State::Invalid)),
        }
    }

    /// What the rules made of the packet before in its connection, that went the same way; to be kept up by who asks the rules.
    /// `None` without a confirmed connection of UDP or TCP.
    pub(crate) fn known(&mut self, tracked: &Tracked, packet: &Packet<'_>) -> Option<&mut Option<Known>> {
        if !matches!(packet.transport(), Transport::Udp(_) | Transport::Tcp(_)) {
            return None;
        }
        let [original, reply] = &mut self.table.entry_mut(tracked.handle?)?.known;
        Some(match tracked.direction? {
            Direction::Original => original,
            Direction::Reply => reply,
        })
    }

    /// Keeps the connection that an accepted packet opened; does nothing for any other packet.
    pub fn confirm(&mut self, tracked: Tracked, now: Duration) {
        if let Some(entry) = tracked.fresh {
            self.table.insert(*entry, now);
        }
    }

    /// Instead of [`Conntrack::confirm`] for a packet that a rule rejected. The answer that this host sends next is RELATED,
    /// though the connection was never confirmed (`nf_ct_attach`), and so is not followed: Linux newer than 6.1 takes a
    /// connection that it resets for closed all the same (`nf_conntrack_tcp_set_closing`).
    ///
    /// An INVALID packet has no connection. The answer to it is followed like anything that this host sends.
    pub fn rejected(&mut self, tracked: Tracked, packet: &Packet<'_>, answer: Answer, now: Duration) {
        let Some(tuple) = tracked.direction.and_then(|_| Tuple::of(packet)) else { return };
        if answer == Answer::TcpReset {
            if !may_be_reset(packet) {
                return;
            }
            self.close(&tuple, now);
        }
        self.answers.expect(tuple, answer, now);
    }

    fn close(&mut self, tuple: &Tuple, now: Duration) {
        if let Some((handle, _)) = self.table.find(tuple, now)
            && let Some(entry) = self.table.entry_mut(handle)
            && let Progress::Tcp(tracker) = &mut entry.progress
            && let Some(seconds) = tracker.reset_by_rule()
        {
            entry.expires = now + Duration::from_secs(seconds);
        }
    }

    /// `nf_conntrack_inet_error`: the error must go to the sender of the quoted packet.
    fn relate(&mut self, packet: &Packet<'_>, quoted: Tuple, now: Duration) -> Tracked {
        let found = quoted.inverse().and_then(|inner| Some((inner, self.table.find(&inner, now)?)));
        match found {
            Some((inner, (_, direction))) if inner.destination == packet.destination() => {
                Tracked { state: State::Related, direction: Some(direction), handle: None, fresh: None }
            }
            Some(_) | None => Tracked::without_connection(State::Invalid),
        }
    }

    /// A packet of a known connection; `None` when it opens a new one in its place.
    fn follow(
        &mut self,
        handle: Handle,
        direction: Direction,
        packet: &Packet<'_>,
        now: Duration,
    ) -> Option<Tracked> {
        let settings = self.settings;
        let entry = self.table.entry_mut(handle)?;
        let state = state(entry, direction);
        let was_assured = entry.assured;
        let judgement = advance(entry, direction, packet, &settings, now);
        if judgement == Judgement::Valid && direction == Direction::Reply {
            entry.seen_reply = true;
        }
        if !was_assured && entry.assured {
            self.table.assure(handle);
        }
        let part = |handle| Tracked { state, direction: Some(direction), handle, fresh: None };
        match judgement {
            Judgement::Reopens => None,
            Judgement::Invalid => Some(Tracked::without_connection(State::Invalid)),
            Judgement::Ends => {
                self.table.remove(handle);
                Some(part(None))
            }
            Judgement::Valid => Some(part(Some(handle))),
        }
    }

    /// A packet of no known connection.
    fn open(
        &mut self,
        tuple: Tuple,
        reply: Tuple,
        packet: &Packet<'_>,
        now: Duration,
    ) -> Result<Tracked, TableFull> {
        if !self.table.make_room(now) {
            return Err(TableFull);
        }
        let Some(progress) = begin(packet, &self.settings, now) else {
            return Ok(Tracked::without_connection(State::Invalid));
        };
        let mut entry = Entry::new(tuple, reply, progress);
        match advance(&mut entry, Direction::Original, packet, &self.settings, now) {
            Judgement::Valid => {}
            // A first packet that is refused, or that ends what it would open, leaves nothing.
            Judgement::Invalid | Judgement::Ends | Judgement::Reopens => {
                return Ok(Tracked::without_connection(State::Invalid));
            }
        }
        let (direction, fresh) = (Some(Direction::Original), Some(Box::new(entry)));
        Ok(Tracked { state: State::New, direction, handle: None, fresh })
    }
}

/// Header lengths, flags and checksums that every tracker asks for before it looks at a connection.
pub(crate) fn is_sound(packet: &Packet<'_>, hook: Hook, settings: &Settings) -> bool {
    let later_fragment = packet.fragment().is_some_and(|fragment| fragment.offset > 0);
    // Without its upper-layer header there is nothing to track; 59 is "no next header".
    let no_protocol = match packet.protocol() {
        None => true,
        Some(number) => !packet.is_ipv4() && number == protocol::NO_NEXT_HEADER,
    };
    if later_fragment || no_protocol || packet.transport_offset() > packet.total_len() {
        return false;
    }
    let available = transport_len(packet);
    let sound = match packet.transport() {
        Transport::Udp(udp) => (8..=available).contains(&usize::from(udp.len)),
        Transport::UdpLite(udp) => {
            let coverage = usize::from(udp.len);
            (coverage == 0 || (8..=available).contains(&coverage)) && udp.checksum != 0
        }
        Transport::Tcp(tcp) => tcp::is_sound(&tcp, available),
        // A capture that cut the header off leaves nothing to judge by.
        Transport::Truncated | Transport::Later => false,
        Transport::Icmp(_) | Transport::Icmpv6(_) | Transport::Ports { .. } | Transport::Other => true,
    };
    let verify = settings.checksums && hook == Hook::Prerouting;
    sound && !(verify && packet.transport_checksum() == Some(false))
}

/// A reset is not answered with a reset (RFC 9293 section 3.5.2).
fn may_be_reset(packet: &Packet<'_>) -> bool {
    matches!(packet.transport(), Transport::Tcp(tcp) if tcp.flags & tcp_flags::RST == 0)
}

/// Bytes on the wire from the upper-layer header on.
fn transport_len(packet: &Packet<'_>) -> usize {
    packet.total_len().saturating_sub(packet.transport_offset())
}

/// Time-outs in seconds (`nf_conntrack_*_timeout*`).
mod timeout {
    pub(super) const GENERIC: u64 = 600;
    pub(super) const GRE: u64 = 30;
    pub(super) const GRE_STREAM: u64 = 180;
    pub(super) const ICMP: u64 = 30;
    pub(super) const PORTS: u64 = 30;
    pub(super) const PORTS_STREAM: u64 = 210;
    pub(super) const UDP: u64 = 30;
    pub(super) const UDP_STREAM: u64 = 120;
}

/// An answered UDP flow counts as a stream when packets still come after this many seconds.
const UDP_STREAM_AFTER: u64 = 2;

/// The tracker for a first packet; `None` if its kind cannot open a connection.
fn begin(packet: &Packet<'_>, settings: &Settings, now: Duration) -> Option<Progress> {
    match packet.transport() {
        Transport::Udp(_) | Transport::UdpLite(_) => {
            Some(Progress::Udp { stream_from: now + Duration::from_secs(UDP_STREAM_AFTER) })
        }
        Transport::Tcp(tcp) => {
            let segment = tcp::Segment::new(&tcp, transport_len(packet));
            tcp::Tracker::begin(&segment, settings).map(|tracker| Progress::Tcp(Box::new(tracker)))
        }
        Transport::Icmp(icmp) | Transport::Icmpv6(icmp) => {
            icmp::opens_connection(packet, icmp.kind).then_some(Progress::Fixed { timeout: timeout::ICMP })
        }
        Transport::Ports { .. } => {
            Some(Progress::Answered { before: timeout::PORTS, after: timeout::PORTS_STREAM })
        }
        Transport::Other if packet.protocol() == Some(protocol::GRE) => {
            Some(Progress::Answered { before: timeout::GRE, after: timeout::GRE_STREAM })
        }
        Transport::Other => Some(Progress::Fixed { timeout: timeout::GENERIC }),
        Transport::Later | Transport::Truncated => None,
    }
}

/// Moves the connection on by one packet and renews its time.
fn advance(
    entry: &mut Entry,
    direction: Direction,
    packet: &Packet<'_>,
    settings: &Settings,
    now: Duration,
) -> Judgement {
    let remaining = entry.expires.saturating_sub(now);
    let seconds = match &mut entry.progress {
        Progress::Fixed { timeout } => *timeout,
        Progress::Answered { before, .. } if !entry.seen_reply => *before,
        Progress::Answered { after, .. } => {
            entry.assured = true;
            *after
        }
        &mut Progress::Udp { stream_from } => advance_udp(entry, stream_from, now),
        Progress::Tcp(tracker) => {
            let Transport::Tcp(tcp) = packet.transport() else { return Judgement::Invalid };
            let segment = tcp::Segment::new(&tcp, transport_len(packet));
            let standing = tcp::Standing { seen_reply: entry.seen_reply, assured: entry.assured, remaining };
            let step = tracker.step(&segment, direction, standing, settings);
            entry.assured |= step.assures;
            if let Some(seconds) = step.timeout {
                entry.expires = now + Duration::from_secs(seconds);
            }
            return step.judgement;
        }
    };
    entry.expires = now + Duration::from_secs(seconds);
    Judgement::Valid
}

/// For how many seconds a packet renews a UDP connection.
fn advance_udp(entry: &mut Entry, stream_from: Duration, now: Duration) -> u64 {
    if !entry.seen_reply || now <= stream_from {
        return timeout::UDP;
    }
    entry.assured = true;
    timeout::UDP_STREAM
}

/// What rules see of a packet of a known connection.
fn state(entry: &Entry, direction: Direction) -> State {
    match direction {
        Direction::Original if !entry.seen_reply => State::New,
        Direction::Original | Direction::Reply => State::Established,
    }
}

#[cfg(test)]
mod tests;
