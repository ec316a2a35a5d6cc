//! A regular expression of Python at work.
//!
//! Two engines share the work, and which does less is found out on the lines themselves. A machine that goes one way after another,
//! as Python's does, knows everything that Python knows; an automaton goes all ways at once and looks at each letter once. The machine
//! is given few steps; where they do not suffice, an expression that does not look round goes to `regex-automata`, which is linear in
//! the text, and one that does is first asked there in a weaker form.

/// What became of texts that begin alike.
mod alike;
/// What stands before a group.
mod before;
/// Pieces that a look at a few letters decides.
mod chain;
/// One engine or the other.
mod choice;
/// Steps as the machine reads them.
mod code;
/// Ways that are tried one after another.
mod machine;
/// What may come next.
mod next;
/// All ways at once.
mod paths;
/// Steps of the machine.
mod program;
/// Sets of letters.
mod set;
/// Sets of ASCII by their numbers, and what they tell apart.
mod sets;
/// What became of texts of the same shape.
mod shapes;
/// Which of many can match at all.
mod sieve;

use std::sync::OnceLock;

use regex_automata::Input;
use regex_automata::meta::Regex;
use regex_automata::util::primitives::NonMaxUsize;

use crate::python::{self, Flags, Needed, Tree};
use crate::{Error, MAX_COMPILED, MAX_STEPS};
pub(crate) use alike::Alike;
pub(crate) use before::Before;
pub(crate) use chain::Layouts;
pub(crate) use choice::Choice;
use machine::Machine;
use paths::{Paths, Told};
use program::Program;
pub(crate) use shapes::{Shapes, divide};
pub(crate) use sieve::{Bits, Care, MOST, Sieve};

/// Steps after which the linear engine is asked.
const FEW_STEPS: usize = 4000;

/// A regular expression of Python.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    program: Program,
    tree: Tree,
    /// Whether the linear engine can do all of it.
    plain: bool,
    /// What is searched is one line.
    in_line: bool,
    /// Made when it is first wanted; `None` if it would be too large.
    linear: OnceLock<Option<Regex>>,
    /// One of these is in every text that matches.
    needed: Option<Needed>,
    /// Its `content` goes on to the end of the line.
    open: bool,
}

/// In what is searched, which says what a `$` may be.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Haystack {
    /// One line, and perhaps a line end after it.
    Line,
    /// Several lines.
    Lines,
}

/// The expression took more steps than it was given, at last [`MAX_STEPS`].
pub(crate) use machine::Exhausted as GaveUp;

/// Where an expression and its groups matched last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    machine: Machine,
}

impl Found {
    #[inline]
    pub(crate) fn span(&self, group: usize) -> Option<(usize, usize)> {
        self.machine.span(group)
    }

    #[inline]
    pub(crate) fn text<'t>(&self, text: &'t str, group: usize) -> Option<&'t str> {
        self.span(group).and_then(|(start, end)| text.get(start..end))
    }

    /// The same as bytes, for which nobody looks where letters begin.
    #[inline]
    pub(crate) fn bytes<'t>(&self, text: &'t [u8], group: usize) -> Option<&'t [u8]> {
        self.span(group).and_then(|(start, end)| text.get(start..end))
    }

    /// From this place on the text could be another, and it would have matched in the same way; behind the text's end that it
    /// ends there counts, too.
    pub(crate) const fn reach(&self) -> usize {
        self.machine.reach()
    }

    /// What the machine did since the last call, by the time that it takes: about nanoseconds.
    fn take_cost(&mut self) -> u64 {
        let cost = self.machine.work().saturating_mul(6);
        self.machine.forget_work();
        cost as u64
    }

    /// What an automaton says.
    fn told(&mut self, pattern: &Pattern, paths: Option<&mut Paths>, text: &str) -> Option<Told> {
        let slots = (pattern.tree.groups + 1) * 2;
        self.machine.told(slots, |slots| paths?.search(text, slots))
    }
}

impl Pattern {
    pub(crate) fn new(text: &str, flags: Flags, haystack: Haystack) -> Result<Self, Error> {
        let tree = python::parse(text, flags).map_err(|error| error.regex(text))?;
        Self::of(tree, haystack).map_err(|error| error.regex(text))
    }

