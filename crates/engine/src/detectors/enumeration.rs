//! Lists of extensions that are walked through.

use sip::Method;

use super::{Answer, Detect, Detector, Findings, Kind, Request, Scene, shown};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::{Distinct, Source};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Enumeration,
    summary: "many accounts asked for, and none of them used",
    description: "Counts different accounts that a source asks for without credentials (any method that asks for something, but \
        not NOTIFY, with which phones keep their way through a router open) and then leaves alone, those that it claims to be (From) and does not prove when \
        challenged, unless the name is a telephone number, as a carrier's callers have, and those that do not exist (404, 410, 604). A phone comes back with \
        credentials at once, which takes its account off the list, so an office of phones behind one address is none. Over \
        UDP such requests can be forged: the source is limited until one of its phones authenticates. Over TCP, \
        more accounts on one connection than any gateway has count at once, others when nothing followed for 10 seconds. A source with successes may \
        leave as many accounts alone as it used, and a carrier's calls to missing numbers count only beside few that exist.",
    settings: &[
        Setting {
            key: "accounts",
            default: 5,
            min: 2,
            max: 200,
            unit: "accounts",
            reason: "a desk phone has one or two accounts, a base station for cordless phones up to five at once",
        },
        Setting {
            key: "points",
            default: 25,
            min: 0,
            max: 1000,
            unit: "points an account more",
            reason: "four more accounts than any phone has make the threshold of 100",
        },
        Setting {
            key: "missing-points",
            default: 20,
            min: 0,
            max: 1000,
            unit: "points a missing account",
            reason: "people mistype one number, not five different ones",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct Enumeration {
    accounts: u32,
    points: f32,
    missing_points: f32,
}

/// Accounts of this period and of the last.
#[derive(Debug, Default)]
pub(crate) struct State {
    since: Tick,
    asked: [Distinct; 2],
    /// In From of requests that were challenged in this period.
    claimed: Distinct,
    used: [Distinct; 2],
    missing: Distinct,
    missing_since: Tick,
}

/// A gateway with a port for each of 24 telephones registers all of them over one connection, before the first is answered.
const GATEWAY: u32 = 6;
/// A phone answers a challenge within less than two of these.
const PERIOD: Tick = Tick::seconds(10);
const MEMORY: Tick = Tick::seconds(1800);
/// What a source with successes may leave alone in any case.
const SPARED: u32 = 10;

impl State {
    /// Begins a new period if it is time; the accounts that were asked for in the one before the last and never used.
    fn turn(&mut self, now: Tick) -> Distinct {
        if now.since(self.since) < PERIOD {
            return Distinct::default();
        }
        let [asked, before] = self.asked;
        let used = self.used[0].0 | self.used[1].0;
        // A long pause ends both periods.
        let is_old = now.since(self.since) >= Tick(2 * PERIOD.0);
        let left = Distinct((before.0 | if is_old { asked.0 } else { 0 }) & !used);
        self.asked = [Distinct::default(), if is_old { Distinct::default() } else { asked }];
        self.claimed = Distinct::default();
        self.used = [Distinct::default(), self.used[0]];
        self.since = now;
        left
    }

    /// Accounts asked for that nothing followed yet.
    fn open(&self) -> u32 {
        self.unused(self.asked[0].0 | self.asked[1].0)
    }

    /// Accounts claimed that nothing followed yet.
    fn open_claims(&self) -> u32 {
        self.unused(self.claimed.0)
    }

    fn unused(&self, accounts: u64) -> u32 {
        Distinct(accounts & !(self.used[0].0 | self.used[1].0)).count()
    }
}

impl Enumeration {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            accounts: settings.get(Some(Kind::Enumeration), "accounts"),
            points: settings.points(Kind::Enumeration, "points"),
            missing_points: settings.points(Kind::Enumeration, "missing-points"),
        }
    }

    /// Accounts that were left alone for sure.
    fn settle(&self, lost: Distinct, scene: &Scene, source: &mut Source, findings: &mut Findings) {
        let spared = match scene.class {
            Class::Credited | Class::Trusted => SPARED + 2 * source.succeeded.count(),
            Class::Proven | Class::Unproven => self.accounts,
        };
        let left = lost.count();
        let over = left.saturating_sub(spared);
        if scene.class < Class::Credited {
            source.slow.leave(lost, scene.now);
        }
        if over > 0 {
            #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
            let points = self.points * over as f32;
            findings.add(source, Kind::Enumeration, points, scene.over_tcp, || {
                format!("asked for about {left} different accounts and used none of them")
            });
        }
    }
}

impl Enumeration {
    /// The PBX says that it was asked for an account that it does not know: as if the request had been seen on the wire, where
    /// the same request then is nothing new.
    pub(crate) fn told(
        &self,
        scene: &Scene,
        name: &[u8],
        is_proof: bool,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let left = source.enumeration.turn(scene.now);
        if left != Distinct::default() {
            self.settle(left, scene, source, findings);
        }
        let hash = scene.salt.of(&[name]);
        let is_new = source.enumeration.asked[0].insert(hash);
        let count = source.enumeration.open();
        if name.is_empty()
            || !is_new
            || scene.class >= Class::Credited
            || source.accepted > 0
            || count <= self.accounts
        {
            return;
        }
        findings.add(source, Kind::Enumeration, self.points, is_proof, || {
            format!("asked for {count} different accounts, the last one unknown to the PBX: {}", shown(name))
        });
    }
}

