//! Why the gate did what it did. The same names are the counters, the log fields, the JSON and the documentation.

/// What happens to the frame.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Verdict {
    /// On to nftables and the PBX.
    Pass,
    /// Gone, without an answer.
    Drop,
}

/// Why.
#[repr(u8)]
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Reason {
    /// The source is banned, by its own address.
    Banned = 0,
    /// The source is in a network that the policy blocks.
    Blocked = 1,
    /// A guarded port, and no signature was found.
    Clean = 2,
    /// A signature was found, but a rule before it decides otherwise; nftables judges.
    Exempt = 3,
    /// A signature was found, but the packet is only passing through this host.
    Forwarded = 4,
    /// A second or later fragment: it has no ports; nftables judges the whole datagram.
    LaterFragment = 5,
    /// More VLAN tags or IPv6 extension headers than the gate walks, where anything is asked of packets.
    LongHeaderChain = 6,
    /// Neither IPv4 nor IPv6.
    NotIp = 7,
    /// A signature was found.
    Signature = 8,
    /// The frame ends before its headers do; the kernel discards it by itself.
    Truncated = 9,
    /// The source is trusted.
    Trusted = 10,
    /// No port that the policy inspects.
    Unguarded = 11,
    /// A segment of a TCP connection in which a signature was found before.
    EndedConnection = 12,
    /// A TCP segment in fragments: what it is part of cannot be followed.
    FragmentedSegment = 13,
    /// A TCP segment that comes before its turn, or long after; the sender repeats it if it matters.
    OutOfOrderSegment = 14,
    /// A TCP segment that repeats what went through before, but with other bytes.
    RewrittenSegment = 15,
    /// More from one source than the policy grants to one that is not proven, or that the engine has limited.
    LimitedSource = 16,
    /// More from one network than the policy grants to sources that are not proven.
    LimitedNetwork = 17,
    /// More from all sources together that are not proven than the policy grants.
    OverCeiling = 18,
}

/// How many reasons there are.
pub const REASONS: usize = 19;

impl Reason {
    /// All of them, by number.
    pub const ALL: [Self; REASONS] = [
        Self::Banned,
        Self::Blocked,
        Self::Clean,
        Self::Exempt,
        Self::Forwarded,
        Self::LaterFragment,
        Self::LongHeaderChain,
        Self::NotIp,
        Self::Signature,
        Self::Truncated,
        Self::Trusted,
        Self::Unguarded,
        Self::EndedConnection,
        Self::FragmentedSegment,
        Self::OutOfOrderSegment,
        Self::RewrittenSegment,
        Self::LimitedSource,
        Self::LimitedNetwork,
        Self::OverCeiling,
    ];

    /// The one place where a reason becomes a verdict.
    #[inline(always)]
    pub const fn verdict(self) -> Verdict {
        match self {
            // The sender is known to be unwelcome.
            Self::Banned | Self::Blocked => Verdict::Drop,
            // The packet itself is what the policy drops in every state of its connection.
            Self::Signature => Verdict::Drop,
            Self::EndedConnection => Verdict::Drop,
            // What the server would make of them cannot be known; lawful senders repeat, or never send them.
            Self::FragmentedSegment | Self::OutOfOrderSegment | Self::RewrittenSegment => Verdict::Drop,
            // Whoever is lawful sends it again.
            Self::LimitedNetwork | Self::LimitedSource | Self::OverCeiling => Verdict::Drop,
            // Not ours to judge, or judged and found lawful: nftables has the rest of the policy.
            Self::Clean | Self::Exempt | Self::Forwarded | Self::NotIp | Self::Trusted | Self::Unguarded => {
                Verdict::Pass
            }
            // No lawful sender makes such chains; behind them a text would pass unsearched.
            Self::LongHeaderChain => Verdict::Drop,
            // Undecidable here. Linux reassembles or discards them itself, then nftables judges.
            Self::LaterFragment | Self::Truncated => Verdict::Pass,
        }
    }

    /// Whether a packet that is dropped for it is likely one of very many, whatever is in it: the source is unwelcome already, or
    /// more is sent than is granted.
    #[inline(always)]
    pub const fn is_of_a_crowd(self) -> bool {
        self.is_unread() || matches!(self, Self::LimitedNetwork | Self::LimitedSource | Self::OverCeiling)
    }

    /// Whether nobody reads what is in a packet that is dropped for it. What is dropped for a limit is read: it may hold what proves
    /// that its sender's address is his.
    #[inline(always)]
    pub const fn is_unread(self) -> bool {
        matches!(self, Self::Banned | Self::Blocked)
    }

    /// Its name in counters, logs, JSON and documentation.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Blocked => "blocked",
            Self::Clean => "clean",
            Self::Exempt => "exempt",
            Self::Forwarded => "forwarded",
            Self::LaterFragment => "later-fragment",
            Self::LongHeaderChain => "long-header-chain",
            Self::NotIp => "not-ip",
            Self::Signature => "signature",
            Self::Truncated => "truncated",
            Self::Trusted => "trusted",
            Self::Unguarded => "unguarded",
            Self::EndedConnection => "ended-connection",
            Self::FragmentedSegment => "fragmented-segment",
            Self::OutOfOrderSegment => "out-of-order-segment",
            Self::RewrittenSegment => "rewritten-segment",
            Self::LimitedSource => "limited-source",
            Self::LimitedNetwork => "limited-network",
            Self::OverCeiling => "over-ceiling",
        }
    }

    /// The reason of that number; `None` for a number that no version of the gate writes.
    pub fn from_u8(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_names_are_unique_and_in_order() {
        for (index, reason) in Reason::ALL.into_iter().enumerate() {
            assert_eq!(reason as usize, index);
            assert_eq!(Reason::from_u8(reason as u8), Some(reason));
            assert!(Reason::ALL.iter().filter(|other| other.as_str() == reason.as_str()).count() == 1);
        }
        assert_eq!(Reason::from_u8(REASONS as u8), None);
    }
}
