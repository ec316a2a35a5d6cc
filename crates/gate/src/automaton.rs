//! One deterministic automaton for all signatures, in the shape that a program of the kernel can walk fast.
//!
//! A state is the place of its row; a row has one entry per class of bytes that the signatures tell apart. One step is two
//! loads, of which only the second waits for the step before. All of it stands in one array of bytes, so that places need no
//! multiplication, and a mask keeps them in bounds.

/// Entries of all rows together, a power of two: 26,214 states of 40 classes, 4,096 of 256.
pub const ROWS_SIZE: usize = 1 << 20;

/// Bytes of an entry.
const ENTRY: usize = size_of::<u32>();
/// Where the rows begin.
const ROWS: usize = 256 * ENTRY;
/// Keeps a place among the rows.
const MASK: usize = ROWS_SIZE * ENTRY - ENTRY;

/// Numbers of four bytes in this machine's order: first for each byte the place of its class in a row, then the rows with
/// the state behind each class.
pub type Automaton = [u8; ROWS + ROWS_SIZE * ENTRY];

/// Bit of a state in which a signature ends.
pub const ACCEPTS: u32 = 1 << 31;

/// The state after `byte`.
#[inline(always)]
pub fn next(automaton: &Automaton, state: u32, byte: u8) -> u32 {
    let class = number(automaton, usize::from(byte) * ENTRY);
    number(automaton, ROWS + (state.wrapping_add(class) as usize & MASK))
}

#[inline(always)]
fn number(automaton: &Automaton, place: usize) -> u32 {
    automaton
        .get(place..place + ENTRY)
        .and_then(|bytes| bytes.first_chunk())
        .map_or(0, |bytes| u32::from_ne_bytes(*bytes))
}

/// The state with the row of that number, in an automaton whose rows have `width` entries.
pub const fn state(row: u32, width: u32) -> u32 {
    row * width * ENTRY as u32
}

/// The row of a state, counted from 0; accepting states have the lowest.
#[inline(always)]
pub fn row(state: u32, width: u32) -> u32 {
    (state & MASK as u32).checked_div(width.wrapping_mul(ENTRY as u32)).unwrap_or(0)
}

/// An automaton of `classes`, one for each byte, and its rows; `None` if there is no room for them.
///
/// Rows stand close together. Were their length rounded up to a power of two, the entries that texts need would share few
/// sets of the processor's cache.
#[cfg(any(feature = "std", test))]
pub fn lay_out(classes: &[u32; 256], rows: &[Vec<u32>]) -> Option<Box<Automaton>> {
    let mut bytes = Vec::with_capacity(size_of::<Automaton>());
    bytes.extend(classes.iter().flat_map(|class| (class * ENTRY as u32).to_ne_bytes()));
    for row in rows {
        bytes.extend(row.iter().flat_map(|state| state.to_ne_bytes()));
    }
    if bytes.len() > size_of::<Automaton>() {
        return None;
    }
    bytes.resize(size_of::<Automaton>(), 0);
    bytes.into_boxed_slice().try_into().ok()
}
