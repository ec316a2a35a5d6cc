//! `ringfence confirm`, and what waits for it.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use super::panic;
use crate::cli::{DaemonArgs, RollBackArgs};
use crate::daemon::confirm;
use crate::exit::Exit;

/// Keeps what `run --confirm` put in force. Needs no daemon: the watch sees a file.
pub(crate) fn run(args: &DaemonArgs) -> Result<ExitCode, Exit> {
    if confirm::confirm(&args.run_dir)? {
        writeln!(io::stdout(), "confirmed: it stays")?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(Exit::No(format!("nothing waits in {} to be confirmed", args.run_dir.display())))
}

/// Waits for a confirmation, and takes everything off without one.
pub(crate) fn roll_back(args: &RollBackArgs) -> Result<ExitCode, Exit> {
    if !confirm::is_over(&args.run_dir, Duration::from_millis(args.after_ms), &args.token) {
        return Ok(ExitCode::SUCCESS);
    }
    let said = panic::take_everything_off(&args.run_dir, Some(&args.pin_dir))?;
    // Whoever started it may be gone.
    let _ = writeln!(io::stderr(), "nobody confirmed in time: {said}");
    Ok(ExitCode::SUCCESS)
}
