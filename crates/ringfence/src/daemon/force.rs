//! A policy in force: the gate's generation and the nftables table that belong together.

use std::path::PathBuf;
use std::time::SystemTime;

use host::gate::{Gate, Guarded};
use host::machine::Selection;
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};
use sha2::{Digest as _, Sha256};

use crate::cli::RunArgs;
use crate::exit::Exit;

/// The gate's ring buffer.
pub(crate) type Events = host::gate::Events;

/// Events that one CPU may report in a second: enough to see every attacker, too few to keep the daemon busy.
const EVENTS_PER_SECOND: u32 = 20_000;

/// Set for tests of what happens on kernels before 6.6.
const NO_TC_LINKS: &str = "RINGFENCE_NO_TCX";

/// Plans `policy` for this daemon.
pub(crate) fn plan(policy: &Policy, observe: bool) -> Result<Plan, Exit> {
    let mode = if observe { Mode::Observe } else { Mode::Enforce };
    let mut plan =
        Plan::new(policy, mode, Tag::of_namespace(host::machine::namespace())).map_err(Exit::Policy)?;
    plan.gate.tables.config.events_per_second = EVENTS_PER_SECOND;
    // The engine reads what passes, and what is answered.
    plan.gate.tables.config.flags |= gate::layout::CAPTURES;
    if let Some(head) = hash(policy).first_chunk() {
        plan.gate.tables.config.policy = *head;
    }
    Ok(plan)
}

fn hash(policy: &Policy) -> [u8; 32] {
    Sha256::digest(policy.source().text()).into()
}

/// What stands now.
#[derive(Debug)]
pub(crate) struct InForce {
    pub(crate) plan: Plan,
    pub(crate) policy_path: PathBuf,
    pub(crate) policy_hash: [u8; 32],
    pub(crate) loaded_at: SystemTime,
    pub(crate) observe: bool,
    /// What was to be guarded.
    selection: Selection,
    gate: Gate,
    /// Whether the last attempt to follow the interfaces left some unguarded.
    retry: bool,
    /// The table right after it was applied, as the kernel told it.
    nft: Option<[u8; 32]>,
}

impl InForce {
    /// Puts the first policy of a daemon in force. Links that a former daemon left are switched without a gap. Where
    /// nothing was in force before, a failure leaves nothing behind.
    pub(crate) fn first(
        policy: &Policy,
        plan: Plan,
        selection: Selection,
        args: &RunArgs,
    ) -> Result<Self, Exit> {
        let was_pinned = host::gate::is_pinned(&args.pin_dir);
        let before = host::nft::list()?;
        put(policy, plan, selection, args).inspect_err(|_| {
            let restored = match &before {
                Some(table) => host::nft::apply(&format!("{}{table}", policy::plan::nft::removal())),
                None => host::nft::remove(),
            };
            drop(restored);
            if !was_pinned {
                drop(host::gate::remove(&args.pin_dir));
            }
        })
    }

    /// The same where no daemon will serve it: the gate, its bans and the table go on with the policy.
    pub(crate) fn without_daemon(policy: &Policy, args: &RunArgs) -> Result<(), Exit> {
        let plan = plan(policy, args.observe)?;
        let selection = host::machine::select(&args.interfaces, &plan.gate.interfaces)?;
        Self::first(policy, plan, selection, args).map(drop)
    }

    /// Puts another policy in force. If that fails half-way, the one before is put back: its programs are still loaded,
    /// and every link is switched to them again.
    pub(crate) fn next(
        &mut self,
        policy: &Policy,
        plan: Plan,
        selection: Selection,
        args: &RunArgs,
    ) -> Result<Self, Exit> {
        put(policy, plan, selection, args).inspect_err(|_| {
            drop(host::nft::apply(&self.plan.nft));
            drop(self.gate.attach(&self.selection.interfaces, &self.plan.gate.interfaces));
            self.nft = host::nft::fingerprint().unwrap_or(self.nft);
        })
    }

    /// The ring buffer of this generation; can be taken once.
    pub(crate) fn take_events(&mut self) -> Result<Events, Exit> {
        Ok(self.gate.take_events()?)
    }

    /// Where the gate stands.
    pub(crate) fn guarded(&self) -> impl Iterator<Item = &Guarded> {
        self.gate.guarded()
    }

