//! Changes become rows. One [`Batch`] is one transaction.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension as _, ToSql, named_params, params};

use crate::net::Net;
use crate::read::{Cursor, select};
use crate::record::{Ban, By, Change, Evidence, Position, Time, Trust, Unban};
use crate::row::{self, BAN, clip, feed, kind_number, scope_number, signed};

/// Pieces of evidence that are kept, and the oldest goes when one more comes. 100 to 300 bytes each, more with a long line.
pub const MAX_EVIDENCE: u32 = 1_000_000;

/// Pieces of evidence that are kept for one source.
pub const MAX_EVIDENCE_PER_SOURCE: u32 = 32;

/// Bans that are over and kept, and the one that was over first goes when one more comes.
pub const MAX_PAST: u32 = 1_000_000;

/// Bans that are over and kept for one source.
pub const MAX_PAST_PER_SOURCE: u32 = 32;

/// Entries of the list of the trusted. More are refused: forgetting one would ban a friend.
pub const MAX_TRUST: u32 = 10_000;

/// Graces that are kept.
pub const MAX_GRACES: u32 = 10_000;

/// Logs whose positions are kept.
pub const MAX_POSITIONS: u32 = 10_000;

/// Bans that one [`Change::Expire`] moves into history, so that nobody waits long behind it.
pub const EXPIRE_BATCH: u32 = 10_000;

/// Bans that are held in memory while many are lifted.
const CHUNK: usize = 1_000;

/// How much is kept. Bans in force have no bound here: each was put in force by someone, in a table of the kernel that has
/// one.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Bounds {
    pub evidence: u32,
    pub evidence_per_source: u32,
    pub past: u32,
    pub past_per_source: u32,
    pub trust: u32,
}

impl Default for Bounds {
    fn default() -> Self {
        Self {
            evidence: MAX_EVIDENCE,
            evidence_per_source: MAX_EVIDENCE_PER_SOURCE,
            past: MAX_PAST,
            past_per_source: MAX_PAST_PER_SOURCE,
            trust: MAX_TRUST,
        }
    }
}

/// Changes within a transaction, and what they add up to.
#[derive(Debug)]
pub(crate) struct Batch<'a> {
    connection: &'a Connection,
    bounds: &'a Bounds,
    /// More or less bans, by kind, feed and reason.
    tally: BTreeMap<(i64, String, String), i64>,
    /// More or less rows of these tables.
    evidence: i64,
    past: i64,
    expired: usize,
}

/// Why a ban is over.
#[derive(Clone, Copy, Debug)]
enum Why<'a> {
    Expire,
    Unban { who: &'a str, note: &'a str, at: Time },
}

/// How many are trusted.
pub(crate) fn trusted(connection: &Connection) -> rusqlite::Result<u32> {
    connection.prepare_cached("SELECT count(*) FROM trust")?.query_row((), |row| row.get(0))
}

impl<'a> Batch<'a> {
    pub(crate) fn new(connection: &'a Connection, bounds: &'a Bounds) -> Self {
        Self { connection, bounds, tally: BTreeMap::new(), evidence: 0, past: 0, expired: 0 }
    }

    pub(crate) fn apply(&mut self, change: &Change) -> rusqlite::Result<()> {
        match change {
            Change::Ban(ban) => self.ban(ban),
            Change::Dropped { source, packets, at } => self.dropped(*source, *packets, *at),
            Change::Evidence(evidence) => self.evidence(evidence),
            Change::Expire { now } => self.expire(*now),
            Change::Grace { source, until } => self.grace(*source, *until),
            Change::EndGrace { source } => self
                .run(
                    "DELETE FROM grace WHERE family = ?1 AND address = ?2 AND prefix = ?3",
                    &[&source.family(), &source.number(), &source.prefix()],
                )
                .map(drop),
            Change::Position(position) => self.position(position),
            Change::Trust(trust) => self.trust(trust),
            Change::Unban(unban) => self.unban(unban),
            Change::Untrust { what } => {
                self.run("DELETE FROM trust WHERE what = ?1", &[&trust_key(what)]).map(drop)
            }
        }
    }

    /// Notes the sums and lets go of what is too much. Returns how many bans were over by [`Change::Expire`].
    pub(crate) fn finish(mut self) -> rusqlite::Result<usize> {
        for ((kind, feed, reason), bans) in std::mem::take(&mut self.tally) {
            self.run(
                "INSERT INTO tally (kind, feed, reason, bans) VALUES (?1, ?2, ?3, ?4) \
                 ON CONFLICT DO UPDATE SET bans = bans + excluded.bans",
                &[&kind, &feed, &reason, &bans],
            )?;
            self.run(
                "DELETE FROM tally WHERE kind = ?1 AND feed = ?2 AND reason = ?3 AND bans = 0",
                &[&kind, &feed, &reason],
            )?;
        }
        self.trim("past", self.past, self.bounds.past)?;
        self.trim("evidence", self.evidence, self.bounds.evidence)?;
        Ok(self.expired)
    }

