//! A map with a limit.

use std::cmp::Reverse;

use prefetch_index::prefetch_index;

use super::Fill;
use crate::hash::Salt;
use crate::time::Tick;

/// What a row is worth when another has to go.
pub(crate) trait Worth {
    /// Rows of less worth go first, and among equals those that were not seen for longest.
    fn worth(&self) -> (u8, Tick);

    /// Asks memory for the parts of a large row, without reading them.
    fn expect(&self) {}

    /// What a row holds beside itself: see [`Bounded::take_gone`].
    fn weight(&self) -> usize {
        0
    }
}

/// A map with a limit.
#[derive(Debug)]
pub(crate) struct Bounded<V> {
    salt: Salt,
    /// What new rows hold: copied, as one that is made and moved waits for its own writes.
    blank: V,
    /// Open addressing: the hash in the high half, the position of the row and 1 in the low half; 0 is free. At most half full, and no
    /// larger than that takes: a small one stays in the processor's cache.
    index: Box<[u64]>,
    /// In chunks, so that growing moves nothing.
    chunks: Vec<Vec<Row<V>>>,
    len: usize,
    limit: usize,
    hand: usize,
    /// Rows of no worth that go next, from the last on, as they were when they were looked at.
    spare: Vec<(usize, Tick)>,
    evicted: u64,
    /// Weight of rows that went.
    gone: usize,
    /// Of [`Bounded::turn`].
    turned: usize,
}

/// The key stands with what is asked of every row that is compared.
#[derive(Debug, Default)]
#[repr(C)]
struct Row<V> {
    key: u64,
    value: V,
}

/// Rows of a chunk: so many that nearly all of it lies in pages of 2 MiB, which the unit asks the C library for (`GLIBC_TUNABLES`).
/// Memory that no row was written to is none.
const CHUNK: usize = 1 << 17;
/// Slots of the index at first.
const SLOTS: usize = 1024;
/// Neighbours that are compared when rows have to go.
const COMPARED: usize = 16;
/// Of those that are worth nothing one in so many goes, so that who comes again soon enough is not among them.
const LET_GO: usize = 4;
/// How often the search goes on while all of them are worth something.
const MAX_WINDOWS: usize = 4;

impl<V: Clone + Default + Worth> Bounded<V> {
    /// At most `limit` rows; then those of the next 16 make room that are worth nothing, a quarter of them, not seen for longest; or
    /// the least worthy of the next 64 where all are worth something.
    pub(crate) fn new(limit: usize, salt: Salt) -> Self {
        let limit = limit.clamp(1, 1 << 28);
        let slots = (limit * 2).next_power_of_two().min(SLOTS);
        let index = vec![0; slots].into_boxed_slice();
        let (blank, chunks, spare) = (V::default(), Vec::new(), Vec::new());
        Self { salt, blank, index, chunks, len: 0, limit, hand: 0, spare, evicted: 0, gone: 0, turned: 0 }
    }

    pub(crate) fn fill(&self, table: &'static str) -> Fill {
        Fill { table, used: self.len, limit: self.limit }
    }

    /// Rows that had to go so far.
    pub(crate) fn evicted(&self) -> u64 {
        self.evicted
    }

    /// What rows held that had to go since this was asked, for who keeps count of it.
    pub(crate) fn take_gone(&mut self) -> usize {
        std::mem::take(&mut self.gone)
    }

    /// That row will be asked for in a moment: memory is asked where it stands.
    pub(crate) fn expect(&self, key: u64) {
        prefetch_index(&self.index, self.home(self.hash(key)));
    }

    /// Then memory is asked for the row itself.
    pub(crate) fn expect_row(&self, key: u64) {
        let hash = self.hash(key);
        let entry = self.index.get(self.home(hash)).copied().unwrap_or(0);
        // Nearly all stand where they belong; the others are waited for.
        if entry != 0
            && (entry >> 32) as u32 == hash
            && let Some(row) = self.row(position(entry))
        {
            row.expect();
        }
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

    /// The next few rows, each time others, for who looks for something that can be let go of.
    pub(crate) fn turn(&mut self) -> impl Iterator<Item = &mut V> {
        let from = self.turned;
        let rows = self.chunks.get_mut(from / CHUNK).and_then(|chunk| chunk.get_mut(from % CHUNK..));
        let rows = rows.unwrap_or_default();
        let to = from + rows.len().min(COMPARED);
        self.turned = if to == self.len { 0 } else { to };
        rows.iter_mut().take(COMPARED).map(|row| &mut row.value)
    }

    #[cfg(test)]
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.chunks.iter().flatten().map(|row| &row.value)
    }

