//! From the first byte of a frame to the ports: link header, VLAN tags, IPv4 or IPv6, transport.

use crate::address::{Address, Family};
use crate::frame::Frame;
use crate::reason::Reason;

const ETHERTYPE_IPV4: u16 = 0x0800;
const ETHERTYPE_IPV6: u16 = 0x86dd;
/// IEEE 802.1Q.
const ETHERTYPE_VLAN: u16 = 0x8100;
/// IEEE 802.1ad, the outer tag of QinQ.
const ETHERTYPE_QINQ: u16 = 0x88a8;
/// QinQ takes two; a frame with more is dropped where anything is asked of packets.
const MAX_VLAN_TAGS: usize = 2;
/// The same cap as the kernel's flow dissector users (xdp-tools) take; a longer chain has no lawful use.
const MAX_EXTENSION_HEADERS: usize = 6;

/// TCP's protocol number.
pub const TCP: u8 = 6;
/// UDP's protocol number.
pub const UDP: u8 = 17;

/// What stands before the network header.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Link {
    /// Ethernet, loopback devices included.
    Ethernet,
    /// Nothing: tun devices, WireGuard, raw captures.
    Ip,
}

/// Which part of a datagram a packet is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fragment {
    /// All of it.
    Whole,
    /// The first part, with the transport header.
    First,
    /// A later part, without ports.
    Later,
}

/// What the gate knows of a packet. Offsets count from the start of the frame.
#[repr(align(8))]
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Packet {
    pub family: Family,
    pub source: Address,
    pub destination: Address,
    /// The upper-layer protocol, after IPv6 extension headers.
    pub protocol: u8,
    pub fragment: Fragment,
    /// 0 where there is none.
    pub source_port: u16,
    /// 0 where there is none.
    pub destination_port: u16,
    /// Offset of the network header.
    pub network: u16,
    /// Bytes from the network header to the end of the datagram.
    pub length: u16,
    /// Offset of the transport header.
    pub transport: u16,
    /// TCP's flag byte; 0 for other protocols.
    pub tcp_flags: u8,
}

impl Packet {
    /// Nothing was read.
    pub const UNREAD: Self = Self {
        family: Family::Ipv4,
        source: Address([0; 16]),
        destination: Address([0; 16]),
        protocol: 0,
        fragment: Fragment::Whole,
        source_port: 0,
        destination_port: 0,
        network: 0,
        length: 0,
        transport: 0,
        tcp_flags: 0,
    };
}

/// Reads the headers.
///
/// # Errors
///
/// The reason why the packet cannot be judged here: [`Reason::NotIp`], [`Reason::Truncated`] or
/// [`Reason::LongHeaderChain`].
#[inline(always)]
pub fn decode<F: Frame + ?Sized>(frame: &F, link: Link, packet: &mut Packet) -> Result<(), Reason> {
    let (network, ethertype) = match link {
        Link::Ethernet => ethernet(frame)?,
        Link::Ip => match frame.byte(0).ok_or(Reason::Truncated)? >> 4 {
            4 => (0, ETHERTYPE_IPV4),
            6 => (0, ETHERTYPE_IPV6),
            _ => return Err(Reason::NotIp),
        },
    };
    match ethertype {
        ETHERTYPE_IPV4 => ipv4(frame, network, packet),
        ETHERTYPE_IPV6 => ipv6(frame, network, packet),
        _ => Err(Reason::NotIp),
    }
}

/// Offset of the network header and its ethertype.
#[inline(always)]
fn ethernet<F: Frame + ?Sized>(frame: &F) -> Result<(usize, u16), Reason> {
    let mut offset = 12;
    let mut ethertype = frame.u16(offset).ok_or(Reason::Truncated)?;
    let mut tags = 0;
    while tags < MAX_VLAN_TAGS && (ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ) {
        offset += 4;
        ethertype = frame.u16(offset).ok_or(Reason::Truncated)?;
        tags += 1;
    }
    // Linux takes off any number of tags of VLAN 0 (`__netif_receive_skb_core` in net/core/dev.c), so whatever is behind more
    // of them than are read here may be for this host.
    if ethertype == ETHERTYPE_VLAN || ethertype == ETHERTYPE_QINQ {
        return Err(Reason::LongHeaderChain);
    }
    Ok((offset + 2, ethertype))
}

