//! Frames of every kind that the gate tells apart, and their mutations.

use std::net::{Ipv4Addr, Ipv6Addr};

/// xorshift64*: small, fast, and the same everywhere.
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }

    /// Below `bound`, which is not 0.
    pub(crate) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() >> 33).unwrap() % bound
    }
}

/// Texts that the policies of this test look for, whole and nearly.
const TEXTS: [&str; 12] = [
    "friendly-scanner",
    "sipvicious",
    "sipsak",
    "sundayddr",
    "iWar",
    "sip-scan",
    "sipcli",
    "IWAR",
    "sip-sca",
    "pplsip",
    "\u{7f}ELF",
    "fRiEnDlY",
];

/// One frame of every kind.
pub(crate) fn seeds() -> Vec<Vec<u8>> {
    let v4 = |last: u8| Ipv4Addr::new(192, 0, 2, last);
    let v6 = |net: u16, sub: u16| Ipv6Addr::new(0x2001, 0xdb8, net, sub, 0, 0, 0, 1);
    let mut all = vec![vec![0; 15], arp()];
    for agent in ["Acme Phone 1.0", "friendly-scanner", "iWar", "pplsip"] {
        let text = message(agent);
        for source in [9, 17, 18, 19, 20, 21, 22, 23, 33, 65].map(v4) {
            let udp = transport(17, 5060, text.as_bytes());
            all.push(ethernet(&[], 0x0800, &ipv4(source, 17, 0, &[], &udp)));
        }
        for source in [v6(0, 1), v6(0, 17), v6(33, 0), v6(48, 3), v6(64, 3)] {
            let udp = transport(17, 5060, text.as_bytes());
            all.push(ethernet(&[], 0x86dd, &ipv6(source, &[], 17, &udp)));
            all.push(ethernet(&[], 0x86dd, &ipv6(source, &[0, 60], 17, &udp)));
            all.push(ethernet(&[], 0x86dd, &ipv6(source, &[43, 51, 44], 17, &udp)));
            all.push(ethernet(&[], 0x86dd, &ipv6(source, &[0, 60, 60, 60, 60, 60, 60, 60], 17, &udp)));
        }
        for port in [5060, 5061, 5080, 80, 10000] {
            for protocol in [6, 17, 1, 132] {
                let body = transport(protocol, port, text.as_bytes());
                all.push(ethernet(&[], 0x0800, &ipv4(v4(9), protocol, 0, &[], &body)));
                all.push(ethernet(&[0x8100], 0x0800, &ipv4(v4(9), protocol, 0, &[7, 4, 5, 0], &body)));
                all.push(ethernet(&[0x88a8, 0x8100], 0x0800, &ipv4(v4(9), protocol, 0, &[], &body)));
            }
        }
        let udp = transport(17, 5060, text.as_bytes());
        all.push(ethernet(&[0x88a8, 0x8100, 0x8100], 0x0800, &ipv4(v4(9), 17, 0, &[], &udp)));
        // First and later fragments.
        let tcp = transport(6, 5060, text.as_bytes());
        for _ in 0..4 {
            all.push(ethernet(&[], 0x0800, &ipv4(v4(9), 6, 0x2000, &[], &tcp)));
            all.push(ethernet(&[], 0x86dd, &ipv6(v6(0, 1), &[44], 6, &tcp)));
        }
        all.push(ethernet(&[], 0x0800, &ipv4(v4(9), 17, 0x2000, &[], &udp)));
        all.push(ethernet(&[], 0x0800, &ipv4(v4(9), 17, 0x2010, &[], &udp)));
        all.push(ethernet(&[], 0x0800, &ipv4(v4(17), 17, 0x0010, &[], &udp)));
        // Padding behind the datagram is not part of it.
        let mut padded = ethernet(&[], 0x0800, &ipv4(v4(9), 17, 0, &[], &transport(17, 5060, b"hello")));
        padded.extend_from_slice(b"friendly-scanner");
        all.push(padded);
    }
    // The longest datagrams that a test run takes in one piece, with the text at their very end.
    for length in [1400, 3000] {
        let mut text = vec![b'x'; length];
        text.extend_from_slice(b"sipvicious");
        all.push(ethernet(&[], 0x0800, &ipv4(v4(9), 17, 0, &[], &transport(17, 5060, &text))));
    }
    all
}

/// A UDP datagram over IPv4.
pub(crate) fn datagram(source: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    ethernet(&[], 0x0800, &ipv4(source.into(), 17, 0, &[], &transport(17, port, payload)))
}

