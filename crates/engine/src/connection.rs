//! TCP connections: what is proven by the handshake, and the framing of both directions.

use std::collections::VecDeque;
use std::net::SocketAddr;

use sip::stream::Framer;

use crate::command::Source;
use crate::hash::Salt;
use crate::observation::{Direction, Segment};
use crate::source::Distinct;
use crate::table::{Bounded, Fill, Worth};
use crate::time::Tick;

/// Bytes of an incomplete message that one direction of a connection may keep.
const MAX_PARTIAL: usize = 16 * 1024;
/// Of all connections together.
const MAX_PARTIALS: usize = 32 * 1024 * 1024;

/// One connection.
#[derive(Clone, Debug)]
pub(crate) struct Connection {
    pub(crate) is_established: bool,
    is_closed: bool,
    /// Our SYN's number, when we saw our SYN-ACK.
    our_start: Option<u32>,
    last: Tick,
    /// Whatever was said on it.
    pub(crate) has_spoken: bool,
    /// The number behind the first challenge that we sent on it.
    pub(crate) challenged: Option<u32>,
    /// Accounts that were asked for on it.
    pub(crate) accounts: Distinct,
    incoming: Framer,
    outgoing: Framer,
}

impl Default for Connection {
    fn default() -> Self {
        Self {
            is_established: false,
            is_closed: false,
            our_start: None,
            last: Tick(0),
            has_spoken: false,
            challenged: None,
            accounts: Distinct::default(),
            incoming: Framer::new(MAX_PARTIAL),
            outgoing: Framer::new(MAX_PARTIAL),
        }
    }
}

impl Worth for Connection {
    fn worth(&self) -> (u8, Tick) {
        (u8::from(self.is_established && !self.is_closed), self.last)
    }

    /// Bytes of incomplete messages.
    fn weight(&self) -> usize {
        self.incoming.buffered() + self.outgoing.buffered()
    }
}

/// All connections to SIP ports.
#[derive(Debug)]
pub(crate) struct Connections {
    table: Bounded<Connection>,
    /// Connections on which something must be said before the time.
    waiting: VecDeque<Waiting>,
    limit: usize,
    partials: usize,
}

#[derive(Clone, Copy, Debug)]
pub(crate) struct Waiting {
    due: Tick,
    key: u64,
    pub(crate) peer: SocketAddr,
    pub(crate) local: SocketAddr,
}

impl Connections {
    /// At most `limit` connections; those that are closed, half open or quiet make room. Incomplete messages take 32 MiB at
    /// most, then the one that grows is given up.
    pub(crate) fn new(limit: usize, salt: Salt) -> Self {
        Self { table: Bounded::new(limit, salt), waiting: VecDeque::new(), limit, partials: 0 }
    }

    pub(crate) fn fills(&self) -> [Fill; 2] {
        let partials = Fill { table: "stream-bytes", used: self.partials, limit: MAX_PARTIALS };
        [self.table.fill("connections"), partials]
    }

    pub(crate) fn key(peer: SocketAddr, local: SocketAddr, salt: Salt) -> u64 {
        let number = |address: SocketAddr| match address.ip() {
            std::net::IpAddr::V4(ip) => u128::from(ip.to_bits()),
            std::net::IpAddr::V6(ip) => ip.to_bits(),
        };
        salt.of(&[
            &number(peer).to_le_bytes(),
            &peer.port().to_le_bytes(),
            &number(local).to_le_bytes(),
            &local.port().to_le_bytes(),
            &Source::of(peer.ip()).number().to_le_bytes(),
        ])
    }

    pub(crate) fn get(&mut self, key: u64) -> Option<&mut Connection> {
        self.table.get_mut(key)
    }

