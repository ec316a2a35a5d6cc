//! Every metric, once. Names follow Prometheus: base units, `_total` for what only grows.

use crate::metric::Kind::{self, Counter, Gauge};
use crate::metric::Place::{
    self, BanReasons, Fields, GateReasons, MemberFields, Members, One, RowFields, Rows, Version,
};
use crate::metric::Read::{Flag, Is, Labels, Length, Number, Time, Without};
use crate::metric::{Label, Metric, Values};

const VERDICT: Label = Label { name: "verdict", values: Values::Verdicts };
const REASON: Label = Label { name: "reason", values: Values::Reasons };
const FEED: Label = Label { name: "feed", values: Values::Names("the list's name in `[feeds]`") };
const JAIL: Label = Label { name: "jail", values: Values::Names("the jail's name in `[jails]`") };
const MANAGER: Label = Label { name: "manager", values: Values::Names("the PBX's name in `[managers]`") };
const TABLE: Label = Label {
    name: "table",
    values: Values::Names("`bans` in the kernel, or a table of the engine or the gate"),
};

const NONE: &[Label] = &[];
const ZERO_OR_ONE: &str = "0 or 1";

const fn metric(
    name: &'static str,
    kind: Kind,
    unit: &'static str,
    from: Place,
    help: &'static str,
) -> Metric {
    Metric { name, kind, unit, help, labels: NONE, from }
}

const fn labelled(metric: Metric, labels: &'static [Label]) -> Metric {
    Metric { labels, ..metric }
}

