//! How much SIP may come from sources that have not shown that their address is their own.
//!
//! Three limits, each a rate with a burst: of one source (IPv4 address, IPv6 /64), of its network (/24, /48), and of all
//! together. Proven and trusted sources are not asked, so whatever forged packets use up, their share remains.
//!
//! A bucket is one number: the time at which it is empty again (the generic cell rate algorithm, ITU-T I.371). The buckets
//! of sources and networks stand in a table of fixed size, which forged sources can neither fill nor make churn. Each has
//! two places there, told by a keyed hash (SipHash-1-3 with a key of each start), so that nobody can aim at the places of
//! somebody else; the emptier of both counts, and only what is emptier is filled.

use crate::address::{Address, Family};
use crate::decode::{Packet, TCP, UDP};
use crate::layout::{Config, LIMITED};
use crate::reason::Reason;
use crate::tables::Tables;

/// Places of sources in each of two rows.
pub const SOURCES: usize = 1 << 16;
/// Places of networks in each of two rows.
pub const NETWORKS: usize = 1 << 14;
/// The bucket of all.
const ALL: usize = 2 * SOURCES + 2 * NETWORKS;
/// Times in ticks of 1,024 ns: two rows of sources, two of networks, and one bucket for all in a cache line of its own.
pub type Buckets = [u32; ALL + 16];

/// Nanoseconds of one tick, as a binary logarithm.
pub const TICK: u32 = 10;

/// What is allowed. All zeros allow everything.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rate {
    /// Ticks that one packet takes up; 0 for no limit.
    pub cost: u32,
    /// Ticks that a bucket holds.
    pub depth: u32,
}

impl Rate {
    /// Seconds that the burst may be worth, at most: longer times could not be told from those before.
    pub const LONGEST: u64 = (Self::MOST << TICK) / 1_000_000_000;
    const MOST: u64 = 1 << 30;

    /// `packets` in `seconds`, and `burst` of them at once. What no tick can tell is rounded to what it can; what is worth
    /// more than [`Self::LONGEST`] is cut to it.
    pub const fn new(packets: u32, seconds: u32, burst: u32) -> Self {
        /// Ticks of a second.
        const SECOND: u64 = 1_000_000_000 >> TICK;
        const MOST: u64 = Rate::MOST;
        let packets = if packets == 0 { 1 } else { packets as u64 };
        let cost = SECOND * seconds as u64 / packets;
        let cost = if cost == 0 { 1 } else { cost };
        let cost = if cost > MOST { MOST } else { cost };
        let depth = cost * if burst == 0 { 1 } else { burst as u64 };
        let depth = if depth > MOST { MOST } else { depth };
        Self { cost: cost as u32, depth: depth as u32 }
    }
}

/// The three limits.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Limits {
    pub source: Rate,
    pub network: Rate,
    pub all: Rate,
    /// The hash's key: random, and secret.
    pub key: [u64; 2],
}

/// Why `packet`, from a source that is not proven, is one too many; `None` if it is not. Counts it.
///
/// What belongs to a TCP connection is not counted, only what asks for one: its sender has the address, or the server
/// discards it.
#[inline(never)]
pub fn exceeded<F: ?Sized, T: Tables<F>>(tables: &T, packet: &Packet, config: &Config) -> Option<Reason> {
    const SYN: u8 = 0x02;
    const ACK: u8 = 0x10;
    if config.flags & LIMITED == 0 {
        return None;
    }
    let counts = packet.protocol == UDP || packet.protocol == TCP && packet.tcp_flags & (SYN | ACK) == SYN;
    if !counts {
        return None;
    }
    let now = (tables.now() >> TICK) as u32;
    let limits = &config.limits;
    let (source, network) = names(&packet.source, packet.family);
    tables.with_buckets(|buckets| {
        let row = |hash: u64, size: usize| (hash as usize & (size - 1), (hash >> 32) as usize & (size - 1));
        let (first, second) = row(hash(limits.key, source), SOURCES);
        if !take(buckets, [first, SOURCES + second], now, limits.source) {
            return Some(Reason::LimitedSource);
        }
        let (first, second) = row(hash(limits.key, network), NETWORKS);
        if !take(buckets, [2 * SOURCES + first, 2 * SOURCES + NETWORKS + second], now, limits.network) {
            return Some(Reason::LimitedNetwork);
        }
        (!take(buckets, [ALL, ALL], now, limits.all)).then_some(Reason::OverCeiling)
    })?
}

