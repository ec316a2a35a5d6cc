//! Bans and trust: first in the kernel, then in the ledger; and never of those who must not be locked out.

use std::collections::HashMap;
use std::net::IpAddr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use engine::Command;
use host::confine::Role;
use host::gate::{Banned, Network, Sources, Standing};
use ledger::{Ban, BanRow, By, Change, Evidence, Ledger, Net, Reader, Scope, Time, Writer};

use super::clock;
use super::confined::Helpers;
use super::report::timestamp;
use super::sever::Severer;
use super::shelter::{Lookout, Shelter};
use crate::detection::told::reason_of;
use crate::exit::Exit;

/// The ledger's name in the state directory.
pub(crate) const LEDGER: &str = "ledger.db";
/// Bans that are put into the kernel at once when a daemon starts: each of its buckets is then read and written once, which is
/// most of the time that a start takes.
const BATCH: usize = 1 << 20;
/// Banned sources whose packets are counted between two writes.
const MAX_COUNTED: usize = 1 << 14;
/// Bytes of the SIP line that is kept with a piece of evidence.
const MAX_LINE: usize = 160;

/// See the module.
#[derive(Debug)]
pub(crate) struct Book {
    writer: Arc<Writer>,
    reader: Reader,
    /// For threads that may take their time, so that nobody else waits for them.
    other: Arc<Mutex<Reader>>,
    pub(crate) shelter: Shelter,
    dropped: HashMap<Net, u64>,
    /// Whoever is banned loses what is open.
    pub(crate) severer: Severer,
}

/// What was put back into the kernel.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Restored {
    pub(crate) bans: usize,
    /// For these the kernel had no room.
    pub(crate) refused: usize,
}

impl Restored {
    /// What is to be said about it; nothing where there was nothing.
    pub(crate) fn message(self) -> String {
        let Self { bans, refused } = self;
        match (bans, refused) {
            (0, 0) => String::new(),
            (bans, 0) => format!("{bans} bans of the ledger are in force\n"),
            (bans, refused) => format!(
                "{bans} bans of the ledger are in force\nwarning: the kernel has no room for {refused} more bans of the ledger\n"
            ),
        }
    }
}

impl Book {
    /// Opens the ledger of `state_dir`. Its threads, which run before the daemon is confined, confine themselves.
    pub(crate) fn open(state_dir: &Path, helpers: &Helpers) -> Result<Self, Exit> {
        let path = state_dir.join(LEDGER);
        let ledger = Ledger::open(&path).map_err(system)?;
        let reader = Reader::open(&path).map_err(system)?;
        let other = Reader::open(&path).map_err(system)?;
        Ok(Self {
            writer: Arc::new(Writer::spawn_with(ledger, helpers.confine(Role::Ledger)).map_err(system)?),
            reader,
            other: Arc::new(Mutex::new(other)),
            shelter: Shelter::new(Some(Lookout::spawn(
                Arc::clone(&helpers.sessions),
                // It asks the process that looks, and so takes no capability.
                helpers.confine(Role::Ledger),
            )?)),
            dropped: HashMap::new(),
            severer: Severer::spawn(helpers.confine(Role::Sever))?,
        })
    }

    /// Puts every ban in force back into the kernel; `each` gets them, too.
    pub(crate) fn restore(
        &self,
        sources: &mut Sources<'_>,
        mut each: impl FnMut(&BanRow),
    ) -> Result<Restored, Exit> {
        let mut restored = Restored::default();
        let mut waiting = Vec::new();
        let mut networks = Vec::new();
        let mut failed = Ok(());
        let mut flush = |waiting: &mut Vec<Banned>| {
            let done = sources.ban(waiting.drain(..));
            done.map(|done| {
                restored.bans += done.inserted;
                restored.refused += done.refused;
            })
        };
        self.read(|reader| {
            reader.active(Time::from(clock::now()), |row| {
                if !row.rules || failed.is_err() {
                    return;
                }
                each(&row);
                if is_one_source(row.ban.source) {
                    waiting.push(banned(row.ban.source, row.until, row.scope));
                    if waiting.len() >= BATCH {
                        failed = flush(&mut waiting);
                    }
                } else {
                    networks.push(network(row.ban.source, row.until, row.scope));
                }
            })
        })?;
        failed?;
        flush(&mut waiting)?;
        for network in networks {
            if sources.set_network(&network)? {
                restored.bans += 1;
            } else {
                restored.refused += 1;
            }
        }
        Ok(restored)
    }