/// All of them, in the order in which they are told.
pub const REGISTRY: &[Metric] = &[
    labelled(
        metric("ringfence_build_info", Gauge, "1", Version, "The version that runs."),
        &[Label { name: "version", values: Values::Names("as `ringfence --version` has it") }],
    ),
    metric(
        "ringfence_enforced",
        Gauge,
        ZERO_OR_ONE,
        One("/enforced", Flag),
        "Whether the kernel was read back for this very answer (at most a second ago) and enforces the policy: links, programs, tables, nftables, and a packet from a banned address tried out.",
    ),
    metric(
        "ringfence_observing",
        Gauge,
        ZERO_OR_ONE,
        One("/observe", Flag),
        "Whether nothing is dropped because of `run --observe`; `ringfence_enforced` is 0 then.",
    ),
    metric(
        "ringfence_faults",
        Gauge,
        "faults",
        One("/faults", Length),
        "What keeps the policy from being enforced; `ringfence status` has the words.",
    ),
    metric(
        "ringfence_start_time_seconds",
        Gauge,
        "seconds since 1970",
        One("/started_at", Time),
        "When the daemon started.",
    ),
    metric(
        "ringfence_policy_loaded_timestamp_seconds",
        Gauge,
        "seconds since 1970",
        One("/policy/loaded_at", Time),
        "When the policy in force was loaded.",
    ),
    metric(
        "ringfence_collection_seconds",
        Gauge,
        "seconds",
        One("/collected_in", Number),
        "How long it took to collect all this.",
    ),
    labelled(
        metric(
            "ringfence_interface_guarded",
            Gauge,
            "1",
            Rows("/interfaces", &["/name", "/mode"], "", Labels),
            "An interface with the gate before it.",
        ),
        &[
            Label { name: "interface", values: Values::Names("its name") },
            Label { name: "mode", values: Values::Names("how, as in docs/interfaces.md") },
        ],
    ),
    metric(
        "ringfence_interfaces_waiting",
        Gauge,
        "interfaces",
        One("/waiting", Length),
        "Named interfaces that are not there.",
    ),
    labelled(
        metric(
            "ringfence_packets_total",
            Counter,
            "packets",
            GateReasons("/packets/by_reason"),
            "Packets that the gate judged. It goes on over restarts of the daemon.",
        ),
        &[VERDICT, REASON],
    ),
    labelled(
        metric(
            "ringfence_nftables_packets_total",
            Counter,
            "packets",
            Fields("/packets/nftables", &["accept", "drop", "reject"]),
            "Packets that rules of the nftables table decided about. It begins anew with each policy.",
        ),
        &[Label { name: "verdict", values: Values::Words(&["accept", "drop", "reject"]) }],
    ),
    labelled(
        metric(
            "ringfence_nftables_rule_packets_total",
            Counter,
            "packets",
            Rows("/packets/nftables/by_rule", &["/rule"], "/packets", Number),
            "Packets that a rule of the nftables table counted. It begins anew with each policy.",
        ),
        &[Label { name: "rule", values: Values::Names("the rule's line in the policy") }],
    ),
    labelled(
        metric("ringfence_bans", Gauge, "bans", Members("/bans/by", "", Number), "Bans in force."),
        &[Label { name: "by", values: Values::Names("`operator`, `detector`, or `feed:NAME`") }],
    ),
    labelled(
        metric("ringfence_bans_by_reason", Gauge, "bans", BanReasons("/bans/by_reason"), "Bans in force."),
        &[Label {
            name: "reason",
            values: Values::Names("a detector, `jail:NAME`, or `other` for the words of operators and lists"),
        }],
    ),
    labelled(
        metric(
            "ringfence_decisions_total",
            Counter,
            "decisions",
            MemberFields("/by_detector", DECISIONS),
            "What the engine decided, by the detector that was the reason.",
        ),
        &[
            Label { name: "detector", values: Values::Detectors },
            Label { name: "decision", values: Values::Words(DECISIONS) },
        ],
    ),
    metric(
        "ringfence_bans_refused_total",
        Counter,
        "bans and limits",
        One("/bans/refused", Number),
        "Bans and limits for which the kernel had no room. It begins anew with a policy that detects otherwise.",
    ),
    labelled(
        metric(
            "ringfence_connections_ended_total",
            Counter,
            "connections",
            Fields("/bans/ended", &["sockets", "tracked", "missed"]),
            "What was open when its source was banned.",
        ),
        &[Label { name: "how", values: Values::Words(&["sockets", "tracked", "missed"]) }],
    ),
    labelled(
        metric(
            "ringfence_table_entries",
            Gauge,
            "entries",
            Members("/engine", "/used", Number),
            "How full a table is.",
        ),
        &[TABLE],
    ),
    labelled(
        metric(
            "ringfence_table_limit",
            Gauge,
            "entries",
            Members("/engine", "/limit", Number),
            "How many entries a table has room for.",
        ),
        &[TABLE],
    ),
    metric(
        "ringfence_drift_repaired_total",
        Counter,
        "differences",
        One("/ledger/repaired", Number),
        "Differences between the kernel's bans and the ledger that were found and repaired: somebody changed the kernel's maps, or the daemon was interrupted.",
    ),
    metric(
        "ringfence_drift_compared_timestamp_seconds",
        Gauge,
        "seconds since 1970",
        One("/ledger/compared", Time),
        "When kernel and ledger were last compared; not there before the first time.",
    ),
    metric(
        "ringfence_ledger_queued",
        Gauge,
        "changes",
        One("/ledger/queued", Number),
        "Changes that wait for the disk.",
    ),
    metric(
        "ringfence_ledger_lost_total",
        Counter,
        "changes",
        One("/ledger/lost", Number),
        "Changes that never reached the disk.",
    ),
    metric(
        "ringfence_ledger_failing",
        Gauge,
        ZERO_OR_ONE,
        One("/ledger/failing_since", Flag),
        "Whether the ledger cannot be written. Bans hold in the kernel, and would not outlive a restart of the machine.",
    ),
    metric(
        "ringfence_events_delivered_total",
        Counter,
        "events",
        One("/events/delivered", Number),
        "Packets that the gate told the daemon of.",
    ),
    metric(
        "ringfence_events_lost_total",
        Counter,
        "events",
        One("/events/lost", Number),
        "Packets that the daemon was too slow to hear of; they were judged, but no detector saw them. It goes on over restarts of the daemon.",
    ),
    metric(
        "ringfence_events_untold_total",
        Counter,
        "events",
        One("/events/untold", Number),
        "Packets dropped as banned, blocked or beyond a limit that were counted, but not told one by one: of such a crowd a sample of 5,000 a second and processor is.",
    ),
    metric(
        "ringfence_events_unwritten_total",
        Counter,
        "lines",
        One("/events/unwritten", Number),
        "Lines of events.jsonl that could not be written.",
    ),
    metric(
        "ringfence_log_lines_suppressed",
        Gauge,
        "lines",
        One("/events/suppressed", Number),
        "Log lines that the rate limit left out since the last line that said so.",
    ),
    labelled(
        metric(
            "ringfence_feed_entries",
            Gauge,
            "entries",
            Rows("/feeds", &["/name"], "/entries", Number),
            "Entries of a block list.",
        ),
        &[FEED],
    ),
    labelled(
        metric(
            "ringfence_feed_banned",
            Gauge,
            "entries",
            Rows("/feeds", &["/name"], "/banned", Number),
            "Entries of a block list that are banned.",
        ),
        &[FEED],
    ),
    labelled(
        metric(
            "ringfence_feed_left_out",
            Gauge,
            "entries",
            RowFields("/feeds", "/name", LEFT_OUT),
            "Entries of a block list that are not banned, and why: not readable, refused as nonsense, beyond `most`, spared (trusted and own addresses), banned by the operator already, no room in the kernel.",
        ),
        &[FEED, Label { name: "why", values: Values::Words(LEFT_OUT) }],
    ),
    labelled(
        metric(
            "ringfence_feed_last_success_timestamp_seconds",
            Gauge,
            "seconds since 1970",
            Rows("/feeds", &["/name"], "/last_success", Time),
            "When a block list was last seen; not there before the first time.",
        ),
        &[FEED],
    ),
    labelled(
        metric(
            "ringfence_feed_failures",
            Gauge,
            "looks",
            Rows("/feeds", &["/name"], "/failures", Number),
            "Looks at a block list in a row that failed.",
        ),
        &[FEED],
    ),
    labelled(
        metric(
            "ringfence_jail_lines_total",
            Counter,
            "lines",
            Rows("/jails", &["/name"], "/lines", Number),
            "Lines of a jail's log. It begins anew with each policy, as do the others about jails.",
        ),
        &[JAIL],
    ),
    labelled(
        metric(
            "ringfence_jail_failures_total",
            Counter,
            "failures",
            Rows("/jails", &["/name"], "/failures", Number),
            "Failures that a jail's filter found.",
        ),
        &[JAIL],
    ),
    labelled(
        metric(
            "ringfence_jail_doubts_total",
            Counter,
            "lines or failures",
            RowFields("/jails", "/name", DOUBTS),
            "What is not quite right: lines that were cut, expressions that gave up, failures of what is not one address, failures that may be about somebody else.",
        ),
        &[JAIL, Label { name: "what", values: Values::Words(DOUBTS) }],
    ),
    labelled(
        metric(
            "ringfence_jail_unread_bytes",
            Gauge,
            "bytes",
            Rows("/jails", &["/name"], "/unread", Number),
            "How far the reading of a jail's files is behind.",
        ),
        &[JAIL],
    ),
    labelled(
        metric(
            "ringfence_jail_last_line_age_seconds",
            Gauge,
            "seconds",
            Rows("/jails", &["/name"], "/seconds_since_last_line", Number),
            "How long ago a jail's log had a line; not there before the first.",
        ),
        &[JAIL],
    ),
    labelled(
        metric(
            "ringfence_jail_files_missing",
            Gauge,
            "files",
            Rows("/jails", &["/name"], "/files", Without("open")),
            "Files of a jail that are not there or cannot be read.",
        ),
        &[JAIL],
    ),
    labelled(
        metric(
            "ringfence_jail_failing",
            Gauge,
            ZERO_OR_ONE,
            Rows("/jails", &["/name"], "/error", Flag),
            "Whether a jail's journal cannot be read.",
        ),
        &[JAIL],
    ),
    labelled(
        metric(
            "ringfence_manager_connected",
            Gauge,
            ZERO_OR_ONE,
            Rows("/witnesses/managers", &["/name"], "/state", Is("connected")),
            "Whether a PBX's manager interface is listened to.",
        ),
        &[MANAGER],
    ),
    labelled(
        metric(
            "ringfence_manager_events_total",
            Counter,
            "events",
            Rows("/witnesses/managers", &["/name"], "/events", Number),
            "Events of a PBX.",
        ),
        &[MANAGER],
    ),
    labelled(
        metric(
            "ringfence_manager_lost_total",
            Counter,
            "events",
            Rows("/witnesses/managers", &["/name"], "/lost", Number),
            "Events of a PBX that the daemon was too slow for.",
        ),
        &[MANAGER],
    ),
    labelled(
        metric(
            "ringfence_manager_doubtful_total",
            Counter,
            "events",
            Rows("/witnesses/managers", &["/name"], "/doubtful", Number),
            "Events of a PBX whose fields a stranger may have written.",
        ),
        &[MANAGER],
    ),
    labelled(
        metric(
            "ringfence_manager_logins_total",
            Counter,
            "logins",
            Rows("/witnesses/managers", &["/name"], "/logins", Number),
            "How often a PBX let us in.",
        ),
        &[MANAGER],
    ),
    labelled(
        metric(
            "ringfence_hep_packets_total",
            Counter,
            "packets",
            Fields("/witnesses/hep", HEP),
            "Copies of SIP messages that came by HEP, by what became of them; not there unless `[hep]` listens.",
        ),
        &[Label { name: "outcome", values: Values::Words(HEP) }],
    ),
    labelled(
        metric(
            "ringfence_hep_exported_total",
            Counter,
            "packets",
            Fields("/witnesses/hep/exported", &["sent", "lost"]),
            "Copies of SIP messages that were sent on by HEP; not there unless `[hep]` exports.",
        ),
        &[Label { name: "outcome", values: Values::Words(&["sent", "lost"]) }],
    ),
    metric(
        "ringfence_witnesses_silent",
        Gauge,
        "witnesses and ports",
        One("/silent", Length),
        "Witnesses that say nothing while the wire is busy, and ports with TLS that nobody sees into; `ringfence status` has the words.",
    ),
    labelled(
        metric(
            "ringfence_in_clear_total",
            Counter,
            "acceptances",
            Fields("/privacy/in_clear", PRIVACY),
            "What was accepted and could be read on the way, by what it was (docs/encryption.md).",
        ),
        &[Label { name: "what", values: Values::Words(PRIVACY) }],
    ),
    labelled(
        metric(
            "ringfence_encrypted_total",
            Counter,
            "acceptances",
            Fields("/privacy/encrypted", PRIVACY),
            "What was accepted and could not be read on the way, by what it was (docs/encryption.md).",
        ),
        &[Label { name: "what", values: Values::Words(PRIVACY) }],
    ),
    metric(
        "ringfence_peers_in_clear",
        Gauge,
        "peers",
        One("/privacy/peers_in_clear", Number),
        "Peers of which something was accepted that could be read on the way.",
    ),
    metric(
        "ringfence_policy_on_trial",
        Gauge,
        "flag",
        One("/policy/standing", Is("on-trial")),
        "1 while a policy waits for `ringfence confirm`.",
    ),
    metric(
        "ringfence_policy_rolled_back",
        Gauge,
        "flag",
        One("/policy/standing", Is("rolled-back")),
        "1 if the policy in force is the one before, as nobody confirmed the next.",
    ),
];

