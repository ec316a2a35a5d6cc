use aho_corasick::{AhoCorasick, Input, MatchKind};

use super::Candidates;
use crate::Filter;
use crate::pattern::{MOST, Pattern};

/// Finds out which expressions cannot match a text, because a text that they need is not in it.
#[derive(Clone, Debug)]
pub(super) struct Texts {
    /// Finds, at each place, the longest of the needed texts.
    any: Option<AhoCorasick>,
    /// For each text, who needs it, or one that it begins with.
    needed_by: Vec<Candidates>,
    /// Who needs nothing that is known.
    always: Candidates,
    /// Finds one of those that the prefix needs.
    prefix: Option<AhoCorasick>,
    /// Case was left out of account, which holds for ASCII only.
    fold: bool,
}

impl Texts {
    pub(super) fn new(filter: &Filter) -> Self {
        let mut texts: Vec<String> = Vec::new();
        let mut all = Self {
            any: None,
            needed_by: Vec::new(),
            always: Candidates::default(),
            prefix: None,
            fold: false,
        };
        for (regex, pattern) in filter.failures.iter().enumerate() {
            all.add(Candidates(1 << regex.min(MOST - 1)), pattern, &mut texts);
        }
        let in_prefix = filter.prefix.as_ref().and_then(Pattern::needed);
        all.fold |= in_prefix.is_some_and(|needed| needed.fold);
        if filter.failures.len() > MOST {
            all.always = Candidates::ALL;
        }
        all.needed_by = with_beginnings(&texts, &all.needed_by, all.fold);
        let build = |texts: &[String]| {
            let mut builder = AhoCorasick::builder();
            // With this kind it looks at many bytes at once.
            builder.ascii_case_insensitive(all.fold).match_kind(MatchKind::LeftmostLongest);
            builder.build(texts).ok()
        };
        let (prefix, any) = (in_prefix.and_then(|needed| build(&needed.texts)), build(&texts));
        Self { prefix, any, ..all }
    }

    fn add(&mut self, bit: Candidates, pattern: &Pattern, texts: &mut Vec<String>) {
        let Some(needed) = pattern.needed() else {
            self.always = self.always.and(bit);
            return;
        };
        self.fold |= needed.fold;
        for text in &needed.texts {
            let place = texts.iter().position(|other| other == text).unwrap_or_else(|| {
                texts.push(text.clone());
                self.needed_by.push(Candidates::default());
                texts.len() - 1
            });
            if let Some(needed_by) = self.needed_by.get_mut(place) {
                *needed_by = needed_by.and(bit);
            }
        }
    }

    /// Whether the prefix may match.
    pub(super) fn may_begin(&self, text: &str) -> bool {
        (self.fold && !text.is_ascii()) || self.prefix.as_ref().is_none_or(|prefix| prefix.is_match(text))
    }

    /// Who may match.
    pub(super) fn candidates(&self, text: &str) -> Candidates {
        let Some(any) = &self.any else { return Candidates::ALL };
        if self.fold && !text.is_ascii() {
            return Candidates::ALL;
        }
        let mut candidates = self.always;
        let mut from = 0;
        while from <= text.len()
            && let Some(found) = any.find(Input::new(text).range(from..))
        {
            if let Some(bits) = self.needed_by.get(found.pattern().as_usize()) {
                candidates = candidates.and(*bits);
            }
            // One may begin within another.
            from = found.start() + 1;
        }
        candidates
    }
}

/// What stands at a place as well when the longest text does: those that it begins with.
fn with_beginnings(texts: &[String], needed_by: &[Candidates], fold: bool) -> Vec<Candidates> {
    let begins = |text: &str, other: &str| {
        let start = text.as_bytes().get(..other.len());
        start.is_some_and(|start| {
            if fold { start.eq_ignore_ascii_case(other.as_bytes()) } else { start == other.as_bytes() }
        })
    };
    let of = |text: &String| {
        let shorter = texts.iter().zip(needed_by).filter(|(other, _)| begins(text, other));
        shorter.fold(Candidates::default(), |all, (_, bits)| all.and(*bits))
    };
    texts.iter().map(of).collect()
}
