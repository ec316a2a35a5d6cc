//! Packets from the left to the host and through it.
//!
//! Left out: packets whose transport header is not all there, and forwarded fragments that would overwrite one (RFC 1858).
//! iptables drops them in the middle of a rule (`hotdrop`); of the program's table no such rule holds, and who gets them
//! discards them.

use std::time::Duration;

use netfilter::defrag::{Defrag, Limits, Outcome};
use netfilter::packet::{Packet, Transport, protocol};

use crate::oracle::namespace::{HOST_V4, HOST_V6};
use crate::oracle::packets::{Ip, TcpFields, fix_header, icmp, tcp, udp};
use crate::oracle::random::Random;
use crate::oracle::traffic;

const WORDS: [&str; 7] = ["friendly-scanner", "FRIENDLY-scanner", "sipcli", "SipCli", "iWar", "aab", "\r\nx"];

/// What makes packets for one rule file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Kind {
    pub(crate) v4: bool,
    /// The rules ask for the state of connections.
    pub(crate) tracked: bool,
}

pub(crate) fn packets(random: &mut Random, kind: Kind, count: usize) -> Vec<Vec<u8>> {
    let mut packets = Vec::new();
    let mut serial = 0;
    while packets.len() < count {
        if random.one_in(4) {
            serial += 1;
            packets.push(own(random, kind.v4, serial));
            continue;
        }
        let one = traffic::packets(random, kind.v4, 1).into_iter().map(|(_, datagram)| datagram).collect();
        if is_sound(&one, kind) {
            packets.extend(one);
        }
    }
    packets
}

/// Whether every header is there where rules look for it.
fn is_sound(pieces: &Vec<Vec<u8>>, kind: Kind) -> bool {
    let truncated = |packet: &Packet<'_>| packet.transport() == Transport::Truncated;
    let mut defrag = Defrag::new(Limits::default());
    for datagram in pieces {
        let packet = Packet::parse(datagram, datagram.len()).expect("a datagram");
        let Some(fragment) = packet.fragment() else {
            if truncated(&packet) {
                return false;
            }
            continue;
        };
        let forwarded = !is_for_host(&packet);
        // Linux reassembles no IPv6 datagram whose first piece lacks some of the upper header (RFC 8200 section 4.5).
        if !kind.v4 && truncated(&packet) {
            return false;
        }
        // The rules see pieces where nothing puts them together.
        if !kind.tracked && (forwarded || !kind.v4) {
            let overwrites = packet.protocol() == Some(protocol::TCP) && fragment.offset == 8;
            if !forwarded || truncated(&packet) || overwrites {
                return false;
            }
        }
        if let Outcome::Whole(whole) = defrag.push(&packet, (), Duration::from_secs(1)) {
            let whole = Packet::parse(&whole.bytes, whole.bytes.len()).expect("a datagram");
            if truncated(&whole) {
                return false;
            }
        }
    }
    true
}

pub(crate) fn is_for_host(packet: &Packet<'_>) -> bool {
    let parse = |text: &str| text.parse::<std::net::IpAddr>().expect("an address");
    [HOST_V4, HOST_V6].map(parse).contains(&packet.destination())
}

/// Packets to the host with texts at places where the generator puts none: deep in the payload, in options, and in TCP
/// connections that have no other packet.
fn own(random: &mut Random, v4: bool, serial: u16) -> Vec<u8> {
    let last = 1 + random.below(5);
    let source = if v4 { format!("10.1.0.{last}") } else { format!("2001:db8:1::{last}") };
    let source = source.parse().expect("an address");
    let destination = if v4 { HOST_V4 } else { HOST_V6 }.parse().expect("an address");
    let mut data = vec![b'o'; random.pick(&[0, 10, 33, 210, 480, 1000, 1300])];
    data.extend(random.pick(&WORDS).as_bytes());
    data.extend(vec![b'p'; random.below(60) as usize]);
    let to = random.pick(&[22, 4569, 5060, 5060, 5061, 10_000]);
    let ip = |protocol| Ip { id: serial, ..Ip::new(source, destination, protocol) };
    let datagram = match random.below(8) {
        0..3 => {
            let fields = TcpFields {
                source: 30_000 + serial,
                destination: to,
                sequence: 1,
                flags: random.pick(&[2, 2, 0x10, 0x18, 4]),
                window: 1000,
                ..TcpFields::default()
            };
            ip(6).datagram(tcp(&fields, &data), Some(16))
        }
        3..7 => ip(17).datagram(udp(random.pick(&[5060, 5061, 22]), to, &data), Some(6)),
        _ => {
            let kind = if v4 { 8 } else { 128 };
            ip(if v4 { 1 } else { 58 }).datagram(icmp(kind, 0, [0, 1, 0, 1], &data), Some(2))
        }
    };
    if random.one_in(3) { with_options(random, datagram, v4) } else { datagram }
}

/// The datagram with an option that holds a text (IPv4: a timestamp's bytes are free; IPv6: padding).
fn with_options(random: &mut Random, datagram: Vec<u8>, v4: bool) -> Vec<u8> {
    let word = random.pick(&["sipcli", "iWarXX", "nothin"]).as_bytes();
    if v4 {
        // RFC 791: no operation, then the experimental option 30 (RFC 4727), which everybody ignores.
        let option = [&[1, 30 | 0x40, 2 + 6][..], word, &[1, 1, 1]].concat();
        let mut bytes = [&datagram[..20], &option, &datagram[20..]].concat();
        bytes[0] = 0x48;
        let len = u16::try_from(bytes.len()).expect("fits").to_be_bytes();
        bytes[2..4].copy_from_slice(&len);
        fix_header(&mut bytes[..32]);
        return bytes;
    }
    // Destination options, of PadN and eight bytes in sum for each header.
    let mut bytes = datagram[..40].to_vec();
    let upper = std::mem::replace(&mut bytes[6], 60);
    let headers = 1 + random.below(3);
    for header in 1..=headers {
        bytes.extend([if header == headers { upper } else { 60 }, 1, 0x1e, 12]);
        bytes.extend(word);
        bytes.extend([0; 6]);
    }
    bytes.extend(&datagram[40..]);
    let len = u16::try_from(bytes.len() - 40).expect("fits").to_be_bytes();
    bytes[4..6].copy_from_slice(&len);
    bytes
}
