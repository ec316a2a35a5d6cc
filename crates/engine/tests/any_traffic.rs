//! Whatever comes: no panic, tables within their bounds, and the same commands every time. The fuzz target's corpus among it.

#![expect(clippy::expect_used, reason = "a test fails loudly")]

use std::path::Path;

use engine::fuzzing::traffic;

fn corpus(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus").join(target);
    let mut files: Vec<_> =
        std::fs::read_dir(&folder).expect("a corpus").flatten().map(|entry| entry.path()).collect();
    files.sort();
    files.iter().map(|path| std::fs::read(path).expect("readable")).collect()
}

#[test]
fn the_corpus_is_read() {
    corpus("sip_message").iter().for_each(|data| sip::fuzzing::message(data));
    corpus("sip_stream").iter().for_each(|data| sip::fuzzing::stream(data));
    for data in corpus("engine_traffic") {
        assert_eq!(traffic(&data), traffic(&data));
    }
}

/// As many packets as `RINGFENCE_MESSAGES` says, or what a test run has time for.
#[test]
fn mutated_traffic_is_read() {
    let count =
        std::env::var("RINGFENCE_MESSAGES").ok().and_then(|text| text.parse().ok()).unwrap_or(100_000_u64);
    let seeds = corpus("engine_traffic");
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut next = move || {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random
    };
    let mut commands = 0;
    for _ in 0..count / 10 {
        let mut data = seeds[usize::try_from(next()).unwrap_or(usize::MAX) % seeds.len()].clone();
        for _ in 0..=next() % 20 {
            let at = usize::try_from(next()).unwrap_or(usize::MAX) % data.len();
            let byte = u8::try_from(next() & 0xff).unwrap_or(0);
            match next() % 3 {
                0 => data[at] = byte,
                1 => data.insert(at, byte),
                _ => data[at] = b"\r\n\0\" <>;:,@=%"[usize::from(byte) % 13],
            }
        }
        commands += traffic(&data).len();
    }
    eprintln!("{commands} commands");
    assert!(commands > 0);
}