/// A TCP segment to port 5060.
pub(crate) fn segment(port: u16, sequence: u32, flags: u8, payload: &[u8]) -> Vec<u8> {
    let mut body = port.to_be_bytes().to_vec();
    body.extend(5060u16.to_be_bytes());
    body.extend(sequence.to_be_bytes());
    body.extend([0, 0, 0, 0, 0x50, flags, 0xff, 0xff, 0, 0, 0, 0]);
    body.extend(payload);
    ethernet(&[], 0x0800, &ipv4(Ipv4Addr::new(192, 0, 2, 9), 6, 0, &[], &body))
}

/// Some seed with a few bytes changed, cut off, or with a text put somewhere.
pub(crate) fn mutate(seeds: &[Vec<u8>], random: &mut Random) -> Vec<u8> {
    let mut frame = seeds[random.below(seeds.len())].clone();
    for _ in 0..=random.below(3) {
        let at = random.below(frame.len());
        match random.below(8) {
            0 => frame[at] = random.below(256) as u8,
            1 => frame[at] ^= 1 << random.below(8),
            // Headers are where most is decided.
            2 | 3 => {
                let at = random.below(frame.len().min(64));
                frame[at] = random.below(256) as u8;
            }
            // The kernel takes no test frame without anything behind its link header.
            4 => frame.truncate(at.max(15)),
            _ => {
                let text = TEXTS[random.below(TEXTS.len())].as_bytes();
                let end = (at + text.len()).min(frame.len());
                frame[at..end].copy_from_slice(&text[..end - at]);
            }
        }
    }
    frame
}

pub(crate) fn message(agent: &str) -> String {
    format!(
        "OPTIONS sip:100@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.9:5071;branch=z9hG4bK-1;rport\r\n\
         From: <sip:100@192.0.2.9>;tag=1\r\nTo: <sip:100@198.51.100.1>\r\nCall-ID: 1@192.0.2.9\r\n\
         CSeq: 1 OPTIONS\r\nUser-Agent: {agent}\r\nContent-Length: 0\r\n\r\n"
    )
}

fn arp() -> Vec<u8> {
    ethernet(&[], 0x0806, &[0; 28])
}

pub(crate) fn ethernet(tags: &[u16], ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    for tag in tags {
        frame.extend(tag.to_be_bytes());
        frame.extend([0, 5]);
    }
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}

pub(crate) fn ipv4(source: Ipv4Addr, protocol: u8, fragment: u16, options: &[u8], body: &[u8]) -> Vec<u8> {
    let header = 20 + options.len();
    let mut packet = vec![0x40 | u8::try_from(header / 4).unwrap(), 0];
    packet.extend(u16::try_from(header + body.len()).unwrap().to_be_bytes());
    packet.extend([0x12, 0x34]);
    packet.extend(fragment.to_be_bytes());
    packet.extend([64, protocol, 0, 0]);
    packet.extend(source.octets());
    packet.extend([198, 51, 100, 1]);
    packet.extend(options);
    packet.extend(body);
    packet
}

/// `chain`: extension headers by number, in order, before `protocol`.
pub(crate) fn ipv6(source: Ipv6Addr, chain: &[u8], protocol: u8, body: &[u8]) -> Vec<u8> {
    let mut rest = Vec::new();
    let mut following = chain.iter().copied().chain([protocol]);
    let first = following.next().unwrap();
    for kind in chain {
        let next = following.next().unwrap();
        // 8 bytes each: AH counts 4-byte words less 2, the others 8-byte units less 1.
        rest.extend([next, 0, 0, if *kind == 44 { 1 } else { 0 }, 0, 0, 0, 1]);
    }
    rest.extend(body);
    let mut packet = vec![0x60, 0, 0, 0];
    packet.extend(u16::try_from(rest.len()).unwrap().to_be_bytes());
    packet.extend([first, 64]);
    packet.extend(source.octets());
    packet.extend(Ipv6Addr::new(0x2001, 0xdb8, 0, 1, 0, 0, 0, 1).octets());
    packet.extend(rest);
    packet
}

pub(crate) fn transport(protocol: u8, port: u16, payload: &[u8]) -> Vec<u8> {
    let mut body = 5071u16.to_be_bytes().to_vec();
    body.extend(port.to_be_bytes());
    if protocol == 6 {
        body.extend([0, 0, 0, 1, 0, 0, 0, 1, 0x50, 0x18, 0x20, 0, 0, 0, 0, 0]);
    } else {
        body.extend(u16::try_from(8 + payload.len()).unwrap().to_be_bytes());
        body.extend([0, 0]);
    }
    body.extend(payload);
    body
}
