//! What a PBX's manager interface sends, in pieces.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| manager::fuzzing::stream(data));
