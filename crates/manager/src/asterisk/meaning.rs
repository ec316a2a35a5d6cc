//! What an event says.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::shape::{self, Shape};
use crate::address;
use crate::event::{Event, Kind, Service};
use crate::message::{Message, harmless};

/// Each of `res_security_log`'s kinds.
const SECURITY: [(&str, Kind); 15] = [
    ("AuthMethodNotAllowed", Kind::MethodRefused),
    ("ChallengeResponseFailed", Kind::RefusedCredentials),
    ("ChallengeSent", Kind::Challenged),
    ("FailedACL", Kind::RefusedByAcl),
    ("InvalidAccountID", Kind::UnknownAccount),
    ("InvalidPassword", Kind::RefusedCredentials),
    ("InvalidTransport", Kind::WrongTransport),
    ("LoadAverageLimit", Kind::LoadLimit),
    ("MemoryLimit", Kind::MemoryLimit),
    ("RequestBadFormat", Kind::Malformed),
    ("RequestNotAllowed", Kind::NotAllowed),
    ("RequestNotSupported", Kind::NotSupported),
    ("SessionLimit", Kind::SessionLimit),
    ("SuccessfulAuth", Kind::Authenticated),
    ("UnexpectedAddress", Kind::UnexpectedAddress),
];
/// Where an event of some kind has what is worth telling. (`ExpectedResponse` is not: it is as good as the secret.)
const DETAILS: [&str; 5] = ["ACLName", "AttemptedTransport", "AuthMethod", "ExpectedAddress", "RequestType"];

/// `None` for what tells nothing about anybody.
pub(super) fn read(message: &Message) -> Option<Event> {
    if shape::is_security(message) {
        return security(message, shape::of(message)?);
    }
    match message.first("Event")? {
        "ContactStatus" => contact(message),
        "PeerStatus" => peer(message),
        _ => None,
    }
}

fn security(message: &Message, shape: Shape) -> Option<Event> {
    let name = message.first("Event")?;
    let (_, kind) = SECURITY.iter().find(|(known, _)| *known == name)?;
    let mut event = Event::new(*kind, Service::of(message.first("Service")?));
    event.is_doubtful = shape.is_doubtful;
    event.time = message.first("EventTV").and_then(time);
    event.account = message.first("AccountID").and_then(account);
    let Some(at) = shape.places else { return Some(event) };
    let value = |key: &str| message.from(at, key).filter(|value| !value.is_empty()).map(harmless);
    event.session = value("SessionID");
    if let Some((remote, transport)) = message.from(at, "RemoteAddress").and_then(address::read) {
        (event.remote, event.transport) = (Some(remote), transport);
    }
    event.local = message.from(at, "LocalAddress").and_then(address::read).map(|(local, _)| local);
    event.nonce = value("Challenge");
    event.response = value("Response");
    event.using_password = message.from(at, "UsingPassword").map(|value| value == "1");
    event.detail = DETAILS.iter().find_map(|key| value(key));
    Some(event)
}

/// A registration of PJSIP.
fn contact(message: &Message) -> Option<Event> {
    let kind = match message.first("ContactStatus")? {
        // Asterisk says `NonQualified` of a contact that is new; older ones say `Created`.
        "Created" | "NonQualified" | "Updated" => Kind::Registered,
        "Reachable" => Kind::ContactReachable,
        "Removed" => Kind::Unregistered,
        "Unreachable" => Kind::ContactUnreachable,
        _ => return None,
    };
    let mut event = Event::new(kind, Service::Pjsip);
    event.account = message.first("AOR").and_then(account);
    event.contact = message.first("URI").map(harmless);
    Some(event)
}

