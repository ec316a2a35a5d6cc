//! Questions to the ledger.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::types::Value;
use rusqlite::{Connection, params, params_from_iter};

use crate::error::Error;
use crate::net::Net;
use crate::open;
use crate::record::{Ban, BanRow, By, Ended, Evidence, Family, Kind, Past, Position, Time, Trust, Which};
use crate::row::{self, BAN, clip, feed, kind_number};

/// The most bans that one [`Page`] has.
pub const MAX_PAGE: usize = 10_000;

/// Reads beside the [`crate::Ledger`], from another thread or process. What it says holds for one moment: it neither waits for
/// a writer nor makes one wait.
#[derive(Debug)]
pub struct Reader {
    connection: Connection,
    path: PathBuf,
}

/// Where a page ended.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cursor {
    pub source: Net,
    pub by: By,
}

/// Some of the bans asked for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Page {
    /// IPv4 first, then by address, wider networks first.
    pub rows: Vec<BanRow>,
    /// For the next page; `None` at the end.
    pub next: Option<Cursor>,
}

/// Everything about an address.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Story {
    /// In force, on it or on a network that covers it; the one that rules is first.
    pub active: Vec<BanRow>,
    /// The bans that are over, newest last.
    pub past: Vec<Past>,
    /// Newest last.
    pub evidence: Vec<Evidence>,
    /// The narrowest entry that covers it. A DNS name is not looked up, so it is never found here.
    pub trust: Option<Trust>,
}

/// Bans in force.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub total: u64,
    pub by: BTreeMap<By, u64>,
    pub reason: BTreeMap<String, u64>,
}

impl Cursor {
    pub(crate) fn of(ban: &Ban) -> Self {
        Self { source: ban.source, by: ban.by.clone() }
    }
}

impl Reader {
    /// Opens an existing ledger for reading.
    ///
    /// # Errors
    /// [`Error::Missing`], and as [`crate::Ledger::open`]; [`Error::Older`] where a writer would bring it up to date.
    pub fn open(path: &Path) -> Result<Self, Error> {
        Ok(Self::new(open::for_reading(path)?, path))
    }

