//! From the options of one `-m` to conditions.

mod rates;
mod recent;
mod text;
mod transport;

use super::names;
use super::registry::Extension;
use super::rule::{Context, Draft, Given, Instance};
use super::values::{self, BadValue, bad, bad_with_help};
use crate::diagnostic::nearest;
use crate::ruleset::{Family, Match, States};

impl Instance {
    /// The option of this (first) name, if it is given.
    pub(super) fn option(&self, name: &str) -> Option<&Given> {
        self.given.iter().find(|given| given.spec.names.first() == Some(&name))
    }

    pub(super) fn has(&self, name: &str) -> bool {
        self.option(name).is_some()
    }

    /// The value of an option; a mistake in it is recorded.
    pub(super) fn value<T>(
        &self,
        name: &str,
        context: &mut Context<'_>,
        read: impl FnOnce(&str) -> Result<T, BadValue>,
    ) -> Option<T> {
        let (text, span) = self.option(name)?.argument();
        context.value(&span, read(text))
    }
}

/// The conditions of one match, in the order in which its module checks them.
pub(super) fn matches(instance: &Instance, draft: &Draft, context: &mut Context<'_>) -> Vec<Match> {
    if let Some((number, name)) = instance.extension.needs_protocol() {
        let fits = matches!(draft.protocol, Some((protocol, false, _)) if protocol == number);
        if !fits && !draft.protocol_unknown {
            let match_name = instance.extension.name();
            let help = format!("write `-p {name} -m {match_name}`; the kernel refuses the rule without it");
            context.error(&instance.span, format!("`-m {match_name}` without `-p {name}`"), help);
            return Vec::new();
        }
    }
    match instance.extension {
        Extension::Comment => Vec::new(),
        Extension::Conntrack => {
            if instance.given.is_empty() {
                context.error(
                    &instance.span,
                    "`-m conntrack` without an option",
                    "add `--ctstate STATE[,STATE…]`",
                );
            }
            state(instance, "--ctstate", true, context)
        }
        Extension::State => {
            need(instance, "--state", context);
            state(instance, "--state", false, context)
        }
        Extension::Dccp | Extension::Sctp | Extension::Tcp | Extension::Udp => {
            transport::ports(instance, context)
        }
        Extension::Multiport => transport::multiport(instance, draft, context),
        Extension::Icmp | Extension::Icmp6 => icmp(instance, context),
        Extension::Text => text::text(instance, context).into_iter().map(Match::Text).collect(),
        Extension::Limit => rates::limit(instance, context).into_iter().map(Match::Limit).collect(),
        Extension::HashLimit => {
            rates::hashlimit(instance, context).into_iter().map(Match::HashLimit).collect()
        }
        Extension::Recent => recent::recent(instance, context).into_iter().map(Match::Recent).collect(),
        Extension::IpRange => iprange(instance, context),
        Extension::Length => length(instance, context),
    }
}

/// `-m comment`: iptables keeps 255 bytes.
pub(super) fn comment(instance: &Instance, context: &mut Context<'_>) -> Option<String> {
    need(instance, "--comment", context);
    instance.option("--comment").map(|given| given.argument().0.to_owned()).filter(|text| !text.is_empty())
}

/// Reports a match whose one needed option is missing.
fn need(instance: &Instance, option: &str, context: &mut Context<'_>) -> bool {
    let there = instance.has(option);
    if !there {
        let name = instance.extension.name();
        context.plain_error(&instance.span, format!("`-m {name}` without `{option}`"));
    }
    there
}

fn state(instance: &Instance, option: &str, nat: bool, context: &mut Context<'_>) -> Vec<Match> {
    let negated = instance.option(option).is_some_and(|given| given.negated);
    let states = instance.value(option, context, |text| states(text, nat));
    states.map(|states| Match::State { negated, states }).into_iter().collect()
}

