//! `ringfence unban`

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::UnbanArgs;
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::{Request, Unban};

/// Ends bans. Exit status 1 if there were none.
pub(crate) fn run(args: &UnbanArgs) -> Result<ExitCode, Exit> {
    let request = Request::Unban(Unban {
        target: args.target.map(|net| net.to_string()),
        reason: args.reason.clone(),
        by: args.by.clone(),
        grace: args.grace,
    });
    let answer = control::accepted(control::ask(&args.daemon.run_dir, &request)?)?;
    let number = |key: &str| answer.get(key).and_then(Value::as_u64).unwrap_or(0);
    let wider = answer.get("wider").and_then(Value::as_str);
    let mut out = io::stdout().lock();
    match (number("lifted"), args.target) {
        (0, Some(net)) if args.by.is_none() && args.reason.is_none() => {
            let hint = wider.map_or(String::new(), |wider| {
                format!(", but {wider} is, with all in it: `ringfence unban {wider}`")
            });
            return Err(Exit::No(format!("{net} is not banned{hint}")));
        }
        (0, _) => return Err(Exit::No("there is no such ban".to_owned())),
        (1, _) => writeln!(out, "1 ban is lifted")?,
        (count, _) => writeln!(out, "{count} bans are lifted")?,
    }
    if number("still") > 0 {
        writeln!(out, "{} of these sources are still banned by somebody else", number("still"))?;
    }
    if let Some(wider) = wider {
        writeln!(out, "{wider} is banned with all in it; `ringfence unban {wider}` lifts that")?;
    }
    Ok(ExitCode::SUCCESS)
}
