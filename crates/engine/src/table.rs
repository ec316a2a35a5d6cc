//! Tables with a bound.
//!
//! [`Sets`] is a cache of fixed size for what matters for seconds to hours and can be lost: small rows, a new one takes the
//! place of the oldest of its set. [`Bounded`] grows up to its limit and then lets go of the row that is worth least among
//! its neighbours, so that a flood of strangers only displaces strangers.

use std::collections::HashMap;

use crate::hash::{NumberHash, Salt};
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
    rows: Box<[Row<T>]>,
    sets: u64,
    used: usize,
}

#[derive(Clone, Copy, Debug)]
struct Row<T> {
    key: u64,
    at: Tick,
    value: T,
}

impl<T: Copy + Default> Sets<T> {
    /// At most `limit` rows, rounded up to sets of 4; the oldest row of a set makes room.
    pub(crate) fn new(limit: usize) -> Self {
        let sets = limit.div_ceil(WAYS).max(1);
        let empty = Row { key: 0, at: Tick(0), value: T::default() };
        Self { rows: vec![empty; sets * WAYS].into_boxed_slice(), sets: sets as u64, used: 0 }
    }

    pub(crate) fn fill(&self, table: &'static str) -> Fill {
        Fill { table, used: self.used, limit: self.rows.len() }
    }

    /// The row of that key, if it is not older than `age`.
    pub(crate) fn get(&self, key: u64, now: Tick, age: Tick) -> Option<&T> {
        let row = self.set(key).iter().find(|row| row.key == key)?;
        (now.since(row.at) <= age).then_some(&row.value)
    }

    pub(crate) fn get_mut(&mut self, key: u64, now: Tick, age: Tick) -> Option<&mut T> {
        let row = self.set_mut(key).iter_mut().find(|row| row.key == key)?;
        (now.since(row.at) <= age).then_some(&mut row.value)
    }

    /// Puts a row in, new or again.
    pub(crate) fn insert(&mut self, key: u64, now: Tick, value: T) {
        self.entry(key, now, Tick(u32::MAX)).0.clone_from(&value);
    }

    /// The row of that key, and whether it was there and not older than `age`; else a fresh one. Makes it the youngest.
    pub(crate) fn entry(&mut self, key: u64, now: Tick, age: Tick) -> (&mut T, bool) {
        let set = self.set(key);
        let found = set.iter().position(|row| row.key == key);
        let oldest =
            || set.iter().enumerate().min_by_key(|(_, row)| (row.key != 0, row.at)).map_or(0, |(at, _)| at);
        let at = found.unwrap_or_else(oldest);
        let fresh = set.get(at).is_some_and(|row| row.key == 0);
        self.used += usize::from(fresh);
        let set = self.set_mut(key);
        // A set is never empty; the fallback keeps this free of panics.
        let at = at.min(set.len().saturating_sub(1));
        #[expect(clippy::indexing_slicing, reason = "every set has WAYS rows, and `at` is one of them")]
        let row = &mut set[at];
        let known = found.is_some() && now.since(row.at) <= age;
        if !known {
            *row = Row { key, at: now, value: T::default() };
        }
        row.at = now;
        (&mut row.value, known)
    }

    fn range(&self, key: u64) -> std::ops::Range<usize> {
        // The high half of a product spreads keys over any number of sets.
        let set = (u128::from(key.wrapping_mul(0x9e37_79b9_7f4a_7c15)) * u128::from(self.sets)) >> 64;
        let first = usize::try_from(set).unwrap_or(0) * WAYS;
        first..first + WAYS
    }

    fn set(&self, key: u64) -> &[Row<T>] {
        self.rows.get(self.range(key)).unwrap_or_default()
    }

    fn set_mut(&mut self, key: u64) -> &mut [Row<T>] {
        let range = self.range(key);
        self.rows.get_mut(range).unwrap_or_default()
    }
}