/// A registration of chan_sip or chan_iax2. PJSIP's are told by `ContactStatus`.
fn peer(message: &Message) -> Option<Event> {
    let service = Service::of(message.first("ChannelType")?);
    let kind = match message.first("PeerStatus")? {
        _ if service == Service::Pjsip => return None,
        "Lagged" | "Reachable" => Kind::ContactReachable,
        "Registered" => Kind::Registered,
        "Unreachable" => Kind::ContactUnreachable,
        "Unregistered" => Kind::Unregistered,
        _ => return None,
    };
    let mut event = Event::new(kind, service);
    let peer = message.first("Peer")?;
    event.account = account(peer.split_once('/').map_or(peer, |(_, name)| name));
    event.remote = message.first("Address").and_then(|text| socket(text, message.first("Port")));
    Some(event)
}

/// `<unknown>` is what Asterisk calls somebody whom it does not know.
fn account(text: &str) -> Option<String> {
    (!text.is_empty() && text != "<unknown>").then(|| harmless(text))
}

/// `203.0.113.9:5060`, or an address with a port beside it.
fn socket(text: &str, port: Option<&str>) -> Option<SocketAddr> {
    if let Ok(socket) = text.parse() {
        return Some(socket);
    }
    let address: IpAddr = text.trim_matches(['[', ']']).parse().ok()?;
    Some(SocketAddr::new(address, port?.parse().ok()?))
}

/// `2026-11-28T14:59:27.286+0000`, since 1970.
fn time(text: &str) -> Option<Duration> {
    let (date, rest) = text.split_once('T')?;
    let mut date = date.splitn(3, '-').map(str::parse::<u64>);
    let (year, month, day) = (date.next()?.ok()?, date.next()?.ok()?, date.next()?.ok()?);
    let (clock, zone) = rest.split_at_checked(rest.find(['+', '-', 'Z'])?)?;
    let (clock, fraction) = clock.split_once('.').unwrap_or((clock, "0"));
    let mut clock = clock.splitn(3, ':').map(str::parse::<u64>);
    let (hour, minute, second) = (clock.next()?.ok()?, clock.next()?.ok()?, clock.next()?.ok()?);
    let is_time = (1970..=9999).contains(&year)
        && (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && hour < 24
        && minute < 60
        && second <= 60;
    if !is_time || fraction.len() > 9 {
        return None;
    }
    let nanos: u32 = format!("{fraction:0<9}").parse().ok()?;
    let seconds = days(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second;
    let offset: u64 = zone.get(1..).unwrap_or_default().replace(':', "").parse().unwrap_or(0);
    let offset = (offset / 100) * 3600 + (offset % 100) * 60;
    let seconds = if zone.starts_with('-') { seconds + offset } else { seconds.checked_sub(offset)? };
    Some(Duration::new(seconds, nanos))
}

/// Days from 1970-01-01. Years begin in March here, so that the odd day is their last.
fn days(year: u64, month: u64, day: u64) -> u64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    // 719,468 days lie between 0000-03-01 and 1970-01-01.
    (365 * year + year / 4 - year / 100 + year / 400 + (153 * month + 2) / 5 + day).saturating_sub(719_469)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_since_1970() {
        let seconds = |text| time(text).map(|time| (time.as_secs(), time.subsec_millis()));
        assert_eq!(seconds("1970-01-01T00:00:00.000+0000"), Some((0, 0)));
        assert_eq!(seconds("2026-11-28T14:59:27.286+0000"), Some((1_795_877_967, 286)));
        assert_eq!(seconds("2026-11-28T15:59:27.286+0100"), Some((1_795_877_967, 286)));
        assert_eq!(seconds("2024-02-29T23:59:59Z"), Some((1_709_251_199, 0)));
        assert_eq!(seconds("2026-11-28T09:59:27-0500"), Some((1_795_877_967, 0)));
        for wrong in ["", "2026-11-28", "2026-13-28T00:00:00Z", "2026-11-28T25:00:00Z", "x-1-1T1:1:1Z"] {
            assert_eq!(time(wrong), None, "{wrong}");
        }
    }
}
