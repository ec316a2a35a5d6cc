//! From a file to frames, whatever its format.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Duration;

use flate2::bufread::MultiGzDecoder;

use crate::batch::{Batch, Held};
use crate::bytes::{Filled, fill};
use crate::{pcap, pcapng};

/// One captured frame.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Frame<'a> {
    /// From 1, as Wireshark counts.
    pub number: u64,
    /// Since the Unix epoch.
    pub time: Duration,
    /// The name of the interface, where the format keeps it (pcapng).
    pub interface: Option<&'a str>,
    /// Which way it went, where the format keeps it (pcapng flags; cooked frames say it themselves).
    pub direction: Option<Direction>,
    /// Link type number (tcpdump.org/linktypes.html); see [`crate::link`].
    pub link: u16,
    /// From the link header on; at most as long as the snap length.
    pub data: &'a [u8],
    /// Length on the wire.
    pub original_len: usize,
}

/// Seen from the machine that captured.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    Incoming,
    Outgoing,
}

/// Something that could not be read, or only in part.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Problem {
    /// The frame that it is about, or the last one before it (0: before the first).
    pub frame: u64,
    /// Lower case, no full stop.
    pub what: String,
}

/// Why a file gives no frames at all.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("empty file")]
    Empty,
    /// Neither pcap nor pcapng; the text names what it may be.
    #[error("not a pcap or pcapng capture{hint}")]
    Format { hint: &'static str },
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Frames larger than this are taken for a broken length field. Larger than any snap length in use and than a segment that a
/// network card was to split ("BIG TCP", 512 KiB).
pub(crate) const MAX_FRAME: usize = 4 * 1024 * 1024;

/// Problems kept; a broken file could give one for each frame. Later ones are only counted.
const MAX_PROBLEMS: usize = 1000;

/// Reads frames one after another.
pub struct Reader<'a> {
    source: BufReader<Box<dyn Read + Send + 'a>>,
    /// Bytes of `source` that the last frame borrowed, to be passed over when the next one is asked for.
    lent: usize,
    format: Format,
    /// Of a frame that does not lie in `source` as a whole.
    buffer: Vec<u8>,
    count: u64,
    problems: Problems,
    finished: bool,
}

#[derive(Debug)]
enum Format {
    Pcap(pcap::Header),
    Pcapng(pcapng::Section),
}

impl Format {
    /// The next frame, where all of it stands in `read`, and how many bytes from the start on are its own. It is never the last one
    /// of a file that breaks off.
    fn borrowed(&self, read: &[u8]) -> Option<(Found, usize)> {
        match self {
            Self::Pcap(header) => header.borrowed(read),
            Self::Pcapng(section) => section.borrowed(read),
        }
    }

    fn interface_name(&self, found: &Found) -> Option<&str> {
        match self {
            Self::Pcap(_) => None,
            Self::Pcapng(section) => section.interface_name(found.interface),
        }
    }
}

/// The first [`MAX_PROBLEMS`], and how many there were.
#[derive(Debug, Default)]
pub(crate) struct Problems {
    kept: Vec<Problem>,
    suppressed: u64,
}

impl Problems {
    pub(crate) fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    pub(crate) fn add(&mut self, frame: u64, what: impl Into<String>) {
        if self.kept.len() < MAX_PROBLEMS {
            self.kept.push(Problem { frame, what: what.into() });
        } else {
            self.suppressed += 1;
        }
    }
}

impl std::fmt::Debug for Reader<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader")
            .field("format", &self.format)
            .field("count", &self.count)
            .finish_non_exhaustive()
    }
}

impl Reader<'static> {
    /// Opens a capture file.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Self::new(File::open(path)?)
    }
}

impl<'a> Reader<'a> {
    /// Reads a capture from anywhere. Memory does not grow with the capture: one frame of at most 4 MiB, and up to 65,536
    /// interfaces (pcapng).
    pub fn new(source: impl Read + Send + 'a) -> Result<Self, Error> {
        let source: Box<dyn Read + Send + 'a> = Box::new(source);
        let mut plain = BufReader::with_capacity(128 * 1024, source);
        let gzip = plain.fill_buf()?.starts_with(&[0x1f, 0x8b]);
        let mut source = if gzip { BufReader::new(Box::new(MultiGzDecoder::new(plain)) as _) } else { plain };
        let mut buffer = Vec::new();
        match fill(&mut source, &mut buffer, 4) {
            Filled::Whole | Filled::Cut { .. } => {}
            Filled::Ended => return Err(Error::Empty),
            Filled::Failed(error) => return Err(error.into()),
        }
        let magic = buffer.first_chunk::<4>().copied().unwrap_or_default();
        let format = if magic == pcapng::SECTION_MAGIC {
            Format::Pcapng(pcapng::Section::default())
        } else {
            match pcap::Header::read(magic, &mut source, &mut buffer)? {
                Some(header) => Format::Pcap(header),
                None => return Err(Error::Format { hint: hint(magic) }),
            }
        };
        let mut reader = Self {
            source,
            lent: 0,
            format,
            buffer,
            count: 0,
            problems: Problems::default(),
            finished: false,
        };
        if let Format::Pcapng(section) = &mut reader.format {
            section.begin(&mut reader.source, &mut reader.buffer, &mut reader.problems)?;
        }
        Ok(reader)
    }

