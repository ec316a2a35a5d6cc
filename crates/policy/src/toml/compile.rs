//! From the checked policy to the rules that a packet meets, for one family and the other.

mod chains;

use std::ops::RangeInclusive;

use self::chains::Builder;
use super::config::{Action, Config, Icmp, Place, Search, Service, Sources};
use super::defaults;
use crate::ruleset::{
    Family, HashLimit, HashRate, Limit, Line, Log, Match, Network, Rate, RateUnit, RejectWith, RuleSet,
    States, Target,
};

const TCP: u8 = 6;
const UDP: u8 = 17;

/// For IPv4 and for IPv6.
pub(super) fn rule_sets(config: &Config) -> [RuleSet; 2] {
    [Family::Ipv4, Family::Ipv6].map(|family| rule_set(config, family))
}

fn rule_set(config: &Config, family: Family) -> RuleSet {
    let mut builder = Builder::new(family);
    let lo = crate::ruleset::InterfaceName { name: "lo".to_owned(), prefix: false };
    let input = Builder::INPUT;
    builder.rule(input, Line::SHIPPED, vec![Match::InInterface { negated: false, name: lo }], Target::Accept);
    networks(config, &mut builder);
    signatures(config, &mut builder);
    let known = States { established: true, related: true, ..States::default() };
    let known = Match::State { negated: false, states: known };
    builder.rule(input, Line::SHIPPED, vec![known], Target::Accept);
    icmp(config, &mut builder);
    for service in &config.services {
        limit(service, &mut builder);
    }
    for service in &config.services {
        open(service, &mut builder);
    }
    if let (Some((prefix, Place(line))), true) = (&config.log.refused, config.default.0 != Action::Accept) {
        let limit = Limit { rate: defaults::REFUSED_RATE, burst: defaults::REFUSED_BURST };
        let log = Log { level: config.log.level, prefix: prefix.clone(), ..Log::default() };
        builder.rule(input, *line, vec![Match::Limit(limit)], Target::Log(log));
    }
    last(config.default, config.refuse_with, input, &mut builder);
    last(config.forward, config.refuse_with, Builder::FORWARD, &mut builder);
    builder.finish()
}

/// Trust before block, so that a part of a blocked network can be trusted.
fn networks(config: &Config, builder: &mut Builder) {
    let of = |networks: &[Network]| -> Vec<Network> {
        networks.iter().filter(|one| one.address.is_ipv4() == builder.is_ipv4()).copied().collect()
    };
    let (trusted, blocked) = (of(&config.trusted.0), of(&config.blocked.0));
    let within = |networks: &Vec<Network>| Match::SourceIn { negated: false, networks: networks.clone() };
    if !trusted.is_empty() {
        let Place(line) = config.trusted.1;
        builder.named_rule(Builder::INPUT, (line, "trust"), vec![within(&trusted)], Target::Accept);
    }
    if !blocked.is_empty() {
        let Place(line) = config.blocked.1;
        builder.named_rule(Builder::INPUT, (line, "block"), vec![within(&blocked)], Target::Drop);
        // The gate drops what passes through this host too.
        let mut matches = vec![within(&blocked)];
        if !trusted.is_empty() {
            matches.insert(0, Match::SourceIn { negated: true, networks: trusted });
        }
        builder.named_rule(Builder::FORWARD, (line, "block"), matches, Target::Drop);
    }
}

/// A jump for each port of an inspected service to the chain of signatures, and a chain for each kind of log line.
fn signatures(config: &Config, builder: &mut Builder) {
    let mut searched: Vec<(u8, RangeInclusive<u16>, Line)> = Vec::new();
    for service in config.services.iter().filter(|service| service.inspect) {
        for (protocol, range) in ports(service) {
            if !searched.iter().any(|(known, other, _)| *known == protocol && *other == range) {
                searched.push((protocol, range, service.place.0));
            }
        }
    }
    if searched.is_empty() || config.signatures.is_empty() {
        return;
    }
    let chain = builder.chain("SIGNATURES", Line::SHIPPED);
    for (protocol, range, line) in searched {
        builder.rule(Builder::INPUT, line, to(protocol, &range), Target::Jump(chain));
    }
    for signature in &config.signatures {
        let Place(line) = signature.place;
        let target = match signature.log_prefix.as_str() {
            "" => Target::Drop,
            prefix => Target::Jump(builder.bad_sip(prefix, config.log.level)),
        };
        let search = match &signature.search {
            Search::Packet(text) => Match::Text(text.clone()),
            Search::Header(header) => Match::Header(header.clone()),
        };
        builder.named_rule(chain, (line, &signature.name), vec![search], target);
    }
}

