//! `cargo xtask bench sip`: reading messages, the engine, and a large capture beside tshark.

mod capture;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};

use self::capture::Traffic;
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
    beside_tshark("registrations only", Traffic { registrations: 100_000, calls: 0, media: 0 })?;
    beside_tshark("calls without media", Traffic { registrations: 0, calls: 40_000, media: 0 })?;
    beside_tshark("calls with media", Traffic { registrations: 0, calls: 20_000, media: 100 })?;
    Ok(())
}

/// Both programs on a capture.
fn beside_tshark(name: &str, traffic: Traffic) -> Result<()> {
    let capture = target_dir().join("bench-sip.pcap");
    let (packets, bytes) = capture::write(&capture, traffic)?;
    println!("\n{name}: a capture of {packets} packets, {} MiB", bytes / (1 << 20));
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
