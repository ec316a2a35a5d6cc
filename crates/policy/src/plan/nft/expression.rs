//! Matches and statements in nft's words.

use std::fmt::Write as _;
use std::net::IpAddr;
use std::ops::RangeInclusive;

use crate::plan::gate::Unenforceable;
use crate::ruleset::{
    Family, HashLimit, HashRate, InterfaceName, Log, Match, Network, Nflog, PortSide, Rate, RateUnit,
    RejectWith, Rule, RuleSet, States,
};

/// The rule's conditions, each followed by a blank. None where no packet can fit. A rule with a rate in it is never given
/// as two: they would let twice as much through.
pub(super) fn matches(
    set: &RuleSet,
    rule: &Rule,
    sets: &mut Vec<String>,
) -> Result<Vec<String>, Unenforceable> {
    let mut all = Some(String::new());
    for one in &rule.matches {
        let text = expression(set, rule, one, sets)?;
        all = all.zip(text).map(|(all, text)| all + &text);
    }
    let guards = with_header(set, rule)?;
    Ok(all.iter().flat_map(|all| guards.iter().map(move |guard| format!("{guard}{all}"))).collect())
}

fn has_rate(rule: &Rule) -> bool {
    rule.matches.iter().any(|one| matches!(one, Match::Limit(_) | Match::HashLimit(_)))
}

/// What keeps later fragments away from a rule that looks into the transport header. iptables never matches them there;
/// nftables takes whatever stands in their data for a header. With connection tracking none come.
fn with_header(set: &RuleSet, rule: &Rule) -> Result<Vec<&'static str>, Unenforceable> {
    let looks = |one: &Match| {
        matches!(
            one,
            Match::SourcePort { .. }
                | Match::DestinationPort { .. }
                | Match::TcpFlags { .. }
                | Match::WholeHeader
                | Match::Multiport { .. }
                | Match::Icmp { .. }
        )
    };
    if set.needs_conntrack() || !rule.matches.iter().any(looks) {
        return Ok(vec![""]);
    }
    match set.family {
        Family::Ipv4 => Ok(vec!["ip frag-off & 0x1fff == 0 "]),
        Family::Ipv6 if has_rate(rule) => Err(cannot(
            rule,
            "-p",
            "in a file without connection tracking IPv6 fragments come one by one, and nftables cannot ask for all that have \
             a transport header in one rule with a rate",
        )),
        Family::Ipv6 => Ok(vec!["exthdr frag missing ", "frag frag-off 0 "]),
    }
}

