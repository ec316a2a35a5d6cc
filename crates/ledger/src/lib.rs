//! The durable record of bans: who is banned, by whom, why, since when and until when, what was seen of him before, and who
//! is trusted. One SQLite file, which the `sqlite3` tool reads too; `docs/ledger.md` describes its tables.
//!
//! [`Ledger`] writes, a [`Reader`] reads beside it, and a [`Writer`] is a thread that owns the ledger and puts what waits
//! into one transaction. Nothing here enforces a ban; the kernel does, from its own tables.

#![forbid(unsafe_code)]

mod apply;
mod error;
mod ledger;
mod net;
mod open;
mod read;
mod record;
mod row;
mod schema;
mod writer;

pub use crate::apply::{
    Bounds, EXPIRE_BATCH, MAX_EVIDENCE, MAX_EVIDENCE_PER_SOURCE, MAX_GRACES, MAX_PAST, MAX_PAST_PER_SOURCE,
    MAX_POSITIONS, MAX_TRUST,
};
pub use crate::error::Error;
pub use crate::ledger::Ledger;
pub use crate::net::{MAX_V6_PREFIX, Net, NetError};
pub use crate::read::{Counts, Cursor, MAX_PAGE, Page, Reader, Story};
pub use crate::record::{
    Ban, BanRow, By, ByError, Change, Ended, Evidence, Family, Kind, Past, Position, Scope, Time, Trust,
    Unban, Which,
};
pub use crate::row::MAX_TEXT;
pub use crate::writer::{MAX_GROUP, MAX_QUEUE, QueueFull, State, Writer};
