//! A rule set in the making.

use crate::ruleset::{Chain, ChainId, ChainPolicy, Family, Line, Log, Match, Rule, RuleSet, Target};

/// Built-in chains come first, in netfilter's order.
pub(super) struct Builder {
    set: RuleSet,
}

impl Builder {
    pub(super) const INPUT: ChainId = ChainId(0);
    pub(super) const FORWARD: ChainId = ChainId(1);

    pub(super) fn new(family: Family) -> Self {
        let chains = ["INPUT", "FORWARD", "OUTPUT"].map(|name| Chain {
            name: name.to_owned(),
            policy: Some(ChainPolicy::Accept),
            line: Line::SHIPPED,
            rules: Vec::new(),
        });
        Self { set: RuleSet { family, chains: chains.into() } }
    }

    pub(super) fn family(&self) -> Family {
        self.set.family
    }

    pub(super) fn is_ipv4(&self) -> bool {
        self.set.family == Family::Ipv4
    }

    /// A new user chain.
    pub(super) fn chain(&mut self, name: &str, line: Line) -> ChainId {
        let chain = Chain { name: name.to_owned(), policy: None, line, rules: Vec::new() };
        self.set.chains.push(chain);
        ChainId(self.set.chains.len() - 1)
    }

    /// The chain that logs with this prefix and drops; the first one has the article's name for it.
    pub(super) fn bad_sip(&mut self, prefix: &str, level: u8) -> ChainId {
        const NAME: &str = "BADSIP";
        let logs = |chain: &Chain| {
            chain.name.starts_with(NAME)
                && matches!(chain.rules.first(), Some(Rule { target: Target::Log(log), .. }) if log.prefix == prefix)
        };
        if let Some(index) = self.set.chains.iter().position(logs) {
            return ChainId(index);
        }
        let others = self.set.chains.iter().filter(|chain| chain.name.starts_with(NAME)).count();
        let name = if others == 0 { NAME.to_owned() } else { format!("{NAME}-{}", others + 1) };
        let id = self.chain(&name, Line::SHIPPED);
        let log = Log { level, prefix: prefix.to_owned(), ..Log::default() };
        self.rule(id, Line::SHIPPED, Vec::new(), Target::Log(log));
        self.rule(id, Line::SHIPPED, Vec::new(), Target::Drop);
        id
    }

    pub(super) fn rule(&mut self, chain: ChainId, line: Line, matches: Vec<Match>, target: Target) {
        self.push(chain, Rule { line, comments: Vec::new(), name: None, matches, target });
    }

    /// A rule of a signature or a service.
    pub(super) fn named_rule(
        &mut self,
        chain: ChainId,
        (line, name): (Line, &str),
        matches: Vec<Match>,
        target: Target,
    ) {
        let name = Some(name.to_owned());
        self.push(chain, Rule { line, comments: Vec::new(), name, matches, target });
    }

    pub(super) fn finish(self) -> RuleSet {
        self.set
    }

    fn push(&mut self, chain: ChainId, rule: Rule) {
        if let Some(chain) = self.set.chains.get_mut(chain.0) {
            chain.rules.push(rule);
        }
    }
}
