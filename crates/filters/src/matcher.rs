//! A filter at work on a log.
//!
//! What is expensive is done last and seldom: the date is found by the form that found the last one, its value is computed when
//! somebody wants it, and no expression is tried on a line that holds none of the texts that it needs.

/// Lines that belong together by `<F-MLFID>`.
mod connections;
/// The groups of an expression that mean something.
mod groups;
/// What stands before each host.
mod guards;
/// Which expression matches first.
mod hits;
/// Lines that are like others before them.
mod known;
/// The last date.
mod last;
/// Several lines for one expression.
mod lines;
/// Memory that is used again.
mod memory;
/// Whether somebody else might have been meant.
mod other;
/// What a line must contain.
mod screen;

use std::borrow::Cow;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::date::Detector;
use crate::pattern::{Care, Choice, Found, GaveUp, Pattern, Shapes};
use crate::{Filter, Host, MAX_LINE};
use connections::{Connections, Merged, Told};
use groups::{Fields, Groups};
use guards::Guards;
use known::Known;
use last::Last;
use lines::Lines;
use memory::Memory;
use screen::Screen;

/// A failure that a filter finds.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Failure {
    pub host: Host,
    /// Since the epoch: the line's date, that of the line before it, or now.
    pub time: Duration,
    /// Perhaps an empty name.
    pub user: Option<String>,
    /// All whom a connection of several lines tried.
    pub users: Vec<String>,
    /// `<F-ID>`, where it is something else than the host.
    pub id: Option<String>,
    /// Which of [`Filter::fail_regexes`] it was.
    pub regex: usize,
    /// The lines that tell it, each whole.
    pub lines: Vec<String>,
    /// Somebody else whom the filter would have found, had this host not stood there: the line holds two, and one of them may be
    /// what a stranger wrote. `docs/filters.md` says what this sees and what it does not.
    pub other: Option<Host>,
}

/// What became of a line.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Outcome {
    /// Whether a date was found and is one; in an entry of the journal it always is.
    pub dated: bool,
    pub failures: Vec<Failure>,
    /// An `ignoreregex` matched, or it was only part of what may become a failure (`<F-NOFAIL>`).
    pub ignored: bool,
    /// Expressions that took too many steps, and count as not matching.
    pub gave_up: usize,
    /// It was longer than [`MAX_LINE`].
    pub cut: bool,
}

/// Runs one filter over one log, whose lines it remembers as far as the filter asks for it.
#[derive(Clone, Debug)]
pub struct Matcher {
    filter: Filter,
    groups: Vec<Groups>,
    /// By which engine each expression is searched for.
    choices: Vec<Choice>,
    prefix_groups: Groups,
    prefix_shapes: Option<Shapes>,
    prefix_choice: Choice,
    detector: Detector,
    screen: Screen,
    known: Known,
    guards: Guards,
    connections: Connections,
    lines: Lines,
    last: Last,
    found: Found,
    memory: Memory,
    /// The last line had the prefix.
    prefixed: bool,
    /// The line without its date, and a line end.
    text: String,
    /// The same without its host.
    masked: String,
    /// What the prefix leaves of the text, if that is not all behind a place.
    content: String,
}

impl Matcher {
    pub fn new(filter: &Filter) -> Self {
        let groups: Vec<Groups> = filter.failures.iter().map(Groups::of).collect();
        let prefix_groups = filter.prefix.as_ref().map(Groups::of).unwrap_or_default();
        let screen = Screen::new(filter);
        Self {
            guards: Guards::new(filter.prefix.as_ref().zip(Some(&prefix_groups)), &filter.failures, &groups),
            choices: vec![Choice::default(); groups.len()],
            groups,
            prefix_groups,
            prefix_shapes: filter.prefix.as_ref().and_then(Shapes::of),
            prefix_choice: Choice::default(),
            detector: Detector::new(&filter.forms),
            known: Known::new(filter, &screen),
            screen,
            connections: Connections::default(),
            lines: Lines::new(filter.max_lines()),
            last: Last::default(),
            found: Found::default(),
            memory: Memory::default(),
            prefixed: false,
            text: String::new(),
            masked: String::new(),
            content: String::new(),
            filter: filter.clone(),
        }
    }

    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// A line of a file, with or without its line end. A date without a zone is in `zone`, which
    /// is the same for all lines.
    pub fn line(&mut self, line: &[u8], now: Duration, zone: &TimeZone) -> Outcome {
        let (line, cut) = readable(line);
        let seen = self.detector.find(&line, now);
        let mut outcome = Outcome { cut, dated: seen.is_some(), ..Outcome::default() };
        let (start, end) = seen.map_or((0, 0), |seen| (seen.start, seen.end));
        self.text.clear();
        self.text.push_str(line.get(..start).unwrap_or_default());
        self.text.push_str(line.get(end..).unwrap_or_default());
        self.text.push('\n');
        // Written but empty: the date may be left out.
        let seen = seen.filter(|_| start != end);
        self.judge(&line, now, &mut outcome);
        if let Some(failure) = outcome.failures.first_mut() {
            let time = seen.and_then(|seen| self.detector.time(&line, seen, now, zone));
            outcome.dated = time.is_some();
            if time.is_some() {
                self.last.set(time);
            }
            failure.time = time.unwrap_or_else(|| self.last.or_now(&mut self.detector, now, zone));
        } else if let Some(seen) = seen {
            self.last.keep(&line, seen, now);
        }
        outcome
    }

