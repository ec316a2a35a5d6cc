//! `ringfence reload`

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::ReloadArgs;
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::Request;

/// Makes the daemon read its policy again; the old one stays in force if the new one is wrong.
pub(crate) fn run(args: &ReloadArgs) -> Result<ExitCode, Exit> {
    let answer = control::ask(&args.daemon.run_dir, &Request::Reload { confirm: args.confirm })?;
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if answer.get("ok") == Some(&Value::Bool(true)) {
        writeln!(io::stdout(), "{}", text("message"))?;
        return Ok(ExitCode::SUCCESS);
    }
    write!(io::stderr(), "{}", text("details"))?;
    let system = answer.get("system") == Some(&Value::Bool(true));
    Err(if system { Exit::System(text("message")) } else { Exit::No(text("message")) })
}
