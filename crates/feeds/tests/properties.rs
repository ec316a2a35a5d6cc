//! Whatever the bytes: no panic, and every bound holds.

use feeds::{Format, List};
use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn random_bytes_are_read(bytes in vec(any::<u8>(), 0..600)) {
        feeds::fuzzing::list(&bytes);
    }

    #[test]
    fn almost_lists_are_read(first in any::<u8>(), lines in vec("(add x |\\{\"ipaddress\":\\[\"|)[0-9a-f.:]{1,20}(/[0-9]{1,3})?(\"\\],\"ID\":\"1\"\\}|)", 0..40)) {
        let mut bytes = vec![first];
        bytes.extend(lines.join("\n").bytes());
        feeds::fuzzing::list(&bytes);
    }

    #[test]
    fn addresses_of_the_internet_are_all_found(numbers in vec(0x0b00_0000_u32..0x6400_0000, 1..50)) {
        let text: String = numbers.iter().map(|number| format!("{}\n", std::net::Ipv4Addr::from_bits(*number))).collect();
        let list = List::parse(text.as_bytes(), None, 50);
        let mut unique = numbers;
        unique.sort_unstable();
        unique.dedup();
        prop_assert_eq!(list.format, Format::Plain);
        prop_assert_eq!(list.entries.len(), unique.len());
    }
}

/// The corpus of the fuzz target.
#[test]
fn the_corpus_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/feeds_list");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        feeds::fuzzing::list(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 3);
}
