//! What the tracker reads from a TCP segment.

use crate::packet::{Tcp, tcp_flags};

/// What the flags make of a segment; the strongest flag wins.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    Ack,
    /// No flag that means anything.
    Bare,
    Fin,
    Reset,
    Syn,
    SynAck,
}

/// One segment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Segment<'a> {
    pub(crate) kind: Kind,
    pub(crate) sequence: u32,
    pub(crate) acknowledgement: u32,
    /// Sequence number after the last byte; SYN and FIN count one each.
    pub(crate) end: u32,
    pub(crate) window: u16,
    pub(crate) has_syn: bool,
    pub(crate) has_ack: bool,
    pub(crate) has_reset: bool,
    options: &'a [u8],
}

/// Whether `a` comes before `b` in sequence space (RFC 9293 section 3.4).
pub(crate) fn before(a: u32, b: u32) -> bool {
    a.wrapping_sub(b).cast_signed() < 0
}

pub(crate) fn after(a: u32, b: u32) -> bool {
    before(b, a)
}

/// TCP options that matter here.
pub(crate) enum TcpOption<'a> {
    /// Blocks of selectively acknowledged bytes (RFC 2018).
    Sack(&'a [u8]),
    SackPermitted,
    /// RFC 7323 section 2.
    WindowScale(u8),
    Other,
}

impl<'a> Segment<'a> {
    /// `len`: bytes on the wire from the TCP header on; a capture may hold fewer.
    pub(crate) fn new(tcp: &Tcp<'a>, len: usize) -> Self {
        let has = |flag: u8| tcp.flags & flag != 0;
        let (has_syn, has_ack, has_reset) = (has(tcp_flags::SYN), has(tcp_flags::ACK), has(tcp_flags::RST));
        let kind = match () {
            () if has_reset => Kind::Reset,
            () if has_syn && has_ack => Kind::SynAck,
            () if has_syn => Kind::Syn,
            () if has(tcp_flags::FIN) => Kind::Fin,
            () if has_ack => Kind::Ack,
            () => Kind::Bare,
        };
        let data = u32::try_from(len.saturating_sub(tcp.header_len)).unwrap_or(0);
        let taken = data.wrapping_add(u32::from(has_syn)).wrapping_add(u32::from(has(tcp_flags::FIN)));
        Self {
            kind,
            sequence: tcp.sequence,
            acknowledgement: tcp.acknowledgement,
            end: tcp.sequence.wrapping_add(taken),
            window: tcp.window,
            has_syn,
            has_ack,
            has_reset,
            options: tcp.options.unwrap_or_default(),
        }
    }

    pub(crate) fn has_options(&self) -> bool {
        !self.options.is_empty()
    }

    /// Its options, up to the first that makes no sense.
    pub(crate) fn options(&self) -> impl Iterator<Item = TcpOption<'a>> {
        let mut rest = self.options;
        std::iter::from_fn(move || {
            loop {
                let (&kind, after) = rest.split_first()?;
                match kind {
                    0 => return None,
                    1 => rest = after,
                    _ => {
                        let len = usize::from(*after.first()?);
                        let body = rest.get(2..len)?;
                        rest = rest.get(len..)?;
                        return Some(option(kind, body));
                    }
                }
            }
        })
    }

    /// The highest sequence number acknowledged, selectively or not.
    pub(crate) fn highest_acknowledged(&self) -> u32 {
        let mut highest = self.acknowledgement;
        for option in self.options() {
            if let TcpOption::Sack(blocks) = option {
                let (blocks, _) = blocks.as_chunks::<8>();
                for &[_, _, _, _, e0, e1, e2, e3] in blocks {
                    let end = u32::from_be_bytes([e0, e1, e2, e3]);
                    if after(end, highest) {
                        highest = end;
                    }
                }
                break;
            }
        }
        highest
    }
}

fn option(kind: u8, body: &[u8]) -> TcpOption<'_> {
    match (kind, body) {
        (3, &[shift]) => TcpOption::WindowScale(shift),
        (4, []) => TcpOption::SackPermitted,
        (5, blocks) if !blocks.is_empty() && blocks.len().is_multiple_of(8) => TcpOption::Sack(blocks),
        _ => TcpOption::Other,
    }
}
