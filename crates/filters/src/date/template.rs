use std::time::Duration;

use jiff::tz::TimeZone;

use super::civil::{Calendar, Clock, Part};
use super::fields;
use crate::Error;
use crate::pattern::{Found, Haystack, Pattern};
use crate::python::{self, Flags};

/// A form in which a date may be written.
#[derive(Clone, Debug)]
pub(super) struct Template {
    /// As a user would write it.
    pub(super) name: String,
    pub(super) pattern: Pattern,
    /// Holds at the beginning or the end of the line only.
    pub(super) anchored: bool,
    /// How much it is preferred.
    pub(super) weight: f64,
    kind: Kind,
    /// What groups say, by their number: what nearly every date says, and the rest.
    clock: Clock,
    rest: Vec<(Part, usize)>,
    /// All groups that are asked for.
    pub(super) groups: Vec<usize>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Kind {
    Parts,
    /// Seconds; `long` also milliseconds and microseconds.
    Epoch {
        group: usize,
        long: bool,
    },
    Tai64n,
}

/// Where it may begin.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Begin {
    Anywhere,
    Word,
    Line,
}

const LINE: &str = "{^LN-BEG}";
const UNBOUND: &str = "{UNB}";

impl Template {
    /// What a `datepattern` of one line says, unless it asks for the default ones.
    pub(super) fn new(pattern: &str) -> Result<Self, Error> {
        let key = if pattern.contains('%') { pattern.to_owned() } else { pattern.to_uppercase() };
        let (start, word) = match key.strip_prefix(LINE).or_else(|| key.strip_prefix('^')) {
            Some(word) => (true, word),
            None => (false, key.as_str()),
        };
        match word {
            "EPOCH" | "LEPOCH" => Self::epoch(start, word == "LEPOCH"),
            "TAI64N" => Self::tai64n(start),
            _ if epoch_tag(pattern).is_some() => Self::epoch_within(pattern),
            _ if key == "{NONE}" => Self::parts("{UNB}^"),
            _ => Self::parts(pattern),
        }
    }

    fn parts(pattern: &str) -> Result<Self, Error> {
        let (unbound, bare) = stripped(pattern, UNBOUND);
        let (line, bare) = if unbound { (false, bare) } else { stripped(bare, LINE) };
        let begin = match (unbound, line) {
            (true, _) => Begin::Anywhere,
            (_, true) => Begin::Line,
            _ => Begin::Word,
        };
        let mut regex = fields::expand(bare)?;
        if fields::has_words(bare) {
            regex.insert_str(0, "(?iu)");
        }
        Self::build(pattern, &regex, (begin, !unbound), Kind::Parts)
    }

    fn epoch(start: bool, long: bool) -> Result<Self, Error> {
        let digits = epoch_digits(long);
        let kind = Kind::Epoch { group: 1, long };
        let name = if long { "LEPOCH" } else { "EPOCH" };
        if start {
            return Self::build(&format!("{LINE}{name}"), &format!("({digits})"), (Begin::Line, true), kind);
        }
        // At the beginning of the line, in a bracket there, or where SELinux puts it. The brackets behind it, which fail2ban
        // asks for, it does not insist on.
        let regex = format!(r"(?:^\[?|\baudit\()({digits})");
        let mut template = Self::build(name, &regex, (Begin::Anywhere, true), kind)?;
        template.anchored = false;
        Ok(template)
    }

    /// `{EPOCH}` within something else.
    fn epoch_within(pattern: &str) -> Result<Self, Error> {
        let mut regex = String::new();
        let mut rest = pattern;
        let mut long = false;
        while let Some((start, end, is_long)) = epoch_tag(rest) {
            regex.push_str(rest.get(..start).unwrap_or_default());
            regex.push_str(&format!("({})", epoch_digits(is_long)));
            rest = rest.get(end..).unwrap_or_default();
            long |= is_long;
        }
        regex.push_str(rest);
        if !has_group(pattern) {
            regex = format!("({regex})");
        }
        Self::build(pattern, &regex, (Begin::Word, true), Kind::Epoch { group: 2, long })
    }

