//! What each rule means in the TOML's terms.

mod shape;

use self::shape::Shape;
use super::draft::{Action, Draft, Icmp, Ports, Service, Signature};
use super::flatten::{self, Met};
use crate::ruleset::{RejectWith, Rule, RuleSet, Target, Text};

/// Takes over one family's rules.
pub(super) fn rule_set(rules: &RuleSet, draft: &mut Draft<'_>) {
    input(rules, draft);
    forward(rules, draft);
    let output = rules.chain("OUTPUT").map(|(_, chain)| chain);
    for rule in output.iter().flat_map(|chain| &chain.rules) {
        if rule.target != Target::Accept {
            draft.cannot_say(rule, "packets of this host leave freely in the TOML", rule.comments.clone());
        } else {
            draft.loose.extend(rule.comments.clone());
        }
    }
    if let Some(chain) = output.filter(|chain| chain.policy == Some(crate::ruleset::ChainPolicy::Drop)) {
        draft.differs(
            Some(chain.line),
            "OUTPUT drops what no rule accepts; packets of this host leave freely in the TOML",
        );
    }
}

/// Where in INPUT the walk is, as far as the TOML's fixed order differs.
struct Place<'r> {
    rules: &'r RuleSet,
    loopback: bool,
    established: bool,
    decided: bool,
    accepts: usize,
}

fn input(rules: &RuleSet, draft: &mut Draft<'_>) {
    let Some((_, chain)) = rules.chain("INPUT") else { return };
    let mut place = Place { rules, loopback: false, established: false, decided: false, accepts: 0 };
    for met in flatten::rules(rules, chain) {
        if place.decided {
            draft.cannot_say(met.rule, "an earlier rule has decided about every packet", met.comments);
            continue;
        }
        input_rule(met, &mut place, draft);
    }
    if !place.decided {
        let action = chain.policy.map_or(Action::Accept, Action::from);
        default(action, chain.line, Vec::new(), draft);
    }
    let accepts_anyway = draft.default.value == Some(Action::Accept);
    if !place.established && !accepts_anyway {
        draft.differs(None, "the file has no rule that accepts known connections (ESTABLISHED,RELATED); the TOML accepts them");
    }
    if !place.loopback && !accepts_anyway {
        draft.differs(None, "the file has no rule that accepts loopback (`-i lo`); the TOML accepts it");
    }
}

fn input_rule(met: Met<'_>, place: &mut Place<'_>, draft: &mut Draft<'_>) {
    let Met { rule, matches, comments } = met;
    let shape = match Shape::of(matches) {
        Ok(shape) => shape,
        Err(why) => return draft.cannot_say(rule, why, comments),
    };
    if let Some(text) = shape.text {
        return signature(rule, &shape, text, comments, place, draft);
    }
    match &rule.target {
        Target::Accept => accept(rule, &shape, comments, place, draft),
        Target::Reject(with) if shape.is_empty() => {
            place.decided = true;
            default(Action::Refuse(*with), rule.line, comments, draft);
        }
        Target::Drop if shape.is_empty() => {
            place.decided = true;
            default(Action::Drop, rule.line, comments, draft);
        }
        Target::Drop => drop_rule(rule, &shape, comments, place, draft),
        Target::Log(_) | Target::Nflog(_) => {
            draft.cannot_say(
                rule,
                "the TOML logs signatures and bans, not packets that other rules meet",
                comments,
            );
        }
        Target::Reject(_) => draft.cannot_say(rule, "the TOML refuses by `default` only", comments),
        Target::Continue => draft.cannot_say(rule, "it only counts", comments),
        Target::Return => draft.cannot_say(rule, "the TOML has no order of rules to leave", comments),
        Target::Goto(_) | Target::Jump(_) => match flatten::dropping(place.rules, &rule.target) {
            Some(_) if shape.is_empty() => {
                place.decided = true;
                draft.differs(Some(rule.line), "the log of what this rule drops is left out");
                default(Action::Drop, rule.line, comments, draft);
            }
            Some(_) => {
                draft.differs(Some(rule.line), "the log of what this rule drops is left out");
                drop_rule(rule, &shape, comments, place, draft);
            }
            None => draft.cannot_say(rule, "the TOML has no chains", comments),
        },
    }
}

