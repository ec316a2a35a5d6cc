//! What `run` does until it is stopped: keeps a policy in force, tells what the gate drops, answers commands.

/// Commands about bans and trust.
mod answers;
/// Bans, in the kernel and in the ledger.
pub(crate) mod book;
/// The time of the ledger.
pub(crate) mod clock;
/// `run --confirm`.
pub(crate) mod confirm;
/// The control socket's protocol, for both ends.
pub(crate) mod control;
/// Kernel against ledger.
mod drift;
/// A policy, put in force on this machine.
mod force;
/// The run directory.
pub(crate) mod instance;
/// The engine on live traffic.
mod live;
/// Whether a policy locks the operator out.
mod lockout;
/// What happened lately.
mod recent;
/// From the gate's events to log lines and JSON.
mod report;
/// The control socket's server.
mod server;
/// Who is never banned.
mod shelter;
/// What `status` shows.
mod status;
/// Who sends most of what is dropped.
mod talkers;

use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use engine::Command;
use gate::layout::Event;
use gate::{Family, Reason, Verdict};
use host::LinkNews;
use host::machine::Selection;
use ledger::{Change, Net, Time};
use policy::Policy;
use policy::plan::Plan;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::answers::Task;
use self::book::{Book, Restored};
use self::control::SOCKET;
use self::drift::{Drift, Look};
use self::force::{Events, InForce};
use self::instance::{Instance, Lock};
use self::live::Live;
use self::recent::Recent;
use self::report::Reporter;
use self::server::Waiting;
use self::talkers::Talkers;
use crate::cli::RunArgs;
use crate::command::read_policy;
use crate::exit::{Exit, draw};
use crate::request::Request;

/// How often what is buffered is written.
const FLUSH: Duration = Duration::from_secs(1);
/// How often the kernel is compared with the policy.
const VERIFY: Duration = Duration::from_secs(30);
/// How often the kernel's bans are compared with the ledger, and trusted names are looked up.
const COMPARE: Duration = Duration::from_secs(60);
/// For tests: the same in milliseconds.
const COMPARE_MS: &str = "RINGFENCE_COMPARE_MS";
/// Differences between kernel and ledger that are told one by one.
const TOLD: usize = 10;
/// Differences that are repaired before anything else gets a turn.
const REPAIRED: usize = 500;
/// Microseconds that a command may take from the ledger to the kernel.
const RECENT: i64 = 60_000_000;
/// Events that are handled before anything else gets a turn.
const BATCH: usize = 1024;

/// A daemon with its policy in force.
#[derive(Debug)]
pub(crate) struct Daemon {
    args: RunArgs,
    force: InForce,
    live: Live,
    reporter: Reporter,
    book: Book,
    recent: Recent,
    talkers: Talkers,
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
    _locks: [Lock; 2],
}

impl Daemon {
    /// Puts the policy in force. If anything fails, the machine is left as it was.
    pub(crate) fn start(args: &RunArgs) -> Result<Self, Exit> {
        let mut args = args.clone();
        let policy = read_policy(&args.policy)?;
        let plan = force::plan(&policy, args.observe)?;
        host::machine::check()?;
        // What we write is for root alone.
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
        args.pin_dir = std::path::absolute(&args.pin_dir).map_err(Exit::io("find", &args.pin_dir))?;
        let mut selection = host::machine::select(&args.interfaces, &plan.gate.interfaces)?;
        if !selection.refused.is_empty() {
            return Err(selection.refused.remove(0).into());
        }
        let waiting = warn_of_missing(&selection);
        if !args.observe && args.confirm.is_none() {
            lockout::check(&policy)?;
        }
        let lock = Instance::lock(&args.daemon.run_dir)?;
        instance::private_dir(&args.state_dir)?;
        let state = Instance::lock_state(&args.state_dir)?;
        let was_pinned = host::gate::is_pinned(&args.pin_dir);
        match Self::enforce(&args, &policy, plan, selection) {
            Ok(Enforced { force, live, reporter, book, restored, listener }) => {
                say(&draw(policy.warnings()));
                say(&waiting);
                say(&restored.message());
                for name in host::machine::unguarded().unwrap_or_default() {
                    say(&format!(
                        "warning: {name} is not guarded by the gate, which cannot read its frames; nftables is in force there\n"
                    ));
                }
                let (tasks, finished) = mpsc::channel(64);
                Ok(Self {
                    args,
                    force,
                    live,
                    reporter,
                    book,
                    recent: Recent::default(),
                    talkers: Talkers::default(),
                    tasks,
                    finished: Some(finished),
                    drifts: 0,
                    compared: None,
                    listener,
                    told: Vec::new(),
                    complained: Vec::new(),
                    clean: false,
                    _locks: [lock, state],
                })
            }
            Err(reason) => {
                if !was_pinned {
                    let mounted =
                        Instance::read(&args.daemon.run_dir).is_some_and(|instance| instance.mounted);
                    drop(host::bpffs::give_back(&args.pin_dir, mounted));
                    drop(Instance::forget(&args.daemon.run_dir));
                }
                Err(reason)
            }
        }
    }

