//! The server and the calls: sipp on both sides.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lab::{Lab, Node, Process};

const SERVER: &str = include_str!("server.xml");
const CALLER: &str = include_str!("caller.xml");
const PBX: Ipv4Addr = Node::Pbx.v4();
/// How long sipp tries to get the last call through: some 32 s for its INVITE (RFC 3261, 17.1.1.2) and as many for its BYE.
const LAST: u32 = 70;

/// What became of the calls.
#[derive(Debug)]
pub(super) struct Calls {
    pub(super) begun: u64,
    pub(super) done: u64,
    pub(super) repeated: u64,
    /// Milliseconds from INVITE to 200, of those that came so far; sorted.
    pub(super) setup: Vec<f64>,
}

impl Calls {
    pub(super) fn median(&self) -> Option<f64> {
        self.setup.get(self.setup.len() / 2).copied()
    }

    pub(super) fn longest(&self) -> Option<f64> {
        self.setup.last().copied()
    }
}

/// Starts the server on port 5060 of the PBX and waits until it is there.
pub(super) fn serve(lab: &Lab) -> Result<Process> {
    let dir = directory(lab, "server")?;
    let mut command = lab.command(Node::Pbx, "sipp");
    write(&dir, SERVER)?;
    command.current_dir(&dir).args(["-sf", "scenario.xml", "-i", &PBX.to_string(), "-p", "5060", "-nostdin"]);
    // What the kernel gives to a socket that asks for nothing; and no memory of calls that are over.
    command.args(["-buff_size", "212992", "-deadcall_wait", "0"]);
    let server = lab.spawn("server", command)?;
    let begin = Instant::now();
    while !lab.must(Node::Pbx, ["cat", "/proc/net/udp"])?.stdout.contains(":13C4 ") {
        ensure!(begin.elapsed() < Duration::from_secs(10), "the server does not listen: {}", server.stderr());
        thread::sleep(Duration::from_millis(50));
    }
    Ok(server)
}

/// Makes so many calls, ten a second, from one socket.
pub(super) fn call(lab: &Lab, name: &str, count: u32) -> Result<Calls> {
    let dir = directory(lab, name)?;
    write(&dir, CALLER)?;
    let mut command = lab.command(Node::Phone, "sipp");
    command.current_dir(&dir).arg(format!("{PBX}:5060"));
    command.args(["-sf", "scenario.xml", "-i", &Node::Phone.v4().to_string(), "-p", "5060", "-nostdin"]);
    command.args(["-r", "10", "-m", &count.to_string(), "-trace_stat", "-stf", "stat.csv", "-fd", "1"]);
    let limit = count / 10 + LAST;
    command.args(["-trace_rtt", "-rtt_freq", "1", "-timeout", &limit.to_string()]);
    let output = lab::run(command, Duration::from_secs(u64::from(limit) + 30))?;
    let table = dir.join("stat.csv");
    let stat = fs::read_to_string(&table)
        .with_context(|| format!("cannot read `{}`; sipp said: {}", table.display(), output.stderr))?;
    let mut calls = totals(&stat)?;
    for entry in fs::read_dir(&dir)? {
        let path = entry?.path();
        if path.to_string_lossy().ends_with("_rtt.csv") {
            let lines = fs::read_to_string(&path)?;
            calls.setup.extend(lines.lines().filter_map(|line| line.split(';').nth(1)?.parse::<f64>().ok()));
        }
    }
    calls.setup.sort_by(f64::total_cmp);
    Ok(calls)
}

/// From the last line of sipp's table of statistics; the first names the columns.
fn totals(stat: &str) -> Result<Calls> {
    let mut lines = stat.lines();
    let (Some(names), Some(last)) = (lines.next(), lines.next_back()) else { bail!("sipp counted nothing") };
    let value = |wanted: &str| -> Result<u64> {
        let column = names.split(';').position(|name| name == wanted);
        let text = column.and_then(|column| last.split(';').nth(column));
        text.and_then(|text| text.parse().ok()).with_context(|| format!("sipp did not count `{wanted}`"))
    };
    Ok(Calls {
        begun: value("OutgoingCall(C)")?,
        done: value("SuccessfulCall(C)")?,
        repeated: value("Retransmissions(C)")?,
        setup: Vec::new(),
    })
}

fn directory(lab: &Lab, name: &str) -> Result<PathBuf> {
    let dir = lab.dir().join(name);
    fs::create_dir_all(&dir).with_context(|| format!("cannot create `{}`", dir.display()))?;
    Ok(dir)
}

fn write(dir: &Path, scenario: &str) -> Result<()> {
    let path = dir.join("scenario.xml");
    fs::write(&path, scenario).with_context(|| format!("cannot write `{}`", path.display()))
}
