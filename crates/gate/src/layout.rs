//! Keys and values of the kernel's maps: plain old data with a fixed layout, no padding, no pointers.
//!
//! Both halves run on one machine, so numbers are in its own byte order. [`VERSION`] changes with every change of
//! meaning; a daemon never adopts maps of another version.

use crate::address::Address;
use crate::limit::{Limits, Rate};
use crate::reason::REASONS;
use crate::scan::Found;

/// Version of everything in this file.
pub const VERSION: u32 = 4;

/// Names of the maps, as the object and the pins have them (the kernel keeps 15 bytes).
pub mod map {
    /// The [`super::Config`]: not a map of its own but a constant of the programs, which the kernel's verifier folds, so
    /// that what a policy does not ask for costs nothing.
    pub const CONFIG: &str = "CONFIG";
    /// What changes between two policies: [`super::Live`].
    pub const LIVE: &str = "LIVE";
    /// Per CPU: [`super::Cpu`].
    pub const CPU: &str = "CPU";
    /// The first look at a datagram: [`crate::filter`].
    pub const FILTER: &str = "FILTER";
    /// The [`crate::automaton`].
    pub const AUTOMATON: &str = "AUTOMATON";
    /// Per accepting state: [`super::Outputs`].
    pub const OUTPUTS: &str = "OUTPUTS";
    /// [`super::Rule`]s, in order.
    pub const RULES: &str = "RULES";
    /// Which ports are guarded: [`super::Ports`].
    pub const PORTS: &str = "PORTS";
    /// Per interface index: [`super::Interface`].
    pub const INTERFACES: &str = "INTERFACES";
    /// Banned IPv4 addresses: [`crate::bans::Bucket`]s.
    pub const BANS_V4: &str = "BANS_V4";
    /// Banned IPv6 /64 networks: [`crate::bans::Bucket`]s.
    pub const BANS_V6: &str = "BANS_V6";
    /// [`super::SourceKey`] to [`super::Ban`]: bans that found no place in the buckets, and sources that are let through at
    /// a trickle.
    pub const SPECIAL: &str = "SPECIAL";
    /// Networks (prefix trie) that were banned or trusted while a policy was in force: [`crate::bans::Term`]s. The
    /// longest prefix decides.
    pub const NETWORKS: &str = "NETWORKS";
    /// [`super::SourceKey`] to [`super::Proven`].
    pub const PROVEN: &str = "PROVEN";
    /// One value: [`crate::limit::Buckets`].
    pub const BUCKETS: &str = "BUCKETS";
    /// [`crate::flow::FlowKey`] to [`crate::flow::Flow`].
    pub const FLOWS: &str = "FLOWS";
    /// Networks (prefix trie) that the policy blocks.
    pub const BLOCKED: &str = "BLOCKED";
    /// Networks (prefix trie) that the policy trusts.
    pub const TRUSTED: &str = "TRUSTED";
    /// Ring buffer of [`super::Event`]s, each with the bytes of the packet behind it that it announces.
    pub const EVENTS: &str = "EVENTS";
}

/// The source of trial packets ([`crate::reason::Reason::Banned`]): nobody has it (RFC 1122 section 3.2.1.3: "this network").
/// They are neither counted nor told.
pub const MARKED: Address = Address::v4([0, 82, 70, 1]);

/// Bit of a port that is guarded over UDP.
pub const GUARD_UDP: u8 = 1;
/// Bit of a port that is guarded over TCP.
pub const GUARD_TCP: u8 = 2;

/// Bound of [`map::RULES`]: the walk happens only for packets in which a signature was found.
pub const MAX_RULES: u32 = 256;
/// Bound of distinct signature groups; a group is what one rule looks for.
pub const MAX_GROUPS: usize = 64;
/// Bound of distinct log statements; an event has a bit for each.
pub const MAX_NOTES: usize = 64;
/// Signatures that may end at the same byte.
pub const MAX_OUTPUTS: usize = 8;
/// Bans of each family that there is room for.
pub const MAX_BANS: u32 = 1 << 20;
/// Bound of [`map::SPECIAL`].
pub const MAX_SPECIAL: u32 = 1 << 16;
/// Bound of [`map::BLOCKED`], of [`map::TRUSTED`] and of [`map::NETWORKS`]: a trie is slow when large (DATAPLANE 1.2).
pub const MAX_NETWORKS: u32 = 1 << 17;

