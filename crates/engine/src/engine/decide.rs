//! From findings to commands: points that add up and fade, limits for what may be forged, bans for what cannot be.

use std::sync::Arc;

use super::Engine;
use super::packets::Talk;
use crate::command::{Class, Command, Scope, Source as Address};
use crate::detectors::{Finding, Kind, Scene};
use crate::settings::Settings;
use crate::source::{KNOWN_CALLS, Source};
use crate::time::Tick;

/// The numbers of `[detect]`.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rules {
    pub(super) enforce: bool,
    pub(super) credit: Tick,
    ban: u32,
    growth: u32,
    longest: u32,
    half_life: f32,
    threshold: f32,
    limit: Tick,
}

/// What a ban is like, where that is not the usual.
#[derive(Debug, Default)]
pub(super) struct Terms {
    /// Seconds of the first ban.
    pub(super) first: Option<u32>,
    pub(super) scope: Scope,
    pub(super) jail: Option<Arc<str>>,
}

/// Banned sources of one network that make the others suspect.
const NEIGHBOURS: u8 = 4;
/// How much more the certain evidence of their neighbours weighs.
const SUSPICION: f32 = 1.5;
const DAY: Tick = Tick::seconds(24 * 3600);

impl Rules {
    #[expect(clippy::cast_precision_loss, reason = "thresholds are small")]
    pub(super) fn new(settings: &Settings) -> Self {
        let get = |key| settings.get(None, key);
        Self {
            enforce: settings.enforce,
            credit: Tick::seconds(get("credit-hours").saturating_mul(3600)),
            ban: get("ban-seconds"),
            growth: get("ban-growth"),
            longest: get("ban-longest"),
            half_life: get("half-life") as f32,
            threshold: get("threshold") as f32,
            limit: Tick::seconds(get("limit-seconds")),
        }
    }

    /// Whether the limit of a source ends that answers a challenge: it is real, and its credentials are about to be judged. Once
    /// in the time of a limit, as credentials are easily made up.
    pub(super) fn lift(&self, source: &mut Source, now: Tick) -> bool {
        let lifts =
            source.limited_until > now && (source.lifted == Tick(0) || now.since(source.lifted) > self.limit);
        if lifts {
            source.limited_until = Tick(0);
            source.lifted = now;
            source.forgeable.clear();
        }
        lifts
    }

    /// Seconds, of which the first ban has `first`: the time of the ban after `bans` earlier ones.
    fn ban_time(&self, first: u32, bans: u8) -> Tick {
        // A jail may begin with more than the longest.
        let longest = self.longest.max(first);
        let seconds = (0..bans).fold(first, |seconds, _| seconds.saturating_mul(self.growth).min(longest));
        Tick::seconds(seconds)
    }

    /// The points that ban a source of this class.
    fn threshold(&self, class: Class, bans: u8) -> f32 {
        match class {
            Class::Credited => self.threshold * 2.0,
            _ if bans > 0 => self.threshold / 2.0,
            Class::Proven | Class::Trusted | Class::Unproven => self.threshold,
        }
    }
}

impl Engine {
    /// Takes what the detectors found about the peer of `scene`.
    pub(super) fn decide(&mut self, scene: &Scene, frame: u64) {
        if self.findings.0.is_empty() {
            return;
        }
        let mut findings = std::mem::take(&mut self.findings.0);
        for finding in findings.drain(..) {
            self.weigh(finding, scene, frame);
        }
        // The buffer is used again.
        self.findings.0 = findings;
    }

    fn weigh(&mut self, finding: Finding, scene: &Scene, frame: u64) {
        let address = Address::of(scene.peer.ip());
        let time = self.now;
        let Finding { kind, points, is_proof, is_alert, text, .. } = finding;
        if let Some(detail) = text {
            self.commands.push_back(if is_alert {
                Command::Alert { time, source: address, detector: kind, detail }
            } else {
                Command::Evidence { time, source: address, detector: kind, frame, detail }
            });
        }
        if is_alert || points <= 0.0 || self.detectors.is_alert_only(kind) || !self.rules.enforce {
            return;
        }
        match scene.class {
            // Limited when wild, never banned.
            Class::Trusted if kind == Kind::Flood => self.limit(address, kind, scene.now, true),
            Class::Trusted => {}
            Class::Credited | Class::Proven | Class::Unproven => self.add(kind, points, is_proof, scene),
        }
    }

