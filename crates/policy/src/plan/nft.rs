//! The stateful part of a policy as one nftables table of our own, as text for `nft -f`.
//!
//! The table is replaced whole in one transaction. Rules that search for text are left out: the gate has decided them
//! (see [`super::gate`]). Each rule carries its line in the policy file, so that `nft list table inet ringfence` can be
//! read next to it.

mod expression;

use std::fmt::Write as _;

use ::gate::layout::TAG_MASK;

use crate::plan::gate::Unenforceable;
use crate::ruleset::{Chain, ChainId, ChainPolicy, Family, Match, Rule, RuleSet, Target};

/// The one table that Ringfence owns.
pub const TABLE: &str = "ringfence";

/// Where the gate finds what came in fragments: bits that our table puts into the mark of every fragment before the
/// kernel reassembles, and that the datagram keeps. See [`::gate::layout::TAG_MASK`].
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tag(u32);

impl Tag {
    /// The tag of a network namespace, from its inode number. Two namespaces may share one; their gates then search
    /// each other's fragments, too.
    pub fn of_namespace(inode: u64) -> Self {
        let bits = (inode ^ inode >> 8 ^ inode >> 16) % 255 + 1;
        Self(u32::try_from(bits << 24).unwrap_or(1 << 24))
    }

    /// Its bits in the mark; 0 for no tag.
    pub fn bits(self) -> u32 {
        self.0
    }
}

/// Whether the table is to act.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Mode {
    Enforce,
    /// Count and log, but let everything through.
    Observe,
}

/// What each built-in chain is hooked to.
const HOOKS: [(&str, &str); 3] = [("INPUT", "input"), ("FORWARD", "forward"), ("OUTPUT", "output")];

/// The whole table, beginning with the removal of its former self.
///
/// # Errors
///
/// Every rule that nftables cannot express exactly.
pub fn render(sets: &[RuleSet], mode: Mode, tag: Tag) -> Result<String, Vec<Unenforceable>> {
    let mut out = Renderer { mode, body: String::new(), sets: Vec::new(), errors: Vec::new() };
    for set in sets {
        for (id, chain) in (0..).map(ChainId).zip(&set.chains) {
            out.chain(set, id, chain);
        }
    }
    for (builtin, hook) in HOOKS {
        out.base(sets, builtin, hook);
    }
    if tag != Tag::default() {
        out.fragments(tag);
    }
    if !out.errors.is_empty() {
        out.errors.sort_by_key(|error| error.line);
        return Err(out.errors);
    }
    let mut text = format!("{}table inet {TABLE} {{\n", removal());
    for set in &out.sets {
        text.push_str(set);
    }
    text.push_str(&out.body);
    text.push_str("}\n");
    Ok(text)
}

/// Removes the table, whether or not it is there (adding first makes the removal succeed).
pub fn removal() -> String {
    format!("add table inet {TABLE}\ndelete table inet {TABLE}\n")
}

struct Renderer {
    mode: Mode,
    body: String,
    /// Definitions of the sets that rate limits per address use.
    sets: Vec<String>,
    errors: Vec<Unenforceable>,
}

impl Renderer {
    /// Marks fragments before the kernel reassembles them (its own hooks for that have priority -400).
    fn fragments(&mut self, tag: Tag) {
        let mark = format!("meta mark set meta mark & 0x{:08x} | 0x{:08x}", !TAG_MASK, tag.bits());
        let _ = writeln!(
            self.body,
            "\tchain fragments {{\n\t\ttype filter hook prerouting priority -450; policy accept;\n\
             \t\tip frag-off & 0x3fff != 0 counter {mark} comment \"the gate searches what is reassembled\"\n\
             \t\texthdr frag exists counter {mark} comment \"the gate searches what is reassembled\"\n\t}}"
        );
    }

