//! Digest credentials and challenges (RFC 3261 section 22, RFC 7616).

use crate::anomaly::{Anomalies, Anomaly};
use crate::text::{find_unquoted, is_lws, split, trim, trim_start};

/// What an Authorization or Proxy-Authorization header proves its sender with. Values are without quotes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Credentials<'a> {
    /// `false` for schemes that are not read (Basic, Bearer, AKA variants with other names).
    pub is_digest: bool,
    pub username: Option<&'a [u8]>,
    pub realm: Option<&'a [u8]>,
    pub nonce: Option<&'a [u8]>,
    pub uri: Option<&'a [u8]>,
    pub response: Option<&'a [u8]>,
    pub algorithm: Option<&'a [u8]>,
    pub cnonce: Option<&'a [u8]>,
    pub nc: Option<&'a [u8]>,
    pub qop: Option<&'a [u8]>,
}

/// What a WWW-Authenticate or Proxy-Authenticate header asks for.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Challenge<'a> {
    pub is_digest: bool,
    pub realm: Option<&'a [u8]>,
    pub nonce: Option<&'a [u8]>,
    pub algorithm: Option<&'a [u8]>,
    pub qop: Option<&'a [u8]>,
    /// The nonce was too old: the credentials may have been right.
    pub stale: bool,
}

impl<'a> Credentials<'a> {
    #[must_use]
    pub fn parse(value: &'a [u8], anomalies: &mut Anomalies) -> Self {
        let mut read = Self::default();
        let (scheme, params) = scheme(value);
        read.is_digest = scheme.eq_ignore_ascii_case(b"Digest");
        if !read.is_digest {
            anomalies.insert(Anomaly::AuthSchemeUnknown);
            return read;
        }
        for (name, value) in AuthParams(params) {
            let field = match name.to_ascii_lowercase_array() {
                Some(name) => match name.as_slice() {
                    b"username" => &mut read.username,
                    b"realm" => &mut read.realm,
                    b"nonce" => &mut read.nonce,
                    b"uri" => &mut read.uri,
                    b"response" => &mut read.response,
                    b"algorithm" => &mut read.algorithm,
                    b"cnonce" => &mut read.cnonce,
                    b"nc" => &mut read.nc,
                    b"qop" => &mut read.qop,
                    _ => continue,
                },
                None => continue,
            };
            anomalies.note(field.is_some(), Anomaly::DigestParameterRepeated);
            *field = field.or(Some(value));
        }
        let whole = [read.username, read.realm, read.nonce, read.uri, read.response];
        anomalies.note(whole.iter().any(Option::is_none), Anomaly::DigestInvalid);
        read
    }
}

impl<'a> Challenge<'a> {
    #[must_use]
    pub fn parse(value: &'a [u8]) -> Self {
        let mut read = Self::default();
        let (scheme, params) = scheme(value);
        read.is_digest = scheme.eq_ignore_ascii_case(b"Digest");
        if !read.is_digest {
            return read;
        }
        for (name, value) in AuthParams(params) {
            let Some(name) = name.to_ascii_lowercase_array() else { continue };
            match name.as_slice() {
                b"realm" => read.realm = read.realm.or(Some(value)),
                b"nonce" => read.nonce = read.nonce.or(Some(value)),
                b"algorithm" => read.algorithm = read.algorithm.or(Some(value)),
                b"qop" => read.qop = read.qop.or(Some(value)),
                b"stale" => read.stale = value.eq_ignore_ascii_case(b"true"),
                _ => {}
            }
        }
        read
    }
}

fn scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let end = value.iter().position(|&byte| is_lws(byte)).unwrap_or(value.len());
    value.split_at_checked(end).unwrap_or((value, &[]))
}

/// A name in small letters, on the stack.
struct SmallName {
    bytes: [u8; 9],
    len: usize,
}

impl SmallName {
    fn as_slice(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

trait Lowercase {
    /// `None` for names longer than every known one.
    fn to_ascii_lowercase_array(&self) -> Option<SmallName>;
}

impl Lowercase for &[u8] {
    fn to_ascii_lowercase_array(&self) -> Option<SmallName> {
        let mut bytes = [0; 9];
        let target = bytes.get_mut(..self.len())?;
        for (to, from) in target.iter_mut().zip(self.iter()) {
            *to = from.to_ascii_lowercase();
        }
        Some(SmallName { bytes, len: self.len() })
    }
}

/// `name=value, name="value"`; values lose their quotes.
struct AuthParams<'a>(&'a [u8]);

impl<'a> Iterator for AuthParams<'a> {
    type Item = (&'a [u8], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let rest = trim_start(self.0);
            if rest.is_empty() {
                return None;
            }
            let end = find_unquoted(rest, b',', b',');
            let (one, after) = rest.split_at_checked(end)?;
            self.0 = after.get(1..).unwrap_or_default();
            if let (name, Some(value)) = split(one, b'=') {
                let value = trim(value);
                let inner = match value {
                    [b'"', inner @ .., b'"'] => inner,
                    bare => bare,
                };
                return Some((trim(name), inner));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_in_any_order_and_case() {
        let mut anomalies = Anomalies::NONE;
        let read = Credentials::parse(
            b"digest USERNAME=\"bob, \\\"x\\\"\",\r\n realm=\"a\" , nonce=n1,uri=\"sip:a,b\",response=\"00ff\",nc=00000001,opaque=\"\"",
            &mut anomalies,
        );
        assert!(read.is_digest && anomalies.is_empty(), "{anomalies}");
        assert_eq!(read.username, Some(b"bob, \\\"x\\\"".as_slice()));
        assert_eq!(read.nonce, Some(b"n1".as_slice()));
        assert_eq!(read.uri, Some(b"sip:a,b".as_slice()));
        assert_eq!(read.nc, Some(b"00000001".as_slice()));
    }

    #[test]
    fn incomplete_credentials_are_named() {
        let mut anomalies = Anomalies::NONE;
        let _ = Credentials::parse(b"Digest username=\"a\",username=\"b\"", &mut anomalies);
        assert_eq!(anomalies.to_string(), "digest-invalid, digest-parameter-repeated");
        let mut anomalies = Anomalies::NONE;
        assert!(!Credentials::parse(b"NoOneKnowsThisScheme opaque=x", &mut anomalies).is_digest);
        assert_eq!(anomalies.to_string(), "auth-scheme-unknown");
    }

    #[test]
    fn challenges_tell_old_nonces() {
        let read = Challenge::parse(b"Digest realm=\"asterisk\",nonce=\"12/ab\",stale=TRUE,qop=\"auth\"");
        assert_eq!((read.nonce, read.stale), (Some(b"12/ab".as_slice()), true));
    }
}
