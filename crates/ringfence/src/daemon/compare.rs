//! Kernel and ledger, compared now and then: what differs is repaired, counted and told.

use std::time::{Duration, SystemTime};

use ledger::{Net, Time};
use serde_json::json;

use super::answers::{Task, Wanted};
use super::drift::{Drift, Look};
use super::server::Waiting;
use super::{Daemon, book, clock, drift, say};
use crate::exit::Exit;

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

impl Daemon {
    /// Compares the kernel's bans with the ledger, on a thread of its own.
    pub(super) fn compare(&self, waiting: Option<Waiting>) {
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
    pub(super) fn looked(
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
            self.tell(Wanted::Verified(look), waiting);
        }
        Ok(())
    }

    pub(super) fn tell_repaired(&mut self, drift: &Drift, look: &mut Look) {
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
    pub(super) fn repair(&mut self, drift: &Drift) -> Result<bool, Exit> {
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
}

pub(super) fn period() -> Duration {
    let other = std::env::var(COMPARE_MS).ok().and_then(|text| text.parse().ok());
    other.filter(|millis| *millis > 0).map_or(COMPARE, Duration::from_millis)
}
