//! `ringfence run`

use std::process::ExitCode;

use crate::cli::RunArgs;
use crate::daemon::Daemon;
use crate::exit::Exit;

/// Guards this host until stopped.
pub(crate) fn run(args: &RunArgs) -> Result<ExitCode, Exit> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Exit::System(format!("cannot start the event loop: {error}")))?;
    let daemon = Daemon::start(args)?;
    runtime.block_on(daemon.serve())?;
    Ok(ExitCode::SUCCESS)
}
