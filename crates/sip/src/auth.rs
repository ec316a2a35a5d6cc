//! Digest credentials and challenges (RFC 3261 section 22, RFC 7616).

use crate::anomaly::{Anomalies, Anomaly};
use crate::plain;
use crate::signs::Walk;
use crate::text::{find_any, find_lws, find_unquoted, quoted_end, split, trim, trim_start};

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
            let Some(field) = read.field(name) else { continue };
            anomalies.note(field.is_some(), Anomaly::DigestParameterRepeated);
            *field = field.or(Some(value));
        }
        anomalies.note(!read.is_whole(), Anomaly::DigestInvalid);
        read
    }

    /// A value whose signs are known, from `at` on.
    pub(crate) fn read(walk: Walk<'_, 'a>, at: usize, anomalies: &mut Anomalies) -> Self {
        let value = walk.text(at, walk.end());
        let mut read = Self { is_digest: true, ..Self::default() };
        let is_plain = plain::digest(walk, at, |name, value| {
            let Some(field) = read.field(name) else { return Some(()) };
            field.replace(value).is_none().then_some(())
        });
        if is_plain.is_some() && read.is_whole() { read } else { Self::parse(value, anomalies) }
    }

    /// Where the parameter of that name is kept.
    fn field(&mut self, name: &[u8]) -> Option<&mut Option<&'a [u8]>> {
        Some(match Parameter::of(name)? {
            Parameter::Username => &mut self.username,
            Parameter::Realm => &mut self.realm,
            Parameter::Nonce => &mut self.nonce,
            Parameter::Uri => &mut self.uri,
            Parameter::Response => &mut self.response,
            Parameter::Algorithm => &mut self.algorithm,
            Parameter::Cnonce => &mut self.cnonce,
            Parameter::Nc => &mut self.nc,
            Parameter::Qop => &mut self.qop,
            Parameter::Stale => return None,
        })
    }

    /// Whether it has all that a digest cannot do without.
    fn is_whole(&self) -> bool {
        [self.username, self.realm, self.nonce, self.uri, self.response].iter().all(Option::is_some)
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
        AuthParams(params).for_each(|(name, value)| read.put(name, value));
        read
    }

    /// A value whose signs are known, from `at` on.
    pub(crate) fn read(walk: Walk<'_, 'a>, at: usize) -> Self {
        let value = walk.text(at, walk.end());
        let mut read = Self { is_digest: true, ..Self::default() };
        let is_plain = plain::digest(walk, at, |name, value| {
            read.put(name, value);
            Some(())
        });
        if is_plain.is_some() { read } else { Self::parse(value) }
    }

    fn put(&mut self, name: &[u8], value: &'a [u8]) {
        match Parameter::of(name) {
            Some(Parameter::Realm) => self.realm = self.realm.or(Some(value)),
            Some(Parameter::Nonce) => self.nonce = self.nonce.or(Some(value)),
            Some(Parameter::Algorithm) => self.algorithm = self.algorithm.or(Some(value)),
            Some(Parameter::Qop) => self.qop = self.qop.or(Some(value)),
            Some(Parameter::Stale) => self.stale = value.eq_ignore_ascii_case(b"true"),
            Some(_) | None => {}
        }
    }
}

fn scheme(value: &[u8]) -> (&[u8], &[u8]) {
    let end = find_lws(value).unwrap_or(value.len());
    value.split_at_checked(end).unwrap_or((value, &[]))
}

macro_rules! parameters {
    ($($variant:ident $name:literal)*) => {
        /// The parameters that are read.
        #[derive(Clone, Copy, Debug, Eq, PartialEq)]
        enum Parameter {
            $($variant,)*
        }

        impl Parameter {
            /// The parameter of that name, in any case.
            fn of(name: &[u8]) -> Option<Self> {
                // Nearly all write small letters, which are compared whole.
                match name {
                    $($name => Some(Self::$variant),)*
                    $(_ if name.eq_ignore_ascii_case($name) => Some(Self::$variant),)*
                    _ => None,
                }
            }
        }
    };
}

parameters! {
    Username b"username"
    Realm b"realm"
    Nonce b"nonce"
    Uri b"uri"
    Response b"response"
    Algorithm b"algorithm"
    Cnonce b"cnonce"
    Nc b"nc"
    Qop b"qop"
    Stale b"stale"
}

/// Where a value ends: at a comma outside of quotes.
fn value_end(text: &[u8]) -> usize {
    if text.first() == Some(&b'"')
        && let Some(end) = quoted_end(text)
        && text.get(end).is_none_or(|&next| next == b',')
    {
        return end;
    }
    find_unquoted(text, b',', b',')
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
            // Nearly always a name, and its value behind a `=`.
            let sign = find_any([b'=', b',', b'"'], rest)?;
            let (name, value, end) = match rest.get(sign..) {
                Some([b'=', after @ ..]) => {
                    let len = value_end(after);
                    (rest.get(..sign)?, after.get(..len), sign + 1 + len)
                }
                _ => {
                    let end = find_unquoted(rest, b',', b',');
                    let (name, value) = split(rest.get(..end)?, b'=');
                    (name, value, end)
                }
            };
            self.0 = rest.get(end + 1..).unwrap_or_default();
            if let Some(value) = value {
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
