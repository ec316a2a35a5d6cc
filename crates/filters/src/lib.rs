//! fail2ban's filters, as they are: log lines in, failures with their hosts out.
//!
//! A [`Filter`] is what a file of `filter.d` says after includes, interpolation and options. A [`Matcher`] runs one over one
//! log: it finds the date, cuts it out, and tries the expressions, as fail2ban does. Nothing here opens a file or reads a
//! clock; lines may hold whatever a stranger wrote, so work and memory per line are bounded, and what was cut or given up is
//! said in the [`Outcome`].
//!
//! ```text
//! filter.d/*.conf ─► ini ─► config ─► tags ─► Filter (regexes as Python's) ─► python ─► pattern ┐
//! line ─► date: found, cut out ─► who can match at all ─► prefregex ─► failregex ◄──────────────┘─► Failure
//! ```

#![forbid(unsafe_code)]

/// Sections of several files, one over the other, and what `%(…)s` in them means.
mod config;
/// When a line was written.
mod date;
/// What is wrong with a filter.
mod error;
/// A filter, read.
mod filter;
pub mod fuzzing;
/// Addresses and names, and the expressions that find them.
mod host;
/// Files as Python's `ConfigParser` reads them.
mod ini;
pub mod jail;
/// A filter at work on a log.
mod matcher;
/// `sshd[mode=aggressive]`
mod options;
/// A regular expression at work.
mod pattern;
/// Python's regular expressions.
mod python;
/// What `<…>` in a filter means.
mod tags;

pub use error::{Error, Place};
pub use filter::{Files, Filter, Kind, UseDns};
pub use host::Host;
pub use matcher::{Failure, Matcher, Outcome};

/// Bytes of a line that are looked at; the rest is cut, and that is said.
pub const MAX_LINE: usize = 64 << 10;
/// Lines that an expression may span, whatever a filter asks for.
pub const MAX_LINES: usize = 1000;
/// Bytes of the lines that are kept for expressions that span several.
pub const MAX_BUFFER: usize = 1 << 20;
/// Connections (`<F-MLFID>`) that are remembered; the one that began first makes room.
pub const MAX_CONNECTIONS: usize = 1024;
/// How long a connection is remembered, in seconds.
pub const MAX_CONNECTION_AGE: u64 = 300;
/// Lines that a failure tells, users that a connection remembers.
pub const MAX_TOLD: usize = 32;
/// Steps back that an expression with look-around may take on one line before it gives up.
pub const MAX_STEPS: usize = 100_000;
/// Bytes that a compiled expression may take.
pub const MAX_COMPILED: usize = 16 << 20;
/// Bytes of a configuration file.
pub const MAX_FILE: usize = 1 << 20;
/// Files that a filter may include.
pub const MAX_FILES: usize = 100;
/// Bytes that an option may grow to.
pub const MAX_OPTION: usize = 256 << 10;
