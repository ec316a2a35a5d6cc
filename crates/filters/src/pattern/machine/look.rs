use super::{Exhausted, Machine, Reader};
use crate::pattern::set::is_word;
use crate::python::Look;

impl Reader<'_> {
    /// Whether what looks round holds, with the steps from one on.
    pub(super) fn around(
        self,
        machine: &mut Machine,
        step: usize,
        at: usize,
        back: u32,
        negated: bool,
    ) -> Result<bool, Exhausted> {
        let before = self.text.get(..at).unwrap_or_default();
        let start = match back.checked_sub(1) {
            None => Some(at),
            Some(letters) => before.char_indices().rev().nth(letters as usize).map(|(start, _)| start),
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

    /// Whether what a group found stands here again.
    pub(super) fn again(self, (start, end): (usize, usize), fold: bool, at: usize) -> bool {
        let Some(wanted) = self.text.as_bytes().get(start..end) else { return false };
        let there = self.text.as_bytes().get(at..at + wanted.len());
        there.is_some_and(|there| if fold { there.eq_ignore_ascii_case(wanted) } else { there == wanted })
    }

    pub(super) fn looks(self, look: Look, at: usize) -> bool {
        let rest = self.text.as_bytes().get(at..).unwrap_or_default();
        match look {
            Look::Start => at == 0,
            Look::StartOfLine => at == 0 || self.text.as_bytes().get(at - 1) == Some(&b'\n'),
            Look::End => rest.is_empty() || rest == b"\n",
            Look::EndOfLine => rest.first().is_none_or(|byte| *byte == b'\n'),
            Look::VeryEnd => rest.is_empty(),
            Look::Edge { ascii } => self.word_before(at, ascii) != self.word_after(at, ascii),
            Look::NoEdge { ascii } => self.word_before(at, ascii) == self.word_after(at, ascii),
            Look::Bound => !(self.word_before(at, false) && self.word_after(at, false)),
        }
    }

    fn word_before(self, at: usize, ascii: bool) -> bool {
        match at.checked_sub(1).and_then(|at| self.text.as_bytes().get(at)) {
            Some(byte) if byte.is_ascii() => is_word(char::from(*byte), true),
            Some(_) => self
                .text
                .get(..at)
                .and_then(|text| text.chars().next_back())
                .is_some_and(|letter| is_word(letter, ascii)),
            None => false,
        }
    }

    fn word_after(self, at: usize, ascii: bool) -> bool {
        match self.text.as_bytes().get(at) {
            Some(byte) if byte.is_ascii() => is_word(char::from(*byte), true),
            Some(_) => self
                .text
                .get(at..)
                .and_then(|text| text.chars().next())
                .is_some_and(|letter| is_word(letter, ascii)),
            None => false,
        }
    }
}
