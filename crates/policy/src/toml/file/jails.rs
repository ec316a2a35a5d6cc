//! `[jails.NAME]`.

use toml_edit::{Item, TableLike};

use crate::toml::reader::{List, Reader, Span, Spanned, key_span, span_of};
use crate::toml::values::bad;

/// One jail.
#[derive(Debug)]
pub(in crate::toml) struct Jail {
    pub(in crate::toml) name: Spanned<String>,
    pub(in crate::toml) filter: Option<Spanned<String>>,
    pub(in crate::toml) files: Option<List<String>>,
    pub(in crate::toml) journal: Option<Spanned<bool>>,
    /// A key is misspelt or of another type, which is told already.
    pub(in crate::toml) is_wrong: bool,
    pub(in crate::toml) max_failures: Option<Spanned<i64>>,
    pub(in crate::toml) within: Option<Spanned<String>>,
    pub(in crate::toml) ban: Option<Spanned<String>>,
    pub(in crate::toml) ports: Option<Spanned<String>>,
    pub(in crate::toml) sip: Option<Spanned<bool>>,
}

const JAIL: [&str; 8] = ["filter", "files", "journal", "max-failures", "within", "ban", "ports", "sip"];

/// All jails, and where the table is.
pub(super) fn read(item: &Item, reader: &mut Reader<'_>) -> (Vec<Jail>, Span) {
    let span = span_of(item);
    let Some(table) = reader.table(item, "`jails`", "[jails.NAME]") else { return (Vec::new(), span) };
    (table.iter().filter_map(|(name, item)| jail(table, name, item, reader)).collect(), span)
}

fn jail(jails: &dyn TableLike, name: &str, item: &Item, reader: &mut Reader<'_>) -> Option<Jail> {
    const FILES: &str = "files = [\"/var/log/auth.log\"]";
    let table = reader.table(item, &format!("the jail `{name}`"), &format!("[jails.{name}]"))?;
    let known = reader.only(table, "a jail", &JAIL);
    let is_there = |key: &str| table.get(key).is_some();
    let read = Jail {
        name: Spanned { value: name.to_owned(), span: key_span(jails, name) },
        filter: reader.text(table, "filter", "filter = \"sshd\""),
        files: reader.list(table, "files", FILES, |value| match value.as_str() {
            Some(text) => Ok(text.to_owned()),
            None => bad("a path is a text", format!("write `{FILES}`")),
        }),
        journal: reader.boolean(table, "journal"),
        is_wrong: !known,
        max_failures: reader.number(table, "max-failures", "max-failures = 5"),
        within: reader.text(table, "within", "within = \"10m\""),
        ban: reader.text(table, "ban", "ban = \"1h\""),
        ports: reader.text(table, "ports", "ports = \"all\""),
        sip: reader.boolean(table, "sip"),
    };
    let is_lost = is_there("filter") && read.filter.is_none()
        || is_there("files") && read.files.is_none()
        || is_there("journal") && read.journal.is_none();
    Some(Jail { is_wrong: read.is_wrong || is_lost, ..read })
}