/// [`Config::flags`]: judge and count, but pass everything.
pub const OBSERVE: u32 = 1;
/// [`Config::flags`]: TCP or UDP rules without a port condition exist, so every port is guarded.
pub const ALL_UDP_PORTS: u32 = 2;
/// See [`ALL_UDP_PORTS`].
pub const ALL_TCP_PORTS: u32 = 4;
/// [`Config::flags`]: a rule looks for a signature in every protocol.
pub const ALL_PROTOCOLS: u32 = 64;
/// [`Config::flags`]: some networks are trusted, so the trie is worth a look.
pub const HAS_TRUSTED: u32 = 8;
/// See [`HAS_TRUSTED`].
pub const HAS_BLOCKED: u32 = 16;
/// [`Config::flags`]: [`map::FILTER`] says which datagrams the automaton need not see.
pub const FILTERED: u32 = 32;
/// [`Config::flags`]: [`Config::limits`] count.
pub const LIMITED: u32 = 512;

/// [`Config::flags`]: tell user space what is in every packet to and from a guarded port.
pub const CAPTURES: u32 = 1024;

/// Bytes of a packet's payload that an event may bring: a power of two.
pub const MAX_CAPTURE: usize = 4096;

/// [`Config::flags`]: signatures are looked for in TCP, so connections are followed ([`crate::flow`]).
pub const FOLLOWS: u32 = 256;

/// [`Config::flags`]: tell user space about every packet, not only about those that are dropped or logged.
pub const REPORT_ALL: u32 = 128;

/// [`Live::flags`]: [`map::SPECIAL`] is not empty.
pub const HAS_SPECIAL: u32 = 16;
/// [`Live::flags`]: some addresses are banned.
pub const HAS_BANS: u32 = 1;
/// [`Live::flags`]: some of them on every port, so that every packet has to be asked about.
pub const HAS_BANS_ON_ALL_PORTS: u32 = 2;

/// [`Live::flags`]: [`map::NETWORKS`] is not empty.
pub const HAS_NETWORKS: u32 = 32;

/// [`Live::flags`]: some sources are proven.
pub const HAS_PROVEN: u32 = 4;
/// [`Live::flags`]: this host sends packets on, so that what is about to be dropped may not be for it.
pub const FORWARDS: u32 = 8;

/// Entries of [`map::FILTER`]: a power of two.
pub const FILTER_SIZE: usize = 1 << 18;
/// Bound of [`Config::pairs`].
pub const MAX_PAIRS: usize = 2;

/// Bound of [`map::PROVEN`].
pub const MAX_PROVEN: u32 = 1 << 17;
/// Bound of [`map::FLOWS`]; the connection that was quiet for longest makes room for a new one.
pub const MAX_FLOWS: u32 = 8192;

/// Which ports are guarded, a bit each: first over UDP, then over TCP.
pub type Ports = [u64; 2048];

/// What one generation of the gate was told.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Config {
    /// [`VERSION`].
    pub version: u32,
    /// [`OBSERVE`] and its neighbours.
    pub flags: u32,
    /// Rules in use.
    pub rules: u32,
    /// Automaton state before the first byte.
    pub start: u32,
    /// Entries of a row of the automaton.
    pub width: u32,
    /// Events that one CPU may send in one second about packets that pass and answers to them; a quarter of it about those that are
    /// dropped or logged for what is in them, and a quarter about those of a crowd ([`crate::Reason::is_of_a_crowd`]).
    pub events_per_second: u32,
    /// Bits under [`TAG_MASK`] of the packet mark, by which the last hook knows a datagram that was reassembled in our
    /// network namespace; 0 when it has nothing to do.
    pub tag: u32,
    /// Bytes of the longest signature; 0 if there is one without a bound.
    pub longest: u32,
    /// Two folded bytes, four times over ([`crate::filter::lane`]), that the filter looks for at even offsets.
    pub pair: [u64; MAX_PAIRS],
    /// How many of [`Self::pair`] count.
    pub pairs: u32,
    pub reserved: u32,
    /// For sources that are not proven; they count with [`LIMITED`].
    pub limits: Limits,
    /// First 8 bytes of the policy's SHA-256.
    pub policy: [u8; 8],
}

