//! Blanks, tokens, quoted strings and parameters (RFC 3261 section 25.1).

/// Linear white space: a folded line counts as a blank.
pub(crate) const fn is_lws(byte: u8) -> bool {
    // Nearly no byte that is asked for is one.
    byte <= b' ' && matches!(byte, b' ' | b'\t' | b'\r' | b'\n')
}

pub(crate) fn find_lws(text: &[u8]) -> Option<usize> {
    find_any([b' ', b'\t', b'\r', b'\n'], text)
}

pub(crate) fn has_lws(text: &[u8]) -> bool {
    find_lws(text).is_some()
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

/// Where `text` begins and ends from a place on, without white space at both ends.
pub(crate) fn bounds(text: &[u8], from: usize) -> (usize, usize) {
    let (mut from, mut end) = (from, text.len());
    while text.get(from).is_some_and(|byte| is_lws(*byte)) {
        from += 1;
    }
    while from < end && text.get(end - 1).is_some_and(|byte| is_lws(*byte)) {
        end -= 1;
    }
    (from, end)
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

/// Where the first of `bytes` stands. Fields are short, so this is inlined and looks at eight bytes at a time; for what may be
/// long, `memchr` is faster.
#[inline]
pub(crate) fn find_any<const N: usize>(bytes: [u8; N], text: &[u8]) -> Option<usize> {
    const LOW: u64 = 0x0101_0101_0101_0101;
    const HIGH: u64 = 0x8080_8080_8080_8080;
    let in_word = |word: u64| {
        let mut found = 0;
        for byte in bytes {
            // The lowest bit that is set is right: a borrow only disturbs the bytes above it.
            let differs = word ^ (LOW * u64::from(byte));
            found |= differs.wrapping_sub(LOW) & !differs & HIGH;
        }
        (found != 0).then(|| found.trailing_zeros() as usize / 8)
    };
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        if let Some(at) = in_word(u64::from_le_bytes(*word)) {
            return Some(index * 8 + at);
        }
    }
    if rest.is_empty() {
        return None;
    }
    // The last eight bytes, some of which were looked at already: no loop whose length nobody can predict.
    if let Some(last) = text.last_chunk::<8>() {
        return in_word(u64::from_le_bytes(*last)).map(|at| text.len() - 8 + at);
    }
    rest.iter().position(|byte| bytes.contains(byte))
}

#[inline]
pub(crate) fn find(byte: u8, text: &[u8]) -> Option<usize> {
    find_any([byte], text)
}

/// Splits before the first `at`; without one everything is before it.
pub(crate) fn split(text: &[u8], at: u8) -> (&[u8], Option<&[u8]>) {
    match find(at, text).and_then(|index| text.split_at_checked(index)) {
        Some((before, after)) => (before, after.get(1..)),
        None => (text, None),
    }
}

/// Where the quoted string that `text` begins with ends, behind its closing quote; `None` if it does not end.
pub(crate) fn quoted_end(text: &[u8]) -> Option<usize> {
    let mut at = 1;
    loop {
        let rest = text.get(at..)?;
        let found = find_any([b'"', b'\\'], rest)?;
        if rest.get(found) == Some(&b'"') {
            return Some(at + found + 1);
        }
        // Whatever follows a backslash is part of the string.
        at += found + 2;
    }
}

/// The index of the first `one` or `other` outside of quotes; the length if there is none.
pub(crate) fn find_unquoted(text: &[u8], one: u8, other: u8) -> usize {
    let mut at = 0;
    while let Some(rest) = text.get(at..) {
        let Some(found) = find_any([one, other, b'"'], rest) else { break };
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
            let (name, value, end) = parameter(rest);
            extraneous |= name.is_empty();
            each(name, value);
            at += 1 + end;
        }
        let (params, rest) = text.split_at_checked(at).unwrap_or((text, &[]));
        (Self(params), extraneous, rest)
    }
}

/// Name and value of the parameter at the start of `text`, without blanks around them, and where it ends: at a `;` or `,` outside of
/// quotes.
fn parameter(text: &[u8]) -> (&[u8], &[u8], usize) {
    // Most names end with a `=` that no quote stands before.
    let sign = find_any([b'=', b';', b',', b'"'], text).unwrap_or(text.len());
    let (name, after) = text.split_at_checked(sign).unwrap_or((text, &[]));
    match after {
        [b'=', value @ ..] => {
            let len = find_unquoted(value, b';', b',');
            (trim(name), trim(value.get(..len).unwrap_or(value)), sign + 1 + len)
        }
        [b'"', ..] => {
            let end = find_unquoted(text, b';', b',');
            let (name, value) = split(text.get(..end).unwrap_or(text), b'=');
            (trim(name), trim(value.unwrap_or_default()), end)
        }
        _ => (trim(name), &[], sign),
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
    fn short_searches_find_the_first() {
        let text = b"0123456789abcdef;01234,567";
        for len in 0..text.len() {
            for byte in [b'0', b'7', b'8', b';', b',', b'x'] {
                let expected = text[..len].iter().position(|&other| other == byte);
                assert_eq!(find(byte, &text[..len]), expected);
            }
        }
        assert_eq!(find_any([b',', b';'], text), Some(16));
        assert_eq!(find_any([0x80, 0xff], b"\x7f\x81\x7f\x7f\x7f\x7f\x7f\xff"), Some(7));
    }

    #[test]
    fn a_quoted_string_ends_at_its_own_quote() {
        assert_eq!(quoted_end(b"\"a\\\"b\" <"), Some(6));
        assert_eq!(quoted_end(b"\"abc"), None);
        assert_eq!(quoted_end(b"\"abc\\"), None);
        assert_eq!(quoted_end(b"\"abc\\\""), None);
    }
}
