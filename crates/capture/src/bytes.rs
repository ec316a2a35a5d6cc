//! Integers in the byte order of a file, and reading that tells "ended" from "ended in the middle".

use std::io::{self, BufRead, Read as _};

/// How a file stores integers.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum ByteOrder {
    Big,
    Little,
}

impl ByteOrder {
    /// The integer at `at`, if it is there.
    pub(crate) fn u16(self, data: &[u8], at: usize) -> Option<u16> {
        let bytes = *data.get(at..)?.first_chunk::<2>()?;
        Some(if self == Self::Big { u16::from_be_bytes(bytes) } else { u16::from_le_bytes(bytes) })
    }

    pub(crate) fn u32(self, data: &[u8], at: usize) -> Option<u32> {
        Some(self.u32_of(*data.get(at..)?.first_chunk::<4>()?))
    }

    pub(crate) fn u32_of(self, bytes: [u8; 4]) -> u32 {
        if self == Self::Big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) }
    }

    pub(crate) fn i64(self, data: &[u8], at: usize) -> Option<i64> {
        let bytes = *data.get(at..)?.first_chunk::<8>()?;
        Some(if self == Self::Big { i64::from_be_bytes(bytes) } else { i64::from_le_bytes(bytes) })
    }
}

/// What [`fill`] got.
#[derive(Debug)]
pub(crate) enum Filled {
    /// As many bytes as were asked for.
    Whole,
    /// Nothing: the file ended before.
    Ended,
    /// Some: the file, or the compressed stream, broke off.
    Cut { got: usize },
    /// The source failed.
    Failed(io::Error),
}

/// Reads `len` bytes into `buffer` (replacing what was in it).
pub(crate) fn fill(source: &mut impl BufRead, buffer: &mut Vec<u8>, len: usize) -> Filled {
    buffer.clear();
    if len == 0 {
        return Filled::Whole;
    }
    // Nearly always all of it was read from the file already.
    match source.fill_buf().map(|known| known.get(..len)) {
        Ok(Some(wanted)) => {
            buffer.extend_from_slice(wanted);
            source.consume(len);
            return Filled::Whole;
        }
        Ok(None) => {}
        Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
        Err(error) if is_cut(&error) => return Filled::Cut { got: 0 },
        Err(error) => return Filled::Failed(error),
    }
    let wanted = u64::try_from(len).unwrap_or(u64::MAX);
    match source.take(wanted).read_to_end(buffer) {
        Ok(got) if got == len => Filled::Whole,
        Ok(0) => Filled::Ended,
        Ok(got) => Filled::Cut { got },
        // What was decompressed before the stream broke is in the buffer.
        Err(error) if is_cut(&error) => Filled::Cut { got: buffer.len() },
        Err(error) => Filled::Failed(error),
    }
}

/// Reads `len` bytes and forgets them.
pub(crate) fn skip(source: &mut impl BufRead, len: u64) -> Filled {
    match io::copy(&mut source.take(len), &mut io::sink()) {
        Ok(got) if got == len => Filled::Whole,
        Ok(got) => Filled::Cut { got: usize::try_from(got).unwrap_or(usize::MAX) },
        Err(error) if is_cut(&error) => Filled::Cut { got: 0 },
        Err(error) => Filled::Failed(error),
    }
}

/// Errors that a cut or damaged gzip stream gives.
fn is_cut(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::UnexpectedEof | io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData
    )
}
