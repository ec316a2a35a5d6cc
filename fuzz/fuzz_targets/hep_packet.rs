//! A HEP packet, and a stream of them.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| hep::fuzzing::packet(data));
