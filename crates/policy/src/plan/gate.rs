//! Which packets the gate may drop on its own.
//!
//! nftables cannot search for text, so every rule with a `-m string` must be decided by the gate, before connection
//! tracking. That is exact only if the rule's fate does not depend on anything the gate cannot see. This module walks
//! `INPUT` as netfilter would, writes down a list of stateless conditions ("leave", "note", "drop") in the same order,
//! and proves for each text rule that no earlier stateful rule could have decided otherwise. A text rule for which the
//! proof fails is reported with its line; nothing is enforced by halves.

mod condition;
mod doubt;
mod drafts;
mod search;
mod walk;

use gate::Address;
use gate::layout::{self, Config, NetworkKey};
use gate::limit::{Limits, Rate};
use gate::memory::GateTables;
use regex_syntax::hir::Hir;

pub use condition::Condition;

use self::drafts::Drafts;
use self::search::Search;
use crate::plan::automaton::{self, AutomatonError};
use crate::plan::filter;
use crate::plan::table::Table;
use crate::ruleset::{Family, InterfaceName, Line, Log, Network, Networks, Nflog, Rule, RuleSet};
use crate::ruleset::{Limit, Unproven};

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
    /// The policy's name for it, or else the text searched for, with bytes that are not printable ASCII escaped as `\xNN`.
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
#[error("{line}: {message}")]
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

/// What a rule that looks for a signature calls it, in logs and in replay.
pub fn signature_name(rule: &Rule) -> Option<String> {
    let search = rule.matches.iter().filter_map(Search::of).find(|search| !search.is_negated())?;
    Some(rule.name.clone().unwrap_or_else(|| search.name()))
}

/// Plans the gate for all rule sets of a policy. `networks` are those that the rule sets accept (trusted) or drop
/// (blocked) before they look for signatures.
///
/// # Errors
///
/// Every rule that neither the gate nor nftables can enforce exactly.
pub fn plan(
    sets: &[RuleSet],
    networks: &Networks,
    unproven: &Unproven,
) -> Result<GatePlan, Vec<Unenforceable>> {
    let mut drafts = Drafts::for_networks(networks.clone());
    for set in sets {
        walk::input(set, &mut drafts);
        walk::refuse_text_elsewhere(set, &mut drafts);
    }
    drafts.check_bounds();
    if !drafts.errors.is_empty() {
        drafts.errors.sort_by_key(|error| error.line);
        // The same chain may be reached on several ways.
        drafts.errors.dedup();
        return Err(drafts.errors);
    }
    assemble(&drafts, unproven)
}

/// The limits as the gate keeps them; the daemon adds the key.
fn limits(unproven: &Unproven) -> Limits {
    let rate = |limit: Option<Limit>| {
        limit.map_or(Rate::default(), |Limit { rate, burst }| {
            Rate::new(rate.amount, u32::try_from(rate.unit.seconds()).unwrap_or(u32::MAX), burst)
        })
    };
    Limits {
        source: rate(unproven.source),
        network: rate(unproven.network),
        all: rate(unproven.all),
        key: [0; 2],
    }
}

/// Bytes of the longest text that the patterns match; 0 if there is no bound, or a large one.
fn longest(patterns: &[&Hir]) -> u32 {
    /// Four automata side by side overlap by as much.
    const LARGE: usize = 256;
    let mut lengths = patterns.iter().map(|pattern| pattern.properties().maximum_len());
    let longest = lengths.try_fold(0, |longest, length| length.map(|length| longest.max(length)));
    longest.filter(|longest| *longest <= LARGE).and_then(|longest| u32::try_from(longest).ok()).unwrap_or(0)
}

