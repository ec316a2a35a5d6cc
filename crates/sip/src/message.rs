//! The second layer: what a message means.

mod unusual;

use crate::anomaly::{Anomalies, Anomaly};
use crate::auth::{Challenge, Credentials};
use crate::header::HeaderName;
use crate::method::Method;
use crate::name_addr::NameAddr;
use crate::number::Number;
use crate::plain;
use crate::sdp::Sdp;
use crate::start_line::{StartLine, number_at_start};
use crate::text::{find_lws, is_token, trim};
use crate::uri::{Scheme, Uri};
use crate::via::Via;
use crate::view::View;

/// A request or a response, interpreted. What could not be understood is absent and named in `anomalies`.
#[derive(Clone, Copy, Debug)]
pub struct Message<'a> {
    pub start: StartLine<'a>,
    /// Of a request; `None` when it is no URI.
    pub uri: Option<Uri<'a>>,
    pub from: Option<NameAddr<'a>>,
    pub to: Option<NameAddr<'a>>,
    /// The topmost: of a request the last hop's, of a response the one that sent the request.
    pub via: Option<Via<'a>>,
    pub cseq: Option<Cseq<'a>>,
    pub call_id: Option<&'a [u8]>,
    /// The first address of the first Contact.
    pub contact: Option<NameAddr<'a>>,
    pub max_forwards: Option<u8>,
    /// Of the Expires header, in seconds.
    pub expires: Option<u32>,
    /// User-Agent of a request, Server (or User-Agent) of a response.
    pub user_agent: Option<&'a [u8]>,
    /// The first of Authorization, else of Proxy-Authorization.
    pub credentials: Option<Credentials<'a>>,
    /// The first of WWW-Authenticate, else of Proxy-Authenticate.
    pub challenge: Option<Challenge<'a>>,
    pub content_type: Option<&'a [u8]>,
    pub body: &'a [u8],
    /// Of both layers.
    pub anomalies: Anomalies,
}

/// `314 INVITE`
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cseq<'a> {
    pub number: u32,
    pub method: Method,
    /// The method as it is written.
    pub name: &'a [u8],
}

/// Snort's limits, in bytes.
const LONG_ADDRESS: usize = 256;
const LONG_VIA: usize = 1024;
const LONG_METHOD: usize = 20;
/// RFC 3261 section 8.1.1.5: less than 2^31.
const MAX_CSEQ: u64 = (1 << 31) - 1;

