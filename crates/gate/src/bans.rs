//! Banned addresses, a million of them, found by looking at one cache line.
//!
//! A general hash map follows three pointers through memory that no cache holds. Here an address belongs to one of two
//! buckets of 64 bytes, told by a keyed hash; it is in the second only if the first was full when it came. A bucket that was
//! full once never becomes less: what ends in it leaves a place that is taken again, but not empty. So a bucket with an empty
//! place settles the question, and the second one is looked at for few.
//!
//! Whoever writes (the daemon; the kernel only reads) goes through [`insert`] and [`remove`].

use crate::address::{Address, Family};
use crate::decode::Packet;
use crate::tables::Tables;

/// Buckets of IPv4 addresses, a power of two: 16 MiB, places for 2,097,152 addresses.
pub const BUCKETS_V4: u32 = 1 << 18;
/// Buckets of IPv6 /64 networks, a power of two: 32 MiB, places for 2,621,440 networks.
pub const BUCKETS_V6: u32 = 1 << 19;

/// One cache line. IPv4: eight times an address and a [`Term`]. IPv6: five times the two words of the /64 and a term.
pub type Bucket = [u32; 16];

/// How long a ban lasts and what it covers: 24 bits of time, 8 bits of flags. 0 is an empty place.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Term(pub u32);

/// Nanoseconds of one unit of a term's time, as a binary logarithm: 1.07 s. 24 bits of them are half a year; what lasts
/// longer lasts for ever, and whoever wrote it ends it.
const UNIT: u32 = 30;
const FOREVER: u32 = 0xff_ffff;

impl Term {
    /// In every place that is not empty.
    const TAKEN: u32 = 1;
    /// The ban covers every port, not only the guarded ones.
    const ALL_PORTS: u32 = 2;
    /// Not a ban: what comes from there is let through.
    const TRUSTED: u32 = 4;
    /// Over since the machine started.
    #[cfg(any(feature = "std", test))]
    const OVER: Self = Self(Self::TAKEN);

    /// Until `until` (nanoseconds of `CLOCK_MONOTONIC`; `u64::MAX` for ever), rounded up.
    pub const fn new(until: u64, all_ports: bool) -> Self {
        let units = (until >> UNIT) + 1;
        let units = if units > FOREVER as u64 { FOREVER } else { units as u32 };
        Self(units << 8 | Self::TAKEN | if all_ports { Self::ALL_PORTS } else { 0 })
    }

    /// A network that is trusted until `until`, instead of banned.
    pub const fn trusted(until: u64) -> Self {
        Self(Self::new(until, true).0 | Self::TRUSTED)
    }

    /// Whether it is trust, not a ban.
    #[inline(always)]
    pub const fn is_trust(self) -> bool {
        self.0 & Self::TRUSTED != 0
    }

    /// Whether it is in force at `now`.
    #[inline(always)]
    pub const fn lasts(self, now: u64) -> bool {
        let until = self.0 >> 8;
        until == FOREVER || until as u64 > now >> UNIT
    }

    /// When it ends; `u64::MAX` for never.
    pub const fn until(self) -> u64 {
        let until = self.0 >> 8;
        if until == FOREVER { u64::MAX } else { (until as u64) << UNIT }
    }

    /// Whether it covers every port.
    #[inline(always)]
    pub const fn covers_all_ports(self) -> bool {
        self.0 & Self::ALL_PORTS != 0
    }
}

/// What a bucket says of a key.
enum Answer {
    Banned(Term),
    /// Neither here nor in the other bucket.
    No,
    /// Not here; the bucket is full.
    Elsewhere,
}

/// The term of the source of `packet`, which may be over.
#[inline(always)]
pub fn term<F: ?Sized, T: Tables<F>>(tables: &T, packet: &Packet, key: [u64; 2]) -> Option<Term> {
    let (first, second) = places(&packet.source, packet.family, key);
    match ask(tables.bucket(packet.family, first)?, &packet.source, packet.family) {
        Answer::Banned(term) => Some(term),
        Answer::No => None,
        Answer::Elsewhere => {
            match ask(tables.bucket(packet.family, second)?, &packet.source, packet.family) {
                Answer::Banned(term) => Some(term),
                Answer::No | Answer::Elsewhere => None,
            }
        }
    }
}

