//! Blanks, tokens, quoted strings and parameters (RFC 3261 section 25.1).

use memchr::{memchr, memchr3};

/// Linear white space: a folded line counts as a blank.
pub(crate) const fn is_lws(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

/// Without white space at both ends.
#[must_use]
pub const fn trim(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    while let [rest @ .., last] = text
        && is_lws(*last)
    {
        text = rest;
    }
    text
}

pub(crate) const fn trim_start(mut text: &[u8]) -> &[u8] {
    while let [first, rest @ ..] = text
        && is_lws(*first)
    {
        text = rest;
    }
    text
}

/// What a token may consist of.
const TOKEN: [bool; 256] = {
    let mut table = [false; 256];
    let mut rest: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-.!%*_+`'~";
    while let [first, others @ ..] = rest {
        #[expect(
            clippy::indexing_slicing,
            reason = "a byte is always within 256 entries; evaluated at compile time"
        )]
        {
            table[*first as usize] = true;
        }
        rest = others;
    }
    table
};

pub(crate) fn is_token_byte(byte: u8) -> bool {
    TOKEN.get(usize::from(byte)).copied().unwrap_or(false)
}

pub(crate) fn is_token(text: &[u8]) -> bool {
    !text.is_empty() && text.iter().all(|&byte| is_token_byte(byte))
}

/// Splits before the first `at`; without one everything is before it.
pub(crate) fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match memchr(at, text).and_then(|index| text.split_at_checked(index)) {
        Some((before, after)) => (before, after.get(1..)),
        None => (text, None),
    }
}

/// Where the quoted string that `text` begins with ends, behind its closing quote; `None` if it does not end.
pub(crate) fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut escaped = false;
    for (index, &byte) in text.iter().enumerate().skip(1) {
        match byte {
            _ if escaped => escaped = false,
            b'\\' => escaped = true,
            b'"' => return Some(index + 1),
            _ => {}
        }
    }
    None
}

/// The index of the first `one` or `other` outside of quotes; the length if there is none.
pub(crate) fn find_unquoted(text: &[u8], one: u8, other: u8) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(found) = memchr3(one, other, b'"', rest) else { break };
        if rest.get(found) != Some(&b'"') {
            return at + found;
        }
        match rest.get(found..).and_then(quoted_end) {
            Some(len) => at += found + len,
            None => break,
        }
    }
    text.len()
}

/// Parameters `;name=value;name` from behind an address, a Via or a URI.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Params<'a>(&'a [u8]);

impl<'a> Params<'a> {
    /// From the first `;` on, or empty.
    pub(crate) const fn new(text: &'a [u8]) -> Self {
        Self(text)
    }

    /// The parameters as they are written.
    #[must_use]
    pub const fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Names and values, both without blanks around them; the value is empty where there is none. Values keep their quotes.
    pub fn iter(self) -> impl Iterator<Item = (&'a [u8], &'a [u8])> {
        let mut rest = self.0;
        std::iter::from_fn(move || {
            loop {
                rest = match rest {
                    [] => return None,
                    [b';', after @ ..] => after,
                    other => other,
                };
                let end = find_unquoted(rest, b';', b';');
                let (one, after) = rest.split_at_checked(end)?;
                rest = after;
                let (name, value) = split(one, b'=');
                let name = trim(name);
                if !name.is_empty() {
                    return Some((name, trim(value.unwrap_or_default())));
                }
                if rest.is_empty() {
                    return None;
                }
            }
        })
    }

    /// The value of the first parameter of that name, in any case.
    #[must_use]
    pub fn get(self, name: &str) -> Option<&'a [u8]> {
        self.iter().find(|(found, _)| found.eq_ignore_ascii_case(name.as_bytes())).map(|(_, value)| value)
    }

    /// The parameters at the start of `text`, up to a comma, each of which `each` is told; whether two separators stand with
    /// nothing between, or one at the end; and what begins with the comma.
    pub(crate) fn read(text: &'a [u8], mut each: impl FnMut(&'a [u8], &'a [u8])) -> (Self, bool, &'a [u8]) {
        let mut at = 0;
        let mut extraneous = false;
        while let Some([b';', rest @ ..]) = text.get(at..) {
            let end = find_unquoted(rest, b';', b',');
            let (name, value) = split(rest.get(..end).unwrap_or(rest), b'=');
            let name = trim(name);
            extraneous |= name.is_empty();
            each(name, trim(value.unwrap_or_default()));
            at += 1 + end;
        }
        let (params, rest) = text.split_at_checked(at).unwrap_or((text, &[]));
        (Self(params), extraneous, rest)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_know_quotes_and_blanks() {
        let params = Params::new(b"; tag = 12;x=\"a;b\\\";c\";lr ;; expires=60");
        let all: Vec<(&[u8], &[u8])> = params.iter().collect();
        let expected: [(&[u8], &[u8]); 4] =
            [(b"tag", b"12"), (b"x", b"\"a;b\\\";c\""), (b"lr", b""), (b"expires", b"60")];
        assert_eq!(all, expected);
        let (read, extraneous, rest) = Params::read(b";a;b=\",\";;c, x", |_, _| {});
        assert_eq!(
            (read.as_bytes(), extraneous, rest),
            (b";a;b=\",\";;c".as_slice(), true, b", x".as_slice())
        );
        assert_eq!(params.get("TAG"), Some(b"12".as_slice()));
    }

    #[test]
    fn blanks_are_trimmed_at_both_ends() {
        assert_eq!(trim(b" \r\n a b\t"), b"a b");
        assert_eq!(trim(b" \t"), b"");
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted_end(b"\"a\\\"b\" <"), Some(6));
        assert_eq!(quoted_end(b"\"abc"), None);
    }
}
