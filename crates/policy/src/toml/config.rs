//! The policy, checked: nothing optional is left, and everything in it has an effect.

mod feeds;
mod jails;
mod sensors;
mod services;
mod signatures;
mod watch;

use std::ops::RangeInclusive;

use gate::limit::Rate as GateRate;

use super::defaults;
use super::file::{self, File};
use super::reader::{List, Reader, Spanned, listed};
use super::values;
use crate::detection::{Detection, SipPorts};
use crate::diagnostic::nearest;
use crate::feed::Feed;
use crate::iptables::names;
use crate::jail::Jail;
use crate::ruleset::{
    Family, HeaderText, InterfaceName, Limit, Line, Network, Networks, Rate, RejectWith, Text, Unproven,
};
use crate::sensor::{Hep, Manager};
use crate::watch::{EventFiles, Metrics};

/// Names in `[trust]`.
const MAX_NAMES: usize = 1024;

/// Everything that a policy says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    pub default: (Action, Place),
    pub refuse_with: RejectWith,
    pub forward: (Action, Place),
    pub icmp: (Icmp, Place),
    pub services: Vec<Service>,
    pub trusted: (Vec<Network>, Place),
    /// DNS names that are never banned, in small letters.
    pub trusted_names: Vec<String>,
    pub blocked: (Vec<Network>, Place),
    pub signatures: Vec<Signature>,
    pub log: LogConfig,
    pub unproven: Unproven,
    pub detect: engine::Settings,
    pub feeds: Vec<Feed>,
    pub jails: Vec<Jail>,
    pub managers: Vec<Manager>,
    pub hep: Option<Hep>,
    pub metrics: Option<Metrics>,
    pub events: EventFiles,
}

impl Config {
    /// The networks that are judged before anything else.
    pub fn networks(&self) -> Networks {
        Networks { trusted: self.trusted.0.clone(), blocked: self.blocked.0.clone() }
    }

    /// What the engine looks at, and how: the services that are inspected.
    pub fn detection(&self) -> Detection {
        let mut settings = self.detect.clone();
        settings.jails = self.jails.iter().map(|jail| jail.rule.clone()).collect();
        let inspected = || self.services.iter().filter(|service| service.inspect);
        let ports = SipPorts {
            tcp: inspected().flat_map(|service| service.tcp.iter().cloned()).collect(),
            udp: inspected().flat_map(|service| service.udp.iter().cloned()).collect(),
        };
        Detection { settings, ports }
    }
}

/// Where something is written. Takes no part in comparisons: equal policies may be laid out differently.
#[derive(Clone, Copy, Debug)]
pub struct Place(pub Line);

impl Place {
    /// Nowhere: a default.
    pub const SHIPPED: Self = Self(Line::SHIPPED);
}

impl PartialEq for Place {
    fn eq(&self, _: &Self) -> bool {
        true
    }
}

impl Eq for Place {}

/// What happens to packets that nothing allows.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Action {
    Accept,
    Drop,
    Refuse,
}

/// Which ICMP messages are taken in, beside those that belong to known connections.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Icmp {
    Accept,
    /// What `default` does, beside what IPv6 cannot do without.
    Default,
    Drop,
    /// Errors, and what IPv6 cannot do without; the rest is up to `default`.
    Essential,
}

/// A value for each family.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Ipv<T> {
    pub(super) v4: T,
    pub(super) v6: T,
}

impl<T> Ipv<T> {
    pub(super) fn of(self, family: Family) -> T {
        match family {
            Family::Ipv4 => self.v4,
            Family::Ipv6 => self.v6,
        }
    }
}

/// Ports that are open, and to whom.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Service {
    pub name: String,
    pub place: Place,
    pub tcp: Vec<RangeInclusive<u16>>,
    pub udp: Vec<RangeInclusive<u16>>,
    pub from: Sources,
    /// Empty for every interface.
    pub interfaces: Vec<InterfaceName>,
    /// Its packets are searched for signatures.
    pub inspect: bool,
    /// New connections of one source, with the burst.
    pub limit: Option<(Rate, u32, Place)>,
}

/// Who may use a service.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Sources {
    Anyone,
    Networks(Vec<Network>),
}

/// Something that no packet to an inspected service may have in it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Signature {
    /// As logs call it.
    pub name: String,
    pub place: Place,
    pub search: Search,
    /// Of the log line; empty for no line.
    pub log_prefix: String,
}

/// Where a signature is searched for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Search {
    Packet(Text),
    Header(HeaderText),
}

/// `[log]`.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct LogConfig {
    /// syslog level 0-7.
    pub level: u8,
    /// Prefix of lines about what `default` does not let in, if they are wanted.
    pub refused: Option<(String, Place)>,
}

