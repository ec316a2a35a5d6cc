//! The first layer: where the start line, the headers and the body are. Finds and bounds, interprets nothing.

mod headers;

use arrayvec::ArrayVec;

use crate::MAX_MESSAGE;
use crate::anomaly::{Anomalies, Anomaly};
use crate::header::HeaderName;
use crate::payload::{Payload, classify};
use crate::scan::Scan;
use crate::signs::{Signs, Walk};
use crate::start_line::{self, NotSip, StartLine};
use crate::text::trim;

/// Headers that are kept, at most: one of each known name, and [`MAX_MORE`].
pub const MAX_HEADERS: usize = HeaderName::KNOWN.len() + MAX_MORE;
/// Unknown and repeated headers that are kept. Known ones have their own room, so that nobody hides one behind padding.
pub const MAX_MORE: usize = 40;
/// Headers longer than this are odd, in bytes.
const LONG_HEADERS: usize = 8192;
const LONG_BODY: usize = 8192;

/// What carried the message; decides what Content-Length means (RFC 3261 section 18.3).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Carrier {
    /// The message ends with the datagram.
    Datagram,
    /// The bytes are one message as [`crate::stream::Framer`] cut it.
    Stream,
}

/// A message's parts, as slices of the packet.
#[derive(Clone, Debug)]
pub struct View<'a> {
    bytes: &'a [u8],
    start: StartLine<'a>,
    /// Like the signs in a list without heap, of which only as much is written as a message needs.
    slots: ArrayVec<Slot, MAX_HEADERS>,
    /// 1-based slot of the first header of each name; 0 for none.
    first: [u8; HeaderName::COUNT],
    body_at: usize,
    body: &'a [u8],
    /// Of start line and headers; what is behind these is of no meaning.
    signs: Signs,
    may_have_percent: bool,
    anomalies: Anomalies,
}

/// One header field.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Header<'a> {
    pub name: HeaderName,
    /// The name as it is written.
    pub raw_name: &'a [u8],
    /// Without white space around it; a folded value has its line ends inside.
    pub value: &'a [u8],
}

/// Offsets into the message.
#[derive(Clone, Copy, Debug)]
struct Slot {
    name_at: u16,
    value_at: u16,
    value_end: u16,
    name_len: u8,
    name: HeaderName,
}

impl Default for View<'_> {
    fn default() -> Self {
        Self::new()
    }
}

