//! TCP as a bystander sees it: which state a connection is in (RFC 9293 section 3.3.2), and whether a segment can be part of it
//! (`tcp/window.rs`). The behaviour is that of `nf_conntrack_proto_tcp.c`.

mod segment;
mod window;

use std::time::Duration;

use super::{Direction, Judgement, Settings};
use crate::packet::{Tcp, tcp_flags};
use segment::Kind;
pub(super) use segment::Segment;
use window::{End, Fit};

/// Seconds that a state lasts without a packet (`nf_conntrack_tcp_timeout_*`).
mod timeout {
    pub(super) const CLOSED: u64 = 10;
    pub(super) const CLOSE_WAIT: u64 = 60;
    pub(super) const ESTABLISHED: u64 = 432_000;
    pub(super) const FIN_WAIT: u64 = 120;
    pub(super) const LAST_ACK: u64 = 30;
    /// After [`super::MAX_RETRANSMISSIONS`], or a closed window.
    pub(super) const RETRANSMITTED: u64 = 300;
    pub(super) const SYN_RECEIVED: u64 = 60;
    pub(super) const SYN_SENT: u64 = 120;
    pub(super) const TIME_WAIT: u64 = 120;
    /// With data that nobody acknowledged.
    pub(super) const UNACKNOWLEDGED: u64 = 300;
}

/// `nf_conntrack_tcp_max_retrans`.
const MAX_RETRANSMISSIONS: u8 = 3;

/// Where the connection stands.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum State {
    CloseWait,
    Closed,
    Established,
    FinWait,
    LastAck,
    None,
    /// SYNs in both directions (simultaneous open, RFC 9293 figure 7).
    SynCrossed,
    SynReceived,
    SynSent,
    TimeWait,
}

impl State {
    fn timeout(self) -> u64 {
        match self {
            Self::CloseWait => timeout::CLOSE_WAIT,
            Self::Closed => timeout::CLOSED,
            Self::Established => timeout::ESTABLISHED,
            Self::FinWait => timeout::FIN_WAIT,
            Self::LastAck => timeout::LAST_ACK,
            Self::SynReceived => timeout::SYN_RECEIVED,
            Self::None | Self::SynCrossed | Self::SynSent => timeout::SYN_SENT,
            Self::TimeWait => timeout::TIME_WAIT,
        }
    }

    /// A FIN or a reset was seen.
    fn is_closing(self) -> bool {
        match self {
            Self::CloseWait | Self::Closed | Self::FinWait | Self::LastAck | Self::TimeWait => true,
            Self::Established | Self::None | Self::SynCrossed | Self::SynReceived | Self::SynSent => false,
        }
    }
}

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

/// What the state machine says about a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Next {
    /// Cannot come here.
    Invalid,
    /// May be right while we are out of step: let it through, change nothing, wait for the answer.
    LetThrough,
    To(State),
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

/// The state machine. Both ends' FINs and everything after are symmetric; the handshake is not.
fn next(state: State, kind: Kind, direction: Direction) -> Next {
    use Direction::{Original, Reply};
    use State::{
        CloseWait, Closed, Established, FinWait, LastAck, None, SynCrossed, SynReceived, SynSent, TimeWait,
    };
    match (kind, direction) {
        (Kind::Bare, Original | Reply) => Next::Invalid,
        (Kind::Reset, Original | Reply) => match state {
            None => Next::Invalid,
            CloseWait | Closed | Established | FinWait | LastAck | SynCrossed | SynReceived | SynSent
            | TimeWait => Next::To(Closed),
        },
        (Kind::Syn, Original) => match state {
            None | SynSent | TimeWait | Closed => Next::To(SynSent),
            SynCrossed => Next::To(SynCrossed),
            // The ends may have lost a connection that we still hold.
            SynReceived | Established | FinWait | CloseWait | LastAck => Next::LetThrough,
        },
        (Kind::Syn, Reply) => match state {
            SynSent | SynCrossed => Next::To(SynCrossed),
            // The server may open the next connection as a client.
            TimeWait => Next::To(SynSent),
            None | SynReceived | Established | FinWait | CloseWait | LastAck | Closed => Next::Invalid,
        },
        (Kind::SynAck, Original) => match state {
            SynReceived | SynCrossed => Next::To(SynReceived),
            None | SynSent | Established | FinWait | CloseWait | LastAck | TimeWait | Closed => Next::Invalid,
        },
        (Kind::SynAck, Reply) => match state {
            SynSent | SynCrossed => Next::To(SynReceived),
            SynReceived | Established | FinWait | CloseWait | LastAck | TimeWait | Closed => Next::LetThrough,
            None => Next::Invalid,
        },
        (Kind::Fin, Original | Reply) => match state {
            SynReceived | Established => Next::To(FinWait),
            // A second FIN, or the first once more.
            FinWait | CloseWait | LastAck => Next::To(LastAck),
            TimeWait | Closed => Next::To(state),
            None | SynSent | SynCrossed => Next::Invalid,
        },
        (Kind::Ack, Original | Reply) => match (state, direction) {
            // The middle of a connection whose beginning was not seen.
            (None, Original) => Next::To(Established),
            (None, Reply) => Next::Invalid,
            (SynSent | SynCrossed, Original) => Next::Invalid,
            // An answer to a SYN of a connection that one end remembers.
            (SynSent | SynCrossed, Reply) => Next::LetThrough,
            (SynReceived, Original) => Next::To(Established),
            (SynReceived | Established | Closed, Reply) | (Established | Closed, Original) => Next::To(state),
            (FinWait | CloseWait, Original | Reply) => Next::To(CloseWait),
            (LastAck | TimeWait, Original | Reply) => Next::To(TimeWait),
        },
    }
}

impl Tracker {
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
        let mut old = self.state;
        let mut new = match next(old, segment.kind, direction) {
            Next::Invalid => return Step::unchanged(Judgement::Invalid),
            Next::LetThrough => match self.let_through(segment, direction) {
                Some(state) => {
                    old = State::SynSent;
                    state
                }
                None => return Step::unchanged(Judgement::Valid),
            },
            Next::To(State::SynSent) if matches!(old, State::TimeWait | State::Closed) => {
                let over = self.original.closed_first || self.reply.closed_first;
                let was_reset = self.last.direction == direction && self.last.kind == Some(Kind::Reset);
                if over || was_reset {
                    return Step::unchanged(Judgement::Reopens);
                }
                match self.let_through(segment, direction) {
                    Some(state) => state,
                    None => return Step::unchanged(Judgement::Valid),
                }
            }
            Next::To(state) => state,
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
