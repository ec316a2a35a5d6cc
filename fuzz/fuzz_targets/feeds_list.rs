//! A block list, in any format.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| feeds::fuzzing::list(data));
