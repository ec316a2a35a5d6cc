//! The walk through `INPUT` that collects what the gate decides, and the proof that it may.

use super::Note;
use super::condition::{Added, Condition};
use super::drafts::{Action, Drafts, position_or_push};
use super::search::Search;
use crate::ruleset::{Chain, ChainId, Match, Network, Networks, Rule, RuleSet, Target};

/// The walk through one chain, as part of the walk through `INPUT`.
struct Walk<'a> {
    set: &'a RuleSet,
    /// By chain: the last rule by which packets may come to a text rule.
    last_texts: Vec<Option<usize>>,
    drafts: &'a mut Drafts,
}

/// How packets come to a chain.
#[derive(Clone, Copy)]
struct Entry<'a> {
    /// What all of them fulfil.
    condition: &'a Condition,
    /// Whether text rules may follow when they come back.
    text_follows: bool,
    /// Jumps from `INPUT`, which is 0.
    depth: usize,
}

/// What a packet that came to the end of a chain may have skipped.
#[derive(Clone, Copy, Default)]
struct State {
    /// A RETURN or goto before may have taken packets away that the conditions here still describe.
    uncertain: bool,
}

/// Walks `INPUT` of `set`.
pub(super) fn input(set: &RuleSet, drafts: &mut Drafts) {
    let Some((id, _)) = set.chain("INPUT") else { return };
    let mut walk = Walk { set, last_texts: last_texts(set), drafts };
    walk.chain(id, Entry { condition: &Condition::default(), text_follows: false, depth: 0 });
}

/// By chain of `set`: the last rule by which packets may come to a text rule.
fn last_texts(set: &RuleSet) -> Vec<Option<usize>> {
    let mut callers = vec![Vec::new(); set.chains.len()];
    let mut texts = vec![false; set.chains.len()];
    let mut found = Vec::new();
    for (index, chain) in set.chains.iter().enumerate() {
        for next in chain.rules.iter().filter_map(next_chain) {
            if let Some(callers) = callers.get_mut(next.0) {
                callers.push(index);
            }
        }
        if chain.rules.iter().any(|rule| searches(rule).next().is_some()) {
            found.push(index);
        }
    }
    while let Some(index) = found.pop() {
        if texts.get(index) == Some(&false)
            && let (Some(text), Some(callers)) = (texts.get_mut(index), callers.get(index))
        {
            *text = true;
            found.extend(callers);
        }
    }
    let leads_to_text = |rule: &Rule| {
        searches(rule).next().is_some()
            || next_chain(rule).is_some_and(|next| texts.get(next.0) == Some(&true))
    };
    set.chains.iter().map(|chain| chain.rules.iter().rposition(leads_to_text)).collect()
}

/// Where a rule sends packets.
fn next_chain(rule: &Rule) -> Option<ChainId> {
    match rule.target {
        Target::Jump(next) | Target::Goto(next) => Some(next),
        Target::Accept
        | Target::Continue
        | Target::Drop
        | Target::Log(_)
        | Target::Nflog(_)
        | Target::Reject(_)
        | Target::Return => None,
    }
}

/// Text outside of what `INPUT` reaches: the gate stands before `INPUT` only.
pub(super) fn refuse_text_elsewhere(set: &RuleSet, drafts: &mut Drafts) {
    for name in ["FORWARD", "OUTPUT"] {
        let Some((id, _)) = set.chain(name) else { continue };
        for chain in reachable(set, id) {
            for rule in chain.rules.iter().filter(|rule| searches(rule).next().is_some()) {
                drafts.refuse(
                    rule,
                    &format!("is reached from {name}; the gate searches what comes in for this host"),
                    "`replay` can judge this file; for `run`, keep text rules in INPUT",
                );
            }
        }
    }
}

/// All chains that a packet in `start` may come to.
fn reachable(set: &RuleSet, start: ChainId) -> Vec<&Chain> {
    let mut ids = vec![start];
    let mut index = 0;
    while let Some(chain) = ids.get(index).and_then(|id| set.by_id(*id)) {
        for rule in &chain.rules {
            if let Some(next) = next_chain(rule)
                && !ids.contains(&next)
            {
                ids.push(next);
            }
        }
        index += 1;
    }
    ids.into_iter().filter_map(|id| set.by_id(id)).collect()
}