/// The part of a packet's mark that Ringfence takes, for reassembled datagrams only.
pub const TAG_MASK: u32 = 0xff00_0000;

/// What changes while a policy is in force.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Live {
    /// [`HAS_BANS`] and its neighbours.
    pub flags: u32,
    pub reserved: u32,
    /// Of the hash that tells banned addresses their places; random, and not changed while there are any.
    pub key: [u64; 2],
}

/// What one CPU keeps for itself.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cpu {
    /// By [`crate::Reason`].
    pub counts: [Count; REASONS],
    /// By [`Share`]: a flood of the one leaves the others theirs.
    pub budgets: [Budget; SHARES],
    /// Where the search puts what it finds; the kernel's 512 bytes of stack have no room for it.
    pub found: Found,
    /// Room for the program's verdict under way. What was written to a map and read back is any number to the verifier, so
    /// that it goes through what follows once, and not once for each way there.
    pub judgement: [u64; 16],
}

/// Whose budget an event is of.
#[repr(usize)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Share {
    /// A packet that passes, or an answer.
    Passing = 0,
    /// A packet that is dropped or logged for what is in it.
    Urgent = 1,
    /// A packet of a crowd ([`crate::Reason::is_of_a_crowd`]).
    Crowd = 2,
    /// The same, and nobody reads what is in it ([`crate::Reason::is_unread`]).
    Unread = 3,
}

/// How many budgets there are: what is unread is of the crowd's.
pub const SHARES: usize = 3;

/// Packets and bytes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Count {
    pub packets: u64,
    pub bytes: u64,
}

/// How much one CPU may tell user space: a bucket that fills evenly, so that what a crowd is granted in a second does not stand in
/// front of everybody else at its beginning.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Budget {
    /// When it was last asked, in nanoseconds of `CLOCK_MONOTONIC`.
    pub since: u64,
    /// What is in it; an event takes [`Budget::EVENT`].
    pub credit: u64,
    /// Events that were not sent, ever. Of a crowd that is as it should be.
    pub lost: u64,
}

impl Budget {
    /// What one event takes: a second, as credit comes by the nanosecond.
    pub const EVENT: u64 = 1_000_000_000;

    /// Whether one more event may be sent `now`, of at most `rate` in a second and `burst` at once.
    #[inline(always)]
    pub fn take(&mut self, rate: u64, burst: u64, now: u64) -> bool {
        let passed = now.saturating_sub(self.since).min(Self::EVENT);
        self.since = now;
        // No more than a second times a rate, which has 32 bits: no overflow.
        let credit = self.credit.wrapping_add(passed.wrapping_mul(rate)).min(burst.wrapping_mul(Self::EVENT));
        let is_enough = credit >= Self::EVENT;
        self.credit = if is_enough { credit - Self::EVENT } else { credit };
        self.lost += u64::from(!is_enough);
        is_enough
    }
}

/// What an interface is.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Interface {
    /// Which interface patterns of the rules its name matches, a bit each.
    pub patterns: u64,
    /// 1 for frames that begin with the network header, 0 for Ethernet.
    pub raw_ip: u32,
    pub reserved: u32,
}

/// A ban of an address.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Ban {
    /// Nanoseconds of `CLOCK_MONOTONIC` at which it ends; `u64::MAX` never does.
    pub until: u64,
    /// 1 covers every port, 0 only the guarded ones.
    pub all_ports: u32,
    /// When the bucket of the trickle is empty again, in ticks. The kernel's.
    pub filled: u32,
    /// If it limits anything, the source is not banned, but let through at this rate: enough for a phone to prove itself.
    pub trickle: Rate,
}

/// Key of [`map::PROVEN`] and [`map::SPECIAL`]: an IPv4 address mapped into IPv6, or an IPv6 address whose last 64 bits are 0.
pub type SourceKey = [u8; 16];

/// A source that has shown that its address is its own: the limits are not for it.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Proven {
    /// Nanoseconds of `CLOCK_MONOTONIC` until which that counts.
    pub until: u64,
}

