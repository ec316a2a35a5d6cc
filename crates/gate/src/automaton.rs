//! One deterministic automaton for all signatures, in the shape that a program of the kernel can walk fast.
//!
//! A state is the offset of its row; a row has one entry per class of bytes that the signatures tell apart. One step is
//! two loads, of which only the second waits for the step before. The numbers stand in one array, so that the index is
//! kept in bounds by a mask.

/// Entries of all rows together, a power of two: 16,384 states of 64 classes, 4,096 of 256.
pub const ROWS_SIZE: usize = 1 << 20;

/// First the class of each byte, then the rows: [`ROWS_SIZE`] next states.
pub type Automaton = [u32; 256 + ROWS_SIZE];

/// Bit of a state in which a signature ends.
pub const ACCEPTS: u32 = 1 << 31;

/// The state after `byte`.
#[inline(always)]
pub fn next(automaton: &Automaton, state: u32, byte: u8) -> u32 {
    let class = automaton.get(usize::from(byte)).copied().unwrap_or(0);
    let index = state.wrapping_add(class) as usize & (ROWS_SIZE - 1);
    automaton.get(256 + index).copied().unwrap_or(0)
}

/// The row of a state, counted from 0; accepting states have the lowest.
#[inline(always)]
pub fn row(state: u32, shift: u32) -> u32 {
    (state & (ROWS_SIZE as u32 - 1)) >> (shift & 31)
}
