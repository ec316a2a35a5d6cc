/// Texts that a match must contain.
mod texts;

use crate::Filter;
use crate::pattern::{Care, MOST, Pattern, Sieve};
use texts::Texts;

/// Finds out which expressions cannot match, before any is tried.
#[derive(Clone, Debug)]
pub(super) struct Screen {
    /// The prefix in a weaker form, and the expressions; not where they span lines.
    prefix: Option<Sieve>,
    failures: Option<Sieve>,
    /// Asked where those cannot tell.
    texts: Texts,
}

/// Some of the expressions: a bit each.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Candidates(u128);

impl Candidates {
    const ALL: Self = Self(u128::MAX);

    pub(super) const fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The first of them at this place or behind it, of so many.
    pub(super) fn from(self, regex: usize, count: usize) -> Option<usize> {
        if regex >= MOST {
            return Some(regex).filter(|regex| *regex < count);
        }
        let rest = self.0 >> regex;
        let next = if rest == 0 { MOST } else { regex + rest.trailing_zeros() as usize };
        // Those beyond are always among them.
        Some(next).filter(|next| *next < count)
    }

    const fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl Screen {
    pub(super) fn new(filter: &Filter) -> Self {
        let sieve =
            |patterns: &[Pattern]| if filter.max_lines() == 1 { Sieve::new(patterns.iter()) } else { None };
        Self {
            prefix: filter.prefix.as_ref().and_then(|prefix| sieve(std::slice::from_ref(prefix))),
            failures: sieve(&filter.failures),
            texts: Texts::new(filter),
        }
    }

    /// Letters that are not told apart where the prefix is looked for have the same numbers in this.
    pub(super) fn prefix_classes(&self) -> Option<&[u8; 256]> {
        self.prefix.as_ref().map(Sieve::classes)
    }

    /// The same of expressions.
    pub(super) fn classes(&self) -> Option<&[u8; 256]> {
        self.failures.as_ref().map(Sieve::classes)
    }

    /// Whether the prefix may match, and how much was read to see that.
    pub(super) fn may_begin(&mut self, text: &str) -> (bool, usize) {
        match self.prefix.as_mut().and_then(|prefix| prefix.which(text, Care::Full)) {
            Some((which, read)) => (which != 0, read),
            None => (self.texts.may_begin(text), usize::MAX),
        }
    }

    /// Which expressions may match what begins with a text, if that is known.
    pub(super) fn alive(&mut self, text: &str) -> Option<Candidates> {
        self.failures.as_mut()?.alive(text).map(Candidates)
    }

    /// Which expressions may match what the prefix leaves, and how much of it was read to see that.
    pub(super) fn candidates(&mut self, text: &str, care: Care) -> (Candidates, usize) {
        match self.failures.as_mut().and_then(|failures| failures.which(text, care)) {
            Some((which, read)) => (Candidates(which), read),
            None => (self.texts.candidates(text), usize::MAX),
        }
    }
}