    pub(crate) fn new(connection: Connection, path: &Path) -> Self {
        Self { connection, path: path.to_owned() }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn parts(&mut self) -> (&mut Connection, &Path) {
        (&mut self.connection, &self.path)
    }

    /// Calls `each` for all bans in force, in the order of [`Page::rows`]. Those on one source come one after another, the one
    /// that rules first; a network and what is in it are different sources here. Memory does not grow with their number.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`], after the rows before it.
    pub fn active(&self, now: Time, mut each: impl FnMut(BanRow)) -> Result<(), Error> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(&format!(
                "SELECT {BAN} FROM ban WHERE until IS NULL OR until > ?1 \
                 ORDER BY family, address, prefix, kind, feed"
            ))?;
            let mut rows = statement.query([now.0])?;
            let mut group: Vec<Ban> = Vec::new();
            while let Some(row) = rows.next()? {
                let ban = row::ban(row)?;
                if group.first().is_some_and(|first| first.source != ban.source) {
                    rank(&mut group).for_each(&mut each);
                }
                group.push(ban);
            }
            rank(&mut group).for_each(&mut each);
            Ok(())
        })
    }

    /// At most `limit` (and [`MAX_PAGE`]) of the bans in force, those after the cursor. Without `within` it looks at all bans
    /// until the page is full.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn bans(
        &self,
        which: &Which,
        after: Option<&Cursor>,
        limit: usize,
        now: Time,
    ) -> Result<Page, Error> {
        let limit = limit.min(MAX_PAGE);
        self.ask(|connection| {
            let mut bans = select(connection, which, after, limit + 1, Some(now))?;
            let more = bans.len() > limit;
            bans.truncate(limit);
            let next = bans.last().filter(|_| more).map(Cursor::of);
            let mut rows = Vec::with_capacity(bans.len());
            for ban in bans {
                let mut group = on(connection, ban.source)?;
                group.retain(|ban| ban.is_in_force(now));
                rows.extend(rank(&mut group).filter(|row| row.ban.by == ban.by));
            }
            Ok(Page { rows, next })
        })
    }

    /// What is known of an address or network: of itself and of every network that it is in, not of what is in it.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn story(&self, source: Net, now: Time) -> Result<Story, Error> {
        self.ask(|connection| {
            let mut past = Vec::new();
            let mut evidence = Vec::new();
            let mut bans = Vec::new();
            for net in source.covering() {
                bans.extend(on(connection, net)?);
                past.extend(past_on(connection, net)?);
                evidence.extend(evidence_on(connection, net)?);
            }
            let over = bans.extract_if(.., |ban| !ban.is_in_force(now));
            past.extend(over.map(|ban| Past { ended: ban.until.unwrap_or(now), ban, why: Ended::Expire }));
            // Stable sorts: what was noted later stays behind what has the same time.
            past.sort_by_key(|past| past.ended);
            evidence.sort_by_key(|evidence: &Evidence| evidence.time);
            bans.sort_by(|a, b| {
                a.by.kind().cmp(&b.by.kind()).then(b.source.prefix().cmp(&a.source.prefix()))
            });
            let active = rank(&mut bans).collect();
            let trust = narrowest(trusted(connection)?, source);
            Ok(Story { active, past, evidence, trust })
        })
    }

    /// How many bans are in force, by whom and why. Reads sums, and the bans that are over and not yet in history.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn counts(&self, now: Time) -> Result<Counts, Error> {
        self.ask(|connection| {
            let mut counts = Counts::default();
            let mut statement = connection.prepare_cached(
                "SELECT kind, feed, reason, sum(bans) FROM ( \
                   SELECT kind, feed, reason, bans FROM tally UNION ALL \
                   SELECT kind, feed, reason, -count(*) FROM ban WHERE until <= ?1 GROUP BY kind, feed, reason \
                 ) GROUP BY kind, feed, reason",
            )?;
            let mut rows = statement.query([now.0])?;
            while let Some(row) = rows.next()? {
                let bans = u64::try_from(row.get::<_, i64>(3)?).unwrap_or(0);
                if bans > 0 {
                    counts.total += bans;
                    *counts.by.entry(row::by(row, 0)?).or_default() += bans;
                    *counts.reason.entry(row.get(2)?).or_default() += bans;
                }
            }
            Ok(counts)
        })
    }

    /// Who is trusted, in the order of their texts.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn trusted(&self) -> Result<Vec<Trust>, Error> {
        self.ask(trusted)
    }

    /// Sources whose bans by detectors were over after `since`, and how many times in a row each had been banned; the latest
    /// first, at most `most` bans.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn levels(&self, since: Time, most: u32) -> Result<Vec<(Net, u32)>, Error> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT family, address, prefix, level FROM past WHERE kind = ?1 AND ended > ?2 AND who IS NULL \
                 ORDER BY id DESC LIMIT ?3",
            )?;
            let level = |row: &rusqlite::Row<'_>| Ok((row::net(row)?, row.get(3)?));
            statement.query_map(params![kind_number(Kind::Detector), since.0, most], level)?.collect()
        })
    }

    /// Whom nobody but the operator is to ban, and until when.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn graces(&self, now: Time) -> Result<Vec<(Net, Time)>, Error> {
        self.ask(|connection| {
            let mut statement = connection.prepare_cached(
                "SELECT family, address, prefix, until FROM grace WHERE until > ?1 ORDER BY family, address, prefix",
            )?;
            statement.query_map([now.0], |row| Ok((row::net(row)?, Time(row.get(3)?))))?.collect()
        })
    }

    /// How far logs were read, by name.
    ///
    /// # Errors
    /// [`Error::Damaged`] or [`Error::Io`].
    pub fn positions(&self) -> Result<Vec<Position>, Error> {
        self.ask(|connection| {
            let mut statement =
                connection.prepare_cached("SELECT log, place, at FROM position ORDER BY log")?;
            let position = |row: &rusqlite::Row<'_>| {
                Ok(Position { log: row.get(0)?, place: row.get(1)?, at: Time(row.get(2)?) })
            };
            statement.query_map((), position)?.collect()
        })
    }

    /// One view of the file for all of an answer.
    fn ask<T>(&self, answer: impl FnOnce(&Connection) -> rusqlite::Result<T>) -> Result<T, Error> {
        let view = self.connection.unchecked_transaction();
        view.and_then(|view| answer(&view)).map_err(Error::sqlite("read", &self.path))
    }
}

