//! `-m string` (`net/netfilter/xt_string.c`, `lib/ts_bm.c`, `lib/ts_kmp.c`).
//!
//! The search runs from the network header to the end of the datagram. Only the first occurrence counts, and since Linux 6.7
//! (earlier in stable kernels) it must end at or before `--to`. Boyer-Moore begins anew in each piece of a scattered buffer, so it
//! misses a text that fragments divide (`bm_find`), which Knuth-Morris-Pratt finds. How a network card scatters a packet depends on
//! its driver and is not modelled.

use std::cell::OnceCell;
use std::sync::Arc;

use memchr::memmem::Finder;
use policy::ruleset::{HeaderText, Text, TextAlgorithm, capital};
use policy::signature::Matcher;

use super::conditions::{Held, Subject};

/// A pattern ready to be searched for.
#[derive(Debug)]
pub(super) struct Searcher {
    finder: Finder<'static>,
    negated: bool,
    ignore_case: bool,
    /// Boyer-Moore.
    piecewise: bool,
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
            piecewise: text.algorithm == TextAlgorithm::BoyerMoore,
            from: usize::from(text.from),
            to: usize::from(text.to),
        }
    }

    pub(super) fn holds(&self, subject: &mut Subject<'_>) -> Held {
        let seams = if self.piecewise { subject.packet().seams() } else { &[] };
        let bytes = subject.bytes(self.ignore_case, capital);
        let found = self.first(bytes, seams);
        if found.is_none() && bytes.len() < self.to {
            subject.doubt_if_cut();
        }
        let end = found.map(|at| at + self.finder.needle().len());
        Held::from(end.is_some_and(|end| end <= self.to) != self.negated)
    }

    /// Where the first occurrence begins that lies in one piece.
    fn first(&self, bytes: &[u8], seams: &[usize]) -> Option<usize> {
        let mut start = 0;
        for end in seams.iter().copied().chain([bytes.len()]) {
            let from = start.max(self.from);
            if let Some(at) = bytes.get(from..end).and_then(|piece| self.finder.find(piece)) {
                return Some(from + at);
            }
            start = end;
        }
        None
    }
}

/// A signature on a header, searched for as the gate does.
#[derive(Debug)]
pub(super) struct HeaderSearcher {
    header: HeaderText,
    /// Made when it is asked for; `None` for a pattern that the gate refuses as well; no policy has one.
    matcher: OnceCell<Option<Matcher>>,
    /// Of all signatures on headers together: most packets have none, and one search tells.
    any: Option<Arc<Matcher>>,
}

impl HeaderSearcher {
    pub(super) fn new(header: &HeaderText, any: Option<Arc<Matcher>>) -> Self {
        Self { header: header.clone(), matcher: OnceCell::new(), any }
    }

    pub(super) fn holds(&self, subject: &mut Subject<'_>) -> Held {
        let bytes = subject.packet().bytes();
        let possible = match &self.any {
            Some(any) => subject.has_any_header(any),
            // There is no search that could tell the same of the next packet.
            None => {
                subject.looks_beyond_flow();
                true
            }
        };
        let matcher = || self.matcher.get_or_init(|| Matcher::new(&self.header).ok());
        let found = possible && matcher().as_ref().is_some_and(|matcher| matcher.is_in(bytes));
        if !found {
            subject.doubt_if_cut();
        }
        Held::from(found)
    }
}
