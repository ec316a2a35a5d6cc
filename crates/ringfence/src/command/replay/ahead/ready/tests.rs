use capture::Reader;
use netfilter::stack::Settings;
use policy::Policy;

use super::*;
use crate::command::replay::locals::Locals;

const HOST: [u8; 4] = [198, 51, 100, 1];
const PEER: [u8; 4] = [203, 0, 113, 9];

/// A record of a capture with a raw IPv4 datagram, whose header checksum is right and whose UDP has none.
fn record(source: ([u8; 4], u16), destination: ([u8; 4], u16), protocol: u8, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(28 + data.len()).unwrap();
    let mut header = [0x4500, len, 1, 0, 64 << 8 | u16::from(protocol), 0].map(u16::to_be_bytes).concat();
    header.extend([source.0, destination.0].concat());
    let sum: u32 = header.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    header[10..12].copy_from_slice(&sum.to_be_bytes());
    let udp = [source.1, destination.1, len - 20, 0].map(u16::to_be_bytes).concat();
    let len = u32::from(len);
    [[1, 0, len, len].map(u32::to_le_bytes).concat(), header, udp, data.to_vec()].concat()
}

/// Media of three flows, SIP, what looks like it, and what is neither.
fn capture() -> Vec<u8> {
    let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0xffff, 101].map(u32::to_le_bytes).concat();
    for round in 0..20_u16 {
        let media = (HOST, 10_000 + round % 3);
        file.extend(record((PEER, 4000), media, 17, &vec![0; usize::from(round)]));
        let message = format!("OPTIONS sip:{round} SIP/2.0\r\nCall-ID: {round}\r\n\r\n");
        file.extend(record((PEER, 5060), (HOST, 5060), 17, message.as_bytes()));
        file.extend(record(media, (PEER, 4000), 17, b"voice"));
        file.extend(record((PEER, 5060), (HOST, 5060), 17, b"\r\n\r\n"));
        file.extend(record((PEER, 7), (HOST, 7), 132, b"neither"));
    }
    file
}

/// All that a frame is shown with.
fn told(read: &Read<'_, '_>) -> String {
    match read {
        Read::Flow(of_flow) => {
            let OfFlow { time, flow, len, .. } = of_flow;
            format!("{time:?} {flow:?} {len} {:?}", of_flow.whole())
        }
        Read::Whole(prepared, reading) => format!("{prepared:?} {reading:?}"),
    }
}

#[test]
fn a_frame_is_shown_as_the_same_by_whoever_looked_at_it() {
    let file = capture();
    let mut batch = Batch::default();
    Reader::new(file.as_slice()).unwrap().next_batch(&mut batch, 1 << 20, 1 << 13);
    assert_eq!(batch.len(), 100);
    let policy =
        Policy::parse("test", b"[services]\nsip = { udp = [5060], inspect = true }\n".to_vec()).unwrap();
    let (locals, settings) = (Locals::given(&["198.51.100.1".parse().unwrap()]), Settings::default());
    let ports = Some(&policy.detection().ports);
    let asked = Asked { ports, locals: &locals, interface: Some("eth0"), flows: Some(&settings) };
    let shown = |count: usize| {
        let (mut here, mut there) = (Flows::default(), Flows::default());
        let source = Some(Source { batch: &batch, asked, round: 1 });
        let mut ready = Ready { source, ..Ready::default() };
        ready.look(count, &mut there);
        let lengths = |ready: &Ready<'_>| {
            [ready.places.len(), ready.whole.len(), ready.views.len(), ready.messages.len()]
        };
        let before = lengths(&ready);
        let mut show = |at: usize| {
            let told = ready.show(at, &mut here, |read| told(&read)).expect("a frame");
            assert_eq!(lengths(&ready), before, "it is forgotten again");
            told
        };
        let forth: Vec<String> = (0..batch.len()).map(&mut show).collect();
        let mut back: Vec<String> = (0..batch.len()).rev().map(&mut show).collect();
        back.reverse();
        assert_eq!(forth, back);
        forth
    };
    let whole = shown(batch.len());
    for (at, told) in whole.iter().enumerate() {
        assert!(told.contains(&format!("number: {},", at + 1)), "{told}");
    }
    let with_sip = whole.iter().filter(|told| told.contains("Reading")).count();
    let of_flow = whole.iter().filter(|told| told.contains("Flow {")).count();
    assert_eq!((with_sip, of_flow), (20, 40));
    assert_eq!(shown(0), whole);
    assert_eq!(shown(batch.len() / 2), whole);
}

#[test]
fn sip_is_told_from_media() {
    let policy =
        Policy::parse("test", b"[services]\nsip = { udp = [5060], inspect = true }\n".to_vec()).unwrap();
    let (locals, settings) = (Locals::given(&["198.51.100.1".parse().unwrap()]), Settings::default());
    let ports = Some(&policy.detection().ports);
    let asked = Asked { ports, locals: &locals, interface: None, flows: Some(&settings) };
    let is_sip = |messages: usize, media: usize| {
        let mut file = [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 0xffff, 101].map(u32::to_le_bytes).concat();
        let message = record((PEER, 5060), (HOST, 5060), 17, b"OPTIONS sip:a SIP/2.0\r\n\r\n");
        file.extend(message.repeat(messages));
        file.extend(record((PEER, 4000), (HOST, 10_000), 17, b"voice").repeat(media));
        let mut batch = Batch::default();
        Reader::new(file.as_slice()).unwrap().next_batch(&mut batch, 1 << 20, 1 << 13);
        let mut ready = Ready { source: Some(Source { batch: &batch, asked, round: 1 }), ..Ready::default() };
        ready.look(messages + media, &mut Flows::default());
        ready.is_sip()
    };
    assert!(is_sip(10, 0));
    assert!(is_sip(10, 20));
    assert!(!is_sip(10, 100), "calls with some of their media");
    assert!(!is_sip(0, 10));
}
