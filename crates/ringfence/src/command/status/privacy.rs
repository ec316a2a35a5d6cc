//! Who talks in the clear, for people.

use std::fmt::Write as _;

use serde_json::Value;

use super::{array, number_of, text_of, texts};

/// Peers that are named.
const NAMED: usize = 5;

/// The lines of `status`; none while nothing was accepted yet.
pub(super) fn privacy(text: &mut String, status: &Value) {
    let Some(privacy) = status.get("privacy") else { return };
    let total = summary(privacy);
    if let Some(total) = &total {
        let _ = writeln!(text, "in clear    {total}");
    }
    let in_clear = |peer: &&Value| peer.get("in_clear").is_some_and(|tally| !counts(tally).is_empty());
    for peer in array(privacy.get("peers")).filter(in_clear).take(NAMED) {
        let seen = peer.get("in_clear").map(counts).unwrap_or_default();
        let could = could(peer).map(|could| format!("; {could}")).unwrap_or_default();
        let _ = writeln!(text, "            {}: {seen}{could}", text_of(peer, "peer"));
    }
    for visited in array(privacy.get("visitors")) {
        let peers: Vec<&str> = texts(visited.get("peers")).take(NAMED).collect();
        let connections = number_of(visited, "connections");
        let _ = writeln!(
            text,
            "            ! port {} ({}): {connections} connection{} without encryption, from {}",
            number_of(visited, "port"),
            text_of(visited, "service"),
            if connections == 1 { "" } else { "s" },
            peers.join(", ")
        );
    }
}

/// In one line, for `status` and `top`; `None` while nothing was accepted yet.
pub(in crate::command) fn summary(privacy: &Value) -> Option<String> {
    let [in_clear, encrypted] =
        ["in_clear", "encrypted"].map(|key| privacy.get(key).map(counts).unwrap_or_default());
    match (in_clear.is_empty(), encrypted.is_empty()) {
        (true, true) => None,
        (true, false) => Some(format!("nothing; encrypted: {encrypted}")),
        (false, _) => {
            let peers = number_of(privacy, "peers_in_clear");
            let encrypted = if encrypted.is_empty() { "nothing" } else { &encrypted };
            let plural = if peers == 1 { "peer" } else { "peers" };
            Some(format!("{in_clear}, of {peers} {plural}; encrypted: {encrypted}"))
        }
    }
}

/// What a peer could do, as far as it has shown it.
fn could(peer: &Value) -> Option<&'static str> {
    let has = |key: &str| peer.get(key) == Some(&Value::Bool(true));
    match (has("offers_srtp"), has("speaks_tls")) {
        _ if !has("could_do_better") => None,
        (true, true) => Some("it speaks TLS and offers SRTP, too"),
        (true, false) => Some("it offers SRTP"),
        (false, _) => Some("it speaks TLS, too"),
    }
}

/// What there is of a tally.
fn counts(tally: &Value) -> String {
    let kinds = [
        ("registrations", "registration"),
        ("calls", "call"),
        ("streams", "media stream"),
        ("logins", "login"),
        ("accepted", "authentication"),
    ];
    let some = kinds.into_iter().filter_map(|(key, name)| match number_of(tally, key) {
        0 => None,
        1 => Some(format!("1 {name}")),
        count => Some(format!("{count} {name}s")),
    });
    some.collect::<Vec<_>>().join(", ")
}
