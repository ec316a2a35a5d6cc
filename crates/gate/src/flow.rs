//! TCP connections, as far as a signature may be divided between segments.
//!
//! The automaton's state goes from one segment to the next, so the bytes must be those that the server reads, in the
//! server's order. Therefore a segment is let through only if
//!
//! - it goes on where the last one ended; one that comes too early is dropped, and its sender repeats it, or
//! - it repeats bytes that went through before, exactly as they were. The last [`HISTORY`] bytes are remembered for that:
//!   of two versions of a byte the server may take either, so there must not be two.
//!
//! A connection in which a signature was found is over: nothing of it goes through any more, whatever its segments hold.

use crate::address::Address;
use crate::decode::{Fragment, Packet, TCP};
use crate::frame::{CHUNK, Chunk, Frame};
use crate::layout::{FOLLOWS, OBSERVE};
use crate::reason::Reason;
use crate::scan::{Found, Search, Span};
use crate::tables::Tables;

/// Bytes of a connection that are remembered: a power of two, more than a SIP message usually has.
pub const HISTORY: usize = 2048;
/// Bytes that are remembered at once.
pub const PIECE: usize = 512;

/// TCP's flags (RFC 9293 section 3.1).
const SYN: u8 = 0x02;
const RST: u8 = 0x04;
const ACK: u8 = 0x10;

/// Whose segments belong together: one direction of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct FlowKey {
    pub source: Address,
    pub destination: Address,
    pub source_port: u16,
    pub destination_port: u16,
    pub reserved: u32,
}

impl FlowKey {
    /// The connection of `packet`.
    #[inline(always)]
    pub fn of(packet: &Packet) -> Self {
        Self {
            source: packet.source,
            destination: packet.destination,
            source_port: packet.source_port,
            destination_port: packet.destination_port,
            reserved: 0,
        }
    }
}

/// What is known of one direction of a connection.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
pub struct Flow {
    /// Which policy's automaton `state` belongs to.
    pub policy: [u8; 8],
    /// The sequence number of the byte that comes next.
    pub next: u32,
    /// How many bytes before it are remembered.
    pub remembered: u32,
    /// The automaton's state before it.
    pub state: u32,
    /// 1 once nothing may go through any more.
    pub ended: u16,
    /// 1 once `next` means something.
    pub begun: u16,
    /// The byte with sequence number `n` stands at `n % HISTORY`. What is behind that is room to copy whole pieces.
    pub history: [u8; HISTORY + PIECE],
}

impl Flow {
    /// Nothing known yet.
    pub const FRESH: Self = Self {
        policy: [0; 8],
        next: 0,
        remembered: 0,
        state: 0,
        ended: 0,
        begun: 0,
        history: [0; HISTORY + PIECE],
    };
}

/// The payload of a segment: offsets from the network header, and the sequence number of its first byte.
#[derive(Clone, Copy)]
struct Segment {
    sequence: u32,
    from: u32,
    to: u32,
    flags: u8,
}

/// What following a segment told.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Followed {
    /// It may not pass.
    Stopped(Reason),
    /// It brings the server the bytes that come next.
    WentOn,
    /// It brings nothing new: anybody who knows the ports could have sent it, so nothing may come of it for the connection.
    Beside,
}

/// Whether the policy wants `packet` followed: it searches in this TCP port.
#[inline(always)]
pub fn is_followed<F: Frame + ?Sized, T: Tables<F>>(search: &Search<'_, F, T>) -> bool {
    search.config.flags & FOLLOWS != 0 && search.packet.protocol == TCP
}

