//! `ringfence status`

/// Who talks in the clear.
pub(super) mod privacy;

use std::io::{self, Write as _};
use std::process::ExitCode;

use serde_json::Value;

use crate::cli::{Format, StatusArgs};
use crate::daemon::control;
use crate::exit::Exit;
use crate::request::Request;

/// Shows what the daemon knows, after it has read the kernel back. Exit status 1 if not everything is enforced.
pub(crate) fn run(args: &StatusArgs) -> Result<ExitCode, Exit> {
    let status = control::ask(&args.daemon.run_dir, &Request::Status { verify: args.verify })?;
    let status = control::accepted(status)?;
    let mut out = io::stdout().lock();
    match args.format {
        Format::Json => writeln!(out, "{status}")?,
        Format::Text => write!(out, "{}", text(&status))?,
    }
    let enforced = status.get("enforced") == Some(&Value::Bool(true));
    let observing = status.get("observe") == Some(&Value::Bool(true));
    Ok(if enforced || observing { ExitCode::SUCCESS } else { ExitCode::from(1) })
}

fn text(status: &Value) -> String {
    use std::fmt::Write as _;
    let mut text = String::new();
    let at = |path: &str| status.pointer(path);
    let word = |path: &str| at(path).and_then(Value::as_str).unwrap_or("?").to_owned();
    let number = |path: &str| at(path).and_then(Value::as_u64).unwrap_or(0);
    let verdict = match (at("/observe"), at("/enforced")) {
        (Some(Value::Bool(true)), _) => "observing: nothing is dropped",
        (_, Some(Value::Bool(true))) => "yes, just read back from the kernel",
        _ => "NO",
    };
    let _ = writeln!(text, "enforced    {verdict}");
    for fault in at("/faults").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(text, "            ! {}", fault.as_str().unwrap_or_default());
    }
    let mut interfaces: Vec<String> = at("/interfaces")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .map(|one| {
            let field = |name: &str| one.get(name).and_then(Value::as_str).unwrap_or("?");
            format!("{} ({})", field("name"), field("mode"))
        })
        .collect();
    let waiting = at("/waiting").and_then(Value::as_array).into_iter().flatten();
    interfaces.extend(waiting.filter_map(Value::as_str).map(|name| format!("{name} (waiting)")));
    let _ = writeln!(text, "interfaces  {}", interfaces.join(", "));
    let standing = match word("/policy/standing").as_str() {
        "on-trial" => ", ON TRIAL: `ringfence confirm` keeps it",
        "rolled-back" => ", PUT BACK: nobody confirmed the one after it",
        _ => "",
    };
    let (path, loaded) = (word("/policy/path"), word("/policy/loaded_at"));
    let _ = writeln!(text, "policy      {path}, loaded {loaded}{standing}");
    let _ = writeln!(
        text,
        "packets     {} passed, {} dropped by the gate; {} dropped and {} rejected by nftables",
        number("/packets/accept"),
        number("/packets/drop"),
        number("/packets/nftables/drop"),
        number("/packets/nftables/reject")
    );
    for (reason, count) in at("/packets/by_reason").and_then(Value::as_object).into_iter().flatten() {
        if count.as_u64().unwrap_or(0) > 0 {
            let _ = writeln!(text, "            {count:>12} {reason}");
        }
    }
    let _ = writeln!(
        text,
        "bans        {} in force; kernel and ledger compared {}, {} differences repaired since the start",
        number("/bans/active"),
        at("/ledger/compared").and_then(Value::as_str).unwrap_or("not yet"),
        number("/ledger/repaired")
    );
    if let Some(agree) = at("/agree").and_then(Value::as_u64) {
        let _ = writeln!(text, "            just compared: {agree} agree, {} repaired", number("/repairs"));
    }
    for repaired in at("/repaired").and_then(Value::as_array).into_iter().flatten() {
        let _ = writeln!(text, "            ! repaired: {}", repaired.as_str().unwrap_or_default());
    }
    let _ = writeln!(
        text,
        "events      {} delivered, {} lost, {} log lines suppressed",
        number("/events/delivered"),
        number("/events/lost"),
        number("/events/suppressed")
    );
    confined(&mut text, status);
    feeds(&mut text, status);
    witnesses(&mut text, status);
    privacy::privacy(&mut text, status);
    for silent in texts(status.get("silent")) {
        let _ = writeln!(text, "            ! {silent}");
    }
    text
}

fn array(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn texts(value: Option<&Value>) -> impl Iterator<Item = &str> {
    array(value).filter_map(Value::as_str)
}

fn text_of<'a>(value: &'a Value, key: &str) -> &'a str {
    value.get(key).and_then(Value::as_str).unwrap_or_default()
}

