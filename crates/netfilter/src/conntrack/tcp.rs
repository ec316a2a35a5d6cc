//! TCP as a bystander sees it: which state a connection is in (RFC 9293 section 3.3.2), and whether a segment can be part of it
//! (`tcp/window.rs`). The behaviour is that of `nf_conntrack_proto_tcp.c`.

mod machine;
mod segment;
mod window;

use std::time::Duration;

use super::{Direction, Judgement, Settings};
use crate::packet::{Tcp, tcp_flags};
use machine::{Next, State, next, timeout};
use segment::Kind;
pub(super) use segment::Segment;
use window::{End, Fit};

/// `nf_conntrack_tcp_max_retrans`.
const MAX_RETRANSMISSIONS: u8 = 3;

/// What the table knows about the connection beside its TCP state.
#[derive(Clone, Copy, Debug)]
pub(super) struct Standing {
    pub(super) seen_reply: bool,
    pub(super) assured: bool,
    /// Until it expires.
    pub(super) remaining: Duration,
}

/// What one segment does.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    pub(super) judgement: Judgement,
    /// The connection now lasts this many seconds; `None` leaves its end where it was.
    pub(super) timeout: Option<u64>,
    pub(super) assures: bool,
}

impl Step {
    /// The end of the connection stays where it was.
    fn unchanged(judgement: Judgement) -> Self {
        Self { judgement, timeout: None, assures: false }
    }
}

/// One TCP connection.
#[derive(Debug)]
pub(super) struct Tracker {
    state: State,
    original: End,
    reply: End,
    last: Last,
    retransmissions: u8,
    simultaneous_open: bool,
}

/// What is remembered of the last segment.
#[derive(Debug)]
struct Last {
    direction: Direction,
    kind: Option<Kind>,
    sequence: u32,
    acknowledgement: u32,
    end: u32,
    window: u16,
    /// What a SYN offered that was let through without being believed: its answer tells whether it was real.
    offered: End,
    /// That SYN may be answered by a challenge (RFC 5961 section 4.2), an ACK that closes nothing.
    challenge_expected: bool,
}

/// Lengths and flags that make sense whatever the connection (`tcp_error`).
pub(super) fn is_sound(tcp: &Tcp<'_>, available: usize) -> bool {
    use tcp_flags::{ACK, FIN, RST, SYN, URG};
    let lengths = (20..=available).contains(&tcp.header_len);
    let flags = tcp.flags & (ACK | FIN | RST | SYN | URG);
    lengths
        && [SYN, SYN | URG, SYN | ACK, RST, RST | ACK, FIN | ACK, FIN | ACK | URG, ACK, ACK | URG]
            .contains(&flags)
}

impl Tracker {
    /// A rule reset the connection, in whatever state it is. Seconds that it has left; `None` if it was closed before.
    pub(super) fn reset_by_rule(&mut self) -> Option<u64> {
        let was_open = self.state != State::Closed;
        self.state = State::Closed;
        was_open.then(|| State::Closed.timeout())
    }

    /// For the first segment seen of a connection; `None` if it cannot be one.
    pub(super) fn begin(segment: &Segment<'_>, settings: &Settings) -> Option<Self> {
        let original = match next(State::None, segment.kind, Direction::Original) {
            Next::To(State::SynSent) => End::opening(segment),
            Next::To(_) if settings.tcp_loose => End::picked_up(segment),
            Next::To(_) | Next::LetThrough | Next::Invalid => return None,
        };
        let reply = if segment.kind == Kind::Syn { End::default() } else { End::unseen() };
        Some(Self {
            state: State::None,
            original,
            reply,
            last: Last {
                direction: Direction::Original,
                kind: None,
                sequence: 0,
                acknowledgement: 0,
                end: 0,
                window: 0,
                offered: End::default(),
                challenge_expected: false,
            },
            retransmissions: 0,
            simultaneous_open: false,
        })
    }

    fn end(&self, direction: Direction) -> &End {
        match direction {
            Direction::Original => &self.original,
            Direction::Reply => &self.reply,
        }
    }

    fn end_mut(&mut self, direction: Direction) -> &mut End {
        match direction {
            Direction::Original => &mut self.original,
            Direction::Reply => &mut self.reply,
        }
    }

