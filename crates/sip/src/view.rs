//! The first layer: where the start line, the headers and the body are. Finds and bounds, interprets nothing.

use memchr::memchr;

use crate::MAX_MESSAGE;
use crate::anomaly::{Anomalies, Anomaly};
use crate::header::HeaderName;
use crate::payload::{Payload, classify};
use crate::signs::{BLOCK, Block, Signs, Walk};
use crate::start_line::{self, NotSip, StartLine};
use crate::text::{bounds, is_lws, is_token_byte, trim, trim_start};

/// Headers that are kept, at most: one of each known name, and [`MAX_MORE`].
pub const MAX_HEADERS: usize = HeaderName::KNOWN.len() + MAX_MORE;
/// Unknown and repeated headers that are kept. Known ones have their own room, so that nobody hides one behind padding.
pub const MAX_MORE: usize = 40;
/// Bytes before the start line that are skipped in search of it.
const MAX_JUNK: usize = 1024;
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
    slots: [Slot; MAX_HEADERS],
    count: u8,
    /// 1-based slot of the first header of each name; 0 for none.
    first: [u8; HeaderName::COUNT],
    body_at: usize,
    body: &'a [u8],
    /// Of start line and headers.
    signs: Signs,
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

/// All zeros, as those are written fastest.
const EMPTY: Slot = Slot { name_at: 0, value_at: 0, value_end: 0, name_len: 0, name: HeaderName::Accept };

impl<'a> View<'a> {
    /// Reads one message. Line ends before it are skipped; bytes beyond [`MAX_MESSAGE`] are not looked at.
    pub fn parse(bytes: &'a [u8], carrier: Carrier) -> Result<Self, NotSip> {
        let bytes = bytes.get(..MAX_MESSAGE).unwrap_or(bytes);
        let mut anomalies = Anomalies::NONE;
        match find_start(bytes, &mut anomalies) {
            Some(start) => Self::behind(start, anomalies, carrier),
            None => Err(NotSip),
        }
    }

    /// Made where it is returned, as it is large; this is always a view.
    fn behind(
        (start, bytes, headers_at): (StartLine<'a>, &'a [u8], usize),
        anomalies: Anomalies,
        carrier: Carrier,
    ) -> Result<Self, NotSip> {
        let mut read = Ok(Self {
            bytes,
            start,
            slots: [EMPTY; MAX_HEADERS],
            count: 0,
            first: [0; HeaderName::COUNT],
            body_at: 0,
            body: &[],
            signs: Signs::new(),
            anomalies,
        });
        if let Ok(view) = &mut read {
            view.fill(headers_at, carrier);
        }
        read
    }

    /// Reads what is behind the start line.
    fn fill(&mut self, headers_at: usize, carrier: Carrier) {
        self.body_at = self.read_headers(headers_at);
        self.body = self.bytes.get(self.body_at..).unwrap_or_default();
        self.anomalies.note(self.body_at > LONG_HEADERS, Anomaly::HeadersTooLong);
        self.bound_body(carrier);
    }

    /// Reads the payload of a datagram, which may be a keep-alive.
    pub fn of_datagram(bytes: &'a [u8]) -> Result<Self, NotSip> {
        match classify(bytes) {
            // More than half of what comes to a SIP port: the cheapest way out.
            Payload::KeepAlive(_) => Err(NotSip),
            Payload::Message(bytes) => Self::parse(bytes, Carrier::Datagram),
        }
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
        self.slots.iter().take(usize::from(self.count)).map(|slot| self.header(slot))
    }

