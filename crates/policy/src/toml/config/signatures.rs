//! `[[signatures]]`.

use super::{Place, Search, Signature, log_prefix, place};
use crate::ruleset::{HeaderPattern, HeaderText, LONGEST_PATTERN, PatternMistake, Text, TextAlgorithm};
use crate::signature::Matcher;
use crate::toml::defaults::{self, Wanted};
use crate::toml::file;
use crate::toml::reader::{Reader, Span, Spanned};
use crate::toml::values;

pub(super) fn check(
    written: Option<Vec<file::Signature>>,
    prefix: &str,
    reader: &mut Reader<'_>,
) -> Vec<Signature> {
    let Some(written) = written else { return shipped(prefix) };
    let mut signatures: Vec<Signature> = Vec::new();
    for one in &written {
        let Some(signature) = signature(one, prefix, reader) else { continue };
        let (mut same_name, mut same_search) = (None, None);
        for other in &signatures {
            same_name = same_name.or((other.name == signature.name).then_some(other));
            same_search = same_search.or((other.search == signature.search).then_some(other));
        }
        if let Some(other) = same_name {
            let span = one.name.as_ref().map_or(&one.span, |name| &name.span);
            let help = format!("the first is in {}; logs tell signatures apart by name", other.place.0);
            reader.error(span, format!("a second signature `{}`", signature.name), help);
        } else if let Some(other) = same_search {
            let help = format!("`{}` in {} looks for the same", other.name, other.place.0);
            reader.warn(&one.span, "this signature is never the first to be found", help);
        }
        signatures.push(signature);
    }
    signatures
}

/// The signatures of a policy that names none.
fn shipped(prefix: &str) -> Vec<Signature> {
    let shipped = defaults::SIGNATURES.iter().filter_map(|(name, header, wanted)| {
        let pattern = match wanted {
            Wanted::Text(text) => HeaderPattern::Text((*text).to_owned()),
            Wanted::Regex(text) => HeaderPattern::Regex((*text).to_owned()),
        };
        Some(Signature {
            name: (*name).to_owned(),
            place: Place::SHIPPED,
            search: Search::Header(HeaderText::new(header, pattern, true).ok()?),
            log_prefix: prefix.to_owned(),
        })
    });
    shipped.collect()
}

fn signature(written: &file::Signature, prefix: &str, reader: &mut Reader<'_>) -> Option<Signature> {
    match &written.name {
        Some(name) => check_name(name, reader),
        None if written.wrong_name => {}
        None => reader.error(
            &written.span,
            "a signature without a name",
            "add `name = \"…\"`; logs call it by that",
        ),
    }
    let own_prefix = written.log_prefix.as_ref().map(|text| log_prefix(text, reader));
    let search = search(written, reader)?;
    let name = written.name.as_ref()?;
    let log_prefix = own_prefix.unwrap_or_else(|| Some(prefix.to_owned()))?;
    Some(Signature { name: name.value.clone(), place: place(&written.span, reader), search, log_prefix })
}

/// A name stands in log lines and counters as it is.
pub(super) fn check_name(name: &Spanned<String>, reader: &mut Reader<'_>) {
    const LONGEST: usize = 64;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if name.value.is_empty() || name.value.len() > LONGEST || !name.value.chars().all(plain) {
        let help =
            format!("a name is 1 to {LONGEST} letters, digits, `-`, `_` and `.`, as it stands in log lines");
        reader.error(&name.span, format!("`{}` is no name", name.value), help);
    }
}

/// What is wanted, and where: exactly one of `text`, `hex` and `regex`.
fn search(written: &file::Signature, reader: &mut Reader<'_>) -> Option<Search> {
    let ignore_case = written.ignore_case.as_ref().is_some_and(|ignore| ignore.value);
    match (&written.header, &written.text, &written.hex, &written.regex) {
        (None, Some(text), None, None) => {
            in_packet(text.value.as_bytes().to_vec(), ignore_case, &text.span, reader)
        }
        (None, None, Some(hex), None) => {
            let bytes = reader.value(&hex.span, values::hex(&hex.value))?.value;
            in_packet(bytes, ignore_case, &hex.span, reader)
        }
        (Some(header), Some(text), None, None) => {
            in_header(header, HeaderPattern::Text(text.value.clone()), ignore_case, &text.span, reader)
        }
        (Some(header), None, None, Some(regex)) => {
            in_header(header, HeaderPattern::Regex(regex.value.clone()), ignore_case, &regex.span, reader)
        }
        (None, None, None, Some(regex)) => {
            let help =
                "add `header = \"User-Agent\"`; packets as a whole are searched for `text` and `hex` only";
            reader.error(&regex.span, "`regex` without `header`", help);
            None
        }
        (Some(_), None, Some(hex), None) => {
            reader.error(&hex.span, "`hex` with `header`", "use `text`, or a `regex` with `\\x00`");
            None
        }
        (_, None, None, None) => {
            if !written.wrong_pattern {
                let help = "add `text = \"…\"`, or `hex`, or `header` with `text` or `regex`";
                reader.error(&written.span, "a signature that looks for nothing", help);
            }
            None
        }
        (_, text, hex, regex) => {
            let spans = [text, hex, regex].into_iter().flatten().map(|one| &one.span);
            let second = spans.max_by_key(|span| span.start).unwrap_or(&written.span);
            let help = "a signature has one of `text`, `hex` and `regex`; write a signature for each";
            reader.error(second, "a signature that looks for two things", help);
            None
        }
    }
}

