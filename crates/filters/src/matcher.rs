//! A filter at work on a log.
//!
//! What is expensive is done last and seldom: the date is found by the form that found the last one, its value is computed when
//! somebody wants it, and no expression is tried on a line that holds none of the texts that it needs.

/// Lines that belong together by `<F-MLFID>`.
mod connections;
/// The groups of an expression that mean something.
mod groups;
/// Several lines for one expression.
mod lines;
/// Whether somebody else might have been meant.
mod other;
/// What a line must contain.
mod screen;

use std::borrow::Cow;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::date::{Detector, Seen};
use crate::pattern::{Found, GaveUp, Pattern};
use crate::{Filter, Host, MAX_LINE};
use connections::Connections;
use groups::{Fields, Groups, Key};
use lines::{Lines, Matched};
use screen::{Candidates, Screen};

/// How old the last date may be and still count for a line without one, in seconds.
const LAST_DATE_COUNTS: u64 = 60;

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
    prefix_groups: Groups,
    detector: Detector,
    screen: Screen,
    connections: Connections,
    lines: Lines,
    last: Last,
    found: Found,
    /// The line without its date, and a line end.
    text: String,
}

/// The last date, of which the value may not be wanted yet.
#[derive(Clone, Debug, Default)]
struct Last {
    time: Option<Duration>,
    /// A line that has a date, up to a little after it.
    pending: Option<(Seen, Duration)>,
    line: String,
}

/// What the expressions said about a text.
#[derive(Debug)]
struct Hit {
    regex: usize,
    fields: Fields,
    /// Where the host is in the text, if the text says it.
    host: Option<(usize, usize)>,
    matched: Matched,
}

impl Matcher {
    pub fn new(filter: &Filter) -> Self {
        Self {
            groups: filter.failures.iter().map(Groups::of).collect(),
            prefix_groups: filter.prefix.as_ref().map(Groups::of).unwrap_or_default(),
            detector: Detector::new(&filter.forms),
            screen: Screen::new(filter),
            connections: Connections::default(),
            lines: Lines::new(filter.max_lines()),
            last: Last::default(),
            found: Found::default(),
            text: String::new(),
            filter: filter.clone(),
        }
    }

    pub const fn filter(&self) -> &Filter {
        &self.filter
    }

