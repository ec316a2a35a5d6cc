//! What the ledger knows, as JSON.

use std::time::{Duration, SystemTime};

use ledger::{BanRow, Scope, Time};
use serde_json::{Value, json};

use crate::daemon::clock;
use crate::daemon::report::timestamp;

/// A ban as `bans --format json` has it.
pub(super) fn ban_json(row: &BanRow) -> Value {
    let ban = &row.ban;
    json!({
        "type": "ban",
        "source": ban.source.to_string(),
        "reason": ban.reason,
        "since": time(ban.since),
        "until": ban.until.map(time),
        "by": ban.by.to_string(),
        "scope": scope(ban.scope),
        "dropped": ban.dropped,
        "detail": ban.detail,
        "level": ban.level,
        "evidence": ban.evidence,
        "first_seen": time(ban.first_seen),
        "last_seen": time(ban.last_seen),
        "rules": row.rules,
    })
}

pub(super) fn past_json(past: &ledger::Past) -> Value {
    let ban = &past.ban;
    let why = match &past.why {
        ledger::Ended::Expire => json!("expired"),
        ledger::Ended::Unban { who, note } => json!({ "who": who, "note": note }),
    };
    json!({
        "reason": ban.reason, "by": ban.by.to_string(), "since": time(ban.since), "until": ban.until.map(time),
        "ended": time(past.ended), "why": why, "detail": ban.detail, "dropped": ban.dropped, "source": ban.source.to_string(),
    })
}

pub(super) fn evidence_json(evidence: &ledger::Evidence) -> Value {
    json!({
        "time": time(evidence.time), "detector": evidence.detector, "detail": evidence.detail, "line": evidence.line,
    })
}

pub(super) fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::SipPorts => "sip",
        Scope::AllPorts => "all",
    }
}

pub(super) fn time(time: Time) -> String {
    let micros = Duration::from_micros(time.0.unsigned_abs());
    let time = if time.0 < 0 { SystemTime::UNIX_EPOCH - micros } else { SystemTime::UNIX_EPOCH + micros };
    timestamp(clock::shown(time))
}
