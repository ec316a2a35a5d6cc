//! What happened lately, for `top`: decisions, and how often each detector spoke.

use std::collections::{BTreeMap, VecDeque};
use std::time::SystemTime;

use engine::Command;
use serde_json::{Value, json};

use super::report::timestamp;
use crate::detection::told::reason_of;

/// Decisions that are kept.
const KEPT: usize = 100;

/// The last decisions, newest last.
#[derive(Debug, Default)]
pub(crate) struct Recent {
    decisions: VecDeque<(SystemTime, String)>,
    /// Pieces of evidence by detector since the daemon started.
    detectors: BTreeMap<&'static str, u64>,
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
                Command::Evidence { detector, .. } => {
                    *self.detectors.entry(detector.as_str()).or_default() += 1
                }
                Command::Alert { source, detector, detail, .. } => {
                    *self.detectors.entry(detector.as_str()).or_default() += 1;
                    self.note(format!("alert {source}: {detail}"));
                }
                Command::Ban { source, reason, jail, .. } => {
                    self.note(format!("ban {source} for {}", reason_of(*reason, jail.as_deref())));
                }
                Command::Limit { source, reason, .. } => {
                    self.note(format!("limit {source} for {}", reason.as_str()));
                }
                Command::Unlimit { source, .. } => self.note(format!("limit of {source} lifted")),
                Command::Trust { .. } => {}
            }
        }
    }

    /// For `top`.
    pub(crate) fn json(&self) -> (Value, Value) {
        let decisions: Vec<Value> = self
            .decisions
            .iter()
            .map(|(time, text)| json!({ "time": timestamp(*time), "text": text }))
            .collect();
        (json!(decisions), json!(self.detectors))
    }
}
