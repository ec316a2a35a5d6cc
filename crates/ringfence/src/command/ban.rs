//! `ringfence ban`

use std::io::{self, BufRead as _, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::{BanArgs, Target};
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::{Ban, Request};

/// Addresses that go to the daemon at once.
const BATCH: usize = 5000;
/// A longer line of stdin is no address.
const MAX_LINE: usize = 256;

/// Bans what is named, or what stands in stdin: an address or network a line; what follows a `#` is a comment.
pub(crate) fn run(args: &BanArgs) -> Result<ExitCode, Exit> {
    let mut done = Done::default();
    match &args.target {
        Target::Net(net) => done.send(args, vec![net.to_string()])?,
        Target::Stdin => {
            let mut batch = Vec::with_capacity(BATCH);
            for line in io::stdin().lock().lines() {
                let line = line?;
                let text = line.split('#').next().unwrap_or_default().trim();
                if text.is_empty() {
                    continue;
                }
                batch.push(text.chars().take(MAX_LINE).collect());
                if batch.len() == BATCH {
                    done.send(args, std::mem::take(&mut batch))?;
                }
            }
            if !batch.is_empty() {
                done.send(args, batch)?;
            }
        }
    }
    let what = if done.banned == 1 { "ban is" } else { "bans are" };
    if done.banned > 0 || done.refused == 0 {
        writeln!(io::stdout(), "{} {what} in force and in the ledger", done.banned)?;
    }
    Ok(if done.refused == 0 { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

/// What became of all.
#[derive(Default)]
struct Done {
    banned: u64,
    refused: usize,
}

impl Done {
    fn send(&mut self, args: &BanArgs, targets: Vec<String>) -> Result<(), Exit> {
        let request = Request::Ban(Ban {
            targets,
            period: args.period,
            reason: args.reason.clone(),
            all_ports: args.all_ports,
            by: args.by.clone(),
        });
        let answer = control::accepted(control::ask(&args.daemon.run_dir, &request)?)?;
        self.banned += answer.get("banned").and_then(Value::as_u64).unwrap_or(0);
        for refused in answer.get("refused").and_then(Value::as_array).into_iter().flatten() {
            self.refused += 1;
            let why = refused.get("why").and_then(Value::as_str).unwrap_or_default();
            writeln!(io::stderr(), "error: {why}")?;
        }
        Ok(())
    }
}
