use super::*;

const NOW: Duration = Duration::from_secs(1_700_000_000);

/// An IPv4 fragment of UDP from 192.0.2.1 to 192.0.2.2.
fn v4(id: u8, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + data.len()).unwrap().to_be_bytes();
    let bits = ((offset / 8) | if more { 0x2000 } else { 0 }).to_be_bytes();
    let mut bytes =
        vec![0x45, 0, len[0], len[1], 0, id, bits[0], bits[1], 64, 17, 0, 0, 192, 0, 2, 1, 192, 0, 2, 2];
    bytes.extend(data);
    bytes
}

fn v6(id: u8, offset: u16, more: bool, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + data.len()).unwrap().to_be_bytes();
    let bits = (offset | u16::from(more)).to_be_bytes();
    let mut bytes = vec![0x60, 0, 0, 0, len[0], len[1], 44, 64];
    bytes.extend([0x20; 32]);
    bytes.extend([17, 0, bits[0], bits[1], 0, 0, 0, id]);
    bytes.extend(data);
    bytes
}

fn push(defrag: &mut Defrag<u32>, bytes: &[u8], tag: u32) -> Outcome<u32> {
    push_at(defrag, bytes, tag, NOW)
}

fn push_at(defrag: &mut Defrag<u32>, bytes: &[u8], tag: u32, now: Duration) -> Outcome<u32> {
    defrag.push(&Packet::parse(bytes, bytes.len()).unwrap(), tag, now)
}

fn refused(reason: Refusal, tags: &[u32]) -> Outcome<u32> {
    Outcome::Refused { reason, tags: tags.to_vec() }
}

#[test]
fn fragments_in_any_order_make_the_datagram() {
    let mut defrag = Defrag::new(Limits::default());
    assert_eq!(push(&mut defrag, &v4(1, 16, false, b"end"), 1), Outcome::Queued);
    assert_eq!(push(&mut defrag, &v4(1, 0, true, b"abcdefgh"), 2), Outcome::Queued);
    let Outcome::Whole(datagram) = push(&mut defrag, &v4(1, 8, true, b"ijklmnop"), 3) else {
        panic!("not whole")
    };
    assert_eq!(datagram.tags, [1, 2, 3]);
    assert!(datagram.bytes.ends_with(b"abcdefghijklmnopend"));
    let packet = Packet::parse(&datagram.bytes, datagram.bytes.len()).unwrap();
    assert_eq!((packet.fragment(), packet.declared_len()), (None, 39));
    assert_eq!(packet.arrival_fault(false), None, "the header checksum is made anew");
    assert_eq!((defrag.len(), defrag.memory_v4, defrag.deadlines.len()), (0, 0, 0));
}

#[test]
fn ipv6_loses_its_fragment_header() {
    let mut defrag = Defrag::new(Limits::default());
    assert_eq!(push(&mut defrag, &v6(1, 0, true, b"abcdefgh"), 1), Outcome::Queued);
    let Outcome::Whole(datagram) = push(&mut defrag, &v6(1, 8, false, b"ij"), 2) else { panic!("not whole") };
    assert_eq!(datagram.bytes.len(), 50);
    let packet = Packet::parse(&datagram.bytes, datagram.bytes.len()).unwrap();
    assert_eq!((packet.protocol(), packet.transport_offset(), packet.declared_len()), (Some(17), 40, 50));
    assert_eq!(packet.fragment(), None);
}

#[test]
fn an_atomic_ipv6_fragment_is_whole_at_once() {
    let mut defrag = Defrag::new(Limits::default());
    let Outcome::Whole(datagram) = push(&mut defrag, &v6(1, 0, false, b"abcdefgh"), 1) else {
        panic!("not whole")
    };
    assert_eq!(datagram.bytes.len(), 48);
}

#[test]
fn overlap_spoils_the_datagram_and_a_duplicate_does_not() {
    for build in [v4, v6] {
        let mut defrag = Defrag::new(Limits::default());
        push(&mut defrag, &build(1, 0, true, &[0; 16]), 1);
        assert_eq!(push(&mut defrag, &build(1, 8, true, &[0; 8]), 2), refused(Refusal::Duplicate, &[2]));
        assert_eq!(push(&mut defrag, &build(1, 8, true, &[0; 16]), 3), refused(Refusal::Overlap, &[1, 3]));
        assert!(defrag.is_empty());
    }
}

#[test]
fn a_repeat_over_two_separate_runs_is_overlap() {
    let mut defrag = Defrag::new(Limits::default());
    push(&mut defrag, &v4(1, 8, true, &[0; 8]), 1);
    push(&mut defrag, &v4(1, 0, true, &[0; 8]), 2);
    assert_eq!(push(&mut defrag, &v4(1, 0, true, &[0; 16]), 3), refused(Refusal::Overlap, &[1, 2, 3]));
}

