//! The first look at a datagram: is there anything in it that could be part of a signature?
//!
//! Every signature of at least [`SHORTEST`] bytes contains, wherever it begins, an aligned group of four bytes (a *gram*),
//! or most of one. The policy's planner writes the grams of all signatures into one table; here every aligned gram of the
//! datagram is looked up in it, which is two look-ups for eight bytes instead of eight dependent steps of the automaton.
//! Where the table says yes, a second, independent hash of the same gram is asked; only what passes both is shown to the
//! automaton. Signatures of four bytes have one position that no gram covers; for those, pairs of bytes at even offsets
//! are compared directly.
//!
//! Letters are looked up without their case: one operation folds eight bytes, and the automaton is exact later.

use crate::frame::{BLOCK_BYTES, Block, Copied, Frame};
use crate::layout::{Config, FILTER_SIZE};
use crate::scan::Search;
use crate::tables::Tables;

/// Shorter signatures cannot be filtered.
pub const SHORTEST: usize = 4;

/// Set in every byte before it is looked up: folds ASCII letters, and some other bytes with them.
pub const FOLD: u8 = 0x20;

/// [`FOLD`] in every byte of a word.
const FOLDS: u64 = u64::from_ne_bytes([FOLD; 8]);

/// Bit of a table entry: a gram with this first hash may be part of a signature.
pub const FIRST: u8 = 1;
/// Bit of a table entry: a gram with this second hash may be part of a signature.
pub const SECOND: u8 = 2;

/// Where a folded gram has its [`FIRST`] bit.
#[inline(always)]
pub const fn first(gram: u32) -> usize {
    (gram.wrapping_mul(0x9e37_79b1) >> (32 - FILTER_SIZE.ilog2())) as usize
}

/// Where a folded gram has its [`SECOND`] bit.
#[inline(always)]
pub const fn second(gram: u32) -> usize {
    (gram.wrapping_mul(0x85eb_ca6b) >> (32 - FILTER_SIZE.ilog2())) as usize
}

/// The part of a datagram in which a signature may be: offsets from the network header, of whole blocks.
#[repr(align(8))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Suspicion {
    /// Where the first block begins that the filter could not clear.
    pub from: u32,
    /// Where the last such block ends.
    pub to: u32,
}

/// After so many suspicious blocks the rest is left to the automaton: to look at it here, too, would be in vain.
const ENOUGH: u32 = 3;

/// Looks through the whole datagram, what cannot be read where it lies through `copied`; nothing between `from` and `to` if there is no signature in it.
#[inline(never)]
pub fn suspicion<F: Frame + ?Sized, T: Tables<F>>(
    search: &Search<'_, F, T>,
    copied: &mut Copied,
) -> Suspicion {
    let Search { frame, tables, packet, config } = search;
    let network = u32::from(packet.network);
    let length = u32::from(packet.length);
    let mut suspicion = Suspicion { from: u32::MAX, to: 0 };
    let mut readable = true;
    let mut suspicious = 0;
    let Some(filter) = tables.filter() else { return Suspicion { from: 0, to: length } };
    tables.repeat(length.div_ceil(BLOCK_BYTES), |index| {
        let begin = (index & 0x7ff) * BLOCK_BYTES;
        if begin >= length {
            return false;
        }
        let left = length - begin;
        let count = if left < BLOCK_BYTES { left } else { BLOCK_BYTES };
        let Some(block) = frame.block(network + begin, count, copied) else {
            readable = false;
            return false;
        };
        if may_hold(*frame, filter, block, config) {
            if suspicion.from == u32::MAX {
                suspicion.from = begin;
            }
            suspicion.to = begin + count;
            suspicious += 1;
            if suspicious == ENOUGH {
                suspicion.to = length;
                return false;
            }
        }
        true
    });
    if !readable {
        // What cannot be looked at is suspicious as a whole.
        return Suspicion { from: 0, to: length };
    }
    suspicion
}

/// Whether any gram or pair of the block may be part of a signature.
#[inline(always)]
fn may_hold<F: Frame + ?Sized>(
    frame: &F,
    filter: &[u8; FILTER_SIZE],
    block: &Block,
    config: &Config,
) -> bool {
    let mut seen = 0;
    let mut pairs = 0;
    let mut index = 0;
    while let Some(word) = block.get(index) {
        let word = u64::from_le_bytes(*word) | FOLDS;
        seen |= entry(filter, first(word as u32)) | entry(filter, first((word >> 32) as u32));
        pairs |= lanes(word, config);
        // Unrolled, the loop would have more to remember than the kernel has registers.
        index = frame.hide(index + 1);
    }
    if seen & FIRST == 0 && pairs & LANES == 0 {
        return false;
    }
    pairs & LANES != 0 || block.iter().any(|word| is_confirmed(filter, u64::from_le_bytes(*word) | FOLDS))
}

/// Asks the second hash of both grams of a folded word. Not inlined: the compiler would keep all words of a block at hand
/// for this rare case.
#[inline(never)]
fn is_confirmed(filter: &[u8; FILTER_SIZE], word: u64) -> bool {
    let both = |gram: u32| entry(filter, first(gram)) & (entry(filter, second(gram)) >> 1);
    (both(word as u32) | both((word >> 32) as u32)) & FIRST != 0
}

#[inline(always)]
fn entry(filter: &[u8; FILTER_SIZE], index: usize) -> u8 {
    filter.get(index & (FILTER_SIZE - 1)).copied().unwrap_or(0)
}

/// The top bits of four 16-bit lanes.
const LANES: u64 = 0x8000_8000_8000_8000;

/// Sets the top bit of a lane that equals a pair of the policy, and in rare other cases. Other bits mean nothing.
#[inline(always)]
fn lanes(word: u64, config: &Config) -> u64 {
    let [one, other] = config.pair;
    let mut hits = 0;
    if config.pairs > 0 {
        hits = zeros(word ^ one);
    }
    if config.pairs > 1 {
        hits |= zeros(word ^ other);
    }
    hits
}

/// A lane that is zero gets its top bit.
#[inline(always)]
fn zeros(word: u64) -> u64 {
    word.wrapping_sub(0x0001_0001_0001_0001) & !word
}

/// A folded pair in all four lanes, as [`Config::pair`] has it.
pub const fn lane(pair: [u8; 2]) -> u64 {
    u16::from_le_bytes(pair) as u64 * 0x0001_0001_0001_0001
}
