use std::collections::VecDeque;

use super::groups::Groups;
use crate::pattern::Found;
use crate::{MAX_BUFFER, MAX_TOLD};

/// Lines that an expression may span.
#[derive(Clone, Debug)]
pub(super) struct Lines {
    most: usize,
    kept: VecDeque<Line>,
    bytes: usize,
}

#[derive(Clone, Debug)]
struct Line {
    /// As it was written.
    whole: String,
    /// Without its date, and with a line end.
    text: String,
}

/// Which lines an expression took.
#[derive(Clone, Debug, Default)]
pub(super) struct Matched {
    /// There were several.
    pub(super) several: bool,
    /// In what it matched, where that is wanted.
    pub(super) searched: String,
    taken: Vec<bool>,
}

impl Lines {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, kept: VecDeque::new(), bytes: 0 }
    }

    pub(super) fn push(&mut self, whole: &str, text: &str) {
        self.kept.push_back(Line { whole: whole.to_owned(), text: text.to_owned() });
        self.bytes += whole.len() + text.len();
        while self.kept.len() > self.most || (self.bytes > MAX_BUFFER && self.kept.len() > 1) {
            if let Some(line) = self.kept.pop_front() {
                self.bytes -= line.whole.len() + line.text.len();
            }
        }
    }

    /// All of them, one after another.
    pub(super) fn write(&self, text: &mut String) {
        text.clear();
        self.kept.iter().for_each(|line| text.push_str(&line.text));
    }

    /// What the prefix leaves of them takes their place, as it does in fail2ban.
    pub(super) fn replace(&mut self, content: &str) {
        if self.most > 1 {
            let whole = self.kept.back().map_or_else(String::new, |line| line.whole.clone());
            self.kept.clear();
            self.bytes = 0;
            self.push(&whole, &format!("{content}\n"));
        }
    }

    /// Which lines a match took, but for those that it skipped.
    pub(super) fn matched(&self, text: &str, found: &Found, groups: &Groups, keep: bool) -> Matched {
        if self.most == 1 {
            let searched = if keep { text.to_owned() } else { String::new() };
            return Matched { several: false, searched, taken: Vec::new() };
        }
        let (start, end) = found.span(0).unwrap_or((0, text.len()));
        let ends = |upto: usize| text.get(..upto).map_or(0, |text| text.matches('\n').count());
        let first = ends(start);
        let last = ends(end.saturating_sub(1));
        let mut taken: Vec<bool> = (0..self.kept.len()).map(|line| (first..=last).contains(&line)).collect();
        let skipped = groups.skipped.iter().filter_map(|group| found.text(text, *group));
        let mut from = first;
        for line in skipped.flat_map(str::lines) {
            let place = (from..=last).find(|place| {
                self.kept.get(*place).is_some_and(|kept| kept.text.trim_end_matches('\n') == line)
            });
            if let Some((place, taken)) =
                place.and_then(|place| taken.get_mut(place).map(|taken| (place, taken)))
            {
                *taken = false;
                from = place + 1;
            }
        }
        Matched { several: true, searched: String::new(), taken }
    }

    /// The lines that tell a failure, where there are several.
    pub(super) fn told(&self, matched: &Matched) -> Vec<String> {
        self.taken(matched).take(MAX_TOLD).map(|line| line.whole.clone()).collect()
    }

    /// The same, as expressions see them.
    pub(super) fn text(&self, matched: &Matched) -> String {
        if !matched.several {
            return matched.searched.clone();
        }
        self.taken(matched).map(|line| line.text.as_str()).collect()
    }

    fn taken<'a>(&'a self, matched: &'a Matched) -> impl Iterator<Item = &'a Line> {
        self.kept.iter().zip(&matched.taken).filter(|(_, taken)| **taken).map(|(line, _)| line)
    }

    /// Forgets what an expression took.
    pub(super) fn keep_unmatched(&mut self, matched: &Matched) {
        if !matched.several {
            return;
        }
        let mut taken = matched.taken.iter();
        self.kept.retain(|_| taken.next() != Some(&true));
        self.bytes = self.kept.iter().map(|line| line.whole.len() + line.text.len()).sum();
    }
}