    fn ban(&mut self, ban: &Ban) -> rusqlite::Result<()> {
        let insert = format!("INSERT OR IGNORE INTO ban ({BAN}) VALUES (?,?,?,?,?,?,?,?,?,?,?,?,?,?,?)");
        if self.connection.prepare_cached(&insert)?.execute(row::ban_values(ban))? == 0 {
            let known = self.find(ban.source, &ban.by)?;
            match known {
                Some(known) if known.is_in_force(ban.since) => return self.extend(&known, ban),
                Some(known) => self.end(&known, Why::Expire)?,
                None => {}
            }
            self.connection.prepare_cached(&insert)?.execute(row::ban_values(ban))?;
        }
        self.count(ban, 1);
        Ok(())
    }

    fn extend(&mut self, known: &Ban, more: &Ban) -> rusqlite::Result<()> {
        let until = known.until.zip(more.until).map(|(known, more)| known.max(more));
        self.connection
            .prepare_cached(
                "UPDATE ban SET reason = :reason, detail = :detail, until = :until, last_seen = :last_seen, \
                 level = :level, scope = :scope, dropped = :dropped, evidence = :evidence \
                 WHERE family = :family AND address = :address AND prefix = :prefix AND kind = :kind AND feed = :feed",
            )?
            .execute(named_params! {
                ":reason": clip(&more.reason),
                ":detail": clip(&more.detail),
                ":until": until.map(|time| time.0),
                ":last_seen": known.last_seen.max(more.last_seen).0,
                ":level": known.level.max(more.level),
                ":scope": scope_number(known.scope.max(more.scope)),
                ":dropped": signed(known.dropped.saturating_add(more.dropped)),
                ":evidence": known.evidence.saturating_add(more.evidence),
                ":family": known.source.family(),
                ":address": known.source.number(),
                ":prefix": known.source.prefix(),
                ":kind": kind_number(known.by.kind()),
                ":feed": feed(&known.by),
            })?;
        self.count(known, -1);
        self.count(more, 1);
        Ok(())
    }

    fn find(&self, source: Net, by: &By) -> rusqlite::Result<Option<Ban>> {
        self.connection
            .prepare_cached(&format!(
                "SELECT {BAN} FROM ban \
                 WHERE family = ?1 AND address = ?2 AND prefix = ?3 AND kind = ?4 AND feed = ?5"
            ))?
            .query_row(
                params![source.family(), source.number(), source.prefix(), kind_number(by.kind()), feed(by)],
                row::ban,
            )
            .optional()
    }

    /// Rows of one source come in the order in which their bans rule.
    fn dropped(&self, source: Net, packets: u64, at: Time) -> rusqlite::Result<()> {
        // A sum beyond 63 bits would become a number with a fraction, which the table refuses.
        self.run(
            "UPDATE ban SET dropped = min(dropped, 9223372036854775807 - ?4) + ?4, last_seen = max(last_seen, ?5) \
             WHERE family = ?1 AND address = ?2 AND prefix = ?3 AND (kind, feed) = (SELECT kind, feed FROM ban \
             WHERE family = ?1 AND address = ?2 AND prefix = ?3 AND (until IS NULL OR until > ?5) \
             ORDER BY kind, feed LIMIT 1)",
            &[&source.family(), &source.number(), &source.prefix(), &signed(packets), &at.0],
        )
        .map(drop)
    }

    fn evidence(&mut self, evidence: &Evidence) -> rusqlite::Result<()> {
        self.evidence += 1;
        self.run(
            "INSERT INTO evidence (family, address, prefix, time, detector, detail, line) \
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
            &[
                &evidence.source.family(),
                &evidence.source.number(),
                &evidence.source.prefix(),
                &evidence.time.0,
                &clip(&evidence.detector),
                &clip(&evidence.detail),
                &evidence.line.as_deref().map(clip),
            ],
        )?;
        self.evidence -= self.trim_source("evidence", evidence.source, self.bounds.evidence_per_source)?;
        Ok(())
    }

    fn expire(&mut self, now: Time) -> rusqlite::Result<()> {
        let over = self
            .connection
            .prepare_cached(&format!("SELECT {BAN} FROM ban WHERE until <= ?1 ORDER BY until LIMIT ?2"))?
            .query_map(params![now.0, EXPIRE_BATCH], row::ban)?
            .collect::<rusqlite::Result<Vec<_>>>()?;
        self.expired += over.len();
        self.run("DELETE FROM grace WHERE until <= ?1", &[&now.0])?;
        over.iter().try_for_each(|ban| self.end(ban, Why::Expire))
    }

    fn unban(&mut self, unban: &Unban) -> rusqlite::Result<()> {
        let Unban { which, who, note, at } = unban;
        let mut after: Option<Cursor> = None;
        loop {
            let bans = select(self.connection, which, after.as_ref(), CHUNK, None)?;
            for ban in &bans {
                let why = if ban.is_in_force(*at) { Why::Unban { who, note, at: *at } } else { Why::Expire };
                self.end(ban, why)?;
            }
            match bans.last() {
                Some(last) if bans.len() == CHUNK => after = Some(Cursor::of(last)),
                Some(_) | None => return Ok(()),
            }
        }
    }