    /// Named interfaces that are not there.
    pub(crate) fn waiting(&self) -> &[String] {
        &self.selection.waiting
    }

    /// Goes with the interfaces that came, went or changed their names. Returns what is to be said about it.
    pub(crate) fn follow(&mut self, named: &[String]) -> Result<Changes, Exit> {
        let selection = host::machine::select(named, &self.plan.gate.interfaces)?;
        let mut changes = Changes {
            failed: selection.refused.iter().map(ToString::to_string).collect(),
            ..Changes::default()
        };
        if selection.interfaces == self.selection.interfaces && !self.retry {
            self.selection = selection;
            return Ok(changes);
        }
        let before: Vec<(u32, String)> =
            self.guarded().map(|one| (one.index, one.interface.clone())).collect();
        let errors = self.gate.follow(&selection.interfaces, &self.plan.gate.interfaces)?;
        self.retry = !errors.is_empty();
        changes.failed.extend(errors.iter().map(ToString::to_string));
        let is_new = |one: &&Guarded| !before.contains(&(one.index, one.interface.clone()));
        changes.guarding = self.guarded().filter(is_new).map(describe).collect();
        changes.left = before
            .into_iter()
            .filter(|(index, name)| self.guarded().all(|one| one.index != *index && one.interface != *name))
            .map(|(_, name)| name)
            .collect();
        self.selection = selection;
        Ok(changes)
    }

    /// The gate, for its maps of sources.
    pub(crate) fn gate_mut(&mut self) -> &mut Gate {
        &mut self.gate
    }

    /// The gate, for its counters.
    pub(crate) fn gate(&self) -> &Gate {
        &self.gate
    }

    /// Reads the kernel back and says what is not as it should be.
    pub(crate) fn faults(&self) -> Vec<String> {
        self.faults_with(host::nft::fingerprint())
    }

    /// The same, where the nftables table was read already.
    pub(crate) fn faults_with(&self, table: Result<Option<[u8; 32]>, host::Error>) -> Vec<String> {
        let mut faults: Vec<String> = self.gate.faults().iter().map(ToString::to_string).collect();
        match table {
            Ok(found) if found == self.nft => {}
            Ok(Some(_)) => faults.push("the nftables table was changed by somebody else".to_owned()),
            Ok(None) => faults.push("the nftables table is gone".to_owned()),
            Err(error) => faults.push(format!("the nftables table cannot be read: {error}")),
        }
        faults
    }

    /// What the nftables table has to be, and since when: both are others after a reload, also one that failed.
    pub(crate) fn table(&self) -> (SystemTime, Option<[u8; 32]>) {
        (self.loaded_at, self.nft)
    }

    /// The line that `run` prints when enforcement is in force.
    pub(crate) fn ready(&self) -> String {
        let mut interfaces: Vec<String> = self.guarded().map(describe).collect();
        interfaces.extend(self.waiting().iter().map(|name| format!("{name} (waiting)")));
        let observing = if self.observe { ", observing only" } else { "" };
        format!("ready: {}{observing}", interfaces.join(", "))
    }
}

fn describe(one: &Guarded) -> String {
    format!("{} ({})", one.interface, one.mode)
}

/// What became of the interfaces.
#[derive(Debug, Default)]
pub(crate) struct Changes {
    /// Newly guarded, or under a new name.
    pub(crate) guarding: Vec<String>,
    /// No longer there, or no longer ours to guard.
    pub(crate) left: Vec<String>,
    /// What cannot be guarded, and why.
    pub(crate) failed: Vec<String>,
}

/// Loads a generation, applies the table, switches or attaches the links.
fn put(policy: &Policy, plan: Plan, selection: Selection, args: &RunArgs) -> Result<InForce, Exit> {
    host::nft::check(&plan.nft)?;
    let mut gate = Gate::load(&plan.gate.tables, &args.pin_dir)?;
    if std::env::var_os(NO_TC_LINKS).is_some() {
        gate = gate.without_tc_links();
    }
    host::nft::apply(&plan.nft)?;
    gate.attach(&selection.interfaces, &plan.gate.interfaces)?;
    Ok(InForce {
        nft: host::nft::fingerprint()?,
        plan,
        policy_path: policy.source().name().into(),
        policy_hash: hash(policy),
        loaded_at: SystemTime::now(),
        observe: args.observe,
        selection,
        gate,
        retry: false,
    })
}