    /// The next frame; `None` at the end, or where nothing more can be read (a [`Problem`] then says so).
    pub fn next_frame(&mut self) -> Option<Frame<'_>> {
        if self.finished {
            return None;
        }
        let number = self.count + 1;
        self.source.consume(std::mem::take(&mut self.lent));
        // Nearly always all of it was read from the file already.
        let borrowed = self.format.borrowed(self.source.buffer());
        let is_borrowed = borrowed.is_some();
        let found = match (borrowed, &mut self.format) {
            (Some((found, len)), _) => {
                self.lent = len;
                Some(found)
            }
            (None, Format::Pcap(header)) => {
                header.next(&mut self.source, &mut self.buffer, number, &mut self.problems)
            }
            (None, Format::Pcapng(section)) => {
                section.next(&mut self.source, &mut self.buffer, number, &mut self.problems)
            }
        };
        let Some(found) = found else {
            self.finished = true;
            return None;
        };
        self.count = number;
        self.finished = found.is_last;
        let place = if is_borrowed { self.source.buffer() } else { self.buffer.as_slice() };
        Some(Frame {
            number,
            time: found.time,
            interface: self.format.interface_name(&found),
            direction: found.direction,
            link: found.link,
            data: place.get(found.data).unwrap_or_default(),
            original_len: found.original_len,
        })
    }

    /// The next frames in place of those in `batch`: up to `frames`, and no more once they have `bytes`. None at the end, or where
    /// nothing more can be read, as with [`Reader::next_frame`].
    pub fn next_batch(&mut self, batch: &mut Batch, bytes: usize, frames: usize) {
        batch.clear();
        while batch.bytes.len() < bytes && batch.frames.len() < frames {
            let before = batch.frames.len();
            self.take_known(batch, bytes, frames);
            if batch.frames.len() == before {
                let Some(frame) = self.next_frame() else { return };
                let begin = batch.bytes.len();
                batch.bytes.extend_from_slice(frame.data);
                let interface = frame.interface.map(|name| batch.place_of(name));
                let Frame { number, time, direction, link, original_len, .. } = frame;
                let data = begin..batch.bytes.len();
                batch.frames.push(Held { number, time, interface, direction, link, data, original_len });
            }
        }
    }

    /// Takes the next frames that were read from the file as a whole already.
    fn take_known(&mut self, batch: &mut Batch, bytes: usize, frames: usize) {
        if self.finished {
            return;
        }
        self.source.consume(std::mem::take(&mut self.lent));
        let known = self.source.buffer();
        let (begin, mut end) = (batch.bytes.len(), 0);
        while begin + end < bytes && batch.frames.len() < frames {
            let rest = known.get(end..).unwrap_or_default();
            let Some((found, len)) = self.format.borrowed(rest) else { break };
            let interface = self.format.interface_name(&found).map(|name| batch.place_of(name));
            self.count += 1;
            batch.frames.push(Held {
                number: self.count,
                time: found.time,
                interface,
                direction: found.direction,
                link: found.link,
                data: begin + end + found.data.start..begin + end + found.data.end,
                original_len: found.original_len,
            });
            end += len;
        }
        batch.bytes.extend_from_slice(known.get(..end).unwrap_or_default());
        self.source.consume(end);
    }

    /// What could not be read since the last call; the last one may say how many more there were.
    pub fn take_problems(&mut self) -> Vec<Problem> {
        let mut problems = std::mem::take(&mut self.problems.kept);
        if self.problems.suppressed > 0 {
            let what = format!("{} more problems like these", self.problems.suppressed);
            problems.push(Problem { frame: self.count, what });
            self.problems.suppressed = 0;
        }
        problems
    }
}

/// Where a format reader found a frame.
#[derive(Debug)]
pub(crate) struct Found {
    pub(crate) time: Duration,
    /// Number of the interface in its section.
    pub(crate) interface: usize,
    pub(crate) direction: Option<Direction>,
    pub(crate) link: u16,
    /// Where in the buffer, or in what was read from the file if it was borrowed from there.
    pub(crate) data: std::ops::Range<usize>,
    pub(crate) original_len: usize,
    /// The file broke off within it.
    pub(crate) is_last: bool,
}

/// What people hand to a capture reader by mistake.
fn hint(magic: [u8; 4]) -> &'static str {
    match &magic {
        b"snoo" => "; it is a snoop file, convert it with `editcap`",
        [0x28, 0xb5, 0x2f, 0xfd] => "; it is compressed with zstd, unpack it with `unzstd`",
        [0xfd, b'7', b'z', b'X'] => "; it is compressed with xz, unpack it with `unxz`",
        b"BZh9" => "; it is compressed with bzip2, unpack it with `bunzip2`",
        [b'P', b'K', 3, 4] => "; it is a zip archive, unpack it first",
        [0x7f, b'E', b'L', b'F'] => "; it is a program",
        _ => "",
    }
}
