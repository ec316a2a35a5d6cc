//! Lists of extensions that are walked through.

use sip::Method;

use super::{Answer, Detect, Detector, Findings, Kind, Request, Scene, low_and_slow, shown};
use crate::caller::is_from_network;
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::{Distinct, Source};
use crate::time::Tick;
use crate::transaction::Transaction;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Enumeration,
    summary: "many accounts asked for, and none of them used",
    description: "Counts different accounts that a source asks for without credentials (any method that asks for something; of \
        NOTIFY, with which phones keep their way through a router open, only what another name asks for in vain) and then leaves alone, \
        those that it claims to be (From) and does not prove when challenged, and those that do not exist (404, 410, 604). \
        A phone comes back with credentials at once, which takes its account off the list, so an office of phones behind one address \
        is none; credentials with a nonce that nobody gave it do not. Nor is left alone what rings or is busy. Over \
        UDP such requests can be forged: the source is limited until one of its phones authenticates. Over TCP, \
        more accounts on one connection than any gateway has count at once when challenges were received and none was answered, others when \
        nothing followed for 10 seconds. A call whose caller is a telephone number, or withheld, may be a carrier's: it limits and \
        bans nobody, but for more than 60 numbers that do not exist; four times as many count as one, and the first call that is taken \
        ends the limit. A source with successes may \
        leave as many accounts alone as it used, and one whose calls are taken ten, and four more for each of them.",
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
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    since: Tick,
    asked: [Distinct; 2],
    /// In From of requests that were challenged in this period, and what calls asked for that may be a carrier's.
    claimed: Distinct,
    used: [Distinct; 2],
    missing: Distinct,
    missing_since: Tick,
}

/// A gateway with a port for each of 24 telephones registers all of them over one connection, before the first is answered.
const GATEWAY: u32 = 6;
/// Until then not even the first of them may have been challenged.
const AT_ONCE: Tick = Tick::seconds(1);
/// A carrier's calls come with many callers for many numbers, and the first ones ring still.
const CARRIER: u32 = 4;
/// Extensions that are gone and that a phone with credentials may still watch.
const WATCHED: u32 = 20;
/// Numbers that a PBX may not know yet while it is starting and a carrier's calls come.
const STARTING: u32 = 60;
/// A phone answers a challenge within less than two of these.
const PERIOD: Tick = Tick::seconds(10);
const MEMORY: Tick = Tick::seconds(1800);
/// What a source with successes may leave alone in any case.
const SPARED: u32 = 10;

/// What was asked for in a period that is over, and nothing followed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Left {
    accounts: Distinct,
    /// How many of them nobody else can have asked for: what may be forged is told apart, or its owner's next connection would
    /// prove it.
    sure: u32,
    /// What calls claimed or asked for that may be a carrier's.
    claims: Distinct,
}

impl State {
    /// Begins a new period if it is time; what was asked for in the one before the last and never used.
    fn turn(&mut self, over_tcp: &mut [u8; 2], now: Tick) -> Left {
        if self.since == Tick(0) {
            self.since = now;
        }
        if now.since(self.since) < PERIOD {
            return Left::default();
        }
        let [asked, before] = self.asked;
        let used = self.used[0].0 | self.used[1].0;
        // A long pause ends both periods.
        let is_old = now.since(self.since) >= Tick(2 * PERIOD.0);
        let left = Distinct((before.0 | if is_old { asked.0 } else { 0 }) & !used);
        self.asked = [Distinct::default(), if is_old { Distinct::default() } else { asked }];
        // A carrier has some calls that are taken, and does not know which numbers are in use.
        let claims = if used == 0 { self.claimed } else { Distinct::default() };
        self.claimed = Distinct::default();
        self.used = [Distinct::default(), self.used[0]];
        self.since = now;
        let [asked, before] = *over_tcp;
        let sure = u32::from(before) + if is_old { u32::from(asked) } else { 0 };
        *over_tcp = [0, if is_old { 0 } else { asked }];
        Left { accounts: left, sure: sure.min(left.count()), claims }
    }