    /// Writes to the ledger as soon as it can, however often it takes, and does not wait.
    pub(crate) fn write(&self, changes: Vec<Change>) {
        self.sever(&changes);
        // What finds no room is counted there, and told by `status`.
        let _ = self.writer.post(changes);
    }

    /// Writes to the ledger, and calls `done` when it is on the disk, or why it is not.
    pub(crate) fn write_then(
        &self,
        changes: Vec<Change>,
        done: impl FnOnce(Result<(), ledger::Error>) + Send + 'static,
    ) {
        self.sever(&changes);
        // Without room `done` is dropped, and with it the client's answer: it is told that there was none.
        let _ = self.writer.send(changes, done);
    }

    /// Every ban is in the kernel when it comes here.
    fn sever(&self, changes: &[Change]) {
        for change in changes {
            if let Change::Ban(ban) = change {
                self.severer.banned(ban.source, ban.scope);
            }
        }
    }

    /// Waits until what was written so far is on the disk, or cannot be; not for the daemon's own thread.
    pub(crate) fn barrier(&self) -> impl FnOnce() + Send + 'static + use<> {
        const PATIENCE: Duration = Duration::from_secs(10);
        let (sender, receiver) = std::sync::mpsc::channel();
        let _ = self.writer.send(Vec::new(), move |_| {
            // Whoever waited may have gone.
            let _ = sender.send(());
        });
        move || {
            // A disk that is that slow is told elsewhere.
            let _ = receiver.recv_timeout(PATIENCE);
        }
    }

    /// The thread that writes.
    pub(crate) fn writer(&self) -> Arc<Writer> {
        Arc::clone(&self.writer)
    }

    /// Asks the ledger.
    pub(crate) fn read<T>(&self, ask: impl FnOnce(&Reader) -> Result<T, ledger::Error>) -> Result<T, Exit> {
        ask(&self.reader).map_err(system)
    }

    /// For a thread that may take its time.
    pub(crate) fn reader(&self) -> Arc<Mutex<Reader>> {
        Arc::clone(&self.other)
    }

    /// How the writing goes.
    pub(crate) fn state(&self) -> ledger::State {
        self.writer.state()
    }

    /// What came from a banned source was dropped; written with the next [`Book::count`].
    pub(crate) fn dropped(&mut self, address: IpAddr) {
        let source = Net::new(address, 128);
        if self.dropped.len() < MAX_COUNTED || self.dropped.contains_key(&source) {
            *self.dropped.entry(source).or_default() += 1;
        }
    }

    /// Writes what was dropped.
    pub(crate) fn count(&mut self) {
        if self.dropped.is_empty() {
            return;
        }
        let at = Time::from(clock::now());
        let changes = self.dropped.drain().map(|(source, packets)| Change::Dropped { source, packets, at });
        let changes = changes.collect();
        self.write(changes);
    }

    /// Waits until everything is written that can be.
    pub(crate) fn close(&self) {
        self.barrier()();
    }

    /// Nobody but the operator bans `net` for that long, also after a restart.
    pub(crate) fn grace(&mut self, net: Net, period: Duration) {
        self.shelter.grace(net, period);
        if let Some(until) = clock::now().checked_add(period) {
            self.write(vec![Change::Grace { source: net, until: Time::from(until) }]);
        }
    }

    /// Whom a command may not hit, and why.
    pub(crate) fn shelters(&mut self, command: &Command) -> Option<super::shelter::Why> {
        match command {
            Command::Ban { source, .. } | Command::Limit { source, .. } => {
                self.shelter.covers(Net::new(source.address(), 128))
            }
            Command::Alert { .. }
            | Command::Evidence { .. }
            | Command::Trust { .. }
            | Command::Unlimit { .. } => None,
        }
    }

    /// What is to be written down of what the engine decided and what was done about it; `line` is the line that it came from.
    /// What is only observed is evidence, not a ban.
    pub(crate) fn decided(&self, commands: &[Command], line: Option<&str>, observe: bool) -> Vec<Change> {
        let mut changes = Vec::new();
        for command in commands {
            match command {
                Command::Evidence { time, source, detector, detail, .. }
                | Command::Alert { time, source, detector, detail } => {
                    changes.push(Change::Evidence(Evidence {
                        source: Net::new(source.address(), 128),
                        time: at(*time),
                        detector: detector.as_str().to_owned(),
                        detail: detail.clone(),
                        line: line.map(str::to_owned),
                    }));
                }
                Command::Ban { time, source, reason, until, level, scope, jail, .. } if !observe => {
                    // What counted for the ban stands before it.
                    let mut told = None;
                    let mut pieces = 0;
                    for other in commands {
                        if let Command::Evidence { source: about, detector, detail, .. } = other
                            && about == source
                        {
                            pieces += 1;
                            if detector == reason {
                                told = Some(detail.clone());
                            }
                        }
                    }
                    changes.push(Change::Ban(Ban {
                        source: Net::new(source.address(), 128),
                        by: By::Detector,
                        reason: reason_of(*reason, jail.as_deref()),
                        detail: told.unwrap_or_default(),
                        since: at(*time),
                        until: Some(at(*until)),
                        first_seen: at(*time),
                        last_seen: at(*time),
                        level: *level,
                        scope: self::scope(*scope),
                        dropped: 0,
                        evidence: pieces,
                    }));
                }
                Command::Limit { time, source, reason, until, .. } => {
                    let until = timestamp(clock::shown(SystemTime::UNIX_EPOCH + *until));
                    changes.push(Change::Evidence(Evidence {
                        source: Net::new(source.address(), 128),
                        time: at(*time),
                        detector: reason.as_str().to_owned(),
                        detail: format!("limited to a trickle until {until}, as its address may be forged"),
                        line: None,
                    }));
                }
                Command::Ban { .. } | Command::Trust { .. } | Command::Unlimit { .. } => {}
            }
        }
        changes
    }
}

