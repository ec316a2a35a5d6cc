//! `-m string` (`net/netfilter/xt_string.c`, `lib/ts_bm.c`, `lib/ts_kmp.c`).
//!
//! The search runs from the network header to the end of the datagram. Only the first occurrence counts, and since Linux 6.7
//! (earlier in stable kernels) it must end at or before `--to`. Both algorithms find the same: what Boyer-Moore misses across the
//! pieces of a scattered buffer depends on the driver and is not modelled.

use memchr::memmem::Finder;
use policy::ruleset::{HeaderText, Text};
use policy::signature::Matcher;

use super::conditions::{Held, Subject};

/// A pattern ready to be searched for.
#[derive(Debug)]
pub(super) struct Searcher {
    finder: Finder<'static>,
    negated: bool,
    ignore_case: bool,
    from: usize,
    to: usize,
}

impl Searcher {
    pub(super) fn new(text: &Text) -> Self {
        let pattern: Vec<u8> = match text.icase {
            true => text.pattern.iter().map(|byte| capital(*byte)).collect(),
            false => text.pattern.clone(),
        };
        Self {
            finder: Finder::new(&pattern).into_owned(),
            negated: text.negated,
            ignore_case: text.icase,
            from: usize::from(text.from),
            to: usize::from(text.to),
        }
    }

    pub(super) fn holds(&self, subject: &mut Subject<'_>) -> Held {
        let bytes = subject.bytes(self.ignore_case, capital);
        let found = bytes.get(self.from..).and_then(|rest| self.finder.find(rest));
        if found.is_none() && bytes.len() < self.to {
            subject.doubt_if_cut();
        }
        let end = found.map(|at| self.from + at + self.finder.needle().len());
        Held::from(end.is_some_and(|end| end <= self.to) != self.negated)
    }
}

/// A signature on a header, searched for as the gate does.
#[derive(Debug)]
pub(super) struct HeaderSearcher {
    /// `None` for a pattern that the gate refuses as well; no policy has one.
    matcher: Option<Matcher>,
}

impl HeaderSearcher {
    pub(super) fn new(header: &HeaderText) -> Self {
        Self { matcher: Matcher::new(header).ok() }
    }

    pub(super) fn holds(&self, subject: &mut Subject<'_>) -> Held {
        let bytes = subject.packet().bytes();
        let found = self.matcher.as_ref().is_some_and(|matcher| matcher.is_in(bytes));
        if !found {
            subject.doubt_if_cut();
        }
        Held::from(found)
    }
}

/// The kernel's `toupper`: ASCII and Latin-1, where `ß` and `ÿ` are small letters too and come out as other characters.
fn capital(byte: u8) -> u8 {
    match byte {
        b'a'..=b'z' | 0xdf..=0xf6 | 0xf8..=0xff => byte - 0x20,
        _ => byte,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn capitals_are_the_kernels() {
        assert_eq!(capital(b'a'), b'A');
        assert_eq!(capital(b'{'), b'{');
        assert_eq!(capital(0xe9), 0xc9);
        assert_eq!(capital(0xf7), 0xf7);
        assert_eq!(capital(0xff), 0xdf);
        assert_eq!(capital(0xdf), 0xbf);
    }
}
