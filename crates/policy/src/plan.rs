//! From a checked policy to what each place enforces: tables for the gate, a ruleset for nftables.

pub mod automaton;
pub mod filter;
pub mod gate;
pub mod nft;
pub mod table;

use std::collections::BTreeMap;

use ::gate::layout::{GUARD_TCP, GUARD_UDP};

use self::gate::{GatePlan, Unenforceable};
use self::nft::{Mode, Tag};
use crate::detection::SipPorts;
use crate::diagnostic::Diagnostic;
use crate::policy::Policy;

/// A policy, ready to be enforced.
#[derive(Clone, Debug)]
pub struct Plan {
    pub gate: GatePlan,
    /// For `nft -f`.
    pub nft: String,
}

impl Plan {
    /// Plans `policy`. `tag` is what marks fragments in the namespace where it will be enforced.
    ///
    /// # Errors
    ///
    /// Every rule that cannot be enforced exactly, with its line. Replay can judge such a policy, `run` refuses it.
    pub fn new(policy: &Policy, mode: Mode, tag: Tag) -> Result<Self, Vec<Diagnostic>> {
        let gate = gate::plan(policy.sets(), policy.networks(), policy.unproven());
        // Without a text to search for, fragments need no mark.
        let searches = gate.as_ref().is_ok_and(|gate| !gate.signatures.is_empty());
        let tag = if searches { tag } else { Tag::default() };
        let nft = nft::render(policy.sets(), mode, tag);
        match (gate, nft) {
            (Ok(mut gate), Ok(nft)) => {
                if mode == Mode::Observe {
                    gate.tables.config.flags |= ::gate::layout::OBSERVE;
                }
                gate.tables.config.tag = tag.bits();
                watch(&mut gate.tables.ports, &policy.detection().ports);
                Ok(Self { gate, nft })
            }
            (gate, nft) => {
                let mut errors: Vec<Unenforceable> =
                    gate.err().into_iter().chain(nft.err()).flatten().collect();
                errors.sort_by_key(|error| error.line);
                Err(errors.iter().map(|error| error.to_diagnostic(policy)).collect())
            }
        }
    }
}

/// Guards the ports at which the engine watches, whether or not there is a text to search for.
fn watch(guarded: &mut Vec<(u16, u8)>, ports: &SipPorts) {
    let mut all: BTreeMap<u16, u8> = guarded.iter().copied().collect();
    for (ranges, bit) in [(&ports.udp, GUARD_UDP), (&ports.tcp, GUARD_TCP)] {
        for port in ranges.iter().cloned().flatten() {
            *all.entry(port).or_default() |= bit;
        }
    }
    *guarded = all.into_iter().collect();
}

impl Unenforceable {
    /// Points at the option that the message names, or else at the whole line.
    fn to_diagnostic(&self, policy: &Policy) -> Diagnostic {
        let text = policy.source().text();
        let start: usize = text.split_inclusive('\n').take(self.line.0.saturating_sub(1)).map(str::len).sum();
        let line = text.get(start..).and_then(|rest| rest.lines().next()).unwrap_or_default();
        let option = self.message.split('`').nth(1).unwrap_or_default();
        let span = match line.find(option) {
            Some(at) if !option.is_empty() => start + at..start + at + option.len(),
            Some(_) | None => start..start + line.len(),
        };
        Diagnostic::new(policy.source(), span, self.message.clone()).with_help(self.help.clone())
    }
}

#[cfg(test)]
mod tests;
