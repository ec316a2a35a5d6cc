//! The short way of a packet whose flow was judged before: most rules ask for addresses, ports, interface and state only, so that
//! what they said of one packet holds for the next ones.
//!
//! A connection remembers the path of its last packet. What a rule counts is counted for each packet all the same; where a rule
//! asks for more (a text, a length, a rate, a list) nothing is remembered.

use std::time::Duration;

use policy::ruleset::ChainId;

use super::compiled::{Chain, Compiled};
use super::{Cause, Evaluator, Hook, Outcome, RuleRef, Verdict};
use crate::conntrack::State;
use crate::packet::Packet;
use crate::stack::Flow;

/// What is known of a flow: of a packet with the same addresses, protocol and ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    asked: Asked,
    /// `None` where it takes more than the flow to tell.
    path: Option<PathId>,
}

/// What rules ask for beside that.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Asked {
    hook: Hook,
    state: State,
    interface: InterfaceId,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct PathId(u16);

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct InterfaceId(u16);

/// What a walk through the rules met.
#[derive(Debug, Default)]
pub(super) struct Trace {
    /// The rules that held.
    pub(super) counted: Vec<RuleRef>,
}

/// Paths that were taken, each once.
#[derive(Debug, Default)]
pub(super) struct Paths(Vec<Path>);

#[derive(Debug, Eq, PartialEq)]
struct Path {
    verdict: Verdict,
    cause: Cause,
    via: Vec<RuleRef>,
    counted: Vec<RuleRef>,
}

/// Paths remembered; a policy has some ten.
const MAX_PATHS: usize = 256;

/// Names of interfaces, each once.
#[derive(Debug, Default)]
pub(super) struct Interfaces {
    names: Vec<String>,
    last: u16,
}

/// Interfaces told apart; packets of others go the long way.
const MAX_INTERFACES: usize = 64;

impl Evaluator {
    /// As [`Evaluator::judge`], of a packet of UDP or TCP, with all of its header, of the flow of which `known` tells, and tells
    /// afterwards.
    pub(crate) fn judge_in_flow(
        &mut self,
        hook: Hook,
        packet: &Packet<'_>,
        state: State,
        now: Duration,
        known: &mut Option<Known>,
    ) -> Outcome {
        let name = match hook {
            Hook::Input => packet.in_interface(),
            Hook::Output => packet.out_interface(),
            Hook::Forward => return self.judge(hook, packet, state, now),
        };
        let Some(interface) = self.interfaces.id(name.unwrap_or_default()) else {
            return self.judge(hook, packet, state, now);
        };
        let asked = Asked { hook, state, interface };
        match known {
            Some(Known { asked: before, path }) if *before == asked => {
                let again = path.and_then(|path| self.again(hook, packet, path));
                again.unwrap_or_else(|| self.judge(hook, packet, state, now))
            }
            Some(_) | None => {
                let (outcome, trace) = self.walk(hook, packet, state, now, Some(Trace::default()));
                let path = trace.and_then(|trace| self.remember(packet.is_ipv4(), &outcome, trace));
                *known = Some(Known { asked, path });
                outcome
            }
        }
    }

    /// Whether the rules accept one more packet of `len` bytes of a flow, as they did the one before; if so, it is counted. If not,
    /// or if it takes more to tell, nothing has happened.
    pub(crate) fn accepts_again(&mut self, flow: &Flow<'_>, state: State, known: Known) -> bool {
        let interface = self.interfaces.id(flow.interface.unwrap_or_default());
        let is_same =
            interface.is_some_and(|interface| known.asked == Asked { hook: flow.hook, state, interface });
        let (true, Some(path)) = (is_same, known.path) else { return false };
        let Some(compiled) = self.family_mut(flow.tuple.is_ipv4()) else { return false };
        let accepted = compiled.paths.of(path).is_some_and(|path| path.verdict == Verdict::Accept);
        accepted && compiled.go(flow.hook, flow.len, path).is_some()
    }

    /// Goes a path once more.
    fn again(&mut self, hook: Hook, packet: &Packet<'_>, path: PathId) -> Option<Outcome> {
        let compiled = self.family_mut(packet.is_ipv4())?;
        let Path { verdict, cause, via, .. } = compiled.go(hook, packet.total_len(), path)?;
        let (verdict, cause) = (*verdict, *cause);
        Some(Outcome { verdict, cause, via: via.clone(), logs: Vec::new(), uncertain: false })
    }

    fn remember(&mut self, is_ipv4: bool, outcome: &Outcome, trace: Trace) -> Option<PathId> {
        let is_decided = matches!(outcome.cause, Cause::Policy(_) | Cause::Rule(_));
        if !is_decided || !outcome.logs.is_empty() {
            return None;
        }
        let Outcome { verdict, cause, .. } = *outcome;
        let path = Path { verdict, cause, via: outcome.via.clone(), counted: trace.counted };
        let Paths(paths) = &mut self.family_mut(is_ipv4)?.paths;
        let at = paths.iter().position(|known| *known == path).or_else(|| {
            (paths.len() < MAX_PATHS).then(|| {
                paths.push(path);
                paths.len() - 1
            })
        })?;
        u16::try_from(at).ok().map(PathId)
    }

    fn family_mut(&mut self, is_ipv4: bool) -> Option<&mut Compiled> {
        if is_ipv4 { self.ipv4.as_mut() } else { self.ipv6.as_mut() }
    }
}

impl Compiled {
    /// Counts a packet of `len` bytes wherever a path leads.
    fn go(&mut self, hook: Hook, len: usize, path: PathId) -> Option<&Path> {
        let Self { chains, paths, built_in } = self;
        let path = paths.of(path)?;
        for at in &path.counted {
            if let Some(rule) = chains.get_mut(at.chain.0).and_then(|chain| chain.rules.get_mut(at.index)) {
                rule.counter.count(len);
            }
        }
        if let Cause::Policy(_) = path.cause
            && let Some(ChainId(base)) = built_in.of(hook)
            && let Some(Chain { policy_counter, .. }) = chains.get_mut(base)
        {
            policy_counter.count(len);
        }
        Some(path)
    }
}

impl Paths {
    fn of(&self, PathId(at): PathId) -> Option<&Path> {
        self.0.get(usize::from(at))
    }
}

impl Interfaces {
    fn id(&mut self, name: &str) -> Option<InterfaceId> {
        if self.names.get(usize::from(self.last)).is_none_or(|last| last != name) {
            let at = self.names.iter().position(|known| known == name).or_else(|| {
                (self.names.len() < MAX_INTERFACES).then(|| {
                    self.names.push(name.to_owned());
                    self.names.len() - 1
                })
            })?;
            self.last = u16::try_from(at).ok()?;
        }
        Some(InterfaceId(self.last))
    }
}
