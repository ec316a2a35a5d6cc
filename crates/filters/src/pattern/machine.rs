use super::program::{Program, Step};
use super::set::{Set, is_word};
use crate::python::{Greed, Look};

/// Runs programs; what it needs is kept from one run to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    slots: Vec<usize>,
    back: Vec<Way>,
    left: usize,
}

const NOWHERE: usize = usize::MAX;

/// What to do when it goes no further.
#[derive(Clone, Copy, Debug)]
enum Way {
    Try { step: usize, at: usize },
    Restore { slot: usize, at: usize },
    /// A run that may give back letters down to `low`.
    Shorter { step: usize, low: usize, at: usize },
    /// A run that may take so many more.
    Longer { step: usize, at: usize, more: u32 },
}

/// It took more steps than it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Exhausted;

impl Machine {
    /// Looks for the first place where the program matches.
    pub(super) fn search(&mut self, program: &Program, text: &str, from: usize, steps: usize) -> Result<bool, Exhausted> {
        self.left = steps;
        let bytes = text.as_bytes();
        let mut start = from;
        loop {
            if let Some(first) = &program.first {
                let is_first = |byte: &u8| first.get(usize::from(*byte)).copied().unwrap_or(true);
                let rest = bytes.get(start..).unwrap_or_default();
                let skipped = if program.at_start { usize::from(!rest.first().is_some_and(is_first)) } else { rest.iter().position(is_first).unwrap_or(rest.len() + 1) };
                start += skipped;
                self.left = self.left.saturating_sub(skipped / 64);
            }
            if start > bytes.len() || (program.at_start && start > 0) {
                return Ok(false);
            }
            if text.is_char_boundary(start) {
                self.slots.clear();
                self.slots.resize(program.slots, NOWHERE);
                self.back.clear();
                if let Some(end) = (Run { program, text, bytes }).go(self, 0, start)? {
                    self.set(0, start);
                    self.set(1, end);
                    return Ok(true);
                }
            }
            if self.left == 0 {
                return Err(Exhausted);
            }
            start += 1;
        }
    }

    pub(super) fn span(&self, group: usize) -> Option<(usize, usize)> {
        let at = |slot: usize| self.slots.get(slot).copied().filter(|at| *at != NOWHERE);
        at(group * 2).zip(at(group * 2 + 1))
    }

    /// Takes over what another engine found: beginning and end of each group.
    pub(super) fn take(&mut self, places: impl Iterator<Item = Option<usize>>) {
        self.slots.clear();
        self.slots.extend(places.map(|at| at.unwrap_or(NOWHERE)));
    }

    fn get(&self, slot: usize) -> usize {
        self.slots.get(slot).copied().unwrap_or(NOWHERE)
    }

    fn set(&mut self, slot: usize, at: usize) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = at;
        }
    }

    /// Goes back to the base, as if nothing had been tried since.
    fn undo(&mut self, base: usize) {
        while self.back.len() > base {
            if let Some(Way::Restore { slot, at }) = self.back.pop() {
                self.set(slot, at);
            }
        }
    }

    /// Forgets the other ways since the base, but not what is to be restored.
    fn commit(&mut self, base: usize) {
        let mut at = 0;
        self.back.retain(|way| {
            at += 1;
            at <= base || matches!(way, Way::Restore { .. })
        });
    }
}

/// A program on a text.
#[derive(Clone, Copy)]
struct Run<'a> {
    program: &'a Program,
    text: &'a str,
    bytes: &'a [u8],
}

