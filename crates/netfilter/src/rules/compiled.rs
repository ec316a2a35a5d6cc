//! Rules made ready: searchers built, buckets filled, tables bound.

use std::sync::Arc;

use policy::ruleset::{ChainId, ChainPolicy, HeaderText, Line, Match, Recent, RuleSet, Target};
use policy::signature::Matcher;

use super::conditions::{Held, Subject, plain};
use super::hashlimit::{HashTables, Meter};
use super::known::Paths;
use super::limit::Bucket;
use super::recent::{ListId, RecentLists};
use super::text::{HeaderSearcher, Searcher};
use super::{Counter, Hook, Settings};

/// One family's table.
#[derive(Debug)]
pub(super) struct Compiled {
    pub(super) chains: Vec<Chain>,
    pub(super) built_in: BuiltIn,
    pub(super) paths: Paths,
    /// The one search for all signatures on headers.
    pub(super) any: Option<Arc<Matcher>>,
}

/// INPUT, FORWARD, OUTPUT.
#[derive(Debug)]
pub(super) struct BuiltIn([Option<ChainId>; 3]);

#[derive(Debug)]
pub(super) struct Chain {
    /// Where the policy stands.
    pub(super) line: Line,
    pub(super) policy: ChainPolicy,
    pub(super) policy_counter: Counter,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) line: Line,
    pub(super) target: Target,
    pub(super) counter: Counter,
    conditions: Vec<Condition>,
}

#[derive(Debug)]
enum Condition {
    /// Looks at what all packets of a flow have in common: addresses, ports, interface, state.
    Flow(Match),
    /// Looks at the packet only.
    Plain(Match),
    Text(Box<Searcher>),
    Header(Box<HeaderSearcher>),
    Limit(Bucket),
    HashLimit(Meter),
    Recent(Recent, ListId),
}

impl Compiled {
    pub(super) fn new<'r>(
        rules: &'r RuleSet,
        hash_tables: &mut HashTables,
        recent: &mut RecentLists,
        searches: &mut Vec<SharedSearch<'r>>,
        settings: Settings,
    ) -> Self {
        // Lists and tables are as their first rule makes them, in the order of the table that the tool gives to the kernel.
        for rule in
            loading_order(rules).into_iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.matches)
        {
            if let Match::HashLimit(limit) = rule {
                hash_tables.meter(limit, rules.family);
            } else if let Match::Recent(list) = rule {
                recent.list(list);
            }
        }
        let matches = rules.chains.iter().flat_map(|chain| &chain.rules).flat_map(|rule| &rule.matches);
        let headers: Vec<&'r HeaderText> = matches
            .filter_map(|rule| if let Match::Header(header) = rule { Some(header) } else { None })
            .collect();
        let any = if headers.len() > 1 { shared(headers, searches) } else { None };
        let mut condition = |rule: &Match| match rule {
            Match::Text(text) => Condition::Text(Box::new(Searcher::new(text))),
            Match::Header(header) => Condition::Header(Box::new(HeaderSearcher::new(header, any.clone()))),
            Match::Limit(limit) => Condition::Limit(Bucket::new(limit, settings)),
            Match::HashLimit(limit) => Condition::HashLimit(hash_tables.meter(limit, rules.family)),
            Match::Recent(list) => Condition::Recent(list.clone(), recent.list(list)),
            Match::Protocol { .. }
            | Match::Source { .. }
            | Match::SourceIn { .. }
            | Match::Destination { .. }
            | Match::InInterface { .. }
            | Match::OutInterface { .. }
            | Match::SourcePort { .. }
            | Match::DestinationPort { .. }
            | Match::WholeHeader
            | Match::Multiport { .. }
            | Match::State { .. }
            | Match::SourceRange { .. }
            | Match::DestinationRange { .. } => Condition::Flow(rule.clone()),
            Match::Fragment { .. }
            | Match::TcpFlags { .. }
            | Match::TcpOption { .. }
            | Match::Icmp { .. }
            | Match::Length { .. } => Condition::Plain(rule.clone()),
        };
        let mut chains = Vec::with_capacity(rules.chains.len());
        for chain in &rules.chains {
            let rules = chain.rules.iter().map(|rule| Rule {
                line: rule.line,
                target: rule.target.clone(),
                counter: Counter::default(),
                conditions: rule.matches.iter().map(&mut condition).collect(),
            });
            chains.push(Chain {
                line: chain.line,
                policy: chain.policy.unwrap_or(ChainPolicy::Accept),
                policy_counter: Counter::default(),
                rules: rules.collect(),
            });
        }
        let built_in =
            [Hook::Input, Hook::Forward, Hook::Output].map(|hook| rules.chain(hook.name()).map(|(id, _)| id));
        Self { chains, built_in: BuiltIn(built_in), paths: Paths::default(), any }
    }

    /// The chain of a hook.
    pub(super) fn built_in(&self, hook: Hook) -> Option<(ChainId, &Chain)> {
        let id = self.built_in.of(hook)?;
        self.chains.get(id.0).map(|chain| (id, chain))
    }
}

impl BuiltIn {
    /// The chain of a hook.
    pub(super) fn of(&self, hook: Hook) -> Option<ChainId> {
        let Self([input, forward, output]) = *self;
        match hook {
            Hook::Input => input,
            Hook::Forward => forward,
            Hook::Output => output,
        }
    }
}

/// Signatures on headers, and the one search for all of them: both families have the same ones.
pub(super) type SharedSearch<'r> = (Vec<&'r HeaderText>, Option<Arc<Matcher>>);

fn shared<'r>(headers: Vec<&'r HeaderText>, searches: &mut Vec<SharedSearch<'r>>) -> Option<Arc<Matcher>> {
    if let Some((_, known)) = searches.iter().find(|(known, _)| *known == headers) {
        return known.clone();
    }
    let search = Matcher::any(headers.iter().copied()).ok().map(Arc::new);
    searches.push((headers, search.clone()));
    search
}

/// The chains as libiptc lays them out: the built-in ones in the order of their hooks, the others by name.
fn loading_order(rules: &RuleSet) -> Vec<&policy::ruleset::Chain> {
    let hook = |name: &str| match name {
        "INPUT" => 0,
        "FORWARD" => 1,
        "OUTPUT" => 2,
        _ => 3,
    };
    let mut chains: Vec<_> = rules.chains.iter().collect();
    chains.sort_by(|a, b| (hook(&a.name), &a.name).cmp(&(hook(&b.name), &b.name)));
    chains
}

impl Rule {
    /// Whether every condition holds; those behind the first that does not are left alone, with their buckets and lists.
    pub(super) fn holds(
        &mut self,
        subject: &mut Subject<'_>,
        hash_tables: &mut HashTables,
        recent: &mut RecentLists,
    ) -> Held {
        for condition in &mut self.conditions {
            // A search for a header tells by itself.
            if !matches!(condition, Condition::Flow(_) | Condition::Header(_)) {
                subject.looks_beyond_flow();
            }
            let held = match condition {
                Condition::Flow(rule) | Condition::Plain(rule) => plain(rule, subject),
                Condition::Text(searcher) => searcher.holds(subject),
                Condition::Header(searcher) => searcher.holds(subject),
                Condition::Limit(bucket) => Held::from(bucket.takes(subject.jiffies())),
                Condition::HashLimit(meter) => hash_tables.holds(meter, subject),
                Condition::Recent(rule, list) => Held::from(recent.holds(rule, *list, subject)),
            };
            if held != Held::Yes {
                return held;
            }
        }
        Held::Yes
    }
}