    fn enforce(args: &RunArgs, policy: &Policy, plan: Plan, selection: Selection) -> Result<Enforced, Exit> {
        let run_dir = &args.daemon.run_dir;
        let group = args.group.as_deref().map(group_number).transpose()?;
        // A ledger that cannot be read is told before anything is in the kernel.
        let mut book = Book::open(&args.state_dir)?;
        clock::begin(&args.state_dir);
        let reporter = Reporter::open(&args.state_dir)?;
        if let Some(group) = group {
            instance::open_to(run_dir, group)?;
        }
        let listener = server::listen(&run_dir.join(SOCKET), group)?;
        // Written down before anything is in the kernel, so that it can always be found and taken off.
        let before =
            Instance::read(run_dir).is_some_and(|known| known.mounted && known.pin_dir == args.pin_dir);
        let mounted = host::bpffs::prepare(&args.pin_dir)?;
        let namespace = host::machine::namespace();
        Instance { pin_dir: args.pin_dir.clone(), mounted: mounted || before, namespace }.write(run_dir)?;
        // Nobody is to confirm what an earlier run left.
        confirm::confirm(run_dir)?;
        if let Some(period) = args.confirm {
            confirm::watch(args, period)?;
        }
        let mut force =
            InForce::first(policy, plan, selection, args).inspect_err(|_| drop(confirm::confirm(run_dir)))?;
        let mut live = Live::new(policy)?;
        let restored = restore(&mut force, &mut live, &mut book)?;
        Ok(Enforced { force, live, reporter, book, restored, listener })
    }

