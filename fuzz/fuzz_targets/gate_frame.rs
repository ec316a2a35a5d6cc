#![no_main]

#[path = "../src/gate_frame.rs"]
mod gate_frame;

libfuzzer_sys::fuzz_target!(|data: &[u8]| gate_frame::run(data));
