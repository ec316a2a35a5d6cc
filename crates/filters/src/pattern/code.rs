//! A program as the machine reads it: steps that are small and of one size, and beside them what is large.
//!
//! Nearly all time goes into these steps. What a step compares stands in the step or in one place beside it, jumps are followed
//! before they are met, and what looks ahead at one text does so without a machine of its own.

/// Words that are compared eight bytes at once.
mod words;

use memchr::memmem::Finder;

use super::next::Next;
use super::program::Step;
use super::set::Set;
use crate::python::{Greed, Look};
pub(super) use words::{Head, Words};

/// No end to a [`Op::Take`].
pub(super) const ALL: u8 = u8::MAX;
/// Jumps that are followed from one place; a ring of them ends here.
const MAX_JUMPS: usize = 100;

#[derive(Clone, Debug)]
pub(super) struct Code {
    pub(super) ops: Vec<Op>,
    pub(super) sets: Vec<Set>,
    pub(super) texts: Vec<Box<[u8]>>,
    pub(super) words: Vec<Words>,
    pub(super) runs: Vec<Run>,
    pub(super) forks: Vec<Fork>,
}

/// A step, which knows its tables by number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Op {
    Byte(u8),
    /// A text of up to eight bytes.
    Short(Head),
    Text(u32),
    Words(u32),
    Set(u32),
    /// Letters of a set, as many as there are up to `most`, of which none is given back.
    Take {
        set: u32,
        least: u8,
        /// [`ALL`], if there is no end to it.
        most: u8,
    },
    Run(u32),
    Either(u32),
    Jump(u32),
    Save(u32),
    Progress {
        slot: u32,
        out: u32,
    },
    Look(Look),
    Around {
        /// So many letters before.
        back: u32,
        negated: bool,
        end: u32,
    },
    /// Looks whether the one step that follows would be gone.
    Peek {
        negated: bool,
        end: u32,
    },
    Atomic {
        end: u32,
    },
    Back {
        group: u32,
        fold: bool,
    },
    If {
        group: u32,
        no: u32,
    },
    Match,
}

/// A set as often as it can be, or as seldom.
#[derive(Clone, Debug)]
pub(super) struct Run {
    pub(super) set: u32,
    /// No letter is taken where this text begins.
    pub(super) until: Option<Box<Finder<'static>>>,
    pub(super) min: u32,
    pub(super) max: u32,
    pub(super) greed: Greed,
    pub(super) next: Next,
}

/// Two ways: of each byte two bits, whether the first may go on with it, and whether the second may.
#[derive(Clone, Debug)]
pub(super) struct Fork {
    pub(super) ways: [u32; 2],
    bytes: [u64; 8],
    end: u8,
}

impl Fork {
    fn new(ways: [u32; 2], [first, second]: &[Next; 2]) -> Self {
        let both = |byte: Option<&u8>| u8::from(first.may_be(byte)) | u8::from(second.may_be(byte)) << 1;
        let mut bytes = [0; 8];
        for byte in 0..=255_u8 {
            if let Some(word) = bytes.get_mut(usize::from(byte >> 5)) {
                *word |= u64::from(both(Some(&byte))) << ((byte & 31) * 2);
            }
        }
        Self { ways, bytes, end: both(None) }
    }

    /// Which ways may go on with this byte: the first is 1, the second 2.
    #[inline]
    pub(super) fn open(&self, byte: Option<&u8>) -> u8 {
        match byte {
            Some(byte) => {
                let word = self.bytes.get(usize::from(byte >> 5)).copied().unwrap_or_default();
                (word >> ((byte & 31) * 2)) as u8 & 3
            }
            None => self.end,
        }
    }
}

impl Code {
    /// Each step becomes one, at the same place.
    pub(super) fn new(steps: &[Step], sets: Vec<Set>) -> Self {
        let mut code = Self {
            ops: Vec::new(),
            sets,
            texts: Vec::new(),
            words: Vec::new(),
            runs: Vec::new(),
            forks: Vec::new(),
        };
        for (at, step) in steps.iter().enumerate() {
            let op = code.op(step, steps.get(at + 1..).unwrap_or_default());
            code.ops.push(op);
        }
        code.follow_jumps();
        code
    }

