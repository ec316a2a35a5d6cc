//! Why a condition of the gate may hold for more packets than its rule does.

use crate::ruleset::{Match, PortSide};

/// The greater one has the graver consequences.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) enum Doubt {
    /// By a condition that the gate does not look at, or by a way through the chains that it does not follow.
    Unseen,
    /// By the state of the connection.
    Connection,
    /// By what the rule remembers of earlier packets; every packet that it sees changes what becomes of later ones.
    Memory,
}

impl Doubt {
    /// What is doubtful where `one` is left out.
    pub(super) fn of(one: &Match) -> Self {
        match one {
            Match::Limit(_) | Match::HashLimit(_) | Match::Recent(_) => Self::Memory,
            Match::State { .. } => Self::Connection,
            Match::Protocol { .. }
            | Match::Source { .. }
            | Match::SourceIn { .. }
            | Match::Destination { .. }
            | Match::InInterface { .. }
            | Match::OutInterface { .. }
            | Match::Fragment { .. }
            | Match::SourcePort { .. }
            | Match::DestinationPort { .. }
            | Match::WholeHeader
            | Match::TcpFlags { .. }
            | Match::TcpOption { .. }
            | Match::Multiport { .. }
            | Match::Text(_)
            | Match::Header(_)
            | Match::Icmp { .. }
            | Match::SourceRange { .. }
            | Match::DestinationRange { .. }
            | Match::Length { .. } => Self::Unseen,
        }
    }

    /// By what a rule decides.
    pub(super) fn cause(self) -> &'static str {
        match self {
            Self::Unseen => "by a condition that the gate cannot judge",
            Self::Connection => "by their connection's state",
            Self::Memory => "by what it remembers of earlier packets",
        }
    }

    /// Why text rules cannot stand behind it.
    pub(super) fn help(self) -> &'static str {
        match self {
            Self::Unseen | Self::Connection => {
                "move the text rules above it, as the gate looks before connection tracking"
            }
            Self::Memory => "move the text rules above it, as it cannot count what the gate has dropped",
        }
    }
}

/// The word in an iptables rule by which a user finds the condition; part of `--ctstate` as of `--state`.
pub(super) fn option(one: &Match) -> &'static str {
    match one {
        Match::Protocol { .. } => "-p",
        Match::Source { .. } | Match::SourceIn { .. } => "-s",
        Match::Destination { .. } => "-d",
        Match::InInterface { .. } => "-i",
        Match::OutInterface { .. } => "-o",
        Match::Fragment { .. } => "-f",
        Match::SourcePort { .. } => "--sport",
        Match::DestinationPort { .. } => "--dport",
        Match::Multiport { side: PortSide::Source, .. } => "--sports",
        Match::Multiport { side: PortSide::Destination, .. } => "--dports",
        Match::Multiport { side: PortSide::Either, .. } => "--ports",
        Match::WholeHeader => "-m",
        Match::TcpFlags { .. } => "--tcp-flags",
        Match::TcpOption { .. } => "--tcp-option",
        Match::State { .. } => "state",
        Match::Text(_) | Match::Header(_) => "-m string",
        Match::Icmp { .. } => "icmp",
        Match::Limit(_) => "-m limit",
        Match::HashLimit(_) => "-m hashlimit",
        Match::Recent(_) => "-m recent",
        Match::SourceRange { .. } => "--src-range",
        Match::DestinationRange { .. } => "--dst-range",
        Match::Length { .. } => "-m length",
    }
}

/// What to do about `one` in a rule that searches for text.
pub(super) fn help(one: &Match) -> &'static str {
    if matches!(one, Match::SourcePort { .. } | Match::DestinationPort { .. } | Match::Multiport { .. }) {
        "the gate reads the ports of UDP and TCP, and one range for a side; leave other ports out of rules that search for text"
    } else {
        "leave `limit`, `state`, `recent` and the like out of rules that search for text"
    }
}
