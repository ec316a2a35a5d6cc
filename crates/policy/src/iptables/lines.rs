//! Lines, arguments and where they stand, split as `iptables-restore` splits them.

use std::ops::Range;

/// One line without its end.
#[derive(Clone, Copy, Debug)]
pub(super) struct TextLine<'a> {
    /// 1-based.
    pub(super) number: usize,
    /// Byte offset of its first character in the file.
    pub(super) start: usize,
    pub(super) text: &'a str,
    /// A line feed follows.
    pub(super) terminated: bool,
}

impl TextLine<'_> {
    pub(super) fn span(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }
}

/// All lines; CRLF ends a line like LF.
pub(super) fn lines(text: &str) -> impl Iterator<Item = TextLine<'_>> {
    let mut start = 0;
    text.split_inclusive('\n').enumerate().map(move |(index, raw)| {
        let line = raw.strip_suffix('\n').unwrap_or(raw);
        let bare = line.strip_suffix('\r').unwrap_or(line);
        let line = TextLine { number: index + 1, start, text: bare, terminated: raw.ends_with('\n') };
        start += raw.len();
        line
    })
}

/// One argument of a rule.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Token {
    /// Without the quotes.
    pub(super) text: String,
    /// With the quotes, in bytes of the file.
    pub(super) span: Range<usize>,
}

/// A double quote that is never closed: where it stands.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct OpenQuote(pub(super) Range<usize>);

/// Splits a line at blanks. Only double quotes group; inside them a backslash takes the next character as it is. A closing
/// quote ends the argument, an opening one inside an argument does not begin a new one: `a"b c"d` is `ab c` and `d`.
pub(super) fn tokens(line: &str, start: usize) -> Result<Vec<Token>, OpenQuote> {
    let mut tokens = Vec::new();
    let mut text = String::new();
    let mut began: Option<usize> = None;
    let mut chars = line.char_indices();
    while let Some((at, c)) = chars.next() {
        match c {
            ' ' | '\t' => {
                if let Some(from) = began.take() {
                    tokens.push(Token { text: std::mem::take(&mut text), span: start + from..start + at });
                }
            }
            '"' => {
                let from = *began.get_or_insert(at);
                let end = quoted(&mut chars, &mut text).ok_or(OpenQuote(start + at..start + line.len()))?;
                tokens.push(Token { text: std::mem::take(&mut text), span: start + from..start + end });
                began = None;
            }
            _ => {
                began.get_or_insert(at);
                text.push(c);
            }
        }
    }
    if let Some(from) = began {
        tokens.push(Token { text, span: start + from..start + line.len() });
    }
    Ok(tokens)
}

/// Reads on to the closing quote and returns the offset behind it.
fn quoted(chars: &mut std::str::CharIndices<'_>, text: &mut String) -> Option<usize> {
    while let Some((at, c)) = chars.next() {
        match c {
            '"' => return Some(at + 1),
            '\\' => text.push(chars.next()?.1),
            _ => text.push(c),
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(line: &str) -> Vec<String> {
        tokens(line, 0).unwrap().into_iter().map(|token| token.text).collect()
    }

    #[test]
    fn arguments_split_as_iptables_restore_does() {
        assert_eq!(texts("-A  INPUT\t-j DROP "), ["-A", "INPUT", "-j", "DROP"]);
        assert_eq!(texts(r#"--log-prefix "bad sip: " -x"#), ["--log-prefix", "bad sip: ", "-x"]);
        assert_eq!(texts(r#""a\"b\\c" ''"#), [r#"a"b\c"#, "''"]);
        assert_eq!(texts(r#"a"b c"d "" e\f"#), ["ab c", "d", "", r"e\f"]);
        assert_eq!(texts("'a b'"), ["'a", "b'"]);
    }

    #[test]
    fn spans_cover_the_quotes() {
        let tokens = tokens(r#"-s "a b" c"#, 10).unwrap();
        let spans: Vec<_> = tokens.into_iter().map(|token| token.span).collect();
        assert_eq!(spans, [10..12, 13..18, 19..20]);
    }

    #[test]
    fn a_quote_must_be_closed() {
        assert_eq!(tokens(r#"-j "abc"#, 0), Err(OpenQuote(3..7)));
        assert_eq!(tokens(r#"-j "abc\"#, 0), Err(OpenQuote(3..8)));
    }

    #[test]
    fn crlf_ends_a_line() {
        let all: Vec<_> =
            lines("a\r\n\nb").map(|line| (line.number, line.start, line.text, line.terminated)).collect();
        assert_eq!(all, [(1, 0, "a", true), (2, 3, "", true), (3, 4, "b", false)]);
    }
}
