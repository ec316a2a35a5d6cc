//! `[managers.NAME]` and `[hep]`.

use std::net::SocketAddr;

use toml_edit::{Item, TableLike};

use crate::ruleset::Network;
use crate::toml::reader::{List, Reader, Span, Spanned, key_span, span_of};
use crate::toml::values;

/// One PBX.
#[derive(Debug)]
pub(in crate::toml) struct Manager {
    pub(in crate::toml) name: Spanned<String>,
    pub(in crate::toml) kind: Option<Spanned<String>>,
    pub(in crate::toml) address: Option<Spanned<String>>,
    pub(in crate::toml) user: Option<Spanned<String>>,
    pub(in crate::toml) secret: Option<Spanned<String>>,
    pub(in crate::toml) secret_file: Option<Spanned<String>>,
    pub(in crate::toml) tls: Option<Spanned<bool>>,
    pub(in crate::toml) ca_file: Option<Spanned<String>>,
    pub(in crate::toml) tls_name: Option<Spanned<String>>,
    /// Some key is there, but is no text, or may be misspelt.
    pub(in crate::toml) wrong: bool,
}

const MANAGER: [&str; 8] = ["kind", "address", "user", "secret", "secret-file", "tls", "ca-file", "tls-name"];

/// `[hep]`.
#[derive(Debug)]
pub(in crate::toml) struct Hep {
    /// The whole.
    pub(in crate::toml) span: Span,
    pub(in crate::toml) listen: Option<List<SocketAddr>>,
    pub(in crate::toml) transports: Option<List<String>>,
    pub(in crate::toml) senders: Option<List<Network>>,
    pub(in crate::toml) password: Option<Spanned<String>>,
    pub(in crate::toml) password_file: Option<Spanned<String>>,
    pub(in crate::toml) export_to: Option<Spanned<String>>,
    pub(in crate::toml) capture_id: Option<Spanned<i64>>,
    /// Some key is there, but is of the wrong type, or may be misspelt.
    pub(in crate::toml) wrong: bool,
}

const HEP: [&str; 7] =
    ["listen", "transports", "senders", "password", "password-file", "export-to", "capture-id"];

/// All managers, and where the table is.
pub(super) fn managers(item: &Item, reader: &mut Reader<'_>) -> (Vec<Manager>, Span) {
    let span = span_of(item);
    let Some(table) = reader.table(item, "`managers`", "[managers.NAME]") else { return (Vec::new(), span) };
    (table.iter().filter_map(|(name, item)| manager(table, name, item, reader)).collect(), span)
}

fn manager(managers: &dyn TableLike, name: &str, item: &Item, reader: &mut Reader<'_>) -> Option<Manager> {
    let table = reader.table(item, &format!("the manager `{name}`"), &format!("[managers.{name}]"))?;
    let known = reader.only(table, "a manager", &MANAGER);
    let texts = MANAGER.iter().filter(|key| **key != "tls");
    let wrong = texts.into_iter().any(|key| table.get(key).is_some_and(|item| !item.is_str()));
    Some(Manager {
        name: Spanned { value: name.to_owned(), span: key_span(managers, name) },
        wrong: !known || wrong,
        kind: reader.text(table, "kind", "kind = \"asterisk\""),
        address: reader.text(table, "address", "address = \"127.0.0.1:5038\""),
        user: reader.text(table, "user", "user = \"ringfence\""),
        secret: reader.text(table, "secret", "secret = \"…\""),
        secret_file: reader.text(table, "secret-file", "secret-file = \"/etc/ringfence/manager.secret\""),
        tls: reader.boolean(table, "tls"),
        ca_file: reader.text(table, "ca-file", "ca-file = \"/etc/asterisk/keys/ca.crt\""),
        tls_name: reader.text(table, "tls-name", "tls-name = \"pbx.example.net\""),
    })
}

/// `[hep]`.
pub(super) fn hep(item: &Item, reader: &mut Reader<'_>) -> Option<Hep> {
    let table = reader.table(item, "`hep`", "[hep]")?;
    let known = reader.only(table, "`hep`", &HEP);
    let listen = reader.list(table, "listen", "listen = [\"127.0.0.1:9060\"]", |value| {
        values::socket(value.as_str().unwrap_or_default(), hep::PORT)
    });
    let transports = reader.list(table, "transports", "transports = [\"udp\", \"tcp\"]", |value| {
        let text = value.as_str().unwrap_or_default();
        match text {
            "udp" | "tcp" => Ok(text.to_owned()),
            _ => values::bad(format!("`{text}` is no transport"), "HEP comes over `udp` or `tcp`"),
        }
    });
    let export_to = reader.text(table, "export-to", "export-to = \"192.0.2.9:9060\"");
    let wrong = |read: bool, key: &str| !read && table.contains_key(key);
    Some(Hep {
        span: span_of(item),
        wrong: !known || wrong(listen.is_some(), "listen") || wrong(export_to.is_some(), "export-to"),
        listen,
        transports,
        senders: reader.list(table, "senders", "senders = [\"192.0.2.5\"]", values::network),
        password: reader.text(table, "password", "password = \"…\""),
        password_file: reader.text(table, "password-file", "password-file = \"/etc/ringfence/hep.secret\""),
        export_to,
        capture_id: reader.number(table, "capture-id", "capture-id = 2001"),
    })
}