    /// The PBX takes calls for it.
    pub(crate) fn take(&mut self, account: u64) {
        self.used[0].insert(account);
    }

    /// Credentials came for an account over TCP.
    fn use_over_tcp(&self, over_tcp: &mut [u8; 2], account: u64) {
        let bit = Distinct::bit(account);
        if self.used[0].0 & bit != 0 {
            return;
        }
        let mut periods = self.asked.iter().zip(over_tcp);
        if let Some((_, count)) = periods.find(|(asked, _)| asked.0 & bit != 0) {
            *count = count.saturating_sub(1);
        }
    }

    /// No challenge was answered.
    fn is_silent(&self) -> bool {
        self.used[0].0 | self.used[1].0 == 0
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

    /// A period is over.
    fn settle(
        &self,
        Left { accounts: lost, sure, claims }: Left,
        scene: &Scene,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let spared = match scene.class {
            Class::Credited | Class::Trusted => SPARED + 2 * source.succeeded.count(),
            Class::Proven | Class::Unproven => self.accounts + source.spared_numbers(),
        };
        let is_proof = sure > spared;
        let left = if is_proof { sure } else { lost.count() };
        let over = left.saturating_sub(spared);
        if scene.class < Class::Credited {
            low_and_slow::leave(source, lost, sure == lost.count(), scene.now);
            low_and_slow::leave(source, claims, false, scene.now);
        }
        if over > 0 {
            #[expect(clippy::cast_precision_loss, reason = "at most a few hundred")]
            let points = self.points * over as f32;
            findings.add(source, Kind::Enumeration, points, is_proof, || {
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
        let left = source.enumeration.turn(&mut source.asked_over_tcp, scene.now);
        if left != Left::default() {
            self.settle(left, scene, source, findings);
        }
        let hash = scene.salt.of(&[name]);
        let is_new = source.enumeration.asked[0].insert(hash);
        let count = source.enumeration.open();
        if name.is_empty()
            || !is_new
            || scene.class >= Class::Credited
            || count <= self.accounts + source.spared_numbers()
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
        let claimed = answer.message.from.as_ref().and_then(|from| from.account());
        let Some(name) = claimed.filter(|_| is_claim && !request.answers_challenge) else { return };
        let times = if is_from_network(name) { CARRIER } else { 1 };
        let state = &mut source.enumeration;
        let is_new = state.claimed.insert(scene.salt.of(&[name]));
        let count = state.open_claims();
        let most = self.accounts * times + source.spared_numbers();
        if !is_new || count <= most || scene.class >= Class::Credited {
            return;
        }
        // The credentials of an office that has just dialled are still on their way, so this limits and never bans.
        findings.add(source, Kind::Enumeration, self.points, false, || {
            format!("claimed to be {count} different accounts and proved none, the last one {}", shown(name))
        });
    }
}

/// Whether the PBX took it, so that what it asked for is not left alone.
fn is_taken(status: u16, request: &Transaction) -> bool {
    let is_call = request.method == Method::Invite;
    match status {
        200..300 => request.method != Method::Options,
        // Busy, given up, nobody there; and what a carrier hears from a PBX that cannot take its call at present. Guests who walk
        // through extensions hear the same from a PBX that tells them nothing.
        415 | 420..=423 | 480 | 486..=488 | 500..=600 => is_call && request.is_from_network,
        _ => false,
    }
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
        let left = source.enumeration.turn(&mut source.asked_over_tcp, scene.now);
        if left != Left::default() {
            self.settle(left, scene, source, findings);
        }
        if request.target_hash == 0 || !request.is_initial || !asks_for_account(request.method) {
            return;
        }
        if request.answers_challenge {
            if scene.over_tcp {
                source.enumeration.use_over_tcp(&mut source.asked_over_tcp, request.target_hash);
            }
            let used = &mut source.enumeration.used[0];
            used.insert(request.target_hash);
            if let Some(claimed) = request.message.from.as_ref().and_then(|from| from.account()) {
                used.insert(scene.salt.of(&[claimed]));
            }
            return;
        }
        let spared = source.spared_numbers();
        let state = &mut source.enumeration;
        // What may be a carrier's call limits and never bans.
        let (asked, most) = if request.is_from_network {
            (&mut state.claimed, self.accounts * CARRIER)
        } else {
            (&mut state.asked[0], self.accounts)
        };
        let before = *asked;
        let is_new = asked.insert(request.target_hash);
        if scene.over_tcp && !request.is_from_network && !request.is_dropped {
            let [count, _] = &mut source.asked_over_tcp;
            *count = count.saturating_add(u8::from(is_new));
        }
        let open = if request.is_from_network { state.open_claims() } else { state.open() };
        if request.is_dropped {
            // It goes on, but who is not heard leaves nothing alone.
            let asked = if request.is_from_network { &mut state.claimed } else { &mut state.asked[0] };
            *asked = before;
        }
        if !is_new || scene.class >= Class::Credited {
            return;
        }
        let on_connection = request.accounts_on_connection;
        let is_silent = state.is_silent();
        let waits = scene.now.since(state.since) < AT_ONCE;
        let is_list = on_connection > self.accounts.saturating_mul(GATEWAY);
        let is_proof = request.is_proof && is_list && is_silent;
        let count = if is_proof { on_connection } else { open };
        if count > most + spared {
            let target = request.target.unwrap_or_default();
            let method = request.method.as_str();
            findings.add(source, Kind::Enumeration, self.points, is_proof, || {
                format!(
                    "asked for {count} different accounts without credentials, the last by {method} {}",
                    shown(target)
                )
            });
            // Credentials may be on their way.
            if request.is_from_network || !is_silent || waits && !is_proof {
                findings.doubt();
            }
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
        if is_taken(answer.status, request) {
            return source.enumeration.take(request.target);
        }
        if matches!(answer.status, 401 | 403 | 407) {
            return self.challenged(scene, answer, source, findings);
        }
        // With a NOTIFY to itself a phone keeps its way through a router open.
        let is_for_itself = || {
            answer.message.to.as_ref().map(|to| to.raw_uri)
                == answer.message.from.as_ref().map(|from| from.raw_uri)
        };
        let asks = asks_for_account(request.method) || request.method == Method::Notify && !is_for_itself();
        let missing = matches!(answer.status, 404 | 410 | 604) && asks;
        if !missing || scene.class >= Class::Credited {
            return;
        }
        // With credentials it may be a user who mistypes, or a phone that watches extensions that are gone; and a carrier may
        // call before the PBX has read which numbers it has.
        let is_watcher = request.answers_challenge && request.method != Method::Register;
        // A carrier's ping is answered 404 for days, always for the same name.
        let state = &mut source.enumeration;
        if scene.now.since(state.missing_since) > MEMORY {
            state.missing = Distinct::default();
        }
        state.missing_since = scene.now;
        let is_new = state.missing.insert(request.target);
        let count = state.missing.count();
        let spared = source.spared_numbers().max(if is_watcher { WATCHED } else { 1 });
        let is_doubtful = is_watcher || request.is_from_network && count <= STARTING;
        if is_new && count > spared {
            let points = self.missing_points;
            if !is_doubtful {
                request.pending += points;
                request.pending_kind = Some(Kind::Enumeration);
                low_and_slow::leave(
                    source,
                    Distinct(Distinct::bit(request.target)),
                    request.is_proof,
                    scene.now,
                );
            }
            let method = request.method.as_str();
            let name = answer.message.to.as_ref().and_then(|to| to.account()).unwrap_or_default();
            findings.add(source, Kind::Enumeration, points, request.is_proof && !is_doubtful, || {
                format!("asked for {count} accounts that do not exist, the last by {method} {}", shown(name))
            });
        }
    }
}
