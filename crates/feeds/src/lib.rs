//! Block lists: whatever a server sends in, addresses and networks out.
//!
//! A list comes from somebody else, so nothing in it is trusted: what is no address is counted and the first few are told,
//! what would hit half the internet or one's own network is refused and counted, and everything has a bound. Nothing here
//! fetches anything or bans anybody.

#![forbid(unsafe_code)]

/// Which networks are not taken from a list.
mod bounds;
/// APIBAN's JSON.
mod json;
/// Lists with an entry a line.
mod lines;

use std::collections::BTreeSet;
use std::net::IpAddr;

pub use bounds::{MIN_PREFIX_V4, MIN_PREFIX_V6, Refusal};

/// Bytes of a list that are read. Whoever fetches stops there.
pub const MAX_BYTES: usize = 32 << 20;
/// A longer line is no entry.
pub const MAX_LINE: usize = 1024;
/// What is no entry is told for so many lines.
pub const MAX_SAMPLES: usize = 5;
/// Letters of such a line that are told.
pub const MAX_SAMPLE: usize = 60;
/// Letters of the place where the next page begins.
const MAX_NEXT: usize = 64;

/// How a list is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// `{"ipaddress":["203.0.113.9"],"ID":"…"}`
    Apiban,
    /// What `ipset save` writes.
    Ipset,
    /// An address or network a line.
    Plain,
}

impl Format {
    pub const ALL: [Self; 3] = [Self::Apiban, Self::Ipset, Self::Plain];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Apiban => "apiban",
            Self::Ipset => "ipset",
            Self::Plain => "plain",
        }
    }

    /// Told by the first line that says something.
    pub fn of(bytes: &[u8]) -> Self {
        let first = lines::meaningful(bytes).next().map_or(&[] as &[u8], |(_, line)| line);
        let word = first.split(u8::is_ascii_whitespace).next().unwrap_or_default();
        match word {
            b"create" | b"add" | b"flush" => Self::Ipset,
            word if word.starts_with(b"{") => Self::Apiban,
            _ => Self::Plain,
        }
    }
}

/// An address or network. Host bits are zero, and an IPv4 address written as IPv6 is IPv4.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Entry {
    pub address: IpAddr,
    pub prefix: u8,
}

/// A line that is no entry.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Sample {
    /// From 1; in JSON the number of the element.
    pub line: u64,
    /// Cut, and without anything that a terminal would obey.
    pub text: String,
}

/// What a list says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct List {
    pub format: Format,
    /// Each once, in order.
    pub entries: Vec<Entry>,
    /// Lines that are no entry.
    pub unread: u64,
    /// The first of them.
    pub samples: Vec<Sample>,
    /// Networks that are too wide to be taken from a list.
    pub wide: u64,
    /// Networks that are nobody's on the internet: private ones, loopback, multicast.
    pub reserved: u64,
    /// Entries that were not taken, as there were too many.
    pub beyond: u64,
    /// Bytes beyond [`MAX_BYTES`] were not read.
    pub cut: bool,
    /// Where APIBAN's next page begins.
    pub next: Option<String>,
}

impl List {
    /// Reads a list, at most `most` entries of it.
    pub fn parse(bytes: &[u8], format: Option<Format>, most: usize) -> Self {
        let kept = bytes.get(..MAX_BYTES).unwrap_or(bytes);
        let kept = kept.strip_prefix(b"\xef\xbb\xbf").unwrap_or(kept);
        let format = format.unwrap_or_else(|| Format::of(kept));
        let mut taker = Taker::new(format, most);
        taker.list.cut = bytes.len() > MAX_BYTES;
        match format {
            Format::Apiban => json::read(kept, &mut taker),
            Format::Ipset => lines::ipset(kept, &mut taker),
            Format::Plain => lines::plain(kept, &mut taker),
        }
        taker.finish()
    }

