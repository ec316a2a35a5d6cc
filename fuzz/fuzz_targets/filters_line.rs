//! A filter, and a log for it.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| filters::fuzzing::line(data));
