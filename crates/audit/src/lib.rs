//! A PBX's own configuration in, what is weak about it out.
//!
//! The crate opens no file and reads no clock: files come through [`Files`], the time is an argument. It has three layers, each
//! made only from the last: the format ([`conf`]), what it means to Asterisk (`meaning`), and what is weak about that
//! ([`checks`], one file each). Secrets go no further than the second: they never get into a finding.
#![forbid(unsafe_code)]

mod accepted;
mod certificate;
pub mod checks;
pub mod conf;
pub mod docs;
mod files;
pub mod fuzzing;
mod meaning;
mod profile;
mod report;
mod secret;
mod socket;

use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::time::Duration;

pub use accepted::{Accepted, AcceptedError};
pub use checks::{Check, Severity};
pub use conf::Place;
pub use files::{Files, MAX_FILE};
pub use profile::{
    Listener, Login, Manager, Media, Peer, Profile, Purpose, SecurityLog, Trunk, is_asked_for, profile,
};
pub use report::{Finding, Report, Style};
pub use socket::{Known, PBX_PROGRAMS, Protocol, Role, Socket};

use meaning::Pbx;

/// Why nothing can be said about a PBX.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is there, but cannot be read.
    #[error("cannot read {}: {source}", path.display())]
    Read {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    /// No configuration is as large.
    #[error("{} is larger than {} MiB", path.display(), MAX_FILE >> 20)]
    TooLarge { path: PathBuf },
    /// None of the files that would be read is there.
    #[error("there is no configuration of Asterisk in {}", path.display())]
    Nothing { path: PathBuf },
}

impl Error {
    /// What helps.
    #[must_use]
    pub fn help(&self) -> &'static str {
        match self {
            Self::Read { source, .. } if source.kind() == std::io::ErrorKind::PermissionDenied => {
                "it belongs to the PBX's user; run it as root, or as that user"
            }
            Self::Read { .. } => "see that all is there; `cp -rL` copies what links lead to, too",
            Self::TooLarge { .. } => "look whether something else was written there",
            Self::Nothing { .. } => "name the folder with `--asterisk-dir`",
        }
    }
}

/// What runs where the configuration is in force.
#[derive(Clone, Debug, Default)]
pub struct Here {
    /// What listens.
    pub sockets: Vec<Socket>,
    /// UDP ports that the policy opens to anyone, where there is a policy that names them.
    pub open_udp: Option<Vec<RangeInclusive<u16>>>,
}

/// Looks at the configuration in a directory; `here` is for the one of this very host.
///
/// # Errors
/// When a file cannot be read, or none is there.
pub fn audit(
    files: &dyn Files,
    directory: &Path,
    now: Duration,
    here: Option<Here>,
) -> Result<Report, Error> {
    let mut pbx = Pbx::read(files, directory, now)?;
    pbx.here = here;
    let mut report = Report::new(pbx.notes.clone());
    for check in checks::REGISTRY {
        let mut found = checks::Found { check, report: &mut report };
        (check.look)(&pbx, &mut found);
    }
    report.sort();
    Ok(report)
}

/// Whether a directory is the one that an Asterisk of this host reads, and no copy: the usual one, or the one that its own
/// `asterisk.conf` names.
#[must_use]
pub fn is_in_force(files: &dyn Files, directory: &Path) -> bool {
    let places = || conf::Config::load(files, directory, "asterisk.conf").ok()??.merged("directories");
    let names = || places()?.value("astetcdir").map(|path| Path::new(path) == directory);
    directory == Path::new(conf::USUAL) || names().unwrap_or(false)
}
