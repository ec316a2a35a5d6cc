//! `[metrics]` and `[events]`.

use toml_edit::Item;

use crate::ruleset::Network;
use crate::toml::reader::{List, Reader, Span, Spanned, span_of};
use crate::toml::values;

/// `[metrics]`.
#[derive(Debug)]
pub(in crate::toml) struct Metrics {
    /// The whole.
    pub(in crate::toml) span: Span,
    pub(in crate::toml) listen: Option<Spanned<String>>,
    pub(in crate::toml) allow: Option<List<Network>>,
    /// `listen` is there, but is no text, or may be misspelt.
    pub(in crate::toml) wrong: bool,
}

/// `[events]`.
#[derive(Debug, Default)]
pub(in crate::toml) struct Events {
    pub(in crate::toml) max_size: Option<Spanned<String>>,
    pub(in crate::toml) keep: Option<Spanned<i64>>,
}

pub(super) fn metrics(item: &Item, reader: &mut Reader<'_>) -> Option<Metrics> {
    let table = reader.table(item, "`metrics`", "[metrics]")?;
    let known = reader.only(table, "`metrics`", &["listen", "allow"]);
    Some(Metrics {
        span: span_of(item),
        wrong: !known || table.get("listen").is_some_and(|item| !item.is_str()),
        listen: reader.text(table, "listen", "listen = \"127.0.0.1:9560\""),
        allow: reader.list(table, "allow", "allow = [\"192.0.2.10\"]", values::network),
    })
}

pub(super) fn events(item: &Item, reader: &mut Reader<'_>) -> Events {
    let Some(table) = reader.table(item, "`events`", "[events]") else { return Events::default() };
    reader.only(table, "`events`", &["max-size", "keep"]);
    Events {
        max_size: reader.text(table, "max-size", "max-size = \"64MiB\""),
        keep: reader.number(table, "keep", "keep = 4"),
    }
}
