use super::*;

const INVITE: &[u8] = b"INVITE sip:a@b SIP/2.0\r\nl: 4\r\n\r\nbody";
const OPTIONS: &[u8] = b"OPTIONS sip:a@b SIP/2.0\r\nVia: x\r\nContent-Length: 0\r\n\r\n";

/// What a stream holds when its segments come like this.
fn pieces(limit: usize, segments: &[(u32, &[u8])]) -> Vec<String> {
    let mut framer = Framer::new(limit);
    let mut all = Vec::new();
    for (sequence, data) in segments {
        framer.push(*sequence, data, |piece| {
            all.push(match piece {
                Piece::KeepAlive(kind) => format!("{kind:?}"),
                Piece::Message(bytes) => format!("{}:{}", String::from_utf8_lossy(&bytes[..7]), bytes.len()),
                Piece::NotSip(len) => format!("not sip:{len}"),
            });
        });
        assert!(framer.buffered() <= 2 * limit);
    }
    all
}

#[test]
fn every_division_gives_the_same_messages() {
    let stream = [INVITE, b"\r\n\r\n", OPTIONS, INVITE].concat();
    let whole =
        ["INVITE :36".to_owned(), "Crlf".to_owned(), "OPTIONS:54".to_owned(), "INVITE :36".to_owned()];
    for size in 1..stream.len() {
        let segments: Vec<(u32, &[u8])> = stream
            .chunks(size)
            .enumerate()
            .map(|(index, _)| (u32::MAX - 20).wrapping_add(u32::try_from(index * size).unwrap()))
            .zip(stream.chunks(size))
            .collect();
        let mut found = pieces(1024, &segments);
        found.dedup();
        assert_eq!(found, whole, "segments of {size}");
    }
}

#[test]
fn order_and_repetition_do_not_matter() {
    let stream = [INVITE, OPTIONS].concat();
    let part = |from: usize, to: usize| (u32::try_from(from).unwrap(), &stream[from..to]);
    let segments =
        [part(0, 10), part(30, 50), part(5, 12), part(20, 35), part(10, 30), part(50, stream.len())];
    assert_eq!(pieces(1024, &segments), ["INVITE :36", "OPTIONS:54"]);
}

#[test]
fn a_gap_is_given_up_and_the_next_message_found() {
    let late: Vec<(u32, Vec<u8>)> = (0..9).map(|index| (100 + index * 54, OPTIONS.to_vec())).collect();
    let mut segments: Vec<(u32, &[u8])> = vec![(0, &INVITE[..20])];
    segments.extend(late.iter().map(|(sequence, data)| (*sequence, data.as_slice())));
    let found = pieces(4096, &segments);
    assert_eq!(found[0], "INVITE :20");
    assert_eq!(found.len(), 10);
}

#[test]
fn bodies_too_long_are_skipped() {
    let head = b"INVITE sip:a@b SIP/2.0\r\nContent-Length: 5000\r\n\r\n";
    let body = vec![b'x'; 5000];
    let segments: [(u32, &[u8]); 3] = [
        (0, head),
        (u32::try_from(head.len()).unwrap(), &body),
        (u32::try_from(head.len() + 5000).unwrap(), OPTIONS),
    ];
    let found = pieces(1024, &segments);
    assert_eq!(found, [format!("INVITE :{}", head.len()), "OPTIONS:54".to_owned()]);
}

#[test]
fn other_protocols_are_told() {
    assert_eq!(pieces(1024, &[(0, b"\x16\x03\x01\x02\x00\x01")]), ["not sip:6"]);
    assert_eq!(pieces(1024, &[(0, b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")])[0], "not sip:16");
    let endless = vec![b'A'; 3000];
    assert_eq!(pieces(1024, &[(0, &endless)]), ["not sip:3000"]);
}

#[test]
fn a_message_that_comes_byte_by_byte_is_as_long_as_it_says() {
    let stream = [INVITE, INVITE, OPTIONS].concat();
    let bytes: Vec<(u32, &[u8])> = (0..).zip(stream.chunks(1)).collect();
    assert_eq!(pieces(64, &bytes), ["INVITE :36", "INVITE :36", "OPTIONS:54"]);
    // What was awaited is not awaited of the message behind a gap.
    let gap: [(u32, &[u8]); 3] = [(0, &INVITE[..34]), (4000, OPTIONS), (4054, OPTIONS)];
    assert_eq!(pieces(64, &gap), ["INVITE :34", "OPTIONS:54", "OPTIONS:54"]);
}
