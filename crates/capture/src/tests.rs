mod batches;
mod seen;

use std::io::Write;
use std::time::Duration;

use self::seen::{Seen, read};
use super::*;
use crate::link::{Payload, decode};

/// Integers as a file of that byte order has them.
#[derive(Clone, Copy)]
struct Put {
    big: bool,
}

impl Put {
    fn u16(self, value: u16) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn u32(self, value: u32) -> Vec<u8> {
        if self.big { value.to_be_bytes().to_vec() } else { value.to_le_bytes().to_vec() }
    }

    fn pcap(self, magic: u32, link: u32, records: &[(u32, u32, &[u8], u32)]) -> Vec<u8> {
        let mut file = [magic, 2 << 16 | 4, 0, 0, 65_535, link].map(|value| self.u32(value)).concat();
        for &(seconds, fraction, data, original) in records {
            let len = u32::try_from(data.len()).unwrap();
            file.extend([seconds, fraction, len, original].map(|value| self.u32(value)).concat());
            if magic == 0xa1b2_cd34 {
                file.extend([0; 8]);
            }
            file.extend(data);
        }
        file
    }

    fn block(self, kind: u32, body: &[u8]) -> Vec<u8> {
        let mut body = body.to_vec();
        body.resize(body.len().next_multiple_of(4), 0);
        let total = self.u32(u32::try_from(body.len() + 12).unwrap());
        [self.u32(kind), total.clone(), body, total].concat()
    }

    fn section(self) -> Vec<u8> {
        self.block(
            0x0a0d_0d0a,
            &[self.u32(0x1a2b_3c4d), self.u32(1), self.u32(u32::MAX), self.u32(u32::MAX)].concat(),
        )
    }

    fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option =
            [self.u16(code), self.u16(u16::try_from(value.len()).unwrap()), value.to_vec()].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    fn interface(self, link: u16, snap_len: u32, options: &[u8]) -> Vec<u8> {
        self.block(1, &[self.u16(link), self.u16(0), self.u32(snap_len), options.to_vec()].concat())
    }

    fn packet(self, interface: u32, stamp: u64, data: &[u8], original: u32, options: &[u8]) -> Vec<u8> {
        let mut padded = data.to_vec();
        padded.resize(padded.len().next_multiple_of(4), 0);
        let len = u32::try_from(data.len()).unwrap();
        let fields =
            [interface, (stamp >> 32) as u32, stamp as u32, len, original].map(|value| self.u32(value));
        self.block(6, &[fields.concat(), padded, options.to_vec()].concat())
    }
}

const LITTLE: Put = Put { big: false };
const BIG: Put = Put { big: true };

#[test]
fn pcap_in_both_byte_orders_and_resolutions() {
    for put in [LITTLE, BIG] {
        for (magic, nanoseconds) in
            [(0xa1b2_c3d4, 7_000_005_000), (0xa1b2_3c4d, 7_000_000_005), (0xa1b2_cd34, 7_000_005_000)]
        {
            let (seen, problems) = read(&put.pcap(magic, 1, &[(7, 5, b"abc", 9), (8, 0, b"", 0)]));
            assert_eq!(problems, [""; 0]);
            let [first, second] = seen.as_slice() else { panic!("{seen:?}") };
            assert_eq!((first.number, first.nanoseconds, first.link), (1, nanoseconds, 1), "{magic:x}");
            assert_eq!((first.data.as_slice(), first.original_len), (b"abc".as_slice(), 9));
            assert_eq!((second.number, second.data.len()), (2, 0));
        }
    }
}

#[test]
fn a_frame_check_sequence_note_is_not_part_of_the_link_type() {
    let (seen, _) = read(&LITTLE.pcap(0xa1b2_c3d4, 0x2400_0001, &[(0, 0, b"x", 1)]));
    assert_eq!(seen[0].link, 1);
}

