//! The tables, and how a file gets from one version of them to the next.
//!
//! Bans stand in the order of their sources (`WITHOUT ROWID`), not in the order in which they came. Measured with a million of
//! them: bans that come in random order are written a fifth slower so, but read back in 0.6 s in place of 10 s, in a file of
//! 104 MB in place of 123 MB; where they come in order, both are written alike.

use rusqlite::{Connection, TransactionBehavior};

/// "RFLG", so that no other SQLite file is taken for a ledger (`PRAGMA application_id`).
pub(crate) const APPLICATION_ID: i64 = 0x5246_4c47;

/// What leads from each version (`PRAGMA user_version`) to the next; the first makes version 1 out of an empty file.
pub(crate) const MIGRATIONS: &[&str] = &[include_str!("schema/1.sql"), include_str!("schema/2.sql")];

/// The version that `migrations` lead to.
pub(crate) fn version(migrations: &[&str]) -> i64 {
    i64::try_from(migrations.len()).unwrap_or(i64::MAX)
}

/// Brings a file up to date, each step in a transaction of its own that also notes the version reached. What is done already
/// is passed over.
pub(crate) fn migrate(connection: &mut Connection, migrations: &[&str]) -> rusqlite::Result<()> {
    for (target, text) in (1_i64..).zip(migrations) {
        let step = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        if user_version(&step)? < target {
            step.execute_batch(text)?;
            step.pragma_update(None, "application_id", APPLICATION_ID)?;
            step.pragma_update(None, "user_version", target)?;
            step.commit()?;
        }
    }
    Ok(())
}

pub(crate) fn user_version(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "user_version", |row| row.get(0))
}

pub(crate) fn application_id(connection: &Connection) -> rusqlite::Result<i64> {
    connection.pragma_query_value(None, "application_id", |row| row.get(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEPS: &[&str] = &[
        "CREATE TABLE a (x INTEGER); INSERT INTO a VALUES (1);",
        "ALTER TABLE a ADD COLUMN y INTEGER; UPDATE a SET y = x + 1;",
        "CREATE TABLE b (z INTEGER); INSERT INTO b SELECT y + 1 FROM a;",
    ];

    #[test]
    fn every_version_gets_to_the_newest_and_keeps_its_rows() {
        for begin in 0..=STEPS.len() {
            let mut connection = Connection::open_in_memory().unwrap();
            migrate(&mut connection, &STEPS[..begin]).unwrap();
            assert_eq!(user_version(&connection), Ok(version(&STEPS[..begin])));
            migrate(&mut connection, STEPS).unwrap();
            migrate(&mut connection, STEPS).unwrap();
            assert_eq!(user_version(&connection), Ok(3));
            assert_eq!(application_id(&connection), Ok(APPLICATION_ID));
            assert_eq!(connection.query_row("SELECT z FROM b", (), |row| row.get(0)), Ok(3));
        }
    }

    #[test]
    fn a_step_that_fails_leaves_the_version_before_it() {
        let mut connection = Connection::open_in_memory().unwrap();
        let broken = [STEPS[0], "CREATE TABLE c (x INTEGER); INSERT INTO missing VALUES (1);"];
        migrate(&mut connection, &broken).unwrap_err();
        assert_eq!(user_version(&connection), Ok(1));
        let tables = "SELECT count(*) FROM sqlite_schema WHERE name = 'c'";
        assert_eq!(connection.query_row(tables, (), |row| row.get(0)), Ok(0));
    }

    #[test]
    fn the_shipped_steps_run() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection, MIGRATIONS).unwrap();
        assert_eq!(user_version(&connection), Ok(version(MIGRATIONS)));
    }

    #[test]
    fn the_document_has_the_shipped_tables() {
        let document = include_str!("../../../docs/ledger.md");
        let statements = MIGRATIONS.iter().flat_map(|text| text.split(";\n")).map(str::trim);
        for statement in statements.filter(|statement| statement.starts_with("CREATE")) {
            assert!(document.contains(statement), "{statement}");
        }
    }
}
