//! `cargo xtask bench`: what a packet costs in the kernel program, by `BPF_PROG_TEST_RUN`, and a message in the engine.

mod sip;

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use clap::{Args, Subcommand};
use gate::layout::{Ban, HAS_BANS, Interface};
use host::gate::TestGate;
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};

use crate::install::is_root;
use crate::workspace;

/// Runs of one frame per measurement; the kernel gives their mean.
const REPEAT: u32 = 20_000;
/// Measurements per frame, of which the median is told.
const ROUNDS: usize = 21;

#[derive(Debug, Args)]
pub(crate) struct BenchArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Nanoseconds per packet by the path that it takes through the gate
    Gate,
    /// Nanoseconds per SIP message, messages a second through the engine, and replay beside tshark
    Sip,
}

pub(crate) fn run(args: &BenchArgs) -> Result<()> {
    match args.what {
        What::Gate => gate(),
        What::Sip => sip::sip(),
    }
}

fn gate() -> Result<()> {
    ensure!(is_root(), "loading a kernel program needs root");
    let path = workspace().join("samples/asterisk.rules");
    let name = path.display().to_string();
    let bytes = std::fs::read(&path).with_context(|| format!("cannot read `{name}`"))?;
    let fail = |mistakes: Vec<policy::diagnostic::Diagnostic>| anyhow::anyhow!("{mistakes:?}");
    let policy = Policy::parse(&name, bytes).map_err(fail)?;
    let mut tables = Plan::new(&policy, Mode::Enforce, Tag::default()).map_err(fail)?.gate.tables;
    tables.config.flags |= HAS_BANS;
    let signatures = tables.outputs.len();
    let mut gate = TestGate::load(&tables, Interface::default())?;
    gate.ban([192, 0, 2, 66].into(), Ban { until: u64::MAX, all_ports: 0, mark: 0 })?;
    let rows = [
        ("neither IPv4 nor IPv6", ethernet(0x0806, &[0; 46])),
        ("a port that is not guarded", udp([192, 0, 2, 1], 10_000, &[0; 172])),
        ("a banned source", udp([192, 0, 2, 66], 5060, &register("Acme Phone"))),
        ("a lawful REGISTER of 699 bytes", udp([192, 0, 2, 1], 5060, &register("Acme Phone"))),
        ("the same, with a signature", udp([192, 0, 2, 1], 5060, &register("friendly-scanner"))),
        (
            "hostile text: nearly a signature, again and again",
            udp([192, 0, 2, 1], 5060, &b"sipvicioufriendly-scanne".repeat(27)),
        ),
    ];
    println!("{signatures} signature ends; median of {ROUNDS} times {REPEAT} runs; nanoseconds a packet\n");
    println!("{:<52} {:>8} {:>8}", "path", "median", "min");
    // All frames take turns, so that a disturbance hits all of them.
    let mut times = vec![Vec::new(); rows.len()];
    for _ in 0..ROUNDS {
        for ((_, frame), times) in rows.iter().zip(&mut times) {
            times.push(gate.run_xdp(frame, REPEAT)?.1);
        }
    }
    for ((name, _), times) in rows.iter().zip(&mut times) {
        times.sort_unstable();
        let nanoseconds = |time: Option<&Duration>| time.map_or(0, Duration::as_nanos);
        println!("{name:<52} {:>8} {:>8}", nanoseconds(times.get(ROUNDS / 2)), nanoseconds(times.first()));
    }
    Ok(())
}

/// Filled up to 657 bytes, so that the frame has 699.
fn register(agent: &str) -> Vec<u8> {
    let mut text = format!(
        "REGISTER sip:198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asdhds;rport\r\n\
         Max-Forwards: 70\r\nFrom: \"Desk 1000\" <sip:1000@198.51.100.1>;tag=1928301774\r\n\
         To: \"Desk 1000\" <sip:1000@198.51.100.1>\r\nCall-ID: a84b4c76e66710@192.0.2.1\r\nCSeq: 314 REGISTER\r\n\
         Contact: <sip:1000@192.0.2.1:5060>;expires=300\r\nUser-Agent: {agent}\r\nAllow: INVITE, ACK, CANCEL, BYE\r\n\
         Content-Length: 0\r\nX-Filling: "
    );
    while text.len() < 657 - 4 {
        text.push('.');
    }
    text.push_str("\r\n\r\n");
    text.into_bytes()
}

fn udp(source: [u8; 4], port: u16, payload: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(payload.len() + more).unwrap_or(u16::MAX).to_be_bytes();
    let [high, low] = length(28);
    let mut packet = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend(source);
    packet.extend([198, 51, 100, 1]);
    packet.extend(5060u16.to_be_bytes());
    packet.extend(port.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(payload);
    ethernet(0x0800, &packet)
}

fn ethernet(ethertype: u16, packet: &[u8]) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2];
    frame.extend(ethertype.to_be_bytes());
    frame.extend(packet);
    frame
}