/// The two buckets of an address, the same one perhaps.
#[inline(always)]
pub fn places(address: &Address, family: Family, key: [u64; 2]) -> (u32, u32) {
    let (high, low) = address.halves();
    let (word, mask) = match family {
        Family::Ipv4 => (low & 0xffff_ffff, BUCKETS_V4 - 1),
        Family::Ipv6 => (high, BUCKETS_V6 - 1),
    };
    let [before, between] = key;
    // Whoever is banned chose the address, but not how it is mixed. A few that share a place do no harm here: what finds
    // none goes into another map.
    let hash = (word ^ before).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let hash = (hash ^ hash >> 32 ^ between).wrapping_mul(0xd6e8_feb8_6659_fd93);
    let hash = hash ^ hash >> 32;
    (hash as u32 & mask, (hash >> 40) as u32 & mask)
}

/// Looks at all places and branches on none: where in its bucket an address stands is chance, so a processor would guess
/// wrong for most packets, and could not fetch the next one's bucket while it waits for this one.
#[inline(always)]
fn ask(bucket: &Bucket, address: &Address, family: Family) -> Answer {
    let (high, low) = address.halves();
    let mut term = 0;
    let mut room = 0;
    match family {
        Family::Ipv4 => {
            for [place, until] in bucket.as_chunks().0 {
                term |= until & all_ones_if_zero(place ^ low as u32);
                room |= all_ones_if_zero(*until);
            }
        }
        Family::Ipv6 => {
            for [first, second, until] in bucket.as_chunks().0 {
                term |= until & all_ones_if_zero((first ^ (high >> 32) as u32) | (second ^ high as u32));
                room |= all_ones_if_zero(*until);
            }
        }
    }
    match (term, room) {
        (0, 0) => Answer::Elsewhere,
        (0, _) => Answer::No,
        (term, _) => Answer::Banned(Term(term)),
    }
}

#[inline(always)]
fn all_ones_if_zero(number: u32) -> u32 {
    ((i64::from(number) - 1) >> 63) as u32
}

/// Puts an address into the first of its buckets that has room, the one where it is already before all; `false` if neither
/// has. What is over makes room. Buckets are read by `get` and written by `set`, by their numbers.
#[cfg(any(feature = "std", test))]
pub fn insert<E>(
    store: &mut impl Store<E>,
    address: &Address,
    family: Family,
    term: Term,
    key: [u64; 2],
    now: u64,
) -> Result<bool, E> {
    let (first, second) = places(address, family, key);
    let is_known = |entry: (u64, Term)| is_of(entry, address, family);
    let is_empty = |(_, term): (u64, Term)| term.0 == 0;
    let is_over = |(_, term): (u64, Term)| !term.lasts(now);
    let bucket = store.get(family, first)?;
    let find = |bucket: &Bucket, is: &dyn Fn((u64, Term)) -> bool| entries(bucket, family).position(is);
    // Where there is an empty place, nothing had to go elsewhere.
    let here = find(&bucket, &is_known).or_else(|| find(&bucket, &is_empty));
    let (number, mut bucket, index) = if let Some(index) = here {
        (first, bucket, index)
    } else {
        let other = store.get(family, second)?;
        if let Some(index) = find(&other, &is_known) {
            (second, other, index)
        } else if let Some(index) = find(&bucket, &is_over) {
            (first, bucket, index)
        } else if let Some(index) = find(&other, &is_empty).or_else(|| find(&other, &is_over)) {
            (second, other, index)
        } else {
            return Ok(false);
        }
    };
    write(&mut bucket, family, index, address, term);
    store.set(family, number, &bucket)?;
    Ok(true)
}

