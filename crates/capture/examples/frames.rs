//! Lists the frames of a capture: `cargo run -p capture --example frames FILE`.
use std::io::Write as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args_os().nth(1).ok_or("which capture? give a file")?;
    let mut reader = capture::Reader::open(path.as_ref())?;
    let mut out = std::io::stdout().lock();
    while let Some(frame) = reader.next_frame() {
        let decoded = capture::link::decode(&frame);
        writeln!(
            out,
            "{} {:?} link {} {} of {} bytes",
            frame.number,
            frame.time,
            frame.link,
            frame.data.len(),
            frame.original_len
        )?;
        if !matches!(decoded.payload, capture::link::Payload::Ip { .. }) {
            writeln!(out, "  {:?}", decoded.payload)?;
        }
    }
    for problem in reader.take_problems() {
        writeln!(out, "frame {}: {}", problem.frame, problem.what)?;
    }
    Ok(())
}