#[test]
fn contradicting_ends_are_treated_by_family() {
    let mut defrag = Defrag::new(Limits::default());
    push(&mut defrag, &v4(1, 8, false, &[0; 8]), 1);
    assert_eq!(push(&mut defrag, &v4(1, 16, true, &[0; 8]), 2), refused(Refusal::Inconsistent, &[1, 2]));
    assert!(defrag.is_empty());
    push(&mut defrag, &v6(1, 8, false, &[0; 8]), 1);
    assert_eq!(push(&mut defrag, &v6(1, 16, true, &[0; 8]), 2), refused(Refusal::Inconsistent, &[2]));
    assert_eq!(defrag.len(), 1);
}

#[test]
fn an_uneven_middle_is_trimmed_in_ipv4_and_left_alone_in_ipv6() {
    let mut defrag = Defrag::new(Limits::default());
    push(&mut defrag, &v4(1, 0, true, b"abcdefghij"), 1);
    let Outcome::Whole(datagram) = push(&mut defrag, &v4(1, 8, false, b"IJ"), 2) else { panic!("not whole") };
    assert!(datagram.bytes.ends_with(b"abcdefghIJ"));
    push(&mut defrag, &v6(1, 8, false, b"abc"), 1);
    assert_eq!(
        push(&mut defrag, &v6(1, 0, true, b"abcdefghij"), 2),
        Outcome::Pass { tags: vec![2], lost: vec![1] }
    );
}

#[test]
fn more_than_a_datagram_can_hold_is_refused() {
    let mut defrag = Defrag::new(Limits::default());
    push(&mut defrag, &v4(1, 65_528, false, b"abcdef"), 1);
    let mut last = Outcome::Queued;
    for (tag, offset) in (2u32..).zip((0..65_528u16).step_by(1024)) {
        let len = usize::from((65_528 - offset).min(1024));
        last = push(&mut defrag, &v4(1, offset, true, &vec![0; len]), tag);
    }
    assert!(matches!(last, Outcome::Refused { reason: Refusal::Oversize, .. }), "{last:?}");
}

#[test]
fn the_first_fragment_starts_the_clock() {
    let mut defrag = Defrag::new(Limits::default());
    push(&mut defrag, &v4(1, 0, true, &[0; 8]), 1);
    push_at(&mut defrag, &v4(1, 8, true, &[0; 8]), 2, NOW + Duration::from_secs(29));
    assert_eq!(defrag.expire(NOW + Duration::from_millis(29_999)), None);
    assert_eq!(defrag.expire(NOW + Duration::from_secs(30)), Some(vec![1, 2]));
    assert_eq!(defrag.expire(NOW + Duration::from_secs(30)), None);
    push(&mut defrag, &v6(1, 0, true, &[0; 8]), 3);
    assert_eq!(defrag.expire(NOW + Duration::from_secs(59)), None);
    assert_eq!(defrag.drain(), Some(vec![3]));
}

#[test]
fn memory_is_bounded_and_freed() {
    let mut defrag = Defrag::new(Limits { memory: 2000, ..Limits::default() });
    for id in 0..3 {
        assert_eq!(push(&mut defrag, &v4(id, 0, true, &[0; 8]), u32::from(id)), Outcome::Queued);
    }
    assert_eq!(push(&mut defrag, &v4(9, 0, true, &[0; 8]), 9), refused(Refusal::Memory, &[9]));
    assert_eq!(
        push(&mut defrag, &v6(9, 0, true, &[0; 8]), 9),
        Outcome::Queued,
        "families have their own bound"
    );
    while defrag.drain().is_some() {}
    assert_eq!((defrag.memory_v4, defrag.memory_v6), (0, 0));
}

#[test]
fn mixed_ecn_is_refused() {
    let mut defrag = Defrag::new(Limits::default());
    let mut first = v4(1, 0, true, &[0; 8]);
    first[1] = 2;
    push(&mut defrag, &first, 1);
    assert_eq!(push(&mut defrag, &v4(1, 8, false, &[0; 8]), 2), refused(Refusal::Ecn, &[1, 2]));
}

#[test]
fn what_the_capture_cut_is_said() {
    let mut defrag = Defrag::new(Limits::default());
    let bytes = v4(1, 0, true, b"abcdefgh");
    let cut = Packet::parse(&bytes[..24], bytes.len()).unwrap();
    defrag.push(&cut, 1, NOW);
    let Outcome::Whole(datagram) = push(&mut defrag, &v4(1, 8, false, b"ij"), 2) else { panic!("not whole") };
    assert!(datagram.has_gaps);
    assert!(datagram.bytes.ends_with(b"abcd\0\0\0\0ij"));
}

#[test]
fn a_first_ipv6_fragment_without_its_header_goes_on_alone() {
    let mut defrag = Defrag::new(Limits::default());
    let mut tcp = v6(1, 0, true, &[0; 16]);
    tcp[40] = 6;
    assert_eq!(push(&mut defrag, &tcp, 1), Outcome::Pass { tags: vec![1], lost: vec![] });
    let mut tcp = v6(1, 0, true, &[0; 24]);
    tcp[40] = 6;
    assert_eq!(push(&mut defrag, &tcp, 1), Outcome::Queued);
}
