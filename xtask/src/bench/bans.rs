//! A million bans: how long they take to come in, to be back after a restart, to be looked at; the same of `ipset restore`, and
//! of fail2ban with fewer.

use std::fmt::Display;
use std::fs;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use lab::{Guard, Lab, Node, Output, guard};

use super::median;
use crate::install::is_root;
use crate::step::{cargo, run as step};
use crate::{target_dir, workspace};

/// fail2ban, with a configuration of its own.
mod fail2ban;

#[derive(Debug, Args)]
pub(super) struct BansArgs {
    #[arg(long, default_value_t = 1_000_000)]
    count: u32,
    /// Bans that fail2ban gets, which is slower
    #[arg(long, default_value_t = 2_000)]
    fail2ban: u32,
    /// In random order, not by address
    #[arg(long)]
    random: bool,
    /// Another program than `target/release/ringfence`, which is built first
    #[arg(long)]
    binary: Option<PathBuf>,
}

/// As long as anything may take.
const PATIENCE: Duration = Duration::from_secs(900);

pub(super) fn run(args: &BansArgs) -> Result<()> {
    ensure!(is_root(), "network namespaces need root");
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => {
            step(cargo(["build", "--quiet", "--release", "-p", "ringfence"]))?;
            target_dir().join("release/ringfence")
        }
    };
    let lab = Lab::up("bench-bans")?;
    let list = lab.dir().join("list");
    let order = if args.random { "in random order" } else { "sorted by address" };
    println!("{} addresses, {order}; times with the start of each command\n", args.count);
    fs::write(&list, addresses(args).map(|address| format!("{address}\n")).collect::<String>())?;
    ringfence(&lab, binary, args, &list.display().to_string())?;
    ipset(&lab, args)?;
    fail2ban::run(&lab, args.fail2ban)
}

/// As many addresses, none twice, all over the Internet: an odd number walks through all 32 bits.
fn addresses(args: &BansArgs) -> impl Iterator<Item = Ipv4Addr> {
    let all = (1..=u32::MAX).map(|number| number.wrapping_mul(2_654_435_761));
    // Of single hosts, and none of the lab's.
    let is_usual = |address: &u32| {
        (0x0100_0000..0xe000_0000).contains(address) && address >> 24 != 127 && address >> 24 != 198
    };
    let mut all: Vec<u32> = all.filter(is_usual).take(args.count as usize).collect();
    if !args.random {
        all.sort_unstable();
    }
    all.into_iter().map(Ipv4Addr::from)
}

fn ringfence(lab: &Lab, binary: PathBuf, args: &BansArgs, list: &str) -> Result<()> {
    println!("ringfence");
    let policy = workspace().join("packaging/policy.toml");
    let mut guard = Guard::start(lab, &binary, &policy)?;
    let run_dir = lab.dir().join("ringfence/run");
    let command =
        |rest: &str| shell(lab, &format!("{} {rest} --run-dir {}", binary.display(), run_dir.display()));
    let pid = guard.process().id();
    row("memory of a daemon without bans", memory(pid)?);
    let (time, output) = timed(|| {
        shell(lab, &format!("{} ban - --for 30d --run-dir {} < {list}", binary.display(), run_dir.display()))
    })?;
    row("`ban -`", format!("{}, {:.0} a second", show(time), f64::from(args.count) / time.as_secs_f64()));
    row("", output.stdout.trim());
    row("memory of the daemon", memory(pid)?);
    let middle = addresses(args).nth(args.count as usize / 2).context("no address")?;
    for (name, what) in [
        ("`bans --limit 20`", "bans --limit 20".to_owned()),
        ("`bans`, all, as JSON", "bans --format json".to_owned()),
        ("`why ADDR`", format!("why {middle}")),
        (
            "`unban ADDR` and `ban ADDR`",
            format!("unban {middle} --run-dir {} && {} ban {middle}", run_dir.display(), binary.display()),
        ),
        ("`status`", "status".to_owned()),
        ("`status --verify`", "status --verify".to_owned()),
    ] {
        let times = if what.contains("json") || what.contains("verify") { 1 } else { 5 };
        let mut all = Vec::new();
        for _ in 0..times {
            all.push(timed(|| command(&format!("{what} > /dev/null")))?.0.as_secs_f64());
        }
        row(name, show(Duration::from_secs_f64(median(&mut all))));
    }
    let mut starts = Vec::new();
    for _ in 0..3 {
        guard.process().kill();
        let begin = Instant::now();
        guard = Guard::start(lab, &binary, &policy)?;
        starts.push(begin.elapsed().as_secs_f64());
    }
    row("`run` to `ready` after kill -9", show(Duration::from_secs_f64(median(&mut starts))));
    row("memory of the daemon then", memory(guard.process().id())?);
    guard.process().kill();
    // As after a restart of the machine: no maps, no gate.
    let pins = lab.bpffs().join("ringfence");
    let clean = shell(
        lab,
        &format!(
            "{} stop --clean --run-dir {} --pin-dir {}",
            binary.display(),
            run_dir.display(),
            pins.display()
        ),
    )?;
    ensure!(clean.status.success() && guard::remains(lab)?.is_empty(), "{}", clean.text());
    let begin = Instant::now();
    guard = Guard::start(lab, &binary, &policy)?;
    row("`run` to `ready` with empty maps", show(begin.elapsed()));
    std::thread::sleep(Duration::from_secs(8));
    row("memory after the first comparison", memory(guard.process().id())?);
    let size = fs::metadata(guard.state_dir().join("ledger.db"))?.len();
    row("ledger on disk", format!("{} MB", size / 1_000_000));
    Ok(())
}

