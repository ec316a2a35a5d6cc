//! `ringfence panic`: the way out when something is wrong and there is no time to find out what.

use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use super::stop;
use crate::cli::PanicArgs;
use crate::daemon::control;
use crate::daemon::instance::Instance;
use crate::exit::Exit;
use crate::request::Request;

/// How long a daemon may take to end by itself.
const PATIENCE: Duration = Duration::from_secs(3);

/// Ends the daemon, by force if it does not answer, and takes everything off.
pub(crate) fn run(args: &PanicArgs) -> Result<ExitCode, Exit> {
    host::machine::check()?;
    let said = take_everything_off(&args.daemon.run_dir, args.pin_dir.as_deref())?;
    writeln!(io::stdout(), "{said}")?;
    Ok(ExitCode::SUCCESS)
}

/// The same, for the watch that `run --confirm` leaves; says what was done.
pub(crate) fn take_everything_off(run_dir: &Path, pin_dir: Option<&Path>) -> Result<String, Exit> {
    let instance = Instance::read(run_dir);
    stop::same_namespace(instance.as_ref())?;
    end(run_dir)?;
    stop::take_off(run_dir, pin_dir, instance.as_ref())
}

/// Ends the daemon, by force if it does not answer.
pub(super) fn end(run_dir: &Path) -> Result<(), Exit> {
    let asked = control::ask_within(run_dir, &Request::Stop { clean: true }, PATIENCE);
    if asked.is_err() || Instance::wait_for_end(run_dir, PATIENCE).is_err() {
        return kill(run_dir);
    }
    Ok(())
}

/// Kills the daemon that holds the run directory, if there is one. Its number was written by root, and is believed only of a process
/// with our own name while the lock is held.
pub(super) fn kill(run_dir: &Path) -> Result<(), Exit> {
    let Some(pid) = Instance::pid(run_dir) else { return Instance::wait_for_end(run_dir, PATIENCE) };
    let is_ours =
        fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "ringfence");
    let is_held = Instance::lock(run_dir).is_err();
    if is_ours
        && is_held
        && let Some(pid) = Pid::from_raw(pid)
    {
        // Gone already is as good.
        let _ = kill_process(pid, Signal::KILL);
    }
    Instance::wait_for_end(run_dir, PATIENCE)
}