/// Follows a segment to a guarded port, in which alone `found` was found. Adds what only the segments before and this one
/// together hold; says why the segment may not pass.
#[inline(never)]
pub fn follow<F: Frame + ?Sized, T: Tables<F>>(search: &Search<'_, F, T>, found: &mut Found) -> Followed {
    if search.packet.fragment != Fragment::Whole {
        // What the gate cannot follow must not be put together behind it. Lawful TCP is not fragmented: it keeps its
        // segments small instead (RFC 9293 section 3.7.1).
        return Followed::Stopped(Reason::FragmentedSegment);
    }
    let key = FlowKey::of(search.packet);
    let Some(segment) = Segment::read(search) else { return Followed::Beside };
    if segment.flags & RST != 0 {
        // It brings the server no data, and may free it of the connection.
        return Followed::Beside;
    }
    if segment.flags & (SYN | ACK) == SYN && !search.tables.is_connected(search.packet) {
        // The first number counts from here on: data that somebody else forges before the first does not take its place.
        search.tables.forget(&key);
        search.tables.begin(&key);
        search.tables.with_flow(&key, |flow| segment.begin(search, flow));
    }
    if segment.from < segment.to && search.tables.with_flow(&key, |_| ()).is_none() {
        search.tables.begin(&key);
    }
    search.tables.with_flow(&key, |flow| segment.follow(search, flow, found)).unwrap_or(Followed::Beside)
}

/// Ends the connection of `packet`.
#[inline(never)]
pub fn end<F: Frame + ?Sized, T: Tables<F>>(search: &Search<'_, F, T>) {
    let key = FlowKey::of(search.packet);
    if search.tables.with_flow(&key, |flow| flow.ended = 1).is_none() {
        search.tables.begin(&key);
        search.tables.with_flow(&key, |flow| flow.ended = 1);
    }
}

impl Segment {
    /// `None` for a header that is no TCP header; the kernel discards it.
    #[inline(always)]
    fn read<F: Frame + ?Sized, T: Tables<F>>(search: &Search<'_, F, T>) -> Option<Self> {
        let packet = search.packet;
        let [_, _, _, _, a, b, c, d, _, _, _, _, offset, flags] =
            search.frame.direct::<14>(u32::from(packet.transport))?;
        let header = u32::from(packet.transport.checked_sub(packet.network)?);
        let from = header + u32::from(offset >> 4) * 4;
        let to = u32::from(packet.length);
        let sequence = u32::from_be_bytes([*a, *b, *c, *d]);
        // Data in a SYN counts from the next number (RFC 7413).
        let sequence = if flags & SYN != 0 { sequence.wrapping_add(1) } else { sequence };
        Some(Self { sequence, from, to, flags: *flags })
    }

    #[inline(always)]
    fn follow<F: Frame + ?Sized, T: Tables<F>>(
        self,
        search: &Search<'_, F, T>,
        flow: &mut Flow,
        found: &mut Found,
    ) -> Followed {
        let config = search.config;
        if flow.ended != 0 {
            return Followed::Stopped(Reason::EndedConnection);
        }
        if self.from >= self.to {
            return Followed::Beside;
        }
        if flow.begun == 0 {
            self.begin(search, flow);
        }
        let length = self.to - self.from;
        let ahead = self.sequence.wrapping_sub(flow.next);
        let mut behind = 0;
        if ahead != 0 {
            behind = ahead.wrapping_neg();
            let is_early = ahead < 1 << 31;
            if config.flags & OBSERVE != 0 {
                // It goes through all the same, so the server may go on from here.
                self.begin(search, flow);
                behind = 0;
            } else if is_early || behind > flow.remembered {
                return Followed::Stopped(Reason::OutOfOrderSegment);
            } else {
                let repeated = if behind < length { behind } else { length };
                if !self.repeats(search, flow, repeated, &mut found.chunk) {
                    return Followed::Stopped(Reason::RewrittenSegment);
                }
            }
        }
        if behind >= length {
            return Followed::Beside;
        }
        if flow.policy != config.policy {
            flow.policy = config.policy;
            flow.state = search.recall(flow);
        }
        let fresh = Span { from: self.from + behind, to: self.to };
        flow.state = search.go_on(fresh, flow.state, found);
        self.remember(search, flow, behind);
        Followed::WentOn
    }

    /// Takes the connection up here.
    #[inline(always)]
    fn begin<F: Frame + ?Sized, T: Tables<F>>(&self, search: &Search<'_, F, T>, flow: &mut Flow) {
        flow.begun = 1;
        flow.next = self.sequence;
        flow.remembered = 0;
        flow.state = search.config.start;
        flow.policy = search.config.policy;
    }

