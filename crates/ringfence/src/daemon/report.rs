//! From the gate's events to log lines and JSON.

use std::net::SocketAddr;
use std::path::Path;
use std::time::SystemTime;

use engine::Command;
use gate::layout::{Event, NONE};
use gate::{Family, Reason, Verdict};
use host::event_log::EventLog;
use host::syslog::Syslog;
use policy::plan::gate::Note;
use policy::watch::EventFiles;
use serde_json::{Map, Value, json};

use super::force::InForce;
use crate::detection::told;
use crate::exit::Exit;

/// Writes what the gate tells.
#[derive(Debug)]
pub(crate) struct Reporter {
    syslog: Syslog,
    events: EventLog,
    delivered: u64,
}

impl Reporter {
    /// Events go to `events.jsonl` in the state directory.
    pub(crate) fn open(state_dir: &Path, files: EventFiles) -> Result<Self, Exit> {
        Ok(Self {
            syslog: Syslog::new(host::machine::monotonic()),
            events: EventLog::open(state_dir, files)?,
            delivered: 0,
        })
    }

    /// The files of events have other bounds now.
    pub(crate) fn follow(&mut self, files: EventFiles) {
        self.events.follow(files);
    }

    /// Takes one event. Tells of those that are dropped or logged; the rest is for the engine alone.
    pub(crate) fn see(&mut self, event: &Event, time: SystemTime, force: &InForce, now: u64) {
        self.delivered += 1;
        let dropped = Reason::from_u8(event.reason).is_some_and(|reason| reason.verdict() == Verdict::Drop);
        if event.outgoing == 0 && (dropped || event.notes != 0) {
            self.tell(event, time, force, now);
        }
    }

    /// Tells what the engine decided: all of it as JSON, bans, limits and alerts to the system's log as well.
    pub(crate) fn decided(&mut self, commands: &[Command]) {
        const NOTICE: u8 = 5;
        for command in commands {
            if let Some(line) = told::json(command) {
                self.events.line(&line);
            }
            let matters =
                matches!(command, Command::Ban { .. } | Command::Limit { .. } | Command::Alert { .. });
            if matters && let Some(line) = told::log(command) {
                let fields = told::fields(command);
                let fields: Vec<(&str, &str)> =
                    fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
                self.syslog.record(NOTICE, &line, &fields, host::machine::monotonic());
            }
        }
    }

    /// Says in the system's log that something is not enforced.
    pub(crate) fn alarm(&mut self, fault: &str) {
        let fields = [("RINGFENCE_EVENT", "fault"), ("RINGFENCE_REASON", fault)];
        self.syslog.record(2, &format!("not enforced: {fault}"), &fields, host::machine::monotonic());
    }

    /// Writes what is buffered, and says how many log lines were left out.
    pub(crate) fn flush(&mut self) {
        self.events.flush();
        self.syslog.flush(host::machine::monotonic());
    }

    /// Events that came from the kernel.
    pub(crate) fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Log lines that the rate limit left out since the last line that said so.
    pub(crate) fn suppressed(&self) -> u64 {
        self.syslog.suppressed()
    }

    /// JSON lines that could not be written.
    pub(crate) fn unwritten(&self) -> u64 {
        self.events.lost()
    }

    fn tell(&mut self, event: &Event, time: SystemTime, force: &InForce, now: u64) {
        let Some(reason) = Reason::from_u8(event.reason) else { return };
        let plan = &force.plan.gate;
        let signature = (event.signature != NONE)
            .then(|| plan.signatures.get(usize::from(event.signature)))
            .flatten()
            .map(|signature| signature.name.as_str());
        let mut logged = None;
        for (bit, note) in plan.notes.iter().enumerate().take(64) {
            if event.notes & 1 << bit == 0 {
                continue;
            }
            let (level, prefix) = match note {
                Note::Log(log) => (log.level, &log.prefix),
                Note::Nflog(nflog) => (6, &nflog.prefix),
            };
            logged.get_or_insert(prefix);
            self.syslog.line(level, &line(event, prefix, signature), now);
        }
        let mut object = Map::new();
        let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
        put("type", json!("packet"));
        put("time", json!(timestamp(time)));
        let interface = force.guarded().find(|guarded| guarded.index == event.interface);
        put("interface", json!(interface.map(|guarded| &guarded.interface)));
        put("proto", json!(protocol(event.protocol)));
        let (source, destination) = addresses(event);
        put("src", json!(source.to_string()));
        put("dst", json!(destination.to_string()));
        let verdict = match (reason.verdict(), event.observed) {
            (Verdict::Drop, 0) => "drop",
            (Verdict::Drop | Verdict::Pass, _) => "accept",
        };
        put("verdict", json!(verdict));
        if event.observed != 0 {
            put("observed", json!(true));
        }
        put("reason", json!(reason.as_str()));
        if let Some(signature) = signature {
            put("rule", json!(signature));
        }
        if let Some(prefix) = logged {
            put("log", json!(prefix));
        }
        self.events.line(&Value::Object(object));
    }
}

/// The line of the article's LOG rule, with what was found.
fn line(event: &Event, prefix: &str, signature: Option<&str>) -> String {
    use std::fmt::Write as _;
    let (source, destination) = addresses(event);
    let mut line = format!(
        "{prefix}SRC={} DST={} PROTO={} SPT={} DPT={}",
        source.ip(),
        destination.ip(),
        protocol(event.protocol).to_uppercase(),
        event.source_port,
        event.destination_port
    );
    if let Some(signature) = signature {
        let _ = write!(line, " SIG={signature}");
    }
    line
}

fn addresses(event: &Event) -> (SocketAddr, SocketAddr) {
    let family = if event.family == 6 { Family::Ipv6 } else { Family::Ipv4 };
    (
        SocketAddr::new(event.source.to_ip(family), event.source_port),
        SocketAddr::new(event.destination.to_ip(family), event.destination_port),
    )
}

fn protocol(number: u8) -> String {
    match number {
        gate::decode::TCP => "tcp".to_owned(),
        gate::decode::UDP => "udp".to_owned(),
        1 => "icmp".to_owned(),
        58 => "icmpv6".to_owned(),
        other => other.to_string(),
    }
}

/// RFC 3339 in UTC, with microseconds.
pub(crate) fn timestamp(time: SystemTime) -> String {
    let printer = jiff::fmt::temporal::DateTimePrinter::new().precision(Some(6));
    jiff::Timestamp::try_from(time).map_or_else(|_| String::new(), |time| printer.timestamp_to_string(&time))
}
