//! A PBX's configuration, of several files.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| audit::fuzzing::tree(data));