impl Enumeration {
    /// The PBX wants the sender to prove who he is.
    fn challenged(
        &self,
        scene: &Scene,
        answer: &Answer<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let request = &*answer.request;
        // In REGISTER it is the account that was asked for already.
        let is_claim = request.method != Method::Register && asks_for_account(request.method);
        let claimed =
            answer.message.from.and_then(|from| from.account()).filter(|name| !is_telephone_number(name));
        let Some(name) = claimed.filter(|_| is_claim && !request.has_credentials) else { return };
        let state = &mut source.enumeration;
        let is_new = state.claimed.insert(scene.salt.of(&[name]));
        let count = state.open_claims();
        if !is_new || count <= self.accounts || scene.class >= Class::Credited || source.accepted > 0 {
            return;
        }
        // The credentials of an office that has just dialled are still on their way, so this limits and never bans.
        findings.add(source, Kind::Enumeration, self.points, false, || {
            format!("claimed to be {count} different accounts and proved none, the last one {}", shown(name))
        });
    }
}

/// Whether a caller's name is a number of the telephone network rather than an account: a carrier whose calls are challenged by
/// mistake brings a new one with each call.
fn is_telephone_number(name: &[u8]) -> bool {
    let is_separator = |byte: u8| matches!(byte, b'-' | b'.' | b'(' | b')');
    let digits = name.iter().filter(|byte| byte.is_ascii_digit()).count();
    let (sign, rest) = name.strip_prefix(b"+").map_or((false, name), |rest| (true, rest));
    (sign || digits >= 9) && rest.iter().all(|byte| byte.is_ascii_digit() || is_separator(*byte))
}

pub(crate) const fn asks_for_account(method: Method) -> bool {
    matches!(
        method,
        Method::Register
            | Method::Invite
            | Method::Options
            | Method::Subscribe
            | Method::Message
            | Method::Publish
            | Method::Refer
            | Method::Info
            | Method::Update
            | Method::Prack
            | Method::Bye
            | Method::Other
    )
}

impl Detect for Enumeration {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let left = source.enumeration.turn(scene.now);
        if left != Distinct::default() {
            self.settle(left, scene, source, findings);
        }
        if request.target_hash == 0 || !request.is_initial || !asks_for_account(request.method) {
            return;
        }
        if request.has_credentials {
            let used = &mut source.enumeration.used[0];
            used.insert(request.target_hash);
            if let Some(claimed) = request.message.from.and_then(|from| from.account()) {
                used.insert(scene.salt.of(&[claimed]));
            }
            return;
        }
        let is_new = source.enumeration.asked[0].insert(request.target_hash);
        if !is_new || scene.class >= Class::Credited || source.accepted > 0 {
            return;
        }
        let on_connection = request.accounts_on_connection;
        let open = source.enumeration.open();
        let (count, is_proof) = if request.is_proof && on_connection > self.accounts.saturating_mul(GATEWAY) {
            (on_connection, true)
        } else {
            (open, false)
        };
        if count > self.accounts {
            let target = request.target.unwrap_or_default();
            let method = request.method.as_str();
            findings.add(source, Kind::Enumeration, self.points, is_proof, || {
                format!(
                    "asked for {count} different accounts without credentials, the last by {method} {}",
                    shown(target)
                )
            });
        }
    }

    fn answer(
        &mut self,
        scene: &Scene,
        answer: &mut Answer<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let request = &mut *answer.request;
        if request.target == 0 || !request.is_initial {
            return;
        }
        if (200..300).contains(&answer.status) && request.method != Method::Options {
            source.enumeration.used[0].insert(request.target);
            return;
        }
        if matches!(answer.status, 401 | 407) {
            return self.challenged(scene, answer, source, findings);
        }
        let missing = matches!(answer.status, 404 | 410 | 604) && asks_for_account(request.method);
        // With credentials it is a user who mistypes, or a phone that watches an extension that is gone.
        if !missing || request.has_credentials || scene.class >= Class::Credited {
            return;
        }
        // A carrier's ping is answered 404 for days, always for the same name.
        let state = &mut source.enumeration;
        if scene.now.since(state.missing_since) > MEMORY {
            state.missing = Distinct::default();
        }
        state.missing_since = scene.now;
        let is_new = state.missing.insert(request.target);
        let count = state.missing.count();
        let spared = if source.accepted > 0 { 10 + 4 * u32::from(source.accepted) } else { 1 };
        if is_new && count > spared {
            let points = self.missing_points;
            request.pending += points;
            request.pending_kind = Some(Kind::Enumeration);
            let method = request.method.as_str();
            let name = answer.message.to.and_then(|to| to.account()).unwrap_or_default();
            source.slow.leave(Distinct(Distinct::bit(request.target)), scene.now);
            findings.add(source, Kind::Enumeration, points, request.is_proof, || {
                format!("asked for {count} accounts that do not exist, the last by {method} {}", shown(name))
            });
        }
    }
}
