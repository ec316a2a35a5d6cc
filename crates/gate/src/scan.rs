//! The search for signatures: all of them at once, so that the price does not grow with their number.
//!
//! Three looks, each only at what the one before could not clear: the [`filter`] over the whole datagram;
//! the automaton over the suspicious part, four places at a time, which says only whether a signature is there; and the
//! automaton byte by byte, which says which.

use crate::automaton::{ACCEPTS, Automaton, next, row};
use crate::decode::Packet;
use crate::filter;
use crate::frame::{CHUNK, Chunk, Copied, Frame};
use crate::layout::{Config, FILTERED, MAX_GROUPS, MAX_OUTPUTS, NONE};
use crate::tables::Tables;

/// Bytes that each of the places advances at once.
const STEP: u32 = 16;
/// Places that are walked side by side.
const PLACES: u32 = 4;
/// Below this they cost more than they save.
const WORTHWHILE: u32 = 192;

/// Per group the lowest signature that was found, and room to work in: the kernel keeps it outside of the stack.
#[repr(C)]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    by_group: [u16; MAX_GROUPS],
    /// The groups of which there is one, a bit each. Of the others `by_group` means nothing: nobody has to clear it.
    groups: u64,
    /// Bytes that the automaton takes one by one.
    pub(crate) chunk: Chunk,
    /// Bytes that the filter cannot read where they lie.
    pub(crate) copied: Copied,
}

impl Default for Found {
    fn default() -> Self {
        Self { by_group: [NONE; MAX_GROUPS], groups: 0, chunk: Chunk::EMPTY, copied: Copied::EMPTY }
    }
}

impl Found {
    /// Forgets what was found.
    #[inline(always)]
    pub fn clear(&mut self) {
        self.groups = 0;
    }

    /// Whether there is any signature.
    #[inline(always)]
    pub fn any(&self) -> bool {
        self.groups != 0
    }

    /// The lowest signature of `group`, or [`NONE`].
    #[inline(always)]
    pub fn of(&self, group: u32) -> u16 {
        let group = group as usize & (MAX_GROUPS - 1);
        if self.groups >> group & 1 == 0 {
            return NONE;
        }
        self.by_group.get(group).copied().unwrap_or(NONE)
    }

    /// Notes that `signature` of `group` is there.
    #[inline(always)]
    fn add(&mut self, group: u16, signature: u16) {
        let group = usize::from(group) & (MAX_GROUPS - 1);
        if let Some(slot) = self.by_group.get_mut(group)
            && (self.groups >> group & 1 == 0 || signature < *slot)
        {
            *slot = signature;
            self.groups |= 1 << group;
        }
    }
}

/// A part of the datagram: offsets from the network header.
#[repr(align(8))]
#[derive(Clone, Copy)]
pub(crate) struct Span {
    pub(crate) from: u32,
    pub(crate) to: u32,
}

/// What is searched.
pub struct Search<'a, F: ?Sized, T> {
    pub frame: &'a F,
    pub tables: &'a T,
    pub packet: &'a Packet,
    pub config: &'a Config,
}

