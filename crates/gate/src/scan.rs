//! The search for signatures: one automaton over the whole datagram, so that the price does not grow with their number.

use crate::decode::Packet;
use crate::frame::{CHUNK, Frame};
use crate::layout::{Config, MAX_GROUPS, MAX_OUTPUTS, NONE};
use crate::tables::Tables;

/// Per group the lowest signature that was found, or [`NONE`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Found {
    by_group: [u16; MAX_GROUPS],
    /// Whether there is one at all.
    pub any: bool,
}

impl Found {
    /// Nothing found.
    pub const NOTHING: Self = Self { by_group: [NONE; MAX_GROUPS], any: false };

    /// The lowest signature of `group`.
    #[inline(always)]
    pub fn of(&self, group: u32) -> u16 {
        self.by_group.get(group as usize & (MAX_GROUPS - 1)).copied().unwrap_or(NONE)
    }

    /// Notes that `signature` of `group` is there.
    #[inline(always)]
    fn add(&mut self, group: u16, signature: u16) {
        if let Some(slot) = self.by_group.get_mut(usize::from(group) & (MAX_GROUPS - 1)) {
            self.any = true;
            if signature < *slot {
                *slot = signature;
            }
        }
    }
}

/// Every signature in the packet, from its network header to the end of its datagram: the bytes that `-m string` of
/// iptables searches. Adds to `found`.
#[inline(always)]
pub fn scan<F: Frame + ?Sized, T: Tables<F>>(
    frame: &F,
    tables: &T,
    packet: &Packet,
    config: &Config,
    found: &mut Found,
) {
    let network = u32::from(packet.network);
    let length = u32::from(packet.length);
    let accepting = config.accepting;
    let mut state = config.start;
    tables.repeat(length.div_ceil(CHUNK as u32), |chunk| {
        let begin = (chunk & 0xffff) * CHUNK as u32;
        if begin >= length {
            return false;
        }
        let left = length - begin;
        let count = if left < CHUNK as u32 { left } else { CHUNK as u32 };
        let Some(bytes) = frame.chunk(network + begin, count) else { return false };
        // Most chunks are whole and hold no end of a signature: one look-up a byte and one question at the end.
        if count == CHUNK as u32 {
            match stride(tables, &bytes, state, accepting) {
                Stride::Missed(next) => {
                    state = next;
                    return true;
                }
                Stride::Hit => {}
                Stride::NoState => return false,
            }
        }
        tables.repeat(count, |index| {
            let Some(byte) = bytes.get(index as usize & (CHUNK - 1)) else { return false };
            let Some(next) = tables.next(state, *byte) else { return false };
            state = next;
            if state < accepting {
                collect(tables, state, (begin + index + 1) as u16, found);
            }
            true
        });
        true
    });
}

/// What a whole chunk gave.
enum Stride {
    /// No signature ends in it; the state after it.
    Missed(u32),
    /// At least one does.
    Hit,
    /// The automaton is not complete; cannot be while the loader keeps its word.
    NoState,
}

/// Walks a whole chunk without asking after each byte whether a signature ends there.
#[inline(always)]
fn stride<F: ?Sized, T: Tables<F>>(tables: &T, bytes: &[u8; CHUNK], start: u32, accepting: u32) -> Stride {
    let mut state = start;
    // The top bit is set once a state was below `accepting`; there are far fewer than 2^31 states.
    let mut below = 0;
    for byte in bytes {
        let Some(next) = tables.next(state, *byte) else { return Stride::NoState };
        state = next;
        below |= state.wrapping_sub(accepting);
    }
    if below >> 31 == 0 { Stride::Missed(state) } else { Stride::Hit }
}

/// Notes the signatures that end in `state`, just before offset `end`, as far as they lie in their windows.
#[inline(always)]
fn collect<F: ?Sized, T: Tables<F>>(tables: &T, state: u32, end: u16, found: &mut Found) {
    let Some(outputs) = tables.outputs(state) else { return };
    tables.repeat(u32::from(outputs.count), |index| {
        if let Some(output) = outputs.outputs.get(index as usize & (MAX_OUTPUTS - 1))
            && output.allows(end)
        {
            found.add(output.group, output.signature);
        }
        true
    });
}