    fn add(&mut self, kind: Kind, points: f32, is_proof: bool, scene: &Scene) {
        let (now, half_life) = (scene.now, self.rules.half_life);
        let address = Address::of(scene.peer.ip());
        let guilty = self.guilty.get(address.network(), now, DAY).is_some_and(|&count| count >= NEIGHBOURS);
        let points = if is_proof && guilty { points * SUSPICION } else { points };
        let source = self.sources.entry(address.number());
        if source.is_banned(now) {
            return;
        }
        if is_proof {
            source.certain.add(points, now, half_life);
        }
        source.forgeable.add(points, now, half_life);
        let threshold = self.rules.threshold(scene.class, source.bans);
        // Rounding must not make five times twenty less than a hundred.
        if source.certain.value(now, half_life) >= threshold - 0.5 {
            return self.ban(address, kind, now);
        }
        let suspicious = source.forgeable.value(now, half_life) >= self.rules.threshold - 0.5;
        // Nobody may have a customer limited by forging its address; what floods is limited whoever sends it.
        let is_known = scene.class >= Class::Credited || source.accepted >= KNOWN_CALLS;
        if suspicious && (!is_known || kind == Kind::Flood) {
            self.limit(address, kind, now, is_known);
        }
    }

    fn ban(&mut self, address: Address, reason: Kind, now: Tick) {
        self.ban_as(address, reason, now, Terms::default());
    }

    pub(super) fn ban_as(&mut self, address: Address, reason: Kind, now: Tick, terms: Terms) {
        let source = self.sources.entry(address.number());
        let first = terms.first.unwrap_or(self.rules.ban);
        let until = now.plus(self.rules.ban_time(first, source.bans)).max(source.banned_until);
        source.bans = source.bans.saturating_add(1);
        let level = u32::from(source.bans);
        source.banned_until = until;
        source.banned_scope = terms.scope.max(source.banned_scope);
        let scope = source.banned_scope;
        source.limited_until = Tick(0);
        source.certain.clear();
        source.forgeable.clear();
        let (count, _) = self.guilty.entry(address.network(), now, DAY);
        *count = count.saturating_add(1);
        let (time, until) = (self.now, self.now + until.since(now).as_duration());
        self.commands.push_back(Command::Ban {
            time,
            source: address,
            reason,
            until,
            proven: true,
            level,
            scope,
            jail: terms.jail,
        });
    }

    pub(super) fn limit(&mut self, address: Address, reason: Kind, now: Tick, is_known: bool) {
        let source = self.sources.entry(address.number());
        // A limit that goes on is told again when half of it is over.
        let half = Tick(self.rules.limit.0 / 2);
        if source.limited_until > now.plus(half) {
            return;
        }
        let until = now.plus(self.rules.limit);
        source.limited_until = until;
        let (time, until) = (self.now, self.now + until.since(now).as_duration());
        self.commands.push_back(Command::Limit { time, source: address, reason, until, is_known });
    }

    /// Points that were given when the sender might have been someone else count for certain now.
    pub(super) fn proven_late(&mut self, kind: Kind, points: f32, talk: &Talk, now: Tick, trusted: bool) {
        let address = Address::of(talk.peer.ip());
        let (half_life, enforce) = (self.rules.half_life, self.rules.enforce);
        let source = self.sources.entry(address.number());
        let class = source.class(now, trusted);
        if class == Class::Trusted || !enforce || self.detectors.is_alert_only(kind) {
            return;
        }
        source.certain.add(points, now, half_life);
        if source.certain.value(now, half_life) >= self.rules.threshold(class, source.bans) - 0.5 {
            self.ban(address, kind, now);
        }
    }

    /// Tells the gate when a source's class has changed.
    pub(super) fn tell_class(&mut self, address: Address, trusted: bool, now: Tick) {
        let source = self.sources.entry(address.number());
        let class = source.class(now, trusted);
        let told = source.class_told.replace(class);
        if told != Some(class) && (class != Class::Unproven || told.is_some()) {
            let time = self.now;
            self.commands.push_back(Command::Trust { time, source: address, class });
        }
    }
}
