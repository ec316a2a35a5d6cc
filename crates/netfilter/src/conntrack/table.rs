//! Confirmed connections, found by the tuple of either direction.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use foldhash::quality::RandomState;

use super::tcp;
use super::tuple::{Direction, Tuple};

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
    pub(super) fn new(original: Tuple, reply: Tuple, progress: Progress) -> Self {
        Self { original, reply, seen_reply: false, assured: false, expires: Duration::ZERO, progress }
    }
}

/// Names an entry; never used again for another.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct Handle(u64);

#[derive(Debug)]
pub(super) struct Table {
    max: usize,
    entries: HashMap<Handle, Entry, RandomState>,
    by_tuple: HashMap<Tuple, (Handle, Direction), RandomState>,
    /// Oldest first.
    unassured: BTreeSet<Handle>,
    next: u64,
    /// When expired entries were last looked for.
    swept: Duration,
}

/// How often expired connections are looked for, at most.
const SWEEP_EVERY: Duration = Duration::from_secs(30);

impl Table {
    /// Holds up to `max` entries; [`Table::make_room`] says what goes when it is full.
    pub(super) fn new(max: usize) -> Self {
        Self {
            max,
            entries: HashMap::default(),
            by_tuple: HashMap::default(),
            unassured: BTreeSet::new(),
            next: 0,
            swept: Duration::ZERO,
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// The live connection that `tuple` belongs to; an expired one goes away.
    pub(super) fn find(&mut self, tuple: &Tuple, now: Duration) -> Option<(Handle, Direction)> {
        let &(handle, direction) = self.by_tuple.get(tuple)?;
        if self.entries.get(&handle)?.expires <= now {
            self.remove(handle);
            return None;
        }
        Some((handle, direction))
    }

    pub(super) fn entry_mut(&mut self, handle: Handle) -> Option<&mut Entry> {
        self.entries.get_mut(&handle)
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
        if self.entries.len() < self.max {
            return true;
        }
        let Some(&oldest) = self.unassured.first() else { return false };
        self.remove(oldest);
        true
    }

    fn sweep(&mut self, now: Duration) {
        self.swept = now;
        let expired: Vec<Handle> = self
            .entries
            .iter()
            .filter(|(_, entry)| entry.expires <= now)
            .map(|(&handle, _)| handle)
            .collect();
        for handle in expired {
            self.remove(handle);
        }
    }

    /// Another entry of the same tuple (two first packets in flight) keeps its place, as the first to be confirmed.
    pub(super) fn insert(&mut self, entry: Entry, now: Duration) {
        let taken = [entry.original, entry.reply].iter().any(|tuple| self.find(tuple, now).is_some());
        if taken || !self.make_room(now) {
            return;
        }
        let handle = Handle(self.next);
        self.next += 1;
        self.by_tuple.insert(entry.reply, (handle, Direction::Reply));
        self.by_tuple.insert(entry.original, (handle, Direction::Original));
        self.unassured.insert(handle);
        self.entries.insert(handle, entry);
    }

    pub(super) fn remove(&mut self, handle: Handle) {
        self.unassured.remove(&handle);
        if let Some(entry) = self.entries.remove(&handle) {
            self.by_tuple.remove(&entry.original);
            self.by_tuple.remove(&entry.reply);
        }
    }
}
