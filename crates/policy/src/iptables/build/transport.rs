//! `-m tcp`, `-m udp`, `-m sctp`, `-m dccp`, `-m multiport`.

use std::ops::RangeInclusive;

use crate::iptables::rule::{Context, Draft, Given, Instance};
use crate::iptables::values::{self, BadValue, bad_with_help};
use crate::ruleset::{Match, PortSide};

pub(super) fn ports(instance: &Instance, context: &mut Context<'_>) -> Vec<Match> {
    let mut matches = Vec::new();
    if instance.has("--syn") && instance.has("--tcp-flags") {
        context.plain_error(&instance.span, "`--syn` and `--tcp-flags` in one `-m tcp`");
    }
    // In the order in which the kernel's modules look, whatever the order of the options.
    for given in instance.extension.options().iter().filter_map(|spec| instance.option(spec.names.first()?)) {
        let negated = given.negated;
        let (text, span) = given.argument();
        let found = match given.spec.names.first() {
            Some(&"--sport") => {
                let ports = context.value(&span, values::port_range(text));
                ports.map(|ports| Match::SourcePort { negated, ports })
            }
            Some(&"--dport") => {
                let ports = context.value(&span, values::port_range(text));
                ports.map(|ports| Match::DestinationPort { negated, ports })
            }
            Some(&"--tcp-flags") => tcp_flags(given, context),
            Some(&"--syn") => Some(Match::TcpFlags { negated, mask: FIN | SYN | RST | ACK, set: SYN }),
            Some(&"--tcp-option") => {
                let option = context.value(&span, values::number_in(text, 1, u8::MAX));
                option.map(|option| Match::TcpOption { negated, option })
            }
            _ => None,
        };
        matches.extend(found);
    }
    // Every port is no condition, but for the header that must be there.
    let all = 0..=u16::MAX;
    matches.retain(|condition| {
        *condition != Match::SourcePort { negated: false, ports: all.clone() }
            && *condition != Match::DestinationPort { negated: false, ports: all.clone() }
    });
    if matches.is_empty() {
        matches.push(Match::WholeHeader);
    }
    matches
}

// RFC 9293 section 3.1.
const FIN: u8 = 1;
const SYN: u8 = 2;
const RST: u8 = 4;
const PSH: u8 = 8;
const ACK: u8 = 16;
const URG: u8 = 32;

fn tcp_flags(given: &Given, context: &mut Context<'_>) -> Option<Match> {
    let [mask, set] = given.arguments.as_slice() else { return None };
    if set.text.starts_with(['-', '!']) {
        context.error(
            &set.span,
            "`--tcp-flags` needs two lists",
            "which flags to look at, and which of them must be set: `SYN,ACK SYN`",
        );
        return None;
    }
    let mask = context.value(&mask.span, flags(&mask.text));
    let set = context.value(&set.span, flags(&set.text));
    Some(Match::TcpFlags { negated: given.negated, mask: mask?, set: set? })
}

fn flags(text: &str) -> Result<u8, BadValue> {
    let mut flags = 0;
    for name in text.split(',').filter(|name| !name.is_empty()) {
        flags |= match name.to_ascii_uppercase().as_str() {
            "ACK" => ACK,
            "ALL" => FIN | SYN | RST | PSH | ACK | URG,
            "FIN" => FIN,
            "NONE" => 0,
            "PSH" => PSH,
            "RST" => RST,
            "SYN" => SYN,
            "URG" => URG,
            _ => {
                return bad_with_help(
                    format!("unknown TCP flag `{name}`"),
                    "flags are SYN, ACK, FIN, RST, URG, PSH, ALL and NONE",
                );
            }
        };
    }
    Ok(flags)
}

/// Most entries of `-m multiport`; a range takes two (`XT_MULTI_PORTS`).
const MAX_PORTS: usize = 15;

pub(super) fn multiport(instance: &Instance, draft: &Draft, context: &mut Context<'_>) -> Vec<Match> {
    match draft.protocol {
        Some((6 | 17 | 33 | 132 | 136, false, _)) => {}
        _ if draft.protocol_unknown => return Vec::new(),
        _ => {
            let help =
                "write `-p tcp`, `-p udp`, `-p udplite`, `-p sctp` or `-p dccp` before it, without `!`";
            context.error(&instance.span, "`-m multiport` without a protocol that has ports", help);
            return Vec::new();
        }
    };
    let [given] = instance.given.as_slice() else {
        let help = "each `-m multiport` takes exactly one of `--sports`, `--dports` and `--ports`";
        context.error(&instance.span, "`-m multiport` without its one option", help);
        return Vec::new();
    };
    let side = match given.spec.names.first() {
        Some(&"--sports") => PortSide::Source,
        Some(&"--dports") => PortSide::Destination,
        _ => PortSide::Either,
    };
    let (text, span) = given.argument();
    let ports = context.value(&span, port_list(text));
    ports.map(|ports| Match::Multiport { negated: given.negated, side, ports }).into_iter().collect()
}

fn port_list(text: &str) -> Result<Vec<RangeInclusive<u16>>, BadValue> {
    let mut ports = Vec::new();
    let mut used = 0;
    for part in text.split(',') {
        let range = match part.split_once(':') {
            None => {
                used += 1;
                let port = values::port(part)?;
                port..=port
            }
            Some((low, high)) => {
                used += 2;
                let range = values::port(low)?..=values::port(high)?;
                if range.start() >= range.end() {
                    return bad_with_help(
                        format!("port range `{part}` does not grow"),
                        "write `LOW:HIGH`, or a single port",
                    );
                }
                range
            }
        };
        ports.push(range);
    }
    if used > MAX_PORTS {
        let message = format!("{used} ports where the kernel takes {MAX_PORTS}");
        return bad_with_help(message, "a range counts two; write a second rule for the rest");
    }
    Ok(ports)
}
