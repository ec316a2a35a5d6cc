//! Addresses with a name and parameters: From, To, Contact (RFC 3261 sections 20.10, 25.1).

use crate::anomaly::{Anomalies, Anomaly};
use crate::text::{
    Params, find, find_any, find_unquoted, is_lws, is_token_byte, quoted_end, trim, trim_start,
};
use crate::uri::Uri;

/// One address.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NameAddr<'a> {
    /// As written, quotes included; empty if there is none.
    pub display_name: &'a [u8],
    /// What stands where a URI should, without blanks.
    pub raw_uri: &'a [u8],
    /// `None` for `*` and for what is no URI.
    pub uri: Option<Uri<'a>>,
    /// Those of the header, not those of the URI.
    pub params: Params<'a>,
    /// The first `tag` parameter.
    pub tag: Option<&'a [u8]>,
}

impl<'a> NameAddr<'a> {
    /// Reads the only address of a From or To.
    #[must_use]
    pub fn parse(value: &'a [u8], anomalies: &mut Anomalies) -> Self {
        let mut anomaly = |holds, anomaly| anomalies.note(holds, anomaly);
        let (display_name, rest) = display_name(value, &mut anomaly);
        let (raw_uri, params) = match rest {
            [b'<', inner @ ..] => {
                let end = find(b'>', inner);
                anomaly(end.is_none(), Anomaly::UnterminatedBracket);
                let (uri, after) = inner.split_at_checked(end.unwrap_or(inner.len())).unwrap_or((inner, &[]));
                let padded = uri.first().is_some_and(|&byte| is_lws(byte))
                    || uri.last().is_some_and(|&byte| is_lws(byte));
                anomaly(padded, Anomaly::AddrSpecWithWhitespace);
                (trim(uri), trim(after.get(1..).unwrap_or_default()))
            }
            bare => {
                // Without brackets a parameter belongs to the header.
                let end = find_any([b';', b','], bare).unwrap_or(bare.len());
                let (uri, after) = bare.split_at_checked(end).unwrap_or((bare, &[]));
                anomaly(find(b'?', uri).is_some(), Anomaly::AddrSpecNeedsBrackets);
                (trim(uri), after)
            }
        };
        let mut tags = 0;
        let mut tag = None;
        let (params, extraneous, _) = Params::read(params, |name, value| {
            if name.len() == 3 && name.eq_ignore_ascii_case(b"tag") {
                tags += 1;
                tag = tag.or(Some(value));
            }
        });
        anomaly(extraneous, Anomaly::ExtraneousSeparators);
        anomaly(tags > 1, Anomaly::TagRepeated);
        let uri = Uri::parse(raw_uri);
        anomaly(uri.is_none() && raw_uri != b"*", Anomaly::UriInvalid);
        Self { display_name, raw_uri, uri, params, tag }
    }

    /// Reads the first address of a list (Contact), and what follows its comma.
    #[must_use]
    pub fn parse_first(list: &'a [u8], anomalies: &mut Anomalies) -> (Self, &'a [u8]) {
        let end = list_end(list);
        let (one, rest) = list.split_at_checked(end).unwrap_or((list, &[]));
        (Self::parse(trim(one), anomalies), trim_start(rest.get(1..).unwrap_or_default()))
    }

    /// The user of the URI, without parameters of its own.
    #[must_use]
    pub fn account(&self) -> Option<&'a [u8]> {
        self.uri.and_then(|uri| uri.account())
    }
}

/// The name and what follows it, without blanks before.
fn display_name<'a>(value: &'a [u8], anomaly: &mut impl FnMut(bool, Anomaly)) -> (&'a [u8], &'a [u8]) {
    if value.first() == Some(&b'<') {
        return (&[], value);
    }
    if value.first() == Some(&b'"') {
        if let Some((name, rest)) = quoted_end(value).and_then(|end| value.split_at_checked(end)) {
            return (name, trim_start(rest));
        }
        anomaly(true, Anomaly::UnterminatedQuote);
    }
    let Some(bracket) = find(b'<', value) else { return (&[], value) };
    let (name, rest) = value.split_at_checked(bracket).unwrap_or((&[], value));
    let name = trim(name);
    // Letters beyond ASCII are not in the grammar either, but half of the world writes its names with them.
    let is_word = |&byte: &u8| is_token_byte(byte) || is_lws(byte) || byte >= 0x80;
    let quoted = name.first() == Some(&b'"');
    anomaly(!quoted && !name.iter().all(is_word), Anomaly::DisplayNameNotQuoted);
    (name, rest)
}

/// Where the first element of a list ends: at a comma outside of quotes and brackets.
fn list_end(list: &[u8]) -> usize {
    let mut at = 0;
    while let Some(rest) = list.get(at..) {
        let found = find_unquoted(rest, b',', b'<');
        if rest.get(found) != Some(&b'<') {
            return at + found;
        }
        at += found;
        match list.get(at..).and_then(|rest| find(b'>', rest)) {
            Some(close) => at += close + 1,
            None => return list.len(),
        }
    }
    list.len()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> (NameAddr<'_>, String) {
        let mut anomalies = Anomalies::NONE;
        let address = NameAddr::parse(value.as_bytes(), &mut anomalies);
        (address, anomalies.to_string())
    }

    #[test]
    fn names_uris_and_tags() {
        for (value, name, user, tag) in [
            ("\"O'Brien, \\\"J\\\"\" <sip:1000@h>;tag=a1", "\"O'Brien, \\\"J\\\"\"", "1000", Some("a1")),
            ("Desk 1 <sip:1000@h;tag=no> ; tag = a1;x", "Desk 1", "1000", Some("a1")),
            ("sip:1000@h;tag=a1", "", "1000", Some("a1")),
            ("caller<sip:1000@h>", "caller", "1000", None),
            ("<sip:1000@h>", "", "1000", None),
            ("J\u{f6}rg <sip:1000@h>", "J\u{f6}rg", "1000", None),
        ] {
            let (address, anomalies) = parse(value);
            assert_eq!(anomalies, "", "{value}");
            assert_eq!(address.display_name, name.as_bytes());
            assert_eq!(address.account(), Some(user.as_bytes()));
            assert_eq!(address.tag, tag.map(str::as_bytes));
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (value, expected) in [
            ("\"Mr. J <sip:a@b>", "unterminated-quote"),
            ("Bell, A <sip:a@b>", "display-name-not-quoted"),
            ("\"W\" < sip:a@b >", "addr-spec-with-whitespace"),
            ("<sip:a@b", "unterminated-bracket"),
            ("sip:a@b?Route=x", "addr-spec-needs-brackets"),
            ("<sip:a@b>;;tag=1", "extraneous-separators"),
            ("<sip:a@b>;tag=1;tag=2", "tag-repeated"),
            ("alice", "uri-invalid"),
        ] {
            assert_eq!(parse(value).1, expected, "{value}");
        }
    }

    #[test]
    fn lists_are_cut_at_their_commas() {
        let list = b"\"a,b\" <sip:a,b@c>;q=1 , sip:d@e;x, *";
        let mut anomalies = Anomalies::NONE;
        let (first, rest) = NameAddr::parse_first(list, &mut anomalies);
        assert_eq!(first.raw_uri, b"sip:a,b@c");
        let (second, rest) = NameAddr::parse_first(rest, &mut anomalies);
        assert_eq!(second.raw_uri, b"sip:d@e");
        let (third, rest) = NameAddr::parse_first(rest, &mut anomalies);
        assert_eq!((third.raw_uri, rest), (b"*".as_slice(), b"".as_slice()));
        assert!(anomalies.is_empty());
    }
}
