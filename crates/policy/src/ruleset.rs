//! The checked model of a packet filter: what netfilter's `filter` table holds for one address family.
//!
//! Both policy languages end here, and every backend (kernel gate, nftables, replay) starts here. Names follow
//! iptables-extensions(8). A value of these types is valid by construction: chains that are jumped to exist, built-in
//! chains have a policy, loops are refused (`Netfilter` refuses them too).

mod credits;
mod header;
mod memory;

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;

pub use credits::{HASHLIMIT_SCALE, HashCredits, LIMIT_SCALE, LimitCredits};
pub use header::{HeaderPattern, HeaderText, LONGEST_PATTERN, PatternMistake};
pub use memory::{HashLimit, HashRate, Limit, Rate, RateUnit, Recent, RecentAction, Unproven};

/// The address family that a rule set judges.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Family {
    /// What `iptables-save` writes.
    Ipv4,
    /// What `ip6tables-save` writes.
    Ipv6,
}

/// Index of a chain in [`RuleSet::chains`].
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct ChainId(pub usize);

/// Where a rule was written: 1-based line in the policy file.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Line(pub usize);

impl Line {
    /// Nowhere: what the file leaves to its default.
    pub const SHIPPED: Self = Self(0);
}

impl std::fmt::Display for Line {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if *self == Self::SHIPPED { f.write_str("default") } else { write!(f, "line {}", self.0) }
    }
}

/// Networks whose packets are judged before anything else, by their source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Networks {
    /// Never searched for signatures and never blocked; the rule sets decide.
    pub trusted: Vec<Network>,
    /// Dropped, whatever they are for, unless they are trusted. The rule sets say so too.
    pub blocked: Vec<Network>,
}

/// One family's filter.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct RuleSet {
    /// The family of every address in it.
    pub family: Family,
    /// All chains, in the order of their declaration.
    pub chains: Vec<Chain>,
}

impl RuleSet {
    /// The chain of that name, as the file spells it.
    pub fn chain(&self, name: &str) -> Option<(ChainId, &Chain)> {
        self.chains
            .iter()
            .enumerate()
            .find(|(_, chain)| chain.name == name)
            .map(|(index, chain)| (ChainId(index), chain))
    }

    /// Whether any rule asks for connection tracking. Without one, the kernel tracks nothing in a network namespace, and
    /// reassembles IPv4 fragments only for packets that stay on this host (before INPUT), IPv6 fragments after INPUT.
    pub fn needs_conntrack(&self) -> bool {
        let mut matches = self.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.matches);
        matches.any(|condition| matches!(condition, Match::State { .. }))
    }

    /// The chain that a [`Target::Jump`] or [`Target::Goto`] names.
    pub fn by_id(&self, id: ChainId) -> Option<&Chain> {
        self.chains.get(id.0)
    }
}

/// A built-in or user chain.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Chain {
    /// Its name, as written.
    pub name: String,
    /// What happens at the end of a built-in chain; `None` for a user chain, which returns to its caller.
    pub policy: Option<ChainPolicy>,
    /// Where it was declared.
    pub line: Line,
    /// Its rules, first to last.
    pub rules: Vec<Rule>,
}

/// The policy of a built-in chain.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum ChainPolicy {
    Accept,
    Drop,
}

/// One rule: all matches must hold, then the target applies.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rule {
    /// Where it was written.
    pub line: Line,
    /// Comment lines above it in the file and `-m comment` texts, in order, without their marks.
    pub comments: Vec<String>,
    /// What the policy calls it: a signature (logs say so too), a service, `trust` or `block`. None for iptables.
    pub name: Option<String>,
    /// Conditions, in the order in which the kernel evaluates them (that order shows in `limit` and `recent`).
    pub matches: Vec<Match>,
    /// What happens when all of them hold.
    pub target: Target,
}

/// What a rule does with a packet that it matches.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Target {
    Accept,
    /// A rule without `-j`: only its counters (and the state of its matches) change.
    Continue,
    Drop,
    /// `-g`: go on there, and return to the caller of *this* chain.
    Goto(ChainId),
    Jump(ChainId),
    Log(Log),
    Nflog(Nflog),
    Reject(RejectWith),
    Return,
}

