//! The block format (draft-ietf-opsawg-pcapng): sections, each with its byte order and its interfaces.

use std::io::BufRead;
use std::time::Duration;

use crate::bytes::{ByteOrder, Filled, fill, skip};
use crate::reader::{Direction, Error, Found, MAX_FRAME, Problems};

/// The type of a section header block; the same in both byte orders.
pub(crate) const SECTION_MAGIC: [u8; 4] = [0x0a, 0x0d, 0x0d, 0x0a];

mod block {
    pub(super) const SECTION: u32 = 0x0a0d_0d0a;
    pub(super) const INTERFACE: u32 = 1;
    /// Obsolete, but still in old files.
    pub(super) const PACKET: u32 = 2;
    pub(super) const SIMPLE_PACKET: u32 = 3;
    pub(super) const ENHANCED_PACKET: u32 = 6;
}

/// The largest block that is read; larger ones of other types are skipped over.
const MAX_BLOCK: usize = MAX_FRAME + 65_536;

/// Type and length, which stand before the body of a block.
const HEAD_LEN: usize = 8;

/// Interfaces of one section at most; frames of later ones cannot be read.
const MAX_INTERFACES: usize = 65_536;

/// The section being read.
#[derive(Debug)]
pub(crate) struct Section {
    order: ByteOrder,
    interfaces: Vec<Interface>,
    /// No frame was read, a problem was told already.
    broken: bool,
}

#[derive(Debug)]
struct Interface {
    link: u16,
    snap_len: usize,
    name: Option<String>,
    resolution: Resolution,
    /// Seconds to add to every stamp.
    offset: i64,
}

/// Units of a time stamp in a second.
#[derive(Clone, Copy, Debug)]
struct Resolution {
    units: u128,
}

impl Resolution {
    const MICROSECONDS: Self = Self { units: 1_000_000 };

    /// Option `if_tsresol`: a negative power of ten, or of two when the highest bit is set. Powers beyond any clock are
    /// refused.
    fn from_option(byte: u8) -> Option<Self> {
        let power = u32::from(byte & 0x7f);
        let base: u128 = if byte & 0x80 == 0 { 10 } else { 2 };
        base.checked_pow(power).filter(|&units| units <= u128::from(u64::MAX)).map(|units| Self { units })
    }

    fn time(self, stamp: u64, offset: i64) -> Duration {
        // A division of 128 bits for each frame costs more than the rest of its header.
        let nanoseconds = match self.units {
            1_000_000_000 => stamp,
            1_000_000 => stamp.saturating_mul(1000),
            units => u64::try_from(u128::from(stamp) * 1_000_000_000 / units).unwrap_or(u64::MAX),
        };
        let time = Duration::from_nanos(nanoseconds);
        let shift = Duration::from_secs(offset.unsigned_abs());
        if offset < 0 { time.saturating_sub(shift) } else { time.saturating_add(shift) }
    }
}

impl Default for Section {
    fn default() -> Self {
        Self { order: ByteOrder::Little, interfaces: Vec::new(), broken: false }
    }
}

/// What a block's fixed fields say about a frame.
struct Fields {
    interface: usize,
    stamp: Option<u64>,
    captured: usize,
    original: usize,
    data_at: usize,
}

impl Section {
    pub(crate) fn interface_name(&self, interface: usize) -> Option<&str> {
        self.interfaces.get(interface)?.name.as_deref()
    }

    /// Reads the first section header, whose type was read already.
    pub(crate) fn begin(
        &mut self,
        source: &mut impl BufRead,
        buffer: &mut Vec<u8>,
        problems: &mut Problems,
    ) -> Result<(), Error> {
        if self.read_section_header(source, buffer, 0, problems) {
            Ok(())
        } else {
            Err(Error::Format { hint: "; its section header is broken or cut off" })
        }
    }

    /// The next frame, if its block is the next one, lies as a whole in what was `read` from the file already, and has nothing
    /// wrong.
    pub(crate) fn borrowed(&self, read: &[u8]) -> Option<(Found, usize)> {
        let field = |at| self.order.u32(read, at);
        if self.broken || field(0)? != block::ENHANCED_PACKET {
            return None;
        }
        let total = usize::try_from(field(4)?).ok()?;
        let body = body_len(total).filter(|body| *body <= MAX_BLOCK)?;
        if field(HEAD_LEN + body)? != field(4)? {
            return None;
        }
        let mut problems = Problems::default();
        let body = read.get(HEAD_LEN..HEAD_LEN + body)?;
        let found = self.packet(block::ENHANCED_PACKET, body, 0, &mut problems)?;
        let data = HEAD_LEN + found.data.start..HEAD_LEN + found.data.end;
        problems.is_empty().then_some((Found { data, ..found }, total))
    }