fn expression(
    set: &RuleSet,
    rule: &Rule,
    one: &Match,
    sets: &mut Vec<String>,
) -> Result<Option<String>, Unenforceable> {
    let text = match one {
        Match::Protocol { negated, protocol } => format!("meta l4proto {}{protocol} ", not(*negated)),
        Match::Source { negated, network } => address(set, "saddr", *negated, network),
        Match::Destination { negated, network } => address(set, "daddr", *negated, network),
        Match::InInterface { negated, name } => return interface(rule, "iifname", *negated, name),
        Match::OutInterface { negated, name } => return interface(rule, "oifname", *negated, name),
        Match::Fragment { negated } => {
            format!("ip frag-off & 0x1fff {} 0 ", if *negated { "==" } else { "!=" })
        }
        Match::SourcePort { negated, ports } => {
            format!("{} sport {}", transport(rule)?, port(*negated, ports))
        }
        Match::DestinationPort { negated, ports } => {
            format!("{} dport {}", transport(rule)?, port(*negated, ports))
        }
        Match::TcpFlags { negated, mask, set } => {
            format!("tcp flags & 0x{mask:02x} {} 0x{set:02x} ", if *negated { "!=" } else { "==" })
        }
        Match::TcpOption { .. } => {
            return Err(cannot(rule, "--tcp-option", "nftables 1.0 knows options by name only"));
        }
        // Any port, that is: later fragments, which FORWARD sees where nothing reassembled them, have none. A packet too
        // short for its header has none either; iptables would drop it here. Connection tracking calls it invalid and no
        // server reads it.
        Match::WholeHeader => format!("{} dport 0-65535 ", transport(rule)?),
        Match::Multiport { negated, side, ports } => multiport(rule, *negated, *side, ports)?,
        Match::State { negated, states } => state(rule, *negated, *states)?,
        Match::SourceIn { negated, networks } => {
            let all: Vec<String> = networks.iter().map(network).collect();
            format!("{} saddr {}{{ {} }} ", ip(set), not(*negated), all.join(", "))
        }
        Match::Header(_) => return Err(cannot(rule, "header", "nftables cannot search for text")),
        Match::Text(_) => return Err(cannot(rule, "--string", "nftables cannot search for text")),
        Match::Icmp { negated, types, codes } => return icmp(set, rule, *negated, types, codes),
        Match::Limit(limit) => format!("limit rate {} burst {} packets ", rate(limit.rate), limit.burst),
        Match::HashLimit(limit) => hash_limit(set, rule, limit, sets)?,
        Match::Recent(_) => {
            return Err(cannot(
                rule,
                "-m recent",
                "nftables keeps no list of the times at which an address was seen",
            ));
        }
        Match::SourceRange { negated, range } => address_range(set, "saddr", *negated, range),
        Match::DestinationRange { negated, range } => address_range(set, "daddr", *negated, range),
        Match::Length { negated, length } => format!("meta length {}{} ", not(*negated), range(length)),
    };
    Ok(Some(text))
}

fn cannot(rule: &Rule, option: &str, why: &str) -> Unenforceable {
    Unenforceable {
        line: rule.line,
        message: format!("`{option}` cannot be enforced exactly: {why}"),
        help: "`replay` can judge this file; for `run`, express the rule differently or leave it in iptables"
            .to_owned(),
    }
}

fn not(negated: bool) -> &'static str {
    if negated { "!= " } else { "" }
}

fn range<T: std::fmt::Display + PartialEq>(range: &RangeInclusive<T>) -> String {
    if range.start() == range.end() {
        range.start().to_string()
    } else {
        format!("{}-{}", range.start(), range.end())
    }
}

fn ip(set: &RuleSet) -> &'static str {
    match set.family {
        Family::Ipv4 => "ip",
        Family::Ipv6 => "ip6",
    }
}

/// `ADDRESS/PREFIX`; lists of networks are written without masks, so there are no holes.
fn network(network: &Network) -> String {
    format!("{}/{}", network.address, network.prefix().unwrap_or_default())
}

fn address(set: &RuleSet, side: &str, negated: bool, network: &Network) -> String {
    match network.prefix() {
        Some(prefix) => format!("{} {side} {}{}/{prefix} ", ip(set), not(negated), network.address),
        None => {
            let operator = if negated { "!=" } else { "==" };
            format!("{} {side} & {} {operator} {} ", ip(set), network.mask, network.address)
        }
    }
}

fn address_range(set: &RuleSet, side: &str, negated: bool, range: &RangeInclusive<IpAddr>) -> String {
    format!("{} {side} {}{}-{} ", ip(set), not(negated), range.start(), range.end())
}

/// `+` at the end is nft's `*`. Every interface is no condition, no interface is no rule.
fn interface(
    rule: &Rule,
    key: &str,
    negated: bool,
    name: &InterfaceName,
) -> Result<Option<String>, Unenforceable> {
    if name.name.contains(['"', '*', '\\']) {
        return Err(cannot(rule, key, "the interface name holds a sign that nftables reads otherwise"));
    }
    Ok(match (name.prefix, name.name.is_empty(), negated) {
        (true, true, false) => Some(String::new()),
        (true, true, true) => None,
        (prefix, _, _) => {
            Some(format!("{key} {}\"{}{}\" ", not(negated), name.name, if prefix { "*" } else { "" }))
        }
    })
}

