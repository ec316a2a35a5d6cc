//! Logs that the policy's jails search. They are read and matched on threads of their own; the engine counts what is found, and
//! how far a log was read is written down together with what was found up to there.

/// From files to what a filter finds in them.
mod files;
/// From systemd's journal.
mod journal;
/// What became of a jail so far.
mod state;

use std::collections::HashMap;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::{Command, Fact, Failure, Kind, Source, Testimony};
use filters::Filter;
use ledger::{Change, Position, Time};
use policy::Policy;
use policy::jail::{Jail, Logs as From};
use serde_json::Value;
use tokio::sync::mpsc::Sender;

pub(crate) use self::state::States;
use super::answers::Task;
use super::{Daemon, clock, say};
use crate::disk::{Disk, FILTER_FOLDERS, told};
use crate::exit::{Exit, draw};

/// Letters of a line that are kept with a piece of evidence.
const MAX_TEXT: usize = 400;

/// All jails of the policy in force.
#[derive(Debug)]
pub(crate) struct Logs {
    /// So that what was found for another policy is told from what is found now.
    run: u64,
    positions: HashMap<String, String>,
    stop: Option<Arc<AtomicBool>>,
    pub(crate) states: Arc<States>,
}

/// A jail with its filter.
#[derive(Debug)]
pub(crate) struct Ready {
    /// Its place in the policy.
    index: usize,
    jail: Jail,
    filter: Filter,
}

/// What was found in one turn.
#[derive(Debug)]
pub(crate) struct Batch {
    run: u64,
    jail: usize,
    found: Vec<Found>,
    /// Which log, and how far it was read.
    position: Option<(String, String)>,
    /// What is to be said of the log itself.
    news: Vec<String>,
}

/// A failure.
#[derive(Debug)]
struct Found {
    address: IpAddr,
    /// Somebody else whom the line may be about.
    other: Option<String>,
    account: String,
    /// By the line's own time, since the epoch.
    time: Duration,
    is_old: bool,
    /// The line says that the address made a connection.
    is_connection: bool,
    line: String,
}

/// Loads the filter of every jail.
///
/// # Errors
///
/// The first that cannot be loaded: [`Exit::No`].
pub(crate) fn prepare(policy: &Policy) -> Result<Vec<Ready>, Exit> {
    let folders = FILTER_FOLDERS.map(Path::new);
    let load = |(index, jail): (usize, &Jail)| {
        let kind = match jail.logs {
            From::Files(_) => filters::Kind::File,
            From::Journal => filters::Kind::Journal,
        };
        let filter =
            Filter::load(&jail.filter, kind, &folders, &Disk).map_err(|error| match told(&error) {
                Exit::No(text) => Exit::No(format!("the jail `{}` has no filter: {text}", jail.rule.name)),
                Exit::Policy(mistakes) => {
                    Exit::No(format!("the jail `{}` has no filter:\n{}", jail.rule.name, draw(&mistakes)))
                }
                exit @ (Exit::System(_) | Exit::Silent) => exit,
            })?;
        Ok(Ready { index, jail: jail.clone(), filter })
    };
    policy.jails().iter().enumerate().map(load).collect()
}

impl Logs {
    /// `positions` are of earlier runs.
    pub(crate) fn new(positions: Vec<Position>) -> Self {
        let positions = positions.into_iter().map(|position| (position.log, position.place)).collect();
        Self { run: 0, positions, stop: None, states: Arc::default() }
    }

    /// Searches the logs of these jails, and no others any more.
    pub(crate) fn follow(&mut self, jails: Vec<Ready>, tasks: &Sender<Task>) -> Result<(), Exit> {
        self.stop();
        self.run += 1;
        let stop = Arc::new(AtomicBool::new(false));
        self.states.begin(&jails);
        let mut of_files = Vec::new();
        for ready in jails {
            if matches!(ready.jail.logs, From::Files(_)) {
                of_files.push(ready);
                continue;
            }
            let place = self.positions.get(&journal::log(&ready)).cloned();
            let work = self.work(&stop, tasks);
            spawn(move || journal::run(ready, place.as_deref(), &work))?;
        }
        if !of_files.is_empty() {
            let (work, positions) = (self.work(&stop, tasks), self.positions.clone());
            spawn(move || files::run(of_files, &positions, &work))?;
        }
        self.stop = Some(stop);
        Ok(())
    }

    /// Ends the threads; what they found and nobody took is found again by the next ones.
    pub(crate) fn stop(&mut self) {
        if let Some(stop) = self.stop.take() {
            stop.store(true, Ordering::Relaxed);
        }
    }

    /// For `status`.
    pub(crate) fn json(&self) -> Value {
        self.states.json()
    }

    fn work(&self, stop: &Arc<AtomicBool>, tasks: &Sender<Task>) -> Work {
        Work { run: self.run, stop: Arc::clone(stop), tasks: tasks.clone(), states: Arc::clone(&self.states) }
    }
}

impl Drop for Logs {
    fn drop(&mut self) {
        self.stop();
    }
}

fn spawn(work: impl FnOnce() + Send + 'static) -> Result<(), Exit> {
    let spawned = std::thread::Builder::new().name("logs".to_owned()).spawn(work);
    spawned.map(drop).map_err(|error| Exit::System(format!("cannot start a thread: {error}")))
}