    /// Whether the first `count` bytes are those that went through before. The kernel's stack has no room for them: they
    /// come into `room`.
    #[inline(never)]
    fn repeats<F: Frame + ?Sized, T: Tables<F>>(
        &self,
        search: &Search<'_, F, T>,
        flow: &Flow,
        count: u32,
        room: &mut Chunk,
    ) -> bool {
        let begin = u32::from(search.packet.network) + self.from;
        let mut same = true;
        search.tables.repeat(count.div_ceil(CHUNK as u32), |chunk| {
            let done = (chunk & 0xfff) * CHUNK as u32;
            if done >= count {
                return false;
            }
            let left = count - done;
            let size = if left < CHUNK as u32 { left } else { CHUNK as u32 };
            if !search.frame.chunk(begin + done, size, room) {
                same = false;
                return false;
            }
            let at = self.sequence.wrapping_add(done);
            search.tables.repeat(size, |index| {
                let known = flow.history.get(at.wrapping_add(index) as usize & (HISTORY - 1));
                same = room.0.get(index as usize & (CHUNK - 1)) == known;
                same
            });
            same
        });
        same
    }

    /// Remembers what comes behind the first `behind` bytes.
    #[inline(never)]
    fn remember<F: Frame + ?Sized, T: Tables<F>>(
        &self,
        search: &Search<'_, F, T>,
        flow: &mut Flow,
        behind: u32,
    ) {
        let begin = u32::from(search.packet.network) + self.from + behind;
        let at = self.sequence.wrapping_add(behind);
        let count = self.to - self.from - behind;
        search.tables.repeat(count.div_ceil(PIECE as u32), |piece| {
            let done = (piece & 0xff) * PIECE as u32;
            if done >= count {
                return false;
            }
            let left = count - done;
            let size = if left < PIECE as u32 { left } else { PIECE as u32 };
            let place = at.wrapping_add(done) as usize & (HISTORY - 1);
            copy(search.frame, begin + done, size, &mut flow.history, place);
            let end = place as u32 + size;
            if end > HISTORY as u32 {
                // What went beyond the end belongs to the beginning.
                let over = end - HISTORY as u32;
                copy(search.frame, begin + done + (size - over), over, &mut flow.history, 0);
            }
            true
        });
        flow.next = at.wrapping_add(count);
        let remembered = flow.remembered.saturating_add(count);
        flow.remembered = if remembered < HISTORY as u32 { remembered } else { HISTORY as u32 };
    }
}

/// Copies `count` bytes of the frame, at most a piece, to `place`.
#[inline(always)]
fn copy<F: Frame + ?Sized>(
    frame: &F,
    offset: u32,
    count: u32,
    history: &mut [u8; HISTORY + PIECE],
    place: usize,
) {
    if let Some(room) =
        history.get_mut(place & (HISTORY - 1)..).and_then(|rest| rest.first_chunk_mut::<PIECE>())
    {
        frame.copy_to(offset, count, room);
    }
}

impl<F: Frame + ?Sized, T: Tables<F>> Search<'_, F, T> {
    /// The automaton's state behind `span`, which goes on where `state` is. Adds signatures that began before it.
    #[inline(always)]
    fn go_on(&self, span: Span, state: u32, found: &mut Found) -> u32 {
        let longest = if self.config.longest == 0 { u32::MAX } else { self.config.longest };
        // All that lies in this segment alone was searched with the packet. Where no signature was under way before, the
        // last bytes tell the state; where one was, which is rare, all of them are walked.
        let tail = span.from.max(span.to.saturating_sub(longest));
        let from = if state == self.config.start { tail } else { span.from };
        self.walk(Span { from, to: span.to }, state, found)
    }

    /// The state of this policy's automaton behind the remembered bytes.
    #[inline(never)]
    fn recall(&self, flow: &Flow) -> u32 {
        let Some(automaton) = self.tables.automaton() else { return self.config.start };
        let mut state = self.config.start;
        let first = flow.next.wrapping_sub(flow.remembered);
        self.tables.repeat(flow.remembered, |index| {
            let byte = flow.history.get(first.wrapping_add(index) as usize & (HISTORY - 1));
            state = crate::automaton::next(automaton, state, byte.copied().unwrap_or(0));
            true
        });
        state
    }
}
