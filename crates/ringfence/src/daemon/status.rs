//! What `status` shows.

use std::time::{Duration, SystemTime};

use gate::layout::{MAX_BANS, MAX_GROUPS, MAX_RULES};
use gate::{Reason, Verdict};
use host::nft::{Counter, CounterVerdict};
use ledger::Time;
use policy::plan::automaton::MAX_STATES;
use serde_json::{Map, Value, json};

use super::book::{Book, LEDGER};
use super::clock;
use super::force::InForce;
use super::live::Live;
use super::report::{Reporter, timestamp};
use crate::cli::RunArgs;

/// What comparing kernel and ledger has brought so far.
#[derive(Clone, Copy, Debug)]
pub(super) struct Drifts {
    pub(super) found: u64,
    pub(super) compared: Option<SystemTime>,
}

/// The nftables table as the kernel had it. Reading it takes two runs of `nft`: not for the daemon's own thread.
#[derive(Debug)]
pub(crate) struct Table {
    fingerprint: Result<Option<[u8; 32]>, host::Error>,
    counters: Result<Vec<Counter>, host::Error>,
}

impl Table {
    pub(super) fn read() -> Self {
        Self { fingerprint: host::nft::fingerprint(), counters: host::nft::counters() }
    }
}

fn wall(time: Time) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_micros(time.0.unsigned_abs())
}

/// The whole status. `enforced` is true only if the kernel was read back just now and agrees.
pub(super) fn status(
    table: Table,
    force: &mut InForce,
    live: &Live,
    reporter: &Reporter,
    book: &Book,
    drifts: Drifts,
    args: &RunArgs,
) -> Value {
    let mut faults = force.faults_with(table.fingerprint);
    let interfaces: Vec<Value> = force
        .guarded()
        .map(|one| {
            let egress = force.gate().watched().find(|watched| watched.index == one.index);
            json!({
                "name": one.interface,
                "mode": one.mode.to_string(),
                "adopted": one.adopted,
                "egress": egress.map(|watched| watched.mode.to_string()),
            })
        })
        .collect();
    let packets = packets(force, table.counters).unwrap_or_else(|error| {
        faults.push(error);
        Value::Null
    });
    match force.gate_mut().try_out() {
        Ok(Some(true) | None) => {}
        Ok(Some(false)) => faults.push("a packet from a banned address went through the gate".to_owned()),
        Err(error) => faults.push(error.to_string()),
    }
    let counts = book.read(|reader| reader.counts(Time::from(clock::now())));
    let counts = counts.unwrap_or_else(|_| {
        faults.push("the ledger cannot be read".to_owned());
        ledger::Counts::default()
    });
    let by: Map<String, Value> = counts.by.iter().map(|(by, count)| (by.to_string(), json!(count))).collect();
    let ledger = book.state();
    if let (Some(_), Some(error)) = (ledger.failing_since, &ledger.last_error) {
        faults.push(error.clone());
    }
    let tables = &force.plan.gate.tables;
    let mut engine = Map::new();
    for (name, used, limit) in live.fills() {
        engine.insert(name.to_owned(), json!({ "used": used, "limit": limit }));
    }
    for (name, used, limit) in [
        ("bans", usize::try_from(counts.total).unwrap_or(usize::MAX), MAX_BANS as usize),
        ("automaton-states", tables.states, MAX_STATES),
        ("gate-rules", tables.rules.len(), MAX_RULES as usize),
        ("signatures", force.plan.gate.signatures.len(), usize::from(u16::MAX)),
        ("signature-groups", groups(force), MAX_GROUPS),
    ] {
        engine.insert(name.to_owned(), json!({ "used": used, "limit": limit }));
    }
    let undelivered = force.gate().undelivered_events().unwrap_or_default();
    json!({
        "type": "status",
        "pid": std::process::id(),
        "enforced": faults.is_empty() && !force.observe,
        "observe": force.observe,
        "faults": faults,
        "interfaces": interfaces,
        "waiting": force.waiting(),
        "searches_reassembled": force.gate().searches_reassembled(),
        "policy": {
            "path": force.policy_path.display().to_string(),
            "hash": hex(&force.policy_hash),
            "loaded_at": timestamp(force.loaded_at),
        },
        "packets": packets,
        "bans": {
            "active": counts.total,
            "capacity": MAX_BANS,
            "by": by,
            "by_reason": counts.reason,
            "decided": live.bans,
            "limited": live.limits,
            "alerts": live.alerts,
            "refused": live.refused,
            "ended": book.severer.json(),
            "reaction": live.reactions.json(),
        },
        "ledger": {
            "file": args.state_dir.join(LEDGER).display().to_string(),
            "queued": ledger.queued,
            "lost": ledger.lost + ledger.refused,
            "failing_since": ledger.failing_since.map(|time| timestamp(wall(time))),
            "compared": drifts.compared.map(timestamp),
            "repaired": drifts.found,
        },
        "events": {
            "delivered": reporter.delivered(),
            "lost": undelivered.lost,
            "untold": undelivered.untold,
            "suppressed": reporter.suppressed(),
            "unwritten": reporter.unwritten(),
            "file": args.state_dir.join("events.jsonl").display().to_string(),
        },
        "engine": engine,
    })
}

fn groups(force: &InForce) -> usize {
    let rules = &force.plan.gate.tables.rules;
    let with_text = rules.iter().filter(|rule| rule.checks & gate::layout::check::SIGNATURE != 0);
    with_text.map(|rule| rule.group as usize + 1).max().unwrap_or(0)
}

/// What the gate and nftables counted. The counters of the gate go on over restarts.
fn packets(force: &InForce, counters: Result<Vec<Counter>, host::Error>) -> Result<Value, String> {
    let counts = force.gate().counts().map_err(|error| error.to_string())?;
    let sum = |verdict: Verdict| -> u64 {
        counts.iter().filter(|(reason, _)| reason.verdict() == verdict).map(|(_, count)| count.packets).sum()
    };
    let by_reason: Map<String, Value> = counts
        .iter()
        .map(|(reason, count): &(Reason, _)| (reason.as_str().to_owned(), json!(count.packets)))
        .collect();
    let counters = counters.map_err(|error| error.to_string())?;
    let nft = |verdict: CounterVerdict| -> u64 {
        counters.iter().filter(|counter| counter.verdict == verdict).map(|counter| counter.packets).sum()
    };
    let by_rule: Vec<Value> = counters
        .iter()
        .map(|counter| json!({ "rule": counter.comment, "packets": counter.packets, "bytes": counter.bytes }))
        .collect();
    Ok(json!({
        "accept": sum(Verdict::Pass),
        "drop": sum(Verdict::Drop),
        "by_reason": by_reason,
        "nftables": {
            "accept": nft(CounterVerdict::Accept),
            "drop": nft(CounterVerdict::Drop),
            "reject": nft(CounterVerdict::Reject),
            "by_rule": by_rule,
        },
    }))
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}