/// Bans in the order of the primary key, whether over or not; with `now` those in force.
pub(crate) fn select(
    connection: &Connection,
    which: &Which,
    after: Option<&Cursor>,
    limit: usize,
    now: Option<Time>,
) -> rusqlite::Result<Vec<Ban>> {
    let mut sql = format!("SELECT {BAN} FROM ban WHERE TRUE");
    let mut values: Vec<Value> = Vec::new();
    let mut only = |clause: &str, more: Vec<Value>| {
        sql.push_str(" AND ");
        sql.push_str(clause);
        values.extend(more);
    };
    // The key is compared as a whole, so that a later page begins where the last one ended, without a walk to it.
    if let Some(Cursor { source, by }) = after {
        only(
            "(family, address, prefix, kind, feed) > (?, ?, ?, ?, ?)",
            vec![
                source.family().into(),
                source.number().into(),
                i64::from(source.prefix()).into(),
                kind_number(by.kind()).into(),
                feed(by).to_owned().into(),
            ],
        );
    }
    if let Some(net) = which.within {
        let (first, last) = net.numbers();
        if after.is_none() {
            only("(family, address) >= (?, ?)", vec![net.family().into(), first.into()]);
        }
        only("(family, address) <= (?, ?)", vec![net.family().into(), last.into()]);
        only("prefix >= ?", vec![i64::from(net.prefix()).into()]);
    }
    match which.family {
        Some(Family::V4) => only("family = 4", vec![]),
        Some(Family::V6) => only("family = 6", vec![]),
        None => {}
    }
    if let Some(kind) = which.kind {
        only("kind = ?", vec![kind_number(kind).into()]);
    }
    if let Some(name) = &which.feed {
        only("kind = ? AND feed = ?", vec![kind_number(Kind::Feed).into(), clip(name).to_owned().into()]);
    }
    if let Some(reason) = &which.reason {
        only("reason = ?", vec![clip(reason).to_owned().into()]);
    }
    if let Some(now) = now {
        only("(until IS NULL OR until > ?)", vec![now.0.into()]);
    }
    sql.push_str(" ORDER BY family, address, prefix, kind, feed LIMIT ?");
    values.push(i64::try_from(limit).unwrap_or(i64::MAX).into());
    connection.prepare_cached(&sql)?.query_map(params_from_iter(values), row::ban)?.collect()
}

/// Bans on exactly this source.
fn on(connection: &Connection, source: Net) -> rusqlite::Result<Vec<Ban>> {
    connection
        .prepare_cached(&format!(
            "SELECT {BAN} FROM ban WHERE family = ?1 AND address = ?2 AND prefix = ?3 ORDER BY kind, feed"
        ))?
        .query_map(params![source.family(), source.number(), source.prefix()], row::ban)?
        .collect()
}

fn past_on(connection: &Connection, source: Net) -> rusqlite::Result<Vec<Past>> {
    connection
        .prepare_cached(&format!(
            "SELECT {BAN}, ended, who, note FROM past WHERE family = ?1 AND address = ?2 AND prefix = ?3 ORDER BY id"
        ))?
        .query_map(params![source.family(), source.number(), source.prefix()], row::past)?
        .collect()
}

fn evidence_on(connection: &Connection, source: Net) -> rusqlite::Result<Vec<Evidence>> {
    connection
        .prepare_cached(
            "SELECT family, address, prefix, time, detector, detail, line FROM evidence \
             WHERE family = ?1 AND address = ?2 AND prefix = ?3 ORDER BY id",
        )?
        .query_map(params![source.family(), source.number(), source.prefix()], row::evidence)?
        .collect()
}

fn trusted(connection: &Connection) -> rusqlite::Result<Vec<Trust>> {
    let mut statement = connection.prepare_cached("SELECT what, note, since FROM trust ORDER BY what")?;
    statement.query_map((), row::trust)?.collect()
}

fn narrowest(trusted: Vec<Trust>, source: Net) -> Option<Trust> {
    let nets = trusted.into_iter().filter_map(|trust| Some((trust.what.parse::<Net>().ok()?, trust)));
    let covering = nets.filter(|(net, _)| net.contains(&source));
    covering.max_by_key(|(net, _)| net.prefix()).map(|(_, trust)| trust)
}

/// What comes out of bans that are in force together, the one that rules first. Empties the list.
fn rank(bans: &mut Vec<Ban>) -> impl Iterator<Item = BanRow> {
    let until = bans.iter().map(|ban| ban.until).reduce(|a, b| a.zip(b).map(|(a, b)| a.max(b))).flatten();
    let scope = bans.iter().map(|ban| ban.scope).max();
    bans.drain(..).enumerate().map(move |(place, ban)| {
        let scope = scope.unwrap_or(ban.scope);
        BanRow { ban, rules: place == 0, until, scope }
    })
}
