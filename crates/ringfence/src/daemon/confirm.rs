//! `run --confirm`: a process of its own waits, and takes everything off unless it is told in time that all is well. It does so
//! even if the daemon has died meanwhile.

use std::fs;
use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::cli::RunArgs;
use crate::exit::Exit;

/// As long as it is there, nobody has confirmed.
pub(super) const PENDING: &str = "confirm.pending";
/// How often the watch looks.
const LOOK: Duration = Duration::from_millis(200);

/// Starts the watch.
pub(crate) fn watch(args: &RunArgs, period: Duration) -> Result<(), Exit> {
    let pending = args.daemon.run_dir.join(PENDING);
    // The watch of an earlier run must not take this one for its own.
    let token = format!("{} {}", std::process::id(), host::machine::monotonic());
    fs::write(&pending, &token).map_err(Exit::io("write", &pending))?;
    let program = std::env::current_exe()
        .map_err(|error| Exit::System(format!("cannot find this program: {error}")))?;
    let mut command = Command::new(program);
    command
        .arg("roll-back")
        .arg("--after-ms")
        .arg(period.as_millis().to_string())
        .arg("--token")
        .arg(token)
        .arg("--run-dir")
        .arg(&args.daemon.run_dir)
        .arg("--pin-dir")
        .arg(&args.pin_dir)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        // What ends the daemon's group is not to end the watch.
        .process_group(0);
    command
        .spawn()
        .map_err(|error| Exit::System(format!("cannot start the watch for --confirm: {error}")))?;
    Ok(())
}

/// Says that all is well; `false` if nothing was pending.
pub(crate) fn confirm(run_dir: &Path) -> Result<bool, Exit> {
    let pending = run_dir.join(PENDING);
    match fs::remove_file(&pending) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(Exit::io("remove", &pending)(error)),
    }
}

/// Waits; `true` when the time is over and nobody has confirmed.
pub(crate) fn is_over(run_dir: &Path, period: Duration, token: &str) -> bool {
    let pending = run_dir.join(PENDING);
    let start = Instant::now();
    while fs::read_to_string(&pending).is_ok_and(|there| there == token) {
        if start.elapsed() >= period {
            // Only one of us and `confirm` can take it away.
            return fs::remove_file(&pending).is_ok();
        }
        std::thread::sleep(LOOK);
    }
    false
}
