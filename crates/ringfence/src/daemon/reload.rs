//! Another policy, while the daemon runs: read again, tried, and gone back from.

use std::time::Duration;

use host::machine::Selection;
use policy::Policy;
use policy::plan::Plan;
use serde_json::{Value, json};
use tokio::io::unix::AsyncFd;

use super::force::Events;
use super::kept::Standing;
use super::metrics::Exposition;
use super::{Daemon, confirm, force, lockout, logs, metrics, say, watch, witnesses};
use crate::cli::RunArgs;
use crate::command::read_policy;
use crate::exit::{Exit, draw};

/// A policy that can be put in force: whatever can be wrong with it was looked at.
pub(super) struct Prepared {
    pub(super) policy: Policy,
    pub(super) plan: Plan,
    pub(super) selection: Selection,
    pub(super) jails: Vec<logs::Ready>,
    pub(super) witnesses: witnesses::Ready,
    /// What the policy says of metrics may be impossible without anything being wrong with the gate.
    pub(super) exposition: Result<metrics::Next, Exit>,
}

impl Prepared {
    /// `served` is where metrics are served already.
    pub(super) fn new(
        policy: Policy,
        args: &RunArgs,
        served: Option<&policy::watch::Metrics>,
    ) -> Result<Self, Exit> {
        let (jails, witnesses) = (logs::prepare(&policy)?, witnesses::prepare(&policy)?);
        Self::with(policy, args, served, (jails, witnesses))
    }

    /// The same of a policy that is gone back to: what it cannot have any more beside the gate is told, and no reason to stay with
    /// one that nobody confirmed.
    pub(super) fn to_go_back(
        policy: Policy,
        args: &RunArgs,
        served: Option<&policy::watch::Metrics>,
    ) -> Result<Self, Exit> {
        let told = |reason: Exit| say(&format!("warning: {}\n", reason.text()));
        let jails = logs::prepare(&policy).map_err(told).unwrap_or_default();
        let witnesses = witnesses::prepare(&policy).map_err(told).unwrap_or_default();
        Self::with(policy, args, served, (jails, witnesses))
    }

    fn with(
        policy: Policy,
        args: &RunArgs,
        served: Option<&policy::watch::Metrics>,
        (jails, witnesses): (Vec<logs::Ready>, witnesses::Ready),
    ) -> Result<Self, Exit> {
        let plan = force::plan(&policy, args.observe)?;
        host::machine::check()?;
        let mut selection = host::machine::select(&args.interfaces, &plan.gate.interfaces)?;
        if !selection.refused.is_empty() {
            return Err(selection.refused.remove(0).into());
        }
        let exposition = Exposition::prepare(policy.metrics(), served);
        Ok(Self { policy, plan, selection, jails, witnesses, exposition })
    }
}

/// How a policy is put in force.
#[derive(Clone, Copy, Debug)]
enum How {
    Load,
    /// Until somebody confirms, at most so long.
    Try(Duration),
    GoBack,
}

impl Daemon {
    /// Reads the policy again. A wrong one changes nothing; with `trial` it stays only if somebody confirms within that time.
    pub(super) async fn reload(
        &mut self,
        trial: Option<Duration>,
        events: &mut AsyncFd<Events>,
    ) -> Result<Value, Exit> {
        host::notify::notify("RELOADING=1");
        self.keep_what_is_confirmed();
        let how = trial.filter(|_| !self.args.observe).map_or(How::Load, How::Try);
        let refused = match self.next_policy(how) {
            Ok(prepared) => self.switch(prepared, how, events).await?,
            Err(reason) => Some(reason),
        };
        host::notify::notify("READY=1");
        let path = self.args.policy.display();
        let message = match (refused, how) {
            (Some(reason), _) => return Ok(self.refusal(reason)),
            (None, How::Try(period)) => format!(
                "reloaded {path}; the policy before is put back in {} s unless `ringfence confirm` comes before",
                period.as_secs()
            ),
            (None, How::Load | How::GoBack) => format!("reloaded {path}"),
        };
        Ok(json!({ "ok": true, "message": message }))
    }

    /// Nobody has confirmed: the policy before is put back. `token` names the trial.
    pub(super) async fn roll_back(
        &mut self,
        token: &str,
        events: &mut AsyncFd<Events>,
    ) -> Result<Value, Exit> {
        if !confirm::is_overdue(&self.args.daemon.run_dir, token) {
            return Ok(json!({ "ok": true, "message": "another policy came after that trial" }));
        }
        let earlier = self.kept.read();
        let earlier =
            earlier.and_then(|policy| Prepared::to_go_back(policy, &self.args, self.exposition.config()));
        let refused = match earlier {
            Ok(prepared) => self.switch(prepared, How::GoBack, events).await?,
            Err(reason) => Some(reason),
        };
        if let Some(reason) = refused {
            return Ok(self.refusal(reason));
        }
        let path = self.args.policy.display();
        let message = format!("nobody confirmed {path} in time: the policy before is in force again");
        self.warn(&message);
        Ok(json!({ "ok": true, "message": message }))
    }

    /// What was tried and confirmed is what will be gone back to.
    pub(super) fn keep_what_is_confirmed(&mut self) {
        if self.standing != Standing::OnTrial || !confirm::was_given(&self.args.daemon.run_dir) {
            return;
        }
        self.standing = Standing::Kept;
        say(&format!("{} is confirmed\n", self.args.policy.display()));
        if let Err(error) = self.kept.accept() {
            say(&format!("warning: cannot remember that the policy is confirmed: {error}\n"));
        }
    }

