//! From the gate's events to what is done about them.

use std::net::SocketAddr;
use std::time::{Duration, SystemTime};

use engine::Command;
use gate::decode::{TCP, UDP};
use gate::layout::Event;
use gate::{Family, Reason, Verdict};
use ledger::Change;

use super::force::Events;
use super::{Daemon, book, clock};
use crate::exit::Exit;

impl Daemon {
    /// Handles up to `most` events that wait; how many there were.
    pub(super) fn drain(&mut self, events: &mut Events, most: usize) -> Result<usize, Exit> {
        let (now, wall) = (host::machine::monotonic(), clock::now());
        let mut handled = 0;
        while handled < most {
            let Some(record) = events.next() else { break };
            let Some(event) = Event::from_bytes(&record) else { break };
            handled += 1;
            let age = Duration::from_nanos(now.saturating_sub(event.time));
            let time = wall.checked_sub(age).unwrap_or(wall);
            self.reporter.see(&event, clock::shown(time), &self.force, now);
            self.talk(&event);
            let capture = event.capture(&record);
            self.live.see(&event, capture, time);
            self.export(&event, capture, time);
            let line = self.live.has_decided().then(|| book::sip_line(capture)).flatten();
            drop(record);
            self.count_tries();
            self.obey(line.as_deref())?;
        }
        Ok(handled)
    }

    /// A copy of what was let through, for whoever asked for it.
    fn export(&mut self, event: &Event, capture: &[u8], time: SystemTime) {
        let is_whole = event.captured == event.payload && event.captured > 0;
        let is_sip = matches!(event.protocol, TCP | UDP);
        if is_whole && is_sip {
            let family = if event.family == 6 { Family::Ipv6 } else { Family::Ipv4 };
            let source = SocketAddr::new(event.source.to_ip(family), event.source_port);
            let destination = SocketAddr::new(event.destination.to_ip(family), event.destination_port);
            let time = clock::shown(time).duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            self.witnesses.export([source, destination], event.protocol == TCP, time, capture);
        }
    }

    /// Counts who was dropped.
    pub(super) fn talk(&mut self, event: &Event) {
        let Some(reason) = Reason::from_u8(event.reason) else { return };
        if event.outgoing != 0 || reason.verdict() == Verdict::Pass {
            return;
        }
        let family = if event.family == 6 { Family::Ipv6 } else { Family::Ipv4 };
        let source = event.source.to_ip(family);
        self.talkers.add(source, event.reason);
        if reason == Reason::Banned {
            self.book.dropped(source);
        }
    }

    /// Does what the engine decided, tells it and writes it down; `line` is the SIP line that it came from. When only
    /// observing, it is told and not done.
    pub(super) fn obey(&mut self, line: Option<&str>) -> Result<(), Exit> {
        let changes = self.carry_out(line)?;
        if !changes.is_empty() {
            self.book.write(changes);
        }
        Ok(())
    }

    /// As [`Daemon::obey`]; what is to be written down is returned.
    pub(super) fn carry_out(&mut self, line: Option<&str>) -> Result<Vec<Change>, Exit> {
        let mut commands = self.live.take();
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        if !self.force.observe {
            commands.retain_mut(|command| {
                let Some(why) = self.book.shelters(command) else { return true };
                *command = spare(command, &why.to_string());
                true
            });
            let mut sources = self.force.gate_mut().sources()?;
            for command in &commands {
                if !self.live.obey(command, &mut sources)? {
                    self.reporter.alarm("the kernel's tables of sources are full");
                }
            }
        }
        self.reporter.decided(&commands);
        self.recent.decided(&commands);
        Ok(self.book.decided(&commands, line, self.force.observe))
    }
}

/// What is told instead of a ban or limit of somebody who is sheltered.
fn spare(command: &Command, why: &str) -> Command {
    match command {
        Command::Ban { time, source, reason, .. } => Command::Alert {
            time: *time,
            source: *source,
            detector: *reason,
            detail: format!("would be banned, but {why}"),
        },
        Command::Limit { time, source, reason, .. } => Command::Alert {
            time: *time,
            source: *source,
            detector: *reason,
            detail: format!("would be limited, but {why}"),
        },
        Command::Alert { .. }
        | Command::Evidence { .. }
        | Command::Trust { .. }
        | Command::Unlimit { .. } => command.clone(),
    }
}
