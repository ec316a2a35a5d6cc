//! What `replay` prints: one record a line, as text or JSON. The JSON keys and their order are a contract (DESIGN.md, "The
//! command line").

use std::collections::BTreeMap;
use std::fmt;
use std::io::Write;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use engine::Command;
use netfilter::rules::Verdict;
use serde::{Serialize, Serializer};

use super::judge::Judge;
use super::rfc3339;
use crate::cli::Format;
use crate::detection::told;
use crate::exit::Exit;

/// One line.
#[derive(Clone, Debug)]
pub(super) enum Record {
    /// What the engine found or did.
    Command(Command),
    Packet(Packet),
}

/// The fate of one frame.
#[derive(Clone, Debug)]
pub(super) struct Packet {
    pub(super) place: Place,
    pub(super) verdict: Decision,
    pub(super) reason: Reason,
    pub(super) rule: Option<std::rc::Rc<str>>,
    pub(super) log: Option<String>,
}

/// Where a frame was found, and what it is.
#[derive(Clone, Debug)]
pub(super) struct Place {
    pub(super) capture: std::rc::Rc<str>,
    pub(super) frame: u64,
    pub(super) time: Duration,
    pub(super) protocol: Protocol,
    pub(super) source: End,
    pub(super) destination: End,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Protocol {
    /// By EtherType; 0 if there is none.
    Link(u16),
    /// By IP protocol number.
    Upper(u8),
    /// An IP header that says nothing more.
    Ip,
}

/// One end of a packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum End {
    Address(IpAddr),
    Link([u8; 6]),
    Socket(SocketAddr),
    Unknown,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Decision {
    Accept,
    Drop,
    Reject,
}

impl From<Verdict> for Decision {
    fn from(verdict: Verdict) -> Self {
        match verdict {
            Verdict::Accept => Self::Accept,
            Verdict::Drop => Self::Drop,
            Verdict::Reject(_) => Self::Reject,
        }
    }
}

/// Why. `REPLAY_HELP` in `cli.rs` explains them to users.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Reason {
    Banned,
    Blocked,
    BrokenHeader,
    ConntrackFull,
    EndedConnection,
    Fragment,
    FragmentTimeout,
    FragmentedSegment,
    HopLimit,
    Limited,
    Malformed,
    NoRules,
    NotIp,
    NotLocal,
    OutOfOrderSegment,
    Policy,
    RewrittenSegment,
    Rule,
    Signature,
    Trusted,
}

impl Reason {
    fn name(self) -> &'static str {
        match self {
            Self::Banned => "banned",
            Self::Blocked => "blocked",
            Self::BrokenHeader => "broken-header",
            Self::ConntrackFull => "conntrack-full",
            Self::EndedConnection => "ended-connection",
            Self::Fragment => "fragment",
            Self::FragmentTimeout => "fragment-timeout",
            Self::FragmentedSegment => "fragmented-segment",
            Self::HopLimit => "hop-limit",
            Self::Limited => "limited",
            Self::Malformed => "malformed",
            Self::NoRules => "no-rules",
            Self::NotIp => "not-ip",
            Self::NotLocal => "not-local",
            Self::OutOfOrderSegment => "out-of-order-segment",
            Self::Policy => "policy",
            Self::RewrittenSegment => "rewritten-segment",
            Self::Rule => "rule",
            Self::Signature => "signature",
            Self::Trusted => "trusted",
        }
    }
}

/// The last record.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    packets: u64,
    accepted: u64,
    dropped: u64,
    rejected: u64,
    bans: u64,
    /// Of packets that were not accepted.
    by_reason: BTreeMap<Reason, u64>,
}

impl Summary {
    /// Packets of which nothing else is told.
    fn accept(&mut self, packets: u64) {
        self.packets += packets;
        self.accepted += packets;
    }

    fn count(&mut self, packet: &Packet) {
        self.packets += 1;
        match packet.verdict {
            Decision::Accept => {
                self.accepted += 1;
                return;
            }
            Decision::Drop => self.dropped += 1,
            Decision::Reject => self.rejected += 1,
        }
        *self.by_reason.entry(packet.reason).or_default() += 1;
    }
}

/// Records on their way out.
#[derive(Debug)]
pub(super) struct Writer<W: Write> {
    out: W,
    format: Format,
}

#[derive(Serialize)]
struct PacketLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    capture: &'a str,
    frame: u64,
    time: String,
    #[serde(serialize_with = "shown")]
    proto: Protocol,
    #[serde(serialize_with = "shown")]
    src: End,
    #[serde(serialize_with = "shown")]
    dst: End,
    verdict: Decision,
    reason: Reason,
    #[serde(skip_serializing_if = "Option::is_none")]
    rule: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    log: Option<&'a str>,
}

#[derive(Serialize)]
struct SummaryLine<'a> {
    #[serde(rename = "type")]
    kind: &'static str,
    packets: u64,
    accept: u64,
    drop: u64,
    reject: u64,
    bans: u64,
    by_reason: &'a BTreeMap<Reason, u64>,
}

