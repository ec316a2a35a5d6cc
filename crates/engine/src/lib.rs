//! Who attacks: observations and `now` in, commands out.
//!
//! ```text
//! Observation ─► connection (TCP) ─► sip ─► transaction ─► detectors ─► Finding ─► decision ─► Command
//! Testimony ──────────────────────────────────────────────┘   proof: what only the owner of an address can know
//! ```
//!
//! No I/O, no clock, no thread: the same observations give the same commands. Everything that grows has a bound, named where it
//! is made, and tells how full it is ([`Engine::fills`]). [`Enforcer`] applies commands where no kernel does.
#![forbid(unsafe_code)]

mod caller;
mod command;
mod connection;
mod detectors;
mod docs;
mod enforcer;
mod engine;
pub mod fuzzing;
mod hash;
mod observation;
mod privacy;
mod proof;
mod settings;
mod source;
mod table;
mod testimony;
mod time;
mod transaction;

pub use command::{Class, Command, Scope, Source};
pub use detectors::{Detector, Kind, REGISTRY};
pub use docs::markdown;
pub use enforcer::{Enforcer, Grant, Stop};
pub use engine::{Engine, Limits};
pub use observation::{Direction, Fate, Observation, Reading, Segment, Transport};
pub use privacy::{Peer, Report, Tally};
pub use settings::{Action, DECISION, Setting, Settings};
pub use table::Fill;
pub use testimony::{Fact, Failure, Jail, Testimony};
