//! The walk through `INPUT` that collects what the gate decides, and the proof that it may.

use gate::layout::{MAX_GROUPS, MAX_NOTES, MAX_RULES, Rule as LayoutRule, action};

use super::condition::{Added, Condition};
use super::search::Search;
use super::{Note, Unenforceable};
use crate::ruleset::{
    Chain, ChainId, Family, InterfaceName, Line, Match, Network, Networks, Rule, RuleSet, Target,
};

/// One condition-and-action, before it gets the kernel's layout.
pub(super) struct Draft {
    pub(super) family: Family,
    pub(super) line: Line,
    pub(super) condition: Condition,
    action: Action,
}

#[derive(Clone, Copy, Eq, PartialEq)]
enum Action {
    Drop,
    /// nftables decides; `exactly` says whether for all of these packets.
    Leave {
        exactly: bool,
    },
    Note(usize),
}

impl Draft {
    pub(super) fn to_layout(&self, interfaces: &[InterfaceName]) -> LayoutRule {
        let mut rule = self.condition.to_layout(self.family, interfaces);
        match self.action {
            Action::Drop => rule.action = action::DROP,
            Action::Leave { .. } => rule.action = action::LEAVE,
            Action::Note(note) => {
                rule.action = action::NOTE;
                rule.note = u32::try_from(note).unwrap_or(0);
            }
        }
        rule
    }
}

/// Where a signature was written first, and what it is called.
pub(super) struct Origin {
    pub(super) line: Line,
    pub(super) name: Option<String>,
}

/// Everything that the walks collect.
#[derive(Default)]
pub(super) struct Drafts {
    pub(super) rules: Vec<Draft>,
    /// Every distinct signature with the first rule that has it.
    pub(super) searches: Vec<(Search, Origin)>,
    /// Networks that the gate judges before it looks for signatures.
    pub(super) networks: Networks,
    /// Sets of signatures (indexes), one of which a rule looks for.
    pub(super) groups: Vec<Vec<usize>>,
    pub(super) notes: Vec<Note>,
    pub(super) interfaces: Vec<InterfaceName>,
    pub(super) errors: Vec<Unenforceable>,
}

impl Drafts {
    /// The kernel's tables have fixed sizes.
    pub(super) fn check_bounds(&mut self) {
        // What follows the last text rule is nftables' alone.
        let text = |draft: &Draft| draft.condition.group.is_some();
        let end = self.rules.iter().rposition(text).map_or(0, |index| index + 1);
        self.rules.truncate(end);
        let line = self.rules.last().map_or(Line(0), |draft| draft.line);
        for (what, count, bound) in [
            ("conditions before and in text rules", self.rules.len(), MAX_RULES as usize),
            ("different sets of texts", self.groups.len(), MAX_GROUPS),
            ("different log statements", self.notes.len(), MAX_NOTES),
            ("different interface names", self.interfaces.len(), 64),
        ] {
            if count > bound {
                self.errors.push(Unenforceable::new(
                    line,
                    format!("{count} {what}; the gate has room for {bound}"),
                    "put text rules that end alike next to each other, and before other rules",
                ));
            }
        }
    }

    fn refuse(&mut self, rule: &Rule, why: &str, help: &str) {
        self.errors.push(Unenforceable::new(rule.line, format!("`-m string` {why}"), help));
    }

    fn group(&mut self, rules: &[Rule]) -> usize {
        let mut members: Vec<usize> = rules
            .iter()
            .flat_map(|rule| searches(rule).map(move |one| (one, rule)))
            .map(|(one, rule)| self.search(one, rule))
            .collect();
        members.sort_unstable();
        members.dedup();
        position_or_push(&mut self.groups, members)
    }

    fn search(&mut self, search: Search, rule: &Rule) -> usize {
        if let Some(index) = self.searches.iter().position(|(other, _)| *other == search) {
            return index;
        }
        self.searches.push((search, Origin { line: rule.line, name: rule.name.clone() }));
        self.searches.len() - 1
    }

    fn push(&mut self, family: Family, line: Line, condition: &Condition, action: Action) {
        if let Some(name) = condition.interface() {
            position_or_push(&mut self.interfaces, name.clone());
        }
        self.rules.push(Draft { family, line, condition: condition.clone(), action });
    }

