//! `docs/metrics.md`, from the registry.

use std::fmt::Write as _;

use crate::metric::{Kind, Label, Metric, Place, Values};
use crate::registry::REGISTRY;

const HEAD: &str = include_str!("head.md");

/// The document.
#[must_use]
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    text += "| metric | | unit | what | in `status --format json` |\n|---|---|---|---|---|\n";
    for metric in REGISTRY {
        let kind = match metric.kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        let labels: Vec<&str> = metric.labels.iter().map(|label| label.name).collect();
        let labels = if labels.is_empty() { String::new() } else { format!("{{{}}}", labels.join(",")) };
        let _ = writeln!(
            text,
            "| `{}{labels}` | {kind} | {} | {} | {} |",
            metric.name,
            metric.unit,
            metric.help,
            place(metric)
        );
    }
    text += "\n## Labels\n\n| label | of | is |\n|---|---|---|\n";
    for metric in REGISTRY {
        for label in metric.labels {
            let _ = writeln!(text, "| `{}` | `{}` | {} |", label.name, metric.name, values(label));
        }
    }
    text
}

fn place(metric: &Metric) -> String {
    let dotted = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
    match metric.from {
        Place::One("/collected_in", _) => "-".to_owned(),
        Place::One(pointer, _)
        | Place::Fields(pointer, _)
        | Place::BanReasons(pointer)
        | Place::GateReasons(pointer) => format!("`{}`", dotted(pointer)),
        Place::Members(pointer, "", _) | Place::MemberFields(pointer, _) => {
            format!("`{}`", dotted(pointer))
        }
        Place::Members(pointer, within, _) => format!("`{}.*.{}`", dotted(pointer), dotted(within)),
        Place::Rows(pointer, _, "", _) | Place::RowFields(pointer, _, _) => {
            format!("`{}[]`", dotted(pointer))
        }
        Place::Rows(pointer, _, within, _) => format!("`{}[].{}`", dotted(pointer), dotted(within)),
        Place::Version => "-".to_owned(),
    }
}

fn values(label: &Label) -> String {
    match label.values {
        Values::Detectors => "a detector ([detectors.md](detectors.md))".to_owned(),
        Values::Names(what) => what.to_owned(),
        Values::Reasons | Values::Verdicts | Values::Words(_) => {
            let known = label.values.known().unwrap_or_default();
            let known: Vec<String> = known.iter().map(|word| format!("`{word}`")).collect();
            known.join(" ")
        }
    }
}
