//! `ringfence stop [--clean]`

use std::io::{self, Write as _};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::{Value, json};

use crate::cli::StopArgs;
use crate::daemon::control;
use crate::daemon::instance::Instance;
use crate::exit::Exit;

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops the daemon; with `--clean` takes everything off, whether or not one is running.
pub(crate) fn run(args: &StopArgs) -> Result<ExitCode, Exit> {
    host::machine::check()?;
    let run_dir = &args.daemon.run_dir;
    let instance = Instance::read(run_dir);
    let mut out = io::stdout().lock();
    match control::ask(run_dir, &json!({ "command": "stop", "clean": args.clean })) {
        Ok(answer) => {
            let pid = answer.get("pid").and_then(Value::as_u64);
            Instance::wait_for_end(run_dir, PATIENCE)?;
            writeln!(
                out,
                "the daemon{} has ended",
                pid.map_or_else(String::new, |pid| format!(" (pid {pid})"))
            )?;
        }
        Err(_) if args.clean => writeln!(out, "no daemon is running here")?,
        Err(reason) => return Err(reason),
    }
    if !args.clean {
        writeln!(out, "the gate goes on with its last policy; `ringfence stop --clean` takes it off")?;
        return Ok(ExitCode::SUCCESS);
    }
    let known = instance.as_ref().map(|instance| instance.pin_dir.clone());
    let pins = args.pin_dir.clone().or(known).unwrap_or_else(|| "/sys/fs/bpf/ringfence".into());
    // A daemon that still starts or still ends must not put back what is removed here.
    let lock = Instance::lock(run_dir)?;
    let links = host::gate::remove(&pins)?;
    host::nft::remove()?;
    drop(lock);
    Instance::forget(run_dir)?;
    writeln!(out, "removed: {} links of the gate, their pins, the nftables table", links.len())?;
    Ok(ExitCode::SUCCESS)
}
