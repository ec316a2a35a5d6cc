//! What `run` does until it is stopped: keeps a policy in force, tells what the gate drops, answers commands.

/// What commands are answered.
mod answers;
/// Bans, in the kernel and in the ledger.
pub(crate) mod book;
/// The time of the ledger.
pub(crate) mod clock;
/// Kernel and ledger, compared.
mod compare;
/// What the daemon gives up, and who does for it what it then cannot do.
mod confined;
/// `run --confirm`.
pub(crate) mod confirm;
/// The control socket's protocol, for both ends.
pub(crate) mod control;
/// From events to what is done about them.
mod decide;
/// What differs between kernel and ledger.
mod drift;
/// Block lists.
mod feeds;
/// A policy, put in force on this machine.
pub(crate) mod force;
/// The run directory.
pub(crate) mod instance;
/// The policy that stayed in force, to go back to.
pub(crate) mod kept;
/// The engine on live traffic.
mod live;
/// Whether a policy locks the operator out.
pub(crate) mod lockout;
/// Logs that jails search.
pub(crate) mod logs;
/// Metrics for Prometheus.
mod metrics;
/// Who talks in the clear.
mod privacy;
/// How fast bans came to be.
mod reactions;
/// What happened lately.
mod recent;
/// Another policy, while the daemon runs.
mod reload;
/// From the gate's events to log lines and JSON.
mod report;
/// The control socket's server.
mod server;
/// What is open when a ban begins.
mod sever;
/// Who is never banned.
mod shelter;
/// From arguments to a policy in force.
mod start;
/// What `status` shows.
mod status;
/// Who sends most of what is dropped.
mod talkers;
/// PBXs and others that testify.
pub(crate) mod witnesses;

use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use host::LinkNews;
use ledger::{Change, Time};
use serde_json::Value;
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::answers::Task;
use self::book::Book;
use self::confined::{Confined, Helpers};
use self::control::SOCKET;
use self::feeds::Feeds;
use self::force::InForce;
use self::instance::Lock;
use self::kept::{Kept, Standing};
use self::live::Live;
use self::logs::Logs;
use self::metrics::Exposition;
use self::privacy::Visitors;
use self::recent::Recent;
use self::report::Reporter;
use self::talkers::Talkers;
use self::witnesses::{Ears, Witnesses};
use crate::cli::RunArgs;
use crate::exit::Exit;

/// How often what is buffered is written.
const FLUSH: Duration = Duration::from_secs(1);
/// How often the kernel is compared with the policy.
const VERIFY: Duration = Duration::from_secs(30);
/// Events that are handled before anything else gets a turn.
const BATCH: usize = 1024;

/// A daemon with its policy in force.
#[derive(Debug)]
pub(crate) struct Daemon {
    args: RunArgs,
    force: InForce,
    helpers: Helpers,
    confined: Confined,
    kept: Kept,
    standing: Standing,
    live: Live,
    reporter: Reporter,
    book: Book,
    feeds: Feeds,
    logs: Logs,
    witnesses: Witnesses,
    /// What is needed to listen to them, before the daemon serves.
    to_hear: Option<(witnesses::Ready, Ears)>,
    exposition: Exposition,
    /// What is served from when the daemon serves.
    to_serve: metrics::Next,
    started: SystemTime,
    recent: Recent,
    talkers: Talkers,
    visitors: Visitors,
    /// What went on elsewhere comes back here.
    tasks: mpsc::Sender<Task>,
    finished: Option<mpsc::Receiver<Task>>,
    /// Since the daemon started: differences found between kernel and ledger, and when they were last compared.
    drifts: u64,
    compared: Option<SystemTime>,
    listener: UnixListener,
    /// The faults that were last told.
    told: Vec<String>,
    /// The interfaces that could not be guarded when they were last looked at.
    complained: Vec<String>,
    /// Whoever stops us takes the gate off, too.
    clean: bool,
    _locks: [Lock; 3],
}

