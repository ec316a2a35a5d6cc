//! Between records and rows.

use rusqlite::types::Type;
use rusqlite::{Params, Row};

use crate::net::Net;
use crate::record::{Ban, By, Ended, Evidence, Kind, Past, Scope, Time, Trust};

/// The longest text that is kept, in bytes. What is longer is cut, at a character.
pub const MAX_TEXT: usize = 2048;

/// The columns of a ban, in the order of [`ban`] and [`ban_values`].
pub(crate) const BAN: &str = "family, address, prefix, kind, feed, reason, detail, since, until, first_seen, last_seen, \
     level, scope, dropped, evidence";

/// In the order of [`BAN`].
pub(crate) fn ban_values(ban: &Ban) -> impl Params + '_ {
    (
        ban.source.family(),
        ban.source.number(),
        ban.source.prefix(),
        kind_number(ban.by.kind()),
        feed(&ban.by),
        clip(&ban.reason),
        clip(&ban.detail),
        ban.since.0,
        ban.until.map(|time| time.0),
        ban.first_seen.0,
        ban.last_seen.0,
        ban.level,
        scope_number(ban.scope),
        signed(ban.dropped),
        ban.evidence,
    )
}

/// From the columns [`BAN`].
pub(crate) fn ban(row: &Row<'_>) -> rusqlite::Result<Ban> {
    let scope = match row.get(12)? {
        0 => Scope::SipPorts,
        1 => Scope::AllPorts,
        other => return Err(foreign(12, other)),
    };
    Ok(Ban {
        source: net(row)?,
        by: by(row, 3)?,
        reason: row.get(5)?,
        detail: row.get(6)?,
        since: Time(row.get(7)?),
        until: row.get::<_, Option<i64>>(8)?.map(Time),
        first_seen: Time(row.get(9)?),
        last_seen: Time(row.get(10)?),
        level: row.get(11)?,
        scope,
        dropped: row.get::<_, i64>(13)?.cast_unsigned(),
        evidence: row.get(14)?,
    })
}

/// From the columns [`BAN`], then `ended, who, note`.
pub(crate) fn past(row: &Row<'_>) -> rusqlite::Result<Past> {
    let why = match row.get(16)? {
        Some(who) => Ended::Unban { who, note: row.get::<_, Option<String>>(17)?.unwrap_or_default() },
        None => Ended::Expire,
    };
    Ok(Past { ban: ban(row)?, ended: Time(row.get(15)?), why })
}

/// From the columns `family, address, prefix, time, detector, detail, line`.
pub(crate) fn evidence(row: &Row<'_>) -> rusqlite::Result<Evidence> {
    Ok(Evidence {
        source: net(row)?,
        time: Time(row.get(3)?),
        detector: row.get(4)?,
        detail: row.get(5)?,
        line: row.get(6)?,
    })
}

/// From the columns `what, note, since`.
pub(crate) fn trust(row: &Row<'_>) -> rusqlite::Result<Trust> {
    Ok(Trust { what: row.get(0)?, note: row.get(1)?, since: Time(row.get(2)?) })
}

/// From the columns `kind, feed`, the first of which is that number.
pub(crate) fn by(row: &Row<'_>, column: usize) -> rusqlite::Result<By> {
    match row.get(column)? {
        0 => Ok(By::Operator),
        1 => Ok(By::Detector),
        2 => Ok(By::Feed(row.get(column + 1)?)),
        other => Err(foreign(column, other)),
    }
}

/// From the columns `family, address, prefix`.
pub(crate) fn net(row: &Row<'_>) -> rusqlite::Result<Net> {
    let number = row.get(1)?;
    Net::from_numbers(row.get(0)?, number, row.get(2)?).ok_or_else(|| foreign(1, number))
}

pub(crate) fn kind_number(kind: Kind) -> i64 {
    match kind {
        Kind::Operator => 0,
        Kind::Detector => 1,
        Kind::Feed => 2,
    }
}

/// The name of the feed; empty for the others.
pub(crate) fn feed(by: &By) -> &str {
    match by {
        By::Operator | By::Detector => "",
        By::Feed(name) => clip(name),
    }
}

pub(crate) fn scope_number(scope: Scope) -> i64 {
    match scope {
        Scope::SipPorts => 0,
        Scope::AllPorts => 1,
    }
}

/// SQLite has no unsigned numbers; no count comes near the end of the signed ones.
pub(crate) fn signed(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(crate) fn clip(text: &str) -> &str {
    let mut end = text.len().min(MAX_TEXT);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    text.get(..end).unwrap_or_default()
}

/// A value that the ledger never writes.
fn foreign(column: usize, value: i64) -> rusqlite::Error {
    let what = format!("{value} is no value of that column");
    rusqlite::Error::FromSqlConversionFailure(column, Type::Integer, what.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_cut_at_a_character() {
        assert_eq!(clip("short"), "short");
        assert_eq!(clip(&"x".repeat(MAX_TEXT + 1)).len(), MAX_TEXT);
        assert_eq!(clip(&"ä".repeat(MAX_TEXT)).len(), MAX_TEXT);
        assert_eq!(clip(&format!("x{}", "ä".repeat(MAX_TEXT))).len(), MAX_TEXT - 1);
    }
}