/// Checks what is written and fills in what is not. Mistakes go to `reader`; the result counts only without them.
pub(super) fn check(file: File, reader: &mut Reader<'_>) -> Config {
    let prefix = file.log.signatures.as_ref().and_then(|text| log_prefix(text, reader));
    let prefix = prefix.unwrap_or_else(|| defaults::SIGNATURE_LOG.to_owned());
    let trusted = networks(file.trust.as_ref(), "trust", reader);
    let trusted_names = trusted_names(file.trusted_names.as_ref(), reader);
    let blocked = networks(file.block.as_ref(), "block", reader);
    blocked_in_trusted(&file, reader);
    let services = services::check(file.services, &file.limits, reader);
    let signatures = signatures::check(file.signatures, &prefix, reader);
    inspected(&services, &signatures, file.log.signatures.as_ref(), reader);
    Config {
        default: action(file.default.as_ref(), "default", defaults::DEFAULT, reader),
        refuse_with: refuse_with(file.refuse_with.as_ref(), reader),
        forward: action(file.forward.as_ref(), "forward", defaults::FORWARD, reader),
        icmp: icmp(file.icmp.as_ref(), reader),
        services,
        trusted,
        trusted_names,
        blocked,
        signatures,
        log: log(&file.log, reader),
        unproven: file.unproven.map_or(defaults::UNPROVEN, |written| unproven(&written, reader)),
        detect: file.detect,
        feeds: feeds::check(file.feeds, reader),
        jails: jails::check(file.jails, reader),
        managers: sensors::managers(file.managers, reader),
        hep: file.hep.and_then(|written| sensors::hep(&written, reader)),
        metrics: watch::metrics(file.metrics, reader),
        events: watch::events(&file.events, reader),
    }
}

/// `[unproven]`.
fn unproven(file: &file::Unproven, reader: &mut Reader<'_>) -> Unproven {
    let mut limit = |written: &Option<Spanned<String>>| {
        let written = written.as_ref()?;
        let (rate, burst) =
            reader.value(&written.span, values::limit(&written.value, defaults::LIMIT_BURST))?.value;
        let worth = u64::from(burst) * rate.unit.seconds() / u64::from(rate.amount);
        if worth > GateRate::LONGEST {
            let message = format!("a burst of {burst} takes {worth} s to come back");
            let help = format!(
                "the gate counts in {} s; allow a higher rate, or a smaller burst",
                GateRate::LONGEST
            );
            reader.error(&written.span, message, help);
            return None;
        }
        Some(Limit { rate, burst })
    };
    Unproven { source: limit(&file.source), network: limit(&file.network), all: limit(&file.all) }
}

fn place(span: &std::ops::Range<usize>, reader: &Reader<'_>) -> Place {
    Place(reader.line(span))
}

/// The name of a feed or a manager.
fn check_name(name: &Spanned<String>, of: &str, reader: &mut Reader<'_>) {
    const LONGEST: usize = 32;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    if name.value.is_empty() || name.value.len() > LONGEST || !name.value.chars().all(is_plain) {
        let help = format!("a name has letters, digits, `-` and `_`, at most {LONGEST} of them");
        reader.error(&name.span, format!("`{}` is no name for {of}", name.value), help);
    }
}

/// One of some words.
fn word<T: Copy>(
    written: Option<&Spanned<String>>,
    key: &str,
    known: &[(&str, T)],
    reader: &mut Reader<'_>,
) -> Option<(T, Place)> {
    let written = written?;
    let found = known.iter().find(|(name, _)| *name == written.value);
    if found.is_none() {
        let names: Vec<&str> = known.iter().map(|(name, _)| *name).collect();
        let near = nearest(&written.value, names.iter().copied());
        let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
        let help = format!("{near}it is one of {}", listed(&names));
        reader.error(&written.span, format!("`{key}` cannot be `{}`", written.value), help);
    }
    found.map(|(_, value)| (*value, place(&written.span, reader)))
}

fn action(
    written: Option<&Spanned<String>>,
    key: &str,
    default: Action,
    reader: &mut Reader<'_>,
) -> (Action, Place) {
    const ACTIONS: [(&str, Action); 3] =
        [("refuse", Action::Refuse), ("drop", Action::Drop), ("accept", Action::Accept)];
    word(written, key, &ACTIONS, reader).unwrap_or((default, Place::SHIPPED))
}

fn icmp(written: Option<&Spanned<String>>, reader: &mut Reader<'_>) -> (Icmp, Place) {
    const KINDS: [(&str, Icmp); 4] = [
        ("accept", Icmp::Accept),
        ("essential", Icmp::Essential),
        ("default", Icmp::Default),
        ("drop", Icmp::Drop),
    ];
    word(written, "icmp", &KINDS, reader).unwrap_or((defaults::ICMP, Place::SHIPPED))
}

fn refuse_with(written: Option<&Spanned<String>>, reader: &mut Reader<'_>) -> RejectWith {
    let known: Vec<(&str, RejectWith)> = [Family::Ipv4, Family::Ipv6]
        .into_iter()
        .flat_map(|family| {
            names::reject_types(family)
                .filter_map(move |name| names::reject(name, family).map(|with| (name, with)))
        })
        .filter(|(name, _)| *name != "tcp-reset")
        .chain([("tcp-reset", RejectWith::TcpReset)])
        .collect();
    word(written, "refuse-with", &known, reader).map_or(defaults::REFUSE_WITH, |(with, _)| with)
}

