//! Why the ledger cannot be opened, read or written.

use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

/// What went wrong, and what helps. Cheap to copy to everyone who waits for the same transaction.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Not a ledger, or not a whole one. It is never replaced by an empty one without a word.
    #[error(
        "the ledger {0} is damaged: {what}; move it away together with {0}-wal and {0}-shm and start again (bans in the \
         kernel go on until they end), or restore what can be read of it with `sqlite3 {0} .recover | sqlite3 NEW.db`",
        path.display()
    )]
    Damaged { path: PathBuf, what: String },
    /// No space on its file system.
    #[error("the ledger {} cannot be written: the disk is full; make room on its file system", path.display())]
    Full { path: PathBuf },
    /// The operation on the file failed.
    #[error("cannot {operation} the ledger {}: {reason}", path.display())]
    Io { operation: &'static str, path: PathBuf, reason: String },
    /// Another process is writing for longer than a writer waits.
    #[error(
        "the ledger {0} is locked by another process; end the program that has it open (`fuser -v {0}` names it)",
        path.display()
    )]
    Locked { path: PathBuf },
    /// There is no ledger; only a reader minds.
    #[error("there is no ledger {}; it is made when Ringfence starts", path.display())]
    Missing { path: PathBuf },
    /// Its schema has a version that this program does not know.
    #[error(
        "the ledger {} was made by a newer Ringfence (schema {found}, this one knows up to {known}); install that version \
         again, or move the ledger away to begin a new one",
        path.display()
    )]
    Newer { path: PathBuf, found: i64, known: i64 },
    /// Its schema has an older version, and a reader does not change it.
    #[error(
        "the ledger {} was made by an older Ringfence (schema {found}, this one reads {known}); it is brought up to date when \
         Ringfence starts",
        path.display()
    )]
    Older { path: PathBuf, found: i64, known: i64 },
    /// The file, its directory or its file system may not be written.
    #[error(
        "the ledger {} cannot be written: it or its directory is read-only for this user; mount the file system writable, or \
         give the directory to the user that Ringfence runs as",
        path.display()
    )]
    ReadOnly { path: PathBuf },
    /// A batch that would make the list of the trusted too long; nothing of it was done.
    #[error(
        "the ledger already trusts {limit} sources, which is the most it keeps; trust a network in place of addresses"
    )]
    TrustFull { limit: u32 },
}

impl Error {
    /// For `map_err`: the operation on the file failed.
    pub(crate) fn io(operation: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        use io::ErrorKind::{PermissionDenied, QuotaExceeded, ReadOnlyFilesystem, StorageFull};
        move |error| {
            let path = path.to_owned();
            let kind = error.kind();
            if [PermissionDenied, ReadOnlyFilesystem].contains(&kind) {
                Self::ReadOnly { path }
            } else if [StorageFull, QuotaExceeded].contains(&kind) {
                Self::Full { path }
            } else {
                Self::Io { operation, path, reason: error.to_string() }
            }
        }
    }

    /// For `map_err`: SQLite failed to do it.
    pub(crate) fn sqlite(operation: &'static str, path: &Path) -> impl Fn(rusqlite::Error) -> Self {
        move |error| {
            let path = path.to_owned();
            let reason = error.to_string();
            match error.sqlite_error_code() {
                Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
                    Self::Damaged { path, what: reason }
                }
                Some(ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked) => Self::Locked { path },
                Some(ErrorCode::DiskFull) => Self::Full { path },
                Some(ErrorCode::ReadOnly) => Self::ReadOnly { path },
                // SQLite does not say why it could not open or extend one of the files beside the ledger.
                Some(ErrorCode::CannotOpen | ErrorCode::SystemIoFailure) => {
                    cause(&path).unwrap_or(Self::Io { operation, path, reason })
                }
                None if is_foreign(&error) => Self::Damaged { path, what: reason },
                Some(_) | None => Self::Io { operation, path, reason },
            }
        }
    }

    /// Whether the same batch may go through later.
    pub(crate) fn may_pass(&self) -> bool {
        !matches!(self, Self::TrustFull { .. })
    }
}

/// Whether it is about a row that this crate does not write.
fn is_foreign(error: &rusqlite::Error) -> bool {
    use rusqlite::Error::{FromSqlConversionFailure, IntegralValueOutOfRange, InvalidColumnType, Utf8Error};
    matches!(
        error,
        FromSqlConversionFailure(..) | IntegralValueOutOfRange(..) | InvalidColumnType(..) | Utf8Error(..)
    )
}

/// What is the matter with the directory of the ledger.
fn cause(path: &Path) -> Option<Error> {
    let path = path.to_owned();
    let directory = directory(&path);
    let free = rustix::fs::statvfs(directory).ok()?;
    // Less than a page of the shared memory file that SQLite puts beside it.
    if free.f_bavail.saturating_mul(free.f_frsize) < 32 * 1024 {
        return Some(Error::Full { path });
    }
    match rustix::fs::access(directory, rustix::fs::Access::WRITE_OK) {
        Err(rustix::io::Errno::ROFS | rustix::io::Errno::ACCESS) => Some(Error::ReadOnly { path }),
        Ok(()) | Err(_) => None,
    }
}

/// Of a file; for a bare name the working directory.
pub(crate) fn directory(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) | None => Path::new("."),
    }
}