impl Default for Message<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> Message<'a> {
    /// Of no view yet: [`Message::fill`] interprets one. A message that is filled where it stands is not copied, as it is large.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            start: StartLine::Status { code: 0, reason: &[] },
            uri: None,
            from: None,
            to: None,
            via: None,
            cseq: None,
            call_id: None,
            contact: None,
            max_forwards: None,
            expires: None,
            user_agent: None,
            credentials: None,
            challenge: None,
            content_type: None,
            body: &[],
            anomalies: Anomalies::NONE,
        }
    }

    /// Interprets a view.
    #[must_use]
    pub fn read(view: &View<'a>) -> Self {
        let mut message = Self::new();
        message.fill(view);
        message
    }

    /// As [`Message::read`], in the place of what was interpreted before.
    pub fn fill(&mut self, view: &View<'a>) {
        self.begin(view);
        self.complete(view);
    }

    /// The first half of [`Message::fill`]: what tells the transaction and the dialog that a message belongs to, and what only one
    /// can know who received it: From, To, Via, Call-ID, CSeq, credentials, challenge. Who looks these up can do so before
    /// [`Message::complete`], which has to follow.
    pub fn begin(&mut self, view: &View<'a>) {
        let mut anomalies = view.anomalies();
        let note = &mut anomalies;
        self.start = *view.start();
        (self.uri, self.from, self.to, self.via, self.contact) = (None, None, None, None, None);
        (self.credentials, self.challenge) = (None, None);
        (self.max_forwards, self.expires) = (None, None);
        (self.user_agent, self.content_type, self.body) = (None, None, &[]);
        if let Some(value) = field(view.get(HeaderName::Via), VIA, LONG_VIA, note) {
            let plain = view.walk(HeaderName::Via).and_then(plain::via);
            self.via = plain.or_else(|| Via::parse(value, note));
        }
        self.call_id = field(view.get(HeaderName::CallId), CALL_ID, LONG_ADDRESS, note);
        self.cseq = cseq(view, &self.start, note);
        address(&mut self.from, view, HeaderName::From, FROM, note);
        address(&mut self.to, view, HeaderName::To, TO, note);
        let first_of = |name, other| if view.get(name).is_some() { name } else { other };
        let credentials = first_of(HeaderName::Authorization, HeaderName::ProxyAuthorization);
        if let Some(value) = view.get(credentials) {
            if let Some(plain) = view.walk(credentials).and_then(Credentials::plain) {
                self.credentials = Some(plain);
            } else {
                self.credentials = Some(Credentials::parse(value, note));
            }
        }
        let challenge = first_of(HeaderName::WwwAuthenticate, HeaderName::ProxyAuthenticate);
        if let Some(value) = view.get(challenge) {
            if let Some(plain) = view.walk(challenge).and_then(Challenge::plain) {
                self.challenge = Some(plain);
            } else {
                self.challenge = Some(Challenge::parse(value));
            }
        }
        self.anomalies = anomalies;
    }

    /// The rest of a message of which [`Message::begin`] saw this view.
    pub fn complete(&mut self, view: &View<'a>) {
        let mut anomalies = self.anomalies;
        let note = &mut anomalies;
        if let StartLine::Request { uri, .. } = self.start {
            self.uri = view.walk_uri().and_then(plain::uri).or_else(|| request_uri(uri, note));
        }
        contact(&mut self.contact, view, note);
        self.max_forwards = max_forwards(view, &self.start, note);
        self.user_agent = view.get(HeaderName::UserAgent).or_else(|| view.get(HeaderName::Server));
        self.content_type = view.get(HeaderName::ContentType);
        self.body = view.body();
        note.note(
            self.content_type.is_none() && !trim(self.body).is_empty(),
            Anomaly::BodyWithoutContentType,
        );
        self.expires = view.get(HeaderName::Expires).and_then(|value| expires(value, note));
        let missing = [HeaderName::From, HeaderName::To, HeaderName::Via, HeaderName::CallId];
        note.note(missing.iter().all(|&name| view.get(name).is_none()), Anomaly::HeadersMissing);
        unusual::rare(view, note);
        unusual::exploits(view, note);
        self.anomalies = anomalies;
    }

    /// The method of a request; of a response the one in CSeq.
    #[must_use]
    pub fn method(&self) -> Method {
        match self.start {
            StartLine::Request { method, .. } => method,
            StartLine::Status { .. } => self.cseq.map_or(Method::Other, |cseq| cseq.method),
        }
    }

    /// The status code of a response, 0 if it is none; `None` for a request.
    #[must_use]
    pub fn status(&self) -> Option<u16> {
        match self.start {
            StartLine::Request { .. } => None,
            StartLine::Status { code, .. } => Some(code),
        }
    }

    /// The Request-URI of a request, as written.
    #[must_use]
    pub fn raw_uri(&self) -> Option<&'a [u8]> {
        match self.start {
            StartLine::Request { uri, .. } => Some(uri),
            StartLine::Status { .. } => None,
        }
    }

    /// The session description, if the body is one.
    #[must_use]
    pub fn sdp(&self, anomalies: &mut Anomalies) -> Option<Sdp<'a>> {
        let kind = self.content_type?.get(..b"application/sdp".len())?;
        let is_sdp = kind.eq_ignore_ascii_case(b"application/sdp") && !self.body.is_empty();
        is_sdp.then(|| Sdp::parse(self.body, anomalies))
    }
}

/// Missing, empty, too long.
const FROM: [Anomaly; 3] = [Anomaly::FromMissing, Anomaly::FromEmpty, Anomaly::FromTooLong];
const TO: [Anomaly; 3] = [Anomaly::ToMissing, Anomaly::ToEmpty, Anomaly::ToTooLong];
const VIA: [Anomaly; 3] = [Anomaly::ViaMissing, Anomaly::ViaEmpty, Anomaly::ViaTooLong];
const CALL_ID: [Anomaly; 3] = [Anomaly::CallIdMissing, Anomaly::CallIdEmpty, Anomaly::CallIdTooLong];

/// A field that must be there and have something in it.
fn field<'a>(
    value: Option<&'a [u8]>,
    [missing, empty, too_long]: [Anomaly; 3],
    long: usize,
    anomalies: &mut Anomalies,
) -> Option<&'a [u8]> {
    let Some(value) = value else {
        anomalies.insert(missing);
        return None;
    };
    anomalies.note(value.len() > long, too_long);
    if value.is_empty() {
        anomalies.insert(empty);
        return None;
    }
    Some(value)
}

