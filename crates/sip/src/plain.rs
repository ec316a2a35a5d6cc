//! Fields as nearly all senders write them, read in one walk from sign to sign: a URI of user, host and port, an address in brackets, a
//! Via of one hop, credentials whose values are quoted. Whatever is written otherwise, or wrongly, is `None` here, and read by the
//! rules of its own module; what is not `None` is what those rules would say, without an anomaly of theirs.

use crate::name_addr::NameAddr;
use crate::signs::Walk;
use crate::text::{Params, is_token};
use crate::uri::{Scheme, Uri};
use crate::via::{COOKIE, Via};

/// A URI that ends where the part does.
#[inline(always)]
pub(crate) fn uri<'a>(mut walk: Walk<'_, 'a>) -> Option<Uri<'a>> {
    let at = walk.at();
    match uri_up_to(&mut walk, at)? {
        (uri, None) => Some(uri),
        (_, Some(_)) => None,
    }
}

/// A URI, and where the `>` behind it stands, if one does.
#[inline(always)]
fn uri_up_to<'a>(walk: &mut Walk<'_, 'a>, at: usize) -> Option<(Uri<'a>, Option<usize>)> {
    let user_at = at + 4;
    if walk.text(at, user_at) != b"sip:" || walk.next() != Some((at + 3, b':')) {
        return None;
    }
    let mut sign = walk.next();
    let (mut user, mut host_at) = (None, user_at);
    if let Some((place, b'@')) = sign {
        user = Some(walk.text(user_at, place));
        host_at = place + 1;
        sign = walk.next();
    }
    let host = walk.text(host_at, sign.map_or(walk.end(), |(place, _)| place));
    let mut port = None;
    if let Some((place, b':')) = sign {
        sign = walk.next();
        let end = sign.map_or(walk.end(), |(place, _)| place);
        port = Some(self::port(walk.text(place + 1, end))?);
    }
    let params_at = sign.map_or(walk.end(), |(place, _)| place);
    // A `=` that no `;` stands before belongs to the host.
    if let Some((_, b';')) = sign {
        while let Some((_, b';' | b'=')) = sign {
            sign = walk.next();
        }
    }
    let (end, bracket) = match sign {
        None => (walk.end(), None),
        Some((place, b'>')) => (place, Some(place)),
        Some(_) => return None,
    };
    if host.is_empty() {
        return None;
    }
    let params = Params::new(walk.text(params_at, end));
    let raw = walk.text(at, end);
    Some((Uri { scheme: Scheme::Sip, user, password: None, host, port, params, headers: None, raw }, bracket))
}

#[inline(always)]
fn port(digits: &[u8]) -> Option<u16> {
    if digits.is_empty() || digits.len() > 5 {
        return None;
    }
    let mut port: u32 = 0;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        port = port * 10 + u32::from(digit - b'0');
    }
    u16::try_from(port).ok()
}

/// `"Name" <sip:user@host>;tag=1`, with or without a name.
#[inline(always)]
pub(crate) fn name_addr<'a>(mut walk: Walk<'_, 'a>) -> Option<NameAddr<'a>> {
    let at = walk.at();
    let (display_name, bracket) = match walk.next()? {
        (place, b'<') if place == at => (walk.text(at, at), place),
        (place, b'"') if place == at => quoted_name(&mut walk, at)?,
        _ => return None,
    };
    let (uri, Some(close)) = uri_up_to(&mut walk, bracket + 1)? else { return None };
    let sign = walk.next();
    if sign.map_or(walk.end(), |(place, _)| place) != close + 1 {
        return None;
    }
    let (mut tag, mut tags) = (None, 0);
    let params = params(&mut walk, sign, |name, value| {
        if name.len() == 3 && name.eq_ignore_ascii_case(b"tag") {
            tags += 1;
            tag = tag.or(Some(value));
        }
    })?;
    (tags < 2).then_some(NameAddr { display_name, raw_uri: uri.raw, uri: Some(uri), params, tag })
}

/// A quoted name, and where the `<` behind it stands.
fn quoted_name<'a>(walk: &mut Walk<'_, 'a>, at: usize) -> Option<(&'a [u8], usize)> {
    let end = quote_end(walk)? + 1;
    let name = walk.text(at, end);
    match walk.next()? {
        (place, b'<') if place == end => Some((name, place)),
        (place, b' ') if place == end => {
            let (place, sign) = walk.next()?;
            (place == end + 1 && sign == b'<').then_some((name, place))
        }
        _ => None,
    }
}

