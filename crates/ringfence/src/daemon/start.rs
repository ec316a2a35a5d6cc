//! From arguments to a policy in force.

use std::os::unix::net::UnixListener;
use std::time::{Duration, SystemTime};

use host::machine::Selection;
use ledger::{Net, Time};
use policy::Policy;
use policy::plan::Plan;
use tokio::sync::mpsc;

use super::book::{Book, Restored};
use super::confined::Helpers;
use super::control::SOCKET;
use super::feeds::Feeds;
use super::force::InForce;
use super::instance::{Instance, Lock};
use super::kept::{Kept, Standing};
use super::live::Live;
use super::logs::Logs;
use super::metrics::Exposition;
use super::privacy::Visitors;
use super::recent::Recent;
use super::reload::Prepared;
use super::report::Reporter;
use super::talkers::Talkers;
use super::witnesses::Witnesses;
use super::{Daemon, book, clock, confirm, instance, lockout, say, server};
use crate::cli::RunArgs;
use crate::command::read_policy;
use crate::exit::{Exit, draw};

/// So long after a ban the next one is still longer, also after a restart.
const MEMORY: Duration = Duration::from_secs(30 * 24 * 3600);
/// Sources of which that is known.
const MAX_LEVELS: u32 = 100_000;

impl Daemon {
    /// Puts the policy in force. If anything fails, the machine is left as it was.
    pub(crate) fn start(args: &RunArgs) -> Result<Self, Exit> {
        let mut args = args.clone();
        let mut prepared = Prepared::new(read_policy(&args.policy)?, &args, None)?;
        // What we write is for root alone.
        rustix::process::umask(rustix::fs::Mode::from_bits_truncate(0o077));
        args.pin_dir = std::path::absolute(&args.pin_dir).map_err(Exit::io("find", &args.pin_dir))?;
        let run_dir = args.daemon.run_dir.clone();
        let lock = Instance::lock(&run_dir)?;
        instance::private_dir(&args.state_dir)?;
        let state = Instance::lock_state(&args.state_dir)?;
        let helpers = Helpers::start(&args)?;
        let kept = Kept::of(&args.state_dir);
        if confirm::was_given(&run_dir) {
            // The daemon died before it knew.
            kept.accept().map_err(Exit::io("write", &args.state_dir))?;
        }
        let mut standing = Standing::new(&args);
        if standing == Standing::Kept && kept.is_unconfirmed(&prepared.policy) {
            // It holds the port of the metrics.
            drop(prepared);
            prepared = Prepared::to_go_back(kept.read()?, &args, None)?;
            standing = Standing::RolledBack;
        } else if standing == Standing::Kept {
            // What stands is left as it is, and so are traces of ours that nobody needs.
            lockout::check(&prepared.policy, &helpers.sessions.all()?).inspect_err(|_| {
                drop(Instance::read(&run_dir).is_none().then(|| Instance::forget(&run_dir)))
            })?;
        }
        let waiting = warn_of_missing(&prepared.selection);
        let was_pinned = host::gate::is_pinned(&args.pin_dir);
        let Prepared { policy, plan, selection, jails, witnesses: to_hear, exposition } = prepared;
        // A port that somebody else has is no reason to leave the host unguarded.
        let exposition = exposition.unwrap_or_else(|reason| {
            say(&format!("warning: {}\n", reason.text()));
            super::metrics::Next::Nowhere
        });
        match Self::enforce(&args, &policy, (plan, selection), &helpers) {
            Ok(Enforced { force, live, reporter, book, restored, listener, pins }) => {
                say(&draw(policy.warnings()));
                say(&waiting);
                say(&restored.message());
                if standing == Standing::RolledBack {
                    say(&format!(
                        "warning: {} was tried and nobody confirmed it: the policy before is in force; `ringfence reload \
                         --confirm 60s` tries it again\n",
                        args.policy.display()
                    ));
                } else if standing == Standing::Kept
                    && let Err(error) = kept.keep(&policy)
                {
                    say(&format!("warning: cannot keep the policy to go back to: {error}\n"));
                }
                for name in host::machine::unguarded().unwrap_or_default() {
                    say(&format!(
                        "warning: {name} is not guarded by the gate, which cannot read its frames; nftables is in force there\n"
                    ));
                }
                // What is started from now on has no more than the daemon has itself.
                let confined = helpers.confine_daemon();
                say(&confined.warning());
                let (tasks, finished) = mpsc::channel(64);
                book.severer.guard(&policy.detection().ports);
                let mut logs = Logs::new(book.read(ledger::Reader::positions)?);
                logs.follow(jails, &tasks)?;
                let (witnesses, ears) = Witnesses::new();
                Ok(Self {
                    args,
                    force,
                    helpers,
                    confined,
                    kept,
                    standing,
                    live,
                    reporter,
                    book,
                    feeds: Feeds::new(policy.feeds()),
                    logs,
                    witnesses,
                    to_hear: Some((to_hear, ears)),
                    exposition: Exposition::default(),
                    to_serve: exposition,
                    started: SystemTime::now(),
                    recent: Recent::default(),
                    talkers: Talkers::default(),
                    visitors: Visitors::default(),
                    tasks,
                    finished: Some(finished),
                    drifts: 0,
                    compared: None,
                    listener,
                    told: Vec::new(),
                    complained: Vec::new(),
                    clean: false,
                    _locks: [lock, state, pins],
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
        (plan, selection): (Plan, Selection),
        helpers: &Helpers,
    ) -> Result<Enforced, Exit> {
        let run_dir = &args.daemon.run_dir;
        let was_pinned = host::gate::is_pinned(&args.pin_dir);
        let group = args.group.as_deref().map(group_number).transpose()?;
        // A ledger that cannot be read is told before anything is in the kernel.
        let mut book = Book::open(&args.state_dir, helpers)?;
        clock::begin(&args.state_dir);
        let reporter = Reporter::open(&args.state_dir, policy.event_files())?;
        if let Some(group) = group {
            instance::open_to(run_dir, group)?;
        }
        let listener = server::listen(&run_dir.join(SOCKET), group)?;
        // Written down before anything is in the kernel, so that it can always be found and taken off.
        let before =
            Instance::read(run_dir).is_some_and(|known| known.mounted && known.pin_dir == args.pin_dir);
        let mounted = host::bpffs::prepare(&args.pin_dir)?;
        let pins = Instance::lock_pins(&args.pin_dir)?;
        let namespace = host::machine::namespace();
        Instance { pin_dir: args.pin_dir.clone(), mounted: mounted || before, namespace }.write(run_dir)?;
        // Nobody is to confirm what an earlier run left.
        confirm::clear(run_dir)?;
        if let Some(period) = args.confirm {
            let kept = Kept::of(&args.state_dir);
            kept.try_out(policy)?;
            let watch = confirm::start(args, period, was_pinned && kept.is_there())?;
            confirm::begin(run_dir, &watch)?;
        }
        let mut force =
            InForce::first(policy, plan, selection, args).inspect_err(|_| drop(confirm::clear(run_dir)))?;
        let mut live = Live::new(policy)?;
        let restored =
            restore(&mut force, &mut live, &mut book, policy.trusted_names()).inspect_err(|_| {
                if !was_pinned {
                    drop(host::gate::remove(&args.pin_dir));
                    drop(host::nft::remove());
                }
            })?;
        Ok(Enforced { force, live, reporter, book, restored, listener, pins })
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
    pins: Lock,
}

/// Puts back into the kernel what the ledger knows.
fn restore(
    force: &mut InForce,
    live: &mut Live,
    book: &mut Book,
    names: &[String],
) -> Result<Restored, Exit> {
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
    drop(book.shelter.follow_names(names));
    let now = Time::from(clock::now());
    for (source, until) in book.read(|reader| reader.graces(now))? {
        let left = until.0.saturating_sub(now.0);
        book.shelter.grace(source, Duration::from_micros(u64::try_from(left).unwrap_or(0)));
    }
    let month = clock::now().checked_sub(MEMORY).map_or(Time(0), Time::from);
    for (source, level) in book.read(|reader| reader.levels(month, MAX_LEVELS))? {
        live.remember(source.address(), level, Duration::ZERO, ledger::Scope::SipPorts);
    }
    let restored = book.restore(&mut sources, |row| {
        if row.ban.by == ledger::By::Detector {
            let until =
                row.until.map_or(Duration::MAX, |until| Duration::from_micros(until.0.unsigned_abs()));
            live.remember(row.ban.source.address(), row.ban.level, until, row.scope);
        }
    })?;
    live.trust(book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()));
    Ok(restored)
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
