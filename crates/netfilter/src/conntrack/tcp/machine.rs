//! The states of a connection, and what each segment makes of them.

use super::segment::Kind;
use crate::conntrack::Direction;

/// Seconds that a state lasts without a packet (`nf_conntrack_tcp_timeout_*`).
pub(super) mod timeout {
    pub(in crate::conntrack::tcp) const CLOSED: u64 = 10;
    pub(in crate::conntrack::tcp) const CLOSE_WAIT: u64 = 60;
    pub(in crate::conntrack::tcp) const ESTABLISHED: u64 = 432_000;
    pub(in crate::conntrack::tcp) const FIN_WAIT: u64 = 120;
    pub(in crate::conntrack::tcp) const LAST_ACK: u64 = 30;
    /// After too many retransmissions, or with a closed window.
    pub(in crate::conntrack::tcp) const RETRANSMITTED: u64 = 300;
    pub(in crate::conntrack::tcp) const SYN_RECEIVED: u64 = 60;
    pub(in crate::conntrack::tcp) const SYN_SENT: u64 = 120;
    pub(in crate::conntrack::tcp) const TIME_WAIT: u64 = 120;
    /// With data that nobody acknowledged.
    pub(in crate::conntrack::tcp) const UNACKNOWLEDGED: u64 = 300;
}

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
    pub(super) fn timeout(self) -> u64 {
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
    pub(super) fn is_closing(self) -> bool {
        match self {
            Self::CloseWait | Self::Closed | Self::FinWait | Self::LastAck | Self::TimeWait => true,
            Self::Established | Self::None | Self::SynCrossed | Self::SynReceived | Self::SynSent => false,
        }
    }
}

/// What the state machine says about a segment.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Next {
    /// Cannot come here.
    Invalid,
    /// May be right while we are out of step: let it through, change nothing, wait for the answer.
    LetThrough,
    To(State),
}

/// The state machine. Both ends' FINs and everything after are symmetric; the handshake is not.
pub(super) fn next(state: State, kind: Kind, direction: Direction) -> Next {
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
