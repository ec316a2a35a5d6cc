//! What the ledger keeps.

use std::fmt;
use std::str::FromStr;
use std::time::{SystemTime, UNIX_EPOCH};

use crate::net::Net;

/// Wall-clock time in microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Time(pub i64);

impl From<SystemTime> for Time {
    fn from(time: SystemTime) -> Self {
        let micros = |span: std::time::Duration| i64::try_from(span.as_micros()).unwrap_or(i64::MAX);
        match time.duration_since(UNIX_EPOCH) {
            Ok(since) => Self(micros(since)),
            Err(before) => Self(micros(before.duration()).saturating_neg()),
        }
    }
}

/// Who banned, in the order in which they rule: where several bans are on one source, the operator's counts before a
/// detector's, and a detector's before a feed's.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum By {
    Operator,
    Detector,
    /// A list from elsewhere, by its name.
    Feed(String),
}

/// [`By`] without the name.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Kind {
    Operator,
    Detector,
    Feed,
}

/// Why a text is no [`By`].
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("nobody bans by the name `{text}`; write `operator`, `detector`, or `feed:` and the feed's name")]
pub struct ByError {
    text: String,
}

impl By {
    pub fn kind(&self) -> Kind {
        match self {
            Self::Operator => Kind::Operator,
            Self::Detector => Kind::Detector,
            Self::Feed(_) => Kind::Feed,
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Operator => f.write_str("operator"),
            Self::Detector => f.write_str("detector"),
            Self::Feed(name) => write!(f, "feed:{name}"),
        }
    }
}

impl FromStr for By {
    type Err = ByError;

    fn from_str(text: &str) -> Result<Self, ByError> {
        match (text, text.strip_prefix("feed:")) {
            ("operator", _) => Ok(Self::Operator),
            ("detector", _) => Ok(Self::Detector),
            (_, Some(name)) if !name.is_empty() => Ok(Self::Feed(name.to_owned())),
            _ => Err(ByError { text: text.chars().take(80).collect() }),
        }
    }
}

/// What a ban closes, from the narrower to the wider.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Scope {
    /// The guarded SIP ports.
    SipPorts,
    AllPorts,
}

/// A ban. There is at most one in force for a source and a [`By`].
///
/// Texts are cut to [`crate::MAX_TEXT`] bytes when they are written, numbers to what SQLite can hold (63 bits).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Ban {
    pub source: Net,
    pub by: By,
    /// The detector's name, or one of a few words of the operator or feed: bans are counted by it.
    pub reason: String,
    /// For people.
    pub detail: String,
    pub since: Time,
    /// In force before this time; `None`: for ever.
    pub until: Option<Time>,
    /// When the source was first noticed, which may be before the ban.
    pub first_seen: Time,
    pub last_seen: Time,
    /// How many times in a row it was banned.
    pub level: u32,
    pub scope: Scope,
    /// Packets.
    pub dropped: u64,
    /// How many pieces of evidence led to it, also those that are no longer kept.
    pub evidence: u32,
}

impl Ban {
    /// Whether it holds at that time. A ban of the future holds too: clocks are set back.
    pub fn is_in_force(&self, now: Time) -> bool {
        self.until.is_none_or(|until| until > now)
    }
}

/// A ban in force, and what comes out of all bans in force on what was asked about.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct BanRow {
    pub ban: Ban,
    /// Whether this is the one that rules; exactly one does.
    pub rules: bool,
    /// When the last of them ends; `None`: never.
    pub until: Option<Time>,
    /// The widest of them.
    pub scope: Scope,
}

/// A ban that is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Past {
    pub ban: Ban,
    pub ended: Time,
    pub why: Ended,
}

/// Why a ban is over.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Ended {
    /// Its time was over.
    Expire,
    Unban {
        who: String,
        note: String,
    },
}

/// Something that a source did.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Evidence {
    pub source: Net,
    pub time: Time,
    pub detector: String,
    pub detail: String,
    /// The line of SIP that gave it away, where there is one.
    pub line: Option<String>,
}

/// Who is never banned.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trust {
    /// An address, a network or a DNS name. Spaces around it go, and capital letters become small ones.
    pub what: String,
    pub note: String,
    pub since: Time,
}

/// How far a log was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Position {
    /// Which log, and who reads it.
    pub log: String,
    /// Where in it, in words of the reader.
    pub place: String,
    pub at: Time,
}

/// Which bans; the default is all of them.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Which {
    /// On this network or address, or on one that is in it.
    pub within: Option<Net>,
    pub family: Option<Family>,
    pub kind: Option<Kind>,
    /// Of the feed of this name.
    pub feed: Option<String>,
    pub reason: Option<String>,
}

/// Of addresses.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Family {
    V4,
    V6,
}

/// Lifts bans: those that are on a network or in it, never a wider one that covers it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Unban {
    pub which: Which,
    /// Who lifts them, for the record.
    pub who: String,
    pub note: String,
    pub at: Time,
}

/// What [`crate::Ledger::apply`] does, in order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Change {
    /// A new ban; or more of one that is in force at `since`, by the same on the same source. That keeps its `since` and
    /// `first_seen`, gets the new reason and detail, the later `until` and `last_seen`, the higher level, the wider scope,
    /// and the sums of packets and evidence. To shorten a ban, lift it first.
    Ban(Ban),
    /// More packets, for the ban that rules among those on exactly this source and in force at that time; without one,
    /// nothing happens.
    Dropped {
        source: Net,
        packets: u64,
        at: Time,
    },
    Evidence(Evidence),
    /// Nobody but the operator is to ban this before then; new, or in place of what was said before. Those that end first go
    /// beyond [`crate::MAX_GRACES`].
    Grace {
        source: Net,
        until: Time,
    },
    /// That is over.
    EndGrace {
        source: Net,
    },
    /// Moves at most [`crate::EXPIRE_BATCH`] bans that are over into history.
    Expire {
        now: Time,
    },
    /// New, or in place of the one for the same `log`. Those that were noted longest ago go beyond [`crate::MAX_POSITIONS`].
    Position(Position),
    /// New, or in place of the one for the same `what`.
    Trust(Trust),
    Unban(Unban),
    Untrust {
        what: String,
    },
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_banned_has_a_text() {
        for by in [By::Operator, By::Detector, By::Feed("drop".to_owned()), By::Feed("a:b".to_owned())] {
            assert_eq!(by.to_string().parse(), Ok(by));
        }
        for text in ["", "feed", "feed:", "Operator"] {
            assert_eq!(text.parse::<By>(), Err(ByError { text: text.to_owned() }));
        }
    }

    #[test]
    fn time_reaches_both_sides_of_the_epoch() {
        let second = std::time::Duration::from_secs(1);
        assert_eq!(Time::from(UNIX_EPOCH + second), Time(1_000_000));
        assert_eq!(Time::from(UNIX_EPOCH - second), Time(-1_000_000));
    }
}
