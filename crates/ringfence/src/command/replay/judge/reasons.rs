//! What a rule's decision is called, worked out once for each rule.

use std::rc::Rc;

use netfilter::rules::{Cause, Hook, RuleRef};
use policy::plan::gate::signature_name;
use policy::ruleset::{Chain, Family, Line, Match, Rule, RuleSet, Target};

use crate::command::replay::record::{Decision, Reason};

/// The rules of all families.
#[derive(Debug)]
pub(super) struct Reasons {
    /// By chain and place in it.
    families: Vec<(Family, Vec<Vec<Named>>)>,
    /// Of the built-in chains' policies: by hook and line, as many as were asked for.
    policies: Vec<((Hook, Line), Rc<str>)>,
}

/// One rule.
#[derive(Debug)]
struct Named {
    /// The name that the policy gives to it, or else `CHAIN:LINE`; `CHAIN:default` for what it leaves to its default.
    place: Rc<str>,
    /// Of a rule for whole networks.
    network: Option<Reason>,
    /// Of a rule that searches.
    signature: Option<Rc<str>>,
}

impl Reasons {
    /// As many as there are rules.
    pub(super) fn new(sets: &[RuleSet]) -> Self {
        let named = |chain: &Chain| chain.rules.iter().map(|rule| Named::new(chain, rule)).collect();
        let of = |set: &RuleSet| (set.family, set.chains.iter().map(named).collect());
        let families = sets.iter().map(of).collect();
        let built_in = [Hook::Input, Hook::Forward, Hook::Output];
        let chains = built_in.into_iter().flat_map(|hook| sets.iter().map(move |set| (hook, set)));
        let policies = chains.filter_map(|(hook, set)| {
            let (_, chain) = set.chain(hook.name())?;
            Some(((hook, chain.line), Rc::from(policy_name(hook, chain.line))))
        });
        let policies = policies.collect();
        Self { families, policies }
    }

    /// Why the rules decided, and which.
    pub(super) fn of(
        &self,
        family: Family,
        hook: Hook,
        cause: Cause,
        via: &[RuleRef],
        verdict: Decision,
    ) -> (Reason, Option<Rc<str>>) {
        match cause {
            Cause::NoRules => (Reason::NoRules, None),
            Cause::Policy(line) => {
                let known = self.policies.iter().find(|(place, _)| *place == (hook, line));
                let name =
                    known.map_or_else(|| Rc::from(policy_name(hook, line)), |(_, name)| Rc::clone(name));
                (Reason::Policy, Some(name))
            }
            Cause::HotDrop(at) => (Reason::BrokenHeader, self.place(family, at)),
            Cause::Rule(at) => {
                if let Some(reason) = self.rule(family, at).and_then(|rule| rule.network) {
                    return (reason, self.place(family, at));
                }
                if verdict == Decision::Accept {
                    return (Reason::Rule, self.place(family, at));
                }
                // The innermost search on the way decides what it is called.
                let way = std::iter::once(&at).chain(via.iter().rev());
                let mut rules = way.filter_map(|&at| self.rule(family, at));
                match rules.find_map(|rule| rule.signature.as_ref()) {
                    Some(name) => (Reason::Signature, Some(Rc::clone(name))),
                    None => (Reason::Rule, self.place(family, at)),
                }
            }
        }
    }

    fn rule(&self, family: Family, at: RuleRef) -> Option<&Named> {
        let (_, chains) = self.families.iter().find(|(known, _)| *known == family)?;
        chains.get(at.chain.0)?.get(at.index)
    }

    fn place(&self, family: Family, at: RuleRef) -> Option<Rc<str>> {
        self.rule(family, at).map(|rule| Rc::clone(&rule.place))
    }
}

impl Named {
    fn new(chain: &Chain, rule: &Rule) -> Self {
        let place = rule.name.clone().unwrap_or_else(|| match rule.line {
            Line::SHIPPED => format!("{}:default", chain.name),
            Line(line) => format!("{}:{line}", chain.name),
        });
        Self {
            place: Rc::from(place),
            network: known_network(rule),
            signature: signature_name(rule).map(Rc::from),
        }
    }
}

fn policy_name(hook: Hook, line: Line) -> String {
    format!("{}:{}", hook.name(), line.0)
}

/// What the gate would say of a packet that this rule decides about, if it is one for whole networks. Only TOML has such.
fn known_network(rule: &Rule) -> Option<Reason> {
    match (rule.matches.as_slice(), &rule.target) {
        ([Match::SourceIn { negated: false, .. }], Target::Accept) => Some(Reason::Trusted),
        ([.., Match::SourceIn { negated: false, .. }], Target::Drop) => Some(Reason::Blocked),
        _ => None,
    }
}
