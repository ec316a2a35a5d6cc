//! Confirmed connections, found by the tuple of either direction.

use std::collections::BTreeSet;
use std::hash::BuildHasher as _;
use std::time::Duration;

use foldhash::quality::RandomState;
use hashbrown::HashTable;

use super::tcp;
use super::tuple::{Direction, Tuple};
use crate::rules::Known;

/// One connection.
#[derive(Debug)]
pub(super) struct Entry {
    original: Tuple,
    reply: Tuple,
    /// A valid packet came against the first one's direction.
    pub(super) seen_reply: bool,
    /// Proven to be in use both ways; not thrown out of a full table.
    pub(super) assured: bool,
    pub(super) expires: Duration,
    pub(super) progress: Progress,
    /// What the rules made of its last packet of each direction.
    pub(super) known: [Option<Known>; 2],
}

/// How far a connection is, by protocol.
#[derive(Debug)]
pub(super) enum Progress {
    /// Seconds without answer, and with one.
    Answered {
        before: u64,
        after: u64,
    },
    /// Every packet gives it this many seconds.
    Fixed {
        timeout: u64,
    },
    Tcp(Box<tcp::Tracker>),
    Udp {
        stream_from: Duration,
    },
}

impl Entry {
    fn tuple(&self, direction: Direction) -> &Tuple {
        match direction {
            Direction::Original => &self.original,
            Direction::Reply => &self.reply,
        }
    }

    pub(super) fn new(original: Tuple, reply: Tuple, progress: Progress) -> Self {
        let (seen_reply, assured, expires) = (false, false, Duration::ZERO);
        Self { original, reply, seen_reply, assured, expires, progress, known: [None; 2] }
    }
}

/// Names an entry; never used again for another. In the order of their ages.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Handle {
    serial: u64,
    /// Its place, which another one may have later.
    at: usize,
}

#[derive(Debug)]
pub(super) struct Table {
    max: usize,
    /// With their serial numbers.
    places: Vec<Place>,
    free: Vec<usize>,
    /// Both tuples of each entry. They stand in the entry: an index that is small is in near memory.
    by_tuple: HashTable<Indexed>,
    hasher: RandomState,
    /// Some of them, where they are found without hashing; a place that is taken is taken over.
    near: Vec<Option<(Handle, Direction)>>,
    /// Oldest first.
    unassured: BTreeSet<Handle>,
    next: u64,
    /// When expired entries were last looked for.
    swept: Duration,
}

/// Where the entry of a tuple is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Indexed {
    at: u32,
    direction: Direction,
}

/// The place of an entry.
type Place = Option<(u64, Entry)>;

impl Indexed {
    fn entry(self, places: &[Place]) -> Option<&(u64, Entry)> {
        places.get(usize::try_from(self.at).ok()?)?.as_ref()
    }

    fn is_of(self, tuple: &Tuple, places: &[Place]) -> bool {
        self.entry(places).is_some_and(|(_, entry)| entry.tuple(self.direction) == tuple)
    }
}

/// Places of connections that are near.
const NEAR: usize = 1 << 13;

/// How often expired connections are looked for, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