/// One signature that ends in an automaton state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Output {
    /// Its index in the policy.
    pub signature: u16,
    /// The group that it belongs to.
    pub group: u16,
    /// Its length in bytes; 0 when it varies.
    pub length: u16,
    /// It may not begin before this offset from the network header.
    pub from: u16,
    /// It may not end beyond this offset.
    pub to: u16,
}

impl Output {
    /// Whether an occurrence that ends just before offset `end` (from the network header) lies in the window.
    #[inline(always)]
    pub fn allows(&self, end: u16) -> bool {
        end <= self.to && end.saturating_sub(self.length) >= self.from
    }
}

/// All signatures that end in an automaton state.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Outputs {
    pub count: u16,
    pub outputs: [Output; MAX_OUTPUTS],
}

/// An address under a mask, in numbers.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Masked {
    pub value: [u64; 2],
    pub mask: [u64; 2],
}

impl Masked {
    /// Whether `address` equals the value where the mask has ones.
    #[inline(always)]
    pub fn contains(&self, address: &Address) -> bool {
        let (high, low) = address.halves();
        let ([value_high, value_low], [mask_high, mask_low]) = (self.value, self.mask);
        high & mask_high == value_high && low & mask_low == value_low
    }
}

/// [`Rule::checks`] and [`Rule::negated`]: one bit per condition.
pub mod check {
    pub const SOURCE: u32 = 1;
    pub const DESTINATION: u32 = 2;
    pub const INTERFACE: u32 = 4;
    pub const SOURCE_PORT: u32 = 8;
    pub const DESTINATION_PORT: u32 = 16;
    pub const LENGTH: u32 = 32;
    pub const PROTOCOL: u32 = 64;
    pub const TCP_FLAGS: u32 = 128;
    pub const SIGNATURE: u32 = 256;
}

/// What a rule does.
pub mod action {
    /// Discard.
    pub const DROP: u32 = 0;
    /// Leave it to nftables: the rule decides otherwise there.
    pub const LEAVE: u32 = 1;
    /// Remember that this rule logs, and go on.
    pub const NOTE: u32 = 2;
}

/// One condition-and-action of the gate. All checked conditions must hold.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rule {
    pub source: Masked,
    pub destination: Masked,
    /// Patterns of [`Interface::patterns`], one of which must match.
    pub interfaces: u64,
    /// Bits of [`check`]: which conditions count.
    pub checks: u32,
    /// Bits of [`check`]: which of them are negated.
    pub negated: u32,
    /// One of [`action`].
    pub action: u32,
    /// Index below [`MAX_GROUPS`].
    pub group: u32,
    /// For [`action::NOTE`]: which bit of [`Event::notes`], below [`MAX_NOTES`].
    pub note: u32,
    pub reserved: u32,
    pub source_ports: [u16; 2],
    pub destination_ports: [u16; 2],
    pub length: [u16; 2],
    /// 4 or 6.
    pub family: u8,
    pub protocol: u8,
    pub tcp_mask: u8,
    pub tcp_set: u8,
}

/// Key of [`map::BLOCKED`] and [`map::TRUSTED`] behind the prefix length: an [`Address`].
pub type NetworkKey = [u8; 16];

/// What user space is told about one packet.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Event {
    /// Nanoseconds of `CLOCK_MONOTONIC`, as of the last timer tick.
    pub time: u64,
    /// Log statements that the packet met, a bit each.
    pub notes: u64,
    pub source: Address,
    pub destination: Address,
    pub interface: u32,
    /// Index of the deciding rule; `u16::MAX` for none.
    pub rule: u16,
    /// Index of the signature; `u16::MAX` for none.
    pub signature: u16,
    pub source_port: u16,
    pub destination_port: u16,
    /// From the network header on.
    pub length: u16,
    pub family: u8,
    pub protocol: u8,
    /// A [`crate::Reason`].
    pub reason: u8,
    /// 1 if the packet was let through all the same ([`OBSERVE`]).
    pub observed: u8,
    /// 1 for a packet that this host sends.
    pub outgoing: u8,
    /// TCP's flag byte; 0 for other protocols.
    pub tcp_flags: u8,
    /// How many bytes of the payload (of UDP or TCP) stand behind this event, and how many there were.
    pub captured: u16,
    pub payload: u16,
    /// TCP's sequence number of the first of them, and its acknowledgment number.
    pub sequence: u32,
    pub acknowledgment: u32,
    pub reserved: u32,
}