impl<F: Frame + ?Sized, T: Tables<F>> Search<'_, F, T> {
    /// Every signature in the packet, from its network header to the end of its datagram: the bytes that `-m string` of
    /// iptables searches. Adds to `found`.
    #[inline(always)]
    pub fn packet(&self, found: &mut Found) {
        let length = u32::from(self.packet.length);
        let longest = self.config.longest;
        let mut span = Span { from: 0, to: length };
        if self.config.flags & FILTERED != 0 {
            let suspicion = filter::suspicion(self, &mut found.copied);
            if suspicion.from >= suspicion.to {
                return;
            }
            // A signature that has a gram in there may begin before and end behind.
            if longest != 0 {
                span.from = suspicion.from.saturating_sub(longest);
                span.to = length.min(suspicion.to + longest);
            }
        }
        if longest != 0 && span.to - span.from >= WORTHWHILE && !self.is_in(span) {
            return;
        }
        self.walk(span, self.config.start, found);
    }

    /// Whether a signature lies in `span`. Four automata walk it side by side: a step waits for the one before it, so
    /// four that do not depend on each other take little more time than one. Their parts overlap by the longest
    /// signature.
    ///
    /// Not inlined, like everything here that only few packets come to: its stack in the kernel is then its own.
    #[inline(never)]
    fn is_in(&self, span: Span) -> bool {
        let Self { frame, tables, packet, config } = self;
        let network = u32::from(packet.network);
        let bytes = span.to - span.from;
        let steps = (bytes / PLACES + config.longest).div_ceil(STEP);
        let part = steps * STEP;
        if part > bytes {
            return true;
        }
        let Some(automaton) = tables.automaton() else { return false };
        let begin = network + span.from;
        let rest = bytes - part;
        let mut states = [config.start; PLACES as usize];
        let mut is_in = false;
        tables.repeat(steps, |step| {
            let step = begin + (step & 0xfff) * STEP;
            let place = |index: u32| frame.direct::<{ STEP as usize }>(step + rest * index / (PLACES - 1));
            let (Some(a), Some(b), Some(c), Some(d)) = (place(0), place(1), place(2), place(3)) else {
                is_in = true;
                return false;
            };
            let [mut w, mut x, mut y, mut z] = states;
            let mut seen = 0;
            // Written out, as each number in memory is one step of the slowest.
            macro_rules! steps {
                ($($index:literal)*) => { $(
                    w = next(automaton, w, a[$index]);
                    x = next(automaton, x, b[$index]);
                    y = next(automaton, y, c[$index]);
                    z = next(automaton, z, d[$index]);
                    seen |= w | x | y | z;
                )* };
            }
            steps!(0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15);
            states = [w, x, y, z];
            is_in = seen & ACCEPTS != 0;
            !is_in
        });
        is_in
    }

    /// Walks `span` byte by byte from `state` and adds what it finds; returns the state behind it.
    #[inline(never)]
    pub(crate) fn walk(&self, span: Span, state: u32, found: &mut Found) -> u32 {
        let Some(automaton) = self.tables.automaton() else { return state };
        // One thing to remember instead of eight: the kernel's stack is small.
        let mut at = Walk { search: self, automaton, span, state, found };
        let bytes = span.to.saturating_sub(span.from);
        self.tables.repeat(bytes.div_ceil(CHUNK as u32), |chunk| at.chunk((chunk & 0xfff) * CHUNK as u32));
        at.state
    }
}

/// A walk under way.
struct Walk<'a, F: ?Sized, T> {
    search: &'a Search<'a, F, T>,
    automaton: &'a Automaton,
    span: Span,
    state: u32,
    found: &'a mut Found,
}

impl<F: Frame + ?Sized, T: Tables<F>> Walk<'_, F, T> {
    /// Walks the chunk behind `done` bytes; `false` at the end.
    #[inline(always)]
    fn chunk(&mut self, done: u32) -> bool {
        let begin = self.span.from + done;
        if begin >= self.span.to {
            return false;
        }
        let left = self.span.to - begin;
        let count = if left < CHUNK as u32 { left } else { CHUNK as u32 };
        let offset = u32::from(self.search.packet.network) + begin;
        // Most chunks are whole and hold no end of a signature: one question at their end.
        if count == CHUNK as u32
            && let Some(bytes) = self.search.frame.direct(offset)
        {
            let (behind, seen) = stride(self.automaton, bytes, self.state);
            if seen & ACCEPTS == 0 {
                self.state = behind;
                return true;
            }
        }
        if !self.search.frame.chunk(offset, count, &mut self.found.chunk) {
            return false;
        }
        self.search.tables.repeat(count, |index| self.byte(begin, index));
        true
    }

    /// Takes one byte of the chunk that begins at `begin`.
    #[inline(always)]
    fn byte(&mut self, begin: u32, index: u32) -> bool {
        let Some(byte) = self.found.chunk.0.get(index as usize & (CHUNK - 1)) else { return false };
        self.state = next(self.automaton, self.state, *byte);
        if self.state & ACCEPTS != 0 {
            let row = row(self.state, self.search.config.width);
            collect(self.search.tables, row, (begin + index + 1) as u16, self.found);
        }
        true
    }
}

/// Walks a whole chunk; the state behind it, and all states on the way in one.
#[inline(always)]
fn stride(automaton: &Automaton, bytes: &[u8; CHUNK], state: u32) -> (u32, u32) {
    bytes.iter().fold((state, 0), |(state, seen), byte| {
        let state = next(automaton, state, *byte);
        (state, seen | state)
    })
}

/// Notes the signatures that end in the state of `row`, just before offset `end`, as far as they lie in their windows.
#[inline(always)]
fn collect<F: ?Sized, T: Tables<F>>(tables: &T, row: u32, end: u16, found: &mut Found) {
    let Some(outputs) = tables.outputs(row) else { return };
    tables.repeat(u32::from(outputs.count), |index| {
        if let Some(output) = outputs.outputs.get(index as usize & (MAX_OUTPUTS - 1))
            && output.allows(end)
        {
            found.add(output.group, output.signature);
        }
        true
    });
}
