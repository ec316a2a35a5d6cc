//! Messages in a TCP stream: segments in, whole messages out (RFC 3261 section 18.3).
//!
//! One [`Framer`] reads one direction of one connection. It keeps what belongs to an incomplete message, and a few segments
//! that came too early; both have a bound. What is lost is told, and reading goes on at the next start line.

use memchr::memmem;

use crate::header::HeaderName;
use crate::number::Number;
use crate::payload::KeepAlive;
use crate::start_line::begins_message;
use crate::view::{Carrier, View};

/// Something that a stream held.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Piece<'a> {
    /// Line ends between messages.
    KeepAlive(KeepAlive),
    /// One message, as long as its Content-Length says; shorter where it was cut off by the bound or by a gap.
    Message(&'a [u8]),
    /// So many bytes that belong to no message.
    NotSip(usize),
}

/// Segments that came too early and are kept, at most.
const MAX_EARLY: usize = 8;

/// Cuts a stream into messages.
#[derive(Clone, Debug)]
pub struct Framer {
    limit: usize,
    /// The sequence number of the next byte; `None` before the first segment.
    next: Option<u32>,
    /// Bytes of an incomplete message.
    partial: Vec<u8>,
    /// How much of `partial` has no end of headers in it.
    searched: usize,
    /// How long the message in `partial` will be, if its headers are there: they are not read again with each segment of its body.
    awaited: Option<usize>,
    /// Bytes of a body too long to keep that are still to come.
    skip: u64,
    /// Sequence number and data.
    early: Vec<(u32, Vec<u8>)>,
}

impl Framer {
    /// Keeps at most `limit` bytes of an incomplete message, and as many of up to `MAX_EARLY` early segments, of which the
    /// earliest are kept.
    #[must_use]
    pub const fn new(limit: usize) -> Self {
        Self {
            limit,
            next: None,
            partial: Vec::new(),
            searched: 0,
            awaited: None,
            skip: 0,
            early: Vec::new(),
        }
    }

    /// The connection begins: its first byte has the number `sequence`.
    pub fn begin(&mut self, sequence: u32) {
        *self = Self { next: Some(sequence), ..Self::new(self.limit) };
    }