    fn row(&self, at: usize) -> Option<&Row<V>> {
        self.chunks.get(at / CHUNK)?.get(at % CHUNK)
    }

    fn row_mut(&mut self, at: usize) -> Option<&mut Row<V>> {
        self.chunks.get_mut(at / CHUNK)?.get_mut(at % CHUNK)
    }

    /// The slot where the search for a hash begins.
    fn home(&self, hash: u32) -> usize {
        hash as usize & (self.index.len() - 1)
    }

    fn hash(&self, key: u64) -> u32 {
        u32::try_from(self.salt.of_number(key) & 0xffff_ffff).unwrap_or(0)
    }

    /// The slot and the row of a key.
    fn find(&self, key: u64) -> Option<(usize, usize)> {
        let hash = self.hash(key);
        let mask = self.index.len() - 1;
        let mut slot = self.home(hash);
        loop {
            let entry = *self.index.get(slot)?;
            if entry == 0 {
                return None;
            }
            if (entry >> 32) as u32 == hash {
                let at = position(entry);
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
                chunk.push(Row { key, value: self.blank.clone() });
            }
            self.len += 1;
            if self.len * 2 > self.index.len() {
                self.widen();
            }
            self.len - 1
        } else {
            let at = self.least_worthy();
            self.evicted += 1;
            // What is replaced is not read, but for what it owns.
            if let Some(row) = self.chunks.get_mut(at / CHUNK).and_then(|chunk| chunk.get_mut(at % CHUNK)) {
                let old = std::mem::replace(&mut row.key, key);
                self.gone += row.value.weight();
                row.value.clone_from(&self.blank);
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
        let mut slot = self.home(self.hash(key));
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

    /// The row that goes now. Memory is asked for the one that goes next, which is written to from end to end.
    fn least_worthy(&mut self) -> usize {
        let at = self.spared().unwrap_or_else(|| self.look_for_spare());
        if let Some(next) = self.spare.last().and_then(|(next, _)| self.row(*next)) {
            next.expect();
            self.expect(next.key);
        }
        at
    }

    /// Of those that were found, the next one that nobody has seen since.
    fn spared(&mut self) -> Option<usize> {
        while let Some((at, last)) = self.spare.pop() {
            if self.row(at).is_some_and(|row| row.value.worth() == (0, last)) {
                return Some(at);
            }
        }
        None
    }

    /// The one that goes now; others of no worth are kept for the next time.
    fn look_for_spare(&mut self) -> usize {
        let mut best: Option<((u8, Tick), usize)> = None;
        for _ in 0..MAX_WINDOWS {
            let from = self.hand;
            let to = (from + COMPARED).min(self.len);
            self.hand = if to == self.len { 0 } else { to };
            for at in from..to {
                let Some(worth) = self.row(at).map(|row| row.value.worth()) else { continue };
                best = best.into_iter().chain([(worth, at)]).min();
                if worth.0 == 0 {
                    self.spare.push((at, worth.1));
                }
            }
            if !self.spare.is_empty() {
                // The next ones that will be looked at.
                (self.hand..self.hand + COMPARED).filter_map(|at| self.row(at)).for_each(Row::expect_worth);
                self.spare.sort_unstable_by_key(|&(at, last)| Reverse((last, at)));
                self.spare.drain(..self.spare.len() - self.spare.len().div_ceil(LET_GO));
                break;
            }
        }
        self.spared().or(best.map(|(_, at)| at)).unwrap_or(0)
    }
}

impl<V: Worth> Row<V> {
    fn expect_worth(&self) {
        prefetch_index(std::slice::from_ref(self), 0);
    }

    fn expect(&self) {
        prefetch_index(std::slice::from_ref(&self.key), 0);
        self.value.expect();
    }
}

/// The row of an entry that is not free.
const fn position(entry: u64) -> usize {
    (entry & 0xffff_ffff) as usize - 1
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
