//! Which packets the gate may drop on its own.
//!
//! nftables cannot search for text, so every rule with a `-m string` must be decided by the gate, before connection
//! tracking. That is exact only if the rule's fate does not depend on anything the gate cannot see. This module walks
//! `INPUT` as netfilter would, writes down a list of stateless conditions ("leave", "note", "drop") in the same order,
//! and proves for each text rule that no earlier stateful rule could have decided otherwise. A text rule for which the
//! proof fails is reported with its line; nothing is enforced by halves.

mod condition;
mod walk;

use gate::layout::{self, Config, Output};
use gate::memory::GateTables;

pub use condition::Condition;

use crate::plan::automaton::{self, AutomatonError, Needle};
use crate::ruleset::{Family, InterfaceName, Line, Log, Nflog, RuleSet, Text};

/// What the gate is to do, and what its numbers mean.
#[derive(Clone, Debug, Default)]
pub struct GatePlan {
    /// The kernel's tables, but for [`Config::policy`] and the flags that the daemon owns.
    pub tables: GateTables,
    /// By [`layout::Output::signature`].
    pub signatures: Vec<Signature>,
    /// By rule index.
    pub rules: Vec<RuleOrigin>,
    /// By [`layout::Rule::note`].
    pub notes: Vec<Note>,
    /// By bit of [`layout::Interface::patterns`].
    pub interfaces: Vec<InterfaceName>,
}

/// What a signature is called.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    /// The text searched for, with bytes that are not printable ASCII escaped as `\xNN`.
    pub name: String,
    pub line: Line,
}

/// Which rule of the policy a gate rule stands for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RuleOrigin {
    pub family: Family,
    pub line: Line,
}

/// A log statement that packets meet on their way to a verdict of the gate.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Note {
    Log(Log),
    Nflog(Nflog),
}

/// Why a rule cannot be enforced exactly.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("line {}: {message}", line.0)]
pub struct Unenforceable {
    pub line: Line,
    pub message: String,
    pub help: String,
}

impl Unenforceable {
    fn new(line: Line, message: impl Into<String>, help: impl Into<String>) -> Self {
        Self { line, message: message.into(), help: help.into() }
    }
}

/// Plans the gate for all rule sets of a policy.
///
/// # Errors
///
/// Every rule that neither the gate nor nftables can enforce exactly.
pub fn plan(sets: &[RuleSet]) -> Result<GatePlan, Vec<Unenforceable>> {
    let mut drafts = walk::Drafts::default();
    for set in sets {
        walk::input(set, &mut drafts);
        walk::refuse_text_elsewhere(set, &mut drafts);
    }
    drafts.check_bounds();
    if !drafts.errors.is_empty() {
        drafts.errors.sort_by_key(|error| error.line);
        return Err(drafts.errors);
    }
    assemble(&drafts)
}

/// The drafts in the kernel's layout.
fn assemble(drafts: &walk::Drafts) -> Result<GatePlan, Vec<Unenforceable>> {
    let mut plan = GatePlan::default();
    let mut needles = Vec::new();
    for (index, (text, line)) in drafts.texts.iter().enumerate() {
        for (group, members) in drafts.groups.iter().enumerate() {
            if members.contains(&index) {
                needles.push(needle(text, index, group));
            }
        }
        plan.signatures.push(Signature { name: printable(&text.pattern), line: *line });
    }
    let automaton = automaton::compile(&needles).map_err(|error| {
        let line = drafts.texts.last().map_or(Line(0), |(_, line)| *line);
        vec![Unenforceable::new(line, error.to_string(), advice(&error))]
    })?;
    let mut flags = 0;
    for draft in &drafts.rules {
        let rule = draft.to_layout(&drafts.interfaces);
        if rule.checks & layout::check::SIGNATURE != 0 {
            flags |= guard(&draft.condition, &mut plan.tables.ports);
        }
        plan.tables.rules.push(rule);
        plan.rules.push(RuleOrigin { family: draft.family, line: draft.line });
    }
    plan.tables.ports.sort_unstable();
    plan.tables.config = Config {
        version: layout::VERSION,
        flags,
        rules: u32::try_from(plan.tables.rules.len()).unwrap_or(0),
        start: automaton.start,
        accepting: u32::try_from(automaton.outputs.len()).unwrap_or(0),
        events_per_second: 0,
        tag: 0,
        reserved: 0,
        policy: [0; 8],
    };
    plan.tables.automaton = automaton.rows;
    plan.tables.outputs = automaton.outputs;
    plan.notes.clone_from(&drafts.notes);
    plan.interfaces.clone_from(&drafts.interfaces);
    Ok(plan)
}

fn needle(text: &Text, signature: usize, group: usize) -> Needle {
    let number = |value: usize| u16::try_from(value).unwrap_or(u16::MAX);
    Needle {
        pattern: automaton::literal(&text.pattern, text.icase),
        output: Output {
            signature: number(signature),
            group: number(group),
            length: number(text.pattern.len()),
            from: text.from,
            to: text.to,
        },
    }
}

/// Marks the ports on which a text rule looks; returns the flag for "every port".
fn guard(condition: &Condition, ports: &mut Vec<(u16, u8)>) -> u32 {
    let (bit, all) = match condition.protocol() {
        Some(gate::decode::UDP) => (layout::GUARD_UDP, layout::ALL_UDP_PORTS),
        Some(gate::decode::TCP) => (layout::GUARD_TCP, layout::ALL_TCP_PORTS),
        Some(_) | None => return layout::ALL_PROTOCOLS,
    };
    let Some(range) = condition.destination_ports() else { return all };
    for port in range {
        match ports.iter_mut().find(|(other, _)| *other == port) {
            Some((_, bits)) => *bits |= bit,
            None => ports.push((port, bit)),
        }
    }
    0
}

fn advice(error: &AutomatonError) -> &'static str {
    match error {
        AutomatonError::TooManyStates => "split the policy, or shorten the texts",
        AutomatonError::TooManyOutputs => {
            "a packet that holds the longer text is found by the shorter one as well"
        }
        AutomatonError::Library(_) => "please report this with the policy file",
    }
}

/// A text as it is shown in logs: bytes that could break a log line are escaped.
pub fn printable(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        if matches!(byte, b' '..=b'~') && *byte != b'\\' {
            text.push(char::from(*byte));
        } else {
            let _ = write!(text, "\\x{byte:02x}");
        }
        text
    })
}