/// `text` in packets to a service: a signature, when it drops.
fn signature(
    rule: &Rule,
    shape: &Shape<'_>,
    text: &Text,
    comments: Vec<String>,
    place: &Place<'_>,
    draft: &mut Draft<'_>,
) {
    let Some(dropping) = flatten::dropping(place.rules, &rule.target) else {
        return draft.cannot_say(rule, "a signature of the TOML always drops", comments);
    };
    if text.negated {
        return draft.cannot_say(rule, "a signature of the TOML cannot be negated", comments);
    }
    let Some(protocol @ (6 | 17)) = shape.protocol else {
        return draft.cannot_say(
            rule,
            "a signature of the TOML is searched for in TCP and UDP services",
            comments,
        );
    };
    if shape.source.is_some() || shape.interface.is_some() || shape.states.is_some() {
        return draft.cannot_say(rule, "a signature of the TOML holds for every source", comments);
    }
    if text.from > FIRST_PAYLOAD || text.to < u16::MAX {
        draft.differs(
            Some(rule.line),
            format!("searches bytes {} to {} of the packet, the TOML all of it", text.from, text.to),
        );
    }
    if !place.loopback {
        draft.differs(None, "the file searches loopback for signatures too, the TOML does not");
    }
    if place.established {
        draft.differs(
            Some(rule.line),
            "searches only packets that open a connection; the TOML searches all packets to the service",
        );
    }
    if dropping.log_limited {
        draft.differs(Some(rule.line), "the rate of its log is the rule's own; the TOML has its own limit");
    }
    if dropping.level.is_some_and(|level| level != 6) {
        draft.differs(Some(rule.line), "its log has another level than info (6), which the TOML uses");
    }
    for comment in &dropping.comments {
        if !draft.log_comments.iter().any(|known| known == comment) {
            draft.log_comments.push((*comment).to_owned());
        }
    }
    let every_port = vec![(0, u16::MAX)];
    let ports = if shape.ports.is_empty() { &every_port } else { &shape.ports };
    let searched: Vec<(u8, Ports)> = ports.iter().map(|ports| (protocol, *ports)).collect();
    if let Some(known) = draft
        .signatures
        .iter_mut()
        .find(|known| known.text.pattern == text.pattern && known.text.icase == text.icase)
    {
        known.searched.extend(searched);
        known.comments.extend(comments);
        return;
    }
    let name = signature_name(text, draft.signatures.iter().map(|known| known.name.as_str()));
    draft.signatures.push(Signature {
        name,
        text: text.clone(),
        log_prefix: dropping.log_prefix.map(str::to_owned),
        comments,
        searched,
        line: rule.line,
    });
}

/// The shortest IPv4 and UDP header: no payload begins earlier.
const FIRST_PAYLOAD: u16 = 28;

/// Leaves room for a number behind it.
const LONGEST_NAME: usize = 48;

/// The pattern itself where it can be a name.
fn signature_name<'a>(text: &Text, mut taken: impl Iterator<Item = &'a str>) -> String {
    let mut name = String::new();
    for c in String::from_utf8_lossy(&text.pattern).chars() {
        let c = if c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.') { c } else { '-' };
        if !(c == '-' && name.ends_with('-')) {
            name.push(c);
        }
    }
    name.truncate(LONGEST_NAME);
    let name = name.trim_matches('-').to_owned();
    let name = if name.is_empty() { "signature".to_owned() } else { name };
    let numbered =
        (1..).map(|number: usize| if number == 1 { name.clone() } else { format!("{name}-{number}") });
    let taken: Vec<&str> = taken.by_ref().collect();
    numbered.into_iter().find(|name| !taken.contains(&name.as_str())).unwrap_or_default()
}

fn accept(
    rule: &Rule,
    shape: &Shape<'_>,
    comments: Vec<String>,
    place: &mut Place<'_>,
    draft: &mut Draft<'_>,
) {
    if shape.is_empty() {
        place.decided = true;
        return default(Action::Accept, rule.line, comments, draft);
    }
    if shape.is_loopback() {
        place.loopback = true;
        draft.loose.extend(comments);
        return;
    }
    if shape.is_only_state(|states| states.established && !states.new && !states.invalid) {
        place.established = true;
        if shape.states.is_some_and(|states| !states.related) {
            draft.differs(Some(rule.line), "accepts ESTABLISHED only; the TOML accepts RELATED too");
        }
        draft.loose.extend(comments);
        return;
    }
    if shape.is_only_state(|states| states.related && !states.established && !states.new && !states.invalid) {
        draft.loose.extend(comments);
        return;
    }
    let trusted = draft.trust.len();
    match shape.protocol {
        Some(1 | 58) => icmp(rule, shape, comments, place, draft),
        Some(protocol @ (6 | 17)) => service(rule, shape, protocol, comments, place, draft),
        None if shape.source.is_some() && shape.ports.is_empty() => {
            everything_from(rule, shape, comments, place, draft)
        }
        Some(_) | None => draft.cannot_say(rule, "a service of the TOML is TCP or UDP", comments),
    }
    // Trust comes before block in the TOML, too.
    if draft.trust.len() == trusted {
        place.accepts += 1;
    }
}

