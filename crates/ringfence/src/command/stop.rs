//! `ringfence stop [--clean]`

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use serde_json::Value;

use crate::cli::{DEFAULT_PIN_DIR, DEFAULT_RUN_DIR, StopArgs};
use crate::daemon::control;
use crate::daemon::instance::Instance;
use crate::exit::Exit;
use crate::request::Request;

/// How long a daemon may take to end.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops the daemon; with `--clean` takes everything off, whether or not one is running.
pub(crate) fn run(args: &StopArgs) -> Result<ExitCode, Exit> {
    host::machine::check()?;
    let run_dir = &args.daemon.run_dir;
    let instance = Instance::read(run_dir);
    if args.clean {
        same_namespace(instance.as_ref())?;
    }
    let mut out = io::stdout().lock();
    match control::ask(run_dir, &Request::Stop { clean: args.clean }) {
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
    writeln!(out, "{}", take_off(run_dir, args.pin_dir.as_deref(), instance.as_ref())?)?;
    Ok(ExitCode::SUCCESS)
}

/// Removes everything that a daemon that has ended left; says what that was.
pub(super) fn take_off(
    run_dir: &Path,
    pin_dir: Option<&Path>,
    instance: Option<&Instance>,
) -> Result<String, Exit> {
    let Some((pins, mounted)) = pins(run_dir, pin_dir, instance)? else {
        return Ok(format!("nothing is known of a daemon in {}; nothing was removed", run_dir.display()));
    };
    // A daemon that still starts or still ends must not put back what is removed here.
    let lock = Instance::lock(run_dir)?;
    let links = host::gate::remove(&pins)?;
    let table = host::nft::list()?.is_some();
    host::nft::remove()?;
    // Last, as it takes more than the rest: a watch that a confined daemon started may not unmount.
    host::bpffs::give_back(&pins, mounted)?;
    Instance::forget(run_dir)?;
    drop(lock);
    let table = if table { "the nftables table" } else { "no nftables table (there was none)" };
    Ok(format!("removed: {} links of the gate, their pins, {table}", links.len()))
}

/// The nftables table is one of a namespace: from another one, the wrong table would go.
pub(super) fn same_namespace(instance: Option<&Instance>) -> Result<(), Exit> {
    match instance {
        Some(instance) if instance.namespace != host::machine::namespace() => Err(Exit::No(
            "that daemon guards another network namespace; run this command there (`nsenter --net=…`)"
                .to_owned(),
        )),
        Some(_) | None => Ok(()),
    }
}

/// Which pins to remove, and whether their file system was mounted for us. Only what was named or written down, or the
/// defaults where only defaults are in play.
fn pins(
    run_dir: &Path,
    pin_dir: Option<&Path>,
    instance: Option<&Instance>,
) -> Result<Option<(PathBuf, bool)>, Exit> {
    if let Some(named) = pin_dir {
        let named = std::path::absolute(named).map_err(Exit::io("find", named))?;
        let mounted = instance.is_some_and(|instance| instance.mounted && instance.pin_dir == named);
        return Ok(Some((named, mounted)));
    }
    Ok(match instance {
        Some(instance) => Some((instance.pin_dir.clone(), instance.mounted)),
        None if run_dir == Path::new(DEFAULT_RUN_DIR) => Some((DEFAULT_PIN_DIR.into(), false)),
        None => None,
    })
}
