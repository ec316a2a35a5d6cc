//! A cache of sets.

use prefetch_index::prefetch_index;

use super::Fill;
use crate::time::Tick;

/// Rows that one key may be in.
const WAYS: usize = 4;

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

impl Head {
    fn find(&self, key: u64) -> Option<usize> {
        self.keys.iter().position(|&known| known == key)
    }

    /// Free ones are older than all.
    fn oldest(&self) -> usize {
        let ways = self.keys.iter().zip(&self.at).enumerate();
        ways.min_by_key(|(_, (key, at))| (**key != 0, **at)).map_or(0, |(way, _)| way)
    }
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

    /// That row will be asked for in a moment: memory is asked for the keys of its set.
    pub(crate) fn expect(&self, key: u64) {
        prefetch_index(&self.heads, self.set(key));
    }

    /// Then memory is asked for the row itself, or for the one whose place it takes.
    pub(crate) fn expect_row(&self, key: u64) {
        let set = self.set(key);
        if let (Some(head), Some(values)) = (self.heads.get(set), self.values.get(set)) {
            let way = head.find(key).unwrap_or_else(|| head.oldest());
            prefetch_index(values, way);
        }
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
        *self.place(key, now, Tick(u32::MAX)).0 = value;
    }

    /// The row of that key, and whether it was there and not older than `age`; else a fresh one. Makes it the youngest.
    pub(crate) fn entry(&mut self, key: u64, now: Tick, age: Tick) -> (&mut T, bool) {
        let (value, is_known) = self.place(key, now, age);
        if !is_known {
            *value = T::default();
        }
        (value, is_known)
    }

    /// As [`Self::entry`], but a row that is not known holds what was there before, for who writes all of it.
    #[inline]
    #[expect(clippy::indexing_slicing, reason = "`set` is below the number of sets, and ways are below WAYS")]
    pub(crate) fn place(&mut self, key: u64, now: Tick, age: Tick) -> (&mut T, bool) {
        let set = self.set(key);
        let head = &mut self.heads[set];
        let found = head.find(key);
        let way = found.unwrap_or_else(|| head.oldest());
        let is_known = found.is_some() && now.since(head.at[way]) <= age;
        self.used += usize::from(head.keys[way] == 0);
        head.keys[way] = key;
        head.at[way] = now;
        (&mut self.values[set][way], is_known)
    }

    fn way(&self, set: usize, key: u64, now: Tick, age: Tick) -> Option<usize> {
        let head = self.heads.get(set)?;
        let way = head.find(key)?;
        (now.since(*head.at.get(way)?) <= age).then_some(way)
    }

    /// The high half of a product spreads keys over any number of sets.
    fn set(&self, key: u64) -> usize {
        let spread = u128::from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * self.heads.len() as u128;
        usize::try_from(spread >> 64).unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Salt;

    #[test]
    fn the_oldest_is_forgotten_and_nothing_grows() {
        let mut sets: Sets<u32> = Sets::new(64);
        for number in 1..=1000_u32 {
            sets.insert(Salt::new(0).of_number(u64::from(number)), Tick(number), number);
        }
        let fill = sets.fill("test");
        assert!(fill.used <= 64 && fill.used > 60, "{fill:?}");
        let latest = Salt::new(0).of_number(1000);
        assert_eq!(sets.get(latest, Tick(1000), Tick(10)), Some(&1000));
        assert_eq!(sets.get(latest, Tick(2000), Tick(10)), None);
    }

    #[test]
    fn a_row_that_was_forgotten_is_a_fresh_one() {
        let mut sets: Sets<u32> = Sets::new(4);
        *sets.entry(1, Tick(10), Tick(5)).0 = 7;
        assert_eq!(sets.entry(1, Tick(15), Tick(5)), (&mut 7, true));
        assert_eq!(sets.entry(1, Tick(21), Tick(5)), (&mut 0, false));
        // Nor is what stood in its place.
        (1..=4).for_each(|key| sets.insert(key, Tick(22), 9));
        assert_eq!(sets.entry(5, Tick(23), Tick(5)), (&mut 0, false));
    }
}