    /// An entry of the journal as text, `host identifier[pid]: message`, whose time the journal knows.
    pub fn entry(&mut self, line: &str, time: Duration, now: Duration) -> Outcome {
        let (line, cut) = readable(line.as_bytes());
        let mut outcome = Outcome { cut, dated: true, ..Outcome::default() };
        self.last.set(Some(time));
        self.text.clear();
        self.text.push_str(&line);
        self.text.push('\n');
        self.judge(&line, now, &mut outcome);
        outcome.failures.iter_mut().for_each(|failure| failure.time = time);
        outcome
    }

    /// Takes back what was told of a line and is no longer needed, whose memory the next lines use.
    pub fn take_back(&mut self, outcome: Outcome) {
        if !outcome.failures.is_empty() {
            self.memory.take_back(outcome.failures);
        }
    }

    /// The forms of dates that were found, as a `datepattern` has them, and how often.
    pub fn date_forms(&self) -> impl Iterator<Item = (&str, u64)> {
        self.detector.forms()
    }

    /// Searches the text for a failure, of which the time is not told.
    fn judge(&mut self, line: &str, now: Duration, outcome: &mut Outcome) {
        let mut text = std::mem::take(&mut self.text);
        if self.filter.max_lines() > 1 {
            self.lines.push(line, &text);
            self.lines.write(&mut text);
        }
        self.search(line, &text, now, outcome);
        self.text = text;
    }

    fn search(&mut self, line: &str, text: &str, now: Duration, outcome: &mut Outcome) {
        if self.is_ignored_first(text, outcome) {
            outcome.ignored = true;
            return;
        }
        let mut content = std::mem::take(&mut self.content);
        self.look_for_failure(line, (text, &mut content), now, outcome);
        self.content = content;
    }

    fn look_for_failure(
        &mut self,
        line: &str,
        (text, content): (&str, &mut String),
        now: Duration,
        outcome: &mut Outcome,
    ) {
        let mut fields = Fields::default();
        let Some(hit) = self.first_hit((text, content), &mut fields, outcome, true) else { return };
        if !self.filter.ignored.is_empty() && self.is_ignored(&self.lines.text(&hit.matched), outcome) {
            outcome.ignored = true;
            self.lines.keep_unmatched(&hit.matched);
            return;
        }
        let told = if hit.matched.several { self.lines.told(&hit.matched) } else { Vec::new() };
        self.lines.keep_unmatched(&hit.matched);
        let host = fields.host();
        let other = match (&host, hit.host) {
            (Some((host, _)), Some(span)) => self.other(text, span, hit.content, host),
            _ => None,
        };
        let told: Vec<&str> = told.iter().map(String::as_str).collect();
        let lines = if hit.matched.several { told.as_slice() } else { &[line] };
        let mut failures = self.memory.failures();
        let Some(failure) = failures.first_mut() else { return };
        let written = Told { failure: &mut *failure, memory: &mut self.memory };
        match self.connections.merge(&mut fields, host, (lines, now), written) {
            Merged::Quiet => outcome.ignored = true,
            Merged::Nobody => {}
            Merged::Failure => {
                (failure.regex, failure.other) = (hit.regex, other);
                outcome.failures = failures;
                return;
            }
        }
        self.memory.take_back(failures);
    }

    /// Where there are few `ignoreregex`es, they are asked before the others.
    fn is_ignored_first(&mut self, text: &str, outcome: &mut Outcome) -> bool {
        let few =
            !self.filter.ignored.is_empty() && self.filter.ignored.len() + 2 < self.filter.failures.len();
        let prefixed = self.filter.prefix.is_some();
        few && self.screen.may_begin(text).0
            && (prefixed || !self.screen.candidates(text, Care::Full).0.is_none())
            && self.is_ignored(text, outcome)
    }

    fn is_ignored(&mut self, text: &str, outcome: &mut Outcome) -> bool {
        let found = &mut self.found;
        self.filter.ignored.iter().any(|pattern| matches(pattern, text, found, outcome))
    }
}

/// Whether an expression matches; one that gave up is counted, and does not.
fn matches(pattern: &Pattern, text: &str, found: &mut Found, outcome: &mut Outcome) -> bool {
    counted(pattern.search(text, found), outcome)
}

fn counted(matched: Result<bool, GaveUp>, outcome: &mut Outcome) -> bool {
    match matched {
        Ok(matched) => matched,
        Err(GaveUp) => {
            outcome.gave_up += 1;
            false
        }
    }
}

/// A line as text: without its end, not longer than is looked at, on one line, and with a sign for what is no UTF-8.
fn readable(line: &[u8]) -> (Cow<'_, str>, bool) {
    let end = line.iter().rposition(|byte| !matches!(byte, b'\r' | b'\n')).map_or(0, |last| last + 1);
    let cut = end > MAX_LINE;
    let line = line.get(..end.min(MAX_LINE)).unwrap_or_default();
    let text = std::str::from_utf8(line).map_or_else(|_| String::from_utf8_lossy(line), Cow::Borrowed);
    // A line end within would let `^` and `$` hold in the middle of what one program wrote.
    (if memchr::memchr(b'\n', line).is_some() { Cow::Owned(text.replace('\n', " ")) } else { text }, cut)
}
