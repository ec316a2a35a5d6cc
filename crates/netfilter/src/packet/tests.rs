use super::*;

/// A UDP datagram of 4 payload bytes, 192.0.2.1:5060 to 192.0.2.2:5060, with right checksums.
const UDP: [u8; 32] = [
    0x45, 0, 0, 32, 0, 1, 0, 0, 64, 17, 0xf6, 0xc8, 192, 0, 2, 1, 192, 0, 2, 2, // IP
    0x13, 0xc4, 0x13, 0xc4, 0, 12, 0x8f, 0x83, // UDP
    b'a', b'b', b'c', b'd',
];

fn parse(bytes: &[u8]) -> Packet<'_> {
    Packet::parse(bytes, bytes.len()).expect("parses")
}

#[test]
fn reads_a_udp_datagram_and_cuts_link_padding() {
    let mut frame = UDP.to_vec();
    frame.extend([0; 14]);
    let packet = parse(&frame);
    assert_eq!(packet.bytes(), UDP);
    assert_eq!(
        (packet.source(), packet.destination()),
        ("192.0.2.1".parse().unwrap(), "192.0.2.2".parse().unwrap())
    );
    assert_eq!(packet.protocol(), Some(protocol::UDP));
    assert_eq!(packet.ports(), Some((5060, 5060)));
    assert_eq!(packet.declared_len(), 32);
    let Transport::Udp(udp) = packet.transport() else { panic!("not udp") };
    assert_eq!((udp.source, udp.destination, udp.len), (5060, 5060, 12));
}

#[test]
fn header_and_transport_checksums_are_told() {
    let packet = parse(&UDP);
    assert_eq!(packet.arrival_fault(false), None, "{:04x}", checksum::sum(&UDP[..20]));
    assert_eq!(packet.transport_checksum(), Some(true));
    let mut bad = UDP;
    bad[10] ^= 1;
    assert_eq!(parse(&bad).arrival_fault(false), Some(Malformed::Checksum));
    let mut bad = UDP;
    bad[31] ^= 1;
    assert_eq!(parse(&bad).transport_checksum(), Some(false));
    bad[26..28].fill(0);
    assert_eq!(parse(&bad).transport_checksum(), None, "a zero udp checksum means none");
}

#[test]
fn a_checksum_left_to_the_network_card_is_none() {
    let mut bytes = UDP;
    // 192.0.2.1 and 192.0.2.2, protocol 17, 12 bytes: the sum of the pseudo-header alone.
    bytes[26..28].copy_from_slice(&0x8421u16.to_be_bytes());
    assert_eq!(parse(&bytes).transport_checksum(), None);
    bytes[27] += 1;
    assert_eq!(parse(&bytes).transport_checksum(), Some(false));
}

#[test]
fn impossible_lengths_are_refused() {
    let with = |at: usize, value: u8| {
        let mut bytes = UDP;
        bytes[at] = value;
        Packet::parse(&bytes, bytes.len()).map(|packet| packet.total_len())
    };
    assert_eq!(with(0, 0x44), Err(Malformed::HeaderLength));
    assert_eq!(with(0, 0x55), Err(Malformed::Version));
    assert_eq!(with(3, 33), Err(Malformed::Length));
    assert_eq!(with(3, 19), Err(Malformed::Length));
    assert_eq!(with(3, 20), Ok(20));
    assert_eq!(Packet::parse(&UDP[..19], 32).map(|_| ()), Err(Malformed::HeaderCut));
}

#[test]
fn a_packet_that_the_capture_cut_is_not_malformed() {
    let packet = Packet::parse(&UDP[..24], 32).expect("parses");
    assert!(packet.is_cut());
    assert_eq!(packet.transport(), Transport::Truncated);
    assert_eq!(packet.ports(), Some((5060, 5060)));
    assert_eq!(packet.transport_checksum(), None);
}

#[test]
fn later_fragments_have_no_ports() {
    let mut bytes = UDP;
    bytes[6..8].copy_from_slice(&[0x20, 0x01]);
    let packet = parse(&bytes);
    assert_eq!(packet.fragment(), Some(Fragment { offset: 8, more: true, id: 1 }));
    assert_eq!(packet.transport(), Transport::Later);
    assert_eq!(packet.ports(), None);
}

/// IPv6 with hop-by-hop options, a fragment header (offset 0, more) and UDP ports.
fn v6_fragment() -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0, 0, 24, 0, 64];
    bytes.extend("2001:db8::1".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend("2001:db8::2".parse::<Ipv6Addr>().unwrap().octets());
    bytes.extend([44, 0, 1, 4, 0, 0, 0, 0]);
    bytes.extend([17, 0, 0, 1, 0, 0, 0, 7]);
    bytes.extend([0x13, 0xc4, 0x13, 0xc5, 0, 8, 0, 0]);
    bytes
}

#[test]
fn extension_headers_are_walked() {
    let bytes = v6_fragment();
    let packet = parse(&bytes);
    assert_eq!(packet.protocol(), Some(protocol::UDP));
    assert_eq!(packet.transport_offset(), 56);
    assert_eq!(packet.fragment(), Some(Fragment { offset: 0, more: true, id: 7 }));
    assert_eq!(packet.fragment_header(), Some(FragmentHeader { at: 48, named_at: 40 }));
    assert_eq!(packet.ports(), Some((5060, 5061)));
    assert_eq!(packet.declared_len(), 64);
}

#[test]
fn a_broken_extension_chain_has_no_protocol() {
    let mut bytes = v6_fragment();
    bytes.truncate(49);
    bytes[5] = 9;
    assert_eq!(parse(&bytes).protocol(), None);
    assert_eq!(parse(&bytes).transport(), Transport::Truncated);
}

#[test]
fn martians_depend_on_the_interface() {
    let mut bytes = v6_fragment();
    assert_eq!(parse(&bytes).arrival_fault(false), None);
    bytes[8..24].copy_from_slice(&Ipv6Addr::LOCALHOST.octets());
    assert_eq!(parse(&bytes).arrival_fault(false), Some(Malformed::Martian));
    assert_eq!(parse(&bytes).arrival_fault(true), None);
}

#[test]
fn tcp_options_are_bounded_by_the_data_offset() {
    let mut bytes = vec![0x45, 0, 0, 44, 0, 0, 0, 0, 64, 6, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes.extend([0, 80, 0, 81, 0, 0, 0, 1, 0, 0, 0, 2, 0x60, 0x12, 1, 0, 0, 0, 0, 0, 2, 4, 5, 180]);
    let Transport::Tcp(tcp) = parse(&bytes).transport() else { panic!("not tcp") };
    assert_eq!(tcp.options, Some([2, 4, 5, 180].as_slice()));
    assert_eq!((tcp.flags, tcp.window, tcp.data.len()), (tcp_flags::SYN | tcp_flags::ACK, 256, 0));
    bytes[32] = 0xf0;
    let packet = parse(&bytes);
    let Transport::Tcp(tcp) = packet.transport() else { panic!("not tcp") };
    assert_eq!((tcp.options, tcp.data), (None, [].as_slice()));
}
