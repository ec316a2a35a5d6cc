//! Header lines: where names and values are, and what is odd in the bytes between.

use super::{MAX_MORE, Slot, View};
use crate::anomaly::{Anomalies, Anomaly};
use crate::header::HeaderName;
use crate::signs::{BLOCK, Block};
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
    /// Reads headers from `headers_at` on; tells where the body begins. What is odd in the bytes is looked for on the way, from the
    /// start line on.
    pub(super) fn read_headers(&mut self, headers_at: usize) -> usize {
        let bytes = self.bytes;
        let mut at = headers_at;
        let mut before = Before::default();
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
                self.line(at, line, &mut before);
                at = end + 1;
            }
            is_odd |= block.is_odd;
            // The last byte of all has nothing behind it.
            let here = bytes.len() - begin;
            bare_returns |= if here < BLOCK { bare & !(u64::MAX << here) } else { bare };
        }
        let last = bytes.get(at..).unwrap_or_default();
        if !last.is_empty() {
            self.line(at, trim_line(last), &mut before);
        }
        self.anomalies.insert(Anomaly::HeadersUnterminated);
        self.check_bytes(is_odd, bare_returns, bytes.len());
        bytes.len()
    }

    fn line(&mut self, at: usize, line: &[u8], before: &mut Before) {
        match line.first() {
            Some(b' ' | b'\t') => match before.last {
                Some(true) => self.fold(at, line),
                Some(false) => {}
                None => self.anomalies.insert(Anomaly::FoldWithoutHeader),
            },
            Some(_) => before.last = Some(self.add(at, line, &mut before.more)),
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

    /// A line that continues the last header. Only this line is looked at: there may be thousands.
    fn fold(&mut self, at: usize, line: &[u8]) {
        let last = usize::from(self.count).checked_sub(1).and_then(|last| self.slots.get_mut(last));
        let Some(slot) = last else { return };
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

    /// A header; whether there was room for it.
    fn add(&mut self, at: usize, line: &[u8], more: &mut usize) -> bool {
        // The first sign of nearly every line, beyond which none is: line ends are signs.
        let colon = match self.signs.first(self.bytes, at) {
            Some((place, b':')) => place - at,
            _ => match find(b':', line) {
                Some(colon) => colon,
                None => {
                    self.anomalies.insert(Anomaly::HeaderWithoutColon);
                    return false;
                }
            },
        };
        let name = trim_end(line.get(..colon).unwrap_or(line));
        let (value_from, value_to) = bounds(line, colon + 1);
        let known = HeaderName::at_start(self.bytes.get(at..).unwrap_or_default(), name.len());
        let is_first = self.first.get(known as usize) == Some(&0);
        if known == HeaderName::Other {
            self.anomalies.note(!is_token(name), Anomaly::HeaderNameInvalid);
        } else if !is_first {
            self.anomalies = self.anomalies.union(repeated(known));
        }
        if known == HeaderName::Other || !is_first {
            *more += 1;
            if *more > MAX_MORE {
                self.anomalies.insert(Anomaly::TooManyHeaders);
                return false;
            }
        }
        let Some(slot) = self.slots.get_mut(usize::from(self.count)) else {
            self.anomalies.insert(Anomaly::TooManyHeaders);
            return false;
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
        true
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
