//! The policy as it is written: every key optional, values of the right type, nothing compared with anything else yet.

mod detect;
mod feeds;
mod jails;
mod sensors;
mod watch;

use std::ops::RangeInclusive;

use toml_edit::{Document, Item, TableLike};

pub(super) use self::feeds::Feed;
pub(super) use self::jails::Jail;
pub(super) use self::sensors::{Hep, Manager};
pub(super) use self::watch::{Events, Metrics};
use super::reader::{List, Reader, Span, Spanned, key_span, span_of};
use super::values;
use crate::ruleset::{InterfaceName, Network};

/// The keys of a policy.
#[derive(Debug, Default)]
pub(super) struct File {
    pub(super) default: Option<Spanned<String>>,
    pub(super) refuse_with: Option<Spanned<String>>,
    pub(super) forward: Option<Spanned<String>>,
    pub(super) icmp: Option<Spanned<String>>,
    pub(super) services: Option<Vec<Service>>,
    pub(super) trust: Option<Networks>,
    /// DNS names in `[trust]`.
    pub(super) trusted_names: Option<List<String>>,
    pub(super) block: Option<Networks>,
    pub(super) signatures: Option<Vec<Signature>>,
    pub(super) log: Log,
    pub(super) detect: engine::Settings,
    /// Service and limit.
    pub(super) limits: Vec<(Spanned<String>, Spanned<String>)>,
    pub(super) unproven: Option<Unproven>,
    /// With the place of the whole.
    pub(super) feeds: Option<(Vec<Feed>, Span)>,
    pub(super) jails: Option<(Vec<Jail>, Span)>,
    /// With the place of the whole.
    pub(super) managers: Option<(Vec<Manager>, Span)>,
    pub(super) hep: Option<Hep>,
    pub(super) metrics: Option<Metrics>,
    pub(super) events: Events,
}

/// Networks of both families.
pub(super) type Networks = List<Network>;

/// Port ranges of one protocol.
pub(super) type Ports = List<RangeInclusive<u16>>;

/// An entry of `[services]`.
#[derive(Debug)]
pub(super) struct Service {
    pub(super) name: Spanned<String>,
    pub(super) tcp: Option<Ports>,
    pub(super) udp: Option<Ports>,
    /// One of the two is there, but is no list, or its key may be misspelt.
    pub(super) wrong_ports: bool,
    pub(super) from: Option<Networks>,
    pub(super) interface: Option<List<InterfaceName>>,
    pub(super) inspect: Option<Spanned<bool>>,
}

/// An entry of `[[signatures]]`.
#[derive(Debug)]
pub(super) struct Signature {
    /// The whole entry.
    pub(super) span: Span,
    pub(super) name: Option<Spanned<String>>,
    pub(super) header: Option<Spanned<String>>,
    pub(super) text: Option<Spanned<String>>,
    pub(super) hex: Option<Spanned<String>>,
    pub(super) regex: Option<Spanned<String>>,
    pub(super) ignore_case: Option<Spanned<bool>>,
    pub(super) log_prefix: Option<Spanned<String>>,
    /// The name is there, but is no text.
    pub(super) wrong_name: bool,
    /// What is looked for is there, but is no text, or its key may be misspelt.
    pub(super) wrong_pattern: bool,
}

/// `[log]`.
#[derive(Debug, Default)]
pub(super) struct Log {
    pub(super) signatures: Option<Spanned<String>>,
    pub(super) level: Option<Spanned<String>>,
    /// `None` in the value for `false`.
    pub(super) refused: Option<Spanned<Option<String>>>,
}

/// `[unproven]`.
#[derive(Debug, Default)]
pub(super) struct Unproven {
    pub(super) source: Option<Spanned<String>>,
    pub(super) network: Option<Spanned<String>>,
    pub(super) all: Option<Spanned<String>>,
}

