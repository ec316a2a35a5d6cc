//! What `run` does until it is stopped: keeps a policy in force, tells what the gate drops, answers commands.

/// The control socket's protocol, for both ends.
pub(crate) mod control;
/// A policy, put in force on this machine.
mod force;
/// The run directory.
pub(crate) mod instance;
/// The engine on live traffic.
mod live;
/// From the gate's events to log lines and JSON.
mod report;
/// The control socket's server.
mod server;
/// What `status` shows.
mod status;

use std::io::{self, Write as _};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use gate::layout::Event;
use host::LinkNews;
use host::machine::Selection;
use policy::Policy;
use policy::plan::Plan;
use serde_json::{Value, json};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::mpsc;
use tokio::time::{MissedTickBehavior, interval};

use self::control::SOCKET;
use self::force::{Events, InForce};
use self::instance::{Instance, Lock};
use self::live::Live;
use self::report::Reporter;
use self::server::Request;
use crate::cli::RunArgs;
use crate::command::read_policy;
use crate::exit::{Exit, draw};

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
    live: Live,
    reporter: Reporter,
    listener: UnixListener,
    /// The faults that were last told.
    told: Vec<String>,
    /// The interfaces that could not be guarded when they were last looked at.
    complained: Vec<String>,
    /// Whoever stops us takes the gate off, too.
    clean: bool,
    _lock: Lock,
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
        let lock = Instance::lock(&args.daemon.run_dir)?;
        let was_pinned = host::gate::is_pinned(&args.pin_dir);
        match Self::enforce(&args, &policy, plan, selection) {
            Ok((force, live, reporter, listener)) => {
                say(&draw(policy.warnings()));
                say(&waiting);
                for name in host::machine::unguarded().unwrap_or_default() {
                    say(&format!(
                        "warning: {name} is not guarded by the gate, which cannot read its frames; nftables is in force there\n"
                    ));
                }
                Ok(Self {
                    args,
                    force,
                    live,
                    reporter,
                    listener,
                    told: Vec::new(),
                    complained: Vec::new(),
                    clean: false,
                    _lock: lock,
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

    fn enforce(
        args: &RunArgs,
        policy: &Policy,
        plan: Plan,
        selection: Selection,
    ) -> Result<(InForce, Live, Reporter, UnixListener), Exit> {
        let run_dir = &args.daemon.run_dir;
        instance::private_dir(&args.state_dir)?;
        let reporter = Reporter::open(&args.state_dir)?;
        let listener = server::listen(&run_dir.join(SOCKET))?;
        // Written down before anything is in the kernel, so that it can always be found and taken off.
        let before =
            Instance::read(run_dir).is_some_and(|known| known.mounted && known.pin_dir == args.pin_dir);
        let mounted = host::bpffs::prepare(&args.pin_dir)?;
        let namespace = host::machine::namespace();
        Instance { pin_dir: args.pin_dir.clone(), mounted: mounted || before, namespace }.write(run_dir)?;
        let force = InForce::first(policy, plan, selection, args)?;
        Ok((force, Live::new(policy)?, reporter, listener))
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
        let mut flush = interval(FLUSH);
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
                Some(request) = requests.recv() => {
                    if self.answer(request, &mut events).await? {
                        break;
                    }
                }
                _ = hangup.recv() => {
                    let answer = self.reload(&mut events)?;
                    say(&format!("{}\n", answer.get("message").and_then(Value::as_str).unwrap_or_default()));
                }
                _ = interrupt.recv() => break,
                _ = terminate.recv() => break,
                _ = flush.tick() => {
                    self.live.tick(SystemTime::now());
                    self.obey()?;
                    self.reporter.flush();
                }
                _ = verify.tick() => self.verify(),
            }
        }
        host::notify::notify("STOPPING=1");
        self.drain(events.get_mut(), usize::MAX)?;
        self.reporter.flush();
        let socket = self.args.daemon.run_dir.join(SOCKET);
        let _ = std::fs::remove_file(socket);
        if !self.clean {
            say("stopped; the gate goes on with its last policy, `ringfence stop --clean` takes it off\n");
        }
        Ok(())
    }

    /// Answers one request; whether it was the last one.
    async fn answer(&mut self, request: Request, events: &mut AsyncFd<Events>) -> Result<bool, Exit> {
        let command = request.body.get("command").and_then(Value::as_str).unwrap_or_default();
        let (answer, last) = match command {
            "status" => (status::status(&mut self.force, &self.live, &self.reporter, &self.args), false),
            "reload" => (self.reload(events)?, false),
            "stop" => {
                self.clean = request.body.get("clean") == Some(&Value::Bool(true));
                (json!({ "ok": true, "pid": std::process::id() }), true)
            }
            other => (json!({ "ok": false, "message": format!("no command `{other}`") }), false),
        };
        request.answer(answer).await;
        Ok(last)
    }

    /// Handles up to `most` events that wait; how many there were.
    fn drain(&mut self, events: &mut Events, most: usize) -> Result<usize, Exit> {
        let (now, wall) = (host::machine::monotonic(), SystemTime::now());
        let mut handled = 0;
        while handled < most {
            let Some(record) = events.next() else { break };
            let Some(event) = Event::from_bytes(&record) else { break };
            handled += 1;
            let age = Duration::from_nanos(now.saturating_sub(event.time));
            let time = wall.checked_sub(age).unwrap_or(wall);
            self.reporter.see(&event, time, &self.force, now);
            self.live.see(&event, event.capture(&record), time);
            drop(record);
            self.obey()?;
        }
        Ok(handled)
    }

    /// Does what the engine decided, and tells it. When only observing, it is told and not done.
    fn obey(&mut self) -> Result<(), Exit> {
        let commands = self.live.take();
        if commands.is_empty() {
            return Ok(());
        }
        if !self.force.observe {
            let mut sources = self.force.gate_mut().sources()?;
            for command in &commands {
                if !self.live.obey(command, &mut sources)? {
                    self.reporter.alarm("the kernel's tables of sources are full");
                }
            }
        }
        self.reporter.decided(&commands);
        Ok(())
    }

    /// Reads the policy again. A wrong one changes nothing.
    fn reload(&mut self, events: &mut AsyncFd<Events>) -> Result<Value, Exit> {
        host::notify::notify("RELOADING=1");
        let answer = match self.next_policy() {
            Ok((next, policy)) => {
                // What the old generation dropped is told in its own words.
                self.drain(events.get_mut(), usize::MAX)?;
                self.force = next;
                self.live.follow(&policy)?;
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

    fn next_policy(&mut self) -> Result<(InForce, Policy), Exit> {
        let policy = read_policy(&self.args.policy)?;
        let plan = force::plan(&policy, self.args.observe)?;
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