/// Whether it has a place among addresses, not among networks.
pub(crate) fn is_one_source(net: Net) -> bool {
    net.prefix() == if net.address().is_ipv4() { 32 } else { 64 }
}

/// Puts a ban into the kernel; `false` if it has no room.
pub(crate) fn put(
    sources: &mut Sources<'_>,
    net: Net,
    until: Option<Time>,
    scope: Scope,
) -> Result<bool, Exit> {
    if is_one_source(net) {
        Ok(sources.ban([banned(net, until, scope)])?.refused == 0)
    } else {
        Ok(sources.set_network(&network(net, until, scope))?)
    }
}

/// As [`put`], and an address that is banned for longer or on more ports stays so. Networks are put as they are given: of them
/// only the ledger tells.
pub(crate) fn extend(
    sources: &mut Sources<'_>,
    net: Net,
    until: Option<Time>,
    scope: Scope,
) -> Result<bool, Exit> {
    if !is_one_source(net) {
        return put(sources, net, until, scope);
    }
    let mut wanted = banned(net, until, scope);
    if let Some(there) = sources.find(net.address())?
        && there.until > host::machine::monotonic()
    {
        if there.until >= wanted.until && (there.all_ports || !wanted.all_ports) {
            return Ok(true);
        }
        wanted.until = wanted.until.max(there.until);
        wanted.all_ports |= there.all_ports;
    }
    Ok(sources.ban([wanted])?.refused == 0)
}