/// A list of states; each may be shortened, in any case of letters, as iptables compares them.
fn states(text: &str, nat: bool) -> Result<States, BadValue> {
    let mut states = States::default();
    for name in text.split(',') {
        let wanted = name.to_ascii_uppercase();
        let is = |full: &str| !wanted.is_empty() && full.starts_with(&wanted);
        if is("INVALID") {
            states.invalid = true;
        } else if is("NEW") {
            states.new = true;
        } else if is("ESTABLISHED") {
            states.established = true;
        } else if is("RELATED") {
            states.related = true;
        } else if is("UNTRACKED") {
            states.untracked = true;
        } else if nat && is("SNAT") {
            states.snat = true;
        } else if nat && is("DNAT") {
            states.dnat = true;
        } else if name.is_empty() {
            return bad_with_help(
                "an empty state in the list",
                "write the states with commas and without blanks: `ESTABLISHED,RELATED`",
            );
        } else {
            let known = ["INVALID", "NEW", "ESTABLISHED", "RELATED", "UNTRACKED", "SNAT", "DNAT"];
            let near =
                nearest(&wanted, known).map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            let message = format!("unknown state `{name}`");
            return bad_with_help(
                message,
                format!("{near}states are NEW, ESTABLISHED, RELATED, INVALID and UNTRACKED"),
            );
        }
    }
    Ok(states)
}

fn icmp(instance: &Instance, context: &mut Context<'_>) -> Vec<Match> {
    let (option, family) = if instance.extension == Extension::Icmp6 {
        ("--icmpv6-type", Family::Ipv6)
    } else {
        ("--icmp-type", Family::Ipv4)
    };
    if !need(instance, option, context) {
        return Vec::new();
    }
    let negated = instance.option(option).is_some_and(|given| given.negated);
    let found = instance.value(option, context, |text| icmp_type(text, family));
    let Some((kind, code)) = found else { return Vec::new() };
    // For IPv4 the kernel takes 255 for every type and code.
    let any = family == Family::Ipv4 && kind == 255;
    let types = if any { 0..=255 } else { kind..=kind };
    let codes = code.filter(|_| !any).map_or(0..=255, |code| code..=code);
    vec![Match::Icmp { negated, types, codes }]
}

fn icmp_type(text: &str, family: Family) -> Result<(u8, Option<u8>), BadValue> {
    if let Some(found) = names::icmp(text, family).filter(|_| !text.is_empty()) {
        return Ok(found);
    }
    let (kind, code) = text.split_once('/').map_or((text, None), |(kind, code)| (kind, Some(code)));
    let read = |text: &str| values::number_in(text, 0, u8::MAX).ok();
    let number = read(kind).and_then(|kind| match code {
        None => Some((kind, None)),
        Some(code) => read(code).map(|code| (kind, Some(code))),
    });
    number.map_or_else(
        || {
            let near = nearest(&text.to_ascii_lowercase(), names::icmp_types(family));
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            bad_with_help(
                format!("unknown ICMP type `{text}`"),
                format!("{near}write a name, or TYPE or TYPE/CODE in numbers up to 255"),
            )
        },
        Ok,
    )
}

fn iprange(instance: &Instance, context: &mut Context<'_>) -> Vec<Match> {
    if instance.given.is_empty() {
        context.plain_error(&instance.span, "`-m iprange` without `--src-range` or `--dst-range`");
    }
    let mut matches = Vec::new();
    for option in ["--src-range", "--dst-range"] {
        let Some(given) = instance.option(option) else { continue };
        let (text, span) = given.argument();
        let negated = given.negated;
        let family = context.family;
        let Some(range) = context.value(&span, values::address_range(text, family)) else { continue };
        if range.is_empty() {
            context.warn(
                &span,
                format!("range `{text}` runs backwards"),
                "no address is in it; swap the two",
            );
        }
        matches.push(match option {
            "--src-range" => Match::SourceRange { negated, range },
            _ => Match::DestinationRange { negated, range },
        });
    }
    matches
}

fn length(instance: &Instance, context: &mut Context<'_>) -> Vec<Match> {
    if !need(instance, "--length", context) {
        return Vec::new();
    }
    let Some(given) = instance.option("--length") else { return Vec::new() };
    let (text, span) = given.argument();
    let (low, high) = text.split_once(':').unwrap_or((text, text));
    let read = |text: &str, absent: u16| {
        if text.is_empty() { Ok(absent) } else { values::number_in(text, 0, u16::MAX) }
    };
    let range = read(low, 0).and_then(|low| Ok(low..=read(high, u16::MAX)?));
    let range = if text.is_empty() { bad("the length is empty") } else { range };
    let Some(length) = context.value(&span, range) else { return Vec::new() };
    if length.is_empty() {
        context.warn(&span, format!("range `{text}` runs backwards"), "no length is in it; swap the two");
    }
    vec![Match::Length { negated: given.negated, length }]
}