/// Whether one more packet fits into the emptier of two buckets, and if so, that it is in both.
#[inline(always)]
fn take(buckets: &mut Buckets, places: [usize; 2], now: u32, rate: Rate) -> bool {
    if rate.cost == 0 {
        return true;
    }
    let [first, second] = places;
    let in_place = |place: usize| fill(buckets.get(place).copied().unwrap_or(0), now, rate);
    let (one, other) = (in_place(first), in_place(second));
    let least = if one < other { one } else { other };
    let after = least + rate.cost;
    if after > rate.depth {
        return false;
    }
    for (place, fill) in [(first, one), (second, other)] {
        if fill < after
            && let Some(bucket) = buckets.get_mut(place)
        {
            *bucket = until(now, after);
        }
    }
    true
}

/// The time in `ticks`. 0 is kept for buckets that were never filled.
#[inline(always)]
fn until(now: u32, ticks: u32) -> u32 {
    let until = now.wrapping_add(ticks);
    if until == 0 { 1 } else { until }
}

/// Ticks by which a processor may be late: that it read the clock, and had to wait, before it reads a bucket that another filled
/// meanwhile. 67 ms.
const LATE: u32 = 1 << 16;

/// Ticks until a bucket is empty. A time that is farther away than any could be written was written long ago; but one that is a little
/// farther away was written by a processor whose clock went on meanwhile: taken for old, a bucket that a flood keeps full would be
/// empty, and a whole burst of it let through.
#[inline(always)]
fn fill(bucket: u32, now: u32, rate: Rate) -> u32 {
    let fill = bucket.wrapping_sub(now);
    if bucket == 0 || fill > rate.depth + LATE {
        0
    } else if fill > rate.depth {
        rate.depth
    } else {
        fill
    }
}

/// Whether one more packet of a source with a bucket of its own fits in.
#[inline(always)]
pub fn trickle(bucket: &mut u32, rate: Rate, now: u64) -> bool {
    let now = (now >> TICK) as u32;
    let after = fill(*bucket, now, rate) + rate.cost;
    if after > rate.depth {
        return false;
    }
    *bucket = until(now, after);
    true
}

/// A number for the source and one for its network; no two sources or networks of both families share one.
#[inline(always)]
fn names(address: &Address, family: Family) -> (u64, u64) {
    let (high, low) = address.halves();
    match family {
        Family::Ipv4 => (low & 0xffff_ffff, (low & 0xffff_ff00) << 8),
        // Global addresses begin with 2 or 3, so none of these is that of an IPv4 address.
        Family::Ipv6 => (high, high & !0xffff | 1),
    }
}

/// SipHash of one word, with one round for it and three at the end (Aumasson and Bernstein, 2012).
#[inline(always)]
fn hash(key: [u64; 2], word: u64) -> u64 {
    let [low, high] = key;
    let mut hash = SipHash([
        low ^ 0x736f_6d65_7073_6575,
        high ^ 0x646f_7261_6e64_6f6d,
        low ^ 0x6c79_6765_6e65_7261,
        high ^ 0x7465_6462_7974_6573 ^ word,
    ]);
    hash.round();
    let [a, _, c, _] = &mut hash.0;
    *a ^= word;
    *c ^= 0xff;
    hash.round();
    hash.round();
    hash.round();
    let [a, b, c, d] = hash.0;
    a ^ b ^ c ^ d
}

/// Its state.
struct SipHash([u64; 4]);

impl SipHash {
    #[inline(always)]
    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.0;
        a = a.wrapping_add(b);
        b = b.rotate_left(13) ^ a;
        a = a.rotate_left(32);
        c = c.wrapping_add(d);
        d = d.rotate_left(16) ^ c;
        a = a.wrapping_add(d);
        d = d.rotate_left(21) ^ a;
        c = c.wrapping_add(b);
        b = b.rotate_left(17) ^ c;
        c = c.rotate_left(32);
        self.0 = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn empty() -> Box<Buckets> {
        vec![0; ALL + 16].into_boxed_slice().try_into().unwrap()
    }

