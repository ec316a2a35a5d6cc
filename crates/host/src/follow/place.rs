//! How far a file was read.

use std::fmt;
use std::fs::File;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::str::FromStr;

use sha2::{Digest as _, Sha256};

/// Bytes at the begin of a file that tell it from others, and bytes before a place.
const HEAD: usize = 256;
const TAIL: usize = 256;

/// See the module above. Its text is what a ledger keeps.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Place {
    device: u64,
    inode: u64,
    offset: u64,
    head: Print,
    tail: Print,
}

/// So many bytes with that hash.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Print {
    len: usize,
    hash: u64,
}

/// A text that is no place.
#[derive(Debug, thiserror::Error)]
#[error("`{text}` is no place in a log")]
pub struct PlaceError {
    text: String,
}

/// The first bytes of an open file.
#[derive(Clone, Copy, Debug)]
pub(super) struct Head(Print);

impl Head {
    pub(super) fn of(file: &File) -> std::io::Result<Self> {
        Print::read(file, 0, HEAD).map(Self)
    }

    /// The file grew: more of it is known.
    pub(super) fn grow(&mut self, file: &File) {
        if self.0.len < HEAD
            && let Ok(print) = Print::read(file, 0, HEAD)
        {
            self.0 = print;
        }
    }

    pub(super) fn still_begins(&self, file: &File) -> bool {
        self.0.is_at(file, 0)
    }
}

impl Place {
    pub(super) fn new((device, inode): (u64, u64), offset: u64, head: &Head, file: &File) -> Self {
        let len = usize::try_from(offset).unwrap_or(TAIL).min(TAIL);
        let before = offset.saturating_sub(super::as_u64(len));
        let tail = Print::read(file, before, len).unwrap_or(Print { len: 0, hash: 0 });
        Self { device, inode, offset, head: head.0, tail }
    }

    /// Bytes before it.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// It is that file, and nobody emptied it.
    pub(super) fn is_of(&self, file: &File) -> bool {
        let is_same = file
            .metadata()
            .is_ok_and(|metadata| (metadata.dev(), metadata.ino()) == (self.device, self.inode));
        is_same && self.holds(file)
    }

    /// Another file has what was read of this one, in the same place.
    pub(super) fn is_copied_to(&self, file: &File) -> bool {
        self.offset > 0 && self.holds(file)
    }

    fn holds(&self, file: &File) -> bool {
        let before = self.offset.saturating_sub(super::as_u64(self.tail.len));
        // What was read of the begin, not what came later.
        let len = file.metadata().map_or(0, |metadata| metadata.len());
        len >= self.offset && self.head.is_at(file, 0) && self.tail.is_at(file, before)
    }
}

impl Print {
    fn read(file: &File, offset: u64, most: usize) -> std::io::Result<Self> {
        let mut buffer = [0; HEAD];
        let buffer = buffer.get_mut(..most.min(HEAD)).unwrap_or_default();
        let mut len = 0;
        while let Some(rest) = buffer.get_mut(len..).filter(|rest| !rest.is_empty()) {
            match file.read_at(rest, offset + super::as_u64(len))? {
                0 => break,
                count => len += count,
            }
        }
        let digest = Sha256::digest(buffer.get(..len).unwrap_or_default());
        let hash = digest.first_chunk().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Ok(Self { len, hash })
    }

    fn is_at(self, file: &File, offset: u64) -> bool {
        Self::read(file, offset, self.len).is_ok_and(|now| now == self)
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { device, inode, offset, head, tail } = self;
        let (head, tail) =
            (format_args!("{}:{:x}", head.len, head.hash), format_args!("{}:{:x}", tail.len, tail.hash));
        write!(f, "{device}:{inode} {offset} {head} {tail}")
    }
}

impl FromStr for Place {
    type Err = PlaceError;

    fn from_str(text: &str) -> Result<Self, PlaceError> {
        let read = || {
            let mut words = text.split(' ');
            let (device, inode) = words.next()?.split_once(':')?;
            let offset = words.next()?;
            let mut print = || {
                let (len, hash) = words.next()?.split_once(':')?;
                let print = Print { len: len.parse().ok()?, hash: u64::from_str_radix(hash, 16).ok()? };
                (print.len <= HEAD).then_some(print)
            };
            Some(Self {
                device: device.parse().ok()?,
                inode: inode.parse().ok()?,
                offset: offset.parse().ok()?,
                head: print()?,
                tail: print()?,
            })
        };
        read().ok_or_else(|| PlaceError { text: text.to_owned() })
    }
}
