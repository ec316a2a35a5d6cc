//! `[feeds.NAME]`.

use toml_edit::{Item, TableLike};

use crate::toml::reader::{Reader, Span, Spanned, key_span, span_of};

/// One list.
#[derive(Debug)]
pub(in crate::toml) struct Feed {
    pub(in crate::toml) name: Spanned<String>,
    pub(in crate::toml) url: Option<Spanned<String>>,
    pub(in crate::toml) file: Option<Spanned<String>>,
    pub(in crate::toml) ca_file: Option<Spanned<String>>,
    /// One of the two is there, but is no text, or its key may be misspelt.
    pub(in crate::toml) wrong_source: bool,
    pub(in crate::toml) every: Option<Spanned<String>>,
    pub(in crate::toml) time: Option<Spanned<String>>,
    pub(in crate::toml) most: Option<Spanned<i64>>,
    pub(in crate::toml) ports: Option<Spanned<String>>,
    pub(in crate::toml) reason: Option<Spanned<String>>,
    pub(in crate::toml) format: Option<Spanned<String>>,
}

const FEED: [&str; 9] = ["url", "file", "ca-file", "every", "time", "most", "ports", "reason", "format"];

/// All lists, and where the table is.
pub(super) fn read(item: &Item, reader: &mut Reader<'_>) -> (Vec<Feed>, Span) {
    let span = span_of(item);
    let Some(table) = reader.table(item, "`feeds`", "[feeds.NAME]") else { return (Vec::new(), span) };
    (table.iter().filter_map(|(name, item)| feed(table, name, item, reader)).collect(), span)
}

fn feed(feeds: &dyn TableLike, name: &str, item: &Item, reader: &mut Reader<'_>) -> Option<Feed> {
    let table = reader.table(item, &format!("the feed `{name}`"), &format!("[feeds.{name}]"))?;
    let known = reader.only(table, "a feed", &FEED);
    let wrong = |key: &str| table.get(key).is_some_and(|item| !item.is_str());
    Some(Feed {
        name: Spanned { value: name.to_owned(), span: key_span(feeds, name) },
        wrong_source: !known || wrong("url") || wrong("file"),
        url: reader.text(table, "url", "url = \"https://lists.example.net/drop.txt\""),
        file: reader.text(table, "file", "file = \"/etc/ringfence/drop.txt\""),
        ca_file: reader.text(table, "ca-file", "ca-file = \"/etc/ringfence/lists-ca.pem\""),
        every: reader.text(table, "every", "every = \"6h\""),
        time: reader.text(table, "time", "time = \"24h\""),
        most: reader.number(table, "most", "most = 100000"),
        ports: reader.text(table, "ports", "ports = \"sip\""),
        reason: reader.text(table, "reason", "reason = \"drop list\""),
        format: reader.text(table, "format", "format = \"plain\""),
    })
}