fn icmp(rule: &Rule, shape: &Shape<'_>, comments: Vec<String>, place: &Place<'_>, draft: &mut Draft<'_>) {
    if shape.source.is_some() || shape.interface.is_some() || shape.states.is_some() {
        return draft.cannot_say(rule, "`icmp` in the TOML holds for every source", comments);
    }
    draft.icmp_families.push((place.rules.family, rule.line));
    let value = if shape.icmp_types { Icmp::Essential } else { Icmp::Accept };
    if shape.icmp_types {
        draft.differs(
            Some(rule.line),
            "accepts single ICMP types; the TOML's `essential` accepts its own list of them",
        );
    }
    if !Draft::say(&mut draft.icmp, value, comments) && value == Icmp::Accept {
        draft.icmp.value = Some(Icmp::Accept);
    }
}

fn service(
    rule: &Rule,
    shape: &Shape<'_>,
    protocol: u8,
    comments: Vec<String>,
    place: &Place<'_>,
    draft: &mut Draft<'_>,
) {
    let opens = shape.states.is_some_and(|states| states.new && !states.invalid);
    match (protocol, shape.states) {
        (6, None) => draft.differs(
            Some(rule.line),
            "accepts TCP in any state; the TOML only what opens a connection or belongs to one",
        ),
        (_, Some(_)) if !opens => {
            return draft.cannot_say(rule, "a service of the TOML accepts new connections", comments);
        }
        (17, Some(_)) => {
            draft.differs(Some(rule.line), "accepts UDP only in state NEW; the TOML in any state")
        }
        (_, Some(_) | None) => {}
    }
    let ports = if shape.ports.is_empty() { vec![(0, u16::MAX)] } else { shape.ports.clone() };
    let (tcp, udp) = if protocol == 6 { (ports.clone(), Vec::new()) } else { (Vec::new(), ports.clone()) };
    draft.service(Service {
        name: service_name(protocol, &ports),
        tcp,
        udp,
        from: shape.source.into_iter().collect(),
        interfaces: shape.interface.clone().into_iter().collect(),
        inspect: false,
        comments,
        families: vec![place.rules.family],
        line: rule.line,
    });
}

/// `-s NETWORK -j ACCEPT`: every port, and no signatures when it stands before them.
fn everything_from(
    rule: &Rule,
    shape: &Shape<'_>,
    comments: Vec<String>,
    place: &Place<'_>,
    draft: &mut Draft<'_>,
) {
    let Some(network) = shape.source else { return };
    if draft.block.iter().any(|blocked| blocked.covers(&network)) {
        return draft.cannot_say(rule, "an earlier rule drops all from there", comments);
    }
    let blocked_in_it = draft.block.iter().any(|blocked| network.covers(blocked));
    if draft.signatures.is_empty() && shape.interface.is_none() && !blocked_in_it {
        draft.trust.push(network);
        draft.trust_comments.extend(comments);
        return;
    }
    draft.differs(Some(rule.line), "accepts every protocol from there; the TOML TCP and UDP");
    let every = vec![(0, u16::MAX)];
    draft.service(Service {
        name: "everything".to_owned(),
        tcp: every.clone(),
        udp: every,
        from: vec![network],
        interfaces: shape.interface.clone().into_iter().collect(),
        inspect: false,
        comments,
        families: vec![place.rules.family],
        line: rule.line,
    });
}

fn drop_rule(
    rule: &Rule,
    shape: &Shape<'_>,
    comments: Vec<String>,
    place: &Place<'_>,
    draft: &mut Draft<'_>,
) {
    let only_source = shape.protocol.is_none()
        && shape.interface.is_none()
        && shape.states.is_none()
        && shape.ports.is_empty();
    match shape.source {
        Some(network) if only_source && draft.trust.iter().any(|trusted| trusted.covers(&network)) => {
            draft.cannot_say(rule, "an earlier rule accepts all from there", comments);
        }
        Some(network) if only_source && !shape.icmp_types => {
            if place.accepts > 0 {
                draft.differs(
                    Some(rule.line),
                    "stands behind rules that accept; the TOML drops blocked networks before everything",
                );
            }
            if place.established {
                draft.differs(
                    Some(rule.line),
                    "spares known connections; the TOML drops blocked networks before everything",
                );
            }
            draft.block.push(network);
            draft.block_comments.extend(comments);
        }
        _ if shape.is_only_state(|states| {
            states.invalid && !states.new && !states.established && !states.related
        }) =>
        {
            draft.differs(
                Some(rule.line),
                "drops INVALID packets; in the TOML they meet the services (UDP) and `default`",
            );
            draft.loose.extend(comments);
        }
        _ => draft.cannot_say(rule, "the TOML drops networks, signatures and by `default`", comments),
    }
}