    /// The value of the first header of that name.
    #[must_use]
    pub fn get(&self, name: HeaderName) -> Option<&'a [u8]> {
        let slot = self.first.get(name as usize).filter(|&&slot| slot > 0)?;
        let slot = self.slots.get(usize::from(*slot) - 1)?;
        self.bytes.get(usize::from(slot.value_at)..usize::from(slot.value_end))
    }

    /// The signs of the first header of that name, and where its value begins.
    pub(crate) fn walk(&self, name: HeaderName) -> Option<(Walk<'_, 'a>, usize)> {
        let slot = self.first.get(name as usize).filter(|&&slot| slot > 0)?;
        let slot = self.slots.get(usize::from(*slot) - 1)?;
        let at = usize::from(slot.value_at);
        Some((self.signs.walk(self.bytes.get(..usize::from(slot.value_end))?, at), at))
    }

    /// The same of the Request-URI, if it stands where it should: behind the method and one blank.
    pub(crate) fn walk_uri(&self) -> Option<(Walk<'_, 'a>, usize)> {
        let StartLine::Request { name, uri, .. } = self.start else { return None };
        let at = name.len() + 1;
        let part = self.bytes.get(..at + uri.len())?;
        part.ends_with(uri).then(|| (self.signs.walk(part, at), at))
    }

    /// The values of all headers of that name, in order.
    pub fn all(&self, name: HeaderName) -> impl Iterator<Item = &'a [u8]> {
        let first = self.first.get(name as usize).copied().unwrap_or(0);
        let from = usize::from(if first == 0 { self.count } else { first - 1 });
        let slots = self.slots.get(..usize::from(self.count)).and_then(|slots| slots.get(from..));
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

    /// Reads headers from `headers_at` on; tells where the body begins. What is odd in the bytes is looked for on the way, from the
    /// start line on.
    fn read_headers(&mut self, headers_at: usize) -> usize {
        let bytes = self.bytes;
        let mut at = headers_at;
        let mut more = 0;
        let (mut is_odd, mut bare_returns) = (false, 0);
        let mut after_return = 0;
        for number in 0..bytes.len().div_ceil(BLOCK) {
            let block = Block::of(bytes, number);
            self.signs.keep(number, block.signs);
            // A return is bare if what follows it is no line feed.
            let bare = (block.returns << 1 | after_return) & !block.line_feeds;
            after_return = block.returns >> (BLOCK - 1);
            let begin = number * BLOCK;
            let mut line_feeds = match headers_at.checked_sub(begin) {
                Some(before @ 0..BLOCK) => block.line_feeds & (u64::MAX << before),
                Some(_) => 0,
                None => block.line_feeds,
            };
            while line_feeds != 0 {
                let place = line_feeds.trailing_zeros();
                line_feeds &= line_feeds - 1;
                let end = begin + place as usize;
                let line = bytes.get(at..end).unwrap_or_default();
                let line = if let [line @ .., b'\r'] = line {
                    line
                } else {
                    self.anomalies.insert(Anomaly::LineEndWithoutCr);
                    line
                };
                if line.is_empty() {
                    let up_to_here = u64::MAX >> (u64::BITS - 1 - place);
                    self.check_bytes(is_odd || block.is_odd, bare_returns | bare & up_to_here, end + 1);
                    return end + 1;
                }
                self.line(at, line, &mut more);
                at = end + 1;
            }
            is_odd |= block.is_odd;
            // The last byte of all has nothing behind it.
            let here = bytes.len() - begin;
            bare_returns |= if here < BLOCK { bare & !(u64::MAX << here) } else { bare };
        }
        let last = bytes.get(at..).unwrap_or_default();
        if !last.is_empty() {
            self.line(at, trim_line(last), &mut more);
        }
        self.anomalies.insert(Anomaly::HeadersUnterminated);
        self.check_bytes(is_odd, bare_returns, bytes.len());
        bytes.len()
    }

    fn line(&mut self, at: usize, line: &[u8], more: &mut usize) {
        match line.first() {
            Some(b' ' | b'\t') => self.fold(at + line.len()),
            Some(_) => self.add(at, line, more),
            None => {}
        }
    }

    /// Bytes that no text has, in all headers at once.
    fn check_bytes(&mut self, may_be_odd: bool, bare_returns: u64, end: usize) {
        self.anomalies.note(bare_returns != 0, Anomaly::BareCr);
        if !may_be_odd {
            return;
        }
        let head = self.bytes.get(..end).unwrap_or(self.bytes);
        self.anomalies.note(std::str::from_utf8(head).is_err(), Anomaly::InvalidUtf8);
        // Lawful only as a quoted pair (RFC 3261 section 25.1).
        let mut nuls = memchr::memchr_iter(0, head);
        let is_quoted = |at: usize| at.checked_sub(1).and_then(|before| head.get(before)) == Some(&b'\\');
        self.anomalies.note(nuls.any(|at| !is_quoted(at)), Anomaly::NulByte);
    }

    /// A continuation line that ends at `end`.
    fn fold(&mut self, end: usize) {
        let last = usize::from(self.count).checked_sub(1).and_then(|last| self.slots.get_mut(last));
        let (Some(slot), Ok(end_offset)) = (last, u16::try_from(end)) else {
            return self.anomalies.insert(Anomaly::FoldWithoutHeader);
        };
        let begin = usize::from(slot.value_at).min(end);
        let value = self.bytes.get(begin..end).unwrap_or_default();
        let trimmed = trim(value);
        let before = value.len() - trim_start(value).len();
        // A value that begins on the continuation line has its blanks before it only now.
        slot.value_at = u16::try_from(begin + before).unwrap_or(end_offset);
        slot.value_end = u16::try_from(begin + before + trimmed.len()).unwrap_or(end_offset);
    }

    fn add(&mut self, at: usize, line: &[u8], more: &mut usize) {
        // The first sign of nearly every line.
        let colon = match self.signs.walk(self.bytes, at).next() {
            Some((place, b':')) if place < at + line.len() => place - at,
            _ => match crate::text::find(b':', line) {
                Some(colon) => colon,
                None => return self.anomalies.insert(Anomaly::HeaderWithoutColon),
            },
        };
        let name = trim_end(line.get(..colon).unwrap_or(line));
        let (value_from, value_to) = bounds(line, colon + 1);
        let known = HeaderName::at_start(self.bytes.get(at..).unwrap_or_default(), name.len());
        let is_first = self.first.get(known as usize) == Some(&0);
        if known == HeaderName::Other {
            self.anomalies.note(!crate::text::is_token(name), Anomaly::HeaderNameInvalid);
        } else if !is_first {
            self.anomalies = self.anomalies.union(repeated(known));
        }
        if known == HeaderName::Other || !is_first {
            *more += 1;
            if *more > MAX_MORE {
                return self.anomalies.insert(Anomaly::TooManyHeaders);
            }
        }
        let Some(slot) = self.slots.get_mut(usize::from(self.count)) else {
            return self.anomalies.insert(Anomaly::TooManyHeaders);
        };
        // All offsets fit: a message has at most `MAX_MESSAGE` bytes.
        *slot = Slot {
            name_at: u16::try_from(at).unwrap_or(u16::MAX),
            value_at: u16::try_from(at + value_from).unwrap_or(u16::MAX),
            value_end: u16::try_from(at + value_to).unwrap_or(u16::MAX),
            name_len: u8::try_from(name.len()).unwrap_or(u8::MAX),
            name: known,
        };
        self.count += 1;
        if let Some(first) = self.first.get_mut(known as usize).filter(|_| is_first) {
            *first = self.count;
        }
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
                    self.anomalies.note(begins_message(trim(rest)), Anomaly::SeveralMessages);
                }
            }
            Number::Huge => self.anomalies.insert(Anomaly::ContentLengthTooLarge),
            Number::Negative => self.anomalies.insert(Anomaly::ContentLengthNegative),
            Number::Invalid => self.anomalies.insert(Anomaly::ContentLengthInvalid),
        }
    }
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}