impl Daemon {
    /// Serves until a signal or `stop` ends it. The gate and the nftables table stay.
    pub(crate) async fn serve(mut self) -> Result<(), Exit> {
        let failed = |error: io::Error| Exit::System(format!("cannot watch the gate: {error}"));
        let mut events = watch(self.force.take_events()?).map_err(failed)?;
        let mut news = watch(LinkNews::listen().map_err(failed)?).map_err(failed)?;
        let (sender, mut requests) = mpsc::channel(16);
        self.exposition.follow(std::mem::take(&mut self.to_serve), &sender).await;
        tokio::spawn(server::serve(self.listener.try_clone().map_err(failed)?, sender));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let Some(mut finished) = self.finished.take() else { return Ok(()) };
        let Some((witnesses, mut ears)) = self.to_hear.take() else { return Ok(()) };
        self.listen_to(witnesses).await;
        let mut flush = interval(FLUSH);
        let mut compare = interval(compare::period());
        compare.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut verify = interval(VERIFY);
        flush.set_missed_tick_behavior(MissedTickBehavior::Delay);
        verify.set_missed_tick_behavior(MissedTickBehavior::Delay);
        say(&format!("{}\n", self.force.ready()));
        // Whatever came while we started, before we listened.
        self.follow();
        host::notify::notify("READY=1");
        loop {
            tokio::select! {
                ready = events.readable_mut() => {
                    let mut ready = ready.map_err(failed)?;
                    let handled = self.drain(ready.get_inner_mut(), BATCH)?;
                    if handled < BATCH {
                        ready.clear_ready();
                    }
                }
                ready = news.readable_mut() => {
                    let mut ready = ready.map_err(failed)?;
                    ready.get_inner().drain();
                    ready.clear_ready();
                    self.follow();
                }
                Some((request, waiting)) = requests.recv() => {
                    if self.answer(request, waiting, &mut events).await? {
                        break;
                    }
                }
                Some(task) = finished.recv() => self.finish(task)?,
                Some(news) = ears.news.recv() => self.hear(&news)?,
                Some(copied) = ears.copies.recv() => self.take_copies(copied, &mut ears.copies)?,
                _ = hangup.recv() => {
                    let answer = self.reload(None, &mut events).await?;
                    say(&format!("{}\n", answer.get("message").and_then(Value::as_str).unwrap_or_default()));
                }
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = flush.tick() => {
                    self.book.shelter.refresh();
                    self.live.tick(clock::now());
                    self.obey(None)?;
                    self.book.count();
                    self.keep_what_is_confirmed();
                    self.ask_for_feeds()?;
                    self.reporter.flush();
                }
                _ = verify.tick() => {
                    self.verify();
                    self.visitors.look();
                }
                _ = compare.tick() => {
                    self.talkers.fade();
                    self.book.write(vec![Change::Expire { now: Time::from(clock::now()) }]);
                    self.follow_names();
                    self.compare(None);
                    self.listen_for_silence();
                }
            }
        }
        host::notify::notify("STOPPING=1");
        self.keep_what_is_confirmed();
        self.drain(events.get_mut(), usize::MAX)?;
        self.book.count();
        self.book.close();
        self.reporter.flush();
        let socket = self.args.daemon.run_dir.join(SOCKET);
        let _ = std::fs::remove_file(socket);
        if !self.clean {
            say("stopped; the gate goes on with its last policy, `ringfence stop --clean` takes it off\n");
        }
        Ok(())
    }

    /// Guards what has come, and says so; what cannot be guarded is told once.
    fn follow(&mut self) {
        let changes = match self.force.follow(&self.args.interfaces) {
            Ok(changes) => changes,
            Err(Exit::System(text) | Exit::No(text)) => {
                force::Changes { failed: vec![text], ..force::Changes::default() }
            }
            Err(Exit::Policy(_) | Exit::Silent) => force::Changes::default(),
        };
        for name in &changes.left {
            say(&format!("no longer guarding {name}\n"));
        }
        for interface in &changes.guarding {
            say(&format!("guarding {interface}\n"));
        }
        for failure in changes.failed.iter().filter(|failure| !self.complained.contains(failure)) {
            say(&format!("warning: {failure}\n"));
            self.reporter.alarm(failure);
        }
        self.complained = changes.failed;
    }

    /// Compares the kernel with the policy; a new difference is told once.
    fn verify(&mut self) {
        // What could not be guarded may be guarded now, and news may have been lost.
        self.follow();
        let faults = self.force.faults();
        if faults != self.told {
            for fault in &faults {
                say(&format!("warning: not enforced: {fault}\n"));
                self.reporter.alarm(fault);
            }
            self.told = faults;
        }
        host::notify::notify("WATCHDOG=1");
    }
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; what is watched owns its descriptor as long as that lasts"
)]
fn watch<T: AsRawFd>(source: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(source, Interest::READABLE)
}

/// A line for the terminal or systemd's journal. A closed stderr stops nothing.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
