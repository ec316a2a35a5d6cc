//! A log in force: how long it takes from a line in the file to the source that is heard no more, while the log grows fast; and
//! a large log, read with bounded memory.

use std::fs::{self, File, OpenOptions};
use std::io::Write as _;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use clap::Args;
use jiff::Zoned;
use lab::{Guard, Lab, Node};

use super::bans::{memory, row, show};
use crate::install::is_root;
use crate::step::{cargo, run as step};
use crate::target_dir;

#[derive(Debug, Args)]
pub(super) struct LogsArgs {
    /// Sources that are banned, one after the other
    #[arg(long, default_value_t = 150)]
    sources: u8,
    /// Lines of others a second, meanwhile
    #[arg(long, default_value_t = 10_000)]
    lines: u32,
    /// Megabytes of the large log
    #[arg(long, default_value_t = 1000)]
    megabytes: u64,
}

const SIP: u16 = 5060;
/// Who hears nothing for so long is banned: an answer takes a tenth of a millisecond.
const SILENCE: Duration = Duration::from_millis(20);
/// fail2ban's own filter, as its package installs it.
const FILTER: &str = "/etc/fail2ban/filter.d/sshd.conf";

pub(super) fn run(args: &LogsArgs) -> Result<()> {
    ensure!(is_root(), "network namespaces need root");
    ensure!(Path::new(FILTER).exists(), "{FILTER} comes with Debian's package fail2ban");
    step(cargo(["build", "--quiet", "--release", "-p", "ringfence"]))?;
    let binary = target_dir().join("release/ringfence");
    latency(args, &binary)?;
    large(args, &binary)
}

/// Lines, until it is stopped.
fn noise(log: PathBuf, lines: u32, stop: Arc<AtomicBool>) -> Result<u64> {
    let mut file = OpenOptions::new().append(true).open(log)?;
    let begin = Instant::now();
    let mut written = 0_u64;
    while !stop.load(Ordering::Relaxed) {
        let due = (begin.elapsed().as_secs_f64() * f64::from(lines)) as u64;
        let mut text = String::new();
        while written < due {
            written += 1;
            text.push_str(&harmless(written));
        }
        file.write_all(text.as_bytes())?;
        thread::sleep(Duration::from_millis(1));
    }
    Ok(written)
}

fn harmless(number: u64) -> String {
    let now = Zoned::now();
    match number % 3 {
        0 => format!(
            "{} pbx sshd[{}]: Accepted publickey for admin from 192.0.2.20 port 40022 ssh2\n",
            stamp(&now),
            number % 30_000
        ),
        1 => format!(
            "{} pbx CRON[{}]: pam_unix(cron:session): session opened for user root\n",
            stamp(&now),
            number % 30_000
        ),
        _ => format!("{} pbx systemd[1]: Started Session {number} of User root.\n", stamp(&now)),
    }
}

fn failure(source: Ipv4Addr) -> String {
    let now = Zoned::now();
    format!("{} pbx sshd[77]: Failed password for root from {source} port 40022 ssh2\n", stamp(&now))
}

fn stamp(now: &Zoned) -> String {
    now.strftime("%b %e %H:%M:%S").to_string()
}

fn guard<'lab>(lab: &'lab Lab, binary: &Path, log: &Path) -> Result<Guard<'lab>> {
    let policy = lab.dir().join("policy.toml");
    let text = format!(
        "signatures = []\n[services]\nsip = {{ udp = [{SIP}], inspect = true }}\n[unproven]\n[jails.ssh]\nfilter = \"sshd\"\n\
         files = [\"{}\"]\nmax-failures = 1\nports = \"all\"\n",
        log.display()
    );
    fs::write(&policy, text)?;
    Ok(Guard::start(lab, binary, &policy)?)
}

