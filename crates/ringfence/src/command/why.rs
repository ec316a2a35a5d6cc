//! `ringfence why`

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use super::bans::left;
use crate::cli::{Format, WhyArgs};
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::Request;

/// Tells the story of an address. Exit status 1 if nothing is known of it.
pub(crate) fn run(args: &WhyArgs) -> Result<ExitCode, Exit> {
    let request = Request::Why { address: args.address };
    let story = control::accepted(control::ask(&args.daemon.run_dir, &request)?)?;
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{story}")?,
        Format::Text => write!(out, "{}", text(&story))?,
    }
    let is_known = ["active", "past", "evidence"].iter().any(|key| !list(&story, key).is_empty());
    Ok(if is_known { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn list<'a>(story: &'a Value, key: &str) -> &'a [Value] {
    story.get(key).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn word<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

/// The story for people: how it stands, what would end it, what happened.
fn text(story: &Value) -> String {
    let mut text = String::new();
    let source = word(story, "source");
    let active = list(story, "active");
    let in_kernel = story.get("in_kernel") == Some(&Value::Bool(true));
    match active.first() {
        None if in_kernel => {
            let _ = writeln!(
                text,
                "{source} is banned in the kernel, but not in the ledger: the next comparison lifts that"
            );
        }
        None => {
            let _ = writeln!(text, "{source} is not banned ({})", class(word(story, "class")));
        }
        Some(ban) => {
            let ports = if word(ban, "scope") == "all" { "every port" } else { "the SIP ports" };
            let _ =
                writeln!(text, "{} is banned from {ports} since {}", word(ban, "source"), word(ban, "since"));
        }
    }
    for ban in active {
        let _ = writeln!(text, "  by {}: {}", word(ban, "by"), word(ban, "reason"));
        if !word(ban, "detail").is_empty() {
            let _ = writeln!(text, "    {}", word(ban, "detail"));
        }
        let number = |key: &str| ban.get(key).and_then(Value::as_u64).unwrap_or(0);
        let _ =
            writeln!(text, "    ban number {}, {} packets dropped since", number("level"), number("dropped"));
        match ban.get("until").and_then(Value::as_str) {
            Some(until) => {
                let _ = writeln!(
                    text,
                    "    it ends by itself at {until} (in {}), or with `ringfence unban {}`",
                    left(Some(until)),
                    word(ban, "source")
                );
            }
            None => {
                let _ = writeln!(text, "    it ends only with `ringfence unban {}`", word(ban, "source"));
            }
        }
    }
    if let Some(why) = story.get("sheltered").and_then(Value::as_str) {
        let _ = writeln!(text, "it is spared: {why}");
    }
    if !list(story, "evidence").is_empty() {
        let _ = writeln!(text, "what it did:");
    }
    for evidence in list(story, "evidence") {
        let _ = writeln!(
            text,
            "  {}  {}: {}",
            word(evidence, "time"),
            word(evidence, "detector"),
            word(evidence, "detail")
        );
        if let Some(line) = evidence.get("line").and_then(Value::as_str) {
            let _ = writeln!(text, "      {line}");
        }
    }
    if !list(story, "past").is_empty() {
        let _ = writeln!(text, "bans that are over:");
    }
    for past in list(story, "past") {
        let why = match past.get("why") {
            Some(Value::Object(why)) => {
                let word = |key: &str| why.get(key).and_then(Value::as_str).unwrap_or_default();
                format!("lifted by {}: {}", word("who"), word("note"))
            }
            _ => "expired".to_owned(),
        };
        let _ = writeln!(
            text,
            "  {} to {}  {} by {}, {why}",
            word(past, "since"),
            word(past, "ended"),
            word(past, "reason"),
            word(past, "by")
        );
    }
    text
}

/// What a class means.
fn class(name: &str) -> &str {
    match name {
        "proven" => "proven: its address is its own",
        "credited" => "credited: it authenticated not long ago",
        "trusted" => "trusted",
        _ => "unproven: nothing shows that its address is its own",
    }
}