/// RFC 791 section 3.1.
#[inline(always)]
fn ipv4<F: Frame + ?Sized>(frame: &F, network: usize, packet: &mut Packet) -> Result<(), Reason> {
    let header = frame.direct::<20>(network as u32).ok_or(Reason::Truncated)?;
    let [first, _, len_hi, len_lo, _, _, frag_hi, frag_lo, _, protocol, _, _, source @ .., _, _, _, _] =
        header;
    let [.., d0, d1, d2, d3] = header;
    let header_length = usize::from(first & 0x0f) * 4;
    let length = u16::from_be_bytes([*len_hi, *len_lo]);
    // `ip_rcv_core` in net/ipv4/ip_input.c discards these.
    if first >> 4 != 4
        || header_length < 20
        || usize::from(length) < header_length
        || !frame.has(network + usize::from(length))
    {
        return Err(Reason::Truncated);
    }
    let fragment = u16::from_be_bytes([*frag_hi, *frag_lo]);
    let more = fragment & 0x2000 != 0;
    let fragment = match (fragment & 0x1fff, more) {
        (0, false) => Fragment::Whole,
        (0, true) => Fragment::First,
        (_, _) => Fragment::Later,
    };
    packet.family = Family::Ipv4;
    packet.source = Address::v4(*source);
    packet.destination = Address::v4([*d0, *d1, *d2, *d3]);
    packet.protocol = *protocol;
    packet.fragment = fragment;
    packet.network = network as u16;
    packet.length = length;
    packet.transport = (network + header_length) as u16;
    transport(frame, packet);
    Ok(())
}

/// RFC 8200 section 3 and 4.
#[inline(always)]
fn ipv6<F: Frame + ?Sized>(frame: &F, network: usize, packet: &mut Packet) -> Result<(), Reason> {
    let [first, _, _, _, len_hi, len_lo, next, _] = frame.direct(network as u32).ok_or(Reason::Truncated)?;
    let source = frame.direct(network as u32 + 8).ok_or(Reason::Truncated)?;
    let destination = frame.direct(network as u32 + 24).ok_or(Reason::Truncated)?;
    let length = usize::from(u16::from_be_bytes([*len_hi, *len_lo])) + 40;
    if first >> 4 != 6 || length > usize::from(u16::MAX) || !frame.has(network + length) {
        return Err(Reason::Truncated);
    }
    packet.family = Family::Ipv6;
    packet.source = Address(*source);
    packet.destination = Address(*destination);
    packet.protocol = *next;
    packet.fragment = Fragment::Whole;
    packet.network = network as u16;
    packet.length = length as u16;
    packet.transport = (network + 40) as u16;
    let mut headers = 0;
    while let Some(kind) = Extension::of(packet.protocol) {
        if headers == MAX_EXTENSION_HEADERS {
            return Err(Reason::LongHeaderChain);
        }
        headers += 1;
        let [next, size, part_hi, part_lo]: [u8; 4] =
            frame.read(usize::from(packet.transport)).ok_or(Reason::Truncated)?;
        let bytes = match kind {
            Extension::Options => (u16::from(size) + 1) * 8,
            // RFC 4302 section 2.2 counts in 4-byte words.
            Extension::Authentication => (u16::from(size) + 2) * 4,
            Extension::Fragment => {
                let part = u16::from_be_bytes([part_hi, part_lo]);
                packet.fragment = match (part >> 3, part & 1 != 0) {
                    (0, false) => Fragment::Whole,
                    (0, true) => Fragment::First,
                    (_, _) => Fragment::Later,
                };
                8
            }
        };
        packet.protocol = next;
        packet.transport = packet.transport.saturating_add(bytes);
        if packet.fragment == Fragment::Later {
            return Ok(());
        }
    }
    transport(frame, packet);
    Ok(())
}

/// IPv6 extension headers that stand before the transport (RFC 8200 section 4, RFC 4302, RFC 6275).
#[derive(Clone, Copy)]
enum Extension {
    Authentication,
    Fragment,
    Options,
}

impl Extension {
    #[inline(always)]
    fn of(protocol: u8) -> Option<Self> {
        match protocol {
            // Hop-by-hop, routing, destination options, mobility.
            0 | 43 | 60 | 135 => Some(Self::Options),
            44 => Some(Self::Fragment),
            51 => Some(Self::Authentication),
            _ => None,
        }
    }
}

/// Ports and flags, as far as the frame has them; a datagram too short for its transport header keeps 0.
#[inline(always)]
fn transport<F: Frame + ?Sized>(frame: &F, packet: &mut Packet) {
    let needs = match packet.protocol {
        UDP => 8,
        TCP => 20,
        _ => return,
    };
    let has = packet.network.saturating_add(packet.length).saturating_sub(packet.transport);
    if packet.fragment != Fragment::Later && has >= needs {
        if let Some([s0, s1, d0, d1]) = frame.read(usize::from(packet.transport)) {
            packet.source_port = u16::from_be_bytes([s0, s1]);
            packet.destination_port = u16::from_be_bytes([d0, d1]);
        }
        if packet.protocol == TCP {
            packet.tcp_flags = frame.byte(usize::from(packet.transport) + 13).unwrap_or(0);
        }
    }
}