    /// A hooked chain that hands each family to its own rules and then applies their policy.
    fn base(&mut self, sets: &[RuleSet], builtin: &str, hook: &str) {
        let wanted: Vec<(&RuleSet, ChainId, &Chain)> = sets
            .iter()
            .filter_map(|set| set.chain(builtin).map(|(id, chain)| (set, id, chain)))
            .filter(|(_, _, chain)| !chain.rules.is_empty() || chain.policy == Some(ChainPolicy::Drop))
            .collect();
        if wanted.is_empty() {
            return;
        }
        let _ = writeln!(
            self.body,
            "\tchain {hook} {{\n\t\ttype filter hook {hook} priority filter; policy accept;"
        );
        for (set, id, chain) in wanted {
            let family = match set.family {
                Family::Ipv4 => "ipv4",
                Family::Ipv6 => "ipv6",
            };
            let _ = writeln!(self.body, "\t\tmeta nfproto {family} jump {}", name(set, id));
            if chain.policy == Some(ChainPolicy::Drop) {
                let verdict = self.terminal("drop");
                let _ = writeln!(
                    self.body,
                    "\t\tmeta nfproto {family} counter {verdict} comment \"{}: policy of {builtin}\"",
                    chain.line
                );
            }
        }
        self.body.push_str("\t}\n");
    }

    fn chain(&mut self, set: &RuleSet, id: ChainId, chain: &Chain) {
        let _ = writeln!(self.body, "\tchain {} {{", name(set, id));
        for rule in &chain.rules {
            self.rule(set, rule);
        }
        self.body.push_str("\t}\n");
    }

    fn rule(&mut self, set: &RuleSet, rule: &Rule) {
        if rule.matches.iter().any(|one| matches!(one, Match::Text(_) | Match::Header(_))) {
            let _ = writeln!(self.body, "\t\t# {}: in the gate", origin(rule));
            return;
        }
        let matches = match expression::matches(set, rule, &mut self.sets) {
            Ok(matches) => matches,
            Err(error) => return self.errors.push(error),
        };
        let target = match self.target(set, rule) {
            Ok(target) => target,
            Err(error) => return self.errors.push(error),
        };
        if matches.is_empty() {
            let _ = writeln!(self.body, "\t\t# {}: no packet fits", origin(rule));
        }
        for matches in matches {
            let _ = writeln!(self.body, "\t\t{matches}counter {target}comment \"{}\"", origin(rule));
        }
    }

    fn terminal(&self, verdict: &'static str) -> &'static str {
        match self.mode {
            Mode::Enforce => verdict,
            Mode::Observe => "accept",
        }
    }

    /// The statement, with a blank behind it.
    fn target(&self, set: &RuleSet, rule: &Rule) -> Result<String, Unenforceable> {
        Ok(match &rule.target {
            Target::Accept => "accept ".to_owned(),
            Target::Continue => String::new(),
            Target::Drop => format!("{} ", self.terminal("drop")),
            Target::Goto(chain) => format!("goto {} ", name(set, *chain)),
            Target::Jump(chain) => format!("jump {} ", name(set, *chain)),
            Target::Log(log) => expression::log(rule, log)?,
            Target::Nflog(nflog) => expression::nflog(rule, nflog)?,
            Target::Reject(with) => match self.mode {
                Mode::Enforce => format!("reject with {} ", expression::reject(*with)),
                Mode::Observe => "accept ".to_owned(),
            },
            Target::Return => "return ".to_owned(),
        })
    }
}

/// Where a rule was written, and what it is called. Only TOML has names, of letters that need no quoting.
fn origin(rule: &Rule) -> String {
    match &rule.name {
        Some(name) => format!("{}: {name}", rule.line),
        None => rule.line.to_string(),
    }
}

/// A chain's name in our table. iptables allows bytes that nft does not, so its number makes it unique.
fn name(set: &RuleSet, id: ChainId) -> String {
    let family = match set.family {
        Family::Ipv4 => "v4",
        Family::Ipv6 => "v6",
    };
    let readable: String = set.by_id(id).map_or("", |chain| &chain.name).chars().map(plain).collect();
    format!("{family}_{}_{readable}", id.0)
}

fn plain(letter: char) -> char {
    if letter.is_ascii_alphanumeric() || letter == '-' { letter } else { '_' }
}