    /// Follows one segment (`nf_conntrack_tcp_packet`).
    pub(super) fn step(
        &mut self,
        segment: &Segment<'_>,
        direction: Direction,
        standing: Standing,
        settings: &Settings,
    ) -> Step {
        let (old, mut new) = match self.enter(segment, direction) {
            Ok(states) => states,
            Err(judgement) => return Step::unchanged(judgement),
        };
        match new {
            State::TimeWait if self.is_challenge(old, segment, direction) => {
                self.last.challenge_expected = false;
                return Step::unchanged(Judgement::Valid);
            }
            State::SynCrossed => self.simultaneous_open = true,
            State::SynReceived
                if direction == Direction::Reply && segment.kind == Kind::Ack && self.simultaneous_open =>
            {
                new = State::Established;
            }
            State::Closed if segment.kind == Kind::Reset => match self.reset(segment, direction, standing) {
                Reset::Believed => return self.arrive(old, new, segment, direction, standing),
                Reset::Invalid => return Step::unchanged(Judgement::Invalid),
                Reset::Windowed => {}
                Reset::WindowedDoubted => new = old,
            },
            State::CloseWait
            | State::Closed
            | State::Established
            | State::FinWait
            | State::LastAck
            | State::None
            | State::SynReceived
            | State::SynSent
            | State::TimeWait => {}
        }
        match self.fit(segment, direction, settings) {
            Fit::Inside => self.arrive(old, new, segment, direction, standing),
            Fit::LetThrough => Step::unchanged(Judgement::Valid),
            Fit::Outside => self.outside(segment, direction, standing),
        }
    }

    /// The state before and after the segment, if it changes or keeps one.
    fn enter(&mut self, segment: &Segment<'_>, direction: Direction) -> Result<(State, State), Judgement> {
        let old = self.state;
        match next(old, segment.kind, direction) {
            Next::Invalid => Err(Judgement::Invalid),
            Next::LetThrough => {
                self.let_through(segment, direction).map(|new| (State::SynSent, new)).ok_or(Judgement::Valid)
            }
            Next::To(State::SynSent) if matches!(old, State::TimeWait | State::Closed) => {
                let over = self.original.closed_first || self.reply.closed_first;
                let was_reset = self.last.direction == direction && self.last.kind == Some(Kind::Reset);
                if over || was_reset {
                    return Err(Judgement::Reopens);
                }
                self.let_through(segment, direction).map(|new| (old, new)).ok_or(Judgement::Valid)
            }
            Next::To(new) => Ok((old, new)),
        }
    }

    /// A segment out of step: the answer to one such SYN brings us back into step, and is believed (the new state).
    /// Everything else is noted and passes.
    fn let_through(&mut self, segment: &Segment<'_>, direction: Direction) -> Option<State> {
        let answers_syn = segment.kind == Kind::SynAck
            && self.last.kind == Some(Kind::Syn)
            && self.last.direction != direction
            && segment.acknowledgement == self.last.end;
        if answers_syn {
            let offered = self.last.offered.at(self.last.end, self.last.window);
            *self.end_mut(self.last.direction) = offered;
            *self.end_mut(direction) = self.end(direction).forgotten();
            self.last.challenge_expected = false;
            return Some(State::SynReceived);
        }
        self.last.kind = Some(segment.kind);
        self.last.direction = direction;
        self.last.sequence = segment.sequence;
        self.last.end = segment.end;
        self.last.window = segment.window;
        if segment.kind == Kind::Syn && direction == Direction::Original {
            self.last.offered = End::default();
            self.last.offered.read_options(segment);
            self.simultaneous_open = false;
            self.last.challenge_expected = self.state == State::LastAck;
        }
        if self.state == State::SynSent && segment.kind == Kind::Ack && direction == Direction::Reply {
            self.last.acknowledgement = segment.acknowledgement;
        }
        None
    }

    fn is_challenge(&self, old: State, segment: &Segment<'_>, direction: Direction) -> bool {
        old == State::LastAck
            && segment.kind == Kind::Ack
            && self.last.direction != direction
            && self.last.kind == Some(Kind::Syn)
            && self.last.challenge_expected
    }

