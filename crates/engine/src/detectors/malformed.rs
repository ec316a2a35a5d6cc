//! Messages against the grammar, and shapes that only exploits have.

use sip::{Anomalies, Severity};

use super::{Detect, Detector, Findings, Kind, Request, Scene};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::Source;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Malformed,
    summary: "messages that break the grammar, by severity",
    description: "Every message that is malformed (docs/detectors.md lists the anomalies by name) is told; what is only odd is not. \
        A device with a bug stays below the threshold, and one that authenticated, whose calls are taken or that we call ourselves \
        is told of only; shapes that overflow buffers or abuse printf count as the attacks that they are. Keep-alives are no messages.",
    settings: &[
        Setting {
            key: "points",
            default: 4,
            min: 0,
            max: 1000,
            unit: "points a malformed message",
            reason: "a phone that says something wrong every minute stays below 100 for ever",
        },
        Setting {
            key: "hostile-points",
            default: 60,
            min: 0,
            max: 1000,
            unit: "points a hostile message",
            reason: "nobody makes such a message by mistake; two make the threshold",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct Malformed {
    points: f32,
    hostile_points: f32,
}

impl Malformed {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            points: settings.points(Kind::Malformed, "points"),
            hostile_points: settings.points(Kind::Malformed, "hostile-points"),
        }
    }

    /// A message of any kind, of which `what` is a request's method or a response's status.
    pub(crate) fn message(
        &self,
        anomalies: Anomalies,
        what: impl FnOnce() -> String,
        (class, is_proof): (Class, bool),
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let points = match anomalies.severity() {
            None | Some(Severity::Odd) => return,
            Some(Severity::Malformed) if class >= Class::Credited || source.accepted > 0 => 0.0,
            Some(Severity::Malformed) => self.points,
            Some(Severity::Hostile) => self.hostile_points,
        };
        findings.add(source, Kind::Malformed, points, is_proof, || {
            format!("malformed {}: {}", what(), anomalies.malformed())
        });
    }
}

impl Detect for Malformed {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let mut anomalies = request.message.anomalies;
        if !request.message.body.is_empty() {
            let _ = request.message.sdp(&mut anomalies);
        }
        let what = || request.method.as_str().to_owned();
        // Nor is who talks to us within a call that we take part in.
        let class = if request.is_in_dialog { scene.class.max(Class::Credited) } else { scene.class };
        self.message(anomalies, what, (class, request.is_proof), source, findings);
    }
}
