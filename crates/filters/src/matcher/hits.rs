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
    /// The first expression that matches, after the prefix, and all that was found; `keep` says whether it is a line of the log.
    pub(super) fn first_hit<'t>(
        &mut self,
        (text, content): (&'t str, &'t mut String),
        fields: &mut Fields<'t>,
        outcome: &mut Outcome,
        keep: bool,
    ) -> Option<Hit> {
        if let Some(line) = self.known.recall(text) {
            self.prefixed = if keep { line.prefixed } else { self.prefixed };
            let of = (&self.lines, self.groups.as_slice(), &self.found);
            return line.hit(text, fields, of, !self.filter.ignored.is_empty());
        }
        let gave_up = outcome.gave_up;
        let hit = self.look_for_hit((text, content), fields, outcome, keep);
        if self.known.is_wanted() && outcome.gave_up == gave_up {
            self.known.remember(text, hit.as_ref());
        }
        hit
    }

    /// The same, of a line that is not known.
    #[inline]
    fn look_for_hit<'t>(
        &mut self,
        (text, content): (&'t str, &'t mut String),
        fields: &mut Fields<'t>,
        outcome: &mut Outcome,
        keep: bool,
    ) -> Option<Hit> {
        let mut host_before = None;
        let (mut start, mut reach) = (0, 0);
        let mut searched = text;
        if let Some(prefix) = &self.filter.prefix {
            let (is_open, refers_back) = (prefix.is_open(), prefix.refers_back());
            if refers_back {
                self.known.is_unsure();
            }
            if !self.has_prefix(text, outcome, keep) {
                return None;
            }
            self.known.has_prefix();
            self.prefix_groups.fill(fields, text, &self.found);
            host_before = self.prefix_groups.host(&self.found);
            reach = self.found.reach();
            if self.known.is_wanted() {
                self.known.found(&self.prefix_groups, 0, &self.found);
            }
            let left = self.filter.prefix.as_ref().and_then(|prefix| prefix.content(text, &self.found));
            let left = left.filter(|(from, to)| from < to);
            // What is left of another line may be all of it, or not up to its end.
            self.known.prefix_looked(left.filter(|_| is_open).map_or(usize::MAX, |(from, _)| from + 1));
            if let Some((from, to)) = left {
                start = from;
                let is_rest = to + 1 == text.len();
                searched = if is_rest {
                    text.get(from..)?
                } else {
                    self.known.is_unsure();
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
        self.known.screen_looked(start, start.saturating_add(read));
        if read == usize::MAX {
            self.known.is_unsure();
        }
        let regex = self.first_match((searched, start), candidates, outcome)?;
        let groups = self.groups.get(regex)?;
        groups.fill(fields, searched, &self.found);
        if self.known.is_wanted() {
            self.known.found(groups, start, &self.found);
        }
        // The line end is nobody's host, and that of the content is not where that of the line is.
        let end = searched.len().saturating_sub(1);
        let host = groups.host(&self.found);
        let host = host.map(|(from, to)| (start + from.min(end), start + to.min(end))).or(host_before);
        let matched = self.lines.matched(searched, &self.found, groups, !self.filter.ignored.is_empty());
        let content = Content { start, reach, candidates, read };
        Some(Hit { regex, host, content, matched })
    }

    /// The first of the candidates that matches a text, which begins at a place of the line.
    fn first_match(
        &mut self,
        (text, start): (&str, usize),
        candidates: Candidates,
        outcome: &mut Outcome,
    ) -> Option<usize> {
        let (mut next, count) = (0, self.filter.failures.len());
        while let Some(regex) = candidates.from(next, count) {
            next = regex + 1;
            let (pattern, choice) = (self.filter.failures.get(regex)?, self.choices.get_mut(regex)?);
            let matched = counted(choice.search(pattern, text, &mut self.found), outcome);
            self.known.asked((regex, pattern), start, &self.found);
            if matched {
                return Some(regex);
            }
        }
        None
    }

    /// Whether a text has the prefix, and where; `expected` to have it if the last one had it.
    fn has_prefix(&mut self, text: &str, outcome: &mut Outcome, expected: bool) -> bool {
        let Some(prefix) = &self.filter.prefix else { return true };
        let known = self.prefix_shapes.as_ref().and_then(|shapes| shapes.recall(text, &mut self.found));
        if known.is_none() && !(expected && self.prefixed) {
            let (may_begin, read) = self.screen.may_begin(text);
            self.known.prefix_looked(read);
            if !may_begin {
                if read == usize::MAX {
                    self.known.is_unsure();
                }
                self.prefixed &= !expected;
                return false;
            }
        }
        let matched = known.unwrap_or_else(|| {
            let gave_up = outcome.gave_up;
            let matched = counted(self.prefix_choice.search(prefix, text, &mut self.found), outcome);
            if let Some(shapes) = &mut self.prefix_shapes
                && outcome.gave_up == gave_up
            {
                shapes.remember(text, matched, &self.found);
            }
            matched
        });
        self.known.prefix_looked(self.found.reach());
        if expected {
            self.prefixed = matched;
        }
        matched
    }
}
