//! Rules in the order in which a packet meets them, as far as that order does not depend on the packet.

use crate::ruleset::{Chain, ChainId, Match, Rule, RuleSet, Target};

/// The rules of a chain; where a rule jumps, those of the other chain in its place, under its conditions too.
pub(super) fn rules<'a>(rules: &'a RuleSet, chain: &'a Chain) -> Vec<Met<'a>> {
    let mut out = Vec::new();
    collect(rules, chain, &[], &[], &mut out);
    out
}

/// A rule on the way.
pub(super) struct Met<'a> {
    pub(super) rule: &'a Rule,
    /// Its conditions and those of the jumps that lead to it.
    pub(super) matches: Vec<&'a Match>,
    /// Its comments and those of the jumps.
    pub(super) comments: Vec<String>,
}

fn collect<'a>(
    rules: &'a RuleSet,
    chain: &'a Chain,
    conditions: &[&'a Match],
    above: &[String],
    out: &mut Vec<Met<'a>>,
) {
    let mut above = above.to_vec();
    for rule in &chain.rules {
        let comments = [std::mem::take(&mut above), rule.comments.clone()].concat();
        let matches: Vec<&Match> = conditions.iter().copied().chain(&rule.matches).collect();
        match callee(rules, rule) {
            // Checked rule sets have no loops, so this comes to an end.
            Some(callee) => collect(rules, callee, &matches, &comments, out),
            // A RETURN at the end does what the end does.
            None if rule.target == Target::Return && rule.matches.is_empty() && chain.policy.is_none() => {
                break;
            }
            None => out.push(Met { rule, matches, comments }),
        }
    }
}

/// The chain that a rule calls, when its rules can stand in the rule's place.
fn callee<'a>(rules: &'a RuleSet, rule: &Rule) -> Option<&'a Chain> {
    let Target::Jump(id) = &rule.target else { return None };
    // What counts or remembers would do so once for each rule of the chain.
    let stateless =
        |condition: &Match| !matches!(condition, Match::Limit(_) | Match::HashLimit(_) | Match::Recent(_));
    if !rule.matches.iter().all(stateless) || dropping(rules, &rule.target).is_some() {
        return None;
    }
    rules.by_id(*id).filter(|callee| !leaves_early(callee))
}

/// Whether a packet may come back from the chain before its end, which a plain list cannot say.
fn leaves_early(chain: &Chain) -> bool {
    chain.rules.iter().any(|rule| match rule.target {
        Target::Goto(_) => true,
        Target::Return => !rule.matches.is_empty(),
        Target::Accept
        | Target::Continue
        | Target::Drop
        | Target::Jump(_)
        | Target::Log(_)
        | Target::Nflog(_)
        | Target::Reject(_) => false,
    })
}

/// A target that drops, perhaps with a line in the log.
pub(super) struct Dropping<'a> {
    pub(super) log_prefix: Option<&'a str>,
    /// Comments in the chain that does it.
    pub(super) comments: Vec<&'a str>,
    /// The log is limited (`-m limit` before LOG).
    pub(super) log_limited: bool,
    /// The syslog level of the log.
    pub(super) level: Option<u8>,
}

/// Whether the target drops everything, itself or through a chain of LOG and DROP.
pub(super) fn dropping<'a>(rules: &'a RuleSet, target: &Target) -> Option<Dropping<'a>> {
    match target {
        Target::Drop => {
            Some(Dropping { log_prefix: None, comments: Vec::new(), log_limited: false, level: None })
        }
        Target::Jump(id) | Target::Goto(id) => dropping_chain(rules, *id),
        Target::Accept
        | Target::Continue
        | Target::Log(_)
        | Target::Nflog(_)
        | Target::Reject(_)
        | Target::Return => None,
    }
}

fn dropping_chain(rules: &RuleSet, id: ChainId) -> Option<Dropping<'_>> {
    let mut found = Dropping { log_prefix: None, comments: Vec::new(), log_limited: false, level: None };
    for rule in &rules.by_id(id)?.rules {
        found.comments.extend(rule.comments.iter().map(String::as_str));
        let plain = rule.matches.is_empty();
        let limited = rule.matches.iter().all(|condition| matches!(condition, Match::Limit(_)));
        match &rule.target {
            Target::Drop if plain => return Some(found),
            Target::Log(log) if limited => {
                found.log_prefix = Some(&log.prefix);
                found.level = Some(log.level);
                found.log_limited = !plain;
            }
            Target::Accept
            | Target::Continue
            | Target::Drop
            | Target::Goto(_)
            | Target::Jump(_)
            | Target::Log(_)
            | Target::Nflog(_)
            | Target::Reject(_)
            | Target::Return => return None,
        }
    }
    None
}
