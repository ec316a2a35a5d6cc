use super::next::Next;
use super::program::{Program, Step};
use super::set::Set;
use crate::python::Greed;

/// What stands between two letters.
mod look;

/// Runs programs; what it needs is kept from one run to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    slots: Vec<usize>,
    back: Vec<Way>,
    left: usize,
    /// No step and no run went further into the text; but for the letters of one step.
    reach: usize,
    /// It looks round, and may have to take all of that back.
    nested: bool,
}

const NOWHERE: usize = usize::MAX;

/// What to do when it goes no further.
#[derive(Clone, Copy, Debug)]
enum Way {
    Try {
        step: usize,
        at: usize,
    },
    Restore {
        slot: usize,
        at: usize,
    },
    /// A run that may give back letters down to `low`.
    Shorter {
        step: usize,
        low: usize,
        at: usize,
    },
    /// A run that may take so many more.
    Longer {
        step: usize,
        at: usize,
        more: u32,
    },
}

/// It took more steps than it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exhausted;

impl Machine {
    /// Looks for the first place where the program matches.
    pub(super) fn search(
        &mut self,
        program: &Program,
        text: &str,
        from: usize,
        steps: usize,
    ) -> Result<bool, Exhausted> {
        self.left = steps;
        self.nested = false;
        self.reach = if program.at_start { 0 } else { NOWHERE };
        let bytes = text.as_bytes();
        let mut start = from;
        loop {
            if !program.first.is_any() && !program.first.may_be(bytes.get(start)) {
                if program.at_start {
                    return Ok(false);
                }
                let rest = bytes.get(start..).unwrap_or_default();
                let skipped =
                    rest.iter().position(|byte| program.first.may_be(Some(byte))).unwrap_or(rest.len());
                start += skipped + usize::from(skipped == rest.len() && !program.first.may_be(None));
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

    /// Behind this place the text could be another, and the same would have been found.
    pub(super) fn reach(&self, program: &Program) -> usize {
        self.reach.saturating_add(program.longest)
    }

    /// Takes over what another engine found: beginning and end of each group.
    pub(super) fn take(&mut self, places: impl Iterator<Item = Option<usize>>) {
        self.reach = NOWHERE;
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
        let mut kept = base;
        for at in base..self.back.len() {
            if matches!(self.back.get(at), Some(Way::Restore { .. })) {
                self.back.swap(kept, at);
                kept += 1;
            }
        }
        self.back.truncate(kept);
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
            machine.reach = machine.reach.max(at);
            let next = match self.program.steps.get(step) {
                None | Some(Step::Match) => return Ok(Some(at)),
                Some(Step::Byte(byte)) => (self.bytes.get(at) == Some(byte)).then_some((step + 1, at + 1)),
                Some(Step::Text(text)) => {
                    let fits = self.bytes.get(at..).is_some_and(|rest| rest.starts_with(text));
                    fits.then_some((step + 1, at + text.len()))
                }
                Some(Step::Words { words, fold }) => {
                    self.word(words, *fold, at).map(|len| (step + 1, at + len))
                }
                Some(Step::Set(set)) => {
                    self.set(*set).and_then(|set| set.take(self.text, at)).map(|len| (step + 1, at + len))
                }
                Some(Step::Jump(to)) => Some((*to, at)),
                Some(Step::Either { ways: [first, second], next: [of_first, of_second] }) => {
                    let byte = self.bytes.get(at);
                    match (of_first.may_be(byte), of_second.may_be(byte)) {
                        (true, true) => {
                            machine.back.push(Way::Try { step: *second, at });
                            Some((*first, at))
                        }
                        (true, false) => Some((*first, at)),
                        (false, true) => Some((*second, at)),
                        (false, false) => None,
                    }
                }
                Some(Step::Save(slot)) => {
                    // Where nothing can be taken back, nothing is restored.
                    if machine.nested || !machine.back.is_empty() {
                        machine.back.push(Way::Restore { slot: *slot, at: machine.get(*slot) });
                    }
                    machine.set(*slot, at);
                    Some((step + 1, at))
                }
                Some(Step::Run { set, until, min, max, greed, next }) => {
                    self.run(machine, step, at, (*set, until.as_deref()), (*min, *max, *greed, next))
                }
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
                Some(Step::Back { group, fold }) => {
                    self.again(machine, *group, *fold, at).map(|at| (step + 1, at))
                }
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

    /// The length of the word that stands there.
    fn word(self, words: &[Box<[u8]>], fold: bool, at: usize) -> Option<usize> {
        let fits = |word: &&[u8]| {
            let there = self.bytes.get(at..at + word.len());
            there.is_some_and(|there| if fold { there.eq_ignore_ascii_case(word) } else { there == *word })
        };
        words.iter().map(|word| &**word).find(fits).map(<[u8]>::len)
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
        (set, until): (usize, Option<&[u8]>),
        (min, max, greed, next): (u32, u32, Greed, &Next),
    ) -> Option<(usize, usize)> {
        let set = self.set(set)?;
        let mut low = at;
        for _ in 0..min {
            low += self.letter(set, until, low)?;
        }
        if greed == Greed::Lazy {
            if next.may_be(self.bytes.get(low)) {
                if max > min {
                    machine.back.push(Way::Longer { step, at: low, more: max - min });
                }
                return Some((step + 1, low));
            }
            return self.longer(machine, step, low, max - min).map(|at| (step + 1, at));
        }
        let end = if max == u32::MAX { set.all(self.text, low) } else { set.most(self.text, low, max - min) };
        let mut end = until.map_or(end, |until| self.first(until, low, end));
        machine.reach = machine.reach.max(end);
        machine.left = machine.left.saturating_sub((end - at) / 16);
        if greed == Greed::Possessive {
            return Some((step + 1, end));
        }
        if !next.may_be(self.bytes.get(end)) {
            end = self.shorter(step, low, end)?;
        }
        if end > low {
            machine.back.push(Way::Shorter { step, low, at: end });
        }
        Some((step + 1, end))
    }

    /// How many bytes the letter at a place has, if a run may take it.
    #[inline]
    fn letter(self, set: &Set, until: Option<&[u8]>, at: usize) -> Option<usize> {
        if until.is_some_and(|until| self.bytes.get(at..).is_some_and(|rest| rest.starts_with(until))) {
            return None;
        }
        set.take(self.text, at)
    }

    /// The first place of the two and between them where a text begins; the last if none is.
    fn first(self, text: &[u8], from: usize, to: usize) -> usize {
        let end = (to + text.len() - 1).min(self.bytes.len());
        let there = self.bytes.get(from..end).and_then(|bytes| memchr::memmem::find(bytes, text));
        there.map_or(to, |place| from + place)
    }

    /// The next place before that a run may end at.
    fn shorter(self, step: usize, low: usize, at: usize) -> Option<usize> {
        let Some(Step::Run { next, .. }) = self.program.steps.get(step) else { return None };
        let before = self.bytes.get(low..at)?;
        let fits = |byte: &u8| next.may_be(Some(byte)) && (*byte < 0x80 || *byte >= 0xc0);
        before.iter().rposition(fits).map(|place| low + place)
    }

    /// The next place behind that a run may end at.
    fn longer(self, machine: &mut Machine, step: usize, at: usize, more: u32) -> Option<usize> {
        let Some(Step::Run { set, until, next, .. }) = self.program.steps.get(step) else { return None };
        let (set, until) = (self.set(*set)?, until.as_deref());
        // No text has so many letters: they need not be counted.
        if more as usize > self.bytes.len()
            && until.is_none()
            && let Some(found) = next.only().and_then(|wanted| set.up_to(wanted, self.text, at))
        {
            let Some(found) = found else {
                machine.reach = NOWHERE;
                return None;
            };
            machine.left = machine.left.saturating_sub((found - at) / 16);
            machine.back.push(Way::Longer { step, at: found, more });
            return Some(found);
        }
        let (mut end, mut more) = (at, more);
        while more > 0 {
            machine.reach = machine.reach.max(end);
            end += self.letter(set, until, end)?;
            more -= 1;
            if next.may_be(self.bytes.get(end)) {
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
        let nested = std::mem::replace(&mut machine.nested, true);
        let fits = self.go(machine, step, start)?.is_some();
        machine.nested = nested;
        if negated {
            machine.undo(base)
        } else {
            machine.commit(base)
        }
        Ok(fits != negated)
    }

    fn again(self, machine: &Machine, group: usize, fold: bool, at: usize) -> Option<usize> {
        let (start, end) = machine.span(group)?;
        let wanted = self.bytes.get(start..end)?;
        let there = self.bytes.get(at..at + wanted.len())?;
        let same = if fold { there.eq_ignore_ascii_case(wanted) } else { there == wanted };
        same.then_some(at + wanted.len())
    }
}