pub(super) fn searches(rule: &Rule) -> impl Iterator<Item = Search> {
    rule.matches.iter().filter_map(Search::of)
}

/// The rule without its text conditions: what must be equal for rules to share a group.
fn without_searches(rule: &Rule) -> Vec<&Match> {
    rule.matches.iter().filter(|one| Search::of(one).is_none()).collect()
}

impl Walk<'_> {
    /// The last rule of a chain by which packets may come to a text rule.
    fn last_text(&self, ChainId(id): ChainId) -> Option<usize> {
        self.last_texts.get(id).copied().flatten()
    }

    fn chain(&mut self, id: ChainId, entry: Entry<'_>) {
        let Some(chain) = self.set.by_id(id) else { return };
        let mut state = State::default();
        let mut index = 0;
        // Rules behind the last text rule are nftables' alone, unless they say what becomes of packets with a text.
        let last_text = self.last_text(id);
        let all = entry.text_follows || entry.condition.group.is_some();
        let end = if all { chain.rules.len() } else { last_text.map_or(0, |last| last + 1) };
        while let Some(rule) = chain.rules.get(index).filter(|_| index < end) {
            let run = same_run(chain.rules.get(index..).unwrap_or_default());
            index += run.len().max(1);
            if self.is_about_known_networks(rule) {
                continue;
            }
            if !self.drafts.may_go_on(rule, run.len(), entry.depth) {
                return;
            }
            let text_follows = entry.text_follows || last_text.is_some_and(|last| index <= last);
            self.rules(run, rule, Entry { text_follows, ..entry }, &mut state);
        }
    }

    /// A rule, or a run of rules that differ in their text only. Text follows it, or not.
    fn rules(&mut self, run: &[Rule], rule: &Rule, entry: Entry<'_>, state: &mut State) {
        let outer = entry.condition;
        let (conditions, exactly) = conditions(rule, outer);
        let exactly = exactly && !state.uncertain;
        let own_text = searches(rule).next().is_some();
        if !own_text && outer.group.is_none() {
            return self.plain(rule, &conditions, exactly, state, entry);
        }
        if own_text && (outer.group.is_some() || searches(rule).count() > 1) {
            return self.drafts.refuse(
                rule,
                "stands together with another one; the gate searches for one text of several, not for several at once",
                "use one `-m string` per rule, and no text rules in a chain that a text rule jumps to",
            );
        }
        if searches(rule).any(|search| search.is_negated()) {
            return self.drafts.refuse(
                rule,
                "is negated; the gate acts on what it finds",
                "`replay` can judge this file",
            );
        }
        if !exactly {
            return self.drafts.refuse(
                rule,
                "stands together with a condition that the gate cannot judge before connection tracking",
                "leave `limit`, `state`, `recent` and the like out of rules that search for text",
            );
        }
        let group = if own_text { Some(self.drafts.group(run)) } else { outer.group };
        for mut condition in conditions {
            condition.group = group;
            self.act(rule, Entry { condition: &condition, ..entry }, state);
        }
    }

    /// A rule for packets that never come as far as the walk: their source is trusted or blocked.
    fn is_about_known_networks(&self, rule: &Rule) -> bool {
        let Networks { trusted, blocked } = &self.drafts.networks;
        let known = |network: &Network| trusted.contains(network) || blocked.contains(network);
        rule.matches.iter().any(|one| {
            matches!(one, Match::Source { negated: false, network } if known(network))
                || matches!(one, Match::SourceIn { negated: false, networks } if networks.iter().all(known))
        })
    }

    /// What a rule does with packets in which the text was found.
    fn act(&mut self, rule: &Rule, entry: Entry<'_>, state: &mut State) {
        let condition = entry.condition;
        if let Some(line) = self.drafts.obstacle(self.set.family, condition) {
            return self.drafts.refuse(
                rule,
                &format!(
                    "comes after line {}, which may accept the same packets by their connection's state",
                    line.0
                ),
                "move the text rules above it, as the gate looks before connection tracking",
            );
        }
        match &rule.target {
            Target::Drop => self.drafts.push(self.set.family, rule.line, condition, Action::Drop),
            Target::Log(log) => self.note(rule, condition, Note::Log(log.clone())),
            Target::Nflog(nflog) => self.note(rule, condition, Note::Nflog(nflog.clone())),
            Target::Continue => {}
            Target::Jump(next) => self.chain(*next, Entry { depth: entry.depth + 1, ..entry }),
            Target::Accept | Target::Goto(_) | Target::Reject(_) | Target::Return => {
                state.uncertain = true;
                self.drafts.refuse(
                    rule,
                    "leads to a target other than DROP, LOG and NFLOG",
                    "the gate never answers and never accepts on its own; use DROP, as an answer helps the scanner",
                );
            }
        }
    }

    fn note(&mut self, rule: &Rule, condition: &Condition, note: Note) {
        let index = position_or_push(&mut self.drafts.notes, note);
        self.drafts.push(self.set.family, rule.line, condition, Action::Note(index));
    }

    /// A rule that has nothing to do with text: nftables enforces it, the gate steps back.
    fn plain(
        &mut self,
        rule: &Rule,
        conditions: &[Condition],
        exactly: bool,
        state: &mut State,
        entry: Entry<'_>,
    ) {
        let base = entry.depth == 0;
        match rule.target {
            Target::Accept | Target::Drop | Target::Reject(_) => self.leave(rule, conditions, exactly),
            Target::Continue | Target::Log(_) | Target::Nflog(_) => {}
            Target::Jump(next) => self.inner(next, conditions, exactly, rule, entry),
            Target::Goto(next) => {
                self.inner(next, conditions, exactly, rule, entry);
                self.leave_rest(rule, conditions, exactly, state, base);
            }
            Target::Return => self.leave_rest(rule, conditions, exactly, state, base),
        }
    }

    fn inner(
        &mut self,
        next: ChainId,
        conditions: &[Condition],
        exactly: bool,
        rule: &Rule,
        entry: Entry<'_>,
    ) {
        if !exactly && self.last_text(next).is_some() {
            return self.drafts.refuse(
                rule,
                "is reached through a condition that the gate cannot judge before connection tracking",
                "jump to the text rules without `limit`, `state`, `recent` and the like",
            );
        }
        let before = self.drafts.rules.len();
        for condition in conditions {
            self.chain(next, Entry { condition, depth: entry.depth + 1, ..entry });
        }
        if !exactly {
            for draft in self.drafts.rules.iter_mut().skip(before) {
                draft.action = Action::Leave { exactly: false };
            }
        }
    }

    /// Packets that end their way through this chain here.
    fn leave_rest(
        &mut self,
        rule: &Rule,
        conditions: &[Condition],
        exactly: bool,
        state: &mut State,
        base: bool,
    ) {
        if base {
            // The policy of the chain decides, which nftables knows.
            self.leave(rule, conditions, exactly);
        } else {
            state.uncertain = true;
        }
    }

    fn leave(&mut self, rule: &Rule, conditions: &[Condition], exactly: bool) {
        for condition in conditions {
            self.drafts.push(self.set.family, rule.line, condition, Action::Leave { exactly });
        }
    }
}

