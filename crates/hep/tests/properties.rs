//! Whatever the bytes: no panic, and every bound holds.

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn random_bytes_are_read(bytes in vec(any::<u8>(), 0..300)) {
        hep::fuzzing::packet(&bytes);
    }

    #[test]
    fn almost_packets_are_read(chunks in vec((0_u16..2, 0_u16..0x15, vec(any::<u8>(), 0..20), 0_usize..20), 0..12), lie in any::<bool>()) {
        let mut bytes = b"HEP3\0\0".to_vec();
        for (vendor, kind, value, wrong) in chunks {
            // Most lengths are right.
            let length = if wrong == 0 { 3 } else { value.len() + 6 };
            bytes.extend([vendor.to_be_bytes(), kind.to_be_bytes(), u16::try_from(length).unwrap().to_be_bytes()].concat());
            bytes.extend(value);
        }
        let length = u16::try_from(bytes.len()).unwrap() + u16::from(lie);
        bytes[4..6].copy_from_slice(&length.to_be_bytes());
        hep::fuzzing::packet(&bytes);
    }
}

/// The corpus of the fuzz target.
#[test]
fn the_corpus_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/hep_packet");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        hep::fuzzing::packet(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 3);
}
