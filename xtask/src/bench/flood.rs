//! Calls under a flood: one core sends SIP with forged sources to the server, while a phone whose address is proven telephones.
//! The same without a firewall, behind the article's rules, and behind the shipped policy.

use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use lab::{Guard, Lab, Node};

use self::calls::Calls;
use crate::install::is_root;
use crate::step::{cargo, run as step};
use crate::{target_dir, workspace};

/// sipp as server and as caller.
mod calls;
/// The flood.
pub(super) mod sender;

#[derive(Debug, Args)]
pub(super) struct FloodArgs {
    /// Calls of each scene, ten a second
    #[arg(long, default_value_t = 200)]
    calls: u32,
    /// Another program than `target/release/ringfence`, which is built first
    #[arg(long)]
    binary: Option<PathBuf>,
}

const PBX: Ipv4Addr = Node::Pbx.v4();

/// What stands before the server.
#[derive(Clone, Copy, Debug)]
enum Wall {
    None,
    Article,
    Ringfence,
}

/// What stands before the server, and whether the phone telephoned before the flood.
const SCENES: [(&str, Wall, bool); 5] = [
    ("no firewall", Wall::None, true),
    ("iptables, the article's rules", Wall::Article, true),
    ("ringfence, the shipped policy", Wall::Ringfence, true),
    ("iptables, a new phone", Wall::Article, false),
    ("ringfence, a new phone", Wall::Ringfence, false),
];

pub(super) fn run(args: &FloodArgs) -> Result<()> {
    ensure!(is_root(), "network namespaces need root");
    let binary = match &args.binary {
        Some(binary) => binary.clone(),
        None => {
            step(cargo(["build", "--quiet", "--release", "-p", "ringfence"]))?;
            target_dir().join("release/ringfence")
        }
    };
    println!(
        "{} calls, ten a second, from one phone; meanwhile OPTIONS with forged sources, as many as one core can send;\n\
         INVITE to 200 in milliseconds; server, daemon and softirq in shares of one core\n",
        args.calls
    );
    println!(
        "{:<30} {:>7} {:>8} {:>6} {:>5} {:>5} {:>6} {:>8} {:>6} {:>6} {:>6} {:>6} {:>7} {:>9}",
        "",
        "sent/s",
        "socket/s",
        "read/s",
        "calls",
        "done",
        "failed",
        "repeated",
        "median",
        "max ms",
        "server",
        "daemon",
        "softirq",
        "conntrack"
    );
    for (name, wall, is_known) in SCENES {
        print(name, &play(wall, is_known, args.calls, &binary)?);
    }
    Ok(())
}

/// What was measured in one scene.
#[derive(Debug)]
struct Outcome {
    calls: Calls,
    change: Sample,
}

fn play(wall: Wall, is_known: bool, count: u32, binary: &Path) -> Result<Outcome> {
    let lab = Lab::up("flood")?;
    // Answers to forged sources end here, as if they had gone out into the Internet.
    lab.must(Node::Net, ["ip", "route", "add", "blackhole", "default"])?;
    let mut guard = None;
    match wall {
        Wall::None => {}
        Wall::Article => {
            let rules = workspace().join("samples/asterisk.rules").display().to_string();
            lab.must(Node::Pbx, ["iptables-legacy-restore", &rules])?;
        }
        Wall::Ringfence => {
            guard = Some(Guard::start(&lab, binary, &workspace().join("packaging/policy.toml"))?);
        }
    }
    let server = calls::serve(&lab)?;
    let daemon = guard.as_mut().map(|guard| guard.process().id());
    if is_known {
        let first = calls::call(&lab, "first", 1)?;
        ensure!(first.done == 1, "the call before the flood failed");
    }
    let (sent, stop) = (AtomicU64::new(0), AtomicBool::new(false));
    let (calls, change) = thread::scope(|scope| -> Result<_> {
        let flood = scope.spawn(|| lab.inside(Node::Attacker, || sender::flood(PBX, &sent, &stop)));
        // Ends the flood whatever happens here.
        let _over = Over(&stop);
        thread::sleep(Duration::from_secs(2));
        let before = Sample::take(&lab, &sent, server.id(), daemon)?;
        let calls = calls::call(&lab, "calls", count)?;
        let after = Sample::take(&lab, &sent, server.id(), daemon)?;
        stop.store(true, Ordering::Relaxed);
        flood.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))??;
        Ok((calls, after.since(&before)))
    })?;
    Ok(Outcome { calls, change })
}

struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn print(name: &str, outcome: &Outcome) {
    let Outcome { calls, change } = outcome;
    let seconds = change.time.as_secs_f64();
    let share = |ticks: u64| format!("{:.0}%", ticks as f64 / seconds);
    let rate = |count: u64| format!("{:.0}", count as f64 / seconds);
    let time = |time: Option<f64>| time.map_or_else(|| "-".to_owned(), |time| format!("{time:.0}"));
    println!(
        "{:<30} {:>7} {:>8} {:>6} {:>5} {:>5} {:>6} {:>8} {:>6} {:>6} {:>6} {:>6} {:>7} {:>9}",
        name,
        rate(change.sent),
        rate(change.read + change.overflowed),
        rate(change.read),
        calls.begun,
        calls.done,
        calls.begun - calls.done.min(calls.begun),
        calls.repeated,
        time(calls.median()),
        time(calls.longest()),
        share(change.server),
        change.daemon.map_or_else(|| "-".to_owned(), share),
        share(change.softirq),
        change.connections.map_or_else(|| "-".to_owned(), |count| count.to_string()),
    );
}

/// What the kernel counted up to one moment, or between two.
#[derive(Clone, Copy, Debug)]
struct Sample {
    at: Instant,
    time: Duration,
    /// Of the flood.
    sent: u64,
    /// Datagrams that the PBX's sockets gave to their programs.
    read: u64,
    /// Those that found the socket's buffer full.
    overflowed: u64,
    /// Hundredths of a second of one processor.
    server: u64,
    daemon: Option<u64>,
    softirq: u64,
    /// Connections that are tracked now, where they are.
    connections: Option<u64>,
}

impl Sample {
    fn take(lab: &Lab, sent: &AtomicU64, server: u32, daemon: Option<u32>) -> Result<Self> {
        let (snmp, connections) = lab.inside(Node::Pbx, || {
            let count = std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_count");
            (std::fs::read_to_string("/proc/thread-self/net/snmp"), count)
        })?;
        let snmp = snmp.context("cannot read the counters of UDP")?;
        Ok(Self {
            at: Instant::now(),
            time: Duration::ZERO,
            sent: sent.load(Ordering::Relaxed),
            read: udp(&snmp, "InDatagrams")?,
            overflowed: udp(&snmp, "RcvbufErrors")?,
            server: process_time(server)?,
            daemon: daemon.map(process_time).transpose()?,
            softirq: softirq_time()?,
            connections: connections
                .ok()
                .and_then(|text| text.trim().parse().ok())
                .filter(|count| *count > 0),
        })
    }

    fn since(&self, before: &Self) -> Self {
        let less = |now: u64, before: u64| now.saturating_sub(before);
        Self {
            time: self.at.duration_since(before.at),
            sent: less(self.sent, before.sent),
            read: less(self.read, before.read),
            overflowed: less(self.overflowed, before.overflowed),
            server: less(self.server, before.server),
            daemon: self.daemon.zip(before.daemon).map(|(now, before)| less(now, before)),
            softirq: less(self.softirq, before.softirq),
            ..*self
        }
    }
}

/// A number of the two lines `Udp:` in `/proc/net/snmp`: the first has the names, the second the values.
fn udp(snmp: &str, name: &str) -> Result<u64> {
    let mut lines = snmp.lines().filter(|line| line.starts_with("Udp: "));
    let (names, values) = (lines.next().unwrap_or_default(), lines.next().unwrap_or_default());
    let value = names.split(' ').zip(values.split(' ')).find(|(one, _)| *one == name);
    value
        .and_then(|(_, value)| value.parse().ok())
        .with_context(|| format!("the kernel does not count `{name}`"))
}

/// `utime` and `stime` of proc_pid_stat(5).
fn process_time(id: u32) -> Result<u64> {
    let stat =
        std::fs::read_to_string(format!("/proc/{id}/stat")).context("the server or the daemon is gone")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    Ok(fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<u64>().ok()).sum())
}

/// Of all processors: the seventh number of the line `cpu` in proc_stat(5).
fn softirq_time() -> Result<u64> {
    let stat = std::fs::read_to_string("/proc/stat").context("cannot read `/proc/stat`")?;
    let field = stat.lines().next().and_then(|line| line.split_whitespace().nth(7));
    field.and_then(|field| field.parse().ok()).context("`/proc/stat` has no time of softirq")
}
