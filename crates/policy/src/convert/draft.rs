//! What the TOML is going to say.

use std::sync::Arc;

use super::Difference;
use crate::diagnostic::Source;
use crate::ruleset::{ChainPolicy, Family, Line, Network, RejectWith, Rule, Text};

/// What happens to a packet that nothing else is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Action {
    Accept,
    Drop,
    Refuse(RejectWith),
}

impl Action {
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::Accept => "accept",
            Self::Drop => "drop",
            Self::Refuse(_) => "refuse",
        }
    }
}

impl From<ChainPolicy> for Action {
    fn from(policy: ChainPolicy) -> Self {
        match policy {
            ChainPolicy::Accept => Self::Accept,
            ChainPolicy::Drop => Self::Drop,
        }
    }
}

/// A value with the comments above it.
#[derive(Clone, Debug, Default)]
pub(super) struct Said<T> {
    pub(super) value: Option<T>,
    pub(super) comments: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Icmp {
    Accept,
    Essential,
}

/// An entry of `[services]`.
#[derive(Clone, Debug)]
pub(super) struct Service {
    pub(super) name: String,
    pub(super) tcp: Vec<Ports>,
    pub(super) udp: Vec<Ports>,
    pub(super) from: Vec<Network>,
    pub(super) interfaces: Vec<String>,
    pub(super) inspect: bool,
    pub(super) comments: Vec<String>,
    pub(super) families: Vec<Family>,
    pub(super) line: Line,
}

/// First and last port.
pub(super) type Ports = (u16, u16);

/// An entry of `[[signatures]]`.
#[derive(Clone, Debug)]
pub(super) struct Signature {
    pub(super) name: String,
    pub(super) text: Text,
    pub(super) log_prefix: Option<String>,
    pub(super) comments: Vec<String>,
    /// Protocol and ports of the packets that the rule searches.
    pub(super) searched: Vec<(u8, Ports)>,
    pub(super) line: Line,
}

/// The policy in the making.
pub(super) struct Draft<'a> {
    source: &'a Arc<Source>,
    pub(super) default: Said<Action>,
    pub(super) forward: Said<Action>,
    pub(super) icmp: Said<Icmp>,
    /// Families with a rule that accepts ICMP, and where.
    pub(super) icmp_families: Vec<(Family, Line)>,
    pub(super) services: Vec<Service>,
    pub(super) trust: Vec<Network>,
    pub(super) trust_comments: Vec<String>,
    pub(super) block: Vec<Network>,
    pub(super) block_comments: Vec<String>,
    pub(super) signatures: Vec<Signature>,
    pub(super) log_comments: Vec<String>,
    pub(super) differences: Vec<Difference>,
    /// Comments of rules that the TOML implies.
    pub(super) loose: Vec<String>,
    /// Comments at the end of the file.
    pub(super) closing: Vec<String>,
}

impl<'a> Draft<'a> {
    pub(super) fn new(source: &'a Arc<Source>) -> Self {
        Self {
            source,
            default: Said { value: None, comments: Vec::new() },
            forward: Said { value: None, comments: Vec::new() },
            icmp: Said { value: None, comments: Vec::new() },
            icmp_families: Vec::new(),
            services: Vec::new(),
            trust: Vec::new(),
            trust_comments: Vec::new(),
            block: Vec::new(),
            block_comments: Vec::new(),
            signatures: Vec::new(),
            log_comments: Vec::new(),
            differences: Vec::new(),
            loose: Vec::new(),
            closing: Vec::new(),
        }
    }

    /// Names a difference once.
    pub(super) fn differs(&mut self, line: Option<Line>, text: impl Into<String>) {
        let difference = Difference { line, text: text.into(), comments: Vec::new() };
        if !self.differences.contains(&difference) {
            self.differences.push(difference);
        }
    }

    /// A rule that has no place in the TOML.
    pub(super) fn cannot_say(&mut self, rule: &Rule, why: &str, comments: Vec<String>) {
        let text = self.source.text().lines().nth(rule.line.0.saturating_sub(1)).unwrap_or_default().trim();
        // `-m comment` stands in the rule itself.
        let comments: Vec<String> =
            comments.into_iter().filter(|comment| !text.contains(comment.as_str())).collect();
        let difference =
            Difference { line: Some(rule.line), text: format!("`{text}` is left out: {why}"), comments };
        if !self.differences.contains(&difference) {
            self.differences.push(difference);
        }
    }

    /// Sets a value, or names the family whose value is another.
    pub(super) fn say<T: Copy + PartialEq>(said: &mut Said<T>, value: T, comments: Vec<String>) -> bool {
        let agrees = said.value.is_none_or(|known| known == value);
        said.value.get_or_insert(value);
        said.comments.extend(comments);
        agrees
    }

    /// Adds ports to the service that is already for the same sources, or makes one.
    pub(super) fn service(&mut self, wanted: Service) {
        let same_ports = |service: &&mut Service| {
            service.tcp == wanted.tcp && service.udp == wanted.udp && service.interfaces == wanted.interfaces
        };
        let narrowed = |service: &&mut Service| !service.from.is_empty() && !wanted.from.is_empty();
        if let Some(service) =
            self.services.iter_mut().find(|service| same_ports(service) && narrowed(service))
        {
            service.from.extend(wanted.from);
            service.families.extend(wanted.families);
            merge(&mut service.comments, wanted.comments);
            return;
        }
        let same = |service: &&mut Service| {
            service.name == wanted.name
                && service.from == wanted.from
                && service.interfaces == wanted.interfaces
        };
        if let Some(service) = self.services.iter_mut().find(same) {
            let missing = |ports: &[Ports], new: &[Ports]| {
                new.iter().filter(|new| !ports.contains(new)).copied().collect::<Vec<_>>()
            };
            service.tcp.extend(missing(&service.tcp, &wanted.tcp));
            service.udp.extend(missing(&service.udp, &wanted.udp));
            service.families.extend(wanted.families);
            merge(&mut service.comments, wanted.comments);
            return;
        }
        let taken = self.services.iter().filter(|service| base_name(&service.name) == wanted.name).count();
        let name = if taken == 0 { wanted.name.clone() } else { format!("{}-{}", wanted.name, taken + 1) };
        self.services.push(Service { name, ..wanted });
    }

