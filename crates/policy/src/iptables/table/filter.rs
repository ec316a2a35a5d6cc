//! The `*filter` block: chains, policies, rules.

use std::sync::Arc;

use super::{Block, loops, policy};
use crate::diagnostic::{Diagnostic, Source};
use crate::iptables::lines::{TextLine, Token, tokens};
use crate::iptables::rule::{self, Command, Context, Parsed, Span};
use crate::iptables::{is_counters, targets};
use crate::ruleset::{Chain, ChainId, ChainPolicy, Family, Line, Rule, RuleSet, Target};

/// Longest chain name (`XT_EXTENSION_MAXNAMELEN` less its end).
const MAX_NAME: usize = 28;

/// Chains of the filter table, in the kernel's order.
const BUILT_IN: [&str; 3] = ["INPUT", "FORWARD", "OUTPUT"];

/// A filter table in the making.
struct Filter<'a> {
    source: &'a Arc<Source>,
    family: Family,
    names: Vec<String>,
    chains: Vec<Chain>,
    declared: Vec<String>,
    /// Jumps with the place of their target, for the search for loops.
    jumps: Vec<(ChainId, ChainId, Span)>,
    errors: &'a mut Vec<Diagnostic>,
    warnings: &'a mut Vec<Diagnostic>,
}

/// Reads the block; mistakes go into `errors`, and the rule set is then not to be used.
pub(in crate::iptables) fn read(
    block: &Block<'_>,
    family: Family,
    source: &Arc<Source>,
    errors: &mut Vec<Diagnostic>,
    warnings: &mut Vec<Diagnostic>,
) -> RuleSet {
    let line = Line(block.header.number);
    let built_in = BUILT_IN.map(|name| Chain {
        name: name.to_owned(),
        policy: Some(ChainPolicy::Accept),
        line,
        rules: Vec::new(),
    });
    let declarations = block.lines.iter().filter_map(|(line, _)| line.text.strip_prefix(':'));
    let declared =
        declarations.filter_map(|text| text.split_ascii_whitespace().next().map(str::to_owned)).collect();
    let mut filter = Filter {
        source,
        family,
        names: BUILT_IN.map(str::to_owned).to_vec(),
        chains: built_in.to_vec(),
        declared,
        jumps: Vec::new(),
        errors,
        warnings,
    };
    for (line, comments) in &block.lines {
        if line.text.starts_with(':') {
            filter.declaration(*line);
        } else {
            filter.rule(*line, comments);
        }
    }
    loops::refuse(&filter.jumps, &filter.names, filter.source, filter.errors);
    RuleSet { family, chains: filter.chains }
}

