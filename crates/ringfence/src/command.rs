//! One file per command.

pub(crate) mod audit;
pub(crate) mod ban;
pub(crate) mod bans;
pub(crate) mod check;
pub(crate) mod confirm;
pub(crate) mod convert;
pub(crate) mod generate;
pub(crate) mod helpers;
pub(crate) mod init;
pub(crate) mod panic;
pub(crate) mod reload;
pub(crate) mod replay;
pub(crate) mod run;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod test_filter;
pub(crate) mod top;
pub(crate) mod trust;
pub(crate) mod unban;
pub(crate) mod why;

use std::fs;
use std::path::Path;

use policy::Policy;

use crate::exit::Exit;

/// Reads and checks a policy file.
pub(crate) fn read_policy(path: &Path) -> Result<Policy, Exit> {
    let bytes =
        fs::read(path).map_err(|error| Exit::No(format!("cannot read {}: {error}", path.display())))?;
    Policy::parse(&path.display().to_string(), bytes).map_err(Exit::Policy)
}
