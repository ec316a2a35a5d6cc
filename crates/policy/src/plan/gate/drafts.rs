//! What the walks collect: conditions and actions in their order, before they get the kernel's layout.

use gate::layout::{MAX_GROUPS, MAX_NOTES, MAX_RULES, Rule as LayoutRule, action};

use super::condition::Condition;
use super::doubt::Doubt;
use super::search::Search;
use super::walk::searches;
use super::{Note, Unenforceable};
use crate::ruleset::{Family, InterfaceName, Line, Networks, Rule, Target};

/// Far more than [`MAX_RULES`], so that a policy that is somewhat too large is told how much. Beyond it, a policy is
/// refused without looking further.
const MAX_DRAFTS: usize = 4096;
/// Chains that jump to each other twice over double the walk with every chain, even where nothing is collected.
const MAX_STEPS: usize = 1 << 16;
/// Chains inside of chains; nftables follows 16 jumps.
const MAX_DEPTH: usize = 64;

/// One condition-and-action, before it gets the kernel's layout.
pub(super) struct Draft {
    pub(super) family: Family,
    pub(super) line: Line,
    pub(super) condition: Condition,
    pub(super) action: Action,
}

#[derive(Clone, Copy, Eq, PartialEq)]
pub(super) enum Action {
    Drop,
    /// nftables decides: the rule may `verb` these packets, or only some of them for the reason of `doubt`.
    Leave {
        verb: &'static str,
        doubt: Option<Doubt>,
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
    /// Rules that the walks came to, once for each way there; at most [`MAX_STEPS`].
    steps: usize,
    /// How the bounds of the walks were broken.
    overflow: Option<Unenforceable>,
}

impl Drafts {
    /// Nothing yet.
    pub(super) fn for_networks(networks: Networks) -> Self {
        Self { networks, ..Self::default() }
    }

    /// Asks to look at `count` more rules, of which `rule` is the first, `depth` jumps away from `INPUT`. Once a bound is
    /// broken, the answer stays no.
    pub(super) fn may_go_on(&mut self, rule: &Rule, count: usize, depth: usize) -> bool {
        if self.overflow.is_some() {
            return false;
        }
        self.steps = self.steps.saturating_add(count);
        let (what, bound) = if self.rules.len() > MAX_DRAFTS {
            ("conditions before and in text rules", MAX_DRAFTS)
        } else if self.steps > MAX_STEPS {
            ("rules on all ways through the chains to text rules", MAX_STEPS)
        } else if depth > MAX_DEPTH {
            ("chains inside of each other", MAX_DEPTH)
        } else {
            return true;
        };
        self.overflow = Some(Unenforceable::new(
            rule.line,
            format!("more than {bound} {what}; the gate has room for {MAX_RULES} conditions"),
            "put text rules at the top of INPUT, and jump less often on the way to them",
        ));
        false
    }

    /// The kernel's tables have fixed sizes. If the walks had to be ended, that is all there is to say.
    pub(super) fn check_bounds(&mut self) {
        if let Some(overflow) = self.overflow.take() {
            self.errors = vec![overflow];
            return;
        }
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

    /// Refuses `rule`; `why` goes on from the option that searches for text or leads there.
    pub(super) fn refuse(&mut self, rule: &Rule, why: &str, help: &str) {
        let option = match rule.target {
            _ if searches(rule).next().is_some() => "-m string",
            Target::Goto(_) => "-g",
            Target::Accept
            | Target::Continue
            | Target::Drop
            | Target::Jump(_)
            | Target::Log(_)
            | Target::Nflog(_)
            | Target::Reject(_)
            | Target::Return => "-j",
        };
        self.refuse_option(rule, option, why, help);
    }

    /// Refuses `rule` for `option`.
    pub(super) fn refuse_option(&mut self, rule: &Rule, option: &str, why: &str, help: &str) {
        self.errors.push(Unenforceable::new(rule.line, format!("`{option}` {why}"), help));
    }

    pub(super) fn group(&mut self, rules: &[Rule]) -> usize {
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

    pub(super) fn push(&mut self, family: Family, line: Line, condition: &Condition, action: Action) {
        if let Some(name) = condition.interface() {
            position_or_push(&mut self.interfaces, name.clone());
        }
        self.rules.push(Draft { family, line, condition: condition.clone(), action });
    }

    /// The first earlier rule that may decide otherwise about packets of `condition`, in a way the gate cannot see; what
    /// it may do, and why that is not certain.
    pub(super) fn obstacle(
        &self,
        family: Family,
        condition: &Condition,
    ) -> Option<(Line, &'static str, Doubt)> {
        self.rules.iter().find_map(|draft| match draft.action {
            Action::Leave { verb, doubt: Some(doubt) }
                if draft.family == family && !draft.condition.excludes(condition) =>
            {
                Some((draft.line, verb, doubt))
            }
            Action::Drop | Action::Leave { .. } | Action::Note(_) => None,
        })
    }
}

pub(super) fn position_or_push<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    if let Some(index) = list.iter().position(|other| *other == value) {
        return index;
    }
    list.push(value);
    list.len() - 1
}
