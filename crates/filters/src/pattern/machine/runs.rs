use memchr::memmem::Finder;

use super::{Machine, NOWHERE, Reader, Way};
use crate::pattern::code::{Op, Run};
use crate::pattern::set::Set;
use crate::python::Greed;

impl Reader<'_> {
    /// Where a run ends first.
    #[inline]
    pub(super) fn run(self, machine: &mut Machine, step: usize, at: usize, run: &Run) -> Option<usize> {
        let set = self.set(run.set)?;
        let until = run.until.as_deref();
        let mut low = at;
        for _ in 0..run.min {
            match self.letter(set, until, low) {
                Some(len) => {
                    if until.is_some() {
                        // All that the run must not go beyond was compared with what stands here.
                        machine.looked_up_to(self.behind_letter(until, low));
                    }
                    low += len;
                }
                None => {
                    machine.looked_up_to(self.behind_letter(until, low));
                    return None;
                }
            }
        }
        if run.greed == Greed::Lazy {
            if run.next.may_be(self.text.as_bytes().get(low)) {
                if run.max > run.min {
                    machine.back.push(Way::Longer { step: step as u32, at: low, more: run.max - run.min });
                }
                return Some(low);
            }
            return self.longer(machine, step as u32, low, run.max - run.min);
        }
        let end = match run.max {
            u32::MAX => set.all(self.text, low),
            max => set.most(self.text, low, max - run.min),
        };
        let mut end = until.map_or(end, |until| {
            machine.looked_up_to(self.behind_letter(Some(until), end));
            self.first(until, low, end)
        });
        machine.left = machine.left.saturating_sub((end - at) / 16);
        if run.greed == Greed::Possessive {
            return Some(end);
        }
        if !run.next.may_be(self.text.as_bytes().get(end)) {
            let shorter = self.shorter(run, low, end);
            machine.looked_up_to(self.behind(end));
            end = shorter?;
        }
        if end > low {
            machine.back.push(Way::Shorter { step: step as u32, low, at: end });
        }
        Some(end)
    }

    /// Behind what is looked at to see whether a run may take a letter.
    #[inline]
    fn behind_letter(self, until: Option<&Finder<'_>>, at: usize) -> usize {
        self.behind(at).max(at + until.map_or(0, |until| until.needle().len()))
    }

    /// How many bytes the letter at a place has, if a run may take it.
    #[inline]
    fn letter(self, set: &Set, until: Option<&Finder<'_>>, at: usize) -> Option<usize> {
        let ends = |until: &Finder<'_>| {
            self.text.as_bytes().get(at..).is_some_and(|rest| rest.starts_with(until.needle()))
        };
        if until.is_some_and(ends) { None } else { set.take(self.text, at) }
    }

    /// The first place of the two and between them where a text begins; the last if none is.
    fn first(self, text: &Finder<'_>, from: usize, to: usize) -> usize {
        let end = (to + text.needle().len() - 1).min(self.text.len());
        let there = self.text.as_bytes().get(from..end).and_then(|bytes| text.find(bytes));
        there.map_or(to, |place| from + place)
    }

    fn run_of(&self, step: u32) -> Option<&Run> {
        match self.code.ops.get(step as usize) {
            Some(Op::Run(run)) => self.code.runs.get(*run as usize),
            _ => None,
        }
    }

    /// The next place before that a run may end at, and remembers that there may be more of them.
    pub(super) fn give_back(
        self,
        machine: &mut Machine,
        step: u32,
        (low, at): (usize, usize),
    ) -> Option<usize> {
        let shorter = self.shorter(self.run_of(step)?, low, at)?;
        if shorter > low {
            machine.back.push(Way::Shorter { step, low, at: shorter });
        }
        machine.left = machine.left.saturating_sub((at - shorter) / 16);
        Some(shorter)
    }

    /// The next place before that a run may end at.
    fn shorter(self, run: &Run, low: usize, at: usize) -> Option<usize> {
        let before = self.text.as_bytes().get(low..at)?;
        let fits = |byte: &u8| run.next.may_be(Some(byte)) && (*byte < 0x80 || *byte >= 0xc0);
        before.iter().rposition(fits).map(|place| low + place)
    }

    /// The next place behind that a run may end at.
    pub(super) fn longer(self, machine: &mut Machine, step: u32, at: usize, more: u32) -> Option<usize> {
        let run = self.run_of(step)?;
        let (set, until) = (self.set(run.set)?, run.until.as_deref());
        // No text has so many letters: they need not be counted.
        if more as usize > self.text.len()
            && until.is_none()
            && let Some(found) = run.next.only().and_then(|wanted| set.up_to(wanted, self.text, at))
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
        let mut found = None;
        while more > 0 {
            let Some(len) = self.letter(set, until, end) else { break };
            end += len;
            more -= 1;
            if run.next.may_be(self.text.as_bytes().get(end)) {
                if more > 0 {
                    machine.back.push(Way::Longer { step, at: end, more });
                }
                found = Some(end);
                break;
            }
        }
        machine.left = machine.left.saturating_sub((end - at) / 16);
        machine.looked_up_to(self.behind_letter(until, end));
        found
    }
}