    /// Serves until a signal or `stop` ends it. The gate and the nftables table stay.
    pub(crate) async fn serve(mut self) -> Result<(), Exit> {
        let failed = |error: io::Error| Exit::System(format!("cannot watch the gate: {error}"));
        let mut events = watch(self.force.take_events()?).map_err(failed)?;
        let mut news = watch(LinkNews::listen().map_err(failed)?).map_err(failed)?;
        let (sender, mut requests) = mpsc::channel(16);
        tokio::spawn(server::serve(self.listener.try_clone().map_err(failed)?, sender));
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut hangup = signal(SignalKind::hangup()).map_err(failed)?;
        let Some(mut finished) = self.finished.take() else { return Ok(()) };
        let mut flush = interval(FLUSH);
        let mut compare = interval(compare_period());
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
                _ = hangup.recv() => {
                    let answer = self.reload(&mut events)?;
                    say(&format!("{}\n", answer.get("message").and_then(Value::as_str).unwrap_or_default()));
                }
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = flush.tick() => {
                    self.live.tick(clock::now());
                    self.obey(None)?;
                    self.book.count();
                    self.reporter.flush();
                }
                _ = verify.tick() => self.verify(),
                _ = compare.tick() => {
                    self.talkers.fade();
                    self.book.write(vec![Change::Expire { now: Time::from(clock::now()) }]);
                    self.follow_names();
                    self.compare(None);
                }
            }
        }
        host::notify::notify("STOPPING=1");
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

    /// Answers one request, or has it answered; whether it was the last one.
    async fn answer(
        &mut self,
        request: Request,
        waiting: Waiting,
        events: &mut AsyncFd<Events>,
    ) -> Result<bool, Exit> {
        match request {
            Request::Status { verify: false } => waiting.reply(self.status()),
            Request::Status { verify: true } => self.compare(Some(waiting)),
            Request::Top {} => waiting.reply(self.top()),
            Request::Reload {} => waiting.reply(self.reload(events)?),
            Request::Stop { clean } => {
                self.clean = clean;
                waiting.last_reply(json!({ "ok": true, "pid": std::process::id() })).await;
                return Ok(true);
            }
            Request::Ban(ban) => self.ban(&ban, waiting)?,
            Request::Unban(unban) => self.unban(&unban, waiting),
            Request::Bans(bans) => self.bans(bans, waiting),
            Request::Why { address } => self.why(address, waiting)?,
            Request::Trust { what, note } => self.trust(what.as_deref(), note, waiting)?,
            Request::Untrust { what } => self.untrust(&what, waiting)?,
            Request::Confirm {} => {
                let message = if confirm::confirm(&self.args.daemon.run_dir)? {
                    json!({ "ok": true, "message": "confirmed: it stays" })
                } else {
                    json!({ "ok": false, "message": "nothing waits to be confirmed" })
                };
                waiting.reply(message);
            }
        }
        Ok(false)
    }

    fn status(&mut self) -> Value {
        let drifts = status::Drifts { found: self.drifts, compared: self.compared };
        status::status(&mut self.force, &self.live, &self.reporter, &self.book, drifts, &self.args)
    }

    fn top(&mut self) -> Value {
        const SHOWN: usize = 50;
        let mut status = self.status();
        let (decisions, detectors) = self.recent.json();
        let talkers: Vec<Value> = self
            .talkers
            .loudest(SHOWN)
            .into_iter()
            .map(|(address, count)| {
                let reason = Reason::from_u8(count.reason).map_or("", Reason::as_str);
                json!({ "source": address.to_string(), "packets": count.packets, "reason": reason })
            })
            .collect();
        if let Some(object) = status.as_object_mut() {
            object.insert("decisions".to_owned(), decisions);
            object.insert("detectors".to_owned(), detectors);
            object.insert("talkers".to_owned(), json!(talkers));
        }
        status
    }

    /// Handles up to `most` events that wait; how many there were.
    fn drain(&mut self, events: &mut Events, most: usize) -> Result<usize, Exit> {
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
            let line = self.live.has_decided().then(|| book::sip_line(capture)).flatten();
            drop(record);
            self.obey(line.as_deref())?;
        }
        Ok(handled)
    }

    /// Counts who was dropped.
    fn talk(&mut self, event: &Event) {
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
    fn obey(&mut self, line: Option<&str>) -> Result<(), Exit> {
        let mut commands = self.live.take();
        if commands.is_empty() {
            return Ok(());
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
        self.book.decided(&commands, line, self.force.observe);
        Ok(())
    }

    /// Compares the kernel's bans with the ledger, on a thread of its own.
    fn compare(&self, waiting: Option<Waiting>) {
        let (pins, reader, barrier) = (self.args.pin_dir.clone(), self.book.reader(), self.book.barrier());
        let trusted: Vec<Net> =
            self.book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()).collect();
        let tasks = self.tasks.clone();
        tokio::task::spawn_blocking(move || {
            barrier();
            let look = drift::look(&pins, &reader, &trusted);
            drop(tasks.blocking_send(Task::Looked { look, settled: false, waiting }));
        });
    }

    /// Repairs what differs, counts it and says so.
    fn looked(
        &mut self,
        look: Result<Look, Exit>,
        settled: bool,
        waiting: Option<Waiting>,
    ) -> Result<(), Exit> {
        let look = match look {
            Ok(look) => look,
            Err(Exit::System(text) | Exit::No(text)) => {
                self.reporter.alarm(&format!("kernel and ledger cannot be compared: {text}"));
                if let Some(waiting) = waiting {
                    waiting.reply(json!({ "ok": false, "system": true, "message": text }));
                }
                return Ok(());
            }
            Err(Exit::Policy(_) | Exit::Silent) => return Ok(()),
        };
        if !settled && look.drifts.iter().any(|drift| matches!(drift, Drift::Extra { .. })) {
            // It may be a ban that was on its way to the ledger.
            let (barrier, tasks) = (self.book.barrier(), self.tasks.clone());
            tokio::task::spawn_blocking(move || {
                barrier();
                drop(tasks.blocking_send(Task::Looked { look: Ok(look), settled: true, waiting }));
            });
            return Ok(());
        }
        let mut look = look;
        let rest = look.drifts.split_off(look.drifts.len().min(REPAIRED));
        for drift in std::mem::replace(&mut look.drifts, rest) {
            if self.repair(&drift)? {
                self.drifts = self.drifts.saturating_add(1);
                look.repaired += 1;
                self.tell_repaired(&drift, &mut look);
            }
        }
        if !look.drifts.is_empty() {
            let tasks = self.tasks.clone();
            let rest = Task::Looked { look: Ok(look), settled, waiting };
            tokio::spawn(async move { drop(tasks.send(rest).await) });
            return Ok(());
        }
        if let Some(more) = look.repaired.checked_sub(TOLD).filter(|more| *more > 0) {
            say(&format!("warning: repaired: and {more} more\n"));
            self.reporter.alarm(&format!("repaired: and {more} more"));
        }
        self.compared = Some(SystemTime::now());
        if let Some(waiting) = waiting {
            let mut status = self.status();
            if let Some(object) = status.as_object_mut() {
                object.insert("repaired".to_owned(), json!(look.told));
                object.insert("repairs".to_owned(), json!(look.repaired));
                object.insert("agree".to_owned(), json!(look.agree));
            }
            waiting.reply(status);
        }
        Ok(())
    }

    fn tell_repaired(&mut self, drift: &Drift, look: &mut Look) {
        if look.told.len() == TOLD {
            return;
        }
        let text = drift.to_string();
        say(&format!("warning: repaired: {text}\n"));
        self.reporter.alarm(&format!("repaired: {text}"));
        self.recent.note(format!("repaired: {text}"));
        look.told.push(text);
    }

    /// Repairs one difference, unless it is none any more.
    fn repair(&mut self, drift: &Drift) -> Result<bool, Exit> {
        let source = drift.source();
        let now = Time::from(clock::now());
        let story = self.book.read(|reader| reader.story(source, now))?;
        let is_banned = story.active.iter().any(|row| row.ban.source == source);
        // The command that lifted it may be on its way to the kernel still.
        let was_lifted =
            story.past.iter().any(|past| past.ban.source == source && past.ended.0 > now.0 - RECENT);
        // What the ledger could not write is no reason to lift a ban.
        let is_failing = self.book.state().failing_since.is_some();
        let mut sources = self.force.gate_mut().sources()?;
        match *drift {
            Drift::Missing { until, scope, .. } if is_banned => {
                // Banned while it was looked, most likely.
                if drift::stands(&mut sources, source, until, scope)? {
                    return Ok(false);
                }
                book::put(&mut sources, source, until, scope)
            }
            Drift::Extra { .. } if !is_banned && !is_failing => {
                Ok(book::lift(&mut sources, source)? && !was_lifted)
            }
            // It may be trusted no more since it was looked.
            Drift::Untrusted { .. } => {
                Ok(self.book.shelter.trusts(source) && book::let_through(&mut sources, source)?)
            }
            Drift::Alien { .. } => {
                drop(sources);
                self.distrust_alien(source)
            }
            Drift::Missing { .. } | Drift::Extra { .. } => Ok(false),
        }
    }

    /// Reads the policy again. A wrong one changes nothing.
    fn reload(&mut self, events: &mut AsyncFd<Events>) -> Result<Value, Exit> {
        host::notify::notify("RELOADING=1");
        let answer = match self.next_policy() {
            Ok((next, policy)) => {
                // What the old generation dropped is told in its own words.
                self.drain(events.get_mut(), usize::MAX)?;
                self.force = next;
                if self.live.follow(&policy)? {
                    self.trust_again();
                }
                *events = watch(self.force.take_events()?)
                    .map_err(|error| Exit::System(format!("cannot watch the gate: {error}")))?;
                json!({ "ok": true, "message": format!("reloaded {}", self.args.policy.display()) })
            }
            Err(Exit::Policy(mistakes)) => {
                let message = format!("{} is wrong; the policy in force stays", self.args.policy.display());
                json!({ "ok": false, "message": message, "details": draw(&mistakes) })
            }
            Err(Exit::No(text)) => {
                json!({ "ok": false, "message": format!("{text}; the policy in force stays") })
            }
            Err(Exit::System(text)) => {
                json!({ "ok": false, "system": true, "message": format!("{text}; the policy in force stays") })
            }
            Err(Exit::Silent) => json!({ "ok": false, "message": "nothing was done" }),
        };
        host::notify::notify("READY=1");
        Ok(answer)
    }

    /// A fresh engine, or a policy that trusts others: what the operator trusts is trusted still.
    fn trust_again(&mut self) {
        self.book.shelter.follow(self.live.trusted_by_policy());
        self.live.trust(self.book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()));
    }

    fn next_policy(&mut self) -> Result<(InForce, Policy), Exit> {
        let policy = read_policy(&self.args.policy)?;
        let plan = force::plan(&policy, self.args.observe)?;
        if !self.args.observe {
            lockout::check(&policy)?;
        }
        let mut selection = host::machine::select(&self.args.interfaces, &plan.gate.interfaces)?;
        if !selection.refused.is_empty() {
            return Err(selection.refused.remove(0).into());
        }
        let next = self.force.next(&policy, plan, selection, &self.args)?;
        Ok((next, policy))
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

/// What came of putting a policy in force.
struct Enforced {
    force: InForce,
    live: Live,
    reporter: Reporter,
    book: Book,
    restored: Restored,
    listener: UnixListener,
}

/// Puts back into the kernel what the ledger knows.
fn restore(force: &mut InForce, live: &mut Live, book: &mut Book) -> Result<Restored, Exit> {
    book.shelter.follow(live.trusted_by_policy());
    let mut sources = force.gate_mut().sources()?;
    for trust in book.read(ledger::Reader::trusted)? {
        // Names are looked up when the daemon runs.
        let nets: Vec<Net> = trust.what.parse().ok().into_iter().collect();
        for net in &nets {
            book::let_through(&mut sources, *net)?;
        }
        book.shelter.trust(&trust.what, nets);
    }
    let restored = book.restore(&mut sources, |row| {
        if row.ban.by == ledger::By::Detector {
            let until =
                row.until.map_or(Duration::MAX, |until| Duration::from_micros(until.0.unsigned_abs()));
            live.remember(row.ban.source.address(), row.ban.level, until);
        }
    })?;
    live.trust(book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()));
    Ok(restored)
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

fn compare_period() -> Duration {
    let other = std::env::var(COMPARE_MS).ok().and_then(|text| text.parse().ok());
    other.filter(|millis| *millis > 0).map_or(COMPARE, Duration::from_millis)
}

/// The number of a group of `/etc/group`.
fn group_number(name: &str) -> Result<u32, Exit> {
    let group = nix::unistd::Group::from_name(name)
        .map_err(|error| Exit::System(format!("cannot look up the group `{name}`: {error}")))?;
    let group = group.ok_or_else(|| {
        Exit::No(format!("there is no group `{name}`; `groupadd --system {name}` makes it"))
    })?;
    Ok(group.gid.as_raw())
}

#[expect(
    deprecated,
    reason = "its successor is unsafe; what is watched owns its descriptor as long as that lasts"
)]
fn watch<T: AsRawFd>(source: T) -> io::Result<AsyncFd<T>> {
    AsyncFd::with_interest(source, Interest::READABLE)
}

/// What is to be said about names that are not there.
fn warn_of_missing(selection: &Selection) -> String {
    if selection.waiting.is_empty() {
        return String::new();
    }
    let known = host::machine::interfaces().unwrap_or_default();
    let known: Vec<&str> = known.iter().map(|interface| interface.name.as_str()).collect();
    let missing = |name: &String| {
        format!(
            "warning: there is no interface `{name}` yet; it is guarded when it appears (the interfaces here are: {})\n",
            known.join(", ")
        )
    };
    selection.waiting.iter().map(missing).collect()
}

/// A line for the terminal or systemd's journal. A closed stderr stops nothing.
fn say(text: &str) {
    let _ = io::stderr().write_all(text.as_bytes());
}