/// `LOG`: a kernel log line; the packet goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Log {
    /// syslog level 0-7; iptables' default is 4 (warning).
    pub level: u8,
    /// Up to 29 bytes.
    pub prefix: String,
    pub tcp_sequence: bool,
    pub tcp_options: bool,
    pub ip_options: bool,
    pub uid: bool,
    pub macdecode: bool,
}

/// `NFLOG`: a copy to a netlink group; the packet goes on.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Nflog {
    pub group: u16,
    /// Up to 63 bytes.
    pub prefix: String,
    /// Bytes copied (`--nflog-size`, `--nflog-range`); `None` copies all.
    pub size: Option<u32>,
    pub threshold: Option<u16>,
}

/// `REJECT --reject-with`: names as iptables prints them.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum RejectWith {
    IcmpNetUnreachable,
    IcmpHostUnreachable,
    IcmpProtoUnreachable,
    /// The default of IPv4.
    IcmpPortUnreachable,
    IcmpNetProhibited,
    IcmpHostProhibited,
    IcmpAdminProhibited,
    TcpReset,
    Icmp6NoRoute,
    Icmp6AdminProhibited,
    Icmp6AddrUnreachable,
    /// The default of IPv6.
    Icmp6PortUnreachable,
    Icmp6PolicyFail,
    Icmp6RejectRoute,
}

/// One condition. `negated` is iptables' `!` before the option.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Match {
    /// `-p`; 0 (`all`) is never stored.
    Protocol { negated: bool, protocol: u8 },
    /// `-s`.
    Source { negated: bool, network: Network },
    /// The source is in one of the networks. For iptables that would be a rule for each.
    SourceIn { negated: bool, networks: Vec<Network> },
    /// `-d`.
    Destination { negated: bool, network: Network },
    /// `-i`.
    InInterface { negated: bool, name: InterfaceName },
    /// `-o`.
    OutInterface { negated: bool, name: InterfaceName },
    /// `-f` (IPv4): second and further fragments.
    Fragment { negated: bool },
    /// `-m tcp|udp|udplite|sctp|dccp --sport`.
    SourcePort { negated: bool, ports: RangeInclusive<u16> },
    /// `--dport`.
    DestinationPort { negated: bool, ports: RangeInclusive<u16> },
    /// `-m tcp|udp|sctp|dccp` without an option: first fragments only, and a packet too short for the header is dropped.
    /// The port, flag and option matches of these protocols ask for the same.
    WholeHeader,
    /// `-m tcp --tcp-flags MASK COMP` and `--syn`; bits of TCP's flag byte (FIN 1, SYN 2, RST 4, PSH 8, ACK 16, URG 32).
    TcpFlags { negated: bool, mask: u8, set: u8 },
    /// `-m tcp --tcp-option N`.
    TcpOption { negated: bool, option: u8 },
    /// `-m multiport`: any of up to 15 ports (a range counts two).
    Multiport { negated: bool, side: PortSide, ports: Vec<RangeInclusive<u16>> },
    /// `-m state --state` and `-m conntrack --ctstate`.
    State { negated: bool, states: States },
    /// `-m string`.
    Text(Text),
    /// Text in the value of a named header. iptables has no such match.
    Header(HeaderText),
    /// `-m icmp --icmp-type` / `-m icmp6 --icmpv6-type`; type 255 of IPv4 (`any`) is stored as `types: 0..=255`.
    Icmp { negated: bool, types: RangeInclusive<u8>, codes: RangeInclusive<u8> },
    /// `-m limit`.
    Limit(Limit),
    /// `-m hashlimit`.
    HashLimit(HashLimit),
    /// `-m recent`.
    Recent(Recent),
    /// `-m iprange --src-range`.
    SourceRange { negated: bool, range: RangeInclusive<IpAddr> },
    /// `-m iprange --dst-range`.
    DestinationRange { negated: bool, range: RangeInclusive<IpAddr> },
    /// `-m length`: bytes from the network header on (IPv4: total length; IPv6: payload length + 40).
    Length { negated: bool, length: RangeInclusive<u16> },
}