    /// All texts that are asked for.
    pub(super) fn literals(&self) -> impl Iterator<Item = &[u8]> {
        let in_step = self.ops.iter().filter_map(|op| {
            let byte = if let Op::Byte(byte) = op { Some(std::slice::from_ref(byte)) } else { None };
            byte.or(if let Op::Short(head) = op { Some(head.bytes()) } else { None })
        });
        let until = self.runs.iter().filter_map(|run| run.until.as_deref()).map(Finder::needle);
        let words = self.words.iter().flat_map(Words::all);
        in_step.chain(self.texts.iter().map(|text| &**text)).chain(until).chain(words)
    }

    fn op(&mut self, step: &Step, rest: &[Step]) -> Op {
        match step {
            Step::Byte(byte) => Op::Byte(*byte),
            Step::Text(text) => {
                Head::of_all(text).map_or_else(|| Op::Text(put(&mut self.texts, text.clone())), Op::Short)
            }
            Step::Words { words, fold } => Op::Words(put(&mut self.words, Words::new(words, *fold))),
            Step::Set(set) => Op::Set(number(*set)),
            Step::Run { set, until: None, min, max, greed: Greed::Possessive, .. }
                if *min < 255 && (*max < 255 || *max == u32::MAX) =>
            {
                let few = |number: u32| u8::try_from(number).unwrap_or(ALL);
                Op::Take { set: number(*set), least: few(*min), most: few(*max) }
            }
            Step::Run { set, until, min, max, greed, next } => {
                let until = until.as_ref().map(|until| Box::new(Finder::new(until).into_owned()));
                let run = Run { set: number(*set), until, min: *min, max: *max, greed: *greed, next: *next };
                Op::Run(put(&mut self.runs, run))
            }
            Step::Either { ways, next } => {
                Op::Either(put(&mut self.forks, Fork::new(ways.map(number), next)))
            }
            Step::Jump(to) => Op::Jump(number(*to)),
            Step::Save(slot) => Op::Save(number(*slot)),
            Step::Progress { slot, out } => Op::Progress { slot: number(*slot), out: number(*out) },
            Step::Look(look) => Op::Look(*look),
            Step::Around { back, negated, end } => {
                let (negated, end) = (*negated, number(*end));
                if back.is_none() && matches!(rest, [one, Step::Match, ..] if one.is_simple()) {
                    return Op::Peek { negated, end };
                }
                Op::Around { back: back.map_or(0, number), negated, end }
            }
            Step::Atomic { end } => Op::Atomic { end: number(*end) },
            Step::Back { group, fold } => Op::Back { group: number(*group), fold: *fold },
            Step::If { group, no } => Op::If { group: number(*group), no: number(*no) },
            Step::Match => Op::Match,
        }
    }

    /// Ways lead where jumps would lead, and a jump to a fork is that fork.
    fn follow_jumps(&mut self) {
        let end = |ops: &[Op], from: u32| {
            (0..MAX_JUMPS).fold(from, |at, _| match ops.get(at as usize) {
                Some(Op::Jump(to)) => *to,
                _ => at,
            })
        };
        for fork in &mut self.forks {
            fork.ways = fork.ways.map(|way| end(&self.ops, way));
        }
        for at in 0..self.ops.len() {
            let Some(Op::Jump(to)) = self.ops.get(at) else { continue };
            let to = end(&self.ops, *to);
            let is_same = |op: &&Op| matches!(op, Op::Either(_) | Op::Match);
            let op = self.ops.get(to as usize).filter(is_same).copied().unwrap_or(Op::Jump(to));
            if let Some(place) = self.ops.get_mut(at) {
                *place = op;
            }
        }
    }
}

fn put<T>(table: &mut Vec<T>, entry: T) -> u32 {
    table.push(entry);
    number(table.len() - 1)
}

/// A program has far fewer steps, and so few of anything.
fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_step_is_small() {
        assert_eq!(size_of::<Op>(), 12);
    }
}
