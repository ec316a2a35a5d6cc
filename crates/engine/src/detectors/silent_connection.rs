//! TCP connections that are held open and say nothing.

use super::{Detect, Detector, Findings, Kind, Scene};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::Source;
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::SilentConnection,
    summary: "TCP connections that are held open without a message",
    description: "Counts connections to SIP ports on which no whole message came within the time, while they stay open: whoever \
        holds many uses up the PBX's room for phones. Connections with TLS or a keep-alive on them are not silent. A connection \
        cannot be forged, so its source can be banned.",
    settings: &[
        Setting {
            key: "seconds",
            default: 60,
            min: 5,
            max: 3600,
            unit: "seconds",
            reason: "a phone registers in the first second",
        },
        Setting {
            key: "connections",
            default: 3,
            min: 1,
            max: 1000,
            unit: "connections",
            reason: "a monitoring check, or a phone that lost its way, holds one",
        },
        Setting {
            key: "points",
            default: 25,
            min: 0,
            max: 1000,
            unit: "points a connection more",
            reason: "four beyond the count make the threshold of 100",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct SilentConnection {
    /// After which a connection is silent.
    pub(crate) after: Tick,
    connections: u16,
    points: f32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    since: Tick,
    count: u16,
}

const MEMORY: Tick = Tick::seconds(3600);

impl SilentConnection {
    pub(crate) fn new(settings: &Settings) -> Self {
        let get = |key| settings.get(Some(Kind::SilentConnection), key);
        Self {
            after: Tick::seconds(get("seconds")),
            connections: u16::try_from(get("connections")).unwrap_or(u16::MAX),
            points: settings.points(Kind::SilentConnection, "points"),
        }
    }

    /// A connection was silent for too long.
    pub(crate) fn silent(&self, scene: &Scene, source: &mut Source, findings: &mut Findings) {
        let state = &mut source.silent;
        if scene.now.since(state.since) > MEMORY {
            *state = State { since: scene.now, count: 0 };
        }
        state.count = state.count.saturating_add(1);
        let count = state.count;
        if count > self.connections && scene.class < Class::Credited {
            let seconds = self.after.0 / 10;
            findings.add(source, Kind::SilentConnection, self.points, true, || {
                format!("holds {count} connections open on which nothing was said for {seconds} seconds")
            });
        }
    }
}

impl Detect for SilentConnection {}
