use super::links::Follow;
use super::ways::Way;
use crate::pattern::set::Letters;

/// The classes of what is not ASCII and of the end.
pub(super) const OTHER: u8 = 0;
pub(super) const END: u8 = 1;

/// Rows of all pieces.
const MAX_ROWS: usize = 2000;
/// Marks what is no row: how many letters a piece takes, how many of them are its group's, and whether it had no other way.
const TOLD: u32 = 1 << 31;
const SURE: u32 = 1 << 16;
const PART: u32 = 8;
/// No way is possible; there is a letter that is not ASCII.
pub(super) const NOWHERE: u32 = u32::MAX - 1;
pub(super) const ASTRAY: u32 = u32::MAX;

/// Where each letter leads, by its class: to another row, or it tells what a piece takes.
#[derive(Clone, Debug)]
pub(super) struct Table {
    entries: Vec<u32>,
    /// A letter of each class, none of the first two.
    letters: Vec<Option<u8>>,
}

/// Whether an entry is no row.
pub(super) const fn is_told(entry: u32) -> bool {
    entry >= TOLD
}

/// How many letters are taken.
pub(super) const fn len(entry: u32) -> usize {
    (entry & 0xff) as usize
}

/// How many of them are the group's.
pub(super) const fn part(entry: u32) -> usize {
    (entry >> PART & 0xff) as usize
}

/// Whether there was no other way.
pub(super) const fn is_sure(entry: u32) -> bool {
    entry & SURE != 0
}

impl Table {
    pub(super) fn new(letters: Vec<u8>) -> Self {
        let letters = [None, None].into_iter().chain(letters.into_iter().map(Some)).collect();
        Self { entries: Vec::new(), letters }
    }

    pub(super) fn get(&self, place: usize) -> Option<u32> {
        self.entries.get(place).copied()
    }

    /// Adds a piece, and tells its first row.
    pub(super) fn piece(&mut self, ways: &[Way], follow: Follow) -> Option<usize> {
        // An entry has a byte for each of both.
        if ways.iter().any(|way| way.letters.len().max(way.part) > usize::from(u8::MAX)) {
            return None;
        }
        let all = (0..ways.len()).fold(0, |all, way| all | 1 << way);
        // By the ways that are open before a letter, and which letter it is.
        let mut rows: Vec<((u32, usize), usize)> = Vec::new();
        let mut row = |table: &mut Self, key: (u32, usize)| {
            if let Some((_, row)) = rows.iter().find(|(other, _)| *other == key) {
                return Some((*row, false));
            }
            rows.push((key, table.row()?));
            rows.last().map(|(_, row)| (*row, true))
        };
        let (first, _) = row(self, (all, 0))?;
        let mut todo = vec![(all, 0, first)];
        while let Some((open, place, at)) = todo.pop() {
            for class in 1..self.letters.len() {
                let letter = self.letters.get(class).copied().flatten();
                let goes = |way: &Way| goes(way, place, letter, follow);
                let still = (0..).zip(ways).filter(|(bit, way)| open >> bit & 1 == 1 && goes(way));
                let still = still.fold(0_u32, |all, (bit, _)| all | 1 << bit);
                let entry = match ways.get(still.trailing_zeros() as usize) {
                    None => NOWHERE,
                    // The letter behind it was looked at.
                    Some(way) if place >= way.letters.len() => {
                        let lens = [way.letters.len(), way.part << PART];
                        let [len, part] = lens.map(|len| u32::try_from(len).unwrap_or(u32::MAX));
                        TOLD | len | part | if still.is_power_of_two() { SURE } else { 0 }
                    }
                    Some(_) => {
                        let (next, is_new) = row(self, (still, place + 1))?;
                        if is_new {
                            todo.push((still, place + 1, next));
                        }
                        u32::try_from(next).ok()?
                    }
                };
                *self.entries.get_mut(at + class)? = entry;
            }
        }
        Some(first)
    }

    /// Adds a run of letters, and tells its row.
    pub(super) fn run(&mut self, set: Letters) -> Option<usize> {
        let row = self.row()?;
        for (class, letter) in self.letters.iter().enumerate().skip(1) {
            let is_in = letter.is_some_and(|letter| set >> letter & 1 == 1);
            *self.entries.get_mut(row + class)? = if is_in { u32::try_from(row).ok()? } else { NOWHERE };
        }
        Some(row)
    }

    fn row(&mut self) -> Option<usize> {
        let row = self.entries.len();
        if row >= MAX_ROWS * self.letters.len() {
            return None;
        }
        self.entries.resize(row + self.letters.len(), ASTRAY);
        Some(row)
    }
}

/// Whether a way takes a letter, or the end, at a place, or has ended before it.
fn goes(way: &Way, place: usize, letter: Option<u8>, follow: Follow) -> bool {
    let is_in = |set: Letters| letter.is_some_and(|letter| set >> letter & 1 == 1);
    match way.letters.get(place) {
        Some(set) => is_in(*set),
        None if place == way.letters.len() => letter.map_or(follow.end, |_| is_in(follow.letters)),
        None => true,
    }
}
