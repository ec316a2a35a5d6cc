//! Many frames at once, with their bytes: what is read from the file together is copied together.

use std::ops::Range;
use std::time::Duration;

use crate::reader::{Direction, Frame};

/// Frames that follow each other in a capture.
#[derive(Debug, Default)]
pub struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) frames: Vec<Held>,
    /// Their names, each once.
    interfaces: Vec<String>,
}

/// A frame whose bytes and interface stand elsewhere in its batch.
#[derive(Clone, Debug)]
pub(crate) struct Held {
    pub(crate) number: u64,
    pub(crate) time: Duration,
    pub(crate) interface: Option<usize>,
    pub(crate) direction: Option<Direction>,
    pub(crate) link: u16,
    pub(crate) data: Range<usize>,
    pub(crate) original_len: usize,
}

impl Batch {
    /// How many frames it has.
    pub fn len(&self) -> usize {
        self.frames.len()
    }

    pub fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }

    /// The frame at a place, from 0.
    pub fn frame(&self, at: usize) -> Option<Frame<'_>> {
        let held = self.frames.get(at)?;
        Some(Frame {
            number: held.number,
            time: held.time,
            interface: held.interface.and_then(|at| self.interfaces.get(at)).map(String::as_str),
            direction: held.direction,
            link: held.link,
            data: self.bytes.get(held.data.clone()).unwrap_or_default(),
            original_len: held.original_len,
        })
    }

    /// A number that the frames of the same interface share, in this batch only; `None` where the capture names none.
    pub fn interface(&self, at: usize) -> Option<usize> {
        self.frames.get(at)?.interface
    }

    pub(crate) fn clear(&mut self) {
        self.bytes.clear();
        self.frames.clear();
        self.interfaces.clear();
    }

    /// Where the name of an interface stands.
    pub(crate) fn place_of(&mut self, name: &str) -> usize {
        self.interfaces.iter().position(|known| known == name).unwrap_or_else(|| {
            self.interfaces.push(name.to_owned());
            self.interfaces.len() - 1
        })
    }
}