/// Messages that tell of errors: RFC 792, and RFC 4443 section 3.
const ERRORS_V4: [RangeInclusive<u8>; 2] = [3..=3, 11..=12];
const ERRORS_V6: [RangeInclusive<u8>; 1] = [1..=4];

/// What must not be dropped in a host's own traffic (RFC 4890 section 4.4.1): multicast listeners (130-132, 143), neighbour
/// discovery (133-136), its inverse (141, 142) and security (148, 149), multicast routers (151-153). Without it a host
/// falls off its network.
const NEEDED_V6: [RangeInclusive<u8>; 4] = [130..=136, 141..=143, 148..=149, 151..=153];

fn icmp(config: &Config, builder: &mut Builder) {
    let (kind, Place(line)) = config.icmp;
    let (protocol, errors, needed): (u8, &[_], &[_]) = match builder.family() {
        Family::Ipv4 => (1, &ERRORS_V4, &[]),
        Family::Ipv6 => (58, &ERRORS_V6, &NEEDED_V6),
    };
    let all = Match::Protocol { negated: false, protocol };
    let (types, rest): (Vec<_>, _) = match kind {
        Icmp::Accept => (Vec::new(), Some(Target::Accept)),
        Icmp::Essential => (errors.iter().chain(needed).collect(), None),
        Icmp::Default => (needed.iter().collect(), None),
        Icmp::Drop => (needed.iter().collect(), Some(Target::Drop)),
    };
    for types in types {
        let one = Match::Icmp { negated: false, types: types.clone(), codes: 0..=u8::MAX };
        builder.rule(Builder::INPUT, line, vec![all.clone(), one], Target::Accept);
    }
    if let Some(target) = rest {
        builder.rule(Builder::INPUT, line, vec![all], target);
    }
}

/// New connections of a source beyond the limit are dropped, before any service is open to them.
fn limit(service: &Service, builder: &mut Builder) {
    let Some((rate, burst, Place(line))) = service.limit else { return };
    let chain = builder.chain(&format!("LIMIT-{}", service.name), line);
    let over = hash_limit(&service.name, rate, burst, builder.family());
    builder.rule(chain, line, vec![Match::HashLimit(over)], Target::Drop);
    for (protocol, range) in ports(service) {
        let mut matches = to(protocol, &range);
        matches.push(new());
        builder.named_rule(Builder::INPUT, (line, &service.name), matches, Target::Jump(chain));
    }
}

/// The bucket of each source of a service.
pub(super) fn hash_limit(name: &str, rate: Rate, burst: u32, family: Family) -> HashLimit {
    let seconds: u32 = match rate.unit {
        RateUnit::Second => 1,
        RateUnit::Minute => 60,
        RateUnit::Hour => 3_600,
        RateUnit::Day => 86_400,
    };
    // An idle bucket may be forgotten when it is full again.
    let refill = u64::from(seconds) * 1_000 * u64::from(burst) / u64::from(rate.amount.max(1));
    HashLimit {
        negated: false,
        name: name.to_owned(),
        above: true,
        rate: HashRate::Packets(rate),
        burst: u64::from(burst),
        by_source: true,
        by_source_port: false,
        by_destination: false,
        by_destination_port: false,
        source_mask: defaults::LIMIT_PREFIX.of(family),
        destination_mask: match family {
            Family::Ipv4 => 32,
            Family::Ipv6 => 128,
        },
        buckets: 0,
        max: defaults::LIMIT_SOURCES,
        expire: u32::try_from(refill.max(u64::from(seconds) * 1_000)).unwrap_or(u32::MAX),
        gc_interval: 1_000,
    }
}

