//! `[managers.NAME]` and `[hep]`, checked.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::{check_name, word};
use crate::ruleset::Network;
use crate::sensor::{Hep, Manager, Secret, Server, Tls};
use crate::toml::defaults;
use crate::toml::file;
use crate::toml::reader::{List, Reader, Span, Spanned};
use crate::toml::values::{self, BadValue, bad};

/// Managers of one policy, and places to listen at.
const MOST: usize = 16;
/// Bytes of a name, a secret or a password.
const LONGEST: usize = 256;

pub(super) fn managers(written: Option<(Vec<file::Manager>, Span)>, reader: &mut Reader<'_>) -> Vec<Manager> {
    let Some((written, span)) = written else { return Vec::new() };
    if written.len() > MOST {
        let message = format!("{} managers; there is room for {MOST}", written.len());
        reader.error(&span, message, "one Ringfence guards one host; its PBX has one manager");
    }
    let mut all: Vec<Manager> = Vec::new();
    for one in &written {
        let Some(manager) = manager(one, reader) else { continue };
        if let Some(same) = all.iter().find(|other| other.address == manager.address) {
            let message = format!("the manager `{}` has this address already", same.name);
            let place = one.address.as_ref().map_or(&one.name.span, |address| &address.span);
            reader.error(place, message, "each event would be heard twice; take one of the two out");
        }
        all.push(manager);
    }
    all
}

fn manager(written: &file::Manager, reader: &mut Reader<'_>) -> Option<Manager> {
    let kinds = Server::ALL.map(|server| (server.as_str(), server));
    check_name(&written.name, "a manager", reader);
    let name = &written.name;
    if written.kind.is_none() && !written.wrong {
        let message = format!("of what kind the manager `{}` is, is not said", name.value);
        reader.error(&name.span, message, "write `kind = \"asterisk\"` or `kind = \"freeswitch\"`");
    }
    let kind = word(written.kind.as_ref(), "kind", &kinds, reader).map(|(kind, _)| kind);
    let port = kind.unwrap_or(Server::Asterisk).port();
    let address = match &written.address {
        Some(text) => reader.value(&text.span, values::socket(&text.value, port)).map(|value| value.value),
        None => Some(SocketAddr::new(IpAddr::V4(Ipv4Addr::LOCALHOST), port)),
    };
    let user = written.user.as_ref().and_then(|user| reader.value(&user.span, word_to_send(&user.value)));
    if kind == Some(Server::Asterisk) && written.user.is_none() && !written.wrong {
        let help =
            "write `user = \"ringfence\"`, which is the name of a section of manager.conf (docs/managers.md)";
        reader.error(&name.span, format!("the manager `{}` has no user", name.value), help);
    }
    let secret = secret(written.secret.as_ref(), written.secret_file.as_ref(), "secret", reader);
    if secret.is_none() && written.secret.is_none() && written.secret_file.is_none() && !written.wrong {
        let help = "write `secret-file = \"/etc/ringfence/manager.secret\"`, a file that only root can read";
        reader.error(&name.span, format!("the manager `{}` has no secret", name.value), help);
    }
    let tls = tls(written, reader);
    let (kind, address) = (kind?, address?);
    if tls.is_none() && !address.ip().is_loopback() {
        let place = written.address.as_ref().map_or(&name.span, |address| &address.span);
        let help = "with `tls = true` the server has to show who it is";
        reader.warn(place, "whoever is on the way can say anything in the manager's name", help);
    }
    let user = user.map(|user| user.value).unwrap_or_default();
    Some(Manager { name: name.value.clone(), kind, address, user, secret: secret?, tls })
}

fn tls(written: &file::Manager, reader: &mut Reader<'_>) -> Option<Tls> {
    let is_tls = written.tls.as_ref().is_some_and(|tls| tls.value);
    for (key, text) in [("ca-file", &written.ca_file), ("tls-name", &written.tls_name)] {
        if let (false, Some(text)) = (is_tls, text) {
            reader.error(&text.span, format!("`{key}` without TLS"), "add `tls = true`, or take it out");
        }
    }
    let ca_file =
        written.ca_file.as_ref().and_then(|path| reader.value(&path.span, values::path(&path.value)));
    let name = written.tls_name.as_ref().and_then(|name| reader.value(&name.span, host_name(&name.value)));
    is_tls.then(|| Tls { ca_file: ca_file.map(|path| path.value), name: name.map(|name| name.value) })
}

/// A text, or the file that has it.
fn secret(
    text: Option<&Spanned<String>>,
    path: Option<&Spanned<String>>,
    key: &str,
    reader: &mut Reader<'_>,
) -> Option<Secret> {
    match (text, path) {
        (Some(_), Some(path)) => {
            reader.error(&path.span, format!("`{key}` and `{key}-file` in one"), "take one of the two out");
            None
        }
        (Some(text), None) => {
            let text = reader.value(&text.span, word_to_send(&text.value))?;
            Some(Secret::Text(text.value))
        }
        (None, Some(path)) => {
            let path = reader.value(&path.span, values::path(&path.value))?;
            Some(Secret::File(path.value))
        }
        (None, None) => None,
    }
}