fn log_prefix(text: &Spanned<String>, reader: &mut Reader<'_>) -> Option<String> {
    reader.value(&text.span, values::log_prefix(&text.value)).map(|prefix| prefix.value)
}

fn log(file: &file::Log, reader: &mut Reader<'_>) -> LogConfig {
    let levels: Vec<(&str, u8)> =
        names::log_levels().filter_map(|name| names::log_level(name).map(|level| (name, level))).collect();
    let level = word(file.level.as_ref(), "level", &levels, reader);
    let refused = file.refused.as_ref().and_then(|refused| {
        let text = Spanned { value: refused.value.clone()?, span: refused.span.clone() };
        log_prefix(&text, reader).map(|prefix| (prefix, place(&refused.span, reader)))
    });
    LogConfig {
        level: level.map_or(defaults::LOG_LEVEL, |(level, _)| level),
        refused: match file.refused {
            Some(_) => refused,
            None => defaults::REFUSED_LOG.map(|prefix| (prefix.to_owned(), Place::SHIPPED)),
        },
    }
}

/// A list of networks without those that lie in another of it: nftables wants each address once.
fn networks(written: Option<&file::Networks>, key: &str, reader: &mut Reader<'_>) -> (Vec<Network>, Place) {
    let Some(written) = written else { return (Vec::new(), Place::SHIPPED) };
    let bound = gate::layout::MAX_NETWORKS as usize;
    if written.items.len() > bound {
        let message = format!("{} networks; `{key}` has room for {bound}", written.items.len());
        reader.error(&written.span, message, "join neighbours to wider networks");
    }
    (distinct(&written.items, reader), place(&written.span, reader))
}

/// The widest networks only; a repetition is worth a warning.
fn distinct(written: &[Spanned<Network>], reader: &mut Reader<'_>) -> Vec<Network> {
    let mut sorted: Vec<&Spanned<Network>> = written.iter().collect();
    sorted.sort_by_key(|one| (one.value.address, one.value.prefix(), one.span.start));
    let mut kept: Vec<&Spanned<Network>> = Vec::new();
    for one in sorted {
        // Sorted like this, a network can only lie in the last one that was kept.
        match kept.last() {
            Some(wider) if wider.value.contains(one.value.address) => {
                let message = "this network is in the list already";
                let help = format!("line {} has it, or a wider one", reader.line(&wider.span).0);
                reader.warn(&one.span, message, help);
            }
            Some(_) | None => kept.push(one),
        }
    }
    kept.into_iter().map(|one| one.value).collect()
}

/// Each once; who looks them up does it every minute.
fn trusted_names(written: Option<&List<String>>, reader: &mut Reader<'_>) -> Vec<String> {
    let Some(written) = written else { return Vec::new() };
    if written.items.len() > MAX_NAMES {
        let message = format!("{} names; `names` has room for {MAX_NAMES}", written.items.len());
        reader.error(&written.span, message, "write the networks of whoever has as many");
    }
    let mut names: Vec<String> = written.items.iter().map(|name| name.value.clone()).collect();
    names.sort();
    names.dedup();
    names
}

/// Trust goes first, so that an exception can be made from a blocked network; the other way round has no effect.
fn blocked_in_trusted(file: &File, reader: &mut Reader<'_>) {
    let (Some(trust), Some(block)) = (&file.trust, &file.block) else { return };
    let mut trusted: Vec<&Spanned<Network>> = trust.items.iter().collect();
    trusted.sort_by_key(|one| (one.value.address, one.value.prefix()));
    for blocked in &block.items {
        if let Some(wider) = trusted.iter().find(|one| one.value.covers(&blocked.value)) {
            let line = reader.line(&wider.span).0;
            let help = format!(
                "trusted networks are never blocked; narrow the one in line {line}, or take this one out"
            );
            reader.error(&blocked.span, "this network is trusted as well", help);
        }
    }
}

/// Signatures without a service to search, and services without a signature to search for.
fn inspected(
    services: &[Service],
    signatures: &[Signature],
    log: Option<&Spanned<String>>,
    reader: &mut Reader<'_>,
) {
    let inspects = services.iter().any(|service| service.inspect);
    if let (false, Some(Signature { place: Place(line), .. })) = (inspects, signatures.first())
        && *line != Line::SHIPPED
    {
        let text = reader.source().text();
        let start: usize = text.split_inclusive('\n').take(line.0.saturating_sub(1)).map(str::len).sum();
        let end = start + text.get(start..).and_then(|rest| rest.lines().next()).map_or(0, str::len);
        let help = "add `inspect = true` to the services whose packets are to be searched";
        reader.warn(&(start..end), "no service is searched for signatures", help);
    }
    if let (true, Some(prefix)) = (signatures.is_empty(), log) {
        reader.warn(&prefix.span, "there are no signatures to log", "leave it out, or add `[[signatures]]`");
    }
}