    /// Whether a reset is to be believed (RFC 5961 section 3.2: exactly at the next expected byte, or it is challenged).
    fn reset(&self, segment: &Segment<'_>, direction: Direction, standing: Standing) -> Reset {
        // The ports may be in use again already; nothing that we know is up to date.
        if self.state.is_closing() {
            return Reset::Believed;
        }
        let established = self.state == State::Established && standing.assured;
        let mut verdict = Reset::Windowed;
        if let Some(expected) = self.end(direction.other()).max_acknowledgement
            && self.last.kind != Some(Kind::Syn)
        {
            if segment.sequence == 0 && !established {
                return Reset::Windowed;
            }
            if segment::before(segment.sequence, expected) {
                return Reset::Invalid;
            }
            let follows_own_data = self.last.kind == Some(Kind::Ack)
                && self.last.direction == direction
                && segment.sequence == self.last.end;
            if !established || segment.sequence == expected || follows_own_data {
                return Reset::Windowed;
            }
            verdict = Reset::WindowedDoubted;
        }
        // It refuses a SYN or an ACK that was let through.
        let after_syn =
            standing.seen_reply && self.last.kind == Some(Kind::Syn) && self.last.direction != direction;
        let after_ack = !standing.assured && self.last.kind == Some(Kind::Ack);
        if (after_syn || after_ack) && segment.acknowledgement == self.last.end {
            return Reset::Believed;
        }
        let answers_challenge = self.state == State::SynSent
            && self.last.kind == Some(Kind::Ack)
            && self.last.direction == Direction::Reply
            && segment.sequence == self.last.acknowledgement;
        if answers_challenge { Reset::Believed } else { verdict }
    }

    /// A segment that fits: the new state, and how long it lasts.
    fn arrive(
        &mut self,
        old: State,
        new: State,
        segment: &Segment<'_>,
        direction: Direction,
        standing: Standing,
    ) -> Step {
        self.last.kind = Some(segment.kind);
        self.last.direction = direction;
        self.state = new;
        if old != new && new == State::FinWait {
            self.end_mut(direction).closed_first = true;
        }
        let mut seconds = self.seconds(segment.kind);
        let mut assures = false;
        if !standing.seen_reply {
            if segment.kind == Kind::Reset {
                return Step::unchanged(Judgement::Ends);
            }
            // Else a client that reuses its port could keep a dead entry alive for ever.
            if segment.kind == Kind::Syn && old == State::SynSent {
                return Step::unchanged(Judgement::Valid);
            }
            if new == State::Established {
                seconds = seconds.min(timeout::UNACKNOWLEDGED);
            }
        } else if matches!(old, State::SynReceived | State::Established) && new == State::Established {
            // The handshake is done, or a connection picked up in its middle was answered.
            assures = true;
        }
        Step { judgement: Judgement::Valid, timeout: Some(seconds), assures }
    }

    fn seconds(&self, kind: Kind) -> u64 {
        let seconds = self.state.timeout();
        if self.retransmissions >= MAX_RETRANSMISSIONS && seconds > timeout::RETRANSMITTED {
            timeout::RETRANSMITTED
        } else if kind == Kind::Reset {
            timeout::CLOSED
        } else if (self.original.unacknowledged || self.reply.unacknowledged)
            && seconds > timeout::UNACKNOWLEDGED
        {
            timeout::UNACKNOWLEDGED
        } else if self.last.window == 0 && seconds > timeout::RETRANSMITTED {
            timeout::RETRANSMITTED
        } else {
            seconds
        }
    }

    /// A FIN or reset out of the window, and then another from the other side, mean that we are out of step and the
    /// connection is probably over.
    fn outside(&mut self, segment: &Segment<'_>, direction: Direction, standing: Standing) -> Step {
        let mut step = Step::unchanged(Judgement::Invalid);
        if standing.assured && matches!(segment.kind, Kind::Reset | Kind::Fin) {
            let other_side_first =
                self.last.direction != direction && matches!(self.last.kind, Some(Kind::Fin | Kind::Reset));
            if other_side_first {
                let long = standing.remaining > Duration::from_secs(timeout::UNACKNOWLEDGED);
                step.timeout = long.then_some(timeout::UNACKNOWLEDGED);
            } else {
                self.last.kind = Some(segment.kind);
                self.last.direction = direction;
            }
        }
        step
    }
}

/// What is to be done about a reset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Reset {
    /// It ends the connection, whatever the window says.
    Believed,
    Invalid,
    /// It ends the connection if it is inside the window.
    Windowed,
    /// It may be forged: it passes if it is inside the window, and the connection stays.
    WindowedDoubted,
}

#[cfg(test)]
mod tests;