fn request_uri<'a>(raw: &'a [u8], anomalies: &mut Anomalies) -> Option<Uri<'a>> {
    let uri = Uri::parse(match raw {
        [b'<', inner @ .., b'>'] => inner,
        bare => bare,
    });
    match uri {
        Some(uri) => {
            let is_sip = matches!(uri.scheme, Scheme::Sip | Scheme::Sips);
            anomalies.note(is_sip && uri.headers.is_some(), Anomaly::RequestUriWithHeaders);
        }
        None => anomalies.note(!raw.is_empty(), Anomaly::RequestUriInvalid),
    }
    uri
}

/// Reads a From or To into its place.
fn address<'a>(
    place: &mut Option<NameAddr<'a>>,
    view: &View<'a>,
    name: HeaderName,
    length: [Anomaly; 3],
    anomalies: &mut Anomalies,
) {
    let Some(value) = field(view.get(name), length, LONG_ADDRESS, anomalies) else { return };
    if let Some(plain) = view.walk(name).and_then(plain::name_addr) {
        *place = Some(plain);
    } else {
        *place = Some(NameAddr::parse(value, anomalies));
    }
}

fn contact<'a>(place: &mut Option<NameAddr<'a>>, view: &View<'a>, anomalies: &mut Anomalies) {
    let Some(value) = view.get(HeaderName::Contact) else {
        let is_invite = matches!(view.start(), StartLine::Request { method: Method::Invite, .. });
        anomalies.note(is_invite, Anomaly::ContactMissing);
        return;
    };
    anomalies.note(value.is_empty(), Anomaly::ContactEmpty);
    if value.is_empty() {
        return;
    }
    if let Some(plain) = view.walk(HeaderName::Contact).and_then(plain::name_addr) {
        *place = Some(plain);
    } else {
        *place = Some(NameAddr::parse_first(value, anomalies).0);
    }
    let is_long = place.as_ref().is_some_and(|first| first.raw_uri.len() > LONG_ADDRESS);
    anomalies.note(is_long, Anomaly::ContactTooLong);
}

fn cseq<'a>(view: &View<'a>, start: &StartLine<'_>, anomalies: &mut Anomalies) -> Option<Cseq<'a>> {
    let Some(value) = view.get(HeaderName::Cseq) else {
        anomalies.insert(Anomaly::CseqMissing);
        return None;
    };
    let end = find_lws(value).unwrap_or(value.len());
    let (digits, name) = value.split_at_checked(end)?;
    let name = trim(name);
    anomalies.note(name.len() > LONG_METHOD, Anomaly::CseqMethodTooLong);
    let number = Number::read(digits);
    match number {
        Number::Value(value) => anomalies.note(value > MAX_CSEQ, Anomaly::CseqNumberTooLarge),
        Number::Huge => anomalies.insert(Anomaly::CseqNumberTooLarge),
        Number::Negative => anomalies.insert(Anomaly::CseqNumberNegative),
        Number::Invalid => anomalies.insert(Anomaly::CseqInvalid),
    }
    let method = Method::from_name(name);
    if method == Method::Other && !is_token(name) {
        anomalies.insert(Anomaly::CseqInvalid);
        return None;
    }
    if let StartLine::Request { name: method, .. } = start {
        anomalies.note(*method != name, Anomaly::CseqMethodMismatch);
    }
    let number = number.up_to(u64::from(u32::MAX)).and_then(|number| u32::try_from(number).ok())?;
    Some(Cseq { number, method, name })
}

fn max_forwards(view: &View<'_>, start: &StartLine<'_>, anomalies: &mut Anomalies) -> Option<u8> {
    let Some(value) = view.get(HeaderName::MaxForwards) else {
        anomalies.note(matches!(start, StartLine::Request { .. }), Anomaly::MaxForwardsMissing);
        return None;
    };
    match Number::read(value) {
        Number::Value(hops) => {
            anomalies.note(hops > 255, Anomaly::MaxForwardsTooLarge);
            u8::try_from(hops).ok()
        }
        Number::Huge => {
            anomalies.insert(Anomaly::MaxForwardsTooLarge);
            None
        }
        Number::Negative | Number::Invalid => {
            anomalies.insert(Anomaly::MaxForwardsInvalid);
            None
        }
    }
}

fn expires(value: &[u8], anomalies: &mut Anomalies) -> Option<u32> {
    match number_at_start(value) {
        Number::Value(seconds) => {
            let seconds = u32::try_from(seconds);
            anomalies.note(seconds.is_err(), Anomaly::ExpiresTooLarge);
            seconds.ok()
        }
        Number::Huge => {
            anomalies.insert(Anomaly::ExpiresTooLarge);
            None
        }
        Number::Negative | Number::Invalid => {
            anomalies.insert(Anomaly::ExpiresInvalid);
            None
        }
    }
}

#[cfg(test)]
mod tests;
