use fancy_regex::RegexBuilder as FancyBuilder;
use regex_automata::meta::Regex;
use regex_automata::util::primitives::NonMaxUsize;
use regex_automata::{Anchored, Input};

use crate::python::{self, Dialect, Flags, Needed, Tree};
use crate::{Error, MAX_COMPILED, MAX_STEPS};

/// A regular expression of Python at work.
#[derive(Clone, Debug)]
pub(crate) struct Pattern {
    engine: Engine,
    /// Which of Python's groups each group of the engine is.
    groups: Vec<usize>,
    names: Vec<(String, usize)>,
    /// One of these is in every text that matches.
    needed: Option<Needed>,
}

#[derive(Clone, Debug)]
enum Engine {
    Plain(Regex),
    Fancy {
        /// Matches wherever `exact` does, in linear time.
        loose: Regex,
        exact: Box<fancy_regex::Regex>,
    },
}

/// In what is searched, which says how a `$` may be written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Haystack {
    /// One line, and perhaps a line end after it.
    Line,
    /// Several lines.
    Lines,
}

/// The expression took more steps back than [`MAX_STEPS`].
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct GaveUp;

/// Where an expression and its groups matched last.
#[derive(Clone, Debug, Default)]
pub(crate) struct Found {
    spans: Vec<Option<(usize, usize)>>,
    slots: Vec<Option<NonMaxUsize>>,
}

impl Found {
    pub(crate) fn span(&self, group: usize) -> Option<(usize, usize)> {
        self.spans.get(group).copied().flatten()
    }

    pub(crate) fn text<'t>(&self, text: &'t str, group: usize) -> Option<&'t str> {
        self.span(group).and_then(|(start, end)| text.get(start..end))
    }

    fn take(&mut self, groups: &[usize], spans: impl Iterator<Item = Option<(usize, usize)>>) {
        self.spans.clear();
        let most = groups.iter().copied().max().unwrap_or(0);
        self.spans.resize(most + 1, None);
        for (group, span) in [0].iter().chain(groups).zip(spans) {
            if let (Some(place), Some(span)) = (self.spans.get_mut(*group), span) {
                *place = Some(span);
            }
        }
    }
}

impl Pattern {
    pub(crate) fn new(text: &str, flags: Flags, haystack: Haystack) -> Result<Self, Error> {
        let tree = python::parse(text, flags).map_err(|error| error.regex(text))?;
        Self::of(&tree, haystack).map_err(|error| error.regex(text))
    }

    pub(crate) fn of(tree: &Tree, haystack: Haystack) -> Result<Self, Error> {
        let plain = match haystack {
            Haystack::Line => tree.root.is_plain_in_line(),
            Haystack::Lines => !tree.root.is_fancy(),
        };
        let (text, groups) = python::write(&tree.root, if plain { Dialect::Plain } else { Dialect::Loose });
        let loose = linear(&text)?;
        let engine = if plain {
            Engine::Plain(loose)
        } else {
            let (text, _) = python::write(&tree.root, Dialect::Fancy);
            let exact = FancyBuilder::new(&text)
                .backtrack_limit(MAX_STEPS)
                .delegate_size_limit(MAX_COMPILED)
                .build()
                .map_err(|error| Error::new(format!("is not understood: {error}")))?;
            Engine::Fancy { loose, exact: Box::new(exact) }
        };
        Ok(Self { engine, groups, names: tree.names.clone(), needed: python::needed(&tree.root) })
    }

    pub(crate) fn names(&self) -> &[(String, usize)] {
        &self.names
    }

    pub(crate) fn group(&self, name: &str) -> Option<usize> {
        self.names.iter().find(|(other, _)| other == name).map(|(_, group)| *group)
    }

    pub(crate) const fn needed(&self) -> Option<&Needed> {
        self.needed.as_ref()
    }

    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.engine, Engine::Plain(_))
    }

    /// Whether it matches anywhere, and where.
    pub(crate) fn search(&self, text: &str, found: &mut Found) -> Result<bool, GaveUp> {
        self.search_from(text, 0, found)
    }

    /// The same from some place on, which looks back at what is before.
    pub(crate) fn search_from(&self, text: &str, from: usize, found: &mut Found) -> Result<bool, GaveUp> {
        match &self.engine {
            Engine::Plain(regex) => {
                let mut slots = std::mem::take(&mut found.slots);
                slots.clear();
                slots.resize(self.groups.len() * 2 + 2, None);
                let matched = regex.search_slots(&input(text, from), &mut slots).is_some();
                if matched {
                    found.take(&self.groups, slots.chunks_exact(2).map(span));
                }
                found.slots = slots;
                Ok(matched)
            }
            Engine::Fancy { loose, exact } => {
                if loose.search_half(&input(text, from)).is_none() {
                    return Ok(false);
                }
                let Some(captures) = exact.captures_from_pos(text, from).map_err(|_| GaveUp)? else {
                    return Ok(false);
                };
                let spans = captures.iter().map(|group| group.map(|group| (group.start(), group.end())));
                found.take(&self.groups, spans);
                Ok(true)
            }
        }
    }

    /// Where the whole of it matches first, without the groups; only of expressions that do not look round.
    pub(crate) fn find_from(&self, text: &str, from: usize) -> Option<(usize, usize)> {
        match &self.engine {
            Engine::Plain(regex) => {
                regex.search(&input(text, from)).map(|found| (found.start(), found.end()))
            }
            Engine::Fancy { .. } => None,
        }
    }
}

fn input(text: &str, from: usize) -> Input<'_> {
    Input::new(text).range(from.min(text.len())..).anchored(Anchored::No)
}

fn span(pair: &[Option<NonMaxUsize>]) -> Option<(usize, usize)> {
    match pair {
        [Some(start), Some(end)] => Some((start.get(), end.get())),
        _ => None,
    }
}

fn linear(text: &str) -> Result<Regex, Error> {
    let config = Regex::config().nfa_size_limit(Some(MAX_COMPILED)).hybrid_cache_capacity(MAX_COMPILED);
    Regex::builder().configure(config).build(text).map_err(|error| match error.size_limit() {
        Some(_) => Error::new(format!("takes more than {MAX_COMPILED} bytes"))
            .help("a repetition such as `{1000}` of something large is too much"),
        None => Error::new(format!("is not understood: {}", chain(&error))),
    })
}

/// An error and what caused it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = error.to_string();
        cause = error.source();
    }
    text
}