/// What a row is worth when another has to go.
pub(crate) trait Worth {
    /// Rows of less worth go first, and among equals the one that was not seen for longest.
    fn worth(&self) -> (u8, Tick);
}

/// A map from hashes with a limit.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    index: HashMap<u64, u32, NumberHash>,
    rows: Vec<(u64, V)>,
    limit: usize,
    hand: usize,
    evicted: u64,
}

/// Neighbours that are compared when a row has to go.
const COMPARED: usize = 8;
/// How often the search goes on while all of them are worth something.
const MAX_WINDOWS: usize = 16;

impl<V: Default + Worth> Bounded<V> {
    /// At most `limit` rows; then the least worthy of the next 8 makes room, or of the next 128 where those are worth something.
    pub(crate) fn new(limit: usize, salt: Salt) -> Self {
        let limit = limit.clamp(1, u32::MAX as usize);
        Self { index: HashMap::with_hasher(NumberHash(salt)), rows: Vec::new(), limit, hand: 0, evicted: 0 }
    }

    pub(crate) fn fill(&self, table: &'static str) -> Fill {
        Fill { table, used: self.rows.len(), limit: self.limit }
    }

    /// Rows that had to go so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    pub(crate) fn get(&self, key: u64) -> Option<&V> {
        let at = *self.index.get(&key)?;
        self.rows.get(at as usize).map(|(_, value)| value)
    }

    pub(crate) fn get_mut(&mut self, key: u64) -> Option<&mut V> {
        let at = *self.index.get(&key)?;
        self.rows.get_mut(at as usize).map(|(_, value)| value)
    }

    /// The row of that key, made if it is not there.
    pub(crate) fn entry(&mut self, key: u64) -> &mut V {
        let at = match self.index.get(&key) {
            Some(&at) => at as usize,
            None => self.add(key),
        };
        #[expect(
            clippy::indexing_slicing,
            reason = "the index holds positions of rows only, and rows are never removed"
        )]
        &mut self.rows[at].1
    }

    fn add(&mut self, key: u64) -> usize {
        let at = if self.rows.len() < self.limit {
            self.rows.push((key, V::default()));
            self.rows.len() - 1
        } else {
            let at = self.least_worthy();
            self.evicted += 1;
            if let Some(row) = self.rows.get_mut(at) {
                self.index.remove(&row.0);
                *row = (key, V::default());
            }
            at
        };
        self.index.insert(key, u32::try_from(at).unwrap_or(u32::MAX));
        at
    }

    fn least_worthy(&mut self) -> usize {
        let mut best: Option<((u8, Tick), usize)> = None;
        for _ in 0..MAX_WINDOWS {
            let from = self.hand;
            self.hand = if from + COMPARED >= self.rows.len() { 0 } else { from + COMPARED };
            let window = self.rows.iter().enumerate().skip(from).take(COMPARED);
            let least = window.map(|(at, (_, value))| (value.worth(), at)).min();
            best = best.into_iter().chain(least).min();
            if best.is_some_and(|((worth, _), _)| worth == 0) {
                break;
            }
        }
        best.map_or(0, |(_, at)| at)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sets_forget_the_oldest_and_never_grow() {
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

    #[derive(Debug, Default)]
    struct Guest(u8, u32);

    impl Worth for Guest {
        fn worth(&self) -> (u8, Tick) {
            (self.0, Tick(self.1))
        }
    }

    #[test]
    fn a_flood_of_strangers_displaces_strangers_only() {
        let mut table: Bounded<Guest> = Bounded::new(100, Salt::new(0));
        for key in 1..=50 {
            *table.entry(key) = Guest(1, 0);
        }
        for key in 1000..100_000 {
            *table.entry(key) = Guest(0, 1);
        }
        assert!((1..=50).all(|key| table.get(key).is_some()));
        assert_eq!(table.fill("test"), Fill { table: "test", used: 100, limit: 100 });
        assert!(table.evicted() > 90_000);
    }
}
