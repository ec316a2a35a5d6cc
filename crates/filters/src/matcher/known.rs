//! Lines that are like others before them.
//!
//! A program writes the same lines again and again, in which only numbers differ. What prefix and expressions made of a line is
//! remembered by its shape: letters that none of them tells apart, as far as anybody looked. A line of the same shape has the same
//! in the same places, and nobody is asked. Where lines are seldom alike, nothing is remembered for a while.

use super::groups::{Fields, Groups, Key};
use super::hits::{Content, Hit};
use super::lines::Lines;
use super::screen::Screen;
use crate::Filter;
use crate::pattern::{Alike, Found, Pattern, classes_of_all};

/// Of so many lines one in so many must be known, or so many that follow are not looked at.
const LINES: u32 = 1024;
const ONE_IN: u32 = 4;
const PAUSE: u32 = 16 * LINES;

/// What became of lines, by their shape.
#[derive(Clone, Debug, Default)]
pub(super) struct Known {
    /// `None` where lines are not judged one by one.
    tree: Option<Alike<Line>>,
    /// Lines since it was found out how many are known, those that were, and lines that are still passed over.
    asked: u32,
    known: u32,
    pause: u32,
    /// How far was looked at a line that is not known.
    looked: Looked,
    fields: Vec<(Key, (usize, usize))>,
}

/// How far was looked at a line.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    upto: usize,
    /// What was found in it can be found in another.
    is_sure: bool,
}

/// What became of a line.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) prefixed: bool,
    hit: Option<KnownHit>,
}

#[derive(Clone, Debug)]
struct KnownHit {
    regex: usize,
    host: Option<(usize, usize)>,
    content: Content,
    fields: Box<[(Key, (usize, usize))]>,
}

impl Known {
    pub(super) fn new(filter: &Filter, screen: &Screen) -> Self {
        let tree =
            || Alike::new(classes_of_all(filter.prefix.iter().chain(&filter.failures), screen.classes()));
        Self { tree: (filter.max_lines() == 1).then(tree), ..Self::default() }
    }

    /// What became of a line that was like this one.
    #[inline]
    pub(super) fn recall(&mut self, text: &str) -> Option<&Line> {
        let tree = self.tree.as_mut()?;
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        if self.asked >= LINES {
            if self.known < LINES / ONE_IN {
                tree.forget();
                self.pause = PAUSE;
            }
            (self.asked, self.known) = (0, 0);
        }
        self.asked += 1;
        self.looked = Looked { upto: 0, is_sure: true };
        self.fields.clear();
        let line = tree.recall(text.as_bytes())?;
        self.known += 1;
        Some(line)
    }

    /// Whether what becomes of a line is to be remembered.
    #[inline]
    pub(super) const fn is_wanted(&self) -> bool {
        self.tree.is_some() && self.pause == 0
    }

    /// Somebody looked at all before a place.
    #[inline]
    pub(super) fn looked_up_to(&mut self, place: usize) {
        self.looked.upto = self.looked.upto.max(place);
    }

    /// What was found may be something else in a line that is like this one.
    #[inline]
    pub(super) const fn is_unsure(&mut self) {
        self.looked.is_sure = false;
    }

    /// An expression looked at what is behind a place.
    #[inline]
    pub(super) fn asked(&mut self, pattern: &Pattern, from: usize, found: &Found) {
        self.looked_up_to(from.saturating_add(found.reach()));
        self.looked.is_sure &= !pattern.refers_back();
    }

    /// What an expression found is somebody's.
    pub(super) fn found(&mut self, groups: &Groups, from: usize, found: &Found) {
        match groups.spans(found) {
            Some(spans) => {
                self.fields.extend(spans.map(|(key, (start, end))| (key, (from + start, from + end))));
            }
            None => self.looked.is_sure = false,
        }
    }

    /// Remembers what became of a line.
    pub(super) fn remember(&mut self, text: &str, prefixed: bool, hit: Option<&Hit>) {
        let Looked { upto, is_sure } = self.looked;
        // Behind the line end nothing follows: who has seen that the line ends has seen all of it.
        let seen = text.as_bytes().get(..upto).unwrap_or(text.as_bytes());
        let Some(tree) = self.tree.as_mut().filter(|_| is_sure) else { return };
        let hit = hit.map(|hit| KnownHit {
            regex: hit.regex,
            host: hit.host,
            content: hit.content,
            fields: self.fields.as_slice().into(),
        });
        tree.remember(seen, Line { prefixed, hit });
    }
}

impl Line {
    /// What is found in a line that is like this one.
    pub(super) fn hit<'t>(
        &self,
        text: &'t str,
        fields: &mut Fields<'t>,
        (lines, groups, found): (&Lines, &[Groups], &Found),
        keep: bool,
    ) -> Option<Hit> {
        let KnownHit { regex, host, content, fields: spans } = self.hit.as_ref()?;
        for (key, (start, end)) in spans {
            fields.put(*key, text.get(*start..*end));
        }
        let matched = lines.matched(text.get(content.start..)?, found, groups.get(*regex)?, keep);
        Some(Hit { regex: *regex, host: *host, content: *content, matched })
    }
}