impl<'a> View<'a> {
    /// Of no message yet: [`View::read`] fills it. A view that is filled where it stands is not copied, as it is large.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            bytes: &[],
            start: StartLine::Status { code: 0, reason: &[] },
            slots: ArrayVec::new_const(),
            first: [0; HeaderName::COUNT],
            body_at: 0,
            body: &[],
            signs: Signs::new(),
            may_have_percent: false,
            anomalies: Anomalies::NONE,
        }
    }

    /// Reads one message. Line ends before it are skipped; bytes beyond [`MAX_MESSAGE`] are not looked at.
    pub fn parse(bytes: &'a [u8], carrier: Carrier) -> Result<Self, NotSip> {
        let mut view = Self::new();
        view.read(bytes, carrier)?;
        Ok(view)
    }

    /// Reads the payload of a datagram, which may be a keep-alive.
    pub fn of_datagram(bytes: &'a [u8]) -> Result<Self, NotSip> {
        match classify(bytes) {
            Payload::KeepAlive(_) => Err(NotSip),
            Payload::Message(bytes) => Self::parse(bytes, Carrier::Datagram),
        }
    }

    /// As [`View::parse`], in the place of what was read before. Where it is no message, the view is of no use until another is read.
    pub fn read(&mut self, bytes: &'a [u8], carrier: Carrier) -> Result<(), NotSip> {
        self.slots.clear();
        self.first = [0; HeaderName::COUNT];
        self.signs.clear();
        self.anomalies = Anomalies::NONE;
        self.bytes = bytes.get(..MAX_MESSAGE).unwrap_or(bytes);
        let mut scan = Scan::new();
        let headers_at = self.read_start(&mut scan).ok_or(NotSip)?;
        self.body_at = self.read_headers(headers_at, &mut scan);
        self.body = self.bytes.get(self.body_at..).unwrap_or_default();
        self.anomalies.note(self.body_at > LONG_HEADERS, Anomaly::HeadersTooLong);
        self.bound_body(carrier);
        Ok(())
    }

    /// The start line; tells where the headers begin.
    fn read_start(&mut self, scan: &mut Scan) -> Option<usize> {
        if start_line::may_begin(self.bytes) {
            scan.go_on(self.bytes, &mut self.signs);
            let end = scan.ends().first().map_or(0, |end| usize::from(*end));
            if let Some([line @ .., b'\r']) = self.bytes.get(..end)
                && let Some(plain) = start_line::plain(line)
            {
                self.start = plain;
                return Some(end + 1);
            }
        }
        let (start, message, headers_at) = start_line::find_first(self.bytes, &mut self.anomalies)?;
        (self.start, self.bytes, *scan) = (start, message, Scan::new());
        self.signs.clear();
        scan.go_on(self.bytes, &mut self.signs);
        Some(headers_at)
    }

    /// Whether a `%` may stand in start line and headers.
    pub(crate) const fn may_have_percent(&self) -> bool {
        self.may_have_percent
    }

    /// The first line.
    #[must_use]
    pub fn start(&self) -> &StartLine<'a> {
        &self.start
    }

    /// The message from its start line on, body and what follows it included.
    #[must_use]
    pub fn bytes(&self) -> &'a [u8] {
        self.bytes
    }

    /// As long as Content-Length says, or as there are bytes.
    #[must_use]
    pub fn body(&self) -> &'a [u8] {
        self.body
    }

    /// Start line and headers, with the empty line behind them.
    #[must_use]
    pub fn head(&self) -> &'a [u8] {
        self.bytes.get(..self.body_at).unwrap_or(self.bytes)
    }

    /// What this layer found.
    #[must_use]
    pub fn anomalies(&self) -> Anomalies {
        self.anomalies
    }

    /// All headers that were kept, in order.
    pub fn headers(&self) -> impl Iterator<Item = Header<'a>> {
        self.slots.iter().map(|slot| self.header(slot))
    }

    /// The value of the first header of that name.
    #[must_use]
    pub fn get(&self, name: HeaderName) -> Option<&'a [u8]> {
        let slot = self.first.get(name as usize).filter(|&&slot| slot > 0)?;
        let slot = self.slots.get(usize::from(*slot) - 1)?;
        self.bytes.get(usize::from(slot.value_at)..usize::from(slot.value_end))
    }

    /// The first header of that name from sign to sign, if they are kept.
    pub(crate) fn walk(&self, name: HeaderName) -> Option<Walk<'_, 'a>> {
        let slot = self.first.get(name as usize).filter(|&&slot| slot > 0)?;
        let slot = self.slots.get(usize::from(*slot) - 1)?;
        let part = self.bytes.get(..usize::from(slot.value_end))?;
        self.signs.walk(part, usize::from(slot.value_at))
    }

    /// The same of the Request-URI, which stands behind the method and one blank, or is not plain.
    pub(crate) fn walk_uri(&self) -> Option<Walk<'_, 'a>> {
        let StartLine::Request { name, uri, .. } = self.start else { return None };
        let at = name.len() + 1;
        let part = self.bytes.get(..at + uri.len())?;
        if part.ends_with(uri) { self.signs.walk(part, at) } else { None }
    }

    /// The values of all headers of that name, in order.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let first = self.first.get(name as usize).copied().unwrap_or(0);
        let from = usize::from(first).checked_sub(1).unwrap_or(self.slots.len());
        let slots = self.slots.get(from..);
        let named = slots.unwrap_or_default().iter().filter(move |slot| slot.name == name);
        named.map(|slot| self.header(slot).value)
    }

    /// The value of the first header of a name that [`HeaderName`] does not know, in any case.
    #[must_use]
    pub fn get_other(&self, name: &str) -> Option<&'a [u8]> {
        let same = |header: &Header<'a>| {
            header.name == HeaderName::Other && header.raw_name.eq_ignore_ascii_case(name.as_bytes())
        };
        self.headers().find(same).map(|header| header.value)
    }

    fn header(&self, slot: &Slot) -> Header<'a> {
        let name_at = usize::from(slot.name_at);
        let raw_name = self.bytes.get(name_at..name_at + usize::from(slot.name_len)).unwrap_or_default();
        let value = self.bytes.get(usize::from(slot.value_at)..usize::from(slot.value_end));
        Header { name: slot.name, raw_name, value: value.unwrap_or_default() }
    }

    fn bound_body(&mut self, carrier: Carrier) {
        use crate::number::Number;
        let present = self.body.len();
        self.anomalies.note(present > LONG_BODY, Anomaly::BodyTooLong);
        let Some(value) = self.get(HeaderName::ContentLength) else {
            return self.anomalies.note(carrier == Carrier::Stream, Anomaly::ContentLengthMissing);
        };
        match Number::read(value) {
            Number::Value(length) => {
                let length = usize::try_from(length).unwrap_or(usize::MAX);
                self.anomalies.note(length > present, Anomaly::ContentLengthTooLarge);
                let rest = self.body.get(length..).unwrap_or_default();
                self.body = self.body.get(..length).unwrap_or(self.body);
                if !trim(rest).is_empty() {
                    self.anomalies.insert(Anomaly::ContentLengthTooSmall);
                    self.anomalies.note(start_line::begins_message(trim(rest)), Anomaly::SeveralMessages);
                }
            }
            Number::Huge => self.anomalies.insert(Anomaly::ContentLengthTooLarge),
            Number::Negative => self.anomalies.insert(Anomaly::ContentLengthNegative),
            Number::Invalid => self.anomalies.insert(Anomaly::ContentLengthInvalid),
        }
    }
}

#[cfg(test)]
mod tests;
