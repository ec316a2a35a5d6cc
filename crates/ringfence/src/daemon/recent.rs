//! What happened lately, for `top`: decisions, and how often each detector spoke.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use engine::{Command, Kind};
use serde_json::{Value, json};

use super::report::timestamp;
use crate::detection::told::reason_of;

/// Decisions that are kept.
const KEPT: usize = 100;

/// The last decisions, newest last.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    decisions: VecDeque<(SystemTime, String)>,
    /// Since the daemon started, by detector.
    detectors: BTreeMap<&'static str, Tally>,
}

/// What a detector brought.
#[derive(Clone, Copy, Debug, Default)]
struct Tally {
    evidence: u64,
    alerts: u64,
    limits: u64,
    bans: u64,
}

impl Recent {
    /// A decision, in words.
    pub(crate) fn note(&mut self, text: String) {
        if self.decisions.len() >= KEPT {
            self.decisions.pop_front();
        }
        self.decisions.push_back((SystemTime::now(), text));
    }

    /// What the engine decided.
    pub(crate) fn decided(&mut self, commands: &[Command]) {
        for command in commands {
            match command {
                Command::Evidence { detector, .. } => self.tally(*detector).evidence += 1,
                Command::Alert { source, detector, detail, .. } => {
                    self.tally(*detector).alerts += 1;
                    self.note(format!("alert {source}: {detail}"));
                }
                Command::Ban { source, reason, jail, .. } => {
                    self.tally(*reason).bans += 1;
                    self.note(format!("ban {source} for {}", reason_of(*reason, jail.as_deref())));
                }
                Command::Limit { source, reason, .. } => {
                    self.tally(*reason).limits += 1;
                    self.note(format!("limit {source} for {}", reason.as_str()));
                }
                Command::Unlimit { source, .. } => self.note(format!("limit of {source} lifted")),
                Command::Trust { .. } => {}
            }
        }
    }

    fn tally(&mut self, detector: Kind) -> &mut Tally {
        self.detectors.entry(detector.as_str()).or_default()
    }

    /// For `status`: what each detector brought.
    pub(crate) fn by_detector(&self) -> Value {
        let row = |(name, tally): (&&str, &Tally)| {
            let Tally { evidence, alerts, limits, bans } = tally;
            let row = json!({ "evidence": evidence, "alert": alerts, "limit": limits, "ban": bans });
            ((*name).to_owned(), row)
        };
        Value::Object(self.detectors.iter().map(row).collect())
    }

    /// For `top`.
    pub(crate) fn json(&self) -> (Value, Value) {
        let decisions: Vec<Value> = self
            .decisions
            .iter()
            .map(|(time, text)| json!({ "time": timestamp(*time), "text": text }))
            .collect();
        let spoke =
            |(name, tally): (&&str, &Tally)| ((*name).to_owned(), json!(tally.evidence + tally.alerts));
        (json!(decisions), Value::Object(self.detectors.iter().map(spoke).collect()))
    }
}