/// The first rule and those behind it that differ from it only in the text that they search for.
fn same_run(rules: &[Rule]) -> &[Rule] {
    let Some(first) = rules.first() else { return &[] };
    let single =
        |rule: &Rule| searches(rule).count() == 1 && !searches(rule).any(|search| search.is_negated());
    let alike = |rule: &&Rule| {
        single(rule) && rule.target == first.target && without_searches(rule) == without_searches(first)
    };
    let count = if single(first) { rules.iter().take_while(alike).count() } else { 1 };
    rules.get(..count.max(1)).unwrap_or_default()
}

/// The rule's conditions inside of `outer`, and whether they say exactly what the rule does.
fn conditions(rule: &Rule, outer: &Condition) -> (Vec<Condition>, bool) {
    let mut alternatives = vec![outer.clone()];
    let mut exactly = true;
    // What ports mean depends on the protocol, wherever in the rule it stands.
    let is_protocol = |one: &&Match| matches!(one, Match::Protocol { .. });
    let protocols = rule.matches.iter().filter(is_protocol);
    let others = rule.matches.iter().filter(|one| !is_protocol(one) && Search::of(one).is_none());
    for one in protocols.chain(others) {
        let mut next = Vec::new();
        for condition in &alternatives {
            match condition.and(one) {
                Added::Exactly(more) => next.extend(more),
                Added::Wider => {
                    exactly = false;
                    next.push(condition.clone());
                }
            }
        }
        alternatives = next;
    }
    (alternatives, exactly)
}
