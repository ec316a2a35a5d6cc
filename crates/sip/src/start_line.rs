//! The first line of a message (RFC 3261 section 7.1, 7.2).

use std::fmt;

use memchr::memchr;

use crate::anomaly::{Anomalies, Anomaly};
use crate::method::Method;
use crate::number::Number;
use crate::text::{find, has_lws, is_lws, is_token, is_token_byte, trim};

/// What the first line says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum StartLine<'a> {
    /// `METHOD uri SIP/2.0`
    Request { method: Method, name: &'a [u8], uri: &'a [u8] },
    /// `SIP/2.0 code reason`; the code is 0 if it is none.
    Status { code: u16, reason: &'a [u8] },
}

/// Bytes that are no SIP message: another protocol, or nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct NotSip;

impl fmt::Display for NotSip {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no sip message")
    }
}

impl std::error::Error for NotSip {}

/// Snort's limit for method names, in bytes.
const LONG_METHOD: usize = 20;
/// Of a Request-URI, in bytes.
const LONG_URI: usize = 256;
/// Bytes before the start line that are skipped in search of it.
const MAX_JUNK: usize = 1024;

/// Whether a start line stands at the start of `bytes`.
pub(crate) fn begins_message(bytes: &[u8]) -> bool {
    let line = bytes.get(..memchr(b'\n', bytes).unwrap_or(bytes.len())).unwrap_or_default();
    may_begin(line) && is_one(trim_line(line))
}

/// Whether bytes may begin with a start line.
pub(crate) fn may_begin(bytes: &[u8]) -> bool {
    bytes.first().is_some_and(|&byte| is_token_byte(byte))
}

pub(crate) fn trim_line(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The start line, the message from there on, and where its headers begin.
pub(crate) fn find_first<'a>(
    bytes: &'a [u8],
    anomalies: &mut Anomalies,
) -> Option<(StartLine<'a>, &'a [u8], usize)> {
    let skipped = bytes.iter().take_while(|&&byte| is_lws(byte)).count();
    let mut message = bytes.get(skipped..)?;
    let mut junk = 0;
    loop {
        let end = memchr(b'\n', message).unwrap_or(message.len());
        let line = message.get(..end)?;
        let mut found = Anomalies::NONE;
        if may_begin(line)
            && let Some(start) = read(trim_line(line), &mut found)
        {
            *anomalies = anomalies.union(found);
            anomalies.note(junk > 0, Anomaly::JunkBeforeStartLine);
            anomalies.note(end < message.len() && !line.ends_with(b"\r"), Anomaly::LineEndWithoutCr);
            return Some((start, message, (end + 1).min(message.len())));
        }
        if let Some((start, at)) = after_binary(line) {
            *anomalies = anomalies.union([Anomaly::JunkBeforeStartLine].into_iter().collect());
            let message = message.get(at..)?;
            return Some((read(start, anomalies)?, message, (end - at + 1).min(message.len())));
        }
        junk += end + 1;
        if junk > MAX_JUNK {
            return None;
        }
        message = message.get(end + 1..)?;
    }
}

/// A start line behind bytes that no method has, in the same line; and where it begins.
fn after_binary(line: &[u8]) -> Option<(&[u8], usize)> {
    let line = line.get(..MAX_JUNK).unwrap_or(line);
    let trimmed = trim_line(line);
    let is_text = |byte: u8| (0x20..0x7f).contains(&byte);
    let binary = trimmed.iter().rposition(|&byte| !is_text(byte))?;
    let start = trimmed.get(binary + 1..)?;
    is_one(start).then_some((start, binary + 1))
}

/// Reads a line without its line end. `None` when it is no SIP start line, not even a bad one.
pub(crate) fn read<'a>(line: &'a [u8], anomalies: &mut Anomalies) -> Option<StartLine<'a>> {
    if let Some(plain) = plain(line) {
        return Some(plain);
    }
    match line.first_chunk::<4>() {
        Some(start) if start.eq_ignore_ascii_case(b"SIP/") => Some(status(line, anomalies)),
        Some(_) => request(line, anomalies),
        None => None,
    }
}

