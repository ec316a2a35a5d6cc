//! The ledger on real files. One program, as most of what it costs is to link SQLite.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod kill;
mod model;
mod record;
mod refuse;
mod sample;
mod writer;
