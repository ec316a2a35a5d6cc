use std::io::Write as _;

use super::*;

fn sip() -> Packet<'static> {
    Packet {
        ip_protocol: Some(6),
        source: Some("203.0.113.9:40000".parse().unwrap()),
        destination: Some("198.51.100.10:5061".parse().unwrap()),
        time: Some(Duration::from_micros(1_795_877_967_286_123)),
        content: Content::SIP,
        capture_id: Some(2001),
        auth_key: Some(b"secret"),
        payload: Payload::Plain(b"OPTIONS sip:100@198.51.100.10 SIP/2.0\r\n\r\n"),
        correlation: Some(b"call"),
        vlan: Some(7),
        keep_alive: Some(30),
        capture_name: Some(b"pbx"),
        skipped: 0,
    }
}

fn written(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.write(&mut bytes).unwrap();
    bytes
}

/// A packet of these chunks: vendor, type, value.
fn of(chunks: &[(u16, u16, &[u8])]) -> Vec<u8> {
    let mut bytes = b"HEP3\0\0".to_vec();
    for (vendor, kind, value) in chunks {
        let length = u16::try_from(value.len() + CHUNK_HEAD).unwrap();
        bytes.extend([vendor.to_be_bytes(), kind.to_be_bytes(), length.to_be_bytes()].concat());
        bytes.extend(*value);
    }
    let length = u16::try_from(bytes.len()).unwrap();
    bytes[4..6].copy_from_slice(&length.to_be_bytes());
    bytes
}

#[test]
fn what_is_written_is_read_back() {
    let bytes = written(&sip());
    assert_eq!(Packet::parse(&bytes), Ok(sip()));
    let v6 = Packet {
        source: Some("[2001:db8::9]:1".parse().unwrap()),
        destination: Some("[2001:db8::1]:2".parse().unwrap()),
        ..Packet::default()
    };
    assert_eq!(Packet::parse(&written(&v6)), Ok(v6));
    assert_eq!(Packet::parse(&written(&Packet::default())), Ok(Packet::default()));
    let mixed = Packet { source: v6.source, ..sip() };
    assert_eq!(mixed.write(&mut Vec::new()), Err(Error::MixedFamilies));
    let long = vec![0; 65_535];
    let mut out = vec![1];
    assert_eq!(Packet { payload: Payload::Plain(&long), ..sip() }.write(&mut out), Err(Error::TooLong));
    assert_eq!(out, [1]);
}

#[test]
fn other_vendors_and_unknown_types_are_skipped() {
    let bytes = of(&[(4, 1, b"asterisk's own"), (0, 0x20, b"later"), (0, 0, b""), (0, 0x0b, &[1])]);
    let packet = Packet::parse(&bytes).unwrap();
    assert_eq!((packet.skipped, packet.content), (3, Content::SIP));
}

#[test]
fn lengths_that_lie_are_told() {
    let good = written(&sip());
    for cut in 0..good.len() {
        assert!(Packet::parse(&good[..cut]).is_err(), "{cut}");
    }
    assert!(matches!(Packet::parse(&[good.as_slice(), b"x"].concat()), Err(Error::Length { .. })));
    assert_eq!(Packet::parse(b"HEP3\0\x05"), Err(Error::Length { claimed: 5, length: 6 }));
    let lies: [(&[u8], Error); 4] = [
        (&[0, 0, 0, 0x0f, 0, 5], Error::ChunkLength { kind: 0x0f, claimed: 5, room: 6 }),
        (&[0, 0, 0, 0x0f, 0, 7], Error::ChunkLength { kind: 0x0f, claimed: 7, room: 6 }),
        (&[0, 0, 0, 0x0f, 0xff, 0xff], Error::ChunkLength { kind: 0x0f, claimed: 65_535, room: 6 }),
        (&[0, 0, 0], Error::ChunkLength { kind: 0, claimed: 6, room: 3 }),
    ];
    for (chunk, error) in lies {
        let mut bytes = [b"HEP3\0\0".as_slice(), chunk].concat();
        bytes[5] = u8::try_from(bytes.len()).unwrap();
        assert_eq!(Packet::parse(&bytes), Err(error));
    }
    assert_eq!(Packet::parse(&of(&[(0, 0x03, &[1, 2, 3])])), Err(Error::ChunkSize { kind: 0x03, length: 3 }));
}

#[test]
fn nothing_is_there_twice() {
    let twice = of(&[(0, 0x07, &[0, 1]), (0, 0x07, &[0, 2])]);
    assert_eq!(Packet::parse(&twice), Err(Error::ChunkTwice { kind: 0x07 }));
    let both = of(&[(0, 0x0f, b"one"), (0, 0x10, b"two")]);
    assert_eq!(Packet::parse(&both), Err(Error::ChunkTwice { kind: 0x10 }));
    let families = of(&[(0, 3, &[1; 4]), (0, 4, &[2; 4]), (0, 5, &[0; 16])]);
    assert_eq!(Packet::parse(&families), Err(Error::MixedFamilies));
    assert_eq!(Packet::parse(&of(&[(0, 3, &[1; 4])])), Err(Error::MixedFamilies));
}