    /// Bytes that are kept.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.partial.len() + self.early.iter().map(|(_, data)| data.len()).sum::<usize>()
    }

    /// Bytes of an incomplete message that are kept.
    #[must_use]
    pub fn incomplete(&self) -> usize {
        self.partial.len()
    }

    /// Takes a segment whose first byte has the number `sequence`, in any order and as often as it is sent.
    pub fn push(&mut self, sequence: u32, data: &[u8], mut each: impl FnMut(Piece<'_>)) {
        let next = *self.next.get_or_insert(sequence);
        let ahead = sequence.wrapping_sub(next);
        if ahead != 0 && ahead < 1 << 31 {
            return self.keep_early(sequence, data, &mut each);
        }
        self.take(sequence, data, &mut each);
        self.take_early(&mut each);
    }

    fn take(&mut self, sequence: u32, data: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        let next = self.next.unwrap_or(sequence);
        let known = usize::try_from(next.wrapping_sub(sequence)).unwrap_or(usize::MAX);
        let Some(new) = data.get(known..).filter(|new| !new.is_empty()) else { return };
        let len = u32::try_from(data.len()).unwrap_or(0);
        self.next = Some(sequence.wrapping_add(len));
        self.read(new, each);
    }

    fn keep_early(&mut self, sequence: u32, data: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        let kept: usize = self.early.iter().map(|(_, data)| data.len()).sum();
        if self.early.len() < MAX_EARLY && kept + data.len() <= self.limit {
            self.early.push((sequence, data.to_vec()));
            return;
        }
        // What is missing will not come: go on behind the gap.
        self.give_up(each);
        let next = self.next.unwrap_or(sequence);
        let mut segments = std::mem::take(&mut self.early);
        segments.push((sequence, data.to_vec()));
        segments.sort_by_key(|(sequence, _)| sequence.wrapping_sub(next));
        for (sequence, data) in segments {
            let gap = sequence.wrapping_sub(self.next.unwrap_or(sequence));
            if gap != 0 && gap < 1 << 31 {
                self.give_up(each);
                self.next = Some(sequence);
            }
            self.take(sequence, &data, each);
        }
    }

    fn take_early(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        loop {
            let next = self.next.unwrap_or(0);
            let ready = |(sequence, _): &(u32, Vec<u8>)| next.wrapping_sub(*sequence) < 1 << 31;
            let Some(index) = self.early.iter().position(ready) else { return };
            let (sequence, data) = self.early.swap_remove(index);
            self.take(sequence, &data, each);
        }
    }

    /// Hands out the incomplete message as it is.
    fn give_up(&mut self, each: &mut impl FnMut(Piece<'_>)) {
        self.skip = 0;
        self.forget();
        let partial = std::mem::take(&mut self.partial);
        if begins_message(&partial) {
            each(Piece::Message(&partial));
        } else if !partial.is_empty() {
            each(Piece::NotSip(partial.len()));
        }
    }

    /// Reads bytes that follow what was read before.
    fn read(&mut self, new: &[u8], each: &mut impl FnMut(Piece<'_>)) {
        let skipped = usize::try_from(self.skip).unwrap_or(usize::MAX).min(new.len());
        self.skip -= skipped as u64;
        let new = new.get(skipped..).unwrap_or_default();
        if self.partial.is_empty() {
            let used = self.cut(new, each);
            self.partial.extend_from_slice(new.get(used..).unwrap_or_default());
        } else {
            let mut all = std::mem::take(&mut self.partial);
            all.extend_from_slice(new);
            let used = self.cut(&all, each);
            all.drain(..used);
            if all.is_empty() {
                // A quiet connection costs nothing.
                all = Vec::new();
            }
            self.partial = all;
        }
        if self.partial.len() > self.limit {
            self.give_up(each);
        }
    }

    /// Cuts whole messages off the front of `bytes`; returns how many bytes they were.
    fn cut(&mut self, bytes: &[u8], each: &mut impl FnMut(Piece<'_>)) -> usize {
        let mut used = 0;
        while let Some(rest) = bytes.get(used..).filter(|rest| !rest.is_empty()) {
            let lines = rest.iter().take_while(|&&byte| byte == b'\r' || byte == b'\n').count();
            if lines > 0 {
                each(Piece::KeepAlive(KeepAlive::Crlf));
                used += lines;
                self.forget();
                continue;
            }
            match self.message_len(rest) {
                Len::Incomplete => break,
                Len::NotSip => {
                    self.forget();
                    // The next start line may be behind a line end.
                    let line = memchr::memchr(b'\n', rest).map_or(rest.len(), |end| end + 1);
                    each(Piece::NotSip(line));
                    used += line;
                }
                Len::Whole(len) => {
                    self.forget();
                    each(Piece::Message(rest.get(..len).unwrap_or(rest)));
                    used += len;
                }
                Len::TooLong(len) => {
                    self.forget();
                    each(Piece::Message(rest));
                    self.skip = len.saturating_sub(rest.len() as u64);
                    used += rest.len();
                }
            }
        }
        used
    }

    /// Nothing is known of the next message.
    fn forget(&mut self) {
        self.searched = 0;
        self.awaited = None;
    }

    fn message_len(&mut self, rest: &[u8]) -> Len {
        if let Some(len) = self.awaited {
            return if len <= rest.len() { Len::Whole(len) } else { Len::Incomplete };
        }
        let from = self.searched.saturating_sub(3);
        let unsearched = rest.get(from..).unwrap_or_default();
        let crlf = memmem::find(unsearched, b"\r\n\r\n").map(|at| from + at + 4);
        let lf = memmem::find(unsearched, b"\n\n").map(|at| from + at + 2);
        let Some(head) = crlf.into_iter().chain(lf).min() else {
            self.searched = rest.len();
            let line_is_whole = memchr::memchr(b'\n', rest).is_some();
            let hopeless = line_is_whole && !begins_message(rest);
            let binary = rest.first().is_some_and(|&byte| !(0x20..0x7f).contains(&byte));
            return if hopeless || binary { Len::NotSip } else { Len::Incomplete };
        };
        if !begins_message(rest) {
            return Len::NotSip;
        }
        let body = View::parse(rest.get(..head).unwrap_or(rest), Carrier::Stream)
            .ok()
            .and_then(|view| view.get(HeaderName::ContentLength))
            .map_or(Number::Value(0), Number::read);
        let body = match body {
            Number::Value(length) => length,
            Number::Huge => u64::MAX / 2,
            Number::Negative | Number::Invalid => 0,
        };
        let len = body.saturating_add(head as u64);
        match usize::try_from(len) {
            Ok(len) if len <= rest.len() => Len::Whole(len),
            Ok(len) if len <= self.limit => {
                self.awaited = Some(len);
                Len::Incomplete
            }
            Ok(_) | Err(_) => Len::TooLong(len),
        }
    }
}

enum Len {
    Incomplete,
    NotSip,
    /// Longer than what is kept.
    TooLong(u64),
    Whole(usize),
}

#[cfg(test)]
mod tests;
