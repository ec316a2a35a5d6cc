//! Whatever the bytes: no panic, and every bound holds.

use proptest::collection::vec;
use proptest::prelude::*;

proptest! {
    #[test]
    fn random_bytes_are_read(bytes in vec(any::<u8>(), 0..600)) {
        manager::fuzzing::stream(&bytes);
    }

    #[test]
    fn almost_events_are_read(
        first in any::<u8>(),
        lines in vec(
            "(Event: (InvalidPassword|SuccessfulAuth)|Privilege: security,all|EventTV: 2026-11-28T15:01:00\\.835\\+0000|Severity: x\
             |Service: (AMI|PJSIP)|EventVersion: 1|AccountID: .{0,9}|SessionID: [a-z]|LocalAddress: IPV4/UDP/10\\.0\\.0\\.1/1\
             |RemoteAddress: IPV4/TLS/203\\.0\\.113\\.9/2|SessionTV: x|Content-Length: [0-9]{1,4}|Content-Type: text/event-plain|)\r?\n",
            0..60,
        ),
    ) {
        let mut bytes = vec![first];
        bytes.extend(lines.concat().bytes());
        manager::fuzzing::stream(&bytes);
    }
}

/// The corpus of the fuzz target.
#[test]
fn the_corpus_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/manager_stream");
    let mut count = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        manager::fuzzing::stream(&std::fs::read(entry.unwrap().path()).unwrap());
        count += 1;
    }
    assert!(count >= 3);
}
