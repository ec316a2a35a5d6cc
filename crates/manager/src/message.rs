//! Lines of the form `Key: value`, up to an empty one.

use crate::lines::Line;

/// Lines of a message that are kept.
pub const MAX_LINES: usize = 256;
/// Bytes of a message that are kept.
const MAX_BYTES: usize = 64 * 1024;

/// Keys and values in the order in which they were written.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(crate) struct Message {
    lines: Vec<(String, String)>,
    bytes: usize,
    /// Something was too long, or there was too much of it.
    pub(crate) cut: bool,
}

impl Message {
    pub(crate) fn push(&mut self, line: &Line) {
        let room = MAX_BYTES - self.bytes.min(MAX_BYTES);
        if self.lines.len() >= MAX_LINES || line.bytes.len() > room {
            self.cut = true;
            return;
        }
        self.cut |= line.cut;
        self.bytes += line.bytes.len();
        let text = String::from_utf8_lossy(&line.bytes);
        let (key, value) = text.split_once(':').unwrap_or((text.as_ref(), ""));
        self.lines.push((key.trim().to_owned(), value.trim().to_owned()));
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    pub(crate) fn lines(&self) -> &[(String, String)] {
        &self.lines
    }

    /// The key of a line.
    pub(crate) fn key(&self, at: usize) -> Option<&str> {
        self.lines.get(at).map(|(key, _)| key.as_str())
    }

    /// The first value under a key.
    pub(crate) fn first(&self, key: &str) -> Option<&str> {
        self.from(0, key)
    }

    /// The first value under a key from a line on.
    pub(crate) fn from(&self, at: usize, key: &str) -> Option<&str> {
        let mut lines = self.lines.get(at..)?.iter();
        lines.find(|(name, _)| name.eq_ignore_ascii_case(key)).map(|(_, value)| value.as_str())
    }
}

/// A text that may be shown: one line, short, nothing that a terminal would obey.
pub(crate) fn harmless(text: &str) -> String {
    /// Letters that are kept. Call-IDs and contacts of phones are shorter.
    const MOST: usize = 256;
    let show = |letter: char| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter };
    text.chars().take(MOST).map(show).collect()
}