    /// A `prefregex`, of which the content is not searched through if it is all of the rest.
    pub(crate) fn prefix(text: &str, haystack: Haystack) -> Result<Self, Error> {
        let mut tree = python::parse(text, Flags::default()).map_err(|error| error.regex(text))?;
        let open = haystack == Haystack::Line && tree.open_content();
        let pattern = Self::of(tree, haystack).map_err(|error| error.regex(text))?;
        Ok(Self { open, ..pattern })
    }

    /// Where the content is that a prefix found, of a text that ends with a line end.
    pub(crate) fn content(&self, text: &str, found: &Found) -> Option<(usize, usize)> {
        let (start, end) = found.span(self.group("content")?)?;
        Some((start, if self.open { text.len() - 1 } else { end }))
    }

    pub(crate) fn of(tree: Tree, haystack: Haystack) -> Result<Self, Error> {
        let plain = match haystack {
            Haystack::Line => tree.root.is_plain_in_line(),
            Haystack::Lines => !tree.root.is_fancy(),
        };
        let (program, needed) = (Program::new(&tree)?, python::needed(&tree.root));
        let in_line = haystack == Haystack::Line;
        Ok(Self { program, tree, plain, in_line, linear: OnceLock::new(), needed, open: false })
    }

    pub(crate) fn names(&self) -> &[(String, usize)] {
        &self.tree.names
    }

    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.names().iter().find(|(other, _)| other == name).map(|(_, group)| *group)
    }

    /// What stands right before what one of some groups finds, which does not begin with `never`.
    pub(crate) fn before(&self, groups: &[usize], never: char) -> Option<Before> {
        Before::of(&self.tree.root, groups, never)
    }

    /// Whether it matches at the beginning of a text or nowhere.
    pub(crate) const fn is_at_start(&self) -> bool {
        self.program.at_start
    }

    /// Whether a text must come again that stood before.
    pub(crate) const fn refers_back(&self) -> bool {
        self.program.refers_back
    }

    /// A number for each byte, the same for those that it does not tell apart.
    pub(crate) fn classes(&self) -> [u8; 256] {
        shapes::classes(&self.program.code)
    }

    /// Whether its `content` goes on to the end of the line, however long that is.
    pub(crate) const fn is_open(&self) -> bool {
        self.open
    }

    pub(crate) const fn needed(&self) -> Option<&Needed> {
        self.needed.as_ref()
    }

    /// Whether it matches anywhere, and where.
    pub(crate) fn search(&self, text: &str, found: &mut Found) -> Result<bool, GaveUp> {
        self.search_from(text, 0, found)
    }

    /// The same from some place on, which looks back at what is before.
    pub(crate) fn search_from(&self, text: &str, from: usize, found: &mut Found) -> Result<bool, GaveUp> {
        if let Ok(matched) = found.machine.search(&self.program, text, from, FEW_STEPS) {
            return Ok(matched);
        }
        // What the other engine looks at is not known.
        found.machine.looked_everywhere();
        let input = Input::new(text).range(from.min(text.len())..);
        match self.linear.get_or_init(|| linear(&self.tree)) {
            Some(regex) if self.plain => Ok(search(regex, &input, self.tree.groups, found)),
            Some(regex) if regex.search_half(&input).is_none() => Ok(false),
            Some(_) | None => found.machine.search(&self.program, text, from, MAX_STEPS),
        }
    }
}

fn linear(tree: &Tree) -> Option<Regex> {
    let config = Regex::config().nfa_size_limit(Some(MAX_COMPILED)).hybrid_cache_capacity(MAX_COMPILED);
    Regex::builder().configure(config).build(&python::write(&tree.root)).ok()
}

fn search(regex: &Regex, input: &Input<'_>, groups: usize, found: &mut Found) -> bool {
    let mut slots: Vec<Option<NonMaxUsize>> = vec![None; groups * 2 + 2];
    let matched = regex.search_slots(input, &mut slots).is_some();
    if matched {
        let places = slots.iter().map(|slot| slot.map(NonMaxUsize::get));
        found.machine.take(places);
    }
    matched
}

#[cfg(test)]
mod tests;