/// The next quote, with no backslash before it.
#[inline(always)]
fn quote_end(walk: &mut Walk<'_, '_>) -> Option<usize> {
    loop {
        match walk.next()? {
            (place, b'"') => return Some(place),
            (_, b'\\') => return None,
            _ => {}
        }
    }
}

/// All that is left from a sign on: nothing, or `;name=value;name`.
#[inline(always)]
fn params<'a>(
    walk: &mut Walk<'_, 'a>,
    first: Option<(usize, u8)>,
    mut each: impl FnMut(&'a [u8], &'a [u8]),
) -> Option<Params<'a>> {
    let end = walk.end();
    let at = first.map_or(end, |(place, _)| place);
    let mut sign = first;
    while let Some((separator, b';')) = sign {
        sign = walk.next();
        let name = walk.text(separator + 1, sign.map_or(end, |(place, _)| place));
        let mut value: &[u8] = &[];
        if let Some((equal, b'=')) = sign {
            sign = walk.next();
            // What a host or an identifier may have.
            while let Some((_, b':' | b'@' | b'=' | b'[' | b']')) = sign {
                sign = walk.next();
            }
            value = walk.text(equal + 1, sign.map_or(end, |(place, _)| place));
        }
        if name.is_empty() {
            return None;
        }
        each(name, value);
    }
    sign.is_none().then(|| Params::new(walk.text(at, end)))
}

/// `SIP/2.0/UDP host:port;branch=z9hG4bK1;rport`
#[inline(always)]
pub(crate) fn via<'a>(mut walk: Walk<'_, 'a>) -> Option<Via<'a>> {
    const PROTOCOL: &[u8] = b"SIP/2.0/";
    let at = walk.at();
    let transport_at = at + PROTOCOL.len();
    let (blank, b' ') = walk.next()? else { return None };
    let transport = walk.text(transport_at, blank);
    if walk.text(at, transport_at) != PROTOCOL || !is_token(transport) {
        return None;
    }
    let mut sign = walk.next();
    let host = walk.text(blank + 1, sign.map_or(walk.end(), |(place, _)| place));
    let mut port = None;
    if let Some((colon, b':')) = sign {
        sign = walk.next();
        let end = sign.map_or(walk.end(), |(place, _)| place);
        port = Some(self::port(walk.text(colon + 1, end))?);
    }
    let (mut branch, mut received, mut rport) = (None, None, None);
    let params = params(&mut walk, sign, |name, value| match name.len() {
        5 if name.eq_ignore_ascii_case(b"rport") => rport = rport.or(Some(value)),
        6 if name.eq_ignore_ascii_case(b"branch") => branch = branch.or(Some(value)),
        8 if name.eq_ignore_ascii_case(b"received") => received = received.or(Some(value)),
        _ => {}
    })?;
    let has_cookie = branch.is_some_and(|branch| branch.len() > COOKIE.len() && branch.starts_with(COOKIE));
    (has_cookie && !host.is_empty()).then_some(Via { transport, host, port, params, branch, received, rport })
}

/// `Digest name="value", name=value`: each parameter is told to `each` by what begins with its name, how long that is, and its value.
#[inline(always)]
pub(crate) fn digest<'a>(
    mut walk: Walk<'_, 'a>,
    mut each: impl FnMut(&'a [u8], usize, &'a [u8]),
) -> Option<()> {
    const SCHEME: &[u8] = b"Digest ";
    let (at, end) = (walk.at(), walk.end());
    let mut name_at = at + SCHEME.len();
    if walk.text(at, name_at) != SCHEME || walk.next()? != (name_at - 1, b' ') {
        return None;
    }
    loop {
        let (mut equal, mut sign) = walk.next()?;
        if sign == b' ' && equal == name_at {
            name_at += 1;
            (equal, sign) = walk.next()?;
        }
        if sign != b'=' {
            return None;
        }
        let mut next = walk.next();
        let value_at = equal + 1;
        let value = if next == Some((value_at, b'"')) {
            let close = quote_end(&mut walk)?;
            next = walk.next();
            if next.map_or(end, |(place, _)| place) != close + 1 {
                return None;
            }
            walk.text(value_at + 1, close)
        } else {
            walk.text(value_at, next.map_or(end, |(place, _)| place))
        };
        each(walk.text(name_at, end), equal - name_at, value);
        match next {
            None => return Some(()),
            Some((comma, b',')) => name_at = comma + 1,
            Some(_) => return None,
        }
    }
}

#[cfg(test)]
mod tests;
