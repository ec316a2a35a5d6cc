//! What the daemon starts to have done what it cannot or must not do itself.

use std::os::unix::process::CommandExt as _;
use std::process::ExitCode;

use host::confine::{Confinement, Role};
use host::fetchers;
use host::machine::sessions;

use crate::cli::{ConfinedArgs, HelperArgs};
use crate::exit::Exit;

/// Looks who is logged in.
pub(crate) fn sessions(args: &HelperArgs) -> Result<ExitCode, Exit> {
    sessions::serve(args.no_confine)?;
    Ok(ExitCode::SUCCESS)
}

/// Starts those that ask servers.
pub(crate) fn fetchers(args: &HelperArgs) -> Result<ExitCode, Exit> {
    fetchers::serve(args.no_confine)?;
    Ok(ExitCode::SUCCESS)
}

/// Asks one server.
pub(crate) fn fetch(args: &HelperArgs) -> Result<ExitCode, Exit> {
    fetchers::serve_one(args.no_confine)?;
    Ok(ExitCode::SUCCESS)
}

/// Runs a program with what the daemon has left: how the table in SECURITY.md is made.
pub(crate) fn confined(args: &ConfinedArgs) -> Result<ExitCode, Exit> {
    let entered = Confinement::new(Role::Daemon, args.writable.clone()).enter();
    if let Some(missing) = entered.missing.iter().find(|missing| !missing.starts_with("landlock")) {
        return Err(Exit::System(format!("cannot confine: {missing}")));
    }
    let (program, arguments) = args.command.split_first().ok_or(Exit::Silent)?;
    let error = std::process::Command::new(program).args(arguments).exec();
    Err(Exit::System(format!("cannot run {program}: {error}")))
}
