//! The engine's lines.

use std::time::{Duration, UNIX_EPOCH};

use engine::{Command, Kind};
use serde_json::{Value, json};

use crate::command::replay;
use crate::daemon::clock;

/// As people have it: a daemon counts in a time of its own.
fn rfc3339(time: Duration) -> String {
    let shown = clock::shown(UNIX_EPOCH + time);
    replay::rfc3339(shown.duration_since(UNIX_EPOCH).unwrap_or_default())
}

/// What a ban is for: a detector, or the jail whose measure was full.
pub(crate) fn reason_of(kind: Kind, jail: Option<&str>) -> String {
    jail.map_or_else(|| kind.as_str().to_owned(), |jail| format!("jail:{jail}"))
}

/// A line of JSON; `None` for what replay does not tell.
pub(crate) fn json(command: &Command) -> Option<Value> {
    Some(match command {
        Command::Evidence { time, source, detector, frame, detail } => json!({
            "type": "evidence", "time": rfc3339(*time), "source": source.to_string(), "detector": detector.as_str(),
            "frame": frame, "detail": detail,
        }),
        Command::Ban { time, source, reason, until, proven, jail, .. } => json!({
            "type": "ban", "time": rfc3339(*time), "source": source.to_string(),
            "reason": reason_of(*reason, jail.as_deref()),
            "until": rfc3339(*until), "proven": proven,
        }),
        Command::Alert { time, source, detector, detail } => json!({
            "type": "alert", "time": rfc3339(*time), "source": source.to_string(), "detector": detector.as_str(),
            "detail": detail,
        }),
        Command::Limit { time, source, reason, until, .. } => json!({
            "type": "limit", "time": rfc3339(*time), "source": source.to_string(), "reason": reason.as_str(),
            "until": rfc3339(*until),
        }),
        Command::Unlimit { time, source } => {
            json!({ "type": "unlimit", "time": rfc3339(*time), "source": source.to_string() })
        }
        Command::Trust { .. } => return None,
    })
}

/// A line of text.
pub(crate) fn text(command: &Command) -> Option<String> {
    Some(match command {
        Command::Evidence { time, source, detector, frame, detail } => {
            format!("{} evidence {source} {}: {detail} (frame {frame})", rfc3339(*time), detector.as_str())
        }
        Command::Ban { time, source, reason, until, jail, .. } => {
            let reason = reason_of(*reason, jail.as_deref());
            format!("{} BAN {source} {reason} until {}", rfc3339(*time), rfc3339(*until))
        }
        Command::Alert { time, source, detector, detail } => {
            format!("{} ALERT {source} {}: {detail}", rfc3339(*time), detector.as_str())
        }
        Command::Limit { time, source, reason, until, .. } => {
            format!("{} LIMIT {source} {} until {}", rfc3339(*time), reason.as_str(), rfc3339(*until))
        }
        Command::Unlimit { time, source } => format!("{} limit of {source} lifted", rfc3339(*time)),
        Command::Trust { .. } => return None,
    })
}

/// The fields that systemd's journal gets beside the line; none where there is no line.
pub(crate) fn fields(command: &Command) -> Vec<(&'static str, String)> {
    let of = |event: &str, source: String, detector: Kind, reason: String| {
        vec![
            ("RINGFENCE_EVENT", event.to_owned()),
            ("RINGFENCE_SOURCE", source),
            ("RINGFENCE_DETECTOR", detector.as_str().to_owned()),
            ("RINGFENCE_REASON", reason),
        ]
    };
    match command {
        Command::Ban { source, reason, until, jail, .. } => {
            let why = reason_of(*reason, jail.as_deref());
            let mut fields = of("ban", source.to_string(), *reason, why);
            fields.push(("RINGFENCE_UNTIL", rfc3339(*until)));
            fields
        }
        Command::Limit { source, reason, until, .. } => {
            let mut fields = of("limit", source.to_string(), *reason, reason.as_str().to_owned());
            fields.push(("RINGFENCE_UNTIL", rfc3339(*until)));
            fields
        }
        Command::Alert { source, detector, detail, .. } => {
            of("alert", source.to_string(), *detector, detail.clone())
        }
        Command::Evidence { .. } | Command::Unlimit { .. } | Command::Trust { .. } => Vec::new(),
    }
}

/// A line for the system's log, which has its own time.
pub(crate) fn log(command: &Command) -> Option<String> {
    Some(match command {
        Command::Ban { source, reason, until, jail, .. } => {
            let reason = reason_of(*reason, jail.as_deref());
            format!("ban SRC={source} REASON={reason} UNTIL={}", rfc3339(*until))
        }
        Command::Limit { source, reason, until, .. } => {
            format!("limit SRC={source} REASON={} UNTIL={}", reason.as_str(), rfc3339(*until))
        }
        Command::Alert { source, detector, detail, .. } => {
            format!("alert SRC={source} DETECTOR={} {detail}", detector.as_str())
        }
        Command::Evidence { .. } | Command::Unlimit { .. } | Command::Trust { .. } => return None,
    })
}
