//! Link headers: where in a frame the IP datagram begins.

use crate::reader::{Direction, Frame};

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Payload<'a> {
    /// An IPv4 or IPv6 datagram. `wire_len`: how many bytes there were on the wire from its first byte on.
    Ip { data: &'a [u8], wire_len: usize },
    /// Something else, by its EtherType (ARP is 0x0806); `None` when it has none.
    Other(Option<u16>),
    /// The link header is cut off.
    Cut,
    /// A link type that is not supported.
    Unsupported(u16),
}

/// A frame without its link header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Decoded<'a> {
    pub payload: Payload<'a>,
    /// Which way it went, if link header or capture format say so.
    pub direction: Option<Direction>,
    /// It went through the loopback interface; `None` when the link type does not tell.
    pub loopback: Option<bool>,
    /// The link header says that it was meant for another machine (seen in promiscuous mode).
    pub other_host: bool,
    /// The link header addresses everybody or a group.
    pub to_group: bool,
}

mod kind {
    pub(super) const NULL: u16 = 0;
    pub(super) const ETHERNET: u16 = 1;
    /// `DLT_RAW` as some systems wrote it into files.
    pub(super) const RAW_BSD: u16 = 12;
    pub(super) const RAW_OPENBSD: u16 = 14;
    pub(super) const RAW: u16 = 101;
    pub(super) const LOOP: u16 = 108;
    pub(super) const COOKED: u16 = 113;
    pub(super) const IPV4: u16 = 228;
    pub(super) const IPV6: u16 = 229;
    pub(super) const COOKED_V2: u16 = 276;
}

/// VLAN tags in one frame at most; more are no network that anybody runs.
const MAX_TAGS: usize = 8;

/// `ARPHRD_LOOPBACK` of Linux.
const LOOPBACK_HARDWARE: u16 = 772;

/// Takes the link header off.
pub fn decode<'a>(frame: &Frame<'a>) -> Decoded<'a> {
    let plain = |payload| Decoded {
        payload,
        direction: frame.direction,
        loopback: None,
        other_host: false,
        to_group: false,
    };
    match frame.link {
        kind::ETHERNET => {
            let to_group = frame.data.first().is_some_and(|first| first & 1 != 0);
            Decoded { to_group, ..plain(ethernet(frame)) }
        }
        kind::NULL | kind::LOOP => {
            let payload = match family(frame) {
                Some(true) => ip(frame, 4),
                Some(false) => Payload::Other(None),
                None => Payload::Cut,
            };
            Decoded { loopback: Some(true), ..plain(payload) }
        }
        kind::RAW | kind::RAW_BSD | kind::RAW_OPENBSD | kind::IPV4 | kind::IPV6 => plain(ip(frame, 0)),
        kind::COOKED => cooked(frame).unwrap_or(plain(Payload::Cut)),
        kind::COOKED_V2 => cooked_v2(frame).unwrap_or(plain(Payload::Cut)),
        other => plain(Payload::Unsupported(other)),
    }
}

fn ethernet<'a>(frame: &Frame<'a>) -> Payload<'a> {
    match be_u16(frame.data, 12) {
        // Equal addresses of zeros mean the loopback interface, which is told by the IP addresses anyway.
        Some(ether_type) => tagged(frame, ether_type, 14),
        None => Payload::Cut,
    }
}

/// Steps over VLAN tags (802.1Q, 802.1ad and their forerunner 0x9100).
fn tagged<'a>(frame: &Frame<'a>, mut ether_type: u16, mut at: usize) -> Payload<'a> {
    for _ in 0..=MAX_TAGS {
        match ether_type {
            0x0800 | 0x86dd => return ip(frame, at),
            0x8100 | 0x88a8 | 0x9100 => match be_u16(frame.data, at + 2) {
                Some(inner) => (ether_type, at) = (inner, at + 4),
                None => return Payload::Cut,
            },
            other => return Payload::Other(Some(other)),
        }
    }
    Payload::Other(Some(ether_type))
}

/// Whether the 4-byte address family of BSD loopback frames is IP's. The capturing machine's byte order is not known; the
/// families of all systems fit in one byte.
fn family(frame: &Frame<'_>) -> Option<bool> {
    let bytes = *frame.data.first_chunk::<4>()?;
    let value = u32::from_be_bytes(bytes).min(u32::from_le_bytes(bytes));
    // IPv4; IPv6 of Linux, NetBSD and OpenBSD, FreeBSD, macOS.
    Some(matches!(value, 2 | 10 | 24 | 28 | 30))
}

fn cooked<'a>(frame: &Frame<'a>) -> Option<Decoded<'a>> {
    let packet_type = be_u16(frame.data, 0)?;
    let hardware = be_u16(frame.data, 2)?;
    let protocol = be_u16(frame.data, 14)?;
    Some(cooked_parts(frame, packet_type, hardware, protocol, 16))
}

fn cooked_v2<'a>(frame: &Frame<'a>) -> Option<Decoded<'a>> {
    let protocol = be_u16(frame.data, 0)?;
    let hardware = be_u16(frame.data, 8)?;
    let packet_type = u16::from(*frame.data.get(10)?);
    frame.data.get(19)?;
    Some(cooked_parts(frame, packet_type, hardware, protocol, 20))
}

fn cooked_parts<'a>(
    frame: &Frame<'a>,
    packet_type: u16,
    hardware: u16,
    protocol: u16,
    at: usize,
) -> Decoded<'a> {
    // To us, broadcast, multicast, to somebody else, from us.
    let direction = match packet_type {
        0..=3 => Some(Direction::Incoming),
        4 => Some(Direction::Outgoing),
        _ => frame.direction,
    };
    Decoded {
        payload: tagged(frame, protocol, at),
        direction,
        loopback: Some(hardware == LOOPBACK_HARDWARE),
        other_host: packet_type == 3,
        to_group: matches!(packet_type, 1 | 2),
    }
}

fn ip<'a>(frame: &Frame<'a>, at: usize) -> Payload<'a> {
    match frame.data.get(at..) {
        Some(data) if !data.is_empty() => {
            Payload::Ip { data, wire_len: frame.original_len.saturating_sub(at).max(data.len()) }
        }
        Some(_) | None => Payload::Cut,
    }
}

fn be_u16(data: &[u8], at: usize) -> Option<u16> {
    data.get(at..)?.first_chunk::<2>().map(|&bytes| u16::from_be_bytes(bytes))
}
