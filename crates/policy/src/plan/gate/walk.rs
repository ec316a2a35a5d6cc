//! The walk through `INPUT` that collects what the gate decides, and the proof that it may.

use super::Note;
use super::condition::{Added, Condition};
use super::doubt::{self, Doubt};
use super::drafts::{Action, Drafts, position_or_push};
use super::search::Search;
use crate::ruleset::{Chain, ChainId, Line, Match, Network, Networks, Rule, RuleSet, Target};

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
    /// Why some of those that fulfil it may not come, if so.
    doubt: Option<Doubt>,
    /// Whether text rules may follow when they come back.
    text_follows: bool,
    /// Jumps from `INPUT`, which is 0.
    depth: usize,
}

/// What a packet that came to the end of a chain may have skipped.
#[derive(Clone, Copy, Default)]
struct State {
    /// A RETURN or goto there may have taken packets away that the conditions here still describe.
    taken_at: Option<Line>,
}

/// Walks `INPUT` of `set`.
pub(super) fn input(set: &RuleSet, drafts: &mut Drafts) {
    let Some((id, _)) = set.chain("INPUT") else { return };
    let mut walk = Walk { set, last_texts: last_texts(set), drafts };
    walk.chain(id, Entry { condition: &Condition::default(), doubt: None, text_follows: false, depth: 0 });
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
        let mut meant = conditions(rule, outer);
        meant.doubt = meant.doubt.max(entry.doubt).max(state.taken_at.map(|_| Doubt::Unseen));
        let own_text = searches(rule).next().is_some();
        if !own_text && outer.group.is_none() {
            return self.plain(rule, &meant, state, entry);
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
        if meant.doubt.is_some() {
            return self.refuse_doubtful(rule, meant.blamed, state, outer);
        }
        let group = if own_text { Some(self.drafts.group(run)) } else { outer.group };
        for mut condition in meant.conditions {
            condition.group = group;
            self.act(rule, Entry { condition: &condition, ..entry }, state);
        }
    }

    /// A rule that decides what becomes of packets with a text, of which the gate cannot say for which of them; `blamed` is
    /// why.
    fn refuse_doubtful(&mut self, rule: &Rule, blamed: Option<&Match>, state: &State, outer: &Condition) {
        const UNJUDGED: &str = "which the gate cannot judge before connection tracking";
        let Some(one) = blamed else {
            let line = state.taken_at.unwrap_or(rule.line);
            let why = format!("comes after line {}, which may return the same packets before", line.0);
            return self.drafts.refuse(rule, &why, "move the text rules above it");
        };
        let option = doubt::option(one);
        if searches(rule).next().is_some() {
            let why = format!("stands together with a condition, `{option}`, {UNJUDGED}");
            return self.drafts.refuse(rule, &why, doubt::help(one));
        }
        let (place, help) = if outer.group.is_some() {
            (
                "behind text rules",
                "where text rules jump to, LOG and NFLOG may have a `limit`; leave other such conditions out",
            )
        } else {
            ("on the way to text rules", "jump to text rules without `limit`, `state`, `recent` and the like")
        };
        self.drafts.refuse_option(rule, option, &format!("is a condition {place}, {UNJUDGED}"), help);
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
        if let Some((line, verb, doubt)) = self.drafts.obstacle(self.set.family, condition) {
            return self.drafts.refuse(
                rule,
                &format!("comes after line {}, which may {verb} the same packets {}", line.0, doubt.cause()),
                doubt.help(),
            );
        }
        match &rule.target {
            Target::Drop => self.drafts.push(self.set.family, rule.line, condition, Action::Drop),
            Target::Log(log) => self.note(rule, condition, Note::Log(log.clone())),
            Target::Nflog(nflog) => self.note(rule, condition, Note::Nflog(nflog.clone())),
            Target::Continue => {}
            Target::Jump(next) => self.chain(*next, Entry { depth: entry.depth + 1, ..entry }),
            Target::Accept | Target::Goto(_) | Target::Reject(_) | Target::Return => {
                state.taken_at = Some(rule.line);
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
    fn plain(&mut self, rule: &Rule, meant: &Meant<'_>, state: &mut State, entry: Entry<'_>) {
        match rule.target {
            Target::Accept => self.leave(rule, meant, "accept"),
            Target::Reject(_) => self.leave(rule, meant, "answer"),
            // Whether this drops a packet or a text rule behind it does, it is dropped. Nor need the gate step back for it:
            // what it drops besides gets as far as nftables. But a rule that counts must see all that it would have seen.
            Target::Drop if matches!(meant.doubt, Some(Doubt::Unseen | Doubt::Connection)) => {}
            Target::Drop => self.leave(rule, meant, "drop"),
            Target::Continue | Target::Log(_) | Target::Nflog(_) => {}
            Target::Jump(next) => self.inner(next, meant, rule, state, entry),
            Target::Goto(next) => {
                self.inner(next, meant, rule, state, entry);
                self.leave_rest(rule, meant, state, entry);
            }
            Target::Return => self.leave_rest(rule, meant, state, entry),
        }
    }

    fn inner(&mut self, next: ChainId, meant: &Meant<'_>, rule: &Rule, state: &State, entry: Entry<'_>) {
        if meant.doubt.is_some() && self.last_text(next).is_some() {
            return self.refuse_doubtful(rule, meant.blamed, state, entry.condition);
        }
        for condition in &meant.conditions {
            let depth = entry.depth + 1;
            self.chain(next, Entry { condition, doubt: meant.doubt, depth, ..entry });
        }
    }

    /// Packets that end their way through this chain here.
    fn leave_rest(&mut self, rule: &Rule, meant: &Meant<'_>, state: &mut State, entry: Entry<'_>) {
        if entry.depth == 0 {
            // The policy of the chain decides, which nftables knows.
            self.leave(rule, meant, "return");
        } else {
            state.taken_at = Some(rule.line);
        }
    }

    fn leave(&mut self, rule: &Rule, meant: &Meant<'_>, verb: &'static str) {
        for condition in &meant.conditions {
            let action = Action::Leave { verb, doubt: meant.doubt };
            self.drafts.push(self.set.family, rule.line, condition, action);
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

/// What a rule says, as far as the gate can judge it.
struct Meant<'a> {
    /// The alternatives.
    conditions: Vec<Condition>,
    /// Why the rule may hold for less packets than they do, if so.
    doubt: Option<Doubt>,
    /// The first match that was left out.
    blamed: Option<&'a Match>,
}

/// The rule's conditions inside of `outer`.
fn conditions<'a>(rule: &'a Rule, outer: &Condition) -> Meant<'a> {
    let mut meant = Meant { conditions: vec![outer.clone()], doubt: None, blamed: None };
    // What ports mean depends on the protocol, wherever in the rule it stands.
    let is_protocol = |one: &&Match| matches!(one, Match::Protocol { .. });
    let protocols = rule.matches.iter().filter(is_protocol);
    let others = rule.matches.iter().filter(|one| !is_protocol(one) && Search::of(one).is_none());
    for one in protocols.chain(others).filter(|one| !only_spares_the_log(rule, one)) {
        let mut next = Vec::new();
        for condition in &meant.conditions {
            match condition.and(one) {
                Added::Exactly(more) => next.extend(more),
                Added::Wider => {
                    meant.doubt = meant.doubt.max(Some(Doubt::of(one)));
                    meant.blamed = meant.blamed.or(Some(one));
                    next.push(condition.clone());
                }
            }
        }
        meant.conditions = next;
    }
    meant
}

/// A `limit` before LOG or NFLOG decides nothing about packets, and no other rule shares its count. What the gate notes
/// without it is bounded all the same: the daemon writes 10 lines a second at most, of all such rules together. So a
/// policy that asks for fewer lines can get more than it asked for, but never a flood.
fn only_spares_the_log(rule: &Rule, one: &Match) -> bool {
    matches!(one, Match::Limit(_)) && matches!(rule.target, Target::Log(_) | Target::Nflog(_))
}