/// Which port `-m multiport` looks at.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum PortSide {
    /// `--dports`
    Destination,
    /// `--ports`: one of the two.
    Either,
    /// `--sports`
    Source,
}

/// An address and a mask. Masks with holes are lawful in netfilter, so the mask is kept, not a prefix length.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct Network {
    /// Already masked.
    pub address: IpAddr,
    /// Same family as `address`.
    pub mask: IpAddr,
}

impl Network {
    /// This host, as it speaks with itself.
    pub const LOOPBACK: [Self; 2] = [
        Self {
            address: IpAddr::V4(Ipv4Addr::new(127, 0, 0, 0)),
            mask: IpAddr::V4(Ipv4Addr::new(255, 0, 0, 0)),
        },
        Self { address: IpAddr::V6(Ipv6Addr::LOCALHOST), mask: IpAddr::V6(Ipv6Addr::from_bits(u128::MAX)) },
    ];

    /// Whether `address` is in it; an address of the other family never is.
    pub fn contains(&self, address: IpAddr) -> bool {
        match (address, self.address, self.mask) {
            (IpAddr::V4(address), IpAddr::V4(network), IpAddr::V4(mask)) => address & mask == network,
            (IpAddr::V6(address), IpAddr::V6(network), IpAddr::V6(mask)) => address & mask == network,
            _ => false,
        }
    }

    /// Whether every address of `other` is in it.
    pub fn covers(&self, other: &Self) -> bool {
        self.contains(other.address) && self.prefix() <= other.prefix()
    }

    /// The prefix length, if the mask has no holes.
    pub fn prefix(&self) -> Option<u8> {
        let (ones, contiguous) = match self.mask {
            IpAddr::V4(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
            IpAddr::V6(mask) => (mask.to_bits().leading_ones(), mask.to_bits().count_ones()),
        };
        (ones == contiguous).then(|| u8::try_from(ones).unwrap_or(u8::MAX))
    }
}

/// An interface name, or with `prefix` every name that begins with it (`eth+`). A bare `+` is every interface.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct InterfaceName {
    /// Without the `+`; at most 15 bytes.
    pub name: String,
    pub prefix: bool,
}

impl InterfaceName {
    /// Whether an interface of this name is meant.
    pub fn matches(&self, interface: &str) -> bool {
        if self.prefix { interface.starts_with(&self.name) } else { interface == self.name }
    }
}

/// A set of connection-tracking states and statuses, as `--ctstate` lists them.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub struct States {
    pub new: bool,
    pub established: bool,
    pub related: bool,
    pub invalid: bool,
    pub untracked: bool,
    /// `DNAT` and `SNAT` of `--ctstate`.
    pub dnat: bool,
    pub snat: bool,
}

/// `-m string`. The search runs over the whole packet from its network header on (IP and UDP headers included), as
/// `skb_find_text` does in `net/netfilter/xt_string.c`.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Text {
    pub negated: bool,
    pub algorithm: TextAlgorithm,
    /// 1 to 128 bytes.
    pub pattern: Vec<u8>,
    /// First offset where an occurrence may begin.
    pub from: u16,
    /// Offset that an occurrence may not reach beyond; iptables' default is 65535.
    pub to: u16,
    /// Case is ignored, as the kernel's `toupper` sees it (ASCII and Latin-1).
    pub icase: bool,
}

/// The kernel's `toupper` (lib/ctype.c), by which `--icase` compares: ASCII and Latin-1, where `ß` and `ÿ` count as small
/// letters, too, and come out as other characters.
pub fn capital(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | 0xdf..=0xf6 | 0xf8..=0xff => byte - 0x20,
        _ => byte,
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum TextAlgorithm {
    BoyerMoore,
    KnuthMorrisPratt,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_the_kernels() {
        assert_eq!(capital(b'a'), b'A');
        assert_eq!(capital(b'{'), b'{');
        assert_eq!(capital(0xe9), 0xc9);
        assert_eq!(capital(0xf7), 0xf7);
        assert_eq!(capital(0xff), 0xdf);
        assert_eq!(capital(0xdf), 0xbf);
    }
}
