//! The classic format (draft-ietf-opsawg-pcap): a file header, then a record for each frame.

use std::io::BufRead;
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
        let field = |at: usize| self.order.u32(buffer, at).unwrap_or_default();
        let (seconds, fraction, captured, original) = (field(0), field(4), field(8), field(12));
        let captured = usize::try_from(captured).unwrap_or(usize::MAX);
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
        let unit = if self.nanoseconds { 1 } else { 1000 };
        let since_second = Duration::from_nanos(u64::from(fraction) * unit);
        let original = usize::try_from(original).unwrap_or(usize::MAX);
        Some(Found {
            time: Duration::from_secs(u64::from(seconds)).saturating_add(since_second),
            interface: 0,
            direction: None,
            link: self.link,
            data: 0..buffer.len(),
            original_len: original.max(captured),
            is_last,
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
