//! Signatures on a header's value (RFC 3261 section 7.3), as patterns over the bytes of a packet.
//!
//! A header begins behind a line end; names know no case, and the short forms are found by the long ones and the other
//! way round. A line that begins with a blank or a tab continues the value of the line before. Only the value is searched.

mod regex;

use regex_syntax::ParserBuilder;
use regex_syntax::hir::Hir;

/// Bound of a pattern, in bytes: as long as `-m string` of iptables allows.
pub const LONGEST_PATTERN: usize = 128;

/// What to look for in the value of a header. Only [`HeaderText::new`] makes one, so it can always be compiled.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct HeaderText {
    header: String,
    pattern: HeaderPattern,
    ignore_case: bool,
    /// From the line end before the header to the colon.
    head: Hir,
    wanted: Vec<Wanted>,
    needle: Hir,
}

/// One way in which a value holds what is wanted.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Wanted {
    /// What may stand between the colon and it: [`ANYTHING`] or [`BLANKS`].
    before: Hir,
    rest: Hir,
}

/// What the value must hold.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub enum HeaderPattern {
    /// These bytes, anywhere in the value.
    Text(String),
    /// A regular expression; `^` and `$` are the ends of the value without the blanks around it.
    Regex(String),
}

/// Why a pattern cannot be searched for.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum PatternMistake {
    #[error("the text is empty")]
    Empty,
    #[error("the expression matches the empty text, so that every packet with this header would be dropped")]
    MatchesEmpty,
    #[error("the expression can never match")]
    NeverMatches,
    #[error("a pattern of {0} bytes; at most {LONGEST_PATTERN} are searched for")]
    TooLong(usize),
    #[error("a line end in the pattern; the value of a header has none")]
    LineEnd,
    #[error("`^` or `$` in the middle of the expression")]
    AnchorInside,
    #[error("a look-around other than `^` and `$`")]
    LookAround,
    #[error("`{0}` is no header name")]
    HeaderName(String),
    /// The parser's words, and where in the expression (bytes).
    #[error("{message}")]
    Syntax { message: String, at: std::ops::Range<usize> },
}

impl HeaderText {
    /// `header` in any spelling, short or long.
    ///
    /// # Errors
    ///
    /// [`PatternMistake`]
    pub fn new(header: &str, pattern: HeaderPattern, ignore_case: bool) -> Result<Self, PatternMistake> {
        if header.is_empty() || !header.bytes().all(is_token) {
            return Err(PatternMistake::HeaderName(header.to_owned()));
        }
        let (HeaderPattern::Text(text) | HeaderPattern::Regex(text)) = &pattern;
        if text.is_empty() {
            return Err(PatternMistake::Empty);
        }
        if text.len() > LONGEST_PATTERN {
            return Err(PatternMistake::TooLong(text.len()));
        }
        let wanted = match &pattern {
            HeaderPattern::Text(text) if text.contains(['\r', '\n']) => return Err(PatternMistake::LineEnd),
            HeaderPattern::Text(text) => {
                let text = regex_syntax::escape(text);
                let rest = expression(&format!("(?{}:{text})", if ignore_case { "i" } else { "" }))?;
                vec![Wanted { before: expression(ANYTHING)?, rest }]
            }
            HeaderPattern::Regex(text) => regex::branches(text, ignore_case)?,
        };
        let name = long_name(header);
        let short = SHORT_NAMES.iter().find(|(_, long)| *long == name).map(|(short, _)| *short);
        let names = match short {
            Some(short) => format!("(?:{}|{short})", regex_syntax::escape(&name)),
            None => regex_syntax::escape(&name),
        };
        let head = expression(&format!("\\n(?i:{names})[ \\t]*:"))?;
        let ways =
            wanted.iter().map(|Wanted { before, rest }| Hir::concat(vec![before.clone(), rest.clone()]));
        let needle = Hir::concat(vec![head.clone(), Hir::alternation(ways.collect())]);
        Ok(Self { header: name, pattern, ignore_case, head, wanted, needle })
    }

