//! The short way of a UDP packet in a confirmed connection, for who knows its flow and that it is sound.

use std::time::Duration;

use super::table::{Handle, Progress};
use super::tuple::Direction;
use super::{Conntrack, State, advance_udp, state};
use crate::rules::Known;
use crate::stack::Flow;

/// The connection of a flow, and which way that goes in it. While the connection lives, no other is the flow's.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Found {
    handle: Handle,
    direction: Direction,
}

/// A confirmed UDP connection, as its next packet of one direction finds it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stream {
    found: Found,
    pub(crate) state: State,
    pub(crate) known: Known,
}

impl Conntrack {
    /// The live UDP connection of a flow, with what its next packet of that direction finds: its state, and what the rules made of
    /// the one before. Nothing changes by asking.
    pub(crate) fn stream(&mut self, flow: &Flow<'_>, now: Duration) -> Option<Stream> {
        let before = flow.found.get().filter(|found| self.table.entry_mut(found.handle).is_some());
        let found = match before {
            Some(found) => found,
            None => {
                let (handle, direction) = self.table.find_near(&flow.tuple, flow.near)?;
                let found = Found { handle, direction };
                flow.found.set(Some(found));
                found
            }
        };
        let entry = self.table.entry_mut(found.handle)?;
        let is_live = entry.expires > now && matches!(entry.progress, Progress::Udp { .. });
        let [original, reply] = entry.known;
        let known = match found.direction {
            Direction::Original => original,
            Direction::Reply => reply,
        };
        is_live.then_some(Stream { found, state: state(entry, found.direction), known: known? })
    }

    /// Follows a stream by one sound packet.
    pub(crate) fn renew(&mut self, stream: &Stream, now: Duration) {
        let Found { handle, direction } = stream.found;
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
