use super::groups::Fields;
use super::lines::Matched;
use super::screen::Candidates;
use super::{Matcher, Outcome, counted};
use crate::pattern::{Care, GaveUp};

/// Hits of the first expression that count.
const MAX_FIRSTS: i8 = 8;

/// What the expressions said about a text, beside the fields.
#[derive(Debug)]
pub(super) struct Hit {
    pub(super) regex: usize,
    /// Where the host is in the text, if the text says it.
    pub(super) host: Option<(usize, usize)>,
    pub(super) content: Content,
    pub(super) matched: Matched,
}

/// What the prefix leaves, and what is known of it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Content {
    /// Where it begins, and how far the prefix looked to see that.
    pub(super) start: usize,
    pub(super) reach: usize,
    /// Who may match it, and how much of it was read to see that.
    pub(super) candidates: Candidates,
    pub(super) read: usize,
}

impl Matcher {
    /// The first expression that matches, after the prefix, and all that was found.
    pub(super) fn first_hit<'t>(
        &mut self,
        (text, content): (&'t str, &'t mut String),
        fields: &mut Fields<'t>,
        outcome: &mut Outcome,
        keep: bool,
    ) -> Option<Hit> {
        let mut host_before = None;
        let (mut start, mut reach) = (0, 0);
        let mut searched = text;
        if self.filter.prefix.is_some() {
            if !self.has_prefix(text, outcome, keep) {
                return None;
            }
            self.prefix_groups.fill(fields, text, &self.found);
            host_before = self.prefix_groups.host(&self.found);
            reach = self.found.reach();
            let left = self.filter.prefix.as_ref().and_then(|prefix| prefix.content(text, &self.found));
            if let Some((from, to)) = left.filter(|(from, to)| from < to) {
                start = from;
                let is_rest = to + 1 == text.len();
                searched = if is_rest {
                    text.get(from..)?
                } else {
                    content.clear();
                    content.push_str(text.get(from..to)?);
                    content.push('\n');
                    content
                };
                if keep {
                    self.lines.replace(searched.trim_end_matches('\n'));
                }
            }
        }
        let (regex, candidates, read) = self.first_match(searched, outcome, keep)?;
        let groups = self.groups.get(regex)?;
        groups.fill(fields, searched, &self.found);
        let host = groups.host(&self.found).map(|(from, to)| (start + from, start + to)).or(host_before);
        let matched = self.lines.matched(searched, &self.found, groups, !self.filter.ignored.is_empty());
        let content = Content { start, reach, candidates, read };
        Some(Hit { regex, host, content, matched })
    }

    /// The first expression that matches, who else might, and how much was read to see that.
    fn first_match(
        &mut self,
        text: &str,
        outcome: &mut Outcome,
        keep: bool,
    ) -> Option<(usize, Candidates, usize)> {
        // Where nobody asks who else might match, and it is nearly always the first, nobody else is asked for.
        let is_tried = keep && self.firsts > 0;
        let first = if is_tried { self.search_for(0, text)? } else { Ok(false) };
        if first == Ok(true) {
            self.firsts = (self.firsts + 1).min(MAX_FIRSTS);
            return Some((0, Candidates::ALL, usize::MAX));
        }
        let (candidates, read) = self.screen.candidates(text, if keep { Care::Few } else { Care::Full });
        if candidates.has_first() {
            // Who cannot match has not given up.
            counted(first, outcome);
        }
        let (mut next, count) = (usize::from(is_tried), self.filter.failures.len());
        let mut hit = None;
        while let Some(regex) = candidates.from(next, count).filter(|_| hit.is_none()) {
            next = regex + 1;
            hit = counted(self.search_for(regex, text)?, outcome).then_some(regex);
        }
        if keep && self.guards.are_alike() {
            let change = if hit == Some(0) { 1 } else { -1 };
            self.firsts = (self.firsts + change).clamp(-MAX_FIRSTS, MAX_FIRSTS);
        }
        hit.map(|regex| (regex, candidates, read))
    }

    fn search_for(&mut self, regex: usize, text: &str) -> Option<Result<bool, GaveUp>> {
        let (pattern, choice) = (self.filter.failures.get(regex)?, self.choices.get_mut(regex)?);
        Some(choice.search(pattern, text, &mut self.found))
    }

    /// Whether a text has the prefix, and where; `expected` to have it if the last one had it.
    fn has_prefix(&mut self, text: &str, outcome: &mut Outcome, expected: bool) -> bool {
        let Some(prefix) = &self.filter.prefix else { return true };
        let known = self.prefix_shapes.as_ref().and_then(|shapes| shapes.recall(text, &mut self.found));
        let matched = known.unwrap_or_else(|| {
            let asked = expected && self.prefixed;
            if !asked && !self.screen.may_begin(text) {
                return false;
            }
            let gave_up = outcome.gave_up;
            let matched = counted(self.prefix_choice.search(prefix, text, &mut self.found), outcome);
            if let Some(shapes) = &mut self.prefix_shapes
                && outcome.gave_up == gave_up
            {
                shapes.remember(text, matched, &self.found);
            }
            matched
        });
        if expected {
            self.prefixed = matched;
        }
        matched
    }
}