impl Filter<'_> {
    /// `:NAME POLICY [packets:bytes]`.
    fn declaration(&mut self, line: TextLine<'_>) {
        let Ok(words) = tokens(line.text, line.start) else {
            self.error(line.span(), "a quote in a chain's declaration", "write `:NAME - [0:0]`");
            return;
        };
        let mut words = words.into_iter();
        let name = words.next().map(|word| Token {
            text: word.text.replacen(':', "", 1),
            span: word.span.start + 1..word.span.end,
        });
        let (Some(name), Some(policy)) = (name.filter(|name| !name.text.is_empty()), words.next()) else {
            self.error(
                line.span(),
                "half a declaration",
                "write `:NAME POLICY [packets:bytes]`, with `-` as policy of a user chain",
            );
            return;
        };
        if let Some(counters) = words.next() {
            let inside = counters.text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            if !inside.is_some_and(is_counters) {
                self.error(
                    counters.span,
                    "unreadable counters",
                    "write `[packets:bytes]`, or leave them out",
                );
            }
        }
        if let Some(extra) = words.next() {
            self.error(extra.span, "more than a declaration takes", "write `:NAME POLICY [packets:bytes]`");
        }
        self.declare(&name, &policy, line);
    }

    fn declare(&mut self, name: &Token, word: &Token, line: TextLine<'_>) {
        let built_in = self.names.iter().take(BUILT_IN.len()).position(|known| *known == name.text);
        let Some(index) = built_in else {
            self.user_chain(name, line);
            if word.text != "-" {
                self.error(
                    word.span.clone(),
                    format!("user chain `{}` with policy `{}`", name.text, word.text),
                    "only INPUT, FORWARD and OUTPUT have a policy; write `-`, and the policy as the chain's last rule",
                );
            }
            return;
        };
        // `-` leaves the policy as it is, which is ACCEPT in a table that was just made.
        let policy = if word.text == "-" { Some(ChainPolicy::Accept) } else { policy(&word.text) };
        match (policy, self.chains.get_mut(index)) {
            (Some(policy), Some(chain)) => {
                chain.policy = Some(policy);
                chain.line = Line(line.number);
            }
            (None, _) => self.error(
                word.span.clone(),
                format!("`{}` is not a policy", word.text),
                "a policy is `ACCEPT` or `DROP`",
            ),
            (Some(_), None) => {}
        }
    }

    fn user_chain(&mut self, name: &Token, line: TextLine<'_>) {
        let text = &name.text;
        let span = name.span.clone();
        if self.names.contains(text) {
            self.error(span, format!("chain `{text}` is declared twice"), "leave one of the two out");
        } else if text.len() > MAX_NAME {
            self.error(
                span,
                format!("chain name `{text}` is longer than {MAX_NAME} bytes"),
                "shorten it everywhere in the file",
            );
        } else if text.starts_with(['-', '!']) {
            self.error(span, format!("chain name `{text}` begins like an option"), "choose another name");
        } else if targets::is_target_name(text) {
            self.error(
                span,
                format!("chain `{text}` has the name of a target"),
                "`-j` would find the target, not the chain; choose another name",
            );
        } else {
            self.names.push(text.clone());
            self.chains.push(Chain {
                name: text.clone(),
                policy: None,
                line: Line(line.number),
                rules: Vec::new(),
            });
        }
    }

    fn rule(&mut self, line: TextLine<'_>, comments: &[String]) {
        let mut context = Context {
            source: self.source,
            family: self.family,
            chains: &self.names,
            built_in: BUILT_IN.len(),
            declared_later: &self.declared,
            errors: self.errors,
            warnings: self.warnings,
        };
        let Some(parsed) = rule::parse(line, &mut context) else { return };
        match parsed.command.clone() {
            Command::Append { chain } => self.add(&chain, usize::MAX, parsed, line, comments),
            Command::Insert { chain, at } => self.add(&chain, at - 1, parsed, line, comments),
            Command::NewChain { chain } => self.user_chain(&chain, line),
            Command::Policy { chain, policy } => self.set_policy(&chain, policy, line),
            Command::Flush { chain } => self.flush(chain.as_ref()),
            Command::Zero => {}
        }
    }

    fn add(&mut self, chain: &Token, at: usize, parsed: Parsed, line: TextLine<'_>, comments: &[String]) {
        let Some((id, rules)) = self.find(chain) else { return };
        if at != usize::MAX && at > rules.len() {
            let have = rules.len();
            let message = format!("`-I {}` beyond the end of the chain", chain.text);
            self.error(
                chain.span.clone(),
                message,
                format!("the chain has {have} rules here; use `-A` to add at the end"),
            );
            return;
        }
        let comments: Vec<String> = comments.iter().cloned().chain(parsed.comments).collect();
        let rules_of = |matches| Rule {
            line: Line(line.number),
            name: None,
            comments: comments.clone(),
            matches,
            target: parsed.target.clone(),
        };
        for matches in parsed.alternatives {
            // Each of several is inserted at the same place, so they end up the other way round, as in iptables.
            rules.insert(at.min(rules.len()), rules_of(matches));
        }
        if let (Target::Jump(to) | Target::Goto(to), Some(span)) = (&parsed.target, parsed.target_span) {
            self.jumps.push((id, *to, span));
        }
    }

    fn find(&mut self, chain: &Token) -> Option<(ChainId, &mut Vec<Rule>)> {
        let Some(index) = self.names.iter().position(|name| *name == chain.text) else {
            let message = format!("no chain `{}`", chain.text);
            let help = match crate::diagnostic::nearest(&chain.text, self.names.iter().map(String::as_str)) {
                Some(near) => format!(
                    "did you mean `{near}`? a chain is declared by `:{} - [0:0]` above its rules",
                    chain.text
                ),
                None => format!("declare it by `:{} - [0:0]` above its rules", chain.text),
            };
            self.error(chain.span.clone(), message, help);
            return None;
        };
        self.chains.get_mut(index).map(|found| (ChainId(index), &mut found.rules))
    }

    fn set_policy(&mut self, chain: &Token, policy: ChainPolicy, line: TextLine<'_>) {
        let index = self.names.iter().take(BUILT_IN.len()).position(|name| *name == chain.text);
        match index.and_then(|index| self.chains.get_mut(index)) {
            Some(found) => {
                found.policy = Some(policy);
                found.line = Line(line.number);
            }
            None => {
                let message = format!("`-P {}`: only INPUT, FORWARD and OUTPUT have a policy", chain.text);
                self.error(chain.span.clone(), message, "write the policy as the chain's last rule");
            }
        }
    }

    fn flush(&mut self, chain: Option<&Token>) {
        let Some(chain) = chain else {
            self.chains.iter_mut().for_each(|chain| chain.rules.clear());
            self.jumps.clear();
            return;
        };
        let Some((id, rules)) = self.find(chain) else { return };
        rules.clear();
        self.jumps.retain(|(from, _, _)| *from != id);
    }

    fn error(&mut self, span: Span, message: impl Into<String>, help: impl Into<String>) {
        self.errors.push(Diagnostic::new(self.source, span, message).with_help(help));
    }
}
