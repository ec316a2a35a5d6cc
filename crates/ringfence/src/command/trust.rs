//! `ringfence trust`

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::{Format, TrustArgs};
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::Request;

/// Trusts, trusts no more, or shows what is trusted.
pub(crate) fn run(args: &TrustArgs) -> Result<ExitCode, Exit> {
    let request = match &args.what {
        Some(what) if args.remove => Request::Untrust { what: what.clone() },
        what => Request::Trust { what: what.clone(), note: args.note.clone() },
    };
    let answer = control::accepted(control::ask(&args.daemon.run_dir, &request)?)?;
    let mut out = io::stdout().lock();
    if let Some(message) = answer.get("message").and_then(Value::as_str) {
        writeln!(out, "{message}")?;
        return Ok(ExitCode::SUCCESS);
    }
    let rows = answer.get("trusted").and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    if rows.is_empty() && args.format == Format::Text {
        writeln!(out, "nobody is trusted but whom the policy trusts")?;
    }
    for row in rows {
        if args.format == Format::Json {
            writeln!(out, "{row}")?;
            continue;
        }
        let word = |key: &str| row.get(key).and_then(Value::as_str).unwrap_or_default();
        let addresses: Vec<&str> = row
            .get("addresses")
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
            .filter_map(Value::as_str)
            .filter(|address| *address != word("what"))
            .collect();
        let addresses =
            if addresses.is_empty() { String::new() } else { format!(" ({})", addresses.join(", ")) };
        let since = match word("since") {
            "" => String::new(),
            since => format!("since {since}  "),
        };
        writeln!(out, "{}{addresses}  {since}{}", word("what"), word("note"))?;
    }
    Ok(ExitCode::SUCCESS)
}
