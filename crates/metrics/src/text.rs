//! The text that Prometheus reads: its own format, version 0.0.4, or OpenMetrics 1.0.

use std::fmt::Write as _;

use serde_json::Value;

use crate::metric::{Kind, Metric};
use crate::read::samples;
use crate::registry::REGISTRY;

/// Which of the two texts.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    OpenMetrics,
    Plain,
}

impl Format {
    /// What a client that says `Accept: …` gets.
    #[must_use]
    pub fn accepted(accept: &str) -> Self {
        let is_open =
            |one: &str| one.split(';').next().map(str::trim) == Some("application/openmetrics-text");
        if accept.split(',').any(is_open) { Self::OpenMetrics } else { Self::Plain }
    }

    /// What it is called in HTTP.
    #[must_use]
    pub const fn content_type(self) -> &'static str {
        match self {
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
            Self::Plain => "text/plain; version=0.0.4; charset=utf-8",
        }
    }
}

/// Every metric with what the status says about it; those that it says nothing about are left out.
#[must_use]
pub fn text(status: &Value, format: Format) -> String {
    let mut text = String::new();
    for metric in REGISTRY {
        family(&mut text, metric, status, format);
    }
    if format == Format::OpenMetrics {
        text.push_str("# EOF\n");
    }
    text
}

fn family(text: &mut String, metric: &Metric, status: &Value, format: Format) {
    let samples = samples(metric, status);
    if samples.is_empty() {
        return;
    }
    let (kind, name) = match (metric.kind, format) {
        (Kind::Gauge, _) => ("gauge", metric.name),
        (Kind::Counter, Format::Plain) => ("counter", metric.name),
        // The family has the name without the ending of its samples.
        (Kind::Counter, Format::OpenMetrics) => {
            ("counter", metric.name.strip_suffix("_total").unwrap_or(metric.name))
        }
    };
    let _ = writeln!(text, "# HELP {name} {}", escaped(metric.help, format == Format::OpenMetrics));
    let _ = writeln!(text, "# TYPE {name} {kind}");
    for (values, value) in samples {
        text.push_str(metric.name);
        let pairs = metric.labels.iter().zip(&values);
        for (index, (label, value)) in pairs.enumerate() {
            let _ = write!(
                text,
                "{}{}=\"{}\"",
                if index == 0 { '{' } else { ',' },
                label.name,
                escaped(value, true)
            );
        }
        if !values.is_empty() {
            text.push('}');
        }
        let _ = writeln!(text, " {value}");
    }
}

/// Nothing that a stranger named can end a line or a label.
fn escaped(text: &str, with_quotes: bool) -> String {
    let mut out = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '"' if with_quotes => out.push_str("\\\""),
            // In neither format, and of no use to anybody.
            letter if letter.is_control() => out.push(char::REPLACEMENT_CHARACTER),
            letter => out.push(letter),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn lines(status: &Value, name: &str) -> Vec<String> {
        let text = text(status, Format::Plain);
        text.lines().filter(|line| line.starts_with(name)).map(str::to_owned).collect()
    }

    #[test]
    fn values_come_from_the_status() {
        let status = json!({
            "enforced": true, "observe": false, "faults": ["a", "b"],
            "policy": { "loaded_at": "2026-11-28T12:00:00.250000Z" },
            "interfaces": [{ "name": "eth0", "mode": "xdp" }],
            "packets": { "by_reason": { "banned": 7, "clean": 9, "no-such": 1 },
                         "nftables": { "accept": 1, "drop": 2, "reject": 3,
                                       "by_rule": [{ "rule": "line 3", "packets": 4 }, { "rule": "line 3", "packets": 5 }] } },
            "bans": { "by": { "detector": 3, "feed:drop": 2 }, "by_reason": { "flood": 1, "jail:sshd": 2, "mine": 3, "yours": 4 } },
            "by_detector": { "flood": { "evidence": 5, "ban": 1 } },
            "engine": { "bans": { "used": 5, "limit": 10 } },
            "ledger": { "failing_since": null },
            "jails": [{ "name": "sshd", "lines": 8, "files": [{ "open": true }, { "open": false }], "error": null }],
            "witnesses": { "managers": [{ "name": "pbx", "state": "connected" }, { "name": "old", "state": "lost" }] },
        });
        for expected in [
            "ringfence_enforced 1",
            "ringfence_observing 0",
            "ringfence_faults 2",
            "ringfence_policy_loaded_timestamp_seconds 1795867200.25",
            "ringfence_interface_guarded{interface=\"eth0\",mode=\"xdp\"} 1",
            "ringfence_packets_total{verdict=\"drop\",reason=\"banned\"} 7",
            "ringfence_packets_total{verdict=\"pass\",reason=\"clean\"} 9",
            "ringfence_nftables_packets_total{verdict=\"reject\"} 3",
            "ringfence_nftables_rule_packets_total{rule=\"line 3\"} 9",
            "ringfence_bans{by=\"feed:drop\"} 2",
            "ringfence_bans_by_reason{reason=\"jail:sshd\"} 2",
            "ringfence_bans_by_reason{reason=\"other\"} 7",
            "ringfence_decisions_total{detector=\"flood\",decision=\"ban\"} 1",
            "ringfence_decisions_total{detector=\"jail\",decision=\"ban\"} 0",
            "ringfence_table_limit{table=\"bans\"} 10",
            "ringfence_ledger_failing 0",
            "ringfence_jail_files_missing{jail=\"sshd\"} 1",
            "ringfence_manager_connected{manager=\"pbx\"} 1",
            "ringfence_manager_connected{manager=\"old\"} 0",
        ] {
            assert!(
                lines(&status, "ringfence_").iter().any(|line| line == expected),
                "{expected}\n{}",
                text(&status, Format::Plain)
            );
        }
        assert_eq!(lines(&status, "ringfence_packets_total").len(), 2, "what is not counted is not told");
        assert_eq!(lines(&status, "ringfence_ledger_queued"), [""; 0]);
    }

    #[test]
    fn what_is_named_by_others_stays_a_label() {
        let status = json!({ "jails": [{ "name": "a\"} 1\nevil 2\\\r", "lines": 1 }] });
        assert_eq!(
            lines(&status, "ringfence_jail_lines_total"),
            ["ringfence_jail_lines_total{jail=\"a\\\"} 1\\nevil 2\\\\\u{fffd}\"} 1"]
        );
        assert!(lines(&status, "evil").is_empty());
    }

    #[test]
    fn the_number_of_series_is_bounded() {
        let jails: Vec<Value> =
            (0..10_000).map(|number| json!({ "name": number.to_string(), "lines": 1 })).collect();
        let status = json!({ "jails": jails });
        assert_eq!(lines(&status, "ringfence_jail_lines_total").len(), crate::read::MOST);
    }

    #[test]
    fn prometheus_gets_what_it_asks_for() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert_eq!(Format::accepted(prometheus), Format::OpenMetrics);
        for other in ["", "*/*", "text/plain", "application/openmetrics-textual"] {
            assert_eq!(Format::accepted(other), Format::Plain, "{other}");
        }
        let open = text(&json!({ "ledger": { "repaired": 3 } }), Format::OpenMetrics);
        assert!(
            open.contains("# TYPE ringfence_drift_repaired counter\nringfence_drift_repaired_total 3\n"),
            "{open}"
        );
        assert!(open.ends_with("# EOF\n"));
    }
}
