//! Digest credentials and challenges (RFC 3261 section 22, RFC 7616).

use crate::anomaly::{Anomalies, Anomaly};
use crate::names::Names;
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

    /// What plain credentials say.
    #[inline(always)]
    pub(crate) fn plain(walk: Walk<'_, 'a>) -> Option<Self> {
        let mut values = Values::default();
        plain_values(walk, &mut values)?;
        let [username, realm, nonce, uri, response, algorithm, cnonce, nc, qop, _] = values;
        let read =
            Self { is_digest: true, username, realm, nonce, uri, response, algorithm, cnonce, nc, qop };
        read.is_whole().then_some(read)
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
        for (name, value) in AuthParams(params) {
            match Parameter::of(name) {
                Some(Parameter::Realm) => read.realm = read.realm.or(Some(value)),
                Some(Parameter::Nonce) => read.nonce = read.nonce.or(Some(value)),
                Some(Parameter::Algorithm) => read.algorithm = read.algorithm.or(Some(value)),
                Some(Parameter::Qop) => read.qop = read.qop.or(Some(value)),
                Some(Parameter::Stale) => read.stale = value.eq_ignore_ascii_case(b"true"),
                Some(_) | None => {}
            }
        }
        read
    }

    /// What a plain challenge says.
    #[inline(always)]
    pub(crate) fn plain(walk: Walk<'_, 'a>) -> Option<Self> {
        let mut values = Values::default();
        plain_values(walk, &mut values)?;
        let [_, realm, nonce, _, _, algorithm, _, _, qop, stale] = values;
        let stale = stale.is_some_and(|value| value.eq_ignore_ascii_case(b"true"));
        Some(Self { is_digest: true, realm, nonce, algorithm, qop, stale })
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
        #[repr(u8)]
        enum Parameter {
            $($variant,)*
        }

        const PARAMETERS: &[Parameter] = &[$(Parameter::$variant,)*];

        static NAMES: Names<{ PARAMETERS.len() }> = Names::new([$(($name, Parameter::$variant as u8),)*]);
    };
}

parameters! {
    Username "username"
    Realm "realm"
    Nonce "nonce"
    Uri "uri"
    Response "response"
    Algorithm "algorithm"
    Cnonce "cnonce"
    Nc "nc"
    Qop "qop"
    Stale "stale"
}

impl Parameter {
    /// The parameter of that name, in any case.
    fn of(name: &[u8]) -> Option<Self> {
        Self::at_start(name, name.len())
    }

    /// The parameter whose name the first `len` bytes of `text` are.
    #[inline]
    fn at_start(text: &[u8], len: usize) -> Option<Self> {
        PARAMETERS.get(usize::from(NAMES.find(text, len)?)).copied()
    }
}

/// The values of parameters, in their order.
type Values<'a> = [Option<&'a [u8]>; PARAMETERS.len()];

/// The values of a plain field, of whose parameters none stands twice. They are written where they are read: a copy of what was just
/// written waits.
fn plain_values<'a>(walk: Walk<'_, 'a>, values: &mut Values<'a>) -> Option<()> {
    let mut is_repeated = false;
    plain::digest(walk, |name_on, len, value| {
        let parameter = Parameter::at_start(name_on, len);
        if let Some(place) = parameter.and_then(|parameter| values.get_mut(parameter as usize)) {
            is_repeated |= place.is_some();
            *place = Some(value);
        }
    })?;
    (!is_repeated).then_some(())
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