/// Bytes of an [`Event`].
pub const EVENT_SIZE: usize = size_of::<Event>();

impl Event {
    /// The bytes of the packet behind the event in its record of the ring buffer.
    pub fn capture<'a>(&self, record: &'a [u8]) -> &'a [u8] {
        record.get(EVENT_SIZE..).and_then(|rest| rest.get(..usize::from(self.captured))).unwrap_or_default()
    }

    /// From a record of the ring buffer; `None` if it is too short.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
            let (head, tail) = rest.split_first_chunk::<N>()?;
            *rest = tail;
            Some(*head)
        }
        let rest = &mut &*bytes;
        Some(Self {
            time: u64::from_ne_bytes(take(rest)?),
            notes: u64::from_ne_bytes(take(rest)?),
            source: Address(take(rest)?),
            destination: Address(take(rest)?),
            interface: u32::from_ne_bytes(take(rest)?),
            rule: u16::from_ne_bytes(take(rest)?),
            signature: u16::from_ne_bytes(take(rest)?),
            source_port: u16::from_ne_bytes(take(rest)?),
            destination_port: u16::from_ne_bytes(take(rest)?),
            length: u16::from_ne_bytes(take(rest)?),
            family: u8::from_ne_bytes(take(rest)?),
            protocol: u8::from_ne_bytes(take(rest)?),
            reason: u8::from_ne_bytes(take(rest)?),
            observed: u8::from_ne_bytes(take(rest)?),
            outgoing: u8::from_ne_bytes(take(rest)?),
            tcp_flags: u8::from_ne_bytes(take(rest)?),
            captured: u16::from_ne_bytes(take(rest)?),
            payload: u16::from_ne_bytes(take(rest)?),
            sequence: u32::from_ne_bytes(take(rest)?),
            acknowledgment: u32::from_ne_bytes(take(rest)?),
            reserved: u32::from_ne_bytes(take(rest)?),
        })
    }
}

/// No rule or no signature.
pub const NONE: u16 = u16::MAX;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_has_padding() {
        assert_eq!(size_of::<Config>(), 64 + 40);
        assert_eq!(size_of::<Live>(), 24);
        assert_eq!(size_of::<Cpu>(), 16 * REASONS + 24 * SHARES + 136 + 32 + 64 + 128);
        assert_eq!(size_of::<Count>(), 16);
        assert_eq!(size_of::<Budget>(), 24);
        assert_eq!(size_of::<Interface>(), 16);
        assert_eq!(size_of::<Ban>(), 24);
        assert_eq!(size_of::<Output>(), 10);
        assert_eq!(size_of::<Outputs>(), 2 + 10 * MAX_OUTPUTS);
        assert_eq!(size_of::<Masked>(), 32);
        assert_eq!(size_of::<Rule>(), 64 + 8 + 24 + 12 + 4);
        assert_eq!(size_of::<Event>(), 16 + 32 + 4 + 4 + 6 + 4 + 6 + 16);
    }

    #[test]
    fn a_budget_is_even_over_the_second() {
        let mut budget = Budget::default();
        let second = 1_000_000_000;
        // After a pause a burst, and no more.
        assert_eq!((0..1000).filter(|_| budget.take(5000, 78, 7 * second)).count(), 78);
        assert_eq!(budget.lost, 922);
        // A flood of 400,000 a second, by a clock with 250 ticks a second: each tick has the same.
        for tick in 1..250 {
            let now = 7 * second + tick * 4_000_000;
            assert_eq!((0..1600).filter(|_| budget.take(5000, 78, now)).count(), 20, "tick {tick}");
        }
        assert!(!Budget::default().take(0, 0, second), "without a rate nothing is told");
        // Another processor's clock may be behind, and what an older version left here means nothing.
        let mut old = Budget { since: 9 * second, credit: u64::MAX, lost: 0 };
        assert!(old.take(10, 1, 8 * second));
        assert!(!old.take(10, 1, 8 * second));
    }
}