#[test]
fn a_pcap_cut_anywhere_gives_what_is_there() {
    let whole = LITTLE.pcap(0xa1b2_c3d4, 1, &[(1, 0, b"abcd", 4), (2, 0, b"efgh", 4)]);
    let (seen, problems) = read(&whole[..whole.len() - 2]);
    assert_eq!(seen[1].data, b"ef");
    assert_eq!(problems, ["2: the file ends within it (2 of 4 bytes)"]);
    let (seen, problems) = read(&whole[..whole.len() - 4]);
    assert_eq!((seen.len(), problems), (1, vec!["2: the file ends within it (0 of 4 bytes)".to_owned()]));
    let (seen, problems) = read(&whole[..whole.len() - 10]);
    assert_eq!(
        (seen.len(), problems),
        (1, vec!["2: the file ends in the record header (10 of 16 bytes)".to_owned()])
    );
}

#[test]
fn an_impossible_length_ends_the_reading() {
    let mut file = LITTLE.pcap(0xa1b2_c3d4, 1, &[(1, 0, b"abcd", 4), (2, 0, b"efgh", 4)]);
    let at = file.len() - 12;
    file[at..at + 4].fill(0xff);
    let (seen, problems) = read(&file);
    assert_eq!(seen.len(), 1);
    assert_eq!(problems, ["2: its record claims 4294967295 bytes; the rest of the file is not read"]);
}

#[test]
fn pcapng_knows_interfaces_resolutions_and_directions() {
    for put in [LITTLE, BIG] {
        let nano = [put.option(2, b"eth0"), put.option(9, &[9]), put.option(0, &[])].concat();
        let binary = [put.option(2, b"wlan0"), put.option(9, &[0x80 | 10])].concat();
        let outgoing = put.option(2, &put.u32(2));
        let file = [
            put.section(),
            put.interface(1, 0, &nano),
            put.interface(101, 0, &binary),
            put.packet(0, 7_000_000_005, b"abc", 9, &outgoing),
            put.block(5, b"statistics are skipped  "),
            put.packet(1, 2048 + 512, b"defg", 4, &[]),
        ]
        .concat();
        let (seen, problems) = read(&file);
        assert_eq!(problems, [""; 0]);
        let expected = [
            Seen {
                number: 1,
                nanoseconds: 7_000_000_005,
                interface: Some("eth0".into()),
                direction: Some(Direction::Outgoing),
                link: 1,
                data: b"abc".to_vec(),
                original_len: 9,
            },
            Seen {
                number: 2,
                nanoseconds: 2_500_000_000,
                interface: Some("wlan0".into()),
                direction: None,
                link: 101,
                data: b"defg".to_vec(),
                original_len: 4,
            },
        ];
        assert_eq!(seen, expected);
    }
}

#[test]
fn sections_begin_anew_and_may_change_the_byte_order() {
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 0, &[]),
        LITTLE.packet(0, 1, b"a", 1, &[]),
        BIG.section(),
        BIG.packet(0, 1, b"lost", 4, &[]),
        BIG.interface(113, 0, &[]),
        BIG.packet(0, 1, b"b", 1, &[]),
    ]
    .concat();
    let (seen, problems) = read(&file);
    assert_eq!(seen.iter().map(|seen| (seen.number, seen.link)).collect::<Vec<_>>(), [(1, 1), (2, 113)]);
    assert_eq!(problems, ["2: a packet of interface 0, which is not described"]);
}

#[test]
fn simple_and_obsolete_packet_blocks() {
    let obsolete = [
        LITTLE.u16(0),
        LITTLE.u16(7),
        LITTLE.u32(0),
        LITTLE.u32(3),
        LITTLE.u32(2),
        LITTLE.u32(2),
        b"hi\0\0".to_vec(),
    ];
    let file = [
        LITTLE.section(),
        LITTLE.interface(1, 3, &LITTLE.option(14, &5i64.to_le_bytes())),
        LITTLE.block(3, &[LITTLE.u32(5), b"abc\0".to_vec()].concat()),
        LITTLE.block(2, &obsolete.concat()),
    ]
    .concat();
    let (seen, problems) = read(&file);
    assert_eq!(problems, [""; 0]);
    assert_eq!((seen[0].data.as_slice(), seen[0].original_len), (b"abc".as_slice(), 5));
    assert_eq!((seen[1].data.as_slice(), seen[1].nanoseconds), (b"hi".as_slice(), 5_000_003_000));
}