const PRIVACY: &[&str] = &["registrations", "calls", "streams", "logins", "accepted"];

const DECISIONS: &[&str] = &["evidence", "alert", "limit", "ban"];
const LEFT_OUT: &[&str] = &["unread", "refused", "beyond", "spared", "by_operator", "no_room"];
const DOUBTS: &[&str] = &["cut", "gave_up", "names", "ambiguous"];
/// As `host::hep` has them.
const HEP: &[&str] =
    &["taken", "lost", "foreign", "wrong-key", "broken", "other", "turned-away", "unknown-direction"];

/// A metric by its name.
#[must_use]
pub fn find(name: &str) -> Option<&'static Metric> {
    REGISTRY.iter().find(|metric| metric.name == name)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_as_prometheus_wants_them() {
        let names: BTreeSet<&str> = REGISTRY.iter().map(|metric| metric.name).collect();
        assert_eq!(names.len(), REGISTRY.len(), "none is twice");
        for metric in REGISTRY {
            let name = metric.name;
            let is_plain = |text: &str| text.bytes().all(|b| b.is_ascii_lowercase() || b == b'_');
            assert!(name.starts_with("ringfence_") && is_plain(name), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind == Counter, "{name}");
            assert!(metric.help.ends_with('.') && !metric.help.contains('\n'), "{name}");
            assert!(metric.labels.iter().all(|label| is_plain(label.name)), "{name}");
            assert!(!name.contains("seconds") || metric.unit.starts_with("seconds"), "{name}");
            assert!(!metric.unit.is_empty(), "{name}");
        }
    }
}
