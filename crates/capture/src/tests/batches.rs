//! Many frames at once.

use super::seen::seen_at_once;
use super::*;

/// Around the bounds of a batch, of what is read at once, and of a frame that is larger than either.
#[test]
fn batches_hold_what_comes_frame_by_frame() {
    let large = vec![7; 200_000];
    let small: Vec<Vec<u8>> = (0..3000_u16).map(|len| vec![1; usize::from(len % 700)]).collect();
    let mut frames: Vec<(u32, u32, &[u8], u32)> =
        small.iter().zip(0..).map(|(data, time)| (time, u32::MAX - time, data.as_slice(), 9)).collect();
    frames.insert(1500, (1, 2, &large, 300_000));
    for magic in [0xa1b2_c3d4, 0xa1b2_3c4d, 0xa1b2_cd34] {
        let file = LITTLE.pcap(magic, 1, &frames);
        for end in [file.len(), file.len() - 1, 300_000, 131_072] {
            for (bytes, count) in [(1, 1), (5000, 17), (1 << 20, 100_000)] {
                seen_at_once(&file[..end], bytes, count);
            }
        }
    }
    let packets: Vec<u8> =
        small.iter().flat_map(|data| BIG.packet(u32::from(data.len() > 300), 1, data, 9, &[])).collect();
    let head =
        [BIG.section(), BIG.interface(1, 0, &BIG.option(2, b"eth0")), BIG.interface(113, 0, &[])].concat();
    let file = [head.as_slice(), &packets, &BIG.interface(1, 0, &[]), &packets].concat();
    seen_at_once(&file, 5000, 17);
    seen_at_once(&gzip(&file), 1 << 20, 1 << 13);
}

#[test]
fn interfaces_are_numbered_in_each_batch_anew() {
    let names: [&[u8]; 3] = [b"eth0", b"eth1", b"eth2"];
    let described = names.map(|name| LITTLE.interface(1, 0, &LITTLE.option(2, name))).concat();
    // The last one is described anew, and the one after has no name.
    let more = [LITTLE.interface(1, 0, &LITTLE.option(2, b"eth2")), LITTLE.interface(1, 0, &[])].concat();
    let packets = [0, 1, 0, 2, 1, 2, 3, 4].map(|interface| LITTLE.packet(interface, 1, &[7], 1, &[]));
    let file = [LITTLE.section(), described, more, packets.concat()].concat();
    let mut reader = Reader::new(file.as_slice()).expect("a capture");
    let mut batch = Batch::default();
    let mut next = || {
        reader.next_batch(&mut batch, 1 << 20, 3);
        let interface = |at| (batch.interface(at), batch.frame(at).and_then(|frame| frame.interface));
        (0..batch.len()).map(|at| format!("{:?}", interface(at))).collect::<Vec<_>>().join(" ")
    };
    assert_eq!(next(), r#"(Some(0), Some("eth0")) (Some(1), Some("eth1")) (Some(0), Some("eth0"))"#);
    assert_eq!(next(), r#"(Some(0), Some("eth2")) (Some(1), Some("eth1")) (Some(0), Some("eth2"))"#);
    assert_eq!(next(), r#"(Some(0), Some("eth2")) (None, None)"#);
    assert_eq!((next().as_str(), batch.interface(0)), ("", None));
}