    /// A line of a file, with or without its line end. A date without a zone is in `zone`.
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
        let empty = start == end;
        let candidates = self.screen.candidates(&self.text);
        if candidates.is_none() && self.filter.max_lines() == 1 {
            if let Some(seen) = seen.filter(|_| !empty) {
                self.last.keep(&line, seen, now);
            }
            return outcome;
        }
        let time = match seen.filter(|_| !empty) {
            Some(seen) => self.detector.time(&line, seen, now, zone),
            None => None,
        };
        outcome.dated = time.is_some();
        if time.is_some() {
            self.last.set(time);
        }
        let time = time.unwrap_or_else(|| self.last.or_now(&mut self.detector, now, zone));
        self.judge(&line, candidates, time, now, &mut outcome);
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
        let candidates = self.screen.candidates(&self.text);
        if candidates.is_none() && self.filter.max_lines() == 1 {
            return outcome;
        }
        self.judge(&line, candidates, time, now, &mut outcome);
        outcome
    }

    /// The forms of dates that were found, as a `datepattern` has them, and how often.
    pub fn date_forms(&self) -> impl Iterator<Item = (&str, u64)> {
        self.detector.forms()
    }

    fn judge(
        &mut self,
        line: &str,
        candidates: Candidates,
        time: Duration,
        now: Duration,
        outcome: &mut Outcome,
    ) {
        let mut text = std::mem::take(&mut self.text);
        if self.filter.max_lines() > 1 {
            self.lines.push(line, &text);
            self.lines.write(&mut text);
        }
        let several = self.filter.max_lines() > 1;
        let candidates = if several { self.screen.candidates(&text) } else { candidates };
        if !candidates.is_none() {
            self.search(line, &text, candidates, (time, now), outcome);
        }
        self.text = text;
    }

    fn search(
        &mut self,
        line: &str,
        text: &str,
        candidates: Candidates,
        (time, now): (Duration, Duration),
        outcome: &mut Outcome,
    ) {
        let few_ignored = self.filter.ignored.len() + 2 < self.filter.failures.len();
        if few_ignored && self.is_ignored(text, outcome) {
            outcome.ignored = true;
            return;
        }
        let Some(hit) = self.first_hit(text, candidates, outcome, true) else { return };
        let told = self.lines.told(line, &hit.matched);
        if !self.filter.ignored.is_empty() && self.is_ignored(&self.lines.text(&hit.matched), outcome) {
            outcome.ignored = true;
            self.lines.keep_unmatched(&hit.matched);
            return;
        }
        self.lines.keep_unmatched(&hit.matched);
        let own_host = hit.host;
        let other = own_host.and_then(|span| self.other(text, span, &hit.fields, candidates));
        let Some(merged) = self.connections.merge(hit.fields, told, now) else {
            outcome.ignored = true;
            return;
        };
        if merged.fields.has(Key::NoFail) {
            outcome.ignored = true;
            return;
        }
        let Some((host, id)) = merged.fields.host() else { return };
        let user = merged.fields.get(Key::User).map(str::to_owned);
        let (users, lines) = (merged.users.into_iter().collect(), merged.lines);
        outcome.failures.push(Failure { host, time, user, users, id, regex: hit.regex, lines, other });
    }

    fn is_ignored(&mut self, text: &str, outcome: &mut Outcome) -> bool {
        let found = &mut self.found;
        self.filter.ignored.iter().any(|pattern| matches(pattern, text, found, outcome))
    }

    /// The first expression that matches, after the prefix.
    fn first_hit(
        &mut self,
        text: &str,
        candidates: Candidates,
        outcome: &mut Outcome,
        keep: bool,
    ) -> Option<Hit> {
        let mut base = Fields::default();
        let mut host_before = None;
        let mut start = 0;
        let mut searched = Cow::Borrowed(text);
        if let Some(prefix) = &self.filter.prefix {
            if !matches(prefix, text, &mut self.found, outcome) {
                return None;
            }
            base = self.prefix_groups.fields(text, &self.found);
            host_before = self.prefix_groups.host(&self.found);
            if let Some((from, to)) = prefix.content(text, &self.found).filter(|(from, to)| from < to) {
                start = from;
                let is_rest = to + 1 == text.len();
                searched = if is_rest {
                    Cow::Borrowed(text.get(from..)?)
                } else {
                    Cow::Owned(format!("{}\n", text.get(from..to)?))
                };
                if keep {
                    self.lines.replace(searched.trim_end_matches('\n'));
                }
            }
        }
        for (regex, pattern) in
            self.filter.failures.iter().enumerate().filter(|(regex, _)| candidates.has(*regex))
        {
            if !matches(pattern, &searched, &mut self.found, outcome) {
                continue;
            }
            let groups = self.groups.get(regex)?;
            let mut fields = base;
            fields.update(groups.fields(&searched, &self.found));
            let host = groups.host(&self.found).map(|(from, to)| (start + from, start + to)).or(host_before);
            let matched = self.lines.matched(&searched, &self.found, groups, !self.filter.ignored.is_empty());
            return Some(Hit { regex, fields, host, matched });
        }
        None
    }
}

/// Whether an expression matches; one that gave up is counted, and does not.
fn matches(pattern: &Pattern, text: &str, found: &mut Found, outcome: &mut Outcome) -> bool {
    match pattern.search(text, found) {
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
    (if line.contains(&b'\n') { Cow::Owned(text.replace('\n', " ")) } else { text }, cut)
}

impl Last {
    fn set(&mut self, time: Option<Duration>) {
        self.time = time;
        self.pending = None;
    }

    /// Remembers a line until its date is wanted.
    fn keep(&mut self, line: &str, seen: Seen, now: Duration) {
        let after = line.get(seen.end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        self.line.clear();
        self.line.push_str(line.get(..seen.end + after).unwrap_or(line));
        self.pending = Some((seen, now));
    }

    /// The last date if it is young, else now.
    fn or_now(&mut self, detector: &mut Detector, now: Duration, zone: &TimeZone) -> Duration {
        if let Some((seen, then)) = self.pending.take()
            && let Some(time) = detector.time_again(&self.line, seen, then, zone)
        {
            self.time = Some(time);
        }
        let young = now.saturating_sub(Duration::from_secs(LAST_DATE_COUNTS));
        self.time.filter(|time| *time > young).unwrap_or(now)
    }
}