fn default(action: Action, line: crate::ruleset::Line, comments: Vec<String>, draft: &mut Draft<'_>) {
    let action = comparable(action);
    if !Draft::say(&mut draft.default, action, comments) {
        draft.differs(Some(line), "the two families end differently; the TOML has one `default`");
    }
}

fn forward(rules: &RuleSet, draft: &mut Draft<'_>) {
    let Some((_, chain)) = rules.chain("FORWARD") else { return };
    let mut action = None;
    for met in flatten::rules(rules, chain) {
        let decides = match (&met.rule.target, met.matches.is_empty() && action.is_none()) {
            (Target::Accept, true) => Some(Action::Accept),
            (Target::Drop, true) => Some(Action::Drop),
            (Target::Reject(with), true) => Some(Action::Refuse(*with)),
            _ => None,
        };
        match decides {
            Some(decided) => {
                action = Some((decided, met.rule.line));
                draft.forward.comments.extend(met.comments);
            }
            None => draft.cannot_say(
                met.rule,
                "the TOML treats all packets through this host alike",
                met.comments,
            ),
        }
    }
    let (action, line) =
        action.unwrap_or_else(|| (chain.policy.map_or(Action::Accept, Action::from), chain.line));
    if !Draft::say(&mut draft.forward, comparable(action), Vec::new()) {
        draft
            .differs(Some(line), "FORWARD ends differently for the two families; the TOML has one `forward`");
    }
}

/// The families' reject types, told in those of IPv4.
fn comparable(action: Action) -> Action {
    let Action::Refuse(with) = action else { return action };
    Action::Refuse(match with {
        RejectWith::Icmp6NoRoute | RejectWith::Icmp6RejectRoute => RejectWith::IcmpNetUnreachable,
        RejectWith::Icmp6AdminProhibited => RejectWith::IcmpHostProhibited,
        RejectWith::Icmp6PolicyFail => RejectWith::IcmpAdminProhibited,
        RejectWith::Icmp6AddrUnreachable => RejectWith::IcmpHostUnreachable,
        RejectWith::Icmp6PortUnreachable => RejectWith::IcmpPortUnreachable,
        RejectWith::IcmpNetUnreachable
        | RejectWith::IcmpHostUnreachable
        | RejectWith::IcmpProtoUnreachable
        | RejectWith::IcmpPortUnreachable
        | RejectWith::IcmpNetProhibited
        | RejectWith::IcmpHostProhibited
        | RejectWith::IcmpAdminProhibited
        | RejectWith::TcpReset => with,
    })
}

/// The names that the TOML gives to well-known ports.
fn service_name(protocol: u8, ports: &[Ports]) -> String {
    let known = match (protocol, ports) {
        (6, [(21, 21)]) => Some("ftp"),
        (6, [(22, 22)]) => Some("ssh"),
        (6, [(25, 25)]) => Some("smtp"),
        (6 | 17, [(53, 53)]) => Some("dns"),
        (17, [(69, 69)]) => Some("tftp"),
        (6, [(80, 80)]) => Some("web"),
        (17, [(123, 123)]) => Some("ntp"),
        (6, [(443, 443)]) => Some("https"),
        (6 | 17, [(5060, 5060 | 5061)]) => Some("sip"),
        (6, [(5061, 5061)]) => Some("sips"),
        (17, [(4569, 4569)]) => Some("iax2"),
        (6, [(5038, 5038)]) => Some("ami"),
        (17, [(low, high)]) if *low >= 1024 && high - low >= 100 => Some("rtp"),
        _ => None,
    };
    known.map_or_else(
        || {
            let protocol = if protocol == 6 { "tcp" } else { "udp" };
            let (low, _) = ports.first().copied().unwrap_or_default();
            format!("{protocol}-{low}")
        },
        str::to_owned,
    )
}