    /// A fresh engine, or a policy that trusts others: what the operator trusts is trusted still.
    pub(super) fn trust_again(&mut self) {
        self.book.shelter.follow(self.live.trusted_by_policy());
        self.live.trust(self.book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()));
    }

    /// Changes nothing.
    fn next_policy(&self, how: How) -> Result<Prepared, Exit> {
        let policy = read_policy(&self.args.policy)?;
        let is_tried = matches!(how, How::Try(_));
        if !is_tried && !self.args.observe && self.kept.is_unconfirmed(&policy) {
            return Err(Exit::No(format!(
                "{} was tried and nobody confirmed it; `ringfence reload --confirm 60s` tries it again",
                self.args.policy.display()
            )));
        }
        let prepared = Prepared::new(policy, &self.args, self.exposition.config())?;
        if !is_tried && !self.args.observe {
            lockout::check(&prepared.policy, &self.helpers.sessions.all()?)?;
        }
        Ok(prepared)
    }

    /// Puts another policy in force. What is returned is why not: then nothing has changed. An error ends the daemon.
    async fn switch(
        &mut self,
        prepared: Prepared,
        how: How,
        events: &mut AsyncFd<Events>,
    ) -> Result<Option<Exit>, Exit> {
        let Prepared { policy, plan, selection, jails, witnesses, exposition } = prepared;
        let exposition = match (exposition, how) {
            (Ok(next), _) => next,
            (Err(reason), How::GoBack) => {
                self.warn(&reason.text());
                metrics::Next::Nowhere
            }
            (Err(reason), How::Load | How::Try(_)) => return Ok(Some(reason)),
        };
        let (mut watch_of_trial, mut tried_before) = (None, None);
        if let How::Try(period) = how {
            match confirm::start(&self.args, period, self.kept.is_there()) {
                Ok(started) => watch_of_trial = Some(started),
                Err(reason) => return Ok(Some(reason)),
            }
            // If we die from here on, whoever starts next goes back.
            match self.kept.try_out(&policy) {
                Ok(before) => tried_before = Some(before),
                Err(reason) => return Ok(Some(reason)),
            }
        }
        let next = match self.force.next(&policy, plan, selection, &self.args) {
            Ok(next) => next,
            Err(reason) => {
                if let Some(Err(error)) = tried_before.map(|before| self.kept.put_back(before)) {
                    self.warn(&format!("cannot remember which policy is on trial: {error}"));
                }
                return Ok(Some(reason));
            }
        };
        // What the old generation dropped is told in its own words.
        self.drain(events.get_mut(), usize::MAX)?;
        self.force = next;
        self.stands(&policy, how, watch_of_trial.as_ref())?;
        self.reporter.follow(policy.event_files());
        self.feeds.follow(policy.feeds());
        self.book.severer.guard(&policy.detection().ports);
        if self.live.follow(&policy)? {
            self.trust_again();
        }
        self.trust_names(policy.trusted_names())?;
        // Its readers read again what counted before.
        self.live.recount();
        if let Err(reason) = self.logs.follow(jails, &self.tasks) {
            // The gate is in force all the same.
            self.warn(&format!("no log is read: {}", reason.text()));
        }
        self.listen_to(witnesses).await;
        self.exposition.change(exposition).await;
        *events = watch(self.force.take_events()?)
            .map_err(|error| Exit::System(format!("cannot watch the gate: {error}")))?;
        Ok(None)
    }

    /// What becomes of trials now that a policy is in force.
    fn stands(&mut self, policy: &Policy, how: How, watch: Option<&confirm::Watch>) -> Result<(), Exit> {
        let run_dir = &self.args.daemon.run_dir;
        self.standing = match (how, watch) {
            (How::GoBack, _) => Standing::RolledBack,
            (How::Try(_), Some(watch)) => {
                confirm::begin(run_dir, watch)?;
                Standing::OnTrial
            }
            (How::Load | How::Try(_), _) => {
                // Whoever loads a policy as it is ends the trial of another one.
                confirm::clear(run_dir)?;
                if self.args.observe { Standing::Observed } else { Standing::Kept }
            }
        };
        if self.standing == Standing::Kept
            && let Err(error) = self.kept.keep(policy)
        {
            self.warn(&format!("cannot keep the policy to go back to: {error}"));
        }
        Ok(())
    }

    /// For the terminal, or systemd's journal, and for the events.
    fn warn(&mut self, message: &str) {
        say(&format!("warning: {message}\n"));
        self.reporter.alarm(message);
    }

    /// Why the policy in force stays.
    fn refusal(&self, reason: Exit) -> Value {
        let stays = "the policy in force stays";
        match reason {
            Exit::Policy(mistakes) => {
                let message = format!("{} is wrong; {stays}", self.args.policy.display());
                json!({ "ok": false, "message": message, "details": draw(&mistakes) })
            }
            Exit::No(text) => json!({ "ok": false, "message": format!("{text}; {stays}") }),
            Exit::System(text) => {
                json!({ "ok": false, "system": true, "message": format!("{text}; {stays}") })
            }
            Exit::Silent => json!({ "ok": false, "message": "nothing was done" }),
        }
    }
}