#[test]
fn older_versions_are_named() {
    assert_eq!(Packet::parse(&[1, 16, 2, 17]), Err(Error::OldVersion(1)));
    assert_eq!(Packet::parse(&[2, 28, 2, 17]), Err(Error::OldVersion(2)));
    assert_eq!(Packet::parse(b"OPTIONS"), Err(Error::NotHep));
    assert_eq!(Packet::parse(b""), Err(Error::NotHep));
}

#[test]
fn compressed_payloads_are_inflated_up_to_a_bound() {
    let zlib = |bytes: &[u8]| {
        let mut encoder = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let gzip = |bytes: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
        encoder.write_all(bytes).unwrap();
        encoder.finish().unwrap()
    };
    let inflated = |bytes: &[u8]| Payload::Compressed(bytes).bytes().map(Cow::into_owned);
    assert_eq!(inflated(&zlib(b"hello")), Ok(b"hello".to_vec()));
    assert_eq!(inflated(&gzip(b"hello")), Ok(b"hello".to_vec()));
    assert_eq!(inflated(&zlib(&vec![0; MAX_INFLATED])).unwrap().len(), MAX_INFLATED);
    assert_eq!(inflated(&zlib(&vec![0; MAX_INFLATED + 1])), Err(Error::Inflated));
    assert_eq!(inflated(&zlib(&vec![0; 50 << 20])), Err(Error::Inflated), "a bomb");
    assert_eq!(inflated(b"hello"), Err(Error::Inflate));
    assert_eq!(inflated(&zlib(b"hello")[..6]), Err(Error::Inflate));
}

#[test]
fn keys_are_compared_whole() {
    assert!(sip().has_key(b"secret"));
    assert!(Packet { auth_key: Some(b"secret\0"), ..sip() }.has_key(b"secret"));
    for wrong in [b"".as_slice(), b"secre", b"secrets", b"Secret"] {
        assert!(!sip().has_key(wrong));
    }
    assert!(!Packet { auth_key: None, ..sip() }.has_key(b""));
}

#[test]
fn a_connection_is_cut_into_packets() {
    let (one, two) = (written(&sip()), written(&Packet::default()));
    let bytes = [one.as_slice(), &two, &one].concat();
    for size in 1..bytes.len() {
        let (mut stream, mut found) = (Stream::default(), Vec::new());
        for mut piece in bytes.chunks(size) {
            while let Some(packet) = stream.take(&mut piece).unwrap() {
                found.push(packet);
            }
        }
        assert_eq!(found, [one.clone(), two.clone(), one.clone()], "{size}");
    }
    let mut stream = Stream::default();
    assert_eq!(stream.take(&mut b"GET / HTTP/1.1".as_slice()), Err(Error::NotHep));
    assert_eq!(Stream::default().take(&mut b"\x02".as_slice()), Err(Error::OldVersion(2)));
}

#[test]
fn what_real_servers_send_is_read() {
    let asterisk = include_bytes!("../../../fuzz/corpus/hep_packet/asterisk-tls");
    let packet = Packet::parse(asterisk).unwrap();
    assert_eq!((packet.ip_protocol, packet.content, packet.capture_id), (Some(6), Content::SIP, Some(1234)));
    assert_eq!(packet.destination, Some("127.0.0.1:5061".parse().unwrap()));
    assert!(packet.has_key(b"homerpw"));
    assert_eq!(packet.correlation, Some(b"e869de92e8ee".as_slice()));
    assert!(
        packet.payload.bytes().unwrap().starts_with(b"REGISTER sip:127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/TLS ")
    );
    let asterisk = include_bytes!("../../../fuzz/corpus/hep_packet/asterisk-ipv6");
    let packet = Packet::parse(asterisk).unwrap();
    assert_eq!(packet.destination, Some("[::1]:5060".parse().unwrap()));
    let kamailio = include_bytes!("../../../fuzz/corpus/hep_packet/kamailio-2");
    let packet = Packet::parse(kamailio).unwrap();
    assert_eq!((packet.ip_protocol, packet.content, packet.capture_id), (Some(17), Content::SIP, Some(100)));
    assert_eq!(packet.source, Some("127.0.0.1:5070".parse().unwrap()));
    assert_eq!(packet.time, Some(Duration::from_micros(1_795_880_338_251_110)));
    assert!(packet.payload.bytes().unwrap().starts_with(b"SIP/2.0 404 Not here\r\n"));
}