impl Run<'_> {
    /// Where it ends if it matches from here.
    fn go(self, machine: &mut Machine, step: usize, at: usize) -> Result<Option<usize>, Exhausted> {
        let base = machine.back.len();
        let (mut step, mut at) = (step, at);
        loop {
            machine.left = machine.left.checked_sub(1).ok_or(Exhausted)?;
            let next = match self.program.steps.get(step) {
                None | Some(Step::Match) => return Ok(Some(at)),
                Some(Step::Byte(byte)) => (self.bytes.get(at) == Some(byte)).then_some((step + 1, at + 1)),
                Some(Step::Set(set)) => self.set(*set).and_then(|set| set.take(self.text, at)).map(|len| (step + 1, at + len)),
                Some(Step::Jump(to)) => Some((*to, at)),
                Some(Step::Either(first, second)) => {
                    machine.back.push(Way::Try { step: *second, at });
                    Some((*first, at))
                }
                Some(Step::Save(slot)) => {
                    machine.back.push(Way::Restore { slot: *slot, at: machine.get(*slot) });
                    machine.set(*slot, at);
                    Some((step + 1, at))
                }
                Some(Step::Run { set, min, max, greed, next }) => self.run(machine, step, at, (*set, *min, *max, *greed, *next)),
                Some(Step::Progress { slot, out }) => {
                    Some((if machine.get(*slot) == at { *out } else { step + 1 }, at))
                }
                Some(Step::Look(look)) => self.looks(*look, at).then_some((step + 1, at)),
                Some(Step::Around { back, negated, end }) => {
                    self.around(machine, step + 1, at, *back, *negated)?.then_some((*end, at))
                }
                Some(Step::Atomic { end }) => {
                    let mark = machine.back.len();
                    let ended = self.go(machine, step + 1, at)?;
                    machine.commit(mark);
                    ended.map(|at| (*end, at))
                }
                Some(Step::Back { group, fold }) => self.again(machine, *group, *fold, at).map(|at| (step + 1, at)),
                Some(Step::If { group, no }) => {
                    Some((if machine.span(*group).is_some() { step + 1 } else { *no }, at))
                }
            };
            (step, at) = match next {
                Some(next) => next,
                None => match self.other_way(machine, base) {
                    Some(way) => way,
                    None => return Ok(None),
                },
            };
        }
    }

    fn set(&self, set: usize) -> Option<&Set> {
        self.program.sets.get(set)
    }

    /// Takes back what was tried last, and goes another way.
    fn other_way(self, machine: &mut Machine, base: usize) -> Option<(usize, usize)> {
        while machine.back.len() > base {
            match machine.back.pop()? {
                Way::Restore { slot, at } => machine.set(slot, at),
                Way::Try { step, at } => return Some((step, at)),
                Way::Shorter { step, low, at } => {
                    if let Some(shorter) = self.shorter(step, low, at) {
                        if shorter > low {
                            machine.back.push(Way::Shorter { step, low, at: shorter });
                        }
                        machine.left = machine.left.saturating_sub((at - shorter) / 16);
                        return Some((step + 1, shorter));
                    }
                }
                Way::Longer { step, at, more } => {
                    if let Some(longer) = self.longer(machine, step, at, more) {
                        return Some((step + 1, longer));
                    }
                }
            }
        }
        None
    }

    fn run(
        self,
        machine: &mut Machine,
        step: usize,
        at: usize,
        (set, min, max, greed, next): (usize, u32, u32, Greed, Option<u8>),
    ) -> Option<(usize, usize)> {
        let set = self.set(set)?;
        let mut low = at;
        for _ in 0..min {
            low += set.take(self.text, low)?;
        }
        if greed == Greed::Lazy {
            if next.is_none() || self.bytes.get(low).copied() == next {
                if max > min {
                    machine.back.push(Way::Longer { step, at: low, more: max - min });
                }
                return Some((step + 1, low));
            }
            return self.longer(machine, step, low, max - min).map(|at| (step + 1, at));
        }
        let mut end = low;
        let mut more = max - min;
        while more > 0
            && let Some(len) = set.take(self.text, end)
        {
            end += len;
            more -= 1;
        }
        machine.left = machine.left.saturating_sub((end - at) / 16);
        if greed == Greed::Possessive {
            return Some((step + 1, end));
        }
        if next.is_some() && self.bytes.get(end).copied() != next {
            end = self.shorter(step, low, end)?;
        }
        if end > low {
            machine.back.push(Way::Shorter { step, low, at: end });
        }
        Some((step + 1, end))
    }

    /// The next place before that a run may end at.
    fn shorter(self, step: usize, low: usize, at: usize) -> Option<usize> {
        let Some(Step::Run { next, .. }) = self.program.steps.get(step) else { return None };
        let before = self.bytes.get(low..at)?;
        match next {
            Some(byte) => before.iter().rposition(|other| other == byte).map(|place| low + place),
            None => (0..before.len()).rev().map(|place| low + place).find(|at| self.text.is_char_boundary(*at)),
        }
    }

    /// The next place behind that a run may end at.
    fn longer(self, machine: &mut Machine, step: usize, at: usize, more: u32) -> Option<usize> {
        let Some(Step::Run { set, next, .. }) = self.program.steps.get(step) else { return None };
        let set = self.set(*set)?;
        let mut end = at;
        let mut more = more;
        while more > 0 {
            end += set.take(self.text, end)?;
            more -= 1;
            if next.is_none() || self.bytes.get(end).copied() == *next {
                machine.left = machine.left.saturating_sub((end - at) / 16);
                if more > 0 {
                    machine.back.push(Way::Longer { step, at: end, more });
                }
                return Some(end);
            }
        }
        None
    }

    fn around(
        self,
        machine: &mut Machine,
        step: usize,
        at: usize,
        back: Option<usize>,
        negated: bool,
    ) -> Result<bool, Exhausted> {
        let start = match back {
            None => Some(at),
            Some(0) => Some(at),
            Some(letters) => {
                let before = self.text.get(..at).unwrap_or_default();
                before.char_indices().rev().nth(letters - 1).map(|(start, _)| start)
            }
        };
        let Some(start) = start else { return Ok(negated) };
        let base = machine.back.len();
        let fits = self.go(machine, step, start)?.is_some();
        if negated { machine.undo(base) } else { machine.commit(base) }
        Ok(fits != negated)
    }

    fn again(self, machine: &Machine, group: usize, fold: bool, at: usize) -> Option<usize> {
        let (start, end) = machine.span(group)?;
        let wanted = self.bytes.get(start..end)?;
        let there = self.bytes.get(at..at + wanted.len())?;
        let same = if fold { there.eq_ignore_ascii_case(wanted) } else { there == wanted };
        same.then_some(at + wanted.len())
    }

    fn looks(self, look: Look, at: usize) -> bool {
        let rest = self.bytes.get(at..).unwrap_or_default();
        match look {
            Look::Start => at == 0,
            Look::StartOfLine => at == 0 || self.bytes.get(at - 1) == Some(&b'\n'),
            Look::End => rest.is_empty() || rest == b"\n",
            Look::EndOfLine => rest.first().is_none_or(|byte| *byte == b'\n'),
            Look::VeryEnd => rest.is_empty(),
            Look::Edge { ascii } => self.word_before(at, ascii) != self.word_after(at, ascii),
            Look::NoEdge { ascii } => self.word_before(at, ascii) == self.word_after(at, ascii),
            Look::Bound => !(self.word_before(at, false) && self.word_after(at, false)),
        }
    }

    fn word_before(self, at: usize, ascii: bool) -> bool {
        match at.checked_sub(1).and_then(|at| self.bytes.get(at)) {
            Some(byte) if byte.is_ascii() => is_word(char::from(*byte), true),
            Some(_) => self.text.get(..at).and_then(|text| text.chars().next_back()).is_some_and(|letter| is_word(letter, ascii)),
            None => false,
        }
    }

    fn word_after(self, at: usize, ascii: bool) -> bool {
        match self.bytes.get(at) {
            Some(byte) if byte.is_ascii() => is_word(char::from(*byte), true),
            Some(_) => self.text.get(at..).and_then(|text| text.chars().next()).is_some_and(|letter| is_word(letter, ascii)),
            None => false,
        }
    }
}
