//! From the status to the samples of a metric.

use std::collections::BTreeMap;

use gate::{Reason, Verdict};
use serde_json::Value;

use crate::metric::{Metric, Place, Read, Values};

/// Samples of one metric. What is beyond is left out: a monitor must not drown.
pub(crate) const MOST: usize = 2_000;

/// Values by their labels' values. Equal labels are one sample: what they count adds up.
pub(crate) type Samples = BTreeMap<Vec<String>, f64>;

/// What the status says about a metric. What is not there has no sample.
pub(crate) fn samples(metric: &Metric, status: &Value) -> Samples {
    let mut samples = Samples::new();
    let at = |pointer: &str| status.pointer(pointer);
    let mut add = |labels: Vec<String>, value: Option<f64>| {
        if let Some(value) = value.filter(|_| samples.len() < MOST || samples.contains_key(&labels)) {
            *samples.entry(labels).or_insert(0.0) += value;
        }
    };
    match metric.from {
        Place::One(pointer, read) => add(Vec::new(), number(at(pointer), read)),
        Place::Members(pointer, within, read) => {
            for (name, member) in members(at(pointer)) {
                add(vec![name.clone()], number(member.pointer(within), read));
            }
        }
        Place::MemberFields(pointer, fields) => {
            // What never happened is 0, so that the first time is seen as a change.
            let known = metric.labels.first().and_then(|label| label.values.known()).unwrap_or_default();
            for name in known {
                fields.iter().for_each(|field| add(vec![name.to_owned(), (*field).to_owned()], Some(0.0)));
            }
            for (name, member) in members(at(pointer)) {
                for field in fields {
                    let value = number(member.get(field), Read::Number);
                    add(vec![name.clone(), (*field).to_owned()], value);
                }
            }
        }
        Place::Rows(pointer, labels, within, read) => {
            for row in rows(at(pointer)) {
                let labels = labels.iter().map(|place| word(row.pointer(place))).collect();
                add(labels, number(row.pointer(within), read));
            }
        }
        Place::RowFields(pointer, label, fields) => {
            for row in rows(at(pointer)) {
                for field in fields {
                    let labels = vec![word(row.pointer(label)), (*field).to_owned()];
                    add(labels, number(row.get(field), Read::Number));
                }
            }
        }
        Place::Fields(pointer, fields) => {
            for field in fields {
                let value = at(pointer).and_then(|object| object.get(field));
                add(vec![(*field).to_owned()], number(value, Read::Number));
            }
        }
        Place::BanReasons(pointer) => {
            let detectors = Values::Detectors.known().unwrap_or_default();
            for (name, count) in members(at(pointer)) {
                let is_ours = name.starts_with("jail:") || detectors.contains(&name.as_str());
                let name = if is_ours { name.as_str() } else { "other" };
                add(vec![name.to_owned()], number(Some(count), Read::Number));
            }
        }
        Place::GateReasons(pointer) => {
            for reason in Reason::ALL {
                let verdict = match reason.verdict() {
                    Verdict::Pass => "pass",
                    Verdict::Drop => "drop",
                };
                let count = at(pointer).and_then(|counts| counts.get(reason.as_str()));
                let labels = vec![verdict.to_owned(), reason.as_str().to_owned()];
                add(labels, number(count, Read::Number));
            }
        }
        Place::Version => add(vec![env!("CARGO_PKG_VERSION").to_owned()], Some(1.0)),
    }
    samples
}

fn number(value: Option<&Value>, read: Read) -> Option<f64> {
    let one = |is_so: bool| Some(if is_so { 1.0 } else { 0.0 });
    match read {
        Read::Number => value?.as_f64(),
        Read::Flag => match value {
            Some(Value::Bool(is_so)) => one(*is_so),
            Some(Value::String(_)) => one(true),
            Some(Value::Null | Value::Number(_) | Value::Array(_) | Value::Object(_)) | None => one(false),
        },
        Read::Is(text) => one(value?.as_str() == Some(text)),
        Read::Length => value?.as_array().map(|list| list.len() as f64),
        Read::Without(field) => {
            let list = value?.as_array()?;
            Some(list.iter().filter(|one| one.get(field) != Some(&Value::Bool(true))).count() as f64)
        }
        Read::Time => {
            let time: jiff::Timestamp = value?.as_str()?.parse().ok()?;
            // Seconds with microseconds have room in a double for 200 years.
            Some(time.as_microsecond() as f64 / 1e6)
        }
        Read::Labels => Some(1.0),
    }
}

fn members(value: Option<&Value>) -> impl Iterator<Item = (&String, &Value)> {
    value.and_then(Value::as_object).into_iter().flatten()
}

fn rows(value: Option<&Value>) -> impl Iterator<Item = &Value> {
    value.and_then(Value::as_array).into_iter().flatten()
}

fn word(value: Option<&Value>) -> String {
    value.and_then(Value::as_str).unwrap_or_default().to_owned()
}
