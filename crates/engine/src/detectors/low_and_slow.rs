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
        one account on one Call-ID may fail three times as often. Where others succeed, two accounts must fail, and one more \
        for every four that succeed, up to seventeen: an office has phones that nobody took down.",
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

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    since: Tick,
    /// Of the Call-ID that all refused credentials had so far; [`MIXED`] if they had several.
    call: u32,
    guesses: u16,
    left: Distinct,
    dials: u16,
    /// Different accounts whose credentials were refused, one bit each.
    failed: u32,
}

const MIXED: u32 = u32::MAX;
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
    }

    /// Credentials of an account were refused.
    pub(crate) fn fail(&mut self, account: u64) {
        self.failed |= 1 << (account >> 24 & 31);
    }

    /// Different accounts that failed, a few less than they are.
    pub(crate) fn failing(&self) -> u32 {
        self.failed.count_ones()
    }

    /// More accounts were asked for and left alone; how many of them are new.
    fn leave(&mut self, accounts: Distinct, now: Tick) -> u32 {
        self.fade(now);
        let new = accounts.0 & !self.left.0;
        self.left.0 |= accounts.0;
        new.count_ones()
    }

    /// More calls without credentials were refused.
    pub(crate) fn dial(&mut self, calls: u32, now: Tick) {
        self.fade(now);
        self.dials = self.dials.saturating_add(u16::try_from(calls).unwrap_or(u16::MAX));
    }
}

/// More accounts were asked for and left alone; by nobody else, if `is_proof`.
pub(crate) fn leave(source: &mut Source, accounts: Distinct, is_proof: bool, now: Tick) {
    if source.slow.left == Distinct::default() {
        source.left_for_sure = 0;
    }
    let new = source.slow.leave(accounts, now);
    if is_proof {
        let new = u8::try_from(new).unwrap_or(u8::MAX);
        source.left_for_sure = source.left_for_sure.saturating_add(new);
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
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let state = &mut source.slow;
        if state.left.count() < self.accounts || scene.class >= Class::Credited || source.accepted > 0 {
            return;
        }
        let count = std::mem::take(&mut state.left).count();
        let is_proof = u32::from(std::mem::take(&mut source.left_for_sure)) >= self.accounts;
        findings.add(source, Kind::LowAndSlow, self.points, is_proof, || {
            format!("asked for {count} accounts over hours or days and used none of them")
        });
        if request.is_from_network && !is_proof {
            findings.doubt();
        }
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
        if (200..300).contains(&answer.status) && answer.request.earns_credit {
            state.failed &= !(1 << (answer.request.account >> 24 & 31));
            // Not more often than a phone registers, or one right password would hide all wrong ones.
            if scene.now.since(state.since) > Tick::seconds(600) {
                state.halve();
                state.since = scene.now;
            }
            return;
        }
        if state.dials >= self.dials && scene.class < Class::Credited && source.accepted == 0 {
            let count = std::mem::take(&mut state.dials);
            // A carrier whose calls are refused by mistake is not banned for it.
            let is_proof = answer.request.is_proof && !answer.request.is_from_network;
            return findings.add(source, Kind::LowAndSlow, self.points, is_proof, || {
                format!("dialled {count} times without credentials over hours or days")
            });
        }
        if !answer.refuses_credentials(scene.class) || answer.request.is_late {
            return;
        }
        state.guesses = state.guesses.saturating_add(1);
        state.fail(answer.request.account);
        let call = u32::try_from(answer.request.call >> 32).unwrap_or(0).min(MIXED - 1);
        state.call = if state.guesses == 1 || state.call == call { call } else { MIXED };
        let is_one_phone = state.call != MIXED && state.failing() < 2;
        let enough = if is_one_phone { self.guesses.saturating_mul(3) } else { self.guesses };
        let is_spared = scene.class >= Class::Credited && source.slow.failing() <= source.spared_accounts();
        if source.slow.guesses >= enough && !is_spared {
            let count = std::mem::take(&mut source.slow.guesses);
            findings.add(source, Kind::LowAndSlow, self.points, answer.request.is_proof, || {
                format!("{count} refused credentials over hours or days")
            });
        }
    }
}
