//! What the PBX itself refused to talk about.

use super::{Detector, Findings, Kind, Scene, shown};
use crate::command::Source as Address;
use crate::settings::{Setting, Settings};
use crate::source::Source;
use crate::table::{Fill, Sets};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Refusal,
    summary: "requests that the PBX's own rules refused",
    description: "Counts what the PBX tells through its manager or its event socket: an address that an access list does not let \
        in, a method, transport or way to authenticate that is not allowed, a request that it could not read. Also of what is \
        encrypted on the wire. Each try counts once, whoever else saw it.",
    settings: &[Setting {
        key: "points",
        default: 20,
        min: 0,
        max: 1000,
        unit: "points a refusal",
        reason: "five make the threshold of 100, as with wrong passwords",
    }],
};

const TRIES: usize = 1 << 12;
const MEMORY: Tick = Tick::seconds(60);

#[derive(Debug)]
pub(crate) struct Refusal {
    points: f32,
    /// Tries that were counted: one is told again when it is repeated.
    tries: Sets<()>,
}

impl Refusal {
    /// 4,096 tries, for a minute; the oldest of a set of 4 makes room.
    pub(crate) fn new(settings: &Settings) -> Self {
        Self { points: settings.points(Kind::Refusal, "points"), tries: Sets::new(TRIES) }
    }

    pub(crate) fn fill(&self) -> Fill {
        self.tries.fill("refused-tries")
    }

    pub(crate) fn denied(
        &mut self,
        scene: &Scene,
        is_proof: bool,
        (what, call, account): (&str, &str, &str),
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let address = Address::of(scene.peer.ip()).number().to_le_bytes();
        let try_key = scene.salt.of(&[&address, what.as_bytes(), call.as_bytes(), account.as_bytes()]);
        if !call.is_empty() {
            if self.tries.get(try_key, scene.now, MEMORY).is_some() {
                return;
            }
            self.tries.insert(try_key, scene.now, ());
        }
        findings.add(source, Kind::Refusal, self.points, is_proof, || {
            let whose = if account.is_empty() {
                String::new()
            } else {
                format!(" for {}", shown(account.as_bytes()))
            };
            format!("the PBX refused {what}{whose}")
        });
    }
}

impl super::Detect for Refusal {}
