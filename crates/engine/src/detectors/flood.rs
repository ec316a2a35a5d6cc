//! More messages than anyone needs.

use sip::Method;

use super::{Detect, Detector, Findings, Kind, Request, Scene};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::Source;
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Flood,
    summary: "more messages of one kind than anyone needs",
    description: "Counts requests of a source by method: INVITE, REGISTER, and all others (ACK, too), retransmissions included. A source that \
        authenticated may send ten times as many. Over UDP a flood can be forged, so the source is limited and not banned, as is at \
        first what comes over TCP, which may be an office whose phones are all back at once; a \
        trusted network that runs wild is limited as well. One that is known keeps this rate while it is limited, so that nobody \
        can silence a carrier by flooding in its name.",
    settings: &[
        Setting {
            key: "rate",
            default: 30,
            min: 1,
            max: 100_000,
            unit: "requests a second",
            reason: "many times what an office sends; a tool without a brake sends hundreds",
        },
        Setting {
            key: "burst",
            default: 300,
            min: 1,
            max: 1_000_000,
            unit: "requests",
            reason: "come at once when the phones of an office start together",
        },
        Setting {
            key: "points",
            default: 50,
            min: 0,
            max: 1000,
            unit: "points a tenth of the burst more",
            reason: "a flood that lasts for a second is enough",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct Flood {
    rate: u32,
    burst: u32,
    points: f32,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    at: Tick,
    /// How much of the burst is used up, in requests: INVITE, REGISTER, others.
    used: [u32; 3],
}

/// Before that much evidence it may be an office whose phones all come back over TCP, before the first has authenticated.
const CERTAIN: u16 = 10;
/// As many requests more for a source that authenticated.
const CREDITED: u32 = 10;

impl Flood {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            rate: settings.get(Some(Kind::Flood), "rate"),
            burst: settings.get(Some(Kind::Flood), "burst"),
            points: settings.points(Kind::Flood, "points"),
        }
    }

    /// One more request, also a repeated one.
    pub(crate) fn count(
        &self,
        scene: &Scene,
        method: Method,
        is_proof: bool,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let index = if method == Method::Invite {
            0
        } else if method == Method::Register {
            1
        } else {
            2
        };
        let state = &mut source.flood;
        let times = if scene.class >= Class::Credited { CREDITED } else { 1 };
        let (rate, burst) = (self.rate.saturating_mul(times), self.burst.saturating_mul(times));
        // Ticks are tenths of a second.
        let refilled = u64::from(scene.now.since(state.at).0) * u64::from(rate) / 10;
        if refilled > 0 {
            let refilled = u32::try_from(refilled).unwrap_or(u32::MAX);
            state.used.iter_mut().for_each(|used| *used = used.saturating_sub(refilled));
            state.at = scene.now;
        }
        let Some(used) = state.used.get_mut(index) else { return };
        *used = used.saturating_add(1);
        if *used > burst {
            *used -= (burst / 10).max(1);
            // What authenticated is limited at most.
            let lasts = source.reports.get(Kind::Flood as usize).is_some_and(|&count| count >= CERTAIN);
            let is_proof = is_proof && lasts && scene.class < Class::Credited;
            findings.add(source, Kind::Flood, self.points, is_proof, || {
                format!("more than {burst} {} requests beyond {rate} a second", method.as_str())
            });
        }
    }
}

impl Detect for Flood {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        self.count(scene, request.method, scene.over_tcp && request.is_proof, source, findings);
    }
}
