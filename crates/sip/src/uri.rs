//! URIs in requests and addresses (RFC 3261 section 19.1, RFC 3966).

use crate::number::Number;
use crate::text::{Params, find, find_any, trim};

/// The scheme of a URI, in any case.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Scheme {
    Other,
    Sip,
    Sips,
    Tel,
}

/// A URI's parts. Escapes (`%41`) stay as they are; [`unescape`] resolves them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Uri<'a> {
    pub scheme: Scheme,
    /// What stands before `@`, without the password; of `tel` the number. Parameters of the user (`;npdi;rn=…`) are part of it.
    pub user: Option<&'a [u8]>,
    pub password: Option<&'a [u8]>,
    /// Name or address; an IPv6 address without its brackets. Empty for `tel` and unknown schemes.
    pub host: &'a [u8],
    pub port: Option<u16>,
    pub params: Params<'a>,
    /// What follows `?`: headers that a request made from this URI gets.
    pub headers: Option<&'a [u8]>,
    /// As it is written.
    pub raw: &'a [u8],
}

impl<'a> Uri<'a> {
    /// Reads a URI. `None` when it has no scheme, or is a `sip` URI without a host.
    #[must_use]
    pub fn parse(raw: &'a [u8]) -> Option<Self> {
        let (scheme, rest) = match raw {
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b':', rest @ ..] => (Scheme::Sip, rest),
            [b's' | b'S', b'i' | b'I', b'p' | b'P', b's' | b'S', b':', rest @ ..] => (Scheme::Sips, rest),
            [b't' | b'T', b'e' | b'E', b'l' | b'L', b':', rest @ ..] => (Scheme::Tel, rest),
            _ => {
                let (name, rest) = raw.split_at_checked(find(b':', raw)?)?;
                (is_scheme(name).then_some(Scheme::Other)?, rest)
            }
        };
        let empty = Self {
            scheme,
            user: None,
            password: None,
            host: &[],
            port: None,
            params: Params::default(),
            headers: None,
            raw,
        };
        match scheme {
            Scheme::Sip | Scheme::Sips => empty.read_sip(rest),
            Scheme::Tel => {
                let end = find(b';', rest).unwrap_or(rest.len());
                let (number, params) = rest.split_at_checked(end)?;
                Some(Self { user: Some(number), params: Params::new(params), ..empty })
            }
            Scheme::Other => Some(empty),
        }
    }

    fn read_sip(mut self, rest: &'a [u8]) -> Option<Self> {
        let mut host_part = rest;
        if let Some(at) = find(b'@', rest) {
            let (info, host) = rest.split_at_checked(at)?;
            let colon = find(b':', info);
            self.user = info.get(..colon.unwrap_or(info.len()));
            self.password = colon.and_then(|colon| info.get(colon + 1..));
            host_part = host.get(1..)?;
        }
        let after = if let [b'[', inner @ ..] = host_part {
            let end = find(b']', inner)?;
            self.host = inner.get(..end)?;
            inner.get(end + 1..)?
        } else {
            let end = find_any([b':', b';', b'?'], host_part).unwrap_or(host_part.len());
            let (host, after) = host_part.split_at_checked(end)?;
            self.host = host;
            after
        };
        if after.is_empty() {
            return (!self.host.is_empty()).then_some(self);
        }
        let end = find_any([b';', b'?'], after).unwrap_or(after.len());
        let (port, after) = after.split_at_checked(end)?;
        if let [b':', digits @ ..] = port {
            self.port = Some(u16::try_from(Number::read(trim(digits)).up_to(u64::from(u16::MAX))?).ok()?);
        } else if !port.is_empty() {
            return None;
        }
        let end = find(b'?', after).unwrap_or(after.len());
        let (params, headers) = after.split_at_checked(end)?;
        self.params = Params::new(params);
        self.headers = headers.get(1..);
        (!self.host.is_empty()).then_some(self)
    }

    /// The user without its own parameters: `+1555;npdi;rn=+1444` is `+1555`.
    #[must_use]
    pub fn account(&self) -> Option<&'a [u8]> {
        let user = self.user?;
        user.get(..find(b';', user).unwrap_or(user.len()))
    }
}

fn is_scheme(name: &[u8]) -> bool {
    name.first().is_some_and(u8::is_ascii_alphabetic)
        && name.iter().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'+' | b'-' | b'.'))
}

/// The bytes that escapes stand for; a `%` without two digits stands for itself.
pub fn unescape(text: &[u8]) -> impl Iterator<Item = u8> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (byte, after) = match rest {
            [b'%', high, low, after @ ..] => match (digit(*high), digit(*low)) {
                (Some(high), Some(low)) => (high << 4 | low, after),
                _ => (b'%', rest.get(1..)?),
            },
            [byte, after @ ..] => (*byte, after),
            [] => return None,
        };
        rest = after;
        Some(byte)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Uri<'_> {
        Uri::parse(text.as_bytes()).expect("a URI")
    }

    #[test]
    fn all_parts_are_found() {
        let uri = parse("SIPS:alice;day=tuesday:s3cret@[2001:db8::1]:5071;transport=tcp?subject=x");
        assert_eq!(uri.scheme, Scheme::Sips);
        assert_eq!(uri.user, Some(b"alice;day=tuesday".as_slice()));
        assert_eq!(uri.account(), Some(b"alice".as_slice()));
        assert_eq!(uri.password, Some(b"s3cret".as_slice()));
        assert_eq!(uri.host, b"2001:db8::1");
        assert_eq!(uri.port, Some(5071));
        assert_eq!(uri.params.get("transport"), Some(b"tcp".as_slice()));
        assert_eq!(uri.headers, Some(b"subject=x".as_slice()));
    }

    #[test]
    fn hosts_alone_and_numbers() {
        let uri = parse("sip:example.com;lr");
        assert_eq!((uri.user, uri.host, uri.port), (None, b"example.com".as_slice(), None));
        let uri = parse("tel:+358-555-1234567;postd=pp22");
        assert_eq!((uri.scheme, uri.user), (Scheme::Tel, Some(b"+358-555-1234567".as_slice())));
        assert_eq!(parse("http://example.com").scheme, Scheme::Other);
    }

    #[test]
    fn what_is_no_uri() {
        for text in ["", "alice", "sip:", "sip:a@", "sip:a@b:x", "sip:a@b:99999", "sip:[::1", ":a@b", "1x:a"]
        {
            assert_eq!(Uri::parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn escapes_are_resolved() {
        let bytes: Vec<u8> = unescape(b"%52%4d%2z%").collect();
        assert_eq!(bytes, b"RM%2z%");
    }
}