/// The transport that the rule's `-p` names; iptables demands one where ports are matched.
fn transport(rule: &Rule) -> Result<&'static str, Unenforceable> {
    let protocol = rule.matches.iter().find_map(|one| {
        if let Match::Protocol { negated: false, protocol } = one { Some(*protocol) } else { None }
    });
    match protocol {
        Some(6) => Ok("tcp"),
        Some(17) => Ok("udp"),
        Some(33) => Ok("dccp"),
        Some(132) => Ok("sctp"),
        Some(136) => Ok("udplite"),
        Some(_) | None => {
            Err(cannot(rule, "--dport", "ports need `-p tcp`, `udp`, `udplite`, `sctp` or `dccp`"))
        }
    }
}

/// A comparison of a port. Two of them with one `!=` each are merged by nft (1.0.6) into one that asks whether any differs,
/// unless they are written as ranges.
fn port(negated: bool, ports: &RangeInclusive<u16>) -> String {
    if negated { format!("!= {}-{} ", ports.start(), ports.end()) } else { format!("{} ", range(ports)) }
}

fn multiport(
    rule: &Rule,
    negated: bool,
    side: PortSide,
    ports: &[RangeInclusive<u16>],
) -> Result<String, Unenforceable> {
    let transport = transport(rule)?;
    let (listed, others) = disjoint(ports);
    let list = |elements: Vec<String>| format!("{{ {} }} ", elements.join(", "));
    let set = list(listed.iter().map(range).collect());
    let one = |key: &str, negated: bool| match listed.as_slice() {
        [single] => format!("{transport} {key} {}", port(negated, single)),
        _ => format!("{transport} {key} {}{set}", not(negated)),
    };
    Ok(match side {
        PortSide::Source => one("sport", negated),
        PortSide::Destination => one("dport", negated),
        PortSide::Either if negated => one("sport", true) + &one("dport", true),
        // nft has no "or", but pairs: a listed source with any destination, another source with a listed destination.
        PortSide::Either => {
            let first = listed.iter().map(|source| format!("{} . 0-65535", range(source)));
            let second = others.iter().flat_map(|source| {
                listed.iter().map(|destination| format!("{} . {}", range(source), range(destination)))
            });
            format!("{transport} sport . {transport} dport {}", list(first.chain(second).collect()))
        }
    })
}

/// The listed ports and all others, each as ranges that do not overlap, in order.
fn disjoint(ports: &[RangeInclusive<u16>]) -> (Vec<RangeInclusive<u16>>, Vec<RangeInclusive<u16>>) {
    let mut sorted = ports.to_vec();
    sorted.sort_by_key(|range| *range.start());
    let mut listed: Vec<RangeInclusive<u16>> = Vec::new();
    for next in sorted {
        match listed.last_mut() {
            Some(last) if u32::from(*next.start()) <= u32::from(*last.end()) + 1 => {
                *last = *last.start()..=(*last.end()).max(*next.end());
            }
            Some(_) | None => listed.push(next),
        }
    }
    let mut others = Vec::new();
    let mut free = Some(0);
    for range in &listed {
        if let Some(start) = free.filter(|start| start < range.start()) {
            others.push(start..=range.start().saturating_sub(1));
        }
        free = range.end().checked_add(1);
    }
    others.extend(free.map(|start| start..=u16::MAX));
    (listed, others)
}

fn state(rule: &Rule, negated: bool, states: States) -> Result<String, Unenforceable> {
    let names: Vec<&str> = [
        (states.new, "new"),
        (states.established, "established"),
        (states.related, "related"),
        (states.invalid, "invalid"),
        (states.untracked, "untracked"),
    ]
    .into_iter()
    .filter_map(|(set, name)| set.then_some(name))
    .collect();
    match (names.is_empty(), states.dnat || states.snat) {
        (false, false) => Ok(format!("ct state {}{{ {} }} ", not(negated), names.join(", "))),
        // The status of what has no connection fits no rule of nftables, and so every negated one of iptables.
        (true, true) if negated => Err(cannot(
            rule,
            "--ctstate",
            "nftables asks nothing about address translation of packets without a connection",
        )),
        (true, true) if states.dnat != states.snat => {
            Ok(format!("ct status & {} != 0 ", if states.dnat { "dnat" } else { "snat" }))
        }
        (_, _) => {
            Err(cannot(rule, "--ctstate", "nftables asks for states and for address translation separately"))
        }
    }
}

