//! Tables with a bound.
//!
//! [`Sets`] is a cache of fixed size for what matters for seconds to hours and can be lost: small rows, a new one takes the
//! place of the oldest of its set. [`Bounded`] grows up to its limit and then lets go of the row that is worth least among
//! its neighbours, so that a flood of strangers only displaces strangers.
//!
//! A lookup in a large table waits for memory, not for the processor; so keys stand close together, and rows apart from them.

use crate::hash::Salt;
use crate::time::Tick;

/// Rows that one key may be in.
const WAYS: usize = 4;

/// How full a table is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fill {
    /// The table's name in metrics.
    pub table: &'static str,
    pub used: usize,
    pub limit: usize,
}

/// A cache of fixed size. Keys are hashes, never 0.
#[derive(Debug)]
pub(crate) struct Sets<T> {
    heads: Box<[Head]>,
    values: Box<[[T; WAYS]]>,
    used: usize,
}

/// The keys of one set, and when each was put in; within one line of the processor's cache.
#[derive(Clone, Copy, Debug, Default)]
#[repr(align(64))]
struct Head {
    keys: [u64; WAYS],
    at: [Tick; WAYS],
}

impl<T: Copy + Default> Sets<T> {
    /// At most `limit` rows, rounded up to sets of 4; the oldest row of a set makes room.
    pub(crate) fn new(limit: usize) -> Self {
        let sets = limit.div_ceil(WAYS).max(1);
        Self {
            heads: vec![Head::default(); sets].into_boxed_slice(),
            values: vec![[T::default(); WAYS]; sets].into_boxed_slice(),
            used: 0,
        }
    }

    pub(crate) fn fill(&self, table: &'static str) -> Fill {
        Fill { table, used: self.used, limit: self.heads.len() * WAYS }
    }

    /// The row of that key, if it is not older than `age`.
    pub(crate) fn get(&self, key: u64, now: Tick, age: Tick) -> Option<&T> {
        let set = self.set(key);
        let way = self.way(set, key, now, age)?;
        self.values.get(set)?.get(way)
    }

    pub(crate) fn get_mut(&mut self, key: u64, now: Tick, age: Tick) -> Option<&mut T> {
        let set = self.set(key);
        let way = self.way(set, key, now, age)?;
        self.values.get_mut(set)?.get_mut(way)
    }

    /// Puts a row in, new or again.
    pub(crate) fn insert(&mut self, key: u64, now: Tick, value: T) {
        *self.entry(key, now, Tick(u32::MAX)).0 = value;
    }

    /// The row of that key, and whether it was there and not older than `age`; else a fresh one. Makes it the youngest.
    #[expect(clippy::indexing_slicing, reason = "`set` is below the number of sets, and ways are below WAYS")]
    pub(crate) fn entry(&mut self, key: u64, now: Tick, age: Tick) -> (&mut T, bool) {
        let set = self.set(key);
        let head = &mut self.heads[set];
        let found = head.keys.iter().position(|&known| known == key);
        let way = found.unwrap_or_else(|| {
            let ways = head.keys.iter().zip(&head.at).enumerate();
            ways.min_by_key(|(_, (key, at))| (**key != 0, **at)).map_or(0, |(way, _)| way)
        });
        let known = found.is_some() && now.since(head.at[way]) <= age;
        self.used += usize::from(head.keys[way] == 0);
        head.keys[way] = key;
        head.at[way] = now;
        let value = &mut self.values[set][way];
        if !known {
            *value = T::default();
        }
        (value, known)
    }

    fn way(&self, set: usize, key: u64, now: Tick, age: Tick) -> Option<usize> {
        let head = self.heads.get(set)?;
        let way = head.keys.iter().position(|&known| known == key)?;
        (now.since(*head.at.get(way)?) <= age).then_some(way)
    }

    /// The high half of a product spreads keys over any number of sets.
    fn set(&self, key: u64) -> usize {
        let spread = u128::from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * self.heads.len() as u128;
        usize::try_from(spread >> 64).unwrap_or(0)
    }
}

/// What a row is worth when another has to go.
pub(crate) trait Worth {
    /// Rows of less worth go first, and among equals the one that was not seen for longest.
    fn worth(&self) -> (u8, Tick);
}

/// A map with a limit.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    salt: Salt,
    /// Open addressing: the hash in the high half, the position of the row and 1 in the low half; 0 is free. At most half full, and no
    /// larger than that takes: a small one stays in the processor's cache.
    index: Box<[u64]>,
    /// In chunks, so that growing moves nothing.
    chunks: Vec<Vec<Row<V>>>,
    len: usize,
    limit: usize,
    hand: usize,
    evicted: u64,
}

#[derive(Debug, Default)]
struct Row<V> {
    key: u64,
    value: V,
}

/// Rows of a chunk: enough for pages of 2 MiB, which the unit asks the C library for (`GLIBC_TUNABLES`).
const CHUNK: usize = 1 << 14;
/// Slots of the index at first.
const SLOTS: usize = 1024;
/// Neighbours that are compared when a row has to go.
const COMPARED: usize = 8;
/// How often the search goes on while all of them are worth something.
const MAX_WINDOWS: usize = 8;

