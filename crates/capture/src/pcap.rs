//! The classic format (draft-ietf-opsawg-pcap): a file header, then a record for each frame.

use std::io::BufRead;
use std::ops::Range;
use std::time::Duration;

use crate::bytes::{ByteOrder, Filled, fill};
use crate::reader::{Error, Found, MAX_FRAME, Problems};

/// What the file header says about all frames.
#[derive(Debug)]
pub(crate) struct Header {
    order: ByteOrder,
    nanoseconds: bool,
    record_len: usize,
    link: u16,
}

/// Length of the file header after its magic number.
const REST_LEN: usize = 20;

impl Header {
    /// `None` when `magic` is not of this format.
    pub(crate) fn read(
        magic: [u8; 4],
        source: &mut impl BufRead,
        buffer: &mut Vec<u8>,
    ) -> Result<Option<Self>, Error> {
        let Some((order, nanoseconds, record_len)) = variant(magic) else { return Ok(None) };
        match fill(source, buffer, REST_LEN) {
            Filled::Whole => {}
            Filled::Ended | Filled::Cut { .. } => {
                return Err(Error::Format { hint: "; its file header is cut off" });
            }
            Filled::Failed(error) => return Err(error.into()),
        }
        // The upper half may tell how long the frame check sequence is; it lies beyond the IP datagram.
        let link = order.u32(buffer, 16).unwrap_or_default() & 0xffff;
        Ok(Some(Self { order, nanoseconds, record_len, link: u16::try_from(link).unwrap_or_default() }))
    }

    /// The next frame, if all of it lies in what was `read` from the file already.
    pub(crate) fn borrowed(&self, read: &[u8]) -> Option<(Found, usize)> {
        let record = Record::read(read.get(..self.record_len)?, self.order)?;
        if record.captured > MAX_FRAME {
            return None;
        }
        let end = self.record_len + record.captured;
        if end > read.len() {
            return None;
        }
        Some((self.found(&record, self.record_len..end, false), end))
    }

    /// The next frame, left in `buffer`.
    pub(crate) fn next(
        &self,
        source: &mut impl BufRead,
        buffer: &mut Vec<u8>,
        number: u64,
        problems: &mut Problems,
    ) -> Option<Found> {
        match fill(source, buffer, self.record_len) {
            Filled::Whole => {}
            Filled::Ended => return None,
            Filled::Cut { got } => {
                problems.add(
                    number,
                    format!("the file ends in the record header ({got} of {} bytes)", self.record_len),
                );
                return None;
            }
            Filled::Failed(error) => {
                problems.add(number, format!("reading failed: {error}"));
                return None;
            }
        }
        let record = Record::read(buffer, self.order)?;
        let captured = record.captured;
        if captured > MAX_FRAME {
            problems
                .add(number, format!("its record claims {captured} bytes; the rest of the file is not read"));
            return None;
        }
        let is_last = match fill(source, buffer, captured) {
            Filled::Whole => false,
            Filled::Ended if captured == 0 => false,
            Filled::Ended => {
                problems.add(number, format!("the file ends within it (0 of {captured} bytes)"));
                return None;
            }
            Filled::Cut { got } => {
                // The part may still show who sent what.
                problems.add(number, format!("the file ends within it ({got} of {captured} bytes)"));
                true
            }
            Filled::Failed(error) => {
                problems.add(number, format!("reading failed: {error}"));
                return None;
            }
        };
        Some(self.found(&record, 0..buffer.len(), is_last))
    }

    fn time(&self, record: &Record) -> Duration {
        let (unit, seconds) = (if self.nanoseconds { 1 } else { 1000 }, u64::from(record.seconds));
        match record.fraction.checked_mul(unit) {
            Some(nanoseconds) => Duration::new(seconds, nanoseconds),
            // Four seconds or more in what should be less than one.
            None => {
                let since_second = Duration::from_nanos(u64::from(record.fraction) * u64::from(unit));
                Duration::from_secs(seconds).saturating_add(since_second)
            }
        }
    }

    fn found(&self, record: &Record, data: Range<usize>, is_last: bool) -> Found {
        Found {
            time: self.time(record),
            interface: 0,
            direction: None,
            link: self.link,
            data,
            original_len: record.original.max(record.captured),
            is_last,
        }
    }
}

/// The header of a record.
#[derive(Debug)]
struct Record {
    seconds: u32,
    fraction: u32,
    captured: usize,
    original: usize,
}

impl Record {
    fn read(header: &[u8], order: ByteOrder) -> Option<Self> {
        let &[s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3] = header.first_chunk::<16>()?;
        let length = |bytes| usize::try_from(order.u32_of(bytes)).unwrap_or(usize::MAX);
        Some(Self {
            seconds: order.u32_of([s0, s1, s2, s3]),
            fraction: order.u32_of([f0, f1, f2, f3]),
            captured: length([c0, c1, c2, c3]),
            original: length([o0, o1, o2, o3]),
        })
    }
}

/// Byte order, whether stamps are nanoseconds, and the length of a record header, by magic number. The last is Kuznetzov's
/// format of old Red Hat kernels, with 8 bytes more.
fn variant(magic: [u8; 4]) -> Option<(ByteOrder, bool, usize)> {
    let little = u32::from_le_bytes(magic);
    let big = u32::from_be_bytes(magic);
    [(ByteOrder::Little, little), (ByteOrder::Big, big)].into_iter().find_map(|(order, value)| match value {
        0xa1b2_c3d4 => Some((order, false, 16)),
        0xa1b2_3c4d => Some((order, true, 16)),
        0xa1b2_cd34 => Some((order, false, 24)),
        _ => None,
    })
}