/// Accepts packets to a service: TCP that opens a connection, and UDP in any state, as the answer to a packet of ours may
/// come after connection tracking has forgotten it.
fn open(service: &Service, builder: &mut Builder) {
    let sources = match &service.from {
        Sources::Anyone => None,
        Sources::Networks(all) => {
            let networks: Vec<Network> =
                all.iter().filter(|one| one.address.is_ipv4() == builder.is_ipv4()).copied().collect();
            if networks.is_empty() {
                return;
            }
            Some(Match::SourceIn { negated: false, networks })
        }
    };
    let interfaces: Vec<Option<Match>> = match service.interfaces.as_slice() {
        [] => vec![None],
        names => {
            names.iter().map(|name| Some(Match::InInterface { negated: false, name: name.clone() })).collect()
        }
    };
    for (protocol, range) in ports(service) {
        for interface in &interfaces {
            let mut matches: Vec<Match> = sources.iter().chain(interface).cloned().collect();
            matches.extend(to(protocol, &range));
            if protocol == TCP {
                matches.push(new());
            }
            builder.named_rule(Builder::INPUT, (service.place.0, &service.name), matches, Target::Accept);
        }
    }
}

/// What happens to packets that came this far.
fn last(
    (action, Place(line)): (Action, Place),
    with: RejectWith,
    chain: crate::ruleset::ChainId,
    builder: &mut Builder,
) {
    match action {
        Action::Accept => {}
        Action::Drop => builder.rule(chain, line, Vec::new(), Target::Drop),
        Action::Refuse => {
            if with == RejectWith::TcpReset {
                let tcp = Match::Protocol { negated: false, protocol: TCP };
                builder.rule(chain, line, vec![tcp], Target::Reject(with));
            }
            builder.rule(chain, line, Vec::new(), Target::Reject(in_family(with, builder.family())));
        }
    }
}

/// The reject type of this family that says the same. Only TCP can be reset, so others get the family's default.
fn in_family(with: RejectWith, family: Family) -> RejectWith {
    use RejectWith as With;
    match (family, with) {
        (Family::Ipv4, With::TcpReset | With::Icmp6PortUnreachable) => With::IcmpPortUnreachable,
        (Family::Ipv4, With::Icmp6NoRoute) => With::IcmpNetUnreachable,
        (Family::Ipv4, With::Icmp6AdminProhibited | With::Icmp6PolicyFail) => With::IcmpAdminProhibited,
        (Family::Ipv4, With::Icmp6AddrUnreachable) => With::IcmpHostUnreachable,
        (Family::Ipv4, With::Icmp6RejectRoute) => With::IcmpNetProhibited,
        (Family::Ipv6, With::TcpReset | With::IcmpPortUnreachable | With::IcmpProtoUnreachable) => {
            With::Icmp6PortUnreachable
        }
        (Family::Ipv6, With::IcmpNetUnreachable) => With::Icmp6NoRoute,
        (Family::Ipv6, With::IcmpHostUnreachable) => With::Icmp6AddrUnreachable,
        (Family::Ipv6, With::IcmpNetProhibited | With::IcmpHostProhibited | With::IcmpAdminProhibited) => {
            With::Icmp6AdminProhibited
        }
        (
            Family::Ipv4,
            With::IcmpNetUnreachable
            | With::IcmpHostUnreachable
            | With::IcmpProtoUnreachable
            | With::IcmpPortUnreachable
            | With::IcmpNetProhibited
            | With::IcmpHostProhibited
            | With::IcmpAdminProhibited,
        )
        | (
            Family::Ipv6,
            With::Icmp6NoRoute
            | With::Icmp6AdminProhibited
            | With::Icmp6AddrUnreachable
            | With::Icmp6PortUnreachable
            | With::Icmp6PolicyFail
            | With::Icmp6RejectRoute,
        ) => with,
    }
}

/// Protocol and range of each port of a service.
fn ports(service: &Service) -> impl Iterator<Item = (u8, RangeInclusive<u16>)> {
    let tcp = service.tcp.iter().map(|range| (TCP, range.clone()));
    tcp.chain(service.udp.iter().map(|range| (UDP, range.clone())))
}

fn to(protocol: u8, ports: &RangeInclusive<u16>) -> Vec<Match> {
    vec![
        Match::Protocol { negated: false, protocol },
        Match::DestinationPort { negated: false, ports: ports.clone() },
    ]
}

fn new() -> Match {
    Match::State { negated: false, states: States { new: true, ..States::default() } }
}