fn icmp(
    set: &RuleSet,
    rule: &Rule,
    negated: bool,
    types: &RangeInclusive<u8>,
    codes: &RangeInclusive<u8>,
) -> Result<Option<String>, Unenforceable> {
    let key = match set.family {
        Family::Ipv4 => "icmp",
        Family::Ipv6 => "icmpv6",
    };
    let any = |range: &RangeInclusive<u8>| *range == (0..=u8::MAX);
    Ok(match (any(types), any(codes), negated) {
        // Not of later fragments, as for ports.
        (true, true, false) => Some(format!("{key} type 0-255 ")),
        (true, true, true) => None,
        (false, true, _) => Some(format!("{key} type {}{} ", not(negated), range(types))),
        (false, false, _) => Some(format!(
            "{key} type . {key} code {}{{ {} . {} }} ",
            not(negated),
            range(types),
            range(codes)
        )),
        (true, false, _) => return Err(cannot(rule, "--icmp-type", "a code without a type has no meaning")),
    })
}

fn rate(rate: Rate) -> String {
    let unit = match rate.unit {
        RateUnit::Second => "second",
        RateUnit::Minute => "minute",
        RateUnit::Hour => "hour",
        RateUnit::Day => "day",
    };
    format!("{}/{unit}", rate.amount)
}

/// A set whose elements carry a token bucket each.
fn hash_limit(
    set: &RuleSet,
    rule: &Rule,
    limit: &HashLimit,
    sets: &mut Vec<String>,
) -> Result<String, Unenforceable> {
    let HashRate::Packets(packets) = limit.rate else {
        return Err(cannot(rule, "-m hashlimit", "byte rates of nftables count other bytes"));
    };
    let over = if limit.above != limit.negated { "over " } else { "" };
    let bucket = format!("limit rate {over}{} burst {} packets", rate(packets), limit.burst);
    let full = if set.family == Family::Ipv4 { 32 } else { 128 };
    let kind = if set.family == Family::Ipv4 { "ipv4_addr" } else { "ipv6_addr" };
    let mut keys = Vec::new();
    let mut types = Vec::new();
    for (wanted, key, mask) in [
        (limit.by_source, "saddr", limit.source_mask),
        (limit.by_destination, "daddr", limit.destination_mask),
    ] {
        if wanted {
            let masked =
                if mask == full { String::new() } else { format!(" & {}", prefix_mask(set.family, mask)) };
            keys.push(format!("{} {key}{masked}", ip(set)));
            types.push(kind);
        }
    }
    for (wanted, key) in [(limit.by_source_port, "sport"), (limit.by_destination_port, "dport")] {
        if wanted {
            keys.push(format!("{} {key}", transport(rule)?));
            types.push("inet_service");
        }
    }
    if keys.is_empty() {
        return Ok(format!("{bucket} "));
    }
    if sets.iter().any(|other| other.contains(&format!("# {} of {:?}\n", limit.name, set.family))) {
        return Err(cannot(
            rule,
            "--hashlimit-name",
            "two rules share one table; give each a name of its own",
        ));
    }
    let id = format!("limit_{}", sets.len());
    let mut definition = format!("\t# {} of {:?}\n\tset {id} {{\n", limit.name, set.family);
    let _ = writeln!(definition, "\t\ttype {}", types.join(" . "));
    let _ = writeln!(definition, "\t\tsize {}", if limit.max == 0 { 65536 } else { limit.max });
    let _ = writeln!(definition, "\t\tflags dynamic,timeout\n\t\ttimeout {}ms\n\t}}", limit.expire.max(1));
    sets.push(definition);
    Ok(format!("update @{id} {{ {} {bucket} }} ", keys.join(" . ")))
}