fn number_of(value: &Value, key: &str) -> u64 {
    value.get(key).and_then(Value::as_u64).unwrap_or(0)
}

/// What the daemon has given up, and what it could not.
fn confined(text: &mut String, status: &Value) {
    use std::fmt::Write as _;
    let Some(confined) = status.get("confined").filter(|confined| confined.is_object()) else { return };
    let is = |name: &str| confined.get(name) == Some(&Value::Bool(true));
    let said = if is("switched_off") {
        "NO: started with --no-confine".to_owned()
    } else {
        let files = confined.get("landlock").and_then(Value::as_u64);
        let walls = [
            is("no_new_privs")
                .then(|| format!("{} capabilities", array(confined.get("capabilities")).count())),
            is("seccomp").then(|| "system calls".to_owned()),
            files.map(|version| format!("files (Landlock {version})")),
        ];
        let walls: Vec<String> = walls.into_iter().flatten().collect();
        if walls.is_empty() { "NO".to_owned() } else { format!("to {}", walls.join(", ")) }
    };
    let _ = writeln!(text, "confined    {said}");
    for missing in texts(confined.get("missing")) {
        let _ = writeln!(text, "            ! not by {missing}");
    }
}

/// What of a block list is not banned, and why.
const LEFT_OUT: [(&str, &str); 5] = [
    ("refused", "refused (reserved addresses, or networks too wide)"),
    ("unread", "lines not understood"),
    ("beyond", "beyond `most`"),
    ("spared", "spared (trusted, or in use by this host)"),
    ("no_room", "without room in the kernel"),
];

/// A line for each block list.
fn feeds(text: &mut String, status: &Value) {
    use std::fmt::Write as _;
    for feed in array(status.get("feeds")) {
        let _ = write!(
            text,
            "feed        {}: {} entries, {} banned",
            text_of(feed, "name"),
            number_of(feed, "entries"),
            number_of(feed, "banned")
        );
        for (key, what) in LEFT_OUT {
            let count = number_of(feed, key);
            if count > 0 {
                let _ = write!(text, ", {count} {what}");
            }
        }
        let error = feed.get("last_error").and_then(Value::as_str);
        let _ = writeln!(text, "{}", error.map_or_else(String::new, |error| format!(" ! {error}")));
    }
}

/// A line for each log and PBX that testifies.
fn witnesses(text: &mut String, status: &Value) {
    use std::fmt::Write as _;
    for jail in array(status.get("jails")) {
        let files: Vec<&Value> = array(jail.get("files")).collect();
        let open = files.iter().filter(|file| file.get("open") == Some(&Value::Bool(true))).count();
        let log = match jail.get("journal") {
            Some(Value::Bool(true)) => "the journal".to_owned(),
            _ => format!("{open} of {} files open", files.len()),
        };
        let _ = writeln!(
            text,
            "jail        {}: {log}, {} lines, {} failures",
            text_of(jail, "name"),
            number_of(jail, "lines"),
            number_of(jail, "failures")
        );
        let errors = files.iter().filter_map(|file| {
            file.get("error")
                .and_then(Value::as_str)
                .map(|error| format!("{}: {error}", text_of(file, "path")))
        });
        let own = jail.get("error").and_then(Value::as_str).map(str::to_owned);
        for error in errors.chain(own) {
            let _ = writeln!(text, "            ! {error}");
        }
    }
    for manager in array(status.pointer("/witnesses/managers")) {
        let why = ["version", "trouble"].iter().find_map(|key| manager.get(key)?.as_str());
        let why = why.map_or_else(String::new, |why| format!(" ({why})"));
        let _ = writeln!(
            text,
            "manager     {}: {}{why}, {} events",
            text_of(manager, "name"),
            text_of(manager, "state"),
            number_of(manager, "events")
        );
    }
    let Some(hep) = status.pointer("/witnesses/hep") else { return };
    let listening: Vec<&str> = texts(hep.get("listening")).collect();
    if !listening.is_empty() {
        let refused: u64 = ["foreign", "wrong-key", "broken"].map(|key| number_of(hep, key)).iter().sum();
        let _ = writeln!(
            text,
            "copies      by HEP at {}: {} taken, {refused} refused",
            listening.join(", "),
            number_of(hep, "taken")
        );
    }
    if let Some(exported) = hep.get("exported").filter(|exported| exported.is_object()) {
        let _ = writeln!(
            text,
            "copies      to others by HEP: {} sent, {} lost",
            number_of(exported, "sent"),
            number_of(exported, "lost")
        );
    }
}
