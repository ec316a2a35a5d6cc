//! What an event of mod_sofia says.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::event::{Event, Kind, Service, Transport};
use crate::lines::{End, Lines};
use crate::message::{Message, harmless};

/// An event's lines, decoded. Its own body, if it has one, is not looked at.
pub(super) fn message(mut bytes: &[u8]) -> Message {
    let (mut lines, mut message) = (Lines::new(End::Lf), Message::default());
    while let Some(line) = lines.take(&mut bytes) {
        if line.bytes.is_empty() {
            break;
        }
        message.push(&line);
    }
    message
}

/// `None` for what tells nothing about anybody.
pub(super) fn read(message: &Message) -> Option<Event> {
    let value = |key: &str| message.first(key).map(decoded).filter(|text| !text.is_empty());
    let kind = match value("Event-Subclass")?.as_str() {
        "sofia::register" => Kind::Registered,
        // The refused ones are told by `register_failure`, and a stale nonce is nobody's fault.
        "sofia::register_attempt" => match value("auth-result")?.as_str() {
            "SUCCESS" | "RENEWED" => Kind::Authenticated,
            _ => return None,
        },
        "sofia::register_failure" => Kind::RefusedCredentials,
        "sofia::unregister" | "sofia::expire" => Kind::Unregistered,
        _ => return None,
    };
    let mut event = Event::new(kind, Service::Sofia);
    let account = ["username", "to-user", "from-user", "user"].iter().find_map(|key| value(key));
    event.account = account.as_deref().map(harmless);
    event.remote = value("network-ip").and_then(|ip| remote(&ip, value("network-port").as_deref()));
    event.transport = value("status").as_deref().and_then(transport);
    event.time =
        value("Event-Date-Timestamp").and_then(|micros| micros.parse().ok()).map(Duration::from_micros);
    event.session = value("call-id").as_deref().map(harmless);
    event.contact = value("contact").as_deref().map(harmless);
    event.detail = value("profile-name").as_deref().map(harmless);
    Some(event)
}

/// A failure of a call has no port; nothing is lost, as bans are for addresses.
fn remote(ip: &str, port: Option<&str>) -> Option<SocketAddr> {
    let ip: IpAddr = ip.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(ip.to_canonical(), port.and_then(|port| port.parse().ok()).unwrap_or(0)))
}

/// Of `Registered(UDP)`, `Registered(TCP-NAT)`, `Registered(TLS)`.
fn transport(status: &str) -> Option<Transport> {
    let name = status.split_once('(')?.1;
    Transport::of(name.split([')', '-']).next()?)
}

/// `%3A` is a colon. What is no code stays as it is.
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&first, behind)) = rest.split_first() {
        let code = match behind {
            [high, low, ..] if first == b'%' => hex(*high).zip(hex(*low)),
            _ => None,
        };
        match code {
            Some((high, low)) => {
                bytes.push(high << 4 | low);
                rest = behind.get(2..).unwrap_or_default();
            }
            None => {
                bytes.push(first);
                rest = behind;
            }
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn hex(digit: u8) -> Option<u8> {
    char::from(digit).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}
