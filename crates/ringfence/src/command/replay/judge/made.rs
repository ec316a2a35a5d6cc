//! A judge before its first frame.

use std::cell::OnceCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;
use std::time::Duration;

use engine::Enforcer;
use netfilter::rules::Evaluator;
use netfilter::stack::{Settings, Stack};
use policy::Policy;

use super::Judge;
use super::reasons::Reasons;
use crate::command::replay::locals::Locals;
use crate::detection::Detection;

/// Two runs are to be the same.
const SEED: u64 = 0;

/// Bans and limits in force, at most.
const MAX_BANS: usize = 1 << 20;

impl<'a> Judge<'a> {
    /// Judges by a policy, and lets the engine watch. What grows is bounded by `settings`; problems are handed out with
    /// [`Judge::take_problems`]. Accepted packets are told one by one if `tells_accepted`.
    pub(in crate::command::replay) fn new(
        policy: &'a Policy,
        settings: Settings,
        locals: &'a Locals,
        tells_accepted: bool,
    ) -> Self {
        let rules = Evaluator::new(policy.sets(), settings.rules);
        Self::with_rules(rules, policy, settings, locals, tells_accepted)
    }

    /// As [`Judge::new`], with the policy's rules made ready before.
    pub(in crate::command::replay) fn with_rules(
        rules: Evaluator,
        policy: &'a Policy,
        settings: Settings,
        locals: &'a Locals,
        tells_accepted: bool,
    ) -> Self {
        Self {
            reasons: Reasons::new(policy.sets()),
            locals,
            stack: Stack::with_rules(rules, policy.sets(), settings),
            detection: Detection::new(policy, SEED),
            enforcer: Enforcer::new(&policy.detection().settings, MAX_BANS),
            follower: OnceCell::new(),
            policy,
            now: Duration::ZERO,
            decided: VecDeque::new(),
            tells_accepted,
            accepted: 0,
            sent_to_self: VecDeque::new(),
            problems: Vec::new(),
            suppressed: 0,
            unsupported: BTreeMap::new(),
            capture: Rc::from(""),
        }
    }
}