fn prefix_mask(family: Family, prefix: u8) -> IpAddr {
    match family {
        Family::Ipv4 => IpAddr::V4(u32::MAX.checked_shl(32 - u32::from(prefix.min(32))).unwrap_or(0).into()),
        Family::Ipv6 => {
            IpAddr::V6(u128::MAX.checked_shl(128 - u32::from(prefix.min(128))).unwrap_or(0).into())
        }
    }
}

/// `log …`, with a blank behind it.
pub(super) fn log(rule: &Rule, log: &Log) -> Result<String, Unenforceable> {
    const LEVELS: [&str; 8] = ["emerg", "alert", "crit", "err", "warn", "notice", "info", "debug"];
    let level = LEVELS.get(usize::from(log.level)).copied().unwrap_or("warn");
    let mut text = format!("log {}level {level} ", prefix(rule, &log.prefix)?);
    let sequence = match (log.tcp_sequence, log.tcp_options) {
        (true, true) => "flags tcp sequence,options ",
        (true, false) => "flags tcp sequence ",
        (false, true) => "flags tcp options ",
        (false, false) => "",
    };
    text.push_str(sequence);
    for (wanted, flag) in
        [(log.ip_options, "flags ip options "), (log.uid, "flags skuid "), (log.macdecode, "flags ether ")]
    {
        if wanted {
            text.push_str(flag);
        }
    }
    Ok(text)
}

/// `log group …`, with a blank behind it.
pub(super) fn nflog(rule: &Rule, nflog: &Nflog) -> Result<String, Unenforceable> {
    let mut text = format!("log {}group {} ", prefix(rule, &nflog.prefix)?, nflog.group);
    if let Some(size) = nflog.size {
        let _ = write!(text, "snaplen {size} ");
    }
    if let Some(threshold) = nflog.threshold {
        let _ = write!(text, "queue-threshold {threshold} ");
    }
    Ok(text)
}

fn prefix(rule: &Rule, prefix: &str) -> Result<String, Unenforceable> {
    // nft's strings have no escapes, and `$` would begin a variable.
    if prefix.contains(['"', '\\', '\n', '$']) {
        return Err(cannot(rule, "--log-prefix", "it holds a sign that nftables cannot write"));
    }
    Ok(if prefix.is_empty() { String::new() } else { format!("prefix \"{prefix}\" ") })
}

/// nft's name of a reject type.
pub(super) fn reject(with: RejectWith) -> &'static str {
    match with {
        RejectWith::IcmpNetUnreachable => "icmp type net-unreachable",
        RejectWith::IcmpHostUnreachable => "icmp type host-unreachable",
        RejectWith::IcmpProtoUnreachable => "icmp type prot-unreachable",
        RejectWith::IcmpPortUnreachable => "icmp type port-unreachable",
        RejectWith::IcmpNetProhibited => "icmp type net-prohibited",
        RejectWith::IcmpHostProhibited => "icmp type host-prohibited",
        RejectWith::IcmpAdminProhibited => "icmp type admin-prohibited",
        RejectWith::TcpReset => "tcp reset",
        RejectWith::Icmp6NoRoute => "icmpv6 type no-route",
        RejectWith::Icmp6AdminProhibited => "icmpv6 type admin-prohibited",
        RejectWith::Icmp6AddrUnreachable => "icmpv6 type addr-unreachable",
        RejectWith::Icmp6PortUnreachable => "icmpv6 type port-unreachable",
        RejectWith::Icmp6PolicyFail => "icmpv6 type policy-fail",
        RejectWith::Icmp6RejectRoute => "icmpv6 type reject-route",
    }
}
