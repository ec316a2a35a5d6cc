//! Logs that a policy has searched for failures.

use std::path::PathBuf;

/// A log, the filter that finds failures in it, and how they are counted.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Jail {
    /// The name of a fail2ban filter, with options in brackets, or an absolute path to one.
    pub filter: String,
    pub logs: Logs,
    /// Its name, numbers and scope.
    pub rule: engine::Jail,
}

/// Where lines come from.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Logs {
    /// Absolute paths; the last part may have `*` and `?`.
    Files(Vec<PathBuf>),
    /// systemd's journal, searched as the filter's `journalmatch` says.
    Journal,
}
