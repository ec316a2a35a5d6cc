//! The short way of a packet whose flow was judged before: most rules ask for addresses, ports, interface and state only, so that
//! what they said of one packet holds for the next ones.
//!
//! A connection remembers the path that its packets take. What a rule counts is counted for each packet all the same; where a rule
//! asks for more (a text, a length, a rate, a list) there is no path to remember. Signatures on headers are the exception: as long
//! as none at all is in a packet, which one search tells, rules that look for one do not hold. A packet with one, or one that the
//! capture cut, goes the long way and changes nothing that is remembered.

use std::time::Duration;

use policy::ruleset::ChainId;

use super::compiled::Compiled;
use super::{Cause, Counter, Evaluator, Hook, Outcome, RuleRef, Verdict};
use crate::conntrack::State;
use crate::packet::Packet;
use crate::stack::Flow;

/// What is known of a flow: of a packet with the same addresses, protocol and ports.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Known {
    asked: Asked,
    /// `None` where rules ask for more than the flow. That of inspected packets takes the one search as well
    /// ([`Path::is_searched`]).
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
    /// Signatures on headers were looked for.
    pub(super) is_searched: bool,
    /// Other packets of the flow take the same way.
    pub(super) is_of_flow: bool,
    /// It tells nothing about other packets of the flow: see [`super::conditions::Subject::is_odd`].
    pub(super) is_odd: bool,
}

/// Paths that were taken, each once, with the packets that took it later.
#[derive(Debug, Default)]
pub(super) struct Paths(Vec<(Path, Counter)>);

#[derive(Debug, Eq, PartialEq)]
struct Path {
    hook: Hook,
    verdict: Verdict,
    cause: Cause,
    via: Vec<RuleRef>,
    counted: Vec<RuleRef>,
    /// Rules on it look for signatures on headers; it is that of packets with none at all.
    is_searched: bool,
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
                let again = path.and_then(|path| self.again(packet, path));
                again.unwrap_or_else(|| self.judge(hook, packet, state, now))
            }
            Some(_) | None => {
                let (outcome, trace) = self.walk(hook, packet, state, now, Some(Trace::default()));
                if let Some(trace) = trace.filter(|trace| !trace.is_odd) {
                    let path = self.remember(hook, packet.is_ipv4(), &outcome, trace);
                    *known = Some(Known { asked, path });
                }
                outcome
            }
        }
    }

    /// Whether the rules accept one more packet of `len` bytes of a flow, as they did the one before; if so, it is counted. If not,
    /// or if it takes more to tell, nothing has happened.
    pub(crate) fn accepts_again(&mut self, flow: &Flow<'_>, len: usize, state: State, known: Known) -> bool {
        let interface = self.interfaces.id(flow.interface.unwrap_or_default());
        let is_same =
            interface.is_some_and(|interface| known.asked == Asked { hook: flow.hook, state, interface });
        let (true, Some(path)) = (is_same, known.path) else { return false };
        let Some(compiled) = self.family_mut(flow.tuple.is_ipv4()) else { return false };
        let Some((path, taken)) = compiled.paths.of(path) else { return false };
        let accepts = path.verdict == Verdict::Accept && !path.is_searched;
        if accepts {
            taken.count(len);
        }
        accepts
    }

    /// Goes a path once more.
    fn again(&mut self, packet: &Packet<'_>, path: PathId) -> Option<Outcome> {
        let Compiled { paths, any, .. } = self.family_mut(packet.is_ipv4())?;
        let (path, taken) = paths.of(path)?;
        let is_clear = || !packet.is_cut() && any.as_ref().is_some_and(|any| !any.is_in(packet.bytes()));
        if path.is_searched && !is_clear() {
            return None;
        }
        taken.count(packet.total_len());
        let (verdict, cause) = (path.verdict, path.cause);
        Some(Outcome { verdict, cause, via: path.via.clone(), logs: Vec::new(), uncertain: false })
    }

    fn remember(&mut self, hook: Hook, is_ipv4: bool, outcome: &Outcome, trace: Trace) -> Option<PathId> {
        let is_decided = matches!(outcome.cause, Cause::Policy(_) | Cause::Rule(_));
        if !trace.is_of_flow || !is_decided || !outcome.logs.is_empty() {
            return None;
        }
        let Outcome { verdict, cause, .. } = *outcome;
        let Trace { counted, is_searched, .. } = trace;
        let path = Path { hook, verdict, cause, via: outcome.via.clone(), counted, is_searched };
        let Paths(paths) = &mut self.family_mut(is_ipv4)?.paths;
        let at = paths.iter().position(|(known, _)| *known == path).or_else(|| {
            (paths.len() < MAX_PATHS).then(|| {
                paths.push((path, Counter::default()));
                paths.len() - 1
            })
        })?;
        u16::try_from(at).ok().map(PathId)
    }

    /// How many packets went a path that was remembered.
    #[cfg(test)]
    pub(crate) fn went_again(&self) -> u64 {
        let paths = [&self.ipv4, &self.ipv6].into_iter().flatten().flat_map(|compiled| &compiled.paths.0);
        paths.map(|(_, taken)| taken.packets).sum()
    }

    fn family_mut(&mut self, is_ipv4: bool) -> Option<&mut Compiled> {
        if is_ipv4 { self.ipv4.as_mut() } else { self.ipv6.as_mut() }
    }
}

impl Paths {
    fn of(&mut self, PathId(at): PathId) -> Option<&mut (Path, Counter)> {
        self.0.get_mut(usize::from(at))
    }

    /// Adds what the rules of a chain counted on the paths.
    pub(super) fn add_to(&self, counters: &mut [Counter], chain: ChainId) {
        for (path, taken) in &self.0 {
            for at in path.counted.iter().filter(|at| at.chain == chain) {
                if let Some(counter) = counters.get_mut(at.index) {
                    counter.add(*taken);
                }
            }
        }
    }

    /// Adds what the policy of a hook's chain counted at the ends of the paths.
    pub(super) fn add_to_policy(&self, counter: &mut Counter, hook: Hook) {
        let ends = |path: &Path| path.hook == hook && matches!(path.cause, Cause::Policy(_));
        for (_, taken) in self.0.iter().filter(|(path, _)| ends(path)) {
            counter.add(*taken);
        }
    }
}

impl Interfaces {
    fn id(&mut self, name: &str) -> Option<InterfaceId> {
        if self.names.get(usize::from(self.last)).is_none_or(|last| !is_same(last, name)) {
            let at = self.names.iter().position(|known| is_same(known, name)).or_else(|| {
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

/// An empty name, which most captures have, points to no memory; comparing no bytes of none all the same makes a processor with masked
/// loads stumble for hundreds of cycles.
fn is_same(one: &str, other: &str) -> bool {
    one.len() == other.len() && (one.is_empty() || one == other)
}