    /// The pattern of all these together, for a search that does not ask which of them it found. What they begin with stands
    /// in it once, so that there is much less to compile than in their needles.
    pub fn any_of<'a>(headers: impl IntoIterator<Item = &'a Self>) -> Hir {
        let wanted =
            headers.into_iter().flat_map(|text| text.wanted.iter().map(|wanted| (&text.head, wanted)));
        let of_headers = alike(wanted).into_iter().map(|(head, wanted)| {
            let ways = alike(wanted.into_iter().map(|Wanted { before, rest }| (before, rest.clone())));
            let ways = ways
                .into_iter()
                .map(|(before, rests)| Hir::concat(vec![before.clone(), Hir::alternation(rests)]));
            Hir::concat(vec![head.clone(), Hir::alternation(ways.collect())])
        });
        Hir::alternation(of_headers.collect())
    }

    /// The long name, in small letters.
    pub fn header(&self) -> &str {
        &self.header
    }

    pub fn pattern(&self) -> &HeaderPattern {
        &self.pattern
    }

    /// Whether capital and small letters (ASCII) are the same.
    pub fn ignores_case(&self) -> bool {
        self.ignore_case
    }

    /// The pattern over the bytes of a packet, from the line end before the header to the end of what is wanted.
    pub fn needle(&self) -> &Hir {
        &self.needle
    }
}

/// Any part of a value, as short as can be. A line end is part of it when the next line continues the value.
const ANYTHING: &str = "(?:[^\\n]|\\n[ \\t])*?";
/// What stands between the colon and the value.
const BLANKS: &str = "(?:[ \\t]|\\r?\\n[ \\t])*";
/// The end of a value. The first byte of the next line tells that it does not continue.
const END: &str = "(?:[ \\t\\r]|\\n[ \\t])*\\n[^ \\t]";

/// The compact forms that IANA has registered ("SIP Parameters", Header Fields), with the long names in small letters.
const SHORT_NAMES: [(char, &str); 20] = [
    ('a', "accept-contact"),
    ('b', "referred-by"),
    ('c', "content-type"),
    ('d', "request-disposition"),
    ('e', "content-encoding"),
    ('f', "from"),
    ('i', "call-id"),
    ('j', "reject-contact"),
    ('k', "supported"),
    ('l', "content-length"),
    ('m', "contact"),
    ('n', "identity-info"),
    ('o', "event"),
    ('r', "refer-to"),
    ('s', "subject"),
    ('t', "to"),
    ('u', "allow-events"),
    ('v', "via"),
    ('x', "session-expires"),
    ('y', "identity"),
];

/// The long form of a header name, in small letters.
fn long_name(name: &str) -> String {
    let small = name.to_ascii_lowercase();
    let long = SHORT_NAMES.iter().find(|(short, _)| small.chars().eq([*short])).map(|(_, long)| *long);
    long.map_or(small, str::to_owned)
}

/// RFC 3261 section 25.1.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-.!%*_+`'~".contains(&byte)
}

/// What each key has, in the order of their first ones.
fn alike<K: PartialEq, V>(all: impl Iterator<Item = (K, V)>) -> Vec<(K, Vec<V>)> {
    let mut found: Vec<(K, Vec<V>)> = Vec::new();
    for (key, value) in all {
        match found.iter_mut().find(|(known, _)| *known == key) {
            Some((_, values)) => values.push(value),
            None => found.push((key, vec![value])),
        }
    }
    found
}

fn parser() -> ParserBuilder {
    let mut builder = ParserBuilder::new();
    builder.unicode(false).utf8(false).nest_limit(50);
    builder
}

fn expression(text: &str) -> Result<Hir, PatternMistake> {
    parser().build().parse(text).map_err(|error| regex::syntax(&error))
}

#[cfg(test)]
mod tests;
