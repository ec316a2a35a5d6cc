//! The search for signatures: one automaton over the whole datagram, so that the price does not grow with their number.

use crate::decode::Packet;
use crate::frame::{CHUNK, Frame};
use crate::layout::{Config, MAX_GROUPS, MAX_OUTPUTS, NONE, Outputs};
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

    /// Notes the signatures of `outputs`, which end just before offset `end`, as far as they lie in their windows.
    #[inline(always)]
    fn collect(&mut self, outputs: &Outputs, end: u16) {
        let mut index = 0;
        while index < MAX_OUTPUTS {
            if index as u16 >= outputs.count {
                break;
            }
            if let Some(output) = outputs.outputs.get(index)
                && output.allows(end)
            {
                self.add(output.group, output.signature);
            }
            index += 1;
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
    let (start, accepting) = (config.start, config.accepting);
    let mut state = start;
    tables.repeat(length.div_ceil(CHUNK as u32), |chunk| {
        let begin = (chunk & 0xffff) * CHUNK as u32;
        if begin >= length {
            return false;
        }
        let left = length - begin;
        let count = if left < CHUNK as u32 { left } else { CHUNK as u32 };
        let Some(bytes) = frame.chunk(network + begin, count) else { return false };
        let mut current = state;
        let mut index = 0;
        while index < CHUNK {
            if index as u32 >= count {
                break;
            }
            let Some(byte) = bytes.get(index) else { return false };
            let Some(next) = tables.next(current, *byte) else { return false };
            current = next;
            index += 1;
            if current < accepting
                && let Some(outputs) = tables.outputs(current)
            {
                found.collect(outputs, (begin + index as u32) as u16);
            }
        }
        state = current;
        true
    });
}