    /// What can only be told when every rule was seen: which services are searched for signatures.
    /// `families`: those that the file has rules for.
    pub(super) fn finish(&mut self, families: &[Family]) {
        self.services_of_one_family(families);
        self.drop_what_is_open_anyway();
        let searched: Vec<(u8, Ports, Line)> = self
            .signatures
            .iter()
            .flat_map(|signature| {
                signature.searched.iter().map(|(protocol, ports)| (*protocol, *ports, signature.line))
            })
            .collect();
        for (protocol, ports, line) in &searched {
            let serves = |service: &Service| {
                let list = if *protocol == 6 { &service.tcp } else { &service.udp };
                list.iter().any(|(low, high)| *low <= ports.0 && ports.1 <= *high)
            };
            let mut found = false;
            for service in self.services.iter_mut().filter(|service| serves(service)) {
                service.inspect = true;
                found = true;
            }
            if !found {
                let text = "searches packets to ports that no service accepts; the TOML searches services only, and its default meets those packets";
                self.differs(Some(*line), text);
            }
        }
        self.every_signature_everywhere();
    }

    /// Ports for some sources that another service opens to anyone: the TOML says it once.
    fn drop_what_is_open_anyway(&mut self) {
        let narrowed = |service: &Service| !service.from.is_empty() || !service.interfaces.is_empty();
        let open: Vec<(Vec<Ports>, Vec<Ports>)> = self
            .services
            .iter()
            .filter(|service| !narrowed(service))
            .map(|service| (service.tcp.clone(), service.udp.clone()))
            .collect();
        let around = |wider: &[Ports], ports: &Ports| {
            wider.iter().any(|(low, high)| *low <= ports.0 && ports.1 <= *high)
        };
        for service in self.services.iter_mut().filter(|service| narrowed(service)) {
            service.tcp.retain(|ports| !open.iter().any(|(tcp, _)| around(tcp, ports)));
            service.udp.retain(|ports| !open.iter().any(|(_, udp)| around(udp, ports)));
        }
        let (kept, gone): (Vec<Service>, Vec<Service>) = std::mem::take(&mut self.services)
            .into_iter()
            .partition(|service| !service.tcp.is_empty() || !service.udp.is_empty());
        self.services = kept;
        self.loose.extend(gone.into_iter().flat_map(|service| service.comments));
    }

    /// A service without `from`, and `icmp`, hold for both families in the TOML.
    fn services_of_one_family(&mut self, families: &[Family]) {
        let mut narrower = Vec::new();
        let lacks_icmp = |family: &Family| self.icmp_families.iter().all(|(known, _)| known != family);
        if let (Some((_, line)), true) = (self.icmp_families.first(), families.iter().any(lacks_icmp)) {
            narrower.push((*line, "accepts ICMP for one family only; the TOML for both".to_owned()));
        }
        for service in self.services.iter().filter(|service| service.from.is_empty()) {
            if families.iter().any(|family| !service.families.contains(family)) {
                narrower.push((
                    service.line,
                    format!("accepts `{}` for one family only; the TOML for both", service.name),
                ));
            }
        }
        for (line, text) in narrower {
            self.differs(Some(line), text);
        }
    }

    /// In the TOML every signature is searched for in every inspected service.
    fn every_signature_everywhere(&mut self) {
        let mut wider = Vec::new();
        for service in self.services.iter().filter(|service| service.inspect) {
            let ports = service
                .tcp
                .iter()
                .map(|ports| (6, *ports))
                .chain(service.udp.iter().map(|ports| (17, *ports)));
            for (protocol, ports) in ports {
                for signature in &self.signatures {
                    if !covers(&signature.searched, protocol, ports) {
                        let text = format!(
                            "`{}` is searched for in all of service `{}` by the TOML, in a part of it by the file",
                            signature.name, service.name
                        );
                        wider.push((signature.line, text));
                    }
                }
            }
        }
        for (line, text) in wider {
            self.differs(Some(line), text);
        }
    }
}

/// Whether the port ranges of the protocol, side by side, hold all of `wanted`.
fn covers(searched: &[(u8, Ports)], protocol: u8, wanted: Ports) -> bool {
    let mut ranges: Vec<Ports> =
        searched.iter().filter(|(number, _)| *number == protocol).map(|(_, ports)| *ports).collect();
    ranges.sort_unstable();
    let mut next = u32::from(wanted.0);
    for (low, high) in ranges {
        if u32::from(low) <= next {
            next = next.max(u32::from(high) + 1);
        }
    }
    next > u32::from(wanted.1)
}

fn merge(known: &mut Vec<String>, new: Vec<String>) {
    for comment in new {
        if !known.contains(&comment) {
            known.push(comment);
        }
    }
}

/// A name without the number that keeps it apart from others.
fn base_name(name: &str) -> &str {
    match name.rsplit_once('-') {
        Some((base, number))
            if !number.is_empty()
                && number.bytes().all(|byte| byte.is_ascii_digit())
                && base != "tcp"
                && base != "udp" =>
        {
            base
        }
        _ => name,
    }
}
