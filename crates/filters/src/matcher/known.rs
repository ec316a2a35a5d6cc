//! Lines that are like others before them.
//!
//! A program writes the same lines again and again, in which only numbers differ. What prefix and expressions made of a line is
//! remembered by its shape: letters that nobody tells apart who looked at them. A line of the same shape has the same in the same
//! places, and nobody is asked. Where lines are seldom alike, nothing is remembered for a while.

use super::groups::{Fields, Groups, Key};
use super::hits::{Content, Hit};
use super::lines::Lines;
use super::screen::Screen;
use crate::Filter;
use crate::pattern::{Alike, Found, Pattern, divide};

/// Of so many lines one in so many must be known, or so many that follow are not looked at.
const LINES: u32 = 1024;
const ONE_IN: u32 = 2;
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
    /// Whether what becomes of this line is to be remembered, and how far was looked at it.
    is_wanted: bool,
    looked: Looked,
    fields: Vec<(Key, (usize, usize))>,
}

/// What was looked at in a line, and by whom.
#[derive(Clone, Copy, Debug, Default)]
struct Looked {
    /// The line has the prefix.
    prefixed: bool,
    /// Up to where the prefix looked, and where what it leaves begins.
    prefix: usize,
    start: usize,
    /// Up to where it was looked which expressions can match, and up to where any of these looked.
    screen: usize,
    expressions: usize,
    /// The only expression that was asked, if there is but one.
    only: Option<usize>,
    count: usize,
    /// What was found in it may be something else in a line that is like it.
    is_unsure: bool,
}

/// Numbers of classes: those of the prefix, those of all who look at all, and from there on of the prefix and each expression.
const PREFIX: u32 = 0;
const ALL: u32 = 1;
const EXPRESSIONS: u32 = 2;

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
        let tree = || {
            let mut prefix = filter.prefix.as_ref().map_or([0; 256], Pattern::classes);
            screen.prefix_classes().into_iter().for_each(|by| divide(by, &mut prefix));
            let mut all = prefix;
            screen.classes().into_iter().for_each(|by| divide(by, &mut all));
            let of_expression = |pattern: &Pattern| {
                let (alone, mut classes) = (pattern.classes(), prefix);
                divide(&alone, &mut all);
                divide(&alone, &mut classes);
                classes
            };
            let of_each: Vec<[u8; 256]> = filter.failures.iter().map(of_expression).collect();
            Alike::new([prefix, all].into_iter().chain(of_each).collect())
        };
        Self { tree: (filter.max_lines() == 1).then(tree), ..Self::default() }
    }

    /// What became of a line that was like this one.
    #[inline]
    pub(super) fn recall(&mut self, text: &str) -> Option<&Line> {
        let tree = self.tree.as_mut()?;
        self.is_wanted = false;
        if self.pause > 0 {
            self.pause -= 1;
            return None;
        }
        if self.asked >= LINES {
            let few = self.known < LINES / ONE_IN;
            (self.asked, self.known) = (0, 0);
            if few {
                tree.forget();
                self.pause = PAUSE;
                return None;
            }
        }
        self.asked += 1;
        (self.is_wanted, self.looked) = (true, Looked::default());
        self.fields.clear();
        let line = tree.recall(text.as_bytes())?;
        self.known += 1;
        Some(line)
    }

    /// Whether what becomes of a line is to be remembered.
    #[inline]
    pub(super) const fn is_wanted(&self) -> bool {
        self.is_wanted
    }

    /// The line has the prefix.
    #[inline]
    pub(super) const fn has_prefix(&mut self) {
        self.looked.prefixed = true;
    }

    /// The prefix looked at all before a place.
    #[inline]
    pub(super) fn prefix_looked(&mut self, upto: usize) {
        self.looked.prefix = self.looked.prefix.max(upto);
    }

    /// From one place up to another it was looked who can match.
    #[inline]
    pub(super) const fn screen_looked(&mut self, from: usize, upto: usize) {
        (self.looked.start, self.looked.screen) = (from, upto);
    }

    /// What was found may be something else in a line that is like this one.
    #[inline]
    pub(super) const fn is_unsure(&mut self) {
        self.looked.is_unsure = true;
    }

    /// An expression looked at what is behind a place.
    #[inline]
    pub(super) fn asked(&mut self, pattern: (usize, &Pattern), from: usize, found: &Found) {
        let looked = &mut self.looked;
        looked.expressions = looked.expressions.max(from.saturating_add(found.reach()));
        looked.count += 1;
        looked.only = Some(pattern.0).filter(|_| looked.count == 1);
        looked.is_unsure |= pattern.1.refers_back();
    }

    /// What an expression found is somebody's.
    pub(super) fn found(&mut self, groups: &Groups, from: usize, found: &Found) {
        match groups.spans(found) {
            Some(spans) => {
                self.fields.extend(spans.map(|(key, (start, end))| (key, (from + start, from + end))));
            }
            None => self.looked.is_unsure = true,
        }
    }

    /// Remembers what became of a line.
    pub(super) fn remember(&mut self, text: &str, found: Option<&Hit>) {
        let Looked { prefixed, prefix, start, screen, expressions, only, is_unsure, .. } = self.looked;
        let upto = prefix.max(screen).max(expressions).min(text.len());
        // Behind the line end nothing follows: who has seen that the line ends has seen all of it. Others may go on.
        if upto == text.len() && !text.ends_with('\n') {
            return;
        }
        let Some(tree) = self.tree.as_mut().filter(|_| !is_unsure) else { return };
        let Some(seen) = text.as_bytes().get(..upto) else { return };
        // Before what the prefix leaves nobody else looks, and behind what tells who can match only who is asked.
        let rest = match only.map(u32::try_from) {
            Some(Ok(only)) => EXPRESSIONS.saturating_add(only),
            Some(Err(_)) => ALL,
            None if expressions == 0 => PREFIX,
            None => ALL,
        };
        let looked = [(start, PREFIX), (screen, ALL), (usize::MAX, rest)];
        let fields = self.fields.as_slice();
        let known = |hit: &Hit| KnownHit {
            regex: hit.regex,
            host: hit.host,
            content: hit.content,
            fields: fields.into(),
        };
        tree.remember(seen, &looked, || Line { prefixed, hit: found.map(known) });
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
