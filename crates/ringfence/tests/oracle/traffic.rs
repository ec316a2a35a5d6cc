//! Packets that the generated rules tell apart.

use std::net::IpAddr;

use super::generate::{PORTS, TEXTS};
use super::namespace::{HOST_V4, HOST_V6, Side};
use super::packets::{Ip, TcpFields, fix_header, icmp, tcp, udp};
use super::random::Random;

/// Packets from the left to the host and through it.
pub(crate) fn packets(random: &mut Random, v4: bool, count: usize) -> Vec<(Side, Vec<u8>)> {
    let mut packets = Vec::new();
    while packets.len() < count {
        let datagram = datagram(random, v4);
        if random.one_in(15) {
            packets
                .extend(fragments(random, &datagram, v4).into_iter().map(|fragment| (Side::Left, fragment)));
        } else {
            packets.push((Side::Left, datagram));
        }
    }
    packets
}

fn address(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn datagram(random: &mut Random, v4: bool) -> Vec<u8> {
    let host = 1 + random.below(5);
    let source = address(&if v4 { format!("10.1.0.{host}") } else { format!("2001:db8:1::{host}") });
    let through = random.one_in(3);
    let destination = match (v4, through) {
        (true, false) => HOST_V4.to_owned(),
        (false, false) => HOST_V6.to_owned(),
        (true, true) => format!("10.2.0.{}", 1 + random.below(2)),
        (false, true) => format!("2001:db8:2::{}", 1 + random.below(2)),
    };
    let destination = address(&destination);
    let id = u16::try_from(random.below(65_536)).expect("16 bits");
    let ip = |protocol: u8| Ip { id, ..Ip::new(source, destination, protocol) };
    let (from, to) = (random.pick(&PORTS), random.pick(&PORTS));
    match random.below(12) {
        0..5 => {
            let data = text(random);
            let mut bytes = ip(17).datagram(udp(from, to, &data), Some(6));
            let at = if v4 { 20 } else { 40 };
            if random.one_in(30) {
                bytes[at + 5] = random.pick(&[0, 7, 255]);
            }
            if v4 && random.one_in(20) {
                bytes[at + 6..at + 8].fill(0);
            }
            bytes
        }
        5..9 => {
            let fields = TcpFields {
                source: from,
                destination: to,
                sequence: random.below(4) * 1000,
                acknowledgement: 0,
                flags: random.pick(&[2, 2, 2, 0x10, 0x18, 0x12, 4, 0x14, 0x11, 0, 0x29, 0x3f]),
                window: 1000,
                options: random.pick(&[
                    vec![],
                    vec![],
                    vec![2, 4, 5, 180],
                    vec![1, 3, 3, 7, 4, 2, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2],
                    vec![3, 40],
                ]),
            };
            let data = if random.one_in(2) { text(random) } else { Vec::new() };
            ip(6).datagram(tcp(&fields, &data), Some(16))
        }
        9 | 10 => {
            let kinds: &[u8] = if v4 { &[8, 8, 0, 3, 11, 13, 5] } else { &[128, 128, 129, 1, 3, 135] };
            let code = u8::try_from(random.below(3)).expect("small");
            let bytes = icmp(random.pick(kinds), code, [0, 1, 0, 1], &text(random));
            ip(if v4 { 1 } else { 58 }).datagram(bytes, Some(2))
        }
        _ => {
            let number = random.pick(&[47, 50, 17, 6, if v4 { 1 } else { 58 }]);
            // Too short for most headers.
            ip(number).datagram(vec![b'x'; random.below(12) as usize], None)
        }
    }
}

/// Something like SIP, or not, with the texts that rules look for here and there.
fn text(random: &mut Random) -> Vec<u8> {
    let mut data = vec![b'a'; random.below(40) as usize];
    if random.one_in(2) {
        let found = random.pick(&TEXTS);
        let found = if random.one_in(3) { found.to_ascii_uppercase() } else { found.to_owned() };
        data.extend(found.as_bytes());
    }
    if random.one_in(3) {
        data.extend(b"\r\n");
    }
    data.extend(vec![b'b'; random.below(30) as usize]);
    data
}

/// The datagram in pieces, sometimes out of order, overlapping or repeated.
fn fragments(random: &mut Random, datagram: &[u8], v4: bool) -> Vec<Vec<u8>> {
    let header = if v4 { 20 } else { 40 };
    let payload = &datagram[header..];
    let size = 8 * (1 + random.below(4) as usize);
    let mut ranges: Vec<(usize, usize)> =
        (0..payload.len()).step_by(size).map(|at| (at, payload.len().min(at + size))).collect();
    if random.one_in(4) {
        ranges.reverse();
    }
    match random.below(8) {
        0 => ranges.extend(ranges.first().copied()),
        1 if payload.len() > 16 => ranges.insert(1, (8, 24.min(payload.len()))),
        _ => {}
    }
    let id = random.next() as u32;
    ranges.into_iter().map(|(start, end)| piece(datagram, header, id, start, end)).collect()
}

fn piece(datagram: &[u8], header: usize, id: u32, start: usize, end: usize) -> Vec<u8> {
    let more = header + end < datagram.len();
    let data = &datagram[header + start..header + end];
    let mut bytes = datagram[..header].to_vec();
    let offset = u16::try_from(start / 8).expect("fits");
    if header == 20 {
        bytes[2..4].copy_from_slice(&u16::try_from(20 + data.len()).expect("fits").to_be_bytes());
        bytes[4..6].copy_from_slice(&(id as u16).to_be_bytes());
        bytes[6..8].copy_from_slice(&(offset | if more { 0x2000 } else { 0 }).to_be_bytes());
        fix_header(&mut bytes);
    } else {
        bytes[4..6].copy_from_slice(&u16::try_from(8 + data.len()).expect("fits").to_be_bytes());
        let protocol = std::mem::replace(&mut bytes[6], 44);
        bytes.extend([protocol, 0]);
        bytes.extend((offset << 3 | u16::from(more)).to_be_bytes());
        bytes.extend(id.to_be_bytes());
    }
    bytes.extend(data);
    bytes
}
