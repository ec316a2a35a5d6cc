//! Via: the way that a request came, and where its answer goes (RFC 3261 section 20.42, RFC 3581).

use crate::anomaly::{Anomalies, Anomaly};
use crate::number::Number;
use crate::text::{Params, find, find_lws, find_unquoted, has_lws, is_token, trim, trim_start};

/// The magic cookie of branches since RFC 3261.
pub const COOKIE: &[u8] = b"z9hG4bK";

/// One Via value.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Via<'a> {
    /// `UDP`, `TCP`, `TLS`, `WS`, …, as written.
    pub transport: &'a [u8],
    /// Without the brackets of IPv6.
    pub host: &'a [u8],
    pub port: Option<u16>,
    pub params: Params<'a>,
    pub branch: Option<&'a [u8]>,
    /// The address that the receiver saw; it adds this.
    pub received: Option<&'a [u8]>,
    /// `Some` if the parameter is there; empty while the sender only asks for it.
    pub rport: Option<&'a [u8]>,
}

impl<'a> Via<'a> {
    /// Reads the first value of a Via header. `None` if there is no protocol or no host in it.
    #[must_use]
    pub fn parse(value: &'a [u8], anomalies: &mut Anomalies) -> Option<Self> {
        let via = Self::read(value, anomalies);
        anomalies.note(via.is_none(), Anomaly::ViaInvalid);
        via
    }

    fn read(value: &'a [u8], anomalies: &mut Anomalies) -> Option<Self> {
        let (transport, rest) = protocol(value, anomalies)?;
        let end = crate::text::find_any([b';', b','], rest).unwrap_or(rest.len());
        let (sent_by, params) = rest.split_at_checked(end)?;
        let sent_by = trim(sent_by);
        let (host, port) = if let [b'[', inner @ ..] = sent_by {
            let end = find(b']', inner)?;
            (inner.get(..end)?, inner.get(end + 1..)?)
        } else {
            sent_by.split_at_checked(find(b':', sent_by).unwrap_or(sent_by.len()))?
        };
        let port = match trim_start(port) {
            [] => None,
            [b':', digits @ ..] => {
                Some(u16::try_from(Number::read(trim(digits)).up_to(u64::from(u16::MAX))?).ok()?)
            }
            _ => return None,
        };
        let host = trim(host);
        if host.is_empty() || has_lws(host) {
            return None;
        }
        let (mut branch, mut received, mut rport) = (None, None, None);
        let (params, extraneous, others) = Params::read(params, |name, value| match name.len() {
            5 if name.eq_ignore_ascii_case(b"rport") => rport = rport.or(Some(value)),
            6 if name.eq_ignore_ascii_case(b"branch") => branch = branch.or(Some(value)),
            8 if name.eq_ignore_ascii_case(b"received") => received = received.or(Some(value)),
            _ => {}
        });
        anomalies.note(extraneous || has_empty_value(others), Anomaly::ExtraneousSeparators);
        let via = Self { transport, host, port, params, branch, received, rport };
        match via.branch {
            None => anomalies.insert(Anomaly::BranchMissing),
            Some(COOKIE) => anomalies.insert(Anomaly::BranchEmpty),
            Some(branch) => {
                let cookie =
                    branch.get(..COOKIE.len()).is_some_and(|start| start.eq_ignore_ascii_case(COOKIE));
                anomalies.note(!cookie, Anomaly::BranchWithoutCookie);
            }
        }
        Some(via)
    }
}

/// `SIP/2.0/UDP` and what follows, with blanks allowed around the slashes.
fn protocol<'a>(value: &'a [u8], anomalies: &mut Anomalies) -> Option<(&'a [u8], &'a [u8])> {
    let (transport, after) = if let Some(rest) = value.strip_prefix(b"SIP/2.0/") {
        word(trim_start(rest))?
    } else {
        let (name, rest) = before_slash(value)?;
        let (version, rest) = before_slash(rest)?;
        if !name.eq_ignore_ascii_case(b"SIP") {
            return None;
        }
        anomalies.note(version != b"2.0", Anomaly::VersionUnknown);
        word(trim_start(rest))?
    };
    is_token(transport).then_some((transport, trim_start(after)))
}

/// Up to the next slash, without blanks, and what follows it.
fn before_slash(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (part, rest) = text.split_at_checked(find(b'/', text)?)?;
    Some((trim(part), rest.get(1..)?))
}

/// Up to the next blank, which must be there.
fn word(text: &[u8]) -> Option<(&[u8], &[u8])> {
    text.split_at_checked(find_lws(text)?)
}

/// Whether a comma has nothing behind it.
fn has_empty_value(mut rest: &[u8]) -> bool {
    while let [b',', after @ ..] = rest {
        let end = find_unquoted(after, b',', b',');
        let Some((one, others)) = after.split_at_checked(end) else { return false };
        if trim(one).is_empty() {
            return true;
        }
        rest = others;
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(value: &str) -> (Option<Via<'_>>, String) {
        let mut anomalies = Anomalies::NONE;
        let via = Via::parse(value.as_bytes(), &mut anomalies);
        (via, anomalies.to_string())
    }

    #[test]
    fn a_via_with_everything() {
        let (via, anomalies) = parse(
            "SIP/2.0/UDP 192.0.2.1:5061;rport=5062;branch=z9hG4bK1;received=203.0.113.7, SIP/2.0/TCP x",
        );
        let via = via.unwrap();
        assert_eq!(
            (via.transport, via.host, via.port),
            (b"UDP".as_slice(), b"192.0.2.1".as_slice(), Some(5061))
        );
        assert_eq!(via.branch, Some(b"z9hG4bK1".as_slice()));
        assert_eq!((via.rport, via.received), (Some(b"5062".as_slice()), Some(b"203.0.113.7".as_slice())));
        assert_eq!(anomalies, "");
    }

    #[test]
    fn blanks_and_ipv6() {
        let (via, anomalies) = parse("SIP  / 2.0\r\n /TLS   [2001:db8::9] : 5061 ; branch = z9hG4bKa;rport");
        let via = via.unwrap();
        assert_eq!((via.transport, via.host), (b"TLS".as_slice(), b"2001:db8::9".as_slice()));
        assert_eq!((via.port, via.rport), (Some(5061), Some(b"".as_slice())));
        assert_eq!(anomalies, "");
    }

    #[test]
    fn mistakes_are_named() {
        for (value, expected) in [
            ("SIP/2.0/UDP 192.0.2.15;;,;,,", "branch-missing, extraneous-separators"),
            ("SIP/2.0/UDP h;branch=z9hG4bK", "branch-empty"),
            ("SIP/2.0/UDP h;branch=abc", "branch-without-cookie"),
            ("SIP/7.0/UDP h;branch=z9hG4bKx", "version-unknown"),
            ("UDP h", "via-invalid"),
            ("SIP/2.0/UDP", "via-invalid"),
            ("SIP/2.0/UDP h:port;branch=z9hG4bKx", "via-invalid"),
        ] {
            assert_eq!(parse(value).1, expected, "{value}");
        }
    }
}