fn in_packet(pattern: Vec<u8>, icase: bool, span: &Span, reader: &mut Reader<'_>) -> Option<Search> {
    /// Shorter texts are hit by chance: two bytes at every 65,536th place of encrypted or compressed data.
    const SHORTEST: usize = 3;
    if pattern.is_empty() {
        reader.error(span, "the text is empty", "every packet holds it; write what is to be found");
        return None;
    }
    if pattern.len() > LONGEST_PATTERN {
        let message = format!("a text of {} bytes", pattern.len());
        reader.error(span, message, format!("at most {LONGEST_PATTERN} bytes are searched for"));
        return None;
    }
    if pattern.len() < SHORTEST {
        let help = "it is in many packets by chance; a longer text, or one in a header, is safer";
        reader.warn(span, "a very short text", help);
    }
    // Finds what fragments divide, as the gate does.
    let algorithm = TextAlgorithm::KnuthMorrisPratt;
    Some(Search::Packet(Text { negated: false, algorithm, pattern, from: 0, to: u16::MAX, icase }))
}

fn in_header(
    header: &Spanned<String>,
    pattern: HeaderPattern,
    ignore_case: bool,
    span: &Span,
    reader: &mut Reader<'_>,
) -> Option<Search> {
    let text = match HeaderText::new(&header.value, pattern, ignore_case) {
        Ok(text) => text,
        Err(mistake) => {
            let place = place_of(&mistake, &header.span, span, reader);
            reader.error(&place, mistake.to_string(), advice(&mistake));
            return None;
        }
    };
    // A text needs about a state for each of its bytes and those of the header's name.
    let is_simple = is_plain(text.pattern()) && header.value.len() <= LONGEST_PATTERN;
    if !is_simple && Matcher::new(&text).is_err() {
        let help = "what costs most is `.{20}` behind something that may begin anywhere; begin with `^`, use `*`, or use `text`";
        reader.error(span, "this expression is too complex for the gate", help);
        return None;
    }
    Some(Search::Header(text))
}

/// Whether it is a text, or an expression that only says where in the value a text stands.
fn is_plain(pattern: &HeaderPattern) -> bool {
    let HeaderPattern::Regex(expression) = pattern else { return true };
    let text = expression.strip_prefix('^').unwrap_or(expression);
    let text = text.strip_suffix('$').unwrap_or(text);
    text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b' ' | b'-' | b'_' | b'/'))
}

/// The header's name, the part of the expression, or the whole of it.
fn place_of(mistake: &PatternMistake, header: &Span, pattern: &Span, reader: &Reader<'_>) -> Span {
    let raw = reader.source().text().get(pattern.clone()).unwrap_or_default();
    match mistake {
        PatternMistake::HeaderName(_) => header.clone(),
        // A literal string has one quote before it and no escapes, so that places in it are places in the file.
        PatternMistake::Syntax { at, .. } if raw.starts_with('\'') && !raw.starts_with("'''") => {
            let start = pattern.start + 1 + at.start;
            let end = (pattern.start + 1 + at.end).max(start + 1).min(pattern.end);
            start.min(end)..end
        }
        PatternMistake::Syntax { .. }
        | PatternMistake::Empty
        | PatternMistake::MatchesEmpty
        | PatternMistake::NeverMatches
        | PatternMistake::TooLong(_)
        | PatternMistake::LineEnd
        | PatternMistake::AnchorInside
        | PatternMistake::LookAround => pattern.clone(),
    }
}

fn advice(mistake: &PatternMistake) -> &'static str {
    match mistake {
        PatternMistake::Empty => "every value holds it; write what is to be found",
        PatternMistake::MatchesEmpty => "use `+` where `*` or `?` leaves nothing that must be there",
        PatternMistake::NeverMatches => "a class like `[^\\x00-\\xff]` leaves no byte to match",
        PatternMistake::LineEnd => "a folded value is searched over its lines, but not for the line ends",
        PatternMistake::TooLong(_) => "shorten it to what is typical",
        PatternMistake::AnchorInside => {
            "they stand for the ends of the value, so at the start and at the end of the expression or of an alternative"
        }
        PatternMistake::LookAround => "write the bytes around it instead, as in `[^a-z]sip`",
        PatternMistake::HeaderName(_) => "write the name alone, without the colon: `header = \"User-Agent\"`",
        PatternMistake::Syntax { .. } => {
            "expressions are those of Rust's regex crate over bytes, without Unicode; in a literal string ('…') a backslash stands for itself"
        }
    }
}