/// From the line to the source that is not heard.
fn latency(args: &LogsArgs, binary: &Path) -> Result<()> {
    let lab = Lab::up("bench-logs")?;
    let log = lab.dir().join("auth.log");
    File::create(&log)?;
    let first = 90_u8;
    let sources: Vec<Ipv4Addr> =
        (first..first.saturating_add(args.sources)).map(|last| Ipv4Addr::new(203, 0, 113, last)).collect();
    for source in &sources {
        lab.must(Node::Attacker, ["ip", "address", "add", &format!("{source}/32"), "dev", Node::INTERFACE])?;
    }
    let _echo = echo(&lab)?;
    let _guard = guard(&lab, binary, &log)?;
    let stop = Arc::new(AtomicBool::new(false));
    let writer = thread::spawn({
        let (log, lines, stop) = (log.clone(), args.lines, Arc::clone(&stop));
        move || noise(log, lines, stop)
    });
    thread::sleep(Duration::from_secs(1));
    let begin = Instant::now();
    let mut times = Vec::new();
    for source in sources {
        let socket = lab.inside(Node::Attacker, || UdpSocket::bind((source, 0)))??;
        socket.connect((IpAddr::V4(Node::Pbx.v4()), SIP))?;
        socket.set_read_timeout(Some(SILENCE))?;
        ensure!(is_heard(&socket)?, "{source} is not heard before it is banned");
        let line = failure(source);
        let mut file = OpenOptions::new().append(true).open(&log)?;
        let written = Instant::now();
        file.write_all(line.as_bytes())?;
        loop {
            let asked = Instant::now();
            if !is_heard(&socket)? {
                times.push((asked - written).as_secs_f64());
                break;
            }
            ensure!(written.elapsed() < Duration::from_secs(10), "{source} is not banned");
        }
    }
    let time = begin.elapsed().as_secs_f64();
    stop.store(true, Ordering::Relaxed);
    let lines = writer.join().ok().context("the writer of the log failed")??;
    times.sort_by(f64::total_cmp);
    let at =
        |part: f64| times.get(((times.len() - 1) as f64 * part) as usize).copied().unwrap_or(0.0) * 1000.0;
    println!(
        "from a line in the log to a source that is heard no more, in all its packets; {} sources",
        times.len()
    );
    row("lines of others a second", format!("{:.0}", lines as f64 / (time + 1.0)));
    row("median", format!("{:.1} ms", at(0.5)));
    row("99 of 100", format!("{:.1} ms", at(0.99)));
    row("slowest", format!("{:.1} ms", at(1.0)));
    Ok(())
}

/// Sends every datagram back, as long as the value lives.
struct Echo(Arc<AtomicBool>);

impl Drop for Echo {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

fn echo(lab: &Lab) -> Result<Echo> {
    let socket = lab.inside(Node::Pbx, || UdpSocket::bind((IpAddr::V4(Node::Pbx.v4()), SIP)))??;
    socket.set_read_timeout(Some(Duration::from_millis(200)))?;
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    thread::spawn(move || {
        let mut buffer = [0; 100];
        while !stopped.load(Ordering::Relaxed) {
            if let Ok((length, from)) = socket.recv_from(&mut buffer) {
                // Who is gone is gone.
                let _ = socket.send_to(buffer.get(..length).unwrap_or_default(), from);
            }
        }
    });
    Ok(Echo(stop))
}

fn is_heard(socket: &UdpSocket) -> Result<bool> {
    socket.send(b"\r\n\r\n")?;
    match socket.recv(&mut [0; 100]) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::WouldBlock | std::io::ErrorKind::TimedOut) =>
        {
            Ok(false)
        }
        Err(error) => Err(error.into()),
    }
}

/// A log that grows as fast as the disk allows.
fn large(args: &LogsArgs, binary: &Path) -> Result<()> {
    let lab = Lab::up("bench-largelog")?;
    let log = lab.dir().join("auth.log");
    File::create(&log)?;
    let mut guard = guard(&lab, binary, &log)?;
    let pid = guard.process().id();
    let before = memory(pid)?;
    let mut file = OpenOptions::new().append(true).open(&log)?;
    let (mut bytes, mut lines) = (0_u64, 0_u64);
    let begin = Instant::now();
    while bytes < args.megabytes * 1_000_000 {
        let text: String = (lines..lines + 1000).map(harmless).collect();
        lines += 1000;
        bytes += text.len() as u64;
        file.write_all(text.as_bytes())?;
    }
    let written = begin.elapsed();
    let read = |guard: &Guard<'_>| -> Result<u64> {
        let status = guard.command(&["status", "--format", "json"])?.stdout;
        let status: serde_json::Value = serde_json::from_str(&status)?;
        status.pointer("/jails/0/lines").and_then(serde_json::Value::as_u64).context("no jail in the status")
    };
    while read(&guard)? < lines {
        ensure!(begin.elapsed() < Duration::from_secs(600), "it is not read to its end");
        thread::sleep(Duration::from_millis(50));
    }
    let time = begin.elapsed();
    println!("\na log that grows by {} MB, {lines} lines", bytes / 1_000_000);
    row("written in", show(written));
    row(
        "read to its end in",
        format!("{}, {:.0} lines a second", show(time), lines as f64 / time.as_secs_f64()),
    );
    row("memory of the daemon before", before);
    row("memory of the daemon after", memory(pid)?);
    Ok(())
}