    /// The next frame, left in `buffer`.
    pub(crate) fn next(
        &mut self,
        source: &mut impl BufRead,
        buffer: &mut Vec<u8>,
        number: u64,
        problems: &mut Problems,
    ) -> Option<Found> {
        while !self.broken {
            let (kind, cut) = self.read_block(source, buffer, number, problems)?;
            self.broken = cut;
            let found = match kind {
                block::SECTION => {
                    self.broken = !self.read_section_header(source, buffer, number, problems);
                    None
                }
                block::INTERFACE if !cut => {
                    self.add_interface(buffer, number, problems);
                    None
                }
                block::ENHANCED_PACKET | block::PACKET | block::SIMPLE_PACKET => {
                    self.packet(kind, buffer, number, problems)
                }
                _ => None,
            };
            if found.is_some() {
                return found;
            }
        }
        None
    }

    /// Type and body of the next block, the body in `buffer`; `true` if the file ends in it. A section header is left to
    /// [`Section::read_section_header`], since its length cannot be read before its byte order.
    fn read_block(
        &self,
        source: &mut impl BufRead,
        buffer: &mut Vec<u8>,
        number: u64,
        problems: &mut Problems,
    ) -> Option<(u32, bool)> {
        if !filled(fill(source, buffer, 4), "a block type", number, problems) {
            return None;
        }
        let kind = self.order.u32(buffer, 0)?;
        if kind == block::SECTION {
            return Some((kind, false));
        }
        if !filled_or_cut(fill(source, buffer, 4), "a block length", number, problems) {
            return None;
        }
        let total = usize::try_from(self.order.u32(buffer, 0)?).unwrap_or(usize::MAX);
        let Some(body) = body_len(total) else {
            problems.add(number, format!("a block claims {total} bytes; the rest of the file is not read"));
            return None;
        };
        if body > MAX_BLOCK {
            if matches!(kind, block::ENHANCED_PACKET | block::PACKET | block::SIMPLE_PACKET) {
                problems
                    .add(number, format!("its block claims {total} bytes; the rest of the file is not read"));
                return None;
            }
            buffer.clear();
            let rest = u64::try_from(body + 4).unwrap_or(u64::MAX);
            return filled_or_cut(skip(source, rest), "a block", number, problems).then_some((kind, false));
        }
        let cut = match fill(source, buffer, body) {
            Filled::Whole => false,
            Filled::Ended if body == 0 => false,
            Filled::Ended | Filled::Cut { .. } => {
                problems.add(number, "the file ends within it");
                return Some((kind, true));
            }
            Filled::Failed(error) => {
                problems.add(number, format!("reading failed: {error}"));
                return None;
            }
        };
        let mut trailer = Vec::with_capacity(4);
        let whole = matches!(fill(source, &mut trailer, 4), Filled::Whole);
        if !whole || self.order.u32(&trailer, 0).and_then(|len| usize::try_from(len).ok()) != Some(total) {
            problems.add(number, "a block's two lengths differ");
        }
        Some((kind, cut))
    }

    /// Length, byte-order magic, version and options of a section header whose type was read. Interfaces begin anew.
    fn read_section_header(
        &mut self,
        source: &mut impl BufRead,
        buffer: &mut Vec<u8>,
        number: u64,
        problems: &mut Problems,
    ) -> bool {
        if !filled_or_cut(fill(source, buffer, 8), "a section header", number, problems) {
            return false;
        }
        self.order = match buffer.get(4..8) {
            Some([0x1a, 0x2b, 0x3c, 0x4d]) => ByteOrder::Big,
            Some([0x4d, 0x3c, 0x2b, 0x1a]) => ByteOrder::Little,
            _ => {
                problems.add(
                    number,
                    "a section header without byte-order magic; the rest of the file is not read",
                );
                return false;
            }
        };
        let total = usize::try_from(self.order.u32(buffer, 0).unwrap_or(0)).unwrap_or(usize::MAX);
        let Some(rest) = total.checked_sub(12).filter(|&rest| rest <= MAX_BLOCK) else {
            problems.add(
                number,
                format!("a section header claims {total} bytes; the rest of the file is not read"),
            );
            return false;
        };
        self.interfaces.clear();
        filled_or_cut(fill(source, buffer, rest), "a section header", number, problems)
    }

    fn add_interface(&mut self, body: &[u8], number: u64, problems: &mut Problems) {
        let (Some(link), Some(snap_len)) = (self.order.u16(body, 0), self.order.u32(body, 4)) else {
            problems.add(number, "an interface description is too short");
            return;
        };
        if self.interfaces.len() >= MAX_INTERFACES {
            problems.add(number, format!("more than {MAX_INTERFACES} interfaces"));
            return;
        }
        let mut interface = Interface {
            link,
            snap_len: usize::try_from(snap_len).unwrap_or(usize::MAX),
            name: None,
            resolution: Resolution::MICROSECONDS,
            offset: 0,
        };
        for (code, value) in options(self.order, body.get(8..).unwrap_or_default()) {
            match (code, value) {
                (2, name) => {
                    interface.name = Some(String::from_utf8_lossy(name).trim_end_matches('\0').to_owned())
                }
                (9, &[byte, ..]) => match Resolution::from_option(byte) {
                    Some(resolution) => interface.resolution = resolution,
                    None => problems
                        .add(number, format!("an interface's time resolution {byte:#x} is not lawful")),
                },
                (14, value) => interface.offset = self.order.i64(value, 0).unwrap_or(0),
                _ => {}
            }
        }
        self.interfaces.push(interface);
    }

