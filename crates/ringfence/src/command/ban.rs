//! `ringfence ban`

use std::io::{self, BufRead, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::{BanArgs, Target};
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::{Ban, Request};

/// Addresses that go to the daemon at once.
const BATCH: usize = 2000;
/// What is longer is no address; a batch of them fits into a request.
const MAX_LINE: usize = 100;

/// Bans what is named, or what stands in stdin: an address or network a line; what follows a `#` is a comment.
pub(crate) fn run(args: &BanArgs) -> Result<ExitCode, Exit> {
    let mut done = Done::default();
    match &args.target {
        Target::Net(net) => done.send(args, vec![net.to_string()])?,
        Target::Stdin => {
            let mut batch = Vec::with_capacity(BATCH);
            let mut input = io::stdin().lock();
            while let Some(line) = line(&mut input)? {
                let text = line.split('#').next().unwrap_or_default().trim();
                if text.is_empty() {
                    continue;
                }
                batch.push(text.to_owned());
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

/// The next line, of which no more is kept than is needed; `None` at the end. What is no text will be no address.
fn line(input: &mut impl BufRead) -> io::Result<Option<String>> {
    let mut kept = Vec::new();
    let mut is_end = true;
    loop {
        let part = input.fill_buf()?;
        if part.is_empty() {
            break;
        }
        is_end = false;
        let end = part.iter().position(|byte| *byte == b'\n');
        let more = part.iter().take(end.unwrap_or(part.len())).take(MAX_LINE - kept.len());
        kept.extend(more.copied());
        let length = end.map_or(part.len(), |end| end + 1);
        input.consume(length);
        if end.is_some() {
            break;
        }
    }
    Ok((!is_end).then(|| String::from_utf8_lossy(&kept).into_owned()))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_read_whatever_they_are() {
        let long = "x".repeat(300_000);
        let text = [b"192.0.2.1\n\xff\xfe\n".as_slice(), long.as_bytes(), b"\n\n2001:db8::1"].concat();
        let mut input = io::BufReader::with_capacity(7, text.as_slice());
        let lines: Vec<String> = std::iter::from_fn(|| line(&mut input).unwrap()).collect();
        assert_eq!(
            lines,
            ["192.0.2.1", "\u{fffd}\u{fffd}", "x".repeat(MAX_LINE).as_str(), "", "2001:db8::1"]
        );
    }
}