/// Whether a start line stands at the start of `bytes`.
pub(crate) fn begins_message(bytes: &[u8]) -> bool {
    let line = bytes.get(..memchr(b'\n', bytes).unwrap_or(bytes.len())).unwrap_or_default();
    let begins_like_one = line.first().is_some_and(|&byte| is_token_byte(byte));
    begins_like_one && start_line::is_one(trim_line(line))
}

fn trim_line(line: &[u8]) -> &[u8] {
    line.strip_suffix(b"\r").unwrap_or(line)
}

/// The start line, the message from there on, and where its headers begin.
fn find_start<'a>(bytes: &'a [u8], anomalies: &mut Anomalies) -> Option<(StartLine<'a>, &'a [u8], usize)> {
    let skipped = bytes.iter().take_while(|&&byte| is_lws(byte)).count();
    let mut message = bytes.get(skipped..)?;
    let mut junk = 0;
    loop {
        let end = memchr(b'\n', message).unwrap_or(message.len());
        let line = message.get(..end)?;
        let mut found = Anomalies::NONE;
        let is_text = line.first().is_some_and(|&byte| is_token_byte(byte));
        if is_text && let Some(start) = start_line::read(trim_line(line), &mut found) {
            *anomalies = anomalies.union(found);
            anomalies.note(junk > 0, Anomaly::JunkBeforeStartLine);
            anomalies.note(end < message.len() && !line.ends_with(b"\r"), Anomaly::LineEndWithoutCr);
            return Some((start, message, (end + 1).min(message.len())));
        }
        if let Some((start, at)) = after_binary(line) {
            *anomalies = anomalies.union([Anomaly::JunkBeforeStartLine].into_iter().collect());
            let message = message.get(at..)?;
            return Some((start_line::read(start, anomalies)?, message, (end - at + 1).min(message.len())));
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
    start_line::is_one(start).then_some((start, binary + 1))
}

/// What a second header of a name that may stand only once is called.
fn repeated(name: HeaderName) -> Anomalies {
    const ONCE: [(HeaderName, Anomaly); 6] = [
        (HeaderName::CallId, Anomaly::CallIdRepeated),
        (HeaderName::ContentLength, Anomaly::ContentLengthRepeated),
        (HeaderName::Cseq, Anomaly::CseqRepeated),
        (HeaderName::From, Anomaly::FromRepeated),
        (HeaderName::MaxForwards, Anomaly::MaxForwardsRepeated),
        (HeaderName::To, Anomaly::ToRepeated),
    ];
    ONCE.into_iter().filter(|(once, _)| *once == name).map(|(_, anomaly)| anomaly).collect()
}

#[cfg(test)]
mod tests;