    fn tai64n(start: bool) -> Result<Self, Error> {
        let begin = if start { Begin::Line } else { Begin::Anywhere };
        let name = if start { "{^LN-BEG}TAI64N" } else { "TAI64N" };
        Self::build(name, "@[0-9a-f]{24}", (begin, true), Kind::Tai64n)
    }

    /// Adds what fail2ban adds: a group for the whole, and bounds unless there are some.
    fn build(name: &str, regex: &str, (begin, end): (Begin, bool), kind: Kind) -> Result<Self, Error> {
        let regex = regex.trim();
        let (flags, bare) = first_flags(regex);
        let begin = if begins_bound(&bare) { Begin::Anywhere } else { begin };
        let end = end && !ends_bound(&bare);
        let mut regex = if has_group(&bare) { bare } else { grouped(&bare) };
        if begin == Begin::Word {
            regex.insert_str(0, r"(?=^|\b|\W)");
        } else if begin == Begin::Line {
            regex.insert_str(0, r"^(?:\W{0,2})?");
        }
        if end {
            regex.push_str(r"(?=\b|\W|$)");
        }
        let anchored = begin == Begin::Line || begins_line(&regex) || ends_line(&regex);
        let regex = format!("{flags}{}", without_stars(&regex));
        let tree = python::parse(&regex, Flags::default()).map_err(|error| error.regex(&regex))?;
        let pattern = Pattern::of(tree, Haystack::Line).map_err(|error| error.regex(&regex))?;
        let parts: Vec<(Part, usize)> =
            pattern.names().iter().filter_map(|(name, group)| Some((Part::named(name)?, *group))).collect();
        let of_kind = if let Kind::Epoch { group, .. } = kind { Some(group) } else { None };
        let groups = parts.iter().map(|(_, group)| *group).chain(of_kind).chain([1]).collect();
        let weight = 1.0;
        let (clock, rest) = Clock::of(parts);
        Ok(Self { name: name.to_owned(), pattern, anchored, weight, kind, clock, rest, groups })
    }

    /// The time that a match says; `None` if there is no such time.
    pub(super) fn time(
        &self,
        text: &str,
        found: &Found,
        (now, zone): (Duration, &TimeZone),
        calendar: &mut Calendar,
    ) -> Option<Duration> {
        match self.kind {
            Kind::Parts => {
                let of_group = |group: usize| found.bytes(text.as_bytes(), group);
                let mut parts = self.clock.read(of_group)?;
                for (part, group) in &self.rest {
                    if let Some(text) = of_group(*group) {
                        parts.set(*part, text)?;
                    }
                }
                parts.time(now, zone, calendar)
            }
            Kind::Epoch { group, long } => epoch_time(found.text(text, group)?, long),
            Kind::Tai64n => {
                let seconds = u64::from_str_radix(found.text(text, 1)?.get(2..17)?, 16).ok()?;
                Some(Duration::from_secs(seconds))
            }
        }
    }
}

fn epoch_digits(long: bool) -> &'static str {
    if long { r"\d{10,11}(?:\d{3}(?:\.\d{1,6}|\d{3})?)?" } else { r"\d{10,11}\b(?:\.\d{3,6})?" }
}

fn epoch_time(text: &str, long: bool) -> Option<Duration> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let whole: u64 = whole.parse().ok()?;
    let fraction = format!("{fraction:0<6}").parse().ok()?;
    match text.len() {
        16.. if long && !text.contains('.') => Some(Duration::from_micros(whole)),
        13.. if long => Some(Duration::from_millis(whole) + Duration::from_nanos(fraction)),
        _ => Some(Duration::from_secs(whole) + Duration::from_micros(fraction)),
    }
}

/// The first `{EPOCH}` or `{LEPOCH}`: start, end, and whether it is the long one.
fn epoch_tag(pattern: &str) -> Option<(usize, usize, bool)> {
    let upper = pattern.to_ascii_uppercase();
    let tags = [("{EPOCH}", false), ("{LEPOCH}", true)];
    let found = tags.into_iter().filter_map(|(tag, long)| {
        let start = upper.find(tag)?;
        let escaped = upper.get(..start).is_some_and(|before| before.ends_with('\\'));
        (!escaped).then_some((start, start + tag.len(), long))
    });
    found.min()
}

