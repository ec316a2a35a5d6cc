//! The fuzz targets' corpus, replayed without a fuzzer: whatever was found once stays found.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "a test says what it did, and fails by panicking"
)]

use std::fs;
use std::path::Path;

#[expect(dead_code, reason = "other tests need the rest")]
#[path = "gate/frames.rs"]
mod frames;
#[path = "../../../fuzz/src/gate_frame.rs"]
mod gate_frame;

#[test]
fn the_corpus_of_gate_frame_holds() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/gate_frame");
    let mut files = 0;
    for entry in fs::read_dir(folder).unwrap() {
        gate_frame::run(&fs::read(entry.unwrap().path()).unwrap());
        files += 1;
    }
    assert!(files > 5, "only {files} files");
}

#[test]
fn mutated_frames_hold_too() {
    let seeds = frames::seeds();
    let mut random = frames::Random(3);
    for link in [0, 1] {
        for _ in 0..20_000 {
            let frame = frames::mutate(&seeds, &mut random);
            gate_frame::run(&[&[link], frame.as_slice()].concat());
        }
    }
}