    /// The first earlier rule that may decide otherwise about packets of `condition`, in a way the gate cannot see.
    fn obstacle(&self, family: Family, condition: &Condition) -> Option<Line> {
        self.rules
            .iter()
            .find(|draft| {
                draft.family == family
                    && draft.action == Action::Leave { exactly: false }
                    && !draft.condition.excludes(condition)
            })
            .map(|draft| draft.line)
    }
}

fn position_or_push<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    if let Some(index) = list.iter().position(|other| *other == value) {
        return index;
    }
    list.push(value);
    list.len() - 1
}

/// The walk through one chain, as part of the walk through `INPUT`.
struct Walk<'a> {
    set: &'a RuleSet,
    drafts: &'a mut Drafts,
}

/// What a packet that came to the end of a chain may have skipped.
#[derive(Clone, Copy, Default)]
struct State {
    /// A RETURN or goto before may have taken packets away that the conditions here still describe.
    uncertain: bool,
}

/// Walks `INPUT` of `set`.
pub(super) fn input(set: &RuleSet, drafts: &mut Drafts) {
    let Some((_, chain)) = set.chain("INPUT") else { return };
    let mut walk = Walk { set, drafts };
    walk.chain(chain, &Condition::default(), true);
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
            if let Target::Jump(next) | Target::Goto(next) = rule.target
                && !ids.contains(&next)
            {
                ids.push(next);
            }
        }
        index += 1;
    }
    ids.into_iter().filter_map(|id| set.by_id(id)).collect()
}

fn searches(rule: &Rule) -> impl Iterator<Item = Search> {
    rule.matches.iter().filter_map(Search::of)
}

/// The rule without its text conditions: what must be equal for rules to share a group.
fn without_searches(rule: &Rule) -> Vec<&Match> {
    rule.matches.iter().filter(|one| Search::of(one).is_none()).collect()
}

impl Walk<'_> {
    fn chain(&mut self, chain: &Chain, outer: &Condition, base: bool) {
        let mut state = State::default();
        let mut index = 0;
        while let Some(rule) = chain.rules.get(index) {
            let run = same_run(chain.rules.get(index..).unwrap_or_default());
            self.rules(run, rule, outer, &mut state, base);
            index += run.len().max(1);
        }
    }

    /// A rule, or a run of rules that differ in their text only.
    fn rules(&mut self, run: &[Rule], rule: &Rule, outer: &Condition, state: &mut State, base: bool) {
        if self.is_about_known_networks(rule) {
            return;
        }
        let (conditions, exactly) = conditions(rule, outer);
        let exactly = exactly && !state.uncertain;
        let own_text = searches(rule).next().is_some();
        if !own_text && outer.group.is_none() {
            return self.plain(rule, &conditions, exactly, state, base);
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
            self.act(rule, &condition, state);
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
    fn act(&mut self, rule: &Rule, condition: &Condition, state: &mut State) {
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
            Target::Jump(next) => {
                if let Some(chain) = self.set.by_id(*next) {
                    self.chain(chain, condition, false);
                }
            }
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
    fn plain(&mut self, rule: &Rule, conditions: &[Condition], exactly: bool, state: &mut State, base: bool) {
        match rule.target {
            Target::Accept | Target::Drop | Target::Reject(_) => self.leave(rule, conditions, exactly),
            Target::Continue | Target::Log(_) | Target::Nflog(_) => {}
            Target::Jump(next) => self.inner(next, conditions, exactly, rule),
            Target::Goto(next) => {
                self.inner(next, conditions, exactly, rule);
                self.leave_rest(rule, conditions, exactly, state, base);
            }
            Target::Return => self.leave_rest(rule, conditions, exactly, state, base),
        }
    }

    fn inner(&mut self, next: ChainId, conditions: &[Condition], exactly: bool, rule: &Rule) {
        let Some(chain) = self.set.by_id(next) else { return };
        let has_text = reachable(self.set, next)
            .iter()
            .any(|chain| chain.rules.iter().any(|rule| searches(rule).next().is_some()));
        if !exactly && has_text {
            return self.drafts.refuse(
                rule,
                "is reached through a condition that the gate cannot judge before connection tracking",
                "jump to the text rules without `limit`, `state`, `recent` and the like",
            );
        }
        let before = self.drafts.rules.len();
        for condition in conditions {
            self.chain(chain, condition, false);
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