    fn packet(&self, kind: u32, body: &[u8], number: u64, problems: &mut Problems) -> Option<Found> {
        let Some(fields) = self.fields(kind, body) else {
            problems.add(number, "a packet block is too short");
            return None;
        };
        let Some(interface) = self.interfaces.get(fields.interface) else {
            problems
                .add(number, format!("a packet of interface {}, which is not described", fields.interface));
            return None;
        };
        // A simple packet has no length of its own: as much as the snap length lets through.
        let snapped = if interface.snap_len == 0 { usize::MAX } else { interface.snap_len };
        let captured =
            if kind == block::SIMPLE_PACKET { fields.original.min(snapped) } else { fields.captured };
        let available = body.len().saturating_sub(fields.data_at);
        if captured > available && !self.broken {
            problems.add(number, format!("it claims {captured} bytes and its block holds {available}"));
        }
        let end = fields.data_at + captured.min(available);
        let options_at = fields.data_at + captured.next_multiple_of(4).min(available);
        let rest =
            if kind == block::SIMPLE_PACKET { &[] } else { body.get(options_at..).unwrap_or_default() };
        Some(Found {
            time: fields
                .stamp
                .map_or(Duration::ZERO, |stamp| interface.resolution.time(stamp, interface.offset)),
            interface: fields.interface,
            direction: direction(self.order, rest),
            link: interface.link,
            data: fields.data_at..end,
            original_len: fields.original.max(captured),
            is_last: self.broken,
        })
    }

    fn fields(&self, kind: u32, body: &[u8]) -> Option<Fields> {
        let u32_at = |at| self.order.u32(body, at);
        let size = |at| u32_at(at).map(|value| usize::try_from(value).unwrap_or(usize::MAX));
        if kind == block::SIMPLE_PACKET {
            return Some(Fields { interface: 0, stamp: None, captured: 0, original: size(0)?, data_at: 4 });
        }
        let interface = if kind == block::ENHANCED_PACKET {
            size(0)?
        } else {
            // Two bytes of interface, then a drop count.
            usize::from(self.order.u16(body, 0)?)
        };
        let stamp = u64::from(u32_at(4)?) << 32 | u64::from(u32_at(8)?);
        Some(Fields {
            interface,
            stamp: Some(stamp),
            captured: size(12)?.min(MAX_BLOCK),
            original: size(16)?,
            data_at: 20,
        })
    }
}

/// Bytes between a block's length and its trailing copy.
fn body_len(total: usize) -> Option<usize> {
    total.checked_sub(12).filter(|body| body.is_multiple_of(4))
}

/// Option `epb_flags` (`pack_flags` in the obsolete block): its two lowest bits.
fn direction(order: ByteOrder, rest: &[u8]) -> Option<Direction> {
    let flags = options(order, rest).find_map(|(code, value)| (code == 2).then(|| order.u32(value, 0)))??;
    match flags & 3 {
        1 => Some(Direction::Incoming),
        2 => Some(Direction::Outgoing),
        _ => None,
    }
}

/// Code and value of each option, up to the end mark or the first that does not fit.
fn options(order: ByteOrder, mut rest: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    std::iter::from_fn(move || {
        let code = order.u16(rest, 0).filter(|&code| code != 0)?;
        let len = usize::from(order.u16(rest, 2)?);
        let value = rest.get(4..4 + len)?;
        rest = rest.get(4 + len.next_multiple_of(4)..).unwrap_or_default();
        Some((code, value))
    })
}

/// `false` at the end of the file, which is no problem before a block.
fn filled(result: Filled, what: &str, number: u64, problems: &mut Problems) -> bool {
    match result {
        Filled::Ended => false,
        Filled::Whole | Filled::Cut { .. } | Filled::Failed(_) => {
            filled_or_cut(result, what, number, problems)
        }
    }
}

fn filled_or_cut(result: Filled, what: &str, number: u64, problems: &mut Problems) -> bool {
    match result {
        Filled::Whole => true,
        Filled::Ended | Filled::Cut { .. } => {
            problems.add(number, format!("the file ends in {what}"));
            false
        }
        Filled::Failed(error) => {
            problems.add(number, format!("reading failed: {error}"));
            false
        }
    }
}
