//! Where an event ends, and which of its lines are Asterisk's own.
//!
//! Asterisk 22 writes what strangers say into its events as it came. An account `x%0D%0ARemoteAddress%3A…` in a From header
//! is two lines, and `%0D%0A%0D%0A` in it ends the event early, so that the rest looks like another one. But Asterisk writes
//! the lines of a security event in one order:
//!
//! ```text
//! Event, Privilege, (settings,) EventTV, Severity, Service, EventVersion, AccountID, SessionID, LocalAddress, RemoteAddress, …
//! ```
//!
//! Before `AccountID` nothing is a stranger's. So an event that began well is over only once it had the three lines `SessionID`,
//! `LocalAddress`, `RemoteAddress` one after the other; an empty line before that is part of a name. A name of PJSIP has room for
//! 39 bytes and cannot hold these three lines; should there be two such groups all the same, neither is believed.
//!
//! What comes over Asterisk's HTTP server (`webenabled`) has no such bound, and can hold whole events. They cannot be told from
//! Asterisk's own; docs/managers.md says how to keep them away.

use crate::lines::Line;
use crate::message::{MAX_LINES, Message};

/// How a security event goes on behind `Event` and `Privilege`.
const HEAD: [&str; 4] = ["EventTV", "Severity", "Service", "EventVersion"];
/// What may stand in between: `timestampevents` and `debug` of manager.conf, and `systemname` of asterisk.conf.
const ADDED: [&str; 6] = ["Timestamp", "SequenceNumber", "File", "Line", "Func", "SystemName"];
/// What it has behind the account.
const PLACES: [&str; 3] = ["SessionID", "LocalAddress", "RemoteAddress"];

/// What the lines make.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Part {
    Message(Message),
    /// What is none, such as the remains of one into which somebody wrote an end.
    Stray,
}

/// Lines, until they are a message.
#[derive(Debug, Default)]
pub(super) struct Framer {
    message: Message,
}

impl Framer {
    pub(super) fn push(&mut self, line: &Line) -> Option<Part> {
        if !line.bytes.is_empty() {
            self.message.push(line);
            return None;
        }
        if self.message.is_empty() {
            return None;
        }
        let is_open = head(&self.message).is_some()
            && places(&self.message).next().is_none()
            && !self.message.cut
            && self.message.lines().len() < MAX_LINES;
        if is_open {
            // The empty line counts, so that it is seen that there was one.
            self.message.push(line);
            return None;
        }
        let message = std::mem::take(&mut self.message);
        let is_known = message.key(0).is_some_and(|key| matches!(key, "Event" | "Response"));
        let is_whole = !is_security(&message) || head(&message).is_some();
        Some(if is_known && is_whole { Part::Message(message) } else { Part::Stray })
    }
}

/// Whether this is, or begins as, an event of the class `security`.
pub(super) fn is_security(message: &Message) -> bool {
    let class = message.first("Privilege").unwrap_or_default();
    message.key(0) == Some("Event")
        && message.key(1) == Some("Privilege")
        && class.split(',').next() == Some("security")
}

/// Where a security event's own lines are.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Shape {
    /// The line `SessionID`; `None` where there are two that may be it.
    pub(super) places: Option<usize>,
    /// There are lines that are not Asterisk's.
    pub(super) is_doubtful: bool,
}

/// `None`: this is no security event of Asterisk's.
pub(super) fn of(message: &Message) -> Option<Shape> {
    let head = head(message)?;
    let mut all = places(message);
    let (first, second) = (all.next()?, all.next());
    // Requests of bad form have their account at the end, as it is not known with every one.
    let has_account = message.key(head) == Some("AccountID");
    let expected = head + usize::from(has_account);
    let has_end = message.lines().iter().any(|(key, _)| key.is_empty());
    Some(Shape {
        places: if second.is_none() { Some(first) } else { None },
        is_doubtful: second.is_some() || first != expected || has_end || message.cut,
    })
}

/// The first line of which a part may be a stranger's.
fn head(message: &Message) -> Option<usize> {
    if !is_security(message) {
        return None;
    }
    let mut at = 2;
    while at < 2 + ADDED.len() && message.key(at).is_some_and(|key| ADDED.contains(&key)) {
        at += 1;
    }
    let is_head = HEAD.iter().enumerate().all(|(more, key)| message.key(at + more) == Some(*key));
    is_head.then_some(at + HEAD.len())
}

/// Each line that begins the group of three.
fn places(message: &Message) -> impl Iterator<Item = usize> + '_ {
    let is_place = |three: &[(String, String)]| three.iter().map(|(key, _)| key).eq(PLACES.iter());
    let threes = message.lines().windows(PLACES.len()).enumerate();
    threes.filter(move |(_, three)| is_place(three)).map(|(at, _)| at)
}