impl<V: Default + Worth> Bounded<V> {
    /// At most `limit` rows; then the least worthy of the next 8 makes room, or of the next 64 where those are worth something.
    pub(crate) fn new(limit: usize, salt: Salt) -> Self {
        let limit = limit.clamp(1, 1 << 28);
        let slots = (limit * 2).next_power_of_two().min(SLOTS);
        let index = vec![0; slots].into_boxed_slice();
        Self { salt, index, chunks: Vec::new(), len: 0, limit, hand: 0, evicted: 0 }
    }

    pub(crate) fn fill(&self, table: &'static str) -> Fill {
        Fill { table, used: self.len, limit: self.limit }
    }

    /// Rows that had to go so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) fn get(&self, key: u64) -> Option<&V> {
        let (_, at) = self.find(key)?;
        self.row(at).map(|row| &row.value)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        let (_, at) = self.find(key)?;
        self.row_mut(at).map(|row| &mut row.value)
    }

    /// The row of that key, made if it is not there.
    pub(crate) fn entry(&mut self, key: u64) -> &mut V {
        let at = match self.find(key) {
            Some((_, at)) => at,
            None => self.add(key),
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "the index holds positions of rows only, and rows are never removed"
        )]
        &mut self.chunks[at / CHUNK][at % CHUNK].value
    }

    fn row(&self, at: usize) -> Option<&Row<V>> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    fn row_mut(&mut self, at: usize) -> Option<&mut Row<V>> {
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    fn hash(&self, key: u64) -> u32 {
        u32::try_from(self.salt.of_number(key) & 0xffff_ffff).unwrap_or(0)
    }

    /// The slot and the row of a key.
    fn find(&self, key: u64) -> Option<(usize, usize)> {
        let hash = self.hash(key);
        let mask = self.index.len() - 1;
        let mut slot = hash as usize & mask;
        loop {
            let entry = *self.index.get(slot)?;
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == hash {
                let at = (entry & 0xffff_ffff) as usize - 1;
                if self.row(at).is_some_and(|row| row.key == key) {
                    return Some((slot, at));
                }
            }
            slot = (slot + 1) & mask;
        }
    }

    fn add(&mut self, key: u64) -> usize {
        let at = if self.len < self.limit {
            if self.len.is_multiple_of(CHUNK) {
                self.chunks.push(Vec::with_capacity(CHUNK.min(self.limit - self.len)));
            }
            if let Some(chunk) = self.chunks.last_mut() {
                chunk.push(Row { key, value: V::default() });
            }
            self.len += 1;
            if self.len * 2 > self.index.len() {
                self.widen();
            }
            self.len - 1
        } else {
            let at = self.least_worthy();
            self.evicted += 1;
            let old =
                self.row_mut(at).map(|row| std::mem::replace(row, Row { key, value: V::default() }).key);
            if let Some(old) = old {
                self.unlink(old, at);
            }
            at
        };
        self.link(key, at);
        at
    }

    fn link(&mut self, key: u64, at: usize) {
        let hash = self.hash(key);
        place(&mut self.index, u64::from(hash) << 32 | (at as u64 + 1));
    }

    /// Twice as many slots. Entries hold their hashes, so no row is looked at.
    fn widen(&mut self) {
        let mut wider = vec![0; self.index.len() * 2].into_boxed_slice();
        self.index.iter().filter(|&&entry| entry != 0).for_each(|&entry| place(&mut wider, entry));
        self.index = wider;
    }

    /// Takes a row out of the index, and moves those that were displaced by it closer to their place.
    #[expect(clippy::indexing_slicing, reason = "slots are masked to the length of the index")]
    fn unlink(&mut self, key: u64, at: usize) {
        let mask = self.index.len() - 1;
        let mut slot = self.hash(key) as usize & mask;
        while (self.index[slot] & 0xffff_ffff) as usize != at + 1 {
            if self.index[slot] == 0 {
                return;
            }
            slot = (slot + 1) & mask;
        }
        let mut hole = slot;
        loop {
            slot = (slot + 1) & mask;
            let entry = self.index[slot];
            if entry == 0 {
                break;
            }
            let home = (entry >> 32) as usize & mask;
            if (slot.wrapping_sub(home) & mask) >= (slot.wrapping_sub(hole) & mask) {
                self.index[hole] = entry;
                hole = slot;
            }
        }
        self.index[hole] = 0;
    }

    fn least_worthy(&mut self) -> usize {
        let mut best: Option<((u8, Tick), usize)> = None;
        for _ in 0..MAX_WINDOWS {
            let from = self.hand;
            let to = (from + COMPARED).min(self.len);
            self.hand = if to == self.len { 0 } else { to };
            let least = (from..to).filter_map(|at| Some((self.row(at)?.value.worth(), at))).min();
            best = best.into_iter().chain(least).min();
            if best.is_some_and(|((worth, _), _)| worth == 0) {
                break;
            }
        }
        best.map_or(0, |(_, at)| at)
    }
}

/// Puts an entry into the first free slot from its hash on.
fn place(index: &mut [u64], entry: u64) {
    let mask = index.len() - 1;
    let mut slot = (entry >> 32) as usize & mask;
    while index.get(slot).is_some_and(|&taken| taken != 0) {
        slot = (slot + 1) & mask;
    }
    if let Some(free) = index.get_mut(slot) {
        *free = entry;
    }
}

#[cfg(test)]
mod tests;