/// Takes a ban out of the kernel; whether it was there.
pub(crate) fn lift(sources: &mut Sources<'_>, net: Net) -> Result<bool, Exit> {
    if is_one_source(net) {
        Ok(sources.unban(net.address())?)
    } else {
        Ok(sources.remove_network(net.address(), net.prefix()))
    }
}

/// Lets a network through, whatever else is said of it; `false` if the kernel has no room.
pub(crate) fn let_through(sources: &mut Sources<'_>, net: Net) -> Result<bool, Exit> {
    let network = Network {
        address: net.address(),
        prefix: net.prefix(),
        standing: Standing::Trusted,
        until: u64::MAX,
    };
    Ok(sources.set_network(&network)?)
}

fn banned(net: Net, until: Option<Time>, scope: Scope) -> Banned {
    Banned { address: net.address(), until: monotonic(until), all_ports: scope == Scope::AllPorts }
}

fn network(net: Net, until: Option<Time>, scope: Scope) -> Network {
    Network {
        address: net.address(),
        prefix: net.prefix(),
        standing: Standing::Banned { all_ports: scope == Scope::AllPorts },
        until: monotonic(until),
    }
}

/// A time of the wall clock as the kernel's bans have it.
pub(crate) fn monotonic(until: Option<Time>) -> u64 {
    let Some(until) = until else { return u64::MAX };
    let left = until.0.saturating_sub(Time::from(clock::now()).0).max(0);
    host::machine::monotonic().saturating_add(left.unsigned_abs().saturating_mul(1000))
}

/// What a ban covers, as the ledger has it.
pub(crate) fn scope(scope: engine::Scope) -> Scope {
    match scope {
        engine::Scope::SipPorts => Scope::SipPorts,
        engine::Scope::AllPorts => Scope::AllPorts,
    }
}

/// A time since the epoch, as the ledger has it.
pub(crate) fn at(time: Duration) -> Time {
    Time(i64::try_from(time.as_micros()).unwrap_or(i64::MAX))
}

/// The first line of what a packet brought, if it is text: what to show of evidence.
pub(crate) fn sip_line(bytes: &[u8]) -> Option<String> {
    let begin = bytes.iter().position(|byte| !matches!(byte, b'\r' | b'\n'))?;
    let line = bytes.get(begin..)?.split(|byte| matches!(byte, b'\r' | b'\n')).next()?;
    let line = line.get(..line.len().min(MAX_LINE))?;
    let text: String = String::from_utf8_lossy(line)
        .chars()
        .map(|letter| if letter.is_control() { char::REPLACEMENT_CHARACTER } else { letter })
        .collect();
    (!text.is_empty()).then_some(text)
}

fn system(error: ledger::Error) -> Exit {
    Exit::System(error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_message_is_shown_harmlessly() {
        assert_eq!(
            sip_line(b"\r\n\r\nINVITE sip:1 SIP/2.0\r\nVia: x").as_deref(),
            Some("INVITE sip:1 SIP/2.0")
        );
        assert_eq!(sip_line(b"REGISTER \x1b[2J\xff\n").as_deref(), Some("REGISTER \u{fffd}[2J\u{fffd}"));
        assert_eq!(sip_line(&[b'a'; 1000]).map(|line| line.len()), Some(MAX_LINE));
        assert_eq!(sip_line(b"\r\n"), None);
        assert_eq!(sip_line(b""), None);
    }

    #[test]
    fn a_time_that_is_over_is_now_in_the_kernel() {
        assert_eq!(monotonic(None), u64::MAX);
        let now = host::machine::monotonic();
        assert!(monotonic(Some(Time(0))) - now < 1_000_000_000);
        let soon = Time(Time::from(clock::now()).0 + 5_000_000);
        assert!((4_900_000_000..5_200_000_000).contains(&(monotonic(Some(soon)) - now)));
    }
}
