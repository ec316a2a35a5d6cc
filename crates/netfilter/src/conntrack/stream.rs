//! The short way of a UDP packet in a confirmed connection, for who knows its tuple and that it is sound.

use std::time::Duration;

use super::table::{Handle, Progress};
use super::tuple::{Direction, Tuple};
use super::{Conntrack, State, advance_udp, state};
use crate::rules::Known;

/// A confirmed UDP connection, as its next packet of one direction finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    handle: Handle,
    direction: Direction,
    pub(crate) state: State,
    pub(crate) known: Known,
}

impl Conntrack {
    /// The live UDP connection of a tuple, with what its next packet of that direction finds: its state, and what the rules made of
    /// the one before. Nothing changes by asking. `near` is any number that tuples seldom share.
    pub(crate) fn stream(&mut self, tuple: &Tuple, near: usize, now: Duration) -> Option<Stream> {
        let (handle, direction) = self.table.find_near(tuple, near)?;
        let entry = self.table.entry_mut(handle)?;
        let is_live = entry.expires > now && matches!(entry.progress, Progress::Udp { .. });
        let [original, reply] = entry.known;
        let known = match direction {
            Direction::Original => original,
            Direction::Reply => reply,
        };
        is_live.then_some(Stream { handle, direction, state: state(entry, direction), known: known? })
    }

    /// Follows a stream by one sound packet.
    pub(crate) fn renew(&mut self, stream: &Stream, now: Duration) {
        let Stream { handle, direction, .. } = *stream;
        let Some(entry) = self.table.entry_mut(handle) else { return };
        let Progress::Udp { stream_from } = entry.progress else { return };
        let was_assured = entry.assured;
        let seconds = advance_udp(entry, stream_from, now);
        entry.expires = now + Duration::from_secs(seconds);
        entry.seen_reply |= direction == Direction::Reply;
        if !was_assured && entry.assured {
            self.table.assure(handle);
        }
    }
}
