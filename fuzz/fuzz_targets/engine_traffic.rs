//! Packets of several peers over UDP and TCP, in both directions.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| drop(engine::fuzzing::traffic(data)));
