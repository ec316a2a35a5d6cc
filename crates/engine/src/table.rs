//! Tables with a bound.
//!
//! [`Sets`] is a cache of fixed size for what matters for seconds to hours and can be lost: small rows, a new one takes the
//! place of the oldest of its set. [`Bounded`] grows up to its limit and then lets go of the row that is worth least among
//! its neighbours, so that a flood of strangers only displaces strangers.
//!
//! A lookup in a large table waits for memory, not for the processor; so keys stand close together, and rows apart from them. Who
//! knows early what will be looked up says so (`expect`), and memory answers meanwhile.

mod bounded;
mod sets;

pub(crate) use self::bounded::{Bounded, Worth};
pub(crate) use self::sets::Sets;

/// How full a table is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Fill {
    /// The table's name in metrics.
    pub table: &'static str,
    pub used: usize,
    pub limit: usize,
}