/// What goes into a line of a protocol.
fn word_to_send(text: &str) -> Result<String, BadValue> {
    if text.is_empty() || text.len() > LONGEST || text.contains(char::is_control) {
        let help = format!("it is a text in one line, of at most {LONGEST} bytes");
        return bad("this is no name or secret that can be sent", help);
    }
    Ok(text.to_owned())
}

fn host_name(text: &str) -> Result<String, BadValue> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.');
    if text.is_empty() || text.len() > 253 || !text.chars().all(is_plain) {
        return bad(
            format!("`{text}` is no host name"),
            "write the name that is in the server's certificate",
        );
    }
    Ok(text.to_owned())
}

pub(super) fn hep(written: &file::Hep, reader: &mut Reader<'_>) -> Option<Hep> {
    if written.listen.is_none() && written.export_to.is_none() && !written.wrong {
        let help = "write `listen = [\"127.0.0.1:9060\"]` to receive copies, or `export-to` to send some";
        reader.error(&written.span, "`hep` neither receives nor sends", help);
    }
    if let Some(list) = &written.listen
        && list.items.len() > MOST
    {
        let message = format!("{} places to listen at; there is room for {MOST}", list.items.len());
        reader.error(&list.span, message, "listen at `\"0.0.0.0:9060\"`, and name the `senders`");
    }
    let places = written.listen.as_ref().map(|list| list.items.as_slice()).unwrap_or_default();
    let has = |name: &str, default: bool| match &written.transports {
        Some(list) => list.items.iter().any(|one| one.value == name),
        None => default,
    };
    if let Some(List { empty: true, span, .. }) = &written.transports {
        reader.error(span, "no transport", "write `transports = [\"udp\"]`, or leave it out");
    }
    let secret = secret(written.password.as_ref(), written.password_file.as_ref(), "password", reader);
    let has_password = written.password.is_some() || written.password_file.is_some();
    let senders = senders(written, places, has_password, reader);
    let export_to = written.export_to.as_ref().and_then(|text| export_to(text, places, reader));
    let capture_id = written.capture_id.as_ref().and_then(|id| reader.value(&id.span, capture_id(id.value)));
    Some(Hep {
        listen: places.iter().map(|place| place.value).collect(),
        udp: has("udp", true),
        tcp: has("tcp", false),
        senders,
        password: secret,
        export_to,
        capture_id: capture_id.map_or(defaults::CAPTURE_ID, |id| id.value),
    })
}

/// Whoever may send copies may testify against anybody, so they are named.
fn senders(
    written: &file::Hep,
    places: &[Spanned<SocketAddr>],
    has_password: bool,
    reader: &mut Reader<'_>,
) -> Vec<Network> {
    let open = places.iter().find(|place| !place.value.ip().is_loopback());
    match (&written.senders, open) {
        (Some(list), _) if list.empty => {
            reader.error(&list.span, "nobody may send", "name who does: `senders = [\"192.0.2.5\"]`");
            Vec::new()
        }
        (Some(list), open) => {
            if let (Some(open), false) = (open, has_password) {
                let help = "set a password (`password-file`), here and at the sender";
                reader.warn(
                    &open.span,
                    "whoever can send under a sender's address can say anything of anybody",
                    help,
                );
            }
            list.items.iter().map(|network| network.value).collect()
        }
        (None, Some(open)) => {
            let help =
                "name who sends: `senders = [\"192.0.2.5\"]`; whoever may send can say anything of anybody";
            reader.error(&open.span, "it is not said whose copies are believed", help);
            Vec::new()
        }
        (None, None) => Network::LOOPBACK.to_vec(),
    }
}

fn export_to(
    text: &Spanned<String>,
    places: &[Spanned<SocketAddr>],
    reader: &mut Reader<'_>,
) -> Option<SocketAddr> {
    let to = reader.value(&text.span, values::socket(&text.value, hep::PORT))?.value;
    let is_here = |place: &Spanned<SocketAddr>| {
        place.value.port() == to.port() && (place.value.ip() == to.ip() || place.value.ip().is_unspecified())
    };
    if to.ip().is_loopback() && places.iter().any(is_here) || places.iter().any(|place| place.value == to) {
        reader.error(&text.span, "this is where copies are received", "name the receiver, such as Homer");
    }
    Some(to)
}

fn capture_id(number: i64) -> Result<u32, BadValue> {
    match u32::try_from(number) {
        Ok(id) => Ok(id),
        Err(_) => bad(format!("`capture-id` cannot be {number}"), format!("it is at most {}", u32::MAX)),
    }
}
