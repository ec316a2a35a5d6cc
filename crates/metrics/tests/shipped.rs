//! The alert rules and the board that are shipped ask for metrics and labels that there are, and every alert is tried by
//! `promtool test rules`.
#![expect(
    clippy::panic,
    clippy::string_slice,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use metrics::metric::Label;
use metrics::registry;
use serde_json::Value;

const RULES: &str = "packaging/prometheus/ringfence.rules.yml";
const TRIALS: &str = "crates/metrics/tests/rules.yml";
const BOARD: &str = "packaging/grafana/ringfence.json";
/// What Prometheus puts beside ours when it scrapes, and what belongs to the rules.
const OF_PROMETHEUS: [&str; 4] = ["instance", "job", "alertname", "alertstate"];

#[test]
fn rules_ask_for_what_there_is() {
    let text = read(RULES);
    let alerts = alerts(&text);
    assert!(alerts.len() > 10);
    for (name, rule) in &alerts {
        let labels = check(name, rule);
        for label in between(rule, "{{ $labels.", " }}") {
            assert!(labels.contains(label), "{name}: {label} is no label of what it asks for");
        }
        for part in ["summary:", "description:", "severity:"] {
            assert!(rule.contains(part), "{name} has no {part}");
        }
    }
}

#[test]
fn the_trials_ask_for_what_there_is_and_try_every_alert() {
    let trials = read(TRIALS);
    check(TRIALS, &trials);
    for (name, _) in alerts(&read(RULES)) {
        assert!(trials.contains(&format!("alertname=\"{name}\"")), "{name} is not tried");
    }
}

#[test]
fn promtool_accepts_the_rules_and_their_trials() {
    let Some(promtool) = lab::tools::find("promtool") else {
        lab::skip::skip("promtool_accepts_the_rules", "there is no promtool (package prometheus)");
        return;
    };
    for args in [["check", "rules", RULES], ["test", "rules", TRIALS]] {
        let output = Command::new(&promtool).current_dir(root()).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{args:?}: {text}");
    }
}

#[test]
fn the_board_asks_for_what_there_is() {
    let board: Value = serde_json::from_str(&read(BOARD)).unwrap();
    let panels = board["panels"].as_array().unwrap();
    let mut ids = BTreeSet::new();
    for panel in panels {
        let title = panel["title"].as_str().unwrap();
        assert!(ids.insert(panel["id"].as_u64().unwrap()), "{title}: its id is not its own");
        for target in panel["targets"].as_array().unwrap() {
            let expr = target["expr"].as_str().unwrap();
            assert!(!names(expr).is_empty(), "{title} asks for nothing of ours: {expr}");
            let labels = check(title, expr);
            for label in between(target["legendFormat"].as_str().unwrap(), "{{", "}}") {
                assert!(labels.contains(label), "{title}: {label} is no label of {expr}");
            }
        }
    }
    for variable in board["templating"]["list"].as_array().unwrap() {
        check("a variable", variable["definition"].as_str().unwrap_or_default());
    }
    check("an annotation", board["annotations"]["list"][0]["expr"].as_str().unwrap());
}

#[test]
fn promtool_accepts_what_is_served() {
    let Some(promtool) = lab::tools::find("promtool") else {
        lab::skip::skip("promtool_accepts_what_is_served", "there is no promtool (package prometheus)");
        return;
    };
    let status = serde_json::json!({
        "enforced": true, "observe": false, "faults": [], "waiting": [], "silent": [],
        "policy": { "loaded_at": "2026-11-28T12:00:00Z" }, "packets": { "by_reason": { "banned": 7 } },
        "jails": [{ "name": "a\"b\\c\nd", "lines": 1, "failures": 2 }], "ledger": { "repaired": 1 },
    });
    let text = metrics::text(&status, metrics::Format::Plain);
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("metrics");
    std::fs::write(&file, text).unwrap();
    let mut command = Command::new(promtool);
    let output =
        command.args(["check", "metrics"]).stdin(std::fs::File::open(&file).unwrap()).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.trim().is_empty(), "{text}");
}

/// Every metric in a query is one of ours with these labels, and what is compared with a label is a value it can have. All
/// labels that may come out of it.
fn check(place: &str, query: &str) -> BTreeSet<&'static str> {
    let mut labels: BTreeSet<&str> = OF_PROMETHEUS.into();
    for (name, matchers) in names(query) {
        let metric = registry::find(name).unwrap_or_else(|| panic!("{place}: there is no {name}"));
        labels.extend(metric.labels.iter().map(|label| label.name));
        for (label, value) in matchers {
            if OF_PROMETHEUS.contains(&label) {
                continue;
            }
            let known = metric.labels.iter().find(|known| known.name == label);
            let known = known.unwrap_or_else(|| panic!("{place}: {name} has no label {label}"));
            for value in value.split('|') {
                assert!(can_be(known, value), "{place}: {label} of {name} is never {value}");
            }
        }
    }
    for list in between(query, "by (", ")") {
        for label in list.split(',').map(str::trim) {
            assert!(labels.contains(label), "{place}: it asks for no metric with a label {label}");
        }
    }
    labels
}

fn can_be(label: &Label, value: &str) -> bool {
    label.values.known().is_none_or(|known| known.contains(&value))
}

/// Our metrics in a query, with what their labels are compared with.
fn names(query: &str) -> Vec<(&str, Vec<(&str, &str)>)> {
    let is_of_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let mut found = Vec::new();
    for (at, _) in query.match_indices("ringfence_") {
        if query[..at].ends_with(is_of_name) {
            continue;
        }
        let rest = &query[at..];
        let end = rest.find(|c| !is_of_name(c)).unwrap_or(rest.len());
        let (name, rest) = rest.split_at(end);
        let inner =
            rest.strip_prefix('{').and_then(|rest| rest.split_once('}')).map_or("", |(inner, _)| inner);
        let matchers = inner.split(',').filter_map(|one| {
            let (label, value) = one.split_once('=')?;
            Some((label.trim().trim_end_matches('!'), value.trim_start_matches('~').trim_matches('"')))
        });
        found.push((name, matchers.collect()));
    }
    found
}

/// Name and text of each rule.
fn alerts(text: &str) -> Vec<(String, String)> {
    let rules = text.split("- alert: ").skip(1);
    rules.map(|rule| (rule.lines().next().unwrap().trim().to_owned(), rule.to_owned())).collect()
}

fn between<'t>(text: &'t str, begin: &str, end: &str) -> Vec<&'t str> {
    text.split(begin).skip(1).filter_map(|rest| rest.split_once(end)).map(|(inner, _)| inner).collect()
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(file: &str) -> String {
    std::fs::read_to_string(root().join(file)).unwrap()
}
