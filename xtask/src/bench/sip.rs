//! `cargo xtask bench sip`: reading messages, the engine, and a large capture beside tshark.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use crate::step::{cargo, run};
use crate::{target_dir, workspace};

pub(super) fn sip() -> Result<()> {
    run(cargo(["bench", "--quiet", "-p", "sip", "--bench", "message"]))?;
    run(cargo(["bench", "--quiet", "-p", "engine", "--bench", "traffic"]))?;
    println!("\nthe same with large pages, as the unit asks for them:");
    let mut traffic = cargo(["bench", "--quiet", "-p", "engine", "--bench", "traffic"]);
    traffic.env("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1");
    run(traffic)?;
    run(cargo(["build", "--quiet", "--release", "-p", "ringfence"]))?;
    for (name, conversations, media) in [("signalling only", 100_000, 0), ("calls with media", 20_000, 100)] {
        beside_tshark(name, conversations, media)?;
    }
    Ok(())
}

/// Both programs on a capture of so many conversations of four messages, each with so many packets of RTP.
fn beside_tshark(name: &str, conversations: u32, media: u32) -> Result<()> {
    let capture = target_dir().join("bench-sip.pcap");
    let bytes = write_capture(&capture, conversations, media)?;
    println!("\n{name}: a capture of {} packets, {} MiB", conversations * (4 + media), bytes / (1 << 20));
    let mut replay = Command::new(target_dir().join("release/ringfence"));
    replay
        .args(["replay", "--local", "198.51.100.1", "--policy"])
        .arg(workspace().join("packaging/policy.toml"));
    let ours = best_of_three(replay.arg(&capture))?;
    let mut tshark = Command::new("tshark");
    tshark.args(["-n", "-Y", "sip", "-r"]).arg(&capture);
    let theirs = best_of_three(&mut tshark);
    println!("{:<20} {:>10} {:>14}", "", "on the wall", "of processors");
    println!(
        "{:<20} {:>8.2} s {:>12.2} s",
        "ringfence replay",
        ours.wall.as_secs_f64(),
        ours.cpu.as_secs_f64()
    );
    match theirs {
        Ok(theirs) => {
            let (wall, cpu) = (theirs.wall.as_secs_f64(), theirs.cpu.as_secs_f64());
            println!("{:<20} {wall:>8.2} s {cpu:>12.2} s", "tshark -Y sip");
            let (wall, cpu) = (wall / ours.wall.as_secs_f64(), cpu / ours.cpu.as_secs_f64());
            println!("{:<20} {wall:>10.1} {cpu:>14.1}", "times as fast");
        }
        Err(error) => println!("tshark: {error:#}"),
    }
    std::fs::remove_file(&capture).with_context(|| format!("cannot remove `{}`", capture.display()))
}

/// What a run of a program took.
#[derive(Clone, Copy, Debug)]
struct Cost {
    wall: Duration,
    /// Of all processors, user and system: what other programs disturb less.
    cpu: Duration,
}

impl Cost {
    fn of(command: &mut Command) -> Result<Self> {
        let (start, before) = (Instant::now(), children_time()?);
        quietly(command)?;
        Ok(Self { wall: start.elapsed(), cpu: children_time()?.saturating_sub(before) })
    }
}

/// The least of each.
fn best_of_three(command: &mut Command) -> Result<Cost> {
    let mut best = Cost::of(command)?;
    for _ in 0..2 {
        let again = Cost::of(command)?;
        best = Cost { wall: best.wall.min(again.wall), cpu: best.cpu.min(again.cpu) };
    }
    Ok(best)
}

/// Of all children so far: `cutime` and `cstime` of proc_pid_stat(5), in hundredths of a second.
fn children_time() -> Result<Duration> {
    let stat = std::fs::read_to_string("/proc/self/stat").context("cannot read `/proc/self/stat`")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: u64 = fields.split(' ').skip(13).take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Ok(Duration::from_millis(ticks * 10))
}

fn quietly(command: &mut Command) -> Result<()> {
    let status = command.stdout(Stdio::null()).stderr(Stdio::null()).status().context("cannot run it")?;
    ensure!(status.success(), "{status}");
    Ok(())
}

/// Phones that register: a question, the challenge, the answer, the success. Its length.
fn write_capture(path: &Path, conversations: u32, media: u32) -> Result<u64> {
    let file = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut out = BufWriter::new(file);
    // pcap of microseconds, link type 101: raw IP.
    out.write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0])?;
    let mut bytes = 24;
    let mut packets = 0_u32;
    for number in 0..conversations {
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
            bytes += write_packet(&mut out, &mut packets, &udp(ends, (5060, 5060), text.as_bytes()))?;
        }
        for packet in 0..media {
            let mut rtp = vec![0x80, 0];
            rtp.extend(u16::try_from(packet)?.to_be_bytes());
            rtp.resize(172, 0xd5);
            let port = 10_000 + u16::try_from(number % 5000)? * 2;
            let ends = if packet % 2 == 0 { (phone, [198, 51, 100, 1]) } else { ([198, 51, 100, 1], phone) };
            let ports = if packet % 2 == 0 { (4000, port) } else { (port, 4000) };
            bytes += write_packet(&mut out, &mut packets, &udp(ends, ports, &rtp))?;
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

/// Its length in the file.
fn write_packet(out: &mut impl std::io::Write, packets: &mut u32, packet: &[u8]) -> Result<u64> {
    let len = u32::try_from(packet.len())?;
    let time = *packets;
    *packets += 1;
    for field in [1_777_629_600 + time / 10_000, time % 10_000 * 100, len, len] {
        out.write_all(&field.to_le_bytes())?;
    }
    out.write_all(packet)?;
    Ok(u64::from(len) + 16)
}

fn udp((source, destination): ([u8; 4], [u8; 4]), ports: (u16, u16), data: &[u8]) -> Vec<u8> {
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
    packet.extend(ports.0.to_be_bytes());
    packet.extend(ports.1.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(data);
    packet
}
