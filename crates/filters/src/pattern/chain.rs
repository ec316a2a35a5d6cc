//! An expression that is a chain of pieces, each of which a look at a few letters decides. Dates are such.
//!
//! Of the ways of a piece the first is taken that its letters and the one behind them allow. Those that Python tries before it cannot
//! match, so where the whole chain matches, it is as Python would have it. Where it does not, another way might, and it cannot tell.

/// Where the same letters stood in other texts.
mod layout;
/// Texts that are laid out alike.
mod layouts;
/// What may differ in a text.
mod learner;
/// The chain, as it is written.
mod links;
/// Where letters of a piece lead.
mod table;
/// All ways of a piece.
mod ways;

use super::paths::Told;
use super::set::is_word;
use super::sets;
use crate::python::Tree;
pub(crate) use layouts::Layouts;
use links::Raw;
use table::{END, OTHER, Table};

#[derive(Clone, Debug)]
pub(super) struct Chain {
    /// Letters that it does not tell apart.
    classes: Box<[u8; 256]>,
    table: Table,
    links: Vec<Link>,
    /// Words of three letters that it knows.
    names: Vec<[u8; 3]>,
    slots: usize,
}

#[derive(Clone, Debug)]
enum Link {
    /// What a group takes, by its first slot, or nobody.
    Piece {
        slot: usize,
        row: usize,
    },
    /// As many letters as there are.
    Run {
        row: usize,
        least: usize,
    },
    Save(usize),
    /// The letter that a group took.
    Back(usize),
    /// What is up to a link, or nothing; and which groups are in it.
    Maybe {
        end: usize,
        groups: Box<[usize]>,
    },
    /// The end of that.
    Taken,
    /// [`Look::Bound`](crate::python::Look::Bound)
    Bound,
}

/// What was read of a text, in order.
#[derive(Debug, Default)]
struct Trace {
    reads: Vec<Read>,
    /// Places at which letters were compared with others.
    compared: Vec<usize>,
    /// What groups took, and pieces that are nobody's.
    taken: Vec<(usize, usize)>,
}

/// From which row of the table and which place on, what was told, and behind which place.
#[derive(Clone, Copy, Debug)]
struct Read {
    row: usize,
    at: usize,
    told: u32,
    end: usize,
}

/// No link.
const NONE: usize = usize::MAX;

impl Chain {
    /// `None` for what is no chain. Only some groups are told.
    pub(super) fn new(tree: &Tree, groups: &[usize]) -> Option<Self> {
        let raw = links::of(tree, groups)?;
        let mut kinds: Vec<_> = raw.iter().flat_map(Raw::kinds).collect();
        kinds.sort_unstable();
        kinds.dedup();
        let (of_letters, firsts) = sets::classes(&kinds);
        let mut classes = [OTHER; 256];
        for (class, of_letter) in classes.iter_mut().zip(of_letters) {
            *class = of_letter.checked_add(2)?;
        }
        let names = raw.iter().flat_map(Raw::names).collect();
        let mut table = Table::new(firsts);
        let mut link = |raw: Raw| {
            Some(match raw {
                Raw::Piece { group, ways, follow } => {
                    let slot = group.map_or(NONE, |group| group * 2);
                    Link::Piece { slot, row: table.piece(&ways, follow)? }
                }
                Raw::Run { set, least } => Link::Run { row: table.run(set)?, least },
                Raw::Save(slot) => Link::Save(slot),
                Raw::Back { group, .. } => Link::Back(group),
                Raw::Maybe { end, groups } => Link::Maybe { end, groups: groups.into() },
                Raw::Taken => Link::Taken,
                Raw::Bound => Link::Bound,
            })
        };
        let links = raw.into_iter().map(&mut link).collect::<Option<_>>()?;
        Some(Self { classes: Box::new(classes), table, links, names, slots: (tree.groups + 1) * 2 })
    }

