//! One `*TABLE … COMMIT` block.

mod filter;
mod loops;

use std::sync::Arc;

pub(super) use filter::read as read_filter;

use super::family;
use super::lines::{TextLine, tokens};
use super::rule::Span;
use crate::diagnostic::{Diagnostic, Source, nearest};
use crate::ruleset::{ChainPolicy, Family};

/// One block as it stands in the file.
#[derive(Debug)]
pub(super) struct Block<'a> {
    pub(super) table: &'a str,
    /// The `*TABLE` line.
    pub(super) header: TextLine<'a>,
    /// What the tool's comment above it says.
    pub(super) signed: Option<Family>,
    /// Its lines with the comments above each.
    pub(super) lines: Vec<(TextLine<'a>, Vec<String>)>,
    pub(super) committed: bool,
}

/// The tables of Linux, with their built-in chains.
pub(super) const TABLES: &[(&str, &[&str])] = &[
    ("filter", &["INPUT", "FORWARD", "OUTPUT"]),
    ("nat", &["PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"]),
    ("mangle", &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"]),
    ("raw", &["PREROUTING", "OUTPUT"]),
    ("security", &["INPUT", "FORWARD", "OUTPUT"]),
];

impl Block<'_> {
    pub(super) fn name_span(&self) -> Span {
        let start = self.header.start + 1;
        start..start + self.table.len()
    }

    /// The family: signed, else told by the rules, else by the file's name, else IPv4.
    pub(super) fn family(&self, file: &str) -> Family {
        let told = || family::of_rules(self.lines.iter().map(|(line, _)| *line));
        self.signed.or_else(told).or_else(|| family::of_file_name(file)).unwrap_or(Family::Ipv4)
    }
}

/// `ACCEPT` or `DROP`.
pub(super) fn policy(name: &str) -> Option<ChainPolicy> {
    match name {
        "ACCEPT" => Some(ChainPolicy::Accept),
        "DROP" => Some(ChainPolicy::Drop),
        _ => None,
    }
}

/// A table beside `filter`: it may stand as long as it does nothing.
pub(super) fn check_idle(block: &Block<'_>, source: &Arc<Source>, errors: &mut Vec<Diagnostic>) {
    let table = block.table;
    let Some((_, built_in)) = TABLES.iter().find(|(name, _)| *name == table) else {
        let near = nearest(table, TABLES.iter().map(|(name, _)| *name));
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        let help = format!("{near}tables are filter, nat, mangle, raw and security");
        errors.push(
            Diagnostic::new(source, block.name_span(), format!("unknown table `{table}`")).with_help(help),
        );
        return;
    };
    let mut rules = Vec::new();
    for (line, _) in &block.lines {
        let words: Vec<&str> = line.text.split_ascii_whitespace().collect();
        match (line.text.strip_prefix(':'), words.as_slice()) {
            (Some(_), [chain, "DROP", ..]) if built_in.contains(&chain.trim_start_matches(':')) => {
                let message = format!("a policy in table `{table}`: Ringfence judges the filter table only");
                let help = format!(
                    "set it to ACCEPT, and drop in the filter table instead; or run `{table}` apart from this file"
                );
                errors.push(Diagnostic::new(source, line.span(), message).with_help(help));
            }
            (Some(_), _) => {}
            (None, _) => rules.push(line),
        }
    }
    if let Some(first) = rules.first() {
        let span = tokens(first.text, first.start).map_or_else(|_| first.span(), |_| first.span());
        let others = rules.len() - 1;
        let more = if others > 0 { format!(" ({others} more in this table)") } else { String::new() };
        let message = format!("a rule in table `{table}`{more}: Ringfence judges the filter table only");
        let help = format!(
            "such a rule can change or drop packets before `filter` sees them, so the file is not used; take the `*{table}` rules out of it"
        );
        errors.push(Diagnostic::new(source, span, message).with_help(help));
    }
}
