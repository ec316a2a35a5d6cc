//! Sweeps: one question to many addresses, or many kinds of questions to one.

use super::{Detect, Detector, Findings, Kind, Request, Scene};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::{Distinct, Source};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Scanning,
    summary: "one question to many of our addresses and ports, or one of each kind",
    description: "Counts the addresses and ports of this host that a stranger asks within ten minutes, and the different methods \
        that it tries. A carrier that pings one address for days asks the same of the same, whatever the answer is.",
    settings: &[
        Setting {
            key: "places",
            default: 3,
            min: 2,
            max: 60,
            unit: "addresses and ports",
            reason: "a peer knows where it has to ask; one spare port is common",
        },
        Setting {
            key: "methods",
            default: 6,
            min: 3,
            max: 15,
            unit: "methods",
            reason: "a phone that never authenticated has no use for more",
        },
        Setting {
            key: "points",
            default: 40,
            min: 0,
            max: 1000,
            unit: "points a place or method more",
            reason: "three beyond the count make the threshold of 100",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct Scanning {
    places: u32,
    methods: u32,
    points: f32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    since: Tick,
    places: Distinct,
    methods: u16,
}

const PERIOD: Tick = Tick::seconds(600);

impl Scanning {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            places: settings.get(Some(Kind::Scanning), "places"),
            methods: settings.get(Some(Kind::Scanning), "methods"),
            points: settings.points(Kind::Scanning, "points"),
        }
    }
}

impl Detect for Scanning {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        if !request.is_initial || request.answers_challenge || scene.class >= Class::Credited {
            return;
        }
        let state = &mut source.scanning;
        if scene.now.since(state.since) > PERIOD {
            *state = State { since: scene.now, ..State::default() };
        }
        let local = match scene.local.ip() {
            std::net::IpAddr::V4(address) => u64::from(address.to_bits()),
            std::net::IpAddr::V6(address) => scene.salt.of(&[&address.octets()]) >> 16,
        };
        let is_new = state.places.insert(scene.salt.of_number(local << 16 | u64::from(scene.local.port())));
        let places = state.places.count();
        let bit = 1_u16 << (request.method as u8);
        let new_method = state.methods & bit == 0;
        state.methods |= bit;
        let methods = state.methods.count_ones();
        let method = request.method.as_str();
        if is_new && places >= self.places {
            findings.add(source, Kind::Scanning, self.points, request.is_proof, || {
                format!(
                    "asked {places} different addresses or ports of this host by {method} within ten minutes"
                )
            });
        }
        if new_method && methods >= self.methods {
            findings.add(source, Kind::Scanning, self.points, request.is_proof, || {
                format!("tried {methods} different methods, the last {method}, without authenticating")
            });
        }
    }
}
