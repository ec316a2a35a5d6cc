//! Attackers with patience: hours between tries.

use super::{Answer, Detect, Detector, Findings, Kind, Request, Scene};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::{Distinct, Source};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::LowAndSlow,
    summary: "tries that are few an hour and many a day",
    description: "Counts over days what other detectors forget within minutes: refused credentials, accounts asked for and left \
        alone, calls dialled without credentials. A success halves the count, it does not clear it. One phone that repeats \
        one account on one Call-ID may fail three times as often. Where others succeed, three accounts must fail.",
    settings: &[
        Setting {
            key: "guesses",
            default: 20,
            min: 3,
            max: 10_000,
            unit: "refusals",
            reason: "nobody needs twenty tries in a day for their own password",
        },
        Setting {
            key: "accounts",
            default: 12,
            min: 3,
            max: 200,
            unit: "accounts",
            reason: "more different accounts than one household or phone has, and none of them used",
        },
        Setting {
            key: "dials",
            default: 10,
            min: 2,
            max: 10_000,
            unit: "calls",
            reason: "ten refused calls without credentials are no wrong number",
        },
        Setting {
            key: "points",
            default: 100,
            min: 0,
            max: 1000,
            unit: "points",
            reason: "such a count is enough by itself",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct LowAndSlow {
    guesses: u16,
    accounts: u32,
    dials: u16,
    points: f32,
}

#[derive(Debug, Default)]
pub(crate) struct State {
    since: Tick,
    call: u64,
    guesses: u16,
    left: Distinct,
    dials: u16,
    /// Different accounts whose credentials were refused, up to 255.
    failed: u8,
    last_failed: u16,
    mixed: bool,
}

/// Counts are halved after so long.
const PERIOD: Tick = Tick::seconds(2 * 24 * 3600);

impl State {
    fn fade(&mut self, now: Tick) {
        if now.since(self.since) >= PERIOD {
            self.halve();
            self.since = now;
        }
    }

    fn halve(&mut self) {
        self.guesses /= 2;
        self.left = Distinct::default();
        self.dials /= 2;
        self.failed /= 2;
    }

    /// More accounts were asked for and left alone.
    pub(crate) fn leave(&mut self, accounts: Distinct, now: Tick) {
        self.fade(now);
        self.left.0 |= accounts.0;
    }

    /// One more call without credentials was refused.
    pub(crate) fn dial(&mut self, now: Tick) {
        self.fade(now);
        self.dials = self.dials.saturating_add(1);
    }
}

impl LowAndSlow {
    pub(crate) fn new(settings: &Settings) -> Self {
        let count = |key| u16::try_from(settings.get(Some(Kind::LowAndSlow), key)).unwrap_or(u16::MAX);
        Self {
            guesses: count("guesses"),
            accounts: settings.get(Some(Kind::LowAndSlow), "accounts"),
            dials: count("dials"),
            points: settings.points(Kind::LowAndSlow, "points"),
        }
    }
}

impl Detect for LowAndSlow {
    fn request(&mut self, scene: &Scene, _: &Request<'_, '_>, source: &mut Source, findings: &mut Findings) {
        let state = &mut source.slow;
        if state.left.count() < self.accounts || scene.class >= Class::Credited || source.accepted > 0 {
            return;
        }
        let count = std::mem::take(&mut state.left).count();
        findings.add(source, Kind::LowAndSlow, self.points, scene.over_tcp, || {
            format!("asked for {count} accounts over hours or days and used none of them")
        });
    }

    fn answer(
        &mut self,
        scene: &Scene,
        answer: &mut Answer<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let state = &mut source.slow;
        state.fade(scene.now);
        if (200..300).contains(&answer.status) && answer.request.has_credentials {
            // Not more often than a phone registers, or one right password would hide all wrong ones.
            if scene.now.since(state.since) > Tick::seconds(600) {
                state.halve();
                state.since = scene.now;
            }
            return;
        }
        if state.dials >= self.dials && scene.class < Class::Credited {
            let count = std::mem::take(&mut state.dials);
            let is_proof = answer.request.is_proof;
            return findings.add(source, Kind::LowAndSlow, self.points, is_proof, || {
                format!("dialled {count} times without credentials over hours or days")
            });
        }
        if !answer.refuses_credentials(scene.class) {
            return;
        }
        state.guesses = state.guesses.saturating_add(1);
        let short = u16::try_from(answer.request.account >> 24 & 0xffff).unwrap_or(0);
        state.failed = state.failed.saturating_add(u8::from(state.last_failed != short));
        state.last_failed = short;
        state.mixed |= state.guesses > 1 && state.call != answer.request.call;
        state.call = answer.request.call;
        let enough =
            if state.mixed || state.failed > 1 { self.guesses } else { self.guesses.saturating_mul(3) };
        let spared = scene.class >= Class::Credited && state.failed < 3;
        if state.guesses >= enough && !spared {
            let count = std::mem::take(&mut state.guesses);
            findings.add(source, Kind::LowAndSlow, self.points, answer.request.is_proof, || {
                format!("{count} refused credentials over hours or days")
            });
        }
    }
}
