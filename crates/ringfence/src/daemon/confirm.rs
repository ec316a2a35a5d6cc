//! `--confirm`: a process of its own waits, and goes back unless it is told in time that all is well. It does so even if the
//! daemon has died meanwhile.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::RunArgs;
use crate::exit::Exit;

/// As long as it is there, nobody has confirmed.
const PENDING: &str = "confirm.pending";
/// Somebody has, and the daemon does not know yet.
const GIVEN: &str = "confirm.given";
/// The time is over, and the watch is going back.
const OVER: &str = "confirm.over";
/// What there may be of these in the run directory.
pub(super) const FILES: [&str; 3] = [PENDING, GIVEN, OVER];
/// How often the watch looks.
const LOOK: Duration = Duration::from_millis(200);
/// A policy is in force by then, or was refused.
const BEGINS_WITHIN: Duration = Duration::from_secs(60);

/// A watch that was started, and does not wait yet.
#[must_use]
#[derive(Debug)]
pub(super) struct Watch {
    /// The watch of another trial must not take this one for its own.
    token: String,
}

/// Starts a watch. `earlier` says that there is a policy to go back to; else everything is taken off.
pub(super) fn start(args: &RunArgs, period: Duration, earlier: bool) -> Result<Watch, Exit> {
    let token = format!("{} {}", std::process::id(), host::machine::monotonic());
    let program = std::env::current_exe()
        .map_err(|error| Exit::System(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    command
        .arg("roll-back")
        .arg("--after-ms")
        .arg(period.as_millis().to_string())
        .arg("--token")
        .arg(&token)
        .arg("--run-dir")
        .arg(&args.daemon.run_dir)
        .arg("--pin-dir")
        .arg(&args.pin_dir)
        .arg("--state-dir")
        .arg(&args.state_dir)
        .args(args.interfaces.iter().flat_map(|name| ["--interface", name]))
        .args(earlier.then_some("--earlier"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // What ends the daemon's group is not to end the watch.
        .process_group(0);
    command
        .spawn()
        .map_err(|error| Exit::System(format!("cannot start the watch for --confirm: {error}")))?;
    Ok(Watch { token })
}

/// From now on it waits, and no other one does.
pub(super) fn begin(run_dir: &Path, watch: &Watch) -> Result<(), Exit> {
    clear(run_dir)?;
    let pending = run_dir.join(PENDING);
    fs::write(&pending, &watch.token).map_err(Exit::io("write", &pending))
}

/// Whether the time of this trial is over, and nothing came after it.
pub(super) fn is_overdue(run_dir: &Path, token: &str) -> bool {
    fs::read_to_string(run_dir.join(OVER)).is_ok_and(|there| there == token)
}

/// The watch has gone back; what came after that trial is not its own to remove.
pub(crate) fn end(run_dir: &Path, token: &str) {
    if is_overdue(run_dir, token) {
        // Whoever starts next removes it, too.
        let _ = fs::remove_file(run_dir.join(OVER));
    }
}

/// Says that all is well; `false` if nothing was pending.
pub(crate) fn confirm(run_dir: &Path) -> Result<bool, Exit> {
    let pending = run_dir.join(PENDING);
    // Only one of us and the watch can take it away.
    match fs::rename(&pending, run_dir.join(GIVEN)) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Exit::io("rename", &pending)(error)),
    }
}

/// Whether somebody has confirmed since this was last asked.
pub(super) fn was_given(run_dir: &Path) -> bool {
    fs::remove_file(run_dir.join(GIVEN)).is_ok()
}

/// Nothing waits any more, and no watch goes back.
pub(crate) fn clear(run_dir: &Path) -> Result<(), Exit> {
    for name in FILES {
        let path = run_dir.join(name);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(Exit::io("remove", &path)(error));
            }
            Ok(()) | Err(_) => {}
        }
    }
    Ok(())
}

/// Waits; `true` when the time is over and nobody has confirmed.
pub(crate) fn is_over(run_dir: &Path, period: Duration, token: &str) -> bool {
    let pending = run_dir.join(PENDING);
    let waits = || fs::read_to_string(&pending).is_ok_and(|there| there == token);
    let started = Instant::now();
    while !waits() {
        if started.elapsed() >= BEGINS_WITHIN {
            return false;
        }
        std::thread::sleep(LOOK);
    }
    let start = Instant::now();
    while waits() {
        if start.elapsed() >= period {
            return fs::rename(&pending, run_dir.join(OVER)).is_ok();
        }
        std::thread::sleep(LOOK);
    }
    false
}