fn shown<S: Serializer>(value: &impl fmt::Display, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}

impl<W: Write> Writer<W> {
    pub(super) fn new(out: W, format: Format) -> Self {
        Self { out, format }
    }

    /// Prints what the judge tells.
    pub(super) fn packets(&mut self, judge: &mut Judge<'_>, summary: &mut Summary) -> Result<(), Exit> {
        summary.accept(judge.take_accepted());
        while let Some(record) = judge.decided() {
            match record {
                Record::Packet(packet) => {
                    summary.count(&packet);
                    self.packet(&packet)?;
                }
                Record::Command(command) => {
                    summary.bans += u64::from(matches!(command, Command::Ban { .. }));
                    self.command(&command)?;
                }
            }
        }
        Ok(())
    }

    fn command(&mut self, command: &Command) -> Result<(), Exit> {
        match self.format {
            Format::Json => match told::json(command) {
                Some(line) => self.json(&line),
                None => Ok(()),
            },
            Format::Text => {
                if let Some(line) = told::text(command) {
                    writeln!(self.out, "{line}")?;
                }
                Ok(())
            }
        }
    }

    fn packet(&mut self, packet: &Packet) -> Result<(), Exit> {
        let place = &packet.place;
        let time = rfc3339(place.time);
        match self.format {
            Format::Json => {
                let line = PacketLine {
                    kind: "packet",
                    capture: &place.capture,
                    frame: place.frame,
                    time,
                    proto: place.protocol,
                    src: place.source,
                    dst: place.destination,
                    verdict: packet.verdict,
                    reason: packet.reason,
                    rule: packet.rule.as_deref(),
                    log: packet.log.as_deref(),
                };
                self.json(&line)
            }
            Format::Text => {
                let verdict = match packet.verdict {
                    Decision::Accept => "accept",
                    Decision::Drop => "DROP  ",
                    Decision::Reject => "REJECT",
                };
                write!(
                    self.out,
                    "{}:{} {time} {verdict} {} {} > {} {}",
                    place.capture,
                    place.frame,
                    place.protocol,
                    place.source,
                    place.destination,
                    packet.reason.name()
                )?;
                if let Some(rule) = &packet.rule {
                    write!(self.out, " {rule}")?;
                }
                if let Some(log) = &packet.log {
                    write!(self.out, " log {:?}", log.trim_end())?;
                }
                writeln!(self.out)?;
                Ok(())
            }
        }
    }

    /// Prints the end, and everything before it.
    pub(super) fn summary(&mut self, summary: &Summary) -> Result<(), Exit> {
        match self.format {
            Format::Json => self.json(&SummaryLine {
                kind: "summary",
                packets: summary.packets,
                accept: summary.accepted,
                drop: summary.dropped,
                reject: summary.rejected,
                bans: summary.bans,
                by_reason: &summary.by_reason,
            })?,
            Format::Text => {
                write!(
                    self.out,
                    "{} packets: {} accepted, {} dropped, {} rejected",
                    summary.packets, summary.accepted, summary.dropped, summary.rejected
                )?;
                let reasons: Vec<String> = summary
                    .by_reason
                    .iter()
                    .map(|(reason, count)| format!("{} {count}", reason.name()))
                    .collect();
                if !reasons.is_empty() {
                    write!(self.out, " ({})", reasons.join(", "))?;
                }
                match summary.bans {
                    0 => {}
                    1 => write!(self.out, ", 1 ban")?,
                    bans => write!(self.out, ", {bans} bans")?,
                }
                writeln!(self.out)?;
            }
        }
        self.out.flush()?;
        Ok(())
    }

    fn json(&mut self, line: &impl Serialize) -> Result<(), Exit> {
        serde_json::to_writer(&mut self.out, line).map_err(std::io::Error::from)?;
        writeln!(self.out)?;
        Ok(())
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip => f.write_str("ip"),
            Self::Link(0x0806) => f.write_str("arp"),
            Self::Link(0) => f.write_str("link"),
            Self::Link(ether_type) => write!(f, "ether-{ether_type:04x}"),
            Self::Upper(number) => match number {
                1 => f.write_str("icmp"),
                2 => f.write_str("igmp"),
                6 => f.write_str("tcp"),
                17 => f.write_str("udp"),
                33 => f.write_str("dccp"),
                47 => f.write_str("gre"),
                50 => f.write_str("esp"),
                51 => f.write_str("ah"),
                58 => f.write_str("icmpv6"),
                132 => f.write_str("sctp"),
                136 => f.write_str("udplite"),
                number => write!(f, "ip-{number}"),
            },
        }
    }
}

impl fmt::Display for End {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Address(address) => write!(f, "{address}"),
            Self::Link([a, b, c, d, e, g]) => write!(f, "{a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}"),
            Self::Socket(socket) => write!(f, "{socket}"),
            Self::Unknown => f.write_str("-"),
        }
    }
}