    /// Adds a further page of the same list, at most `most` entries in all.
    pub fn add(&mut self, page: Self, most: usize) {
        let mut entries: BTreeSet<Entry> = std::mem::take(&mut self.entries).into_iter().collect();
        for entry in page.entries {
            if entries.len() < most || entries.contains(&entry) {
                entries.insert(entry);
            } else {
                self.beyond += 1;
            }
        }
        self.entries = entries.into_iter().collect();
        self.unread += page.unread;
        self.wide += page.wide;
        self.reserved += page.reserved;
        self.beyond += page.beyond;
        self.cut |= page.cut;
        self.samples.extend(page.samples.into_iter().take(MAX_SAMPLES - self.samples.len().min(MAX_SAMPLES)));
        self.next = page.next;
    }

    /// How many lines or elements were looked at in vain.
    pub fn refused(&self) -> u64 {
        self.unread + self.wide + self.reserved
    }
}

/// Takes what a reader finds.
#[derive(Debug)]
struct Taker {
    list: List,
    entries: BTreeSet<Entry>,
    most: usize,
}

impl Taker {
    fn new(format: Format, most: usize) -> Self {
        let list = List {
            format,
            entries: Vec::new(),
            unread: 0,
            samples: Vec::new(),
            wide: 0,
            reserved: 0,
            beyond: 0,
            cut: false,
            next: None,
        };
        Self { list, entries: BTreeSet::new(), most }
    }

    /// What may be an address or network.
    fn take(&mut self, line: u64, text: &[u8]) {
        let Some(entry) = bounds::entry(text) else { return self.wrong(line, text) };
        match bounds::refusal(entry) {
            Some(Refusal::Wide) => self.list.wide += 1,
            Some(Refusal::Reserved) => self.list.reserved += 1,
            None if self.entries.len() < self.most => {
                self.entries.insert(entry);
            }
            None if self.entries.contains(&entry) => {}
            None => self.list.beyond += 1,
        }
    }

    /// What is none.
    fn wrong(&mut self, line: u64, text: &[u8]) {
        self.list.unread += 1;
        if self.list.samples.len() < MAX_SAMPLES {
            self.list.samples.push(Sample { line, text: harmless(text) });
        }
    }

    fn finish(mut self) -> List {
        self.list.entries = self.entries.into_iter().collect();
        self.list
    }
}

/// The beginning of a text, as it may be shown.
fn harmless(text: &[u8]) -> String {
    // No letter has more than four bytes.
    let text = text.get(..MAX_SAMPLE * 4).unwrap_or(text);
    let show = |letter: char| match letter {
        ' '..='~' => letter,
        letter if letter.is_alphanumeric() => letter,
        _ => char::REPLACEMENT_CHARACTER,
    };
    String::from_utf8_lossy(text).chars().take(MAX_SAMPLE).map(show).collect()
}

/// What the fuzz target and the replay of its corpus run: any bytes, as any list.
pub mod fuzzing {
    use super::{Format, List, MAX_SAMPLE, MAX_SAMPLES, bounds};

    /// The first byte says how it is read, and how many entries are taken.
    pub fn list(data: &[u8]) {
        let Some((&first, bytes)) = data.split_first() else { return };
        let format = Format::ALL.get(usize::from(first % 4)).copied();
        let most = usize::from(first / 4);
        let list = List::parse(bytes, format, most);
        assert!(list.entries.len() <= most, "a bound is a bound");
        assert!(list.entries.is_sorted_by(|one, next| one < next), "each once, in order");
        assert!(list.samples.len() <= MAX_SAMPLES, "a few are told");
        for sample in &list.samples {
            assert!(
                sample.text.chars().count() <= MAX_SAMPLE && !sample.text.contains(char::is_control),
                "harmless"
            );
        }
        for entry in &list.entries {
            assert_eq!(bounds::refusal(*entry), None, "nothing that is refused is in it");
            let text = format!("{}/{}", entry.address, entry.prefix);
            assert_eq!(bounds::entry(text.as_bytes()), Some(*entry), "it is read as it is written");
        }
    }
}

#[cfg(test)]
mod tests;