const TOP: [&str; 18] = [
    "default",
    "refuse-with",
    "forward",
    "icmp",
    "services",
    "trust",
    "block",
    "signatures",
    "log",
    "limits",
    "unproven",
    "detect",
    "feeds",
    "jails",
    "managers",
    "hep",
    "metrics",
    "events",
];
const SERVICE: [&str; 5] = ["tcp", "udp", "from", "interface", "inspect"];
const SIGNATURE: [&str; 7] = ["name", "header", "text", "hex", "regex", "ignore-case", "log-prefix"];
const UNPROVEN: [&str; 3] = ["source", "network", "all"];
const LOG: [&str; 3] = ["signatures", "level", "refused"];

/// Reads the whole file. `None` if it is no TOML.
pub(super) fn read(reader: &mut Reader<'_>) -> Option<File> {
    let document = match Document::parse(reader.source().text()) {
        Ok(document) => document,
        Err(error) => {
            let message = error.message().lines().next().unwrap_or("this is no TOML").to_owned();
            let span = error.span().unwrap_or(0..0);
            reader.error(&span, message, "a policy is TOML (https://toml.io), or what iptables-save writes");
            return None;
        }
    };
    let table: &dyn TableLike = document.as_table();
    reader.only(table, "a policy", &TOP);
    Some(File {
        default: reader.text(table, "default", "default = \"refuse\""),
        refuse_with: reader.text(table, "refuse-with", "refuse-with = \"icmp-host-prohibited\""),
        forward: reader.text(table, "forward", "forward = \"refuse\""),
        icmp: reader.text(table, "icmp", "icmp = \"accept\""),
        services: table.get("services").map(|item| services(item, reader)),
        trust: networks(table, "trust", &["networks", "names"], reader),
        trusted_names: names(table, reader),
        block: networks(table, "block", &["networks"], reader),
        signatures: table.get("signatures").map(|item| signatures(item, reader)),
        log: table.get("log").map(|item| log(item, reader)).unwrap_or_default(),
        detect: table.get("detect").map(|item| detect::read(item, reader)).unwrap_or_default(),
        limits: table.get("limits").map(|item| limits(item, reader)).unwrap_or_default(),
        unproven: table.get("unproven").map(|item| unproven(item, reader)),
        feeds: table.get("feeds").map(|item| feeds::read(item, reader)),
        jails: table.get("jails").map(|item| jails::read(item, reader)),
        managers: table.get("managers").map(|item| sensors::managers(item, reader)),
        hep: table.get("hep").and_then(|item| sensors::hep(item, reader)),
        metrics: table.get("metrics").and_then(|item| watch::metrics(item, reader)),
        events: table.get("events").map(|item| watch::events(item, reader)).unwrap_or_default(),
    })
}

fn services(item: &Item, reader: &mut Reader<'_>) -> Vec<Service> {
    let Some(table) = reader.table(item, "`services`", "[services]") else { return Vec::new() };
    table.iter().filter_map(|(name, item)| service(table, name, item, reader)).collect()
}

fn service(services: &dyn TableLike, name: &str, item: &Item, reader: &mut Reader<'_>) -> Option<Service> {
    let table =
        reader.table(item, &format!("the service `{name}`"), &format!("{name} = {{ tcp = [22] }}"))?;
    let known = reader.only(table, "a service", &SERVICE);
    let networks = "from = [\"192.0.2.0/24\"]";
    let tcp = reader.list(table, "tcp", "tcp = [22]", values::ports);
    let udp = reader.list(table, "udp", "udp = [5060, \"10000-20000\"]", values::ports);
    let wrong = |read: bool, key: &str| !read && table.contains_key(key);
    Some(Service {
        name: Spanned { value: name.to_owned(), span: key_span(services, name) },
        wrong_ports: !known || wrong(tcp.is_some(), "tcp") || wrong(udp.is_some(), "udp"),
        tcp,
        udp,
        from: reader.list(table, "from", networks, values::network),
        interface: reader.list(table, "interface", "interface = [\"eth0\"]", values::interface),
        inspect: reader.boolean(table, "inspect"),
    })
}

/// `[trust]` or `[block]`.
fn networks(top: &dyn TableLike, name: &str, keys: &[&str], reader: &mut Reader<'_>) -> Option<Networks> {
    let table = reader.table(top.get(name)?, &format!("`{name}`"), &format!("[{name}]"))?;
    reader.only(table, &format!("`{name}`"), keys);
    reader.list(table, "networks", "networks = [\"192.0.2.0/24\"]", values::network)
}