    /// Where it matches a text; `None` if that cannot be told.
    fn search(&self, text: &str, slots: &mut [usize], trace: &mut Trace) -> Option<Told> {
        let bytes = text.as_bytes();
        // Up to where it was looked.
        let (mut at, mut reach) = (0_usize, 1);
        // What may be left out, where it began, and whether no piece in it had yet another way.
        let (mut maybe, mut began, mut is_sure) = (NONE, 0, true);
        let mut next = 0_usize;
        while let Some(link) = self.links.get(next) {
            let goes_on = match link {
                Link::Piece { slot, row } => {
                    let Read { told, end, .. } = self.read(bytes, at, *row, trace)?;
                    reach = reach.max(end);
                    if told < table::NOWHERE {
                        let part = at + table::part(told);
                        if let Some([from, to]) = slots.get_mut(*slot..).and_then(<[usize]>::first_chunk_mut)
                        {
                            (*from, *to) = (at, part);
                        }
                        trace.taken.push((at, part));
                        at += table::len(told);
                        is_sure &= table::is_sure(told);
                    } else if told == table::ASTRAY {
                        return None;
                    }
                    told < table::NOWHERE
                }
                Link::Run { row, least } => {
                    let Read { told, end, .. } = self.read(bytes, at, *row, trace)?;
                    reach = reach.max(end);
                    if told == table::ASTRAY {
                        return None;
                    }
                    // It has looked at the one behind them.
                    let len = end - at - 1;
                    at += len;
                    len >= *least
                }
                Link::Save(slot) => {
                    *slots.get_mut(*slot)? = at;
                    true
                }
                Link::Back(group) => {
                    reach = reach.max(at + 1);
                    let taken = *slots.get(group * 2)?;
                    trace.compared.extend([taken, at]);
                    let letter = bytes.get(taken);
                    let is_again = letter.is_some() && bytes.get(at) == letter;
                    at += usize::from(is_again);
                    is_again
                }
                Link::Maybe { .. } => {
                    (maybe, began, is_sure) = (next, at, true);
                    true
                }
                Link::Taken => {
                    maybe = NONE;
                    true
                }
                Link::Bound => {
                    reach = reach.max(at + 1);
                    // Before it, digits take the place of digits, and letters of letters.
                    trace.compared.push(at);
                    is_bound(bytes, at)?
                }
            };
            next += 1;
            if goes_on {
                continue;
            }
            let Some(Link::Maybe { end, groups }) = self.links.get(maybe).filter(|_| is_sure) else {
                return None;
            };
            for slot in groups.iter().flat_map(|group| [group * 2, group * 2 + 1]) {
                *slots.get_mut(slot)? = usize::MAX;
            }
            (at, next, maybe) = (began, *end, NONE);
        }
        let [start, end, ..] = slots else { return None };
        (*start, *end) = (0, at);
        Some(Told { matched: true, reach, cost: 0 })
    }

    /// What letters lead to from a row of the table.
    fn read(&self, bytes: &[u8], at: usize, row: usize, trace: &mut Trace) -> Option<Read> {
        let (mut end, mut from) = (at, row);
        loop {
            let told = self.next(from, bytes.get(end).copied())?;
            end += 1;
            if table::is_told(told) {
                let read = Read { row, at, told, end };
                trace.reads.push(read);
                return Some(read);
            }
            from = told as usize;
        }
    }

    /// Where a letter leads, or the end.
    fn next(&self, row: usize, byte: Option<u8>) -> Option<u32> {
        let class = byte.map_or(Some(END), |byte| self.classes.get(usize::from(byte)).copied())?;
        self.table.get(row + usize::from(class))
    }
}

/// Whether a place is not between two letters of a word, if that can be told.
fn is_bound(bytes: &[u8], at: usize) -> Option<bool> {
    let is_word = |byte: Option<&u8>| byte.is_some_and(|byte| is_word(char::from(*byte), true));
    let (before, after) = (at.checked_sub(1).and_then(|before| bytes.get(before)), bytes.get(at));
    after.is_none_or(u8::is_ascii).then(|| !(is_word(before) && is_word(after)))
}