impl Table {
    /// Holds up to `max` entries; [`Table::make_room`] says what goes when it is full.
    pub(super) fn new(max: usize) -> Self {
        Self {
            // So many have a place in the index.
            max: max.min(1 << 31),
            places: Vec::new(),
            free: Vec::new(),
            by_tuple: HashTable::new(),
            hasher: RandomState::default(),
            near: Vec::new(),
            unassured: BTreeSet::new(),
            next: 0,
            swept: Duration::ZERO,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.places.len() - self.free.len()
    }

    /// The live connection that `tuple` belongs to; an expired one goes away.
    pub(super) fn find(&mut self, tuple: &Tuple, now: Duration) -> Option<(Handle, Direction)> {
        let (handle, direction) = self.indexed(tuple)?;
        if self.entry_mut(handle)?.expires <= now {
            self.remove(handle);
            return None;
        }
        Some((handle, direction))
    }

    /// The connection of `tuple`, be it expired or not.
    pub(super) fn find_near(&mut self, tuple: &Tuple, near: usize) -> Option<(Handle, Direction)> {
        if self.near.is_empty() {
            self.near.resize(NEAR, None);
        }
        let at = near % NEAR;
        // While an entry lives, nothing else is found by its tuples.
        if let Some((handle, direction)) = self.near.get(at).copied().flatten()
            && self.entry_mut(handle).is_some_and(|entry| entry.tuple(direction) == tuple)
        {
            return Some((handle, direction));
        }
        let found = self.indexed(tuple)?;
        if let Some(place) = self.near.get_mut(at) {
            *place = Some(found);
        }
        Some(found)
    }

    fn indexed(&self, tuple: &Tuple) -> Option<(Handle, Direction)> {
        let Self { places, by_tuple, hasher, .. } = self;
        let found = *by_tuple.find(hasher.hash_one(tuple), |indexed| indexed.is_of(tuple, places))?;
        let (serial, _) = found.entry(places)?;
        Some((Handle { serial: *serial, at: usize::try_from(found.at).ok()? }, found.direction))
    }

    /// The entry at a place is found by its tuple of that direction, even if that is the same both ways.
    fn index(&mut self, at: usize, direction: Direction) {
        let Self { places, by_tuple, hasher, .. } = self;
        let Some((Some((_, entry)), Ok(at))) =
            places.get(at).map(|place| (place.as_ref(), u32::try_from(at)))
        else {
            return;
        };
        let hash = |indexed: &Indexed| {
            indexed.entry(places).map_or(0, |(_, entry)| hasher.hash_one(entry.tuple(indexed.direction)))
        };
        let (tuple, indexed) = (entry.tuple(direction), Indexed { at, direction });
        let of_tuple = hasher.hash_one(tuple);
        match by_tuple.find_mut(of_tuple, |known| known.is_of(tuple, places)) {
            Some(known) => *known = indexed,
            None => {
                by_tuple.insert_unique(of_tuple, indexed, hash);
            }
        }
    }

    /// An entry that was at this place is no longer found.
    fn forget(&mut self, entry: &Entry, at: usize, direction: Direction) {
        let Self { by_tuple, hasher, .. } = self;
        let Ok(at) = u32::try_from(at) else { return };
        let indexed = Indexed { at, direction };
        if let Ok(found) =
            by_tuple.find_entry(hasher.hash_one(entry.tuple(direction)), |known| *known == indexed)
        {
            found.remove();
        }
    }

    pub(super) fn entry_mut(&mut self, handle: Handle) -> Option<&mut Entry> {
        let (serial, entry) = self.places.get_mut(handle.at)?.as_mut()?;
        (*serial == handle.serial).then_some(entry)
    }

    /// From now on the entry is spared when the table is full.
    pub(super) fn assure(&mut self, handle: Handle) {
        self.unassured.remove(&handle);
    }

    /// Whether one more entry fits: expired ones go first, then the oldest that is not assured.
    pub(super) fn make_room(&mut self, now: Duration) -> bool {
        if now.saturating_sub(self.swept) >= SWEEP_EVERY {
            self.sweep(now);
        }
        if self.len() < self.max {
            return true;
        }
        let Some(&oldest) = self.unassured.first() else { return false };
        self.remove(oldest);
        true
    }

    fn sweep(&mut self, now: Duration) {
        self.swept = now;
        for at in 0..self.places.len() {
            let Some(Some((serial, entry))) = self.places.get(at) else { continue };
            if entry.expires <= now {
                self.remove(Handle { serial: *serial, at });
            }
        }
    }

    /// Another entry of the same tuple (two first packets in flight) keeps its place, as the first to be confirmed.
    pub(super) fn insert(&mut self, entry: Entry, now: Duration) {
        let taken = [entry.original, entry.reply].iter().any(|tuple| self.find(tuple, now).is_some());
        if taken || !self.make_room(now) {
            return;
        }
        let at = self.free.pop().unwrap_or_else(|| {
            self.places.push(None);
            self.places.len() - 1
        });
        let handle = Handle { serial: self.next, at };
        self.next += 1;
        self.unassured.insert(handle);
        if let Some(place) = self.places.get_mut(at) {
            *place = Some((handle.serial, entry));
        }
        self.index(at, Direction::Reply);
        self.index(at, Direction::Original);
    }

    pub(super) fn remove(&mut self, handle: Handle) {
        self.unassured.remove(&handle);
        let Some(place) = self.places.get_mut(handle.at) else { return };
        if let Some((_, entry)) = place.take_if(|(serial, _)| *serial == handle.serial) {
            self.free.push(handle.at);
            self.forget(&entry, handle.at, Direction::Original);
            self.forget(&entry, handle.at, Direction::Reply);
        }
    }
}

#[cfg(test)]
mod tests;
