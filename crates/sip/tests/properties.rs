//! Whatever the bytes: no panic, nothing outside of the packet, the same answer in one piece and in many.

use proptest::collection::vec;
use proptest::prelude::*;
use sip::payload::{Payload, classify};
use sip::stream::{Framer, Piece};
use sip::{Anomalies, Carrier, HeaderName, Message, View};

const SEEDS: [&[u8]; 3] = [
    b"INVITE sip:bob@example.com;user=phone SIP/2.0\r\nVia: SIP/2.0/UDP [2001:db8::1]:5061;rport;branch=z9hG4bK1\r\n\
      From: \"A\\\"\" <sip:alice@example.com>;tag=1\r\nt: <sip:bob@example.com>\r\nCall-ID: 1@a\r\nCSeq: 1 INVITE\r\n\
      m: \"x\" <sip:a@1.2.3.4:5>;q=0.1, sip:c@d\r\nAuthorization: Digest username=\"u\",realm=\"r\",nonce=\"n\",uri=\"s\",\
      response=\"d\",nc=1\r\nContent-Type: application/sdp\r\nMax-Forwards: 70\r\nContent-Length: 35\r\n\r\n\
      v=0\r\nc=IN IP4 1.2.3.4\r\nm=audio 1 x 0\r\n",
    b"SIP/2.0 401 Unauthorized\r\nv: SIP/2.0/TCP h;branch=z9hG4bKa;received=1.2.3.4\r\nf: a <sip:a@b>;tag=1\r\n\
      t: sip:a@b;tag=2\r\ni: 1\r\nCSeq: 2 REGISTER\r\nWWW-Authenticate: Digest realm=\"r\", nonce=\"n\", stale=true\r\n\
      Warning: 399 h \"x\"\r\nl: 0\r\n\r\n",
    b"\r\n\r\nOPTIONS tel:+1;x=y SIP/2.0\r\nSubject: a\r\n b\r\n\tc\r\nX:\r\nDate: Thu, 01 Jan 1970 00:00:00 GMT\r\n\r\n",
];

/// Reads everything that there is to read.
fn read(bytes: &[u8]) -> Option<Anomalies> {
    let Payload::Message(bytes) = classify(bytes) else { return None };
    let view = View::parse(bytes, Carrier::Datagram).ok()?;
    let message = Message::read(&view);
    let mut anomalies = message.anomalies;
    if let Some(sdp) = message.sdp(&mut anomalies) {
        assert!(sdp.media().len() <= sip::sdp::MAX_MEDIA);
    }
    for header in view.headers() {
        assert!(header.value.len() <= bytes.len());
        assert_eq!(sip::trim(header.value), header.value);
    }
    for &name in HeaderName::KNOWN {
        assert_eq!(view.all(name).next(), view.get(name));
    }
    Some(anomalies)
}

proptest! {
    #[test]
    fn random_bytes_are_read(bytes in vec(any::<u8>(), 0..600)) {
        read(&bytes);
    }

    #[test]
    fn mutated_messages_are_read(
        seed in 0..SEEDS.len(),
        changes in vec((any::<prop::sample::Index>(), any::<u8>(), 0..4u8), 0..12),
    ) {
        let mut bytes = SEEDS[seed].to_vec();
        for (at, byte, how) in changes {
            let at = at.index(bytes.len());
            match how {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => { bytes.truncate(at + 1); }
                _ => { let tail = bytes[at..].to_vec(); bytes.extend(tail); }
            }
        }
        read(&bytes);
    }

    #[test]
    fn a_stream_is_the_same_however_it_is_cut(
        order in vec(0..SEEDS.len(), 1..5),
        cuts in vec(1..200usize, 1..20),
        start in any::<u32>(),
    ) {
        let stream: Vec<u8> = order.iter().flat_map(|&seed| SEEDS[seed].to_vec()).collect();
        let messages = |sizes: &[usize]| {
            let mut framer = Framer::new(4096);
            let mut found = Vec::new();
            let (mut at, mut turn) = (0, 0);
            while at < stream.len() {
                let end = (at + sizes[turn % sizes.len()]).min(stream.len());
                framer.push(start.wrapping_add(u32::try_from(at).unwrap()), &stream[at..end], |piece| {
                    if let Piece::Message(bytes) = piece { found.push(bytes.to_vec()); }
                });
                at = end;
                turn += 1;
            }
            found
        };
        let whole = messages(&[usize::MAX / 2]);
        prop_assert_eq!(whole.len(), order.len());
        prop_assert_eq!(messages(&cuts), whole);
    }

    #[test]
    fn a_framer_never_keeps_more_than_its_bound(
        segments in vec((0..3000u32, vec(any::<u8>(), 0..300)), 0..40),
    ) {
        let mut framer = Framer::new(512);
        for (sequence, data) in &segments {
            framer.push(*sequence, data, |_| {});
            prop_assert!(framer.buffered() <= 2 * 512);
        }
    }
}

/// As many as `RINGFENCE_MESSAGES` says, or what a test run has time for.
#[test]
fn many_mutated_messages_are_read() {
    let count =
        std::env::var("RINGFENCE_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(200_000_u64);
    let mut random = 0x9e37_79b9_7f4a_7c15_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    for _ in 0..count {
        let mut bytes = SEEDS[usize::try_from(next() % 3).unwrap()].to_vec();
        for _ in 0..=next() % 6 {
            let at = usize::try_from(next()).unwrap_or(usize::MAX) % bytes.len();
            let byte = u8::try_from(next() & 0xff).unwrap();
            match next() % 4 {
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => bytes.truncate(at + 1),
                _ => bytes[at] = b"\r\n\0\" <>;:,@=%"[usize::from(byte) % 13],
            }
        }
        read(&bytes);
    }
}