/// `names` of `[trust]`.
fn names(top: &dyn TableLike, reader: &mut Reader<'_>) -> Option<List<String>> {
    let table = top.get("trust")?.as_table_like()?;
    reader.list(table, "names", "names = [\"sip.example.net\"]", values::name)
}

/// `[[signatures]]`, or a list of inline tables; the empty list is for none.
fn signatures(item: &Item, reader: &mut Reader<'_>) -> Vec<Signature> {
    if let Some(tables) = item.as_array_of_tables() {
        let entry = |table: &toml_edit::Table| signature(table, table.span().unwrap_or(0..0), reader);
        return tables.iter().map(entry).collect();
    }
    let Some(list) = item.as_array() else {
        reader.wrong_type(item, &span_of(item), "`signatures`", "a list of tables", "[[signatures]]");
        return Vec::new();
    };
    let mut all = Vec::new();
    for value in list {
        let span = value.span().unwrap_or(0..0);
        match value.as_inline_table() {
            Some(table) => all.push(signature(table, span, reader)),
            None => reader.error(&span, "a signature is a table", "write `[[signatures]]` above its keys"),
        }
    }
    all
}

fn signature(table: &dyn TableLike, span: Span, reader: &mut Reader<'_>) -> Signature {
    let known = reader.only(table, "a signature", &SIGNATURE);
    let wrong = |key: &str| table.get(key).is_some_and(|item| !item.is_str());
    Signature {
        span,
        wrong_name: wrong("name"),
        wrong_pattern: !known || ["text", "hex", "regex"].into_iter().any(wrong),
        name: reader.text(table, "name", "name = \"friendly-scanner\""),
        header: reader.text(table, "header", "header = \"User-Agent\""),
        text: reader.text(table, "text", "text = \"friendly-scanner\""),
        hex: reader.text(table, "hex", "hex = \"66 72 69\""),
        regex: reader.text(table, "regex", "regex = '^sip-?scan'"),
        ignore_case: reader.boolean(table, "ignore-case"),
        log_prefix: reader.text(table, "log-prefix", "log-prefix = \"badsip: \""),
    }
}

fn log(item: &Item, reader: &mut Reader<'_>) -> Log {
    let Some(table) = reader.table(item, "`log`", "[log]") else { return Log::default() };
    reader.only(table, "`log`", &LOG);
    let refused = match table.get("refused").and_then(Item::as_bool) {
        Some(false) => Some(Spanned { value: None, span: table.get("refused").map_or(0..0, span_of) }),
        Some(true) => {
            let span = table.get("refused").map_or(0..0, span_of);
            let help = "write the prefix of the log lines: `refused = \"refused: \"`";
            reader.error(&span, "`refused` is a log prefix, or false", help);
            None
        }
        None => reader
            .text(table, "refused", "refused = \"refused: \"")
            .map(|text| Spanned { value: Some(text.value), span: text.span }),
    };
    Log {
        signatures: reader.text(table, "signatures", "signatures = \"iptables-badsip: \""),
        level: reader.text(table, "level", "level = \"info\""),
        refused,
    }
}

fn unproven(item: &Item, reader: &mut Reader<'_>) -> Unproven {
    let Some(table) = reader.table(item, "`unproven`", "[unproven]") else { return Unproven::default() };
    reader.only(table, "`unproven`", &UNPROVEN);
    let mut limit = |key: &str| reader.text(table, key, &format!("{key} = \"50/second burst 200\""));
    Unproven { source: limit("source"), network: limit("network"), all: limit("all") }
}

fn limits(item: &Item, reader: &mut Reader<'_>) -> Vec<(Spanned<String>, Spanned<String>)> {
    let Some(table) = reader.table(item, "`limits`", "[limits]") else { return Vec::new() };
    let names: Vec<&str> = table.iter().map(|(name, _)| name).collect();
    let mut all = Vec::new();
    for name in names {
        if let Some(limit) = reader.text(table, name, &format!("{name} = \"10/minute burst 20\"")) {
            all.push((Spanned { value: name.to_owned(), span: key_span(table, name) }, limit));
        }
    }
    all
}
