//! What can go wrong in the lab.

use std::path::{Path, PathBuf};
use std::time::Duration;

/// A failure of the lab itself, as opposed to an answer that a probe or an attack got.
#[derive(Debug, thiserror::Error)]
pub enum LabError {
    /// Namespaces, mounts and chroot all need it.
    #[error("the lab needs root: run it with sudo")]
    NotRoot,
    /// A tool is not installed.
    #[error("`{program}` is missing: install the package `{package}`")]
    MissingTool {
        /// The command looked for.
        program: &'static str,
        /// The Debian package that has it.
        package: &'static str,
    },
    /// A process could not be started.
    #[error("cannot start `{command}`: {source}")]
    Start {
        /// The command line.
        command: String,
        /// Why.
        source: std::io::Error,
    },
    /// A process was ended because it took too long.
    #[error("`{command}` was ended after {} s without a result", limit.as_secs_f32())]
    TooSlow {
        /// The command line.
        command: String,
        /// The time it was given.
        limit: Duration,
    },
    /// A process that must succeed did not.
    #[error("`{command}` failed ({status}): {stderr}")]
    Failed {
        /// The command line.
        command: String,
        /// How it ended.
        status: std::process::ExitStatus,
        /// What it said, without the white space around.
        stderr: String,
    },
    /// An operation on a file or directory failed.
    #[error("cannot {operation} `{}`: {source}", path.display())]
    File {
        /// The verb, such as `read`.
        operation: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// A system call failed.
    #[error("cannot {operation}: {source}")]
    System {
        /// What was tried.
        operation: String,
        /// Why.
        source: std::io::Error,
    },
    /// There is a lab of that name already.
    #[error("the lab `{0}` is up already: `cargo xtask lab down` removes it")]
    AlreadyUp(String),
    /// There is no lab of that name.
    #[error("there is no lab `{0}`: `cargo xtask lab up` makes one")]
    NotUp(String),
    /// A name that cannot be part of a namespace's name.
    #[error("`{0}` cannot name a lab: use at most 24 of a-z, 0-9 and `-`")]
    BadName(String),
    /// No such namespace in a lab.
    #[error("`{0}` is no part of the lab: use attacker, phone, pbx or net")]
    NoSuchNode(String),
    /// Asterisk ended or never answered.
    #[error("asterisk did not come up within {} s; the end of its log:\n{log}", limit.as_secs())]
    NotBooted {
        /// The time it was given.
        limit: Duration,
        /// The last lines of its log.
        log: String,
    },
    /// Ringfence ended or never said that it is ready.
    #[error("ringfence was not ready within {} s; it said:\n{said}", limit.as_secs())]
    NotReady {
        /// The time it was given.
        limit: Duration,
        /// What it printed to standard error.
        said: String,
    },
    /// A tool printed something that is not understood.
    #[error("cannot make sense of what `{tool}` printed: {text}")]
    Unexpected {
        /// The tool.
        tool: &'static str,
        /// What it printed.
        text: String,
    },
}

/// For `map_err` on file operations.
pub(crate) fn file(operation: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LabError {
    let path = path.to_owned();
    move |source| LabError::File { operation, path, source }
}

/// For `map_err` on system calls.
pub(crate) fn system<E: Into<std::io::Error>>(operation: impl Into<String>) -> impl FnOnce(E) -> LabError {
    let operation = operation.into();
    move |source| LabError::System { operation, source: source.into() }
}
