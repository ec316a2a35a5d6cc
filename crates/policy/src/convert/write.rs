//! The TOML text.

use std::fmt::Write as _;
use std::net::IpAddr;

use super::draft::{Action, Draft, Icmp, Ports, Service, Signature};
use crate::ruleset::Network;

pub(super) fn toml(draft: &Draft<'_>, name: &str) -> String {
    let mut out = String::new();
    line(&mut out, &format!("# The rules of `{}` as a Ringfence policy.", one_line(name)));
    for difference in &draft.differences {
        line(&mut out, &format!("# differs: {}", one_line(&difference.to_string())));
        for comment in &difference.comments {
            line(&mut out, &format!("#          its comment: {}", one_line(comment)));
        }
    }
    line(&mut out, "");
    head(draft, &mut out);
    services(draft, &mut out);
    networks("trust", &draft.trust, &draft.trust_comments, &mut out);
    networks("block", &draft.block, &draft.block_comments, &mut out);
    line(
        &mut out,
        "\n# The rules ban nobody. To have attackers banned, take this out (docs/detectors.md).\n[detect]\nenforce = false",
    );
    signatures(draft, &mut out);
    if !draft.closing.is_empty() {
        line(&mut out, "");
        comments(&draft.closing, &mut out);
    }
    out
}

fn head(draft: &Draft<'_>, out: &mut String) {
    comments(&draft.loose, out);
    let icmp = match draft.icmp.value {
        Some(Icmp::Accept) => "accept",
        Some(Icmp::Essential) => "essential",
        None => "default",
    };
    comments(&draft.icmp.comments, out);
    line(out, &format!("icmp = {}", quoted(icmp)));
    comments(&draft.default.comments, out);
    if let Some(action) = draft.default.value {
        line(out, &format!("default = {}", quoted(action.name())));
    }
    let refuse =
        [draft.default.value, draft.forward.value].into_iter().flatten().find_map(|action| match action {
            Action::Refuse(with) => Some(with),
            Action::Accept | Action::Drop => None,
        });
    if let Some(with) = refuse {
        line(out, &format!("refuse-with = {}", quoted(with.name())));
    }
    comments(&draft.forward.comments, out);
    if let Some(action) = draft.forward.value {
        line(out, &format!("forward = {}", quoted(action.name())));
    }
    if draft.signatures.is_empty() {
        line(out, "signatures = []");
    }
}

fn services(draft: &Draft<'_>, out: &mut String) {
    line(out, "\n[services]");
    for service in &draft.services {
        comments(&service.comments, out);
        line(out, &format!("{} = {{ {} }}", service.name, entry(service)));
    }
}

fn entry(service: &Service) -> String {
    let mut parts = Vec::new();
    for (key, list) in [("tcp", &service.tcp), ("udp", &service.udp)] {
        if !list.is_empty() {
            parts.push(format!("{key} = [{}]", list.iter().map(ports).collect::<Vec<_>>().join(", ")));
        }
    }
    if !service.from.is_empty() {
        parts.push(format!("from = [{}]", network_list(&service.from)));
    }
    if !service.interfaces.is_empty() {
        let names: Vec<String> = service.interfaces.iter().map(|name| quoted(name)).collect();
        parts.push(format!("interface = [{}]", names.join(", ")));
    }
    if service.inspect {
        parts.push("inspect = true".to_owned());
    }
    parts.join(", ")
}

fn ports((low, high): &Ports) -> String {
    // Zero is a port in ranges only: alone it is nearly always a mistake.
    if low == high && *low != 0 { low.to_string() } else { quoted(&format!("{low}-{high}")) }
}

fn networks(table: &str, networks: &[Network], above: &[String], out: &mut String) {
    if networks.is_empty() {
        return;
    }
    line(out, &format!("\n[{table}]"));
    comments(above, out);
    line(out, &format!("networks = [{}]", network_list(networks)));
}

fn network_list(networks: &[Network]) -> String {
    let shown = networks.iter().map(|network| {
        let full = if matches!(network.address, IpAddr::V4(_)) { 32 } else { 128 };
        match network.prefix() {
            Some(prefix) if prefix != full => quoted(&format!("{}/{prefix}", network.address)),
            Some(_) | None => quoted(&network.address.to_string()),
        }
    });
    shown.collect::<Vec<_>>().join(", ")
}

fn signatures(draft: &Draft<'_>, out: &mut String) {
    if draft.signatures.is_empty() {
        if !draft.log_comments.is_empty() {
            line(out, "");
            comments(&draft.log_comments, out);
        }
        return;
    }
    let shared =
        draft.signatures.iter().find_map(|signature| signature.log_prefix.as_deref()).unwrap_or_default();
    line(out, "\n[log]");
    comments(&draft.log_comments, out);
    line(out, &format!("signatures = {}", quoted(shared)));
    for signature in &draft.signatures {
        line(out, "");
        comments(&signature.comments, out);
        one_signature(signature, shared, out);
    }
}

fn one_signature(signature: &Signature, shared: &str, out: &mut String) {
    line(out, "[[signatures]]");
    line(out, &format!("name = {}", quoted(&signature.name)));
    let printable =
        std::str::from_utf8(&signature.text.pattern).ok().filter(|text| !text.chars().any(char::is_control));
    match printable {
        Some(text) => line(out, &format!("text = {}", quoted(text))),
        None => {
            let mut hex = String::new();
            for byte in &signature.text.pattern {
                let _ = write!(hex, "{byte:02x}");
            }
            line(out, &format!("hex = {}", quoted(&hex)));
        }
    }
    if signature.text.icase {
        line(out, "ignore-case = true");
    }
    let prefix = signature.log_prefix.as_deref().unwrap_or_default();
    if prefix != shared {
        line(out, &format!("log-prefix = {}", quoted(prefix)));
    }
}

fn comments(comments: &[String], out: &mut String) {
    for comment in comments {
        line(out, &format!("# {}", one_line(comment)));
    }
}

/// A comment ends with its line, and TOML allows no control characters in it.
fn one_line(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect()
}

fn line(out: &mut String, text: &str) {
    out.push_str(text);
    out.push('\n');
}

/// A basic string (TOML 1.0).
fn quoted(text: &str) -> String {
    let mut out = String::from("\"");
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            c if c.is_control() => {
                let _ = write!(out, "\\u{:04X}", u32::from(c));
            }
            c => out.push(c),
        }
    }
    out.push('"');
    out
}
