//! Header lines: where names and values are, and what is odd in the bytes between.

use std::ops::Range;

use super::{MAX_MORE, Slot, View};
use crate::MAX_MESSAGE;
use crate::anomaly::{Anomalies, Anomaly};
use crate::header::HeaderName;
use crate::scan::Scan;
use crate::start_line::trim_line;
use crate::text::{bounds, find, is_token};

/// What has to be known of the lines before.
#[derive(Default)]
struct Before {
    /// Unknown and repeated headers.
    more: usize,
    /// There was a line, and it has its place; what continues a line without one has none either.
    last: Option<bool>,
}

impl View<'_> {
    /// Reads headers from `at` on; tells where the body begins. `scan` has been at the start, and found where the first line ends.
    pub(super) fn read_headers(&mut self, mut at: usize, scan: &mut Scan) -> usize {
        // Not read again after each header is written down.
        let bytes = self.bytes;
        let mut before = Before::default();
        let mut skipped = 1;
        loop {
            for end in scan.ends().iter().skip(skipped) {
                let end = usize::from(*end);
                // The return before a line's own line feed is its own, too.
                let has_return = at < end && bytes.get(end - 1) == Some(&b'\r');
                self.anomalies.note(!has_return, Anomaly::LineEndWithoutCr);
                let line_end = end - usize::from(has_return);
                if at < line_end {
                    self.line(bytes, at, line_end, &mut before);
                }
                at = end + 1;
            }
            skipped = 0;
            if let Some(body_at) = scan.body_at() {
                self.check_bytes(scan, body_at);
                return body_at;
            }
            scan.go_on(self.bytes, &mut self.signs);
            if scan.ends().is_empty() {
                break;
            }
        }
        let last = self.bytes.get(at..).unwrap_or_default();
        self.odd_line(at, at + trim_line(last).len(), &mut before);
        self.anomalies.insert(Anomaly::HeadersUnterminated);
        self.check_bytes(scan, self.bytes.len());
        self.bytes.len()
    }

    /// A line from `at` to `end`, its line end left out.
    #[inline(always)]
    fn line(&mut self, bytes: &[u8], at: usize, end: usize, before: &mut Before) {
        // The first sign of nearly every line, beyond which none is: blanks and line ends are signs.
        match self.signs.first(bytes, at) {
            Some((colon, b':')) => {
                before.last =
                    Some(self.add(bytes, at..colon, value(bytes, colon + 1, end), &mut before.more));
            }
            _ => self.odd_line(at, end, before),
        }
    }

    /// A line that continues another, or whose name is not plain.
    #[cold]
    fn odd_line(&mut self, at: usize, end: usize, before: &mut Before) {
        let line = self.bytes.get(at..end).unwrap_or_default();
        match line.first() {
            Some(b' ' | b'\t') => match before.last {
                Some(true) => self.fold(at, line),
                Some(false) => {}
                None => self.anomalies.insert(Anomaly::FoldWithoutHeader),
            },
            Some(_) => {
                let Some(colon) = find(b':', line) else {
                    self.anomalies.insert(Anomaly::HeaderWithoutColon);
                    before.last = Some(false);
                    return;
                };
                let name = trim_end(line.get(..colon).unwrap_or(line));
                let value = value(self.bytes, at + colon + 1, end);
                before.last = Some(self.add(self.bytes, at..at + name.len(), value, &mut before.more));
            }
            None => {}
        }
    }

    /// Bytes that no text has, in all headers at once.
    fn check_bytes(&mut self, scan: &Scan, end: usize) {
        self.anomalies.note(scan.has_bare_return(), Anomaly::BareCr);
        self.may_have_percent = scan.may_have_percent();
        if !scan.may_be_odd() {
            return;
        }
        let head = self.bytes.get(..end).unwrap_or(self.bytes);
        self.anomalies.note(std::str::from_utf8(head).is_err(), Anomaly::InvalidUtf8);
        // Lawful only as a quoted pair (RFC 3261 section 25.1).
        let mut nuls = memchr::memchr_iter(0, head);
        let is_quoted = |at: usize| at.checked_sub(1).and_then(|before| head.get(before)) == Some(&b'\\');
        self.anomalies.note(nuls.any(|at| !is_quoted(at)), Anomaly::NulByte);
    }

    /// A line that continues the last header. Only this line is looked at: there may be thousands.
    fn fold(&mut self, at: usize, line: &[u8]) {
        let Some(slot) = self.slots.last_mut() else { return };
        let (from, to) = bounds(line, 0);
        let begins_here = slot.value_at == slot.value_end;
        if begins_here {
            slot.value_at = u16::try_from(at + from).unwrap_or(u16::MAX);
        }
        // Blanks at the end of a value are none of it.
        if begins_here || from < to {
            slot.value_end = u16::try_from(at + to).unwrap_or(u16::MAX);
        }
    }

    /// A header, by where its name and its value are; whether there was room for it.
    #[inline(always)]
    fn add(&mut self, bytes: &[u8], name: Range<usize>, value: Range<usize>, more: &mut usize) -> bool {
        let known = HeaderName::at_start(bytes.get(name.start..).unwrap_or_default(), name.len());
        let is_first = self.first.get(known as usize) == Some(&0);
        if (known == HeaderName::Other || !is_first) && !self.is_room_for_more(name.clone(), known, more) {
            return false;
        }
        let slot = Slot {
            name_at: offset(name.start),
            value_at: offset(value.start),
            value_end: offset(value.end),
            name_len: u8::try_from(name.len()).unwrap_or(u8::MAX),
            name: known,
        };
        if self.slots.try_push(slot).is_err() {
            self.anomalies.insert(Anomaly::TooManyHeaders);
            return false;
        }
        const { assert!(super::MAX_HEADERS <= u8::MAX as usize) };
        if let Some(first) = self.first.get_mut(known as usize).filter(|_| is_first) {
            *first = u8::try_from(self.slots.len()).unwrap_or(0);
        }
        true
    }

    /// Counts a header that is unknown or not the first of its name.
    fn is_room_for_more(&mut self, name: Range<usize>, known: HeaderName, more: &mut usize) -> bool {
        if known == HeaderName::Other {
            let name = self.bytes.get(name).unwrap_or_default();
            self.anomalies.note(!is_token(name), Anomaly::HeaderNameInvalid);
        } else {
            self.anomalies = self.anomalies.union(repeated(known));
        }
        *more += 1;
        self.anomalies.note(*more > MAX_MORE, Anomaly::TooManyHeaders);
        *more <= MAX_MORE
    }
}

/// Where a value is that stands somewhere between two places, without the white space around it.
#[inline(always)]
fn value(bytes: &[u8], from: usize, to: usize) -> Range<usize> {
    let part = bytes.get(from..to).unwrap_or_default();
    match part {
        // One blank before it, none behind it.
        [b' ', first, .., last] if *first > b' ' && *last > b' ' => from + 1..to,
        _ => {
            let (begin, end) = bounds(part, 0);
            from + begin..from + end
        }
    }
}

/// Of a place in a message.
#[inline(always)]
const fn offset(at: usize) -> u16 {
    const { assert!(MAX_MESSAGE <= u16::MAX as usize, "all places fit") };
    #[expect(clippy::cast_possible_truncation, reason = "no message is longer")]
    {
        at as u16
    }
}

fn trim_end(mut text: &[u8]) -> &[u8] {
    while let [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
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
