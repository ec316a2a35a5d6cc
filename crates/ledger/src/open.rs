//! Opening the file: made whole or not at all, checked, and never replaced without a word.

use std::ffi::OsString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode, OpenFlags};

use crate::error::{Error, directory};
use crate::schema::{self, APPLICATION_ID, MIGRATIONS};

/// How long a transaction waits for another process that writes.
const BUSY: Duration = Duration::from_secs(2);

/// How long opening looks for damage (`PRAGMA quick_check`). A ledger of a million bans is looked through in less; of a much
/// larger one, or on a slow disk, only a part is, and damage in the rest shows when it is read.
const CHECK: Duration = Duration::from_secs(3);

/// What the log beside the file may keep on disk after a large transaction, in bytes.
const WAL_LIMIT: i64 = 64 * 1024 * 1024;

/// Pages kept in memory, in KiB.
const CACHE: i64 = 16 * 1024;

/// Pages in the log after which they are put into the file. A page that changes again and again is put there once in each
/// round, so fewer rounds are less work: with SQLite's 1,000 an import took twice as long.
const CHECKPOINT: i64 = 10_000;

/// Opens for writing; makes the file where there is none.
pub(crate) fn for_writing(path: &Path) -> Result<Connection, Error> {
    match OpenOptions::new().read(true).write(true).open(path) {
        Ok(file) => check_file(&file, path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => create(path)?,
        Err(error) => return Err(Error::io("open", path)(error)),
    }
    let failed = Error::sqlite("open", path);
    let mut connection = connect(path, OpenFlags::SQLITE_OPEN_READ_WRITE).map_err(&failed)?;
    let found = check_version(&connection, path)?;
    check_pages(&connection, path)?;
    if found < schema::version(MIGRATIONS) {
        schema::migrate(&mut connection, MIGRATIONS).map_err(&failed)?;
    }
    durable(&connection).map_err(&failed)?;
    Ok(connection)
}

/// Opens for reading, beside the one that writes. Leaves the search for damage to that.
pub(crate) fn for_reading(path: &Path) -> Result<Connection, Error> {
    match File::open(path) {
        Ok(file) => check_file(&file, path)?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            return Err(Error::Missing { path: path.to_owned() });
        }
        Err(error) => return Err(Error::io("open", path)(error)),
    }
    let connection = connect(path, OpenFlags::SQLITE_OPEN_READ_ONLY).map_err(Error::sqlite("open", path))?;
    let found = check_version(&connection, path)?;
    let known = schema::version(MIGRATIONS);
    if found < known {
        return Err(Error::Older { path: path.to_owned(), found, known });
    }
    Ok(connection)
}

fn connect(path: &Path, flags: OpenFlags) -> rusqlite::Result<Connection> {
    let connection = Connection::open_with_flags(path, flags | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
    connection.busy_timeout(BUSY)?;
    connection.set_prepared_statement_cache_capacity(64);
    connection.pragma_update(None, "cache_size", -CACHE)?;
    // Whoever keeps it may not be allowed to write anywhere else.
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    Ok(connection)
}

/// What a commit means: it is on the disk when it returns.
fn durable(connection: &Connection) -> rusqlite::Result<()> {
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "wal_autocheckpoint", CHECKPOINT)?;
    connection.pragma_update(None, "journal_size_limit", WAL_LIMIT)
}

/// Makes an empty ledger under another name and then gives it its own, so that an interrupted start leaves none, and an
/// empty or foreign file is always damage.
fn create(path: &Path) -> Result<(), Error> {
    let log = beside(path, "-wal");
    if log.metadata().is_ok_and(|log| log.len() > 0) {
        // SQLite would play it into the new file.
        let what = format!("the file is missing, but {} with its last changes is still there", log.display());
        return Err(Error::Damaged { path: path.to_owned(), what });
    }
    let failed = Error::io("create", path);
    let new = beside(path, ".new");
    remove(&new).and_then(|()| remove(&beside(&new, "-journal"))).map_err(&failed)?;
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new).map_err(&failed)?;
    drop(file);
    let made = connect(&new, OpenFlags::SQLITE_OPEN_READ_WRITE)
        .and_then(|mut connection| schema::migrate(&mut connection, MIGRATIONS));
    // Unlike a rename, a link does not replace a ledger that another process made meanwhile.
    let named = made.map_err(Error::sqlite("create", path)).and_then(|()| {
        fs::hard_link(&new, path).map_err(&failed)?;
        File::open(directory(path)).and_then(|directory| directory.sync_all()).map_err(&failed)
    });
    let removed = remove(&new).map_err(&failed);
    named.and(removed)
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        Ok(()) | Err(_) => Ok(()),
    }
}

/// SQLite names its files by what it puts behind the name.
fn beside(path: &Path, suffix: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(suffix);
    name.into()
}

fn check_file(file: &File, path: &Path) -> Result<(), Error> {
    let found = file.metadata().map_err(Error::io("open", path))?;
    let what = if !found.is_file() {
        "it is not a file"
    } else if found.len() == 0 {
        // SQLite takes that for a new database.
        "the file is empty"
    } else {
        return Ok(());
    };
    Err(Error::Damaged { path: path.to_owned(), what: what.to_owned() })
}

/// Whether it is a ledger, and one of a known version.
fn check_version(connection: &Connection, path: &Path) -> Result<i64, Error> {
    let failed = Error::sqlite("open", path);
    if schema::application_id(connection).map_err(&failed)? != APPLICATION_ID {
        let what = "it is an SQLite file, but not one of Ringfence".to_owned();
        return Err(Error::Damaged { path: path.to_owned(), what });
    }
    let found = schema::user_version(connection).map_err(&failed)?;
    let known = schema::version(MIGRATIONS);
    match found {
        ..=0 => {
            let what = format!("its schema has the version {found}");
            Err(Error::Damaged { path: path.to_owned(), what })
        }
        found if found > known => Err(Error::Newer { path: path.to_owned(), found, known }),
        found => Ok(found),
    }
}

/// Looks through the pages for [`CHECK`].
fn check_pages(connection: &Connection, path: &Path) -> Result<(), Error> {
    let failed = Error::sqlite("check", path);
    let end = Instant::now() + CHECK;
    connection.progress_handler(10_000, Some(move || Instant::now() > end)).map_err(&failed)?;
    let found = connection.query_row("PRAGMA quick_check(1)", (), |row| row.get::<_, String>(0));
    connection.progress_handler(0, None::<fn() -> bool>).map_err(&failed)?;
    match found {
        Ok(found) if found == "ok" => Ok(()),
        // Its last line has the place and the reason.
        Ok(what) => {
            let what = what.lines().last().unwrap_or_default().to_owned();
            Err(Error::Damaged { path: path.to_owned(), what })
        }
        Err(error) if error.sqlite_error_code() == Some(ErrorCode::OperationInterrupted) => Ok(()),
        Err(error) => Err(failed(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_start_that_was_interrupted_leaves_nothing_in_the_way() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("ledger.db");
        fs::write(beside(&path, ".new"), "half a ledger").unwrap();
        fs::write(beside(&path, ".new-journal"), "").unwrap();
        drop(for_writing(&path).unwrap());
        let names: Vec<_> =
            fs::read_dir(directory.path()).unwrap().map(|file| file.unwrap().file_name()).collect();
        assert_eq!(names, ["ledger.db"]);
    }
}