/// The term of an address, which may be over.
#[cfg(any(feature = "std", test))]
pub fn find<E>(
    store: &mut impl Store<E>,
    address: &Address,
    family: Family,
    key: [u64; 2],
) -> Result<Option<Term>, E> {
    let (first, second) = places(address, family, key);
    for number in [first, second] {
        let bucket = store.get(family, number)?;
        if let Some((_, term)) = entries(&bucket, family).find(|entry| is_of(*entry, address, family)) {
            return Ok(Some(term));
        }
    }
    Ok(None)
}

/// Takes an address out; whether it was in.
#[cfg(any(feature = "std", test))]
pub fn remove<E>(
    store: &mut impl Store<E>,
    address: &Address,
    family: Family,
    key: [u64; 2],
) -> Result<bool, E> {
    let (first, second) = places(address, family, key);
    for number in [first, second] {
        let mut bucket = store.get(family, number)?;
        let known = entries(&bucket, family).position(|entry| is_of(entry, address, family));
        if let Some(index) = known {
            let was_full = entries(&bucket, family).all(|(_, term)| term.0 != 0);
            let gone = if was_full { Term::OVER } else { Term(0) };
            write(&mut bucket, family, index, &Address([0; 16]), gone);
            store.set(family, number, &bucket)?;
            return Ok(true);
        }
    }
    Ok(false)
}

/// Where the buckets are.
#[cfg(any(feature = "std", test))]
pub trait Store<E> {
    /// A bucket by its number.
    ///
    /// # Errors
    ///
    /// What stands in the way of reading it.
    fn get(&mut self, family: Family, number: u32) -> Result<Bucket, E>;

    /// Replaces a bucket.
    ///
    /// # Errors
    ///
    /// What stands in the way of writing it.
    fn set(&mut self, family: Family, number: u32, bucket: &Bucket) -> Result<(), E>;
}

/// What is in a bucket and not over, as addresses (of IPv6 the first of the /64).
#[cfg(any(feature = "std", test))]
pub fn contents(bucket: &Bucket, family: Family, now: u64) -> impl Iterator<Item = (Address, Term)> + use<> {
    let all: Vec<(u64, Term)> = entries(bucket, family).collect();
    all.into_iter().filter(move |(_, term)| term.0 != 0 && term.lasts(now)).map(move |(key, term)| {
        let address = match family {
            Family::Ipv4 => Address::v4((key as u32).to_be_bytes()),
            Family::Ipv6 => Address((u128::from(key) << 64).to_be_bytes()),
        };
        (address, term)
    })
}

#[cfg(any(feature = "std", test))]
fn key_of(address: &Address, family: Family) -> u64 {
    let (high, low) = address.halves();
    match family {
        Family::Ipv4 => low & 0xffff_ffff,
        Family::Ipv6 => high,
    }
}

#[cfg(any(feature = "std", test))]
fn is_of((key, term): (u64, Term), address: &Address, family: Family) -> bool {
    key == key_of(address, family) && term.0 != 0
}

#[cfg(any(feature = "std", test))]
fn entries(bucket: &Bucket, family: Family) -> impl Iterator<Item = (u64, Term)> {
    let size = if family == Family::Ipv4 { 2 } else { 3 };
    bucket.chunks_exact(size).map(|place| match place {
        [address, term] => (u64::from(*address), Term(*term)),
        [first, second, term] => (u64::from(*first) << 32 | u64::from(*second), Term(*term)),
        _ => (0, Term(0)),
    })
}

#[cfg(any(feature = "std", test))]
fn write(bucket: &mut Bucket, family: Family, index: usize, address: &Address, term: Term) {
    let key = key_of(address, family);
    match family {
        Family::Ipv4 => {
            if let Some(place) = bucket.as_chunks_mut().0.get_mut(index) {
                *place = [key as u32, term.0];
            }
        }
        Family::Ipv6 => {
            if let Some(place) = bucket.as_chunks_mut().0.get_mut(index) {
                *place = [(key >> 32) as u32, key as u32, term.0];
            }
        }
    }
}

#[cfg(test)]
mod tests;