#[test]
fn a_cut_pcapng_gives_what_is_there() {
    let head = [LITTLE.section(), LITTLE.interface(1, 0, &[])].concat();
    let packet = LITTLE.packet(0, 1, b"abcdefgh", 8, &[]);
    let (seen, problems) = read(&[head.as_slice(), &packet[..packet.len() - 8]].concat());
    assert_eq!(seen[0].data, b"abcd");
    assert_eq!(problems, ["1: the file ends within it"]);
    let (seen, problems) = read(&[head.as_slice(), &packet[..6]].concat());
    assert_eq!((seen.len(), problems), (0, vec!["1: the file ends in a block length".to_owned()]));
    let mut broken = packet;
    broken[4] = 13;
    let (_, problems) = read(&[head.as_slice(), &broken].concat());
    assert_eq!(problems, ["1: a block claims 13 bytes; the rest of the file is not read"]);
}

fn gzip(data: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(data).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn gzip_with_several_members_and_cut() {
    let frame = [0x5a; 600];
    let whole = LITTLE.pcap(0xa1b2_c3d4, 1, &[(1, 0, &frame, 600), (2, 0, &frame, 600)]);
    let (first, second) = whole.split_at(500);
    assert_eq!(read(&[gzip(first), gzip(second)].concat()).0.len(), 2);
    let compressed = gzip(&whole);
    let (seen, problems) = read(&compressed[..compressed.len() - 9]);
    assert!(!seen.is_empty() && problems.len() <= 1, "{problems:?}");
    let (seen, problems) = read(&[gzip(&whole[..700]), gzip(&whole[700..])[..12].to_vec()].concat());
    assert_eq!((seen.len(), problems.len()), (2, 1), "{problems:?}");
}

#[test]
fn what_is_no_capture_is_said() {
    let error = |file: &[u8]| Reader::new(file).unwrap_err().to_string();
    assert_eq!(error(b""), "empty file");
    assert_eq!(error(b"hello world"), "not a pcap or pcapng capture");
    assert_eq!(
        error(&[0x28, 0xb5, 0x2f, 0xfd, 0]),
        "not a pcap or pcapng capture; it is compressed with zstd, unpack it with `unzstd`"
    );
    assert_eq!(
        error(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0]),
        "not a pcap or pcapng capture; its file header is cut off"
    );
    assert_eq!(
        error(&LITTLE.section()[..20]),
        "not a pcap or pcapng capture; its section header is broken or cut off"
    );
}

#[test]
fn problems_are_bounded() {
    let mut file = LITTLE.section();
    for _ in 0..1500 {
        file.extend(LITTLE.packet(9, 1, b"", 0, &[]));
    }
    let (_, problems) = read(&file);
    assert_eq!(problems.len(), 1001);
    assert_eq!(problems[1000], "0: 500 more problems like these");
}

fn decoded(link: u16, data: &[u8]) -> link::Decoded<'_> {
    decode(&Frame {
        number: 1,
        time: Duration::ZERO,
        interface: None,
        direction: None,
        link,
        data,
        original_len: data.len() + 10,
    })
}

fn ip(data: &[u8]) -> Payload<'_> {
    Payload::Ip { data, wire_len: data.len() + 10 }
}