/// Whether a line is a SIP start line, be it a bad one.
pub(crate) fn is_one(line: &[u8]) -> bool {
    read(line, &mut Anomalies::default()).is_some()
}

/// A line as nearly all are, with nothing odd in it: it needs no second look.
pub(crate) fn plain(line: &[u8]) -> Option<StartLine<'_>> {
    if let Some(rest) = line.strip_prefix(b"SIP/2.0 ") {
        let (&[a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9', b' '], reason) =
            rest.split_first_chunk()?
        else {
            return None;
        };
        let code = u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0');
        return Some(StartLine::Status { code, reason });
    }
    let line = line.strip_suffix(b" SIP/2.0")?;
    let (name, uri) = line.split_at_checked(find(b' ', line)?)?;
    let uri = uri.get(1..)?;
    let method = Method::from_name(name);
    let is_plain = method != Method::Other
        && !uri.is_empty()
        && uri.len() <= LONG_URI
        && uri.first() != Some(&b'<')
        && !has_lws(uri);
    is_plain.then_some(StartLine::Request { method, name, uri })
}

fn status<'a>(line: &'a [u8], anomalies: &mut Anomalies) -> StartLine<'a> {
    let space = find(b' ', line).unwrap_or(line.len());
    let (version, rest) = line.split_at_checked(space).unwrap_or((line, &[]));
    anomalies.note(!version.eq_ignore_ascii_case(b"SIP/2.0"), Anomaly::VersionUnknown);
    let rest = rest.get(1..).unwrap_or_default();
    let space = find(b' ', rest).unwrap_or(rest.len());
    let (code, reason) = rest.split_at_checked(space).unwrap_or((rest, &[]));
    let number = match code {
        &[a @ b'1'..=b'6', b @ b'0'..=b'9', c @ b'0'..=b'9'] => {
            u16::from(a - b'0') * 100 + u16::from(b - b'0') * 10 + u16::from(c - b'0')
        }
        _ => {
            anomalies.insert(Anomaly::StatusCodeInvalid);
            0
        }
    };
    StartLine::Status { code: number, reason: reason.get(1..).unwrap_or_default() }
}

fn request<'a>(line: &'a [u8], anomalies: &mut Anomalies) -> Option<StartLine<'a>> {
    let name_end = find(b' ', line).unwrap_or(line.len());
    let (name, rest) = line.split_at_checked(name_end)?;
    let method = Method::from_name(name);
    let Some((uri, version)) = uri_and_version(rest) else {
        // A SIP method alone, or with a URI, is a broken request; any other text is another protocol.
        if method == Method::Other {
            return None;
        }
        let uri = trim(rest);
        let other_protocol = memchr::memmem::find(uri, b"HTTP/").or(memchr::memmem::find(uri, b"RTSP/"));
        if other_protocol.is_some() {
            return None;
        }
        anomalies.insert(Anomaly::RequestLineIncomplete);
        return Some(StartLine::Request { method, name, uri });
    };
    anomalies.note(!version.eq_ignore_ascii_case(b"SIP/2.0"), Anomaly::VersionUnknown);
    anomalies.note(line.last().is_some_and(|&last| is_lws(last)), Anomaly::RequestLineTrailingWhitespace);
    // Exactly one blank before the URI and one behind it.
    let uri = match uri {
        [b' ', uri @ .., b' '] if !is_padded(uri) => uri,
        [b' '] => &[],
        padded => {
            anomalies.insert(Anomaly::RequestLineExtraWhitespace);
            trim(padded)
        }
    };
    check_method(method, name, anomalies);
    check_uri(uri, anomalies);
    Some(StartLine::Request { method, name, uri })
}

fn is_padded(uri: &[u8]) -> bool {
    uri.first().is_some_and(|&byte| is_lws(byte)) || uri.last().is_some_and(|&byte| is_lws(byte))
}

