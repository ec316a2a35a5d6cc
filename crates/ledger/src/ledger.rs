//! The connection that writes.

use std::path::Path;

use rusqlite::TransactionBehavior;

use crate::apply::{self, Batch, Bounds};
use crate::error::Error;
use crate::open;
use crate::read::Reader;
use crate::record::{Change, Time};

/// The ledger, open for writing.
#[derive(Debug)]
pub struct Ledger {
    reader: Reader,
    bounds: Bounds,
}

impl Ledger {
    /// Opens the ledger, or makes it (mode 0600) where there is no file of that name; its directory must exist. Brings an older
    /// schema up to date, and looks for damage for at most 3 seconds.
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Newer`], [`Error::ReadOnly`], [`Error::Full`], [`Error::Locked`] or [`Error::Io`]; the file
    /// is then as it was.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let connection = open::for_writing(path)?;
        Ok(Self { reader: Reader::new(connection, path), bounds: Bounds::default() })
    }

    /// With other bounds than the usual ones. What is too much goes when the next row comes.
    #[must_use]
    pub fn with_bounds(mut self, bounds: Bounds) -> Self {
        self.bounds = bounds;
        self
    }

    /// The same file, to read from.
    pub fn read(&self) -> &Reader {
        &self.reader
    }

    /// Does all of the changes in one transaction, in order. When it returns `Ok` they are on the disk; when not, none of
    /// them is done.
    ///
    /// # Errors
    /// [`Error::Full`], [`Error::ReadOnly`], [`Error::Locked`] (after 2 seconds) and [`Error::Io`] may pass; [`Error::Damaged`]
    /// does not; [`Error::TrustFull`] is about these changes alone.
    pub fn apply(&mut self, changes: &[Change]) -> Result<(), Error> {
        self.run(changes.iter()).map(drop)
    }

    /// Moves bans that are over at that time into history, at most [`crate::EXPIRE_BATCH`] in one call, and returns how many:
    /// call again until none is left.
    ///
    /// # Errors
    /// As [`Ledger::apply`].
    pub fn expire(&mut self, now: Time) -> Result<usize, Error> {
        self.run([Change::Expire { now }].iter())
    }

    /// Returns how many bans are over by [`Change::Expire`].
    pub(crate) fn run<'a>(
        &mut self,
        mut changes: impl Iterator<Item = &'a Change> + Clone,
    ) -> Result<usize, Error> {
        let (connection, path) = self.reader.parts();
        let failed = Error::sqlite("write", path);
        let transaction =
            connection.transaction_with_behavior(TransactionBehavior::Immediate).map_err(&failed)?;
        let added = changes.clone().filter(|change| matches!(change, Change::Trust(_))).count();
        let limit = self.bounds.trust;
        // Those that are there already are counted twice; the list is far from its limit where that matters.
        if added > 0 && added > limit.saturating_sub(apply::trusted(&transaction).map_err(&failed)?) as usize
        {
            return Err(Error::TrustFull { limit });
        }
        let mut batch = Batch::new(&transaction, &self.bounds);
        changes.try_for_each(|change| batch.apply(change)).map_err(&failed)?;
        let expired = batch.finish().map_err(&failed)?;
        transaction.commit().map_err(&failed)?;
        Ok(expired)
    }
}