#[test]
fn ethernet_with_and_without_tags() {
    let frame = |types: &[u8]| [&[0; 12], types, b"E"].concat();
    for types in [
        [0x08, 0x00].as_slice(),
        &[0x86, 0xdd],
        &[0x81, 0x00, 0, 5, 0x08, 0x00],
        &[0x88, 0xa8, 0, 5, 0x81, 0x00, 0, 6, 0x86, 0xdd],
    ] {
        assert_eq!(decoded(1, &frame(types)).payload, ip(b"E"), "{types:x?}");
    }
    assert_eq!(decoded(1, &frame(&[0x08, 0x06])).payload, Payload::Other(Some(0x0806)));
    assert_eq!(decoded(1, &[0; 13]).payload, Payload::Cut);
    assert_eq!(decoded(1, &[&[0; 12], [0x81, 0x00, 0].as_slice()].concat()).payload, Payload::Cut);
    assert_eq!(decoded(1, &frame(&[0x08, 0x00])[..14]).payload, Payload::Cut);
}

#[test]
fn cooked_frames_tell_direction_and_loopback() {
    let v1 = |kind: u8, hardware: u16| {
        let [h0, h1] = hardware.to_be_bytes();
        [0, kind, h0, h1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 0x08, 0x00, b'E']
    };
    let frame = v1(4, 772);
    let seen = decoded(113, &frame);
    assert_eq!(
        (seen.payload, seen.direction, seen.loopback),
        (ip(b"E"), Some(Direction::Outgoing), Some(true))
    );
    let frame = v1(3, 1);
    let seen = decoded(113, &frame);
    assert_eq!(
        (seen.direction, seen.loopback, seen.other_host),
        (Some(Direction::Incoming), Some(false), true)
    );
    let v2 = [0x86, 0xdd, 0, 0, 0, 0, 0, 2, 0, 1, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, b'E'];
    assert_eq!(decoded(276, &v2).payload, ip(b"E"));
    assert_eq!(decoded(276, &v2[..19]).payload, Payload::Cut);
    assert_eq!(decoded(113, &frame[..15]).payload, Payload::Cut);
}

#[test]
fn raw_and_loopback_link_types() {
    for link in [12, 14, 101, 228, 229] {
        assert_eq!(decoded(link, b"E").payload, ip(b"E"));
    }
    for family in [[2, 0, 0, 0], [0, 0, 0, 2], [30, 0, 0, 0], [0, 0, 0, 28]] {
        let frame = [family.as_slice(), b"E"].concat();
        let seen = decoded(0, &frame);
        assert_eq!((seen.payload, seen.loopback), (ip(b"E"), Some(true)));
    }
    assert_eq!(decoded(108, &[0, 0, 0, 7, b'E']).payload, Payload::Other(None));
    assert_eq!(decoded(105, b"E").payload, Payload::Unsupported(105));
}

proptest::proptest! {
    /// Whatever is done to a capture, reading ends and nothing panics.
    #[test]
    fn mutated_captures_are_read_to_some_end(
        next_generation: bool,
        changes in proptest::collection::vec((0usize..400, 0u8..), 1..12),
        cut in 0usize..400,
    ) {
        let mut file = if next_generation {
            [
                LITTLE.section(),
                LITTLE.interface(1, 0, &LITTLE.option(9, &[9])),
                LITTLE.packet(0, 1, &[0x45; 60], 60, &LITTLE.option(2, &[1, 0, 0, 0])),
                LITTLE.block(3, &[60, 0, 0, 0, 1, 2, 3, 4]),
                LITTLE.packet(0, 1, &[0x45; 60], 60, &[]),
            ].concat()
        } else {
            LITTLE.pcap(0xa1b2_c3d4, 113, &[(1, 0, &[0; 60], 60), (2, 0, &[0; 60], 60)])
        };
        for (at, value) in changes {
            if let Some(byte) = file.get_mut(at) {
                *byte = value;
            }
        }
        file.truncate(file.len().saturating_sub(cut));
        if let Ok(mut reader) = Reader::new(file.as_slice()) {
            while let Some(frame) = reader.next_frame() {
                decode(&frame);
            }
        }
    }
}
