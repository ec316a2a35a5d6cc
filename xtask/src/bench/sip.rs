//! `cargo xtask bench sip`: reading messages, the engine, and a large capture beside tshark.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::step::{cargo, run};
use crate::{target_dir, workspace};

/// Conversations of four packets in the capture.
const CONVERSATIONS: u32 = 100_000;

pub(super) fn sip() -> Result<()> {
    run(cargo(["bench", "--quiet", "-p", "sip", "--bench", "message"]))?;
    run(cargo(["bench", "--quiet", "-p", "engine", "--bench", "traffic"]))?;
    run(cargo(["build", "--quiet", "--release", "-p", "ringfence"]))?;
    let capture = target_dir().join("bench-sip.pcap");
    let bytes = write_capture(&capture)?;
    println!("\na capture of {} packets, {} MiB", CONVERSATIONS * 4, bytes / (1 << 20));
    let mut replay = Command::new(target_dir().join("release/ringfence"));
    replay
        .args(["replay", "--local", "198.51.100.1", "--policy"])
        .arg(workspace().join("packaging/policy.toml"));
    let ours = best_of_three(replay.arg(&capture))?;
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-Y", "sip", "-r"]).arg(&capture);
    let start = Instant::now();
    let theirs = quietly(&mut tshark).map(|()| start.elapsed());
    println!("{:<40} {:>8.2} s", "ringfence replay", ours.as_secs_f64());
    match theirs {
        Ok(theirs) => {
            println!("{:<40} {:>8.2} s", "tshark -Y sip", theirs.as_secs_f64());
            println!("{:<40} {:>8.1} times as fast", "", theirs.as_secs_f64() / ours.as_secs_f64());
        }
        Err(error) => println!("tshark: {error:#}"),
    }
    std::fs::remove_file(&capture).with_context(|| format!("cannot remove `{}`", capture.display()))
}

fn best_of_three(command: &mut Command) -> Result<Duration> {
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let start = Instant::now();
        quietly(command)?;
        best = best.min(start.elapsed());
    }
    Ok(best)
}

fn quietly(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("cannot run it")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Phones that register: a question, the challenge, the answer, the success. Its length.
fn write_capture(path: &Path) -> Result<u64> {
    let file = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut out = BufWriter::new(file);
    // pcap of microseconds, link type 101: raw IP.
    out.write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0])?;
    let mut bytes = 24;
    for number in 0..CONVERSATIONS {
        let [_, b, c, d] = (number % 5000).to_be_bytes();
        let phone = [10, b, c, d];
        for (step, (method, status, extra)) in STEPS.into_iter().enumerate() {
            let sequence = if step < 2 { 1 } else { 2 };
            let line = match status {
                0 => format!("{method} sip:pbx.example.com SIP/2.0"),
                status => format!("SIP/2.0 {status} x"),
            };
            let tag = if status == 0 { String::new() } else { format!(";tag=as{number:08x}") };
            let extra = extra.replace('#', &format!("{number:08x}"));
            let text = format!(
                "{line}\r\nVia: SIP/2.0/UDP 10.{b}.{c}.{d}:5060;branch=z9hG4bK{number:08x}{sequence};rport\r\n\
                 Max-Forwards: 70\r\nFrom: <sip:1000@pbx.example.com>;tag=f{number:08x}\r\n\
                 To: <sip:1000@pbx.example.com>{tag}\r\nCall-ID: {number:08x}@phone\r\nCSeq: {sequence} REGISTER\r\n\
                 Contact: <sip:1000@10.{b}.{c}.{d}:5060>\r\nUser-Agent: Acme Phone 5.2\r\n{extra}Content-Length: 0\r\n\r\n"
            );
            let ends = if status == 0 { (phone, [198, 51, 100, 1]) } else { ([198, 51, 100, 1], phone) };
            let packet = udp(ends, text.as_bytes());
            let time = number * 4 + u32::try_from(step)?;
            let len = u32::try_from(packet.len())?;
            for field in [1_777_629_600 + time / 10_000, time % 10_000 * 100, len, len] {
                out.write_all(&field.to_le_bytes())?;
            }
            out.write_all(&packet)?;
            bytes += u64::from(len) + 16;
        }
    }
    out.flush()?;
    Ok(bytes)
}

const STEPS: [(&str, u16, &str); 4] = [
    ("REGISTER", 0, ""),
    ("", 401, "WWW-Authenticate: Digest realm=\"asterisk\",nonce=\"1777629600/#\",algorithm=MD5\r\n"),
    (
        "REGISTER",
        0,
        "Authorization: Digest username=\"1000\",realm=\"asterisk\",nonce=\"1777629600/#\",uri=\"sip:pbx.example.com\",\
         response=\"8b1a9953c4611296a827abf8#\",algorithm=MD5\r\n",
    ),
    ("", 200, ""),
];

fn udp((source, destination): ([u8; 4], [u8; 4]), data: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(data.len() + more).unwrap_or(u16::MAX).to_be_bytes();
    let [high, low] = length(28);
    let mut packet = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend(source);
    packet.extend(destination);
    let words = packet.chunks(2).map(|pair| match pair {
        &[high, low] => u32::from(u16::from_be_bytes([high, low])),
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
    packet.splice(10..12, checksum.to_be_bytes());
    packet.extend(5060_u16.to_be_bytes());
    packet.extend(5060_u16.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(data);
    packet
}
