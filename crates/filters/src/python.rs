//! Python's `re`, read into a tree and written for `regex-automata`.
//!
//! The tree keeps what differs: Python's `\w`, `\s` and `$` are not those of `regex`, `{,3}` is a repetition, a group may ask
//! whether another took part. What neither engine can do is an error that names it.

/// The tree.
mod ast;
/// What every match must contain.
mod literals;
/// From text to tree.
mod parse;
/// Character classes, from text.
mod parse_class;
/// From tree to text.
mod write;

pub(crate) use ast::{Class, Greed, Item, Kind, Look, Node, Tree};
pub(crate) use literals::{Needed, needed};
pub(crate) use parse::parse;
pub(crate) use write::write;

/// Flags of a whole expression.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Flags {
    pub(crate) ignore_case: bool,
    pub(crate) multi_line: bool,
    pub(crate) dot_all: bool,
    pub(crate) verbose: bool,
    pub(crate) ascii: bool,
}