    /// Follows the handshake and the end; whether the connection exists and this segment may carry data.
    pub(crate) fn follow(
        &mut self,
        key: u64,
        (peer, local): (SocketAddr, SocketAddr),
        direction: Direction,
        segment: &Segment,
        has_data: bool,
        (now, silent_after): (Tick, Tick),
    ) -> bool {
        match (direction, segment.syn) {
            // Only our answer makes a row: a flood of SYNs with forged addresses makes none by itself.
            (Direction::In, true) if !segment.ack => return false,
            (Direction::Out, true) if !segment.ack => return false,
            (_, true) => {
                let connection = self.table.entry(key);
                let theirs = segment.sequence.wrapping_add(1);
                self.partials = self.partials.saturating_sub(connection.weight());
                *connection = Connection { last: now, ..Connection::default() };
                let (begun, answered) = match direction {
                    Direction::In => (&mut connection.incoming, &mut connection.outgoing),
                    Direction::Out => (&mut connection.outgoing, &mut connection.incoming),
                };
                begun.begin(theirs);
                answered.begin(segment.acknowledgment);
                match direction {
                    // Their SYN-ACK names the number of our SYN.
                    Direction::In => connection.is_established = true,
                    Direction::Out => connection.our_start = Some(segment.sequence),
                }
                self.partials = self.partials.saturating_sub(self.table.take_gone());
                return false;
            }
            (_, false) => {}
        }
        if !has_data && self.table.get(key).is_none() {
            return false;
        }
        let connection = self.table.entry(key);
        connection.last = now;
        connection.is_closed |= segment.rst || segment.fin;
        let was_established = connection.is_established;
        connection.is_established |= match direction {
            Direction::In => connection.our_start.is_some_and(|start| {
                segment.ack
                    && !segment.rst
                    && segment.acknowledgment.wrapping_sub(start).wrapping_sub(1) < 1 << 30
            }),
            // Our host sends data only behind a whole handshake.
            Direction::Out => has_data && !segment.rst,
        };
        if connection.is_established && !was_established {
            if self.waiting.len() >= self.limit {
                self.waiting.pop_front();
            }
            self.waiting.push_back(Waiting { due: now.plus(silent_after), key, peer, local });
        }
        self.partials = self.partials.saturating_sub(self.table.take_gone());
        has_data
    }

    /// Takes a direction's framer out, to be given back.
    pub(crate) fn take_framer(&mut self, key: u64, direction: Direction) -> Option<Framer> {
        let connection = self.table.get_mut(key)?;
        connection.has_spoken = true;
        let framer = match direction {
            Direction::In => &mut connection.incoming,
            Direction::Out => &mut connection.outgoing,
        };
        let framer = std::mem::replace(framer, Framer::new(0));
        self.partials = self.partials.saturating_sub(framer.buffered());
        Some(framer)
    }

    /// What is incomplete is kept, also of a connection that is closed: to a RST or FIN with any number but the next one the host may
    /// not listen (RFC 5961 section 3), and reads what comes behind it.
    pub(crate) fn give_framer(&mut self, key: u64, direction: Direction, framer: Framer) {
        self.make_room(framer.buffered());
        let fits = self.partials + framer.buffered() <= MAX_PARTIALS;
        let Some(connection) = self.table.get_mut(key) else { return };
        let framer = if fits { framer } else { Framer::new(MAX_PARTIAL) };
        self.partials += framer.buffered();
        match direction {
            Direction::In => connection.incoming = framer,
            Direction::Out => connection.outgoing = framer,
        }
    }

    /// Lets go of incomplete messages until there is room for so many bytes more: of closed connections first, then of those that were
    /// silent for longest, among a few at a time. Nobody can use up what all have.
    fn make_room(&mut self, bytes: usize) {
        const TURNS: usize = 16;
        for _ in 0..TURNS {
            if self.partials + bytes <= MAX_PARTIALS {
                return;
            }
            let holding = self.table.turn().filter(|connection| connection.weight() > 0);
            if let Some(connection) = holding.min_by_key(|connection| connection.worth()) {
                self.partials = self.partials.saturating_sub(connection.weight());
                connection.incoming = Framer::new(MAX_PARTIAL);
                connection.outgoing = Framer::new(MAX_PARTIAL);
            }
        }
    }

    /// The next connection that is still open and on which nothing was said in time.
    pub(crate) fn silent(&mut self, now: Tick) -> Option<Waiting> {
        while let Some(first) = self.waiting.front().copied() {
            if first.due > now {
                return None;
            }
            self.waiting.pop_front();
            let connection = self.table.get(first.key);
            // A message that never ends is as good as silence.
            let is_silent = |connection: &Connection| {
                connection.is_established
                    && !connection.is_closed
                    && (!connection.has_spoken || connection.incoming.incomplete() > 0)
            };
            if connection.is_some_and(is_silent) {
                return Some(first);
            }
        }
        None
    }

    /// When [`Connections::silent`] is worth asking.
    pub(crate) fn next_due(&self) -> Option<Tick> {
        self.waiting.front().map(|first| first.due)
    }
}

#[cfg(test)]
mod tests;
