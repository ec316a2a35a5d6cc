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
        let plan = force::plan(&policy, args.observe)?;
        let (jails, witnesses) = (logs::prepare(&policy)?, witnesses::prepare(&policy)?);
        host::machine::check()?;
        let mut selection = host::machine::select(&args.interfaces, &plan.gate.interfaces)?;
        if !selection.refused.is_empty() {
            return Err(selection.refused.remove(0).into());
        }
        let exposition = Exposition::prepare(policy.metrics(), served);
        Ok(Self { policy, plan, selection, jails, witnesses, exposition })
    }
}

impl Daemon {
    /// Reads the policy again. A wrong one changes nothing; with `trial` it stays only if somebody confirms within that time.
    pub(super) async fn reload(
        &mut self,
        trial: Option<Duration>,
        events: &mut AsyncFd<Events>,
    ) -> Result<Value, Exit> {
        host::notify::notify("RELOADING=1");
        let done = match self.next_policy(trial) {
            Ok(prepared) => self.switch(prepared, events).await,
            Err(reason) => Err(reason),
        };
        let answer = match done {
            Ok(()) => {
                let path = self.args.policy.display();
                self.standing = match trial {
                    _ if self.args.observe => Standing::Observed,
                    Some(_) => Standing::OnTrial,
                    None => Standing::Kept,
                };
                let message = match trial {
                    Some(period) => format!(
                        "reloaded {path}; the policy before is put back in {} s unless `ringfence confirm` comes before",
                        period.as_secs()
                    ),
                    None => format!("reloaded {path}"),
                };
                json!({ "ok": true, "message": message })
            }
            Err(reason) => {
                if trial.is_some() {
                    confirm::clear(&self.args.daemon.run_dir)?;
                }
                self.refusal(reason)
            }
        };
        host::notify::notify("READY=1");
        Ok(answer)
    }

    /// Nobody has confirmed: the policy before is put back.
    pub(super) async fn roll_back(&mut self, events: &mut AsyncFd<Events>) -> Result<Value, Exit> {
        let earlier =
            self.kept.read().and_then(|policy| Prepared::new(policy, &self.args, self.exposition.config()));
        let done = match earlier {
            Ok(prepared) => self.switch(prepared, events).await,
            Err(reason) => Err(reason),
        };
        Ok(match done {
            Ok(()) => {
                self.standing = Standing::RolledBack;
                let message = format!(
                    "nobody confirmed {} in time: the policy before is in force again",
                    self.args.policy.display()
                );
                say(&format!("warning: {message}\n"));
                self.reporter.alarm(&message);
                json!({ "ok": true, "message": message })
            }
            Err(reason) => self.refusal(reason),
        })
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

    fn next_policy(&self, trial: Option<Duration>) -> Result<Prepared, Exit> {
        let policy = read_policy(&self.args.policy)?;
        let run_dir = &self.args.daemon.run_dir;
        if self.args.observe {
            return Prepared::new(policy, &self.args, self.exposition.config());
        }
        if trial.is_none() && self.kept.is_unconfirmed(&policy) {
            return Err(Exit::No(format!(
                "{} was tried and nobody confirmed it; `ringfence reload --confirm 60s` tries it again",
                self.args.policy.display()
            )));
        }
        let prepared = Prepared::new(policy, &self.args, self.exposition.config())?;
        match trial {
            None => {
                lockout::check(&prepared.policy, &self.helpers.sessions.all()?)?;
                // Whoever loads a policy as it is ends the trial of another one.
                confirm::clear(run_dir)?;
            }
            Some(period) => {
                self.kept.try_out(&prepared.policy)?;
                confirm::clear(run_dir)?;
                confirm::watch(&self.args, period, self.kept.is_there())?;
            }
        }
        Ok(prepared)
    }

    /// Puts another policy in force.
    async fn switch(&mut self, prepared: Prepared, events: &mut AsyncFd<Events>) -> Result<(), Exit> {
        let Prepared { policy, plan, selection, jails, witnesses, exposition } = prepared;
        let exposition = exposition?;
        let next = self.force.next(&policy, plan, selection, &self.args)?;
        // What the old generation dropped is told in its own words.
        self.drain(events.get_mut(), usize::MAX)?;
        self.force = next;
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
            let message = format!("no log is read: {}", reason.text());
            say(&format!("warning: {message}\n"));
            self.reporter.alarm(&message);
        }
        self.listen_to(witnesses).await;
        self.exposition.change(exposition).await;
        *events = watch(self.force.take_events()?)
            .map_err(|error| Exit::System(format!("cannot watch the gate: {error}")))?;
        Ok(())
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