/// What a thread needs.
#[derive(Clone, Debug)]
struct Work {
    run: u64,
    stop: Arc<AtomicBool>,
    tasks: Sender<Task>,
    states: Arc<States>,
}

impl Work {
    fn is_over(&self) -> bool {
        self.stop.load(Ordering::Relaxed) || self.tasks.is_closed()
    }

    /// Waits until the daemon has room; so a log that grows faster than it is judged waits in its file.
    fn send(&self, batch: Batch) -> bool {
        self.tasks.blocking_send(Task::Log(batch)).is_ok()
    }
}

/// Whether a line says that the address made a connection, as Asterisk's security events do: `IPV4/TLS/203.0.113.9/5061`. One that
/// says where it came from twice was written by a stranger in part.
fn names_connection(line: &str, address: IpAddr) -> bool {
    if line.matches("RemoteAddress=").count() != 1 {
        return false;
    }
    let family = if address.is_ipv4() { "IPV4" } else { "IPV6" };
    ["TCP", "TLS", "WS", "WSS"]
        .iter()
        .any(|transport| line.contains(&format!("RemoteAddress=\"{family}/{transport}/{address}/")))
}

/// Whom a failure counts against: an address, or a network no wider than one source. Of a wider one nobody is known to be guilty.
fn one_source(host: &filters::Host) -> Option<IpAddr> {
    match host {
        filters::Host::Addr(addr) => Some(*addr),
        filters::Host::Net { addr, prefix } => {
            (*prefix >= if addr.is_ipv4() { 32 } else { 64 }).then_some(*addr)
        }
        filters::Host::Name(_) | filters::Host::Id(_) => None,
    }
}

/// Notes what a filter found in a line.
fn note(
    (jail, states): (usize, &States),
    (outcome, is_cut): (filters::Outcome, bool),
    is_old: bool,
    found: &mut Vec<Found>,
) {
    states.count(jail, &outcome, is_cut, is_old);
    if is_old && !outcome.dated {
        // Nobody knows when it was.
        return;
    }
    for failure in outcome.failures {
        let Some(address) = one_source(&failure.host) else { continue };
        let line = failure.lines.last().map_or("", String::as_str);
        found.push(Found {
            address,
            other: failure.other.map(|other| other.to_string()),
            account: failure.user.unwrap_or_default(),
            time: failure.time,
            is_old,
            is_connection: names_connection(line, address),
            line: line.trim_end().chars().take(MAX_TEXT).collect(),
        });
    }
}

impl Daemon {
    /// Counts what was found in a log.
    pub(super) fn read_log(&mut self, batch: Batch) -> Result<(), Exit> {
        if batch.run != self.logs.run {
            return Ok(());
        }
        for news in &batch.news {
            say(&format!("{news}\n"));
        }
        let mut changes = Vec::new();
        for found in &batch.found {
            self.judge(batch.jail, found);
            changes.extend(self.carry_out(Some(&found.line))?);
        }
        if let Some((log, place)) = batch.position {
            self.logs.positions.insert(log.clone(), place.clone());
            changes.push(Change::Position(Position { log, place, at: Time::from(clock::now()) }));
        }
        if !changes.is_empty() {
            self.book.write(changes);
        }
        Ok(())
    }

    fn judge(&mut self, jail: usize, found: &Found) {
        let now = clock::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        if let Some(other) = &found.other {
            if !found.is_old {
                let detail = format!("a line may be about {other} as well, so it counts against nobody");
                let source = Source::of(found.address);
                self.live.tell(Command::Alert { time: now, source, detector: Kind::Jail, detail });
            }
            return;
        }
        // Lines have the wall clock's time; ages are the same by every clock.
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let age = wall.saturating_sub(found.time);
        self.live.hear(&Testimony {
            peer: SocketAddr::new(found.address, 0),
            is_proof: found.is_connection,
            nonce: None,
            account: &found.account,
            fact: Fact::Failure(Failure { jail, age, is_old: found.is_old }),
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_of_a_connection_of_the_address_itself_and_once() {
        let address = "203.0.113.9".parse().unwrap();
        let line = |origin: &str| format!("SecurityEvent=\"InvalidPassword\",AccountID=\"1\",{origin}");
        assert!(names_connection(&line("RemoteAddress=\"IPV4/TLS/203.0.113.9/5061\""), address));
        for origin in [
            "RemoteAddress=\"IPV4/UDP/203.0.113.9/5061\"",
            "RemoteAddress=\"IPV4/TLS/203.0.113.99/5061\"",
            "LocalAddress=\"IPV4/TLS/203.0.113.9/5061\"",
            "RemoteAddress=\"IPV4/TLS/203.0.113.9/1\",RemoteAddress=\"IPV4/UDP/203.0.113.9/2\"",
        ] {
            assert!(!names_connection(&line(origin), address), "{origin}");
        }
    }

    #[test]
    fn a_network_counts_against_nobody_but_one_source() {
        let net = |addr: &str, prefix| {
            one_source(&filters::Host::Net { addr: addr.parse().unwrap(), prefix }).is_some()
        };
        assert!(net("203.0.113.9", 32) && net("2001:db8::1", 64) && net("2001:db8::1", 128));
        assert!(!net("203.0.113.0", 24) && !net("2001:db8::", 48));
    }
}
