//! A stream in segments: the same messages however it is cut, and never more kept than the bound.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| sip::fuzzing::stream(data));
