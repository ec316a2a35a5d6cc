//! What a PBX says about who tries to get in: Asterisk's manager interface and FreeSWITCH's event socket.
//!
//! ```text
//! bytes ─► lines ─► message ─► asterisk or freeswitch ─► Output: bytes to send, ready, events
//! ```
//!
//! No I/O and no clock: [`Session`] is told what came and what time it is, and says what is to be sent and what it was told.
//! Nothing that the other end does makes it grow: lines, messages and bodies have a bound each, and what is beyond is cut or
//! skipped and counted.
//!
//! Neither protocol is all of the PBX's own words: names that strangers chose stand in the events, and Asterisk writes them
//! as they came, line ends included. `asterisk::shape` says how events are told from what is written into them.
#![forbid(unsafe_code)]

mod address;
mod asterisk;
mod error;
mod event;
mod freeswitch;
pub mod fuzzing;
mod lines;
mod message;
mod session;

pub use error::Error;
pub use event::{Event, Kind, Service, Transport};
pub use lines::MAX_LINE;
pub use message::MAX_LINES;
pub use session::{Counts, Login, Output, Server, Session};
