use super::groups::Fields;
use super::lines::Matched;
use super::screen::Candidates;
use super::{Matcher, Outcome, counted};
use crate::pattern::Care;

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
        let (candidates, read) = self.screen.candidates(searched, if keep { Care::Few } else { Care::Full });
        let regex = self.first_match(searched, candidates, outcome)?;
        let groups = self.groups.get(regex)?;
        groups.fill(fields, searched, &self.found);
        let host = groups.host(&self.found).map(|(from, to)| (start + from, start + to)).or(host_before);
        let matched = self.lines.matched(searched, &self.found, groups, !self.filter.ignored.is_empty());
        let content = Content { start, reach, candidates, read };
        Some(Hit { regex, host, content, matched })
    }

    /// The first of the candidates that matches.
    fn first_match(&mut self, text: &str, candidates: Candidates, outcome: &mut Outcome) -> Option<usize> {
        let (mut next, count) = (0, self.filter.failures.len());
        while let Some(regex) = candidates.from(next, count) {
            next = regex + 1;
            let (pattern, choice) = (self.filter.failures.get(regex)?, self.choices.get_mut(regex)?);
            if counted(choice.search(pattern, text, &mut self.found), outcome) {
                return Some(regex);
            }
        }
        None
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