/// What stands between method and version, blanks included, and the version without blanks.
fn uri_and_version(rest: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = rest.len() - rest.iter().rev().take_while(|&&byte| is_lws(byte)).count();
    let rest = rest.get(..end)?;
    let space = memchr::memrchr(b' ', rest)?;
    let (uri, version) = rest.split_at_checked(space + 1)?;
    let is_sip = version.first_chunk::<4>().is_some_and(|start| start.eq_ignore_ascii_case(b"SIP/"));
    is_sip.then_some((uri, version))
}

fn check_method(method: Method, name: &[u8], anomalies: &mut Anomalies) {
    if method != Method::Other {
        return;
    }
    anomalies.insert(Anomaly::MethodUnknown);
    anomalies.note(name.len() > LONG_METHOD, Anomaly::MethodTooLong);
    anomalies.note(!is_token(name), Anomaly::MethodInvalid);
}

fn check_uri(uri: &[u8], anomalies: &mut Anomalies) {
    anomalies.note(uri.is_empty(), Anomaly::RequestUriEmpty);
    anomalies.note(uri.len() > LONG_URI, Anomaly::RequestUriTooLong);
    anomalies.note(matches!(uri, [b'<', .., b'>']), Anomaly::RequestUriInBrackets);
    anomalies.note(has_lws(uri), Anomaly::RequestUriWithWhitespace);
}

/// Reads a number of seconds or hops: digits alone, or followed by something that is not a digit's business.
pub(crate) fn number_at_start(value: &[u8]) -> Number {
    let end = value.iter().position(|&byte| is_lws(byte) || byte == b';' || byte == b'(');
    Number::read(value.get(..end.unwrap_or(value.len())).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn anomalies(line: &str) -> String {
        let mut anomalies = Anomalies::NONE;
        let read = read(line.as_bytes(), &mut anomalies);
        if read.is_some() { anomalies.to_string() } else { "not sip".to_owned() }
    }

    #[test]
    fn good_lines_have_nothing_odd() {
        for line in [
            "INVITE sip:a@b SIP/2.0",
            "SIP/2.0 200 OK",
            "SIP/2.0 100 ",
            "sip/2.0 486 Busy",
            "ACK tel:+1 sip/2.0",
        ] {
            assert_eq!(anomalies(line), "", "{line}");
        }
    }

    #[test]
    fn bad_lines_are_named() {
        assert_eq!(anomalies("INVITE  sip:a@b SIP/2.0"), "request-line-extra-whitespace");
        assert_eq!(anomalies("INVITE sip:a@b  SIP/2.0"), "request-line-extra-whitespace");
        assert_eq!(anomalies("INVITE sip:a@b SIP/2.0 "), "request-line-trailing-whitespace");
        assert_eq!(anomalies("INVITE sip:a @b SIP/2.0"), "request-uri-with-whitespace");
        assert_eq!(anomalies("INVITE <sip:a@b> SIP/2.0"), "request-uri-in-brackets");
        assert_eq!(anomalies("INVITE sip:a@b SIP/7.0"), "version-unknown");
        assert_eq!(anomalies("REGISTER"), "request-line-incomplete");
        assert_eq!(anomalies("OPTIONS sip:a"), "request-line-incomplete");
        assert_eq!(anomalies("INVITE SIP/2.0"), "request-uri-empty");
        assert_eq!(anomalies("INVITE  SIP/2.0"), "request-uri-empty");
        let long = format!("INVITE sip:{} SIP/2.0", "a".repeat(260));
        assert_eq!(anomalies(&long), "request-uri-too-long");
        assert_eq!(anomalies("IN\u{1}VITE sip:a SIP/2.0"), "method-invalid, method-unknown");
        assert_eq!(anomalies("SIP/2.0 4294967301 better"), "status-code-invalid");
        assert_eq!(anomalies("SIP/2.0 700 x"), "status-code-invalid");
        assert_eq!(anomalies("SIP/2.0"), "status-code-invalid");
    }

    #[test]
    fn other_protocols_are_no_sip() {
        for line in [
            "GET / HTTP/1.1",
            "OPTIONS / HTTP/1.0",
            "OPTIONS rtsp://x RTSP/1.0",
            "hello",
            "",
            "\u{16}\u{3}\u{1}",
        ] {
            assert_eq!(anomalies(line), "not sip", "{line}");
        }
    }
}