    /// Moves a ban into history.
    fn end(&mut self, ban: &Ban, why: Why<'_>) -> rusqlite::Result<()> {
        let (ended, who, note) = match why {
            Why::Expire => (ban.until.unwrap_or(ban.since), None, None),
            Why::Unban { who, note, at } => (at, Some(clip(who)), Some(clip(note))),
        };
        let (family, address, prefix) = (ban.source.family(), ban.source.number(), ban.source.prefix());
        let (kind, feed) = (kind_number(ban.by.kind()), feed(&ban.by));
        self.run(
            &format!(
                "INSERT INTO past ({BAN}, ended, who, note) SELECT {BAN}, ?6, ?7, ?8 FROM ban \
                 WHERE family = ?1 AND address = ?2 AND prefix = ?3 AND kind = ?4 AND feed = ?5"
            ),
            &[&family, &address, &prefix, &kind, &feed, &ended.0, &who, &note],
        )?;
        self.run(
            "DELETE FROM ban WHERE family = ?1 AND address = ?2 AND prefix = ?3 AND kind = ?4 AND feed = ?5",
            &[&family, &address, &prefix, &kind, &feed],
        )?;
        self.past += 1 - self.trim_source("past", ban.source, self.bounds.past_per_source)?;
        self.count(ban, -1);
        Ok(())
    }

    fn trust(&self, trust: &Trust) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR REPLACE INTO trust (what, note, since) VALUES (?1, ?2, ?3)",
            &[&trust_key(&trust.what), &clip(&trust.note), &trust.since.0],
        )
        .map(drop)
    }

    fn grace(&self, source: Net, until: Time) -> rusqlite::Result<()> {
        self.run(
            "INSERT OR REPLACE INTO grace (family, address, prefix, until) VALUES (?1, ?2, ?3, ?4)",
            &[&source.family(), &source.number(), &source.prefix(), &until.0],
        )?;
        self.run(
            "DELETE FROM grace WHERE (family, address, prefix) IN (SELECT family, address, prefix FROM grace \
             ORDER BY until DESC LIMIT -1 OFFSET ?1)",
            &[&MAX_GRACES],
        )
        .map(drop)
    }

    fn position(&self, position: &Position) -> rusqlite::Result<()> {
        let Position { log, place, at } = position;
        self.run(
            "INSERT OR REPLACE INTO position (log, place, at) VALUES (?1, ?2, ?3)",
            &[&clip(log), &clip(place), &at.0],
        )?;
        self.run(
            "DELETE FROM position WHERE log IN (SELECT log FROM position ORDER BY at DESC LIMIT -1 OFFSET ?1)",
            &[&MAX_POSITIONS],
        )
        .map(drop)
    }

    fn count(&mut self, ban: &Ban, bans: i64) {
        let key = (kind_number(ban.by.kind()), feed(&ban.by).to_owned(), clip(&ban.reason).to_owned());
        *self.tally.entry(key).or_default() += bans;
    }

    /// Deletes all but the newest rows of a source, and returns how many.
    fn trim_source(&self, table: &str, source: Net, limit: u32) -> rusqlite::Result<i64> {
        let deleted = self.run(
            &format!(
                "DELETE FROM {table} WHERE family = ?1 AND address = ?2 AND prefix = ?3 AND id <= (SELECT id FROM {table} \
                 WHERE family = ?1 AND address = ?2 AND prefix = ?3 ORDER BY id DESC LIMIT 1 OFFSET ?4)"
            ),
            &[&source.family(), &source.number(), &source.prefix(), &limit],
        )?;
        Ok(i64::try_from(deleted).unwrap_or(i64::MAX))
    }

    /// Deletes the oldest rows of a table beyond its limit. Their number is kept, as counting them would read them all.
    fn trim(&self, table: &str, added: i64, limit: u32) -> rusqlite::Result<()> {
        if added == 0 {
            return Ok(());
        }
        let rows: i64 = self
            .connection
            .prepare_cached("SELECT rows FROM size WHERE what = ?1")?
            .query_row([table], |row| row.get(0))?;
        let excess = (rows + added - i64::from(limit)).max(0);
        let oldest = format!("DELETE FROM {table} WHERE id IN (SELECT id FROM {table} ORDER BY id LIMIT ?1)");
        self.run(&oldest, &[&excess])?;
        self.run("UPDATE size SET rows = ?2 WHERE what = ?1", &[&table, &(rows + added - excess)]).map(drop)
    }

    fn run(&self, sql: &str, values: &[&dyn ToSql]) -> rusqlite::Result<usize> {
        self.connection.prepare_cached(sql)?.execute(values)
    }
}

/// How something trusted is kept.
pub(crate) fn trust_key(what: &str) -> String {
    clip(what.trim()).to_ascii_lowercase()
}