    #[test]
    fn a_bucket_that_was_never_filled_is_empty_at_any_time() {
        for now in [0, 1, u32::MAX, u32::MAX - 1000, 1 << 31] {
            let mut buckets = empty();
            assert!(take(&mut buckets, [1, 2], now, Rate::new(1, 600, 1)), "{now}");
            assert!(!take(&mut buckets, [1, 2], now, Rate::new(1, 600, 1)), "{now}");
        }
    }

    #[test]
    fn a_burst_goes_through_at_once_and_the_rate_ever_after() {
        let rate = Rate::new(10, 1, 5);
        let mut buckets = empty();
        // Times begin anywhere; the bucket's zero may be in the future or in the past.
        for begin in [7, 1 << 31, u32::MAX - 3] {
            let mut at = |tick: u32| take(&mut buckets, [1, 2], begin.wrapping_add(tick), rate);
            assert_eq!((0..9).filter(|_| at(0)).count(), 5);
            let through = (0..976_562u32).filter(|tick| at(*tick)).count();
            assert!((9..=10).contains(&through), "{through} in a second");
        }
    }

    #[test]
    fn a_processor_that_is_late_does_not_empty_a_full_bucket() {
        let rate = Rate::new(5000, 1, 5000);
        for begin in [7, 1 << 31, u32::MAX - 100_000] {
            let mut buckets = empty();
            let mut at = |tick: u32| take(&mut buckets, [1, 1], begin.wrapping_add(tick), rate);
            assert_eq!((0..9000).filter(|_| at(50_000)).count(), 5000);
            // A hundredth of a second before.
            assert_eq!((0..9000).filter(|_| at(40_000)).count(), 0);
            assert_eq!((0..9000).filter(|_| at(50_000 + rate.cost)).count(), 1);
            // Long ago is still that.
            assert_eq!((0..9000).filter(|_| at(50_000_u32.wrapping_sub(rate.depth + LATE))).count(), 5000);
        }
    }

    #[test]
    fn the_emptier_bucket_counts() {
        let rate = Rate::new(1, 1, 1);
        let mut buckets = empty();
        assert!(take(&mut buckets, [1, 2], 100, rate));
        assert!(!take(&mut buckets, [1, 2], 100, rate));
        assert!(take(&mut buckets, [1, 3], 100, rate), "shares one place only");
        assert!(!take(&mut buckets, [2, 3], 100, rate));
    }

    #[test]
    fn no_cost_is_no_limit() {
        let mut buckets = empty();
        assert!((0..1000).all(|_| take(&mut buckets, [1, 2], 100, Rate::default())));
    }

    #[test]
    fn rates_are_what_they_say() {
        assert_eq!(Rate::new(976, 1, 2), Rate { cost: 1000, depth: 2001 - 1 });
        assert_eq!(Rate::new(1, 3600, 1).cost, Rate::new(1, 3600, 1).depth);
        assert_eq!(Rate::new(u32::MAX, 1, 1).cost, 1);
        assert!(Rate::new(1, u32::MAX, u32::MAX).depth <= 1 << 30);
    }

    #[test]
    fn a_trickle_is_a_bucket_of_its_own() {
        let mut bucket = 0;
        let second = 1_000_000_000;
        let mut at = |tenth: u64| trickle(&mut bucket, Rate::new(1, 2, 3), 5 * second + tenth * second / 10);
        let through: Vec<u64> = (0..100).filter(|tenth| at(*tenth)).collect();
        assert_eq!(through, [0, 1, 2, 20, 40, 60, 80]);
    }

    #[test]
    fn one_bit_changes_half_of_the_hash() {
        for key in [[0, 0], [1, 2], [u64::MAX, 77]] {
            let changed: u32 = (0..64)
                .map(|bit| (hash(key, 0x0102_0304) ^ hash(key, 0x0102_0304 ^ 1 << bit)).count_ones())
                .sum();
            assert!((28 * 64..36 * 64).contains(&changed), "{changed} of {}", 64 * 64);
        }
    }
}
