//! `ringfence confirm`, and what waits for it.

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use super::panic;
use crate::cli::{DaemonArgs, RollBackArgs, RunArgs};
use crate::daemon::force::InForce;
use crate::daemon::instance::Instance;
use crate::daemon::kept::Kept;
use crate::daemon::{confirm, control};
use crate::exit::Exit;
use crate::request::Request;

/// How long a daemon may take to put the policy before in force.
const PATIENCE: Duration = Duration::from_secs(10);

/// Keeps what was put in force on trial. Needs no daemon: the watch sees a file.
pub(crate) fn run(args: &DaemonArgs) -> Result<ExitCode, Exit> {
    if confirm::confirm(&args.run_dir)? {
        writeln!(io::stdout(), "confirmed: it stays")?;
        return Ok(ExitCode::SUCCESS);
    }
    Err(Exit::No(format!("nothing waits in {} to be confirmed", args.run_dir.display())))
}

/// Waits for a confirmation, and goes back without one: to the policy before, or to none.
pub(crate) fn roll_back(args: &RollBackArgs) -> Result<ExitCode, Exit> {
    if !confirm::is_over(&args.run_dir, Duration::from_millis(args.after_ms), &args.token) {
        return Ok(ExitCode::SUCCESS);
    }
    let said = match args.earlier.then(|| go_back(args)) {
        Some(Ok(said)) => said,
        Some(Err(reason)) => {
            let off = panic::take_everything_off(&args.run_dir, Some(&args.pin_dir))?;
            format!("the policy before cannot be put back ({}); {off}", reason.text())
        }
        None => panic::take_everything_off(&args.run_dir, Some(&args.pin_dir))?,
    };
    confirm::end(&args.run_dir, &args.token);
    // Whoever started it may be gone.
    let _ = writeln!(io::stderr(), "nobody confirmed in time: {said}");
    Ok(ExitCode::SUCCESS)
}

/// Has the daemon go back; does it in its place if there is none that can.
fn go_back(args: &RollBackArgs) -> Result<String, Exit> {
    let request = Request::RollBack { token: args.token.clone() };
    let answer = control::ask_within(&args.run_dir, &request, PATIENCE);
    if answer.is_ok_and(|answer| answer.get("ok") == Some(&Value::Bool(true))) {
        return Ok("the policy before is in force again".to_owned());
    }
    // It is not asked to end: of a daemon that was killed a service manager knows that it is to start it again.
    panic::kill(&args.run_dir)?;
    let _lock = Instance::lock(&args.run_dir)?;
    let policy = Kept::of(&args.state_dir).read()?;
    InForce::without_daemon(&policy, &args.as_run())?;
    Ok("the policy before is in force again, without a daemon: `ringfence run` starts it".to_owned())
}

impl RollBackArgs {
    fn as_run(&self) -> RunArgs {
        RunArgs {
            policy: self.state_dir.clone(),
            interfaces: self.interfaces.clone(),
            observe: false,
            state_dir: self.state_dir.clone(),
            confirm: None,
            group: None,
            no_confine: false,
            daemon: DaemonArgs { run_dir: self.run_dir.clone() },
            pin_dir: self.pin_dir.clone(),
        }
    }
}
