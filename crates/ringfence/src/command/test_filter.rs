//! `ringfence test-filter LOG FILTER`: what a filter of fail2ban finds in a log.

mod summary;

use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use filters::{Filter, Kind, Matcher, Outcome};
use serde::Serialize;

use crate::cli::{Format, TestFilterArgs};
use crate::command::replay::rfc3339;
use crate::disk::{Disk, FILTER_FOLDERS, LogLines, told};
use crate::exit::Exit;
use crate::zone;
use summary::Summary;

/// Runs the filter over the log.
pub(crate) fn run(args: &TestFilterArgs) -> Result<ExitCode, Exit> {
    let folders: Vec<PathBuf> = if args.filter_dir.is_empty() {
        FILTER_FOLDERS.iter().map(PathBuf::from).collect()
    } else {
        args.filter_dir.clone()
    };
    let folders: Vec<&Path> = folders.iter().map(PathBuf::as_path).collect();
    let filter = Filter::load(&args.filter, Kind::File, &folders, &Disk).map_err(|error| told(&error))?;
    let unreadable = |error| Exit::No(format!("cannot read {}: {error}", args.log.display()));
    let mut lines = LogLines::open(&args.log).map_err(unreadable)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let zone = zone::local();
    let mut matcher = Matcher::new(&filter);
    let mut summary = Summary::default();
    while let Some(line) = lines.next().map_err(unreadable)? {
        let outcome = matcher.line(line, now, &zone);
        summary.see(line, &outcome);
        if args.format == Format::Json {
            write_json(&mut out, summary.lines(), &outcome)?;
        }
        matcher.take_back(outcome);
    }
    match args.format {
        Format::Json => summary.write_json(&mut out)?,
        Format::Text => summary.write_text(&mut out, args, &matcher)?,
    }
    out.flush()?;
    Ok(ExitCode::SUCCESS)
}

/// One line of the log, as programs read it.
#[derive(Debug, Serialize)]
struct Line<'a> {
    line: u64,
    r#match: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    host: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    regex: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    user: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    other: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gave_up: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    cut: Option<bool>,
}

fn write_json(out: &mut impl Write, number: u64, outcome: &Outcome) -> Result<(), Exit> {
    let failure = outcome.failures.first();
    let line = Line {
        line: number,
        r#match: failure.is_some(),
        host: failure.map(|failure| failure.id.clone().unwrap_or_else(|| failure.host.to_string())),
        time: failure.map(|failure| rfc3339(failure.time)),
        regex: failure.map(|failure| failure.regex + 1),
        user: failure.and_then(|failure| failure.user.as_deref()),
        other: failure.and_then(|failure| failure.other.as_ref()).map(ToString::to_string),
        gave_up: Some(outcome.gave_up).filter(|count| *count > 0),
        cut: Some(outcome.cut).filter(|cut| *cut),
    };
    serde_json::to_writer(&mut *out, &line).map_err(io::Error::from)?;
    writeln!(out)?;
    Ok(())
}

/// Since the program began to read; only for people.
fn seconds(since: SystemTime) -> Duration {
    since.elapsed().unwrap_or_default()
}