fn ipset(lab: &Lab, args: &BansArgs) -> Result<()> {
    println!("\nipset (kept by nobody; a service would save and restore it)");
    let list = lab.dir().join("ipset");
    let mut text = "create bans hash:ip hashsize 524288 maxelem 2000000 timeout 0\n".to_owned();
    for address in addresses(args) {
        text.push_str(&format!("add bans {address} timeout 2147483\n"));
    }
    fs::write(&list, text)?;
    let (time, output) = timed(|| shell(lab, &format!("ipset restore -file {}", list.display())))?;
    ensure!(output.status.success(), "{}", output.text());
    row("`ipset restore`", show(time));
    let told = shell(lab, "ipset list -t bans")?.stdout;
    for line in told.lines().filter(|line| line.starts_with("Size in") || line.starts_with("Number")) {
        row("", line);
    }
    row("`ipset save`", show(timed(|| shell(lab, "ipset save > /dev/null"))?.0));
    let middle = addresses(args).nth(args.count as usize / 2).context("no address")?;
    row("`ipset test`", show(timed(|| shell(lab, &format!("ipset test bans {middle}")))?.0));
    let again = format!("ipset del bans {middle} && ipset add bans {middle}");
    row("`ipset del` and `add`", show(timed(|| shell(lab, &again))?.0));
    shell(lab, "ipset destroy bans")?;
    Ok(())
}

fn shell(lab: &Lab, script: &str) -> Result<Output> {
    let mut command: Command = lab.command(Node::Pbx, "sh");
    command.args(["-c", script]);
    Ok(lab::run(command, PATIENCE)?)
}

fn timed(work: impl FnOnce() -> Result<Output>) -> Result<(Duration, Output)> {
    let begin = Instant::now();
    let output = work()?;
    let time = begin.elapsed();
    ensure!(output.status.success(), "{}", output.text());
    Ok((time, output))
}

pub(super) fn row(name: &str, value: impl Display) {
    println!("  {name:<36} {value}");
}

pub(super) fn show(time: Duration) -> String {
    let millis = time.as_secs_f64() * 1000.0;
    if millis < 1000.0 { format!("{millis:.0} ms") } else { format!("{:.2} s", millis / 1000.0) }
}

/// What it has now and the most that it had: `VmRSS` and `VmHWM` of proc_pid_status(5).
pub(super) fn memory(pid: u32) -> Result<String> {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).context("the daemon is gone")?;
    let field = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name));
        line.and_then(|line| line.split_whitespace().next()?.parse::<u64>().ok()).unwrap_or(0) / 1024
    };
    Ok(format!("{} MB, at most {} MB", field("VmRSS:"), field("VmHWM:")))
}