/// The drafts in the kernel's layout.
fn assemble(drafts: &Drafts, unproven: &Unproven) -> Result<GatePlan, Vec<Unenforceable>> {
    let mut plan = GatePlan::default();
    let mut needles = Vec::new();
    for (index, (search, origin)) in drafts.searches.iter().enumerate() {
        for (group, members) in drafts.groups.iter().enumerate() {
            if members.contains(&index) {
                needles.push(search.needle(index, group));
            }
        }
        let name = origin.name.clone().unwrap_or_else(|| search.name());
        plan.signatures.push(Signature { name, line: origin.line });
    }
    let refuse = |error: AutomatonError| {
        let line = drafts.searches.last().map_or(Line::SHIPPED, |(_, origin)| origin.line);
        vec![Unenforceable::new(line, error.to_string(), advice(&error))]
    };
    let automaton = automaton::compile(&needles).map_err(refuse)?;
    let table = Table::new(&automaton).map_err(refuse)?;
    let patterns: Vec<&Hir> = needles.iter().map(|needle| &needle.pattern).collect();
    let filter = if needles.is_empty() { None } else { filter::plan(&patterns) };
    plan.tables.trusted = drafts.networks.trusted.iter().filter_map(key).collect();
    plan.tables.blocked = drafts.networks.blocked.iter().filter_map(key).collect();
    let mut flags = 0;
    for (list, flag) in
        [(&plan.tables.trusted, layout::HAS_TRUSTED), (&plan.tables.blocked, layout::HAS_BLOCKED)]
    {
        if !list.is_empty() {
            flags |= flag;
        }
    }
    let mut ports = vec![0; usize::from(u16::MAX) + 1];
    for draft in &drafts.rules {
        let rule = draft.to_layout(&drafts.interfaces);
        if rule.checks & layout::check::SIGNATURE != 0 {
            flags |= guard(&draft.condition, &mut ports);
        }
        plan.tables.rules.push(rule);
        plan.rules.push(RuleOrigin { family: draft.family, line: draft.line });
    }
    let searches_tcp = flags & (layout::ALL_TCP_PORTS | layout::ALL_PROTOCOLS) != 0
        || ports.iter().any(|bits| bits & layout::GUARD_TCP != 0);
    if searches_tcp {
        flags |= layout::FOLLOWS;
    }
    if *unproven != Unproven::default() {
        flags |= layout::LIMITED;
    }
    plan.tables.ports = (0..=u16::MAX).zip(ports).filter(|(_, bits)| *bits != 0).collect();
    let mut pair = [0; layout::MAX_PAIRS];
    for (slot, bytes) in pair.iter_mut().zip(filter.iter().flat_map(|filter| &filter.pairs)) {
        *slot = gate::filter::lane(*bytes);
    }
    if filter.is_some() {
        flags |= layout::FILTERED;
    }
    plan.tables.config = Config {
        version: layout::VERSION,
        flags,
        rules: u32::try_from(plan.tables.rules.len()).unwrap_or(0),
        start: table.start,
        width: table.width,
        events_per_second: 0,
        tag: 0,
        longest: longest(&patterns),
        pairs: filter.as_ref().map_or(0, |filter| u32::try_from(filter.pairs.len()).unwrap_or(0)),
        pair,
        reserved: 0,
        limits: limits(unproven),
        policy: [0; 8],
    };
    plan.tables.filter = filter.map(|filter| filter.table.into());
    plan.tables.automaton = Some(table.automaton.into());
    plan.tables.states = automaton.rows.len();
    plan.tables.outputs = automaton.outputs;
    plan.notes.clone_from(&drafts.notes);
    plan.interfaces.clone_from(&drafts.interfaces);
    Ok(plan)
}

/// The key of a network in the kernel's prefix tries; `None` for a mask with holes, which no policy language with lists of
/// networks can write.
fn key(network: &Network) -> Option<(u8, NetworkKey)> {
    /// Bits before an IPv4 address that is mapped into IPv6.
    const MAPPED: u8 = 96;
    let prefix = network.prefix()?;
    let prefix = if network.address.is_ipv4() { prefix.checked_add(MAPPED)? } else { prefix };
    Some((prefix, Address::from(network.address).0))
}

/// Marks the ports on which a text rule looks, in a table with a place for every port; returns the flag for "every port".
fn guard(condition: &Condition, ports: &mut [u8]) -> u32 {
    let (bit, all) = match condition.protocol() {
        Some(gate::decode::UDP) => (layout::GUARD_UDP, layout::ALL_UDP_PORTS),
        Some(gate::decode::TCP) => (layout::GUARD_TCP, layout::ALL_TCP_PORTS),
        Some(_) | None => return layout::ALL_PROTOCOLS,
    };
    let Some(range) = condition.destination_ports() else { return all };
    let (start, end) = (usize::from(*range.start()), usize::from(*range.end()));
    for bits in ports.iter_mut().take(end + 1).skip(start) {
        *bits |= bit;
    }
    0
}

fn advice(error: &AutomatonError) -> &'static str {
    match error {
        AutomatonError::TooManyStates(_) => "split the policy, or shorten the texts",
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

#[cfg(test)]
mod tests;