/// A date pattern without what binds it to a place.
pub(super) fn unbound(pattern: &str) -> &str {
    let (_, pattern) = stripped(pattern, UNBOUND);
    stripped(pattern, LINE).1
}

fn stripped<'a>(text: &'a str, prefix: &str) -> (bool, &'a str) {
    text.strip_prefix(prefix).map_or((false, text), |rest| (true, rest))
}

/// The first `(?letters)`, and the rest without it.
fn first_flags(regex: &str) -> (String, String) {
    let flags = regex.match_indices("(?").find_map(|(start, _)| {
        let end = start + regex.get(start..)?.find(')')? + 1;
        let letters = regex.get(start + 2..end - 1)?;
        let good = !letters.is_empty() && letters.chars().all(|letter| letter.is_ascii_lowercase());
        good.then_some((start, end))
    });
    match flags {
        Some((start, end)) => {
            let part = |range| regex.get(range).unwrap_or_default();
            (part(start..end).to_owned(), format!("{}{}", part(0..start), part(end..regex.len())))
        }
        None => (String::new(), regex.to_owned()),
    }
}

/// Whether there is a group without a name that captures.
fn has_group(regex: &str) -> bool {
    let bytes = regex.as_bytes();
    bytes.iter().enumerate().any(|(at, byte)| {
        let before = |steps: usize| at.checked_sub(steps).and_then(|at| bytes.get(at)).copied();
        let asks = before(1) == Some(b'?') && before(2) == Some(b'(');
        *byte == b'(' && !asks && before(1) != Some(b'\\') && bytes.get(at + 1) != Some(&b'?')
    })
}

/// Puts all between `^` and `$` into a group.
fn grouped(regex: &str) -> String {
    let (start, rest) = if let Some(rest) = regex.strip_prefix('^') { ("^", rest) } else { ("", regex) };
    let (rest, end) = if let Some(rest) = rest.strip_suffix('$') { (rest, "$") } else { (rest, "") };
    format!("{start}({rest}){end}")
}

/// `^`, `**`, `(^`, `(?:^` at the beginning: it says itself where it begins.
fn begins_bound(regex: &str) -> bool {
    let rest = regex.trim_start_matches('(');
    rest.starts_with('^') || rest.starts_with("**") || (rest.len() < regex.len() && rest.starts_with("?:^"))
}

fn ends_bound(regex: &str) -> bool {
    let closed = regex.trim_end_matches(')');
    let unescaped =
        |text: &str, suffix: &str| text.strip_suffix(suffix).is_some_and(|before| !before.ends_with('\\'));
    let dollar = regex.strip_suffix(')').is_some_and(|inner| unescaped(inner, "$")) || unescaped(regex, "$");
    dollar || unescaped(regex, r"\b") || unescaped(regex, r"\s") || unescaped(closed, "**")
}

fn begins_line(regex: &str) -> bool {
    let group = regex.strip_prefix("(?:").or_else(|| regex.strip_prefix('('));
    let in_group = group.and_then(|rest| rest.strip_prefix('^')).is_some_and(|rest| !rest.starts_with('|'));
    regex.starts_with('^') || in_group
}

fn ends_line(regex: &str) -> bool {
    let inner = regex.strip_suffix(')').unwrap_or(regex);
    [inner, regex]
        .iter()
        .any(|text| text.strip_suffix('$').is_some_and(|before| !before.ends_with(['\\', '|'])))
}

/// `**` at either end says that it has no bounds; nothing else.
fn without_stars(regex: &str) -> String {
    let open = regex.len() - regex.trim_start_matches('(').len();
    let (parens, rest) = regex.split_at_checked(open).unwrap_or(("", regex));
    let rest = rest.strip_prefix("**").unwrap_or(rest);
    let close = rest.trim_end_matches(')');
    let tail = rest.get(close.len()..).unwrap_or_default();
    let body = close.strip_suffix("**").filter(|body| !body.ends_with('\\')).unwrap_or(close);
    format!("{parens}{body}{tail}")
}
