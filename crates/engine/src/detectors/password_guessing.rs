//! Passwords that are tried out.

use super::{Answer, Detect, Detector, Findings, Kind, Scene, shown};
use crate::command::{Class, Source as Address};
use crate::settings::{Setting, Settings};
use crate::source::{Distinct, Source};
use crate::table::{Fill, Sets};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::PasswordGuessing,
    summary: "credentials that are refused again and again",
    description: "Counts requests with credentials that were refused: asked for again although the nonce was good, or \
        forbidden. A challenge to a request without credentials is no failure, nor is one with `stale`, nor the first one to a \
        phone that comes with a nonce from before a restart or from another network. A phone that repeats \
        its old password now and then (the same Call-ID, 20 seconds apart) counts little, and behind an address where others \
        succeed one account alone never fills the measure, nor do a few of an office's phones that nobody took down, unless it fails \
        faster than any phone repeats. An account that \
        several sources fail on raises an alert, and their guesses count twice.",
    settings: &[
        Setting {
            key: "points",
            default: 20,
            min: 0,
            max: 1000,
            unit: "points a refusal",
            reason: "five guesses of a stranger make the threshold of 100",
        },
        Setting {
            key: "credited-points",
            default: 10,
            min: 0,
            max: 1000,
            unit: "points a refusal",
            reason: "where others succeed a wrong password is likely a mistake",
        },
        Setting {
            key: "same-phone-points",
            default: 5,
            min: 0,
            max: 1000,
            unit: "points a refusal",
            reason: "a phone that registers every minute with an old password stays below the threshold for ever",
        },
        Setting {
            key: "account-cap",
            default: 60,
            min: 0,
            max: 10_000,
            unit: "points",
            reason: "what one failing account adds at most to a source where others succeed",
        },
        Setting {
            key: "sources",
            default: 4,
            min: 2,
            max: 60,
            unit: "sources",
            reason: "a user has a phone, a mobile and a laptop; a fourth place that fails is a list being shared",
        },
    ],
};

/// Rows of the tables below.
const PAIRS: usize = 1 << 16;
const ACCOUNTS: usize = 1 << 14;
const DAY: Tick = Tick::seconds(24 * 3600);
/// Phones repeat slower, guessers faster.
const PHONE_PAUSE: Tick = Tick::seconds(20);
const BURST_PAUSE: Tick = Tick::seconds(3);
/// Failures of one account this close to one another that no phone makes.
const BURST: u8 = 8;
/// So long after its last failure an account begins anew.
const FORGOTTEN: Tick = Tick::seconds(3600);
/// What one witness missed until then is not held against the next.
const EVEN: Tick = Tick::seconds(60);

#[derive(Debug)]
pub(crate) struct PasswordGuessing {
    points: f32,
    credited: f32,
    same_phone: f32,
    cap: f32,
    sources: u32,
    pairs: Sets<Pair>,
    accounts: Sets<Account>,
}

/// One source and one account.
#[derive(Clone, Copy, Debug, Default)]
struct Pair {
    last: Tick,
    call: u64,
    points: f32,
    failures: u16,
    burst: u8,
    /// How many of them counted as what may be forged.
    forgeable: u16,
    /// How many of them each witness saw: one try is seen by several, and counts once.
    seen: [u16; 2],
}

/// Who saw a try.
#[derive(Clone, Copy, Debug)]
enum Witness {
    Wire,
    Pbx,
}

impl Pair {
    /// Whether a try that `witness` saw is one that nobody else saw. Witnesses lag behind each other by seconds; after a
    /// minute they are even again.
    fn is_news(&mut self, witness: Witness, now: Tick) -> bool {
        if now.since(self.last) > EVEN {
            self.seen = [self.failures; 2];
        }
        let Some(seen) = self.seen.get_mut(witness as usize) else { return true };
        *seen = seen.saturating_add(1);
        *seen > self.failures || *seen == u16::MAX
    }
}

#[derive(Clone, Copy, Debug, Default)]
struct Account {
    /// That failed.
    sources: Distinct,
}

impl PasswordGuessing {
    /// 65,536 pairs of source and account and 16,384 accounts, for a day; the oldest of a set of 4 makes room.
    pub(crate) fn new(settings: &Settings) -> Self {
        let points = |key| settings.points(Kind::PasswordGuessing, key);
        Self {
            points: points("points"),
            credited: points("credited-points"),
            same_phone: points("same-phone-points"),
            cap: points("account-cap"),
            sources: settings.get(Some(Kind::PasswordGuessing), "sources"),
            pairs: Sets::new(PAIRS),
            accounts: Sets::new(ACCOUNTS),
        }
    }

    pub(crate) fn fill(&self) -> [Fill; 2] {
        [self.pairs.fill("guessed-pairs"), self.accounts.fill("guessed-accounts")]
    }

    /// The points of one more refusal.
    fn weigh(&self, pair: &mut Pair, (class, cap): (Class, f32), now: Tick, call: u64) -> f32 {
        let pause = now.since(pair.last);
        if pause > FORGOTTEN {
            *pair = Pair {
                failures: pair.failures,
                forgeable: pair.forgeable,
                seen: pair.seen,
                ..Pair::default()
            };
        }
        let same_phone = pair.failures > 0 && pause >= PHONE_PAUSE && pair.call == call;
        pair.burst = if pair.failures > 0 && pause <= BURST_PAUSE { pair.burst.saturating_add(1) } else { 0 };
        let points = match class {
            _ if same_phone => self.same_phone,
            Class::Credited | Class::Trusted => self.credited,
            Class::Proven | Class::Unproven => self.points,
        };
        let over = class >= Class::Credited && pair.burst < BURST && pair.points + points > cap;
        let points = if over { 0.0 } else { points };
        pair.points += points;
        pair.failures = pair.failures.saturating_add(1);
        pair.last = now;
        pair.call = call;
        points
    }
}

/// Credentials that were refused.
#[derive(Clone, Copy, Debug)]
struct Refused<'a> {
    account: u64,
    /// As it is told.
    name: &'a [u8],
    /// Hash of what tells one phone's tries from another's.
    call: u64,
    is_proof: bool,
    /// The PBX looked at the password.
    is_judged: bool,
    witness: Witness,
}

impl PasswordGuessing {
    /// Credentials were refused; whether they may be a phone's first ones with a nonce from before a restart.
    fn refused(
        &mut self,
        scene: &Scene,
        refused: &Refused<'_>,
        source: &mut Source,
        findings: &mut Findings,
    ) -> bool {
        let address = Address::of(scene.peer.ip()).number();
        let pair_key = pair_key(scene, refused.account);
        let mut pair = self.pairs.get(pair_key, scene.now, DAY).copied().unwrap_or_default();
        if !pair.is_news(refused.witness, scene.now) {
            // Who saw it first could not tell whose it was.
            if refused.is_proof && pair.forgeable > 0 {
                pair.forgeable -= 1;
                let points = if scene.class >= Class::Credited { self.credited } else { self.points };
                findings.prove(Kind::PasswordGuessing, points);
            }
            self.pairs.insert(pair_key, scene.now, pair);
            return false;
        }
        source.slow.fail(refused.account);
        // Phones that nobody took down, all together, never fill the measure either.
        let (failing, spared) = (source.slow.failing(), source.spared_accounts());
        #[expect(clippy::cast_precision_loss, reason = "at most 32")]
        let cap = if (2..=spared).contains(&failing) { 2.0 * self.cap / failing as f32 } else { self.cap };
        // Only once: the answer to a nonce that the PBX does not know may tell all the same whether the password is right, as Asterisk's
        // `stale` does.
        let is_late = !refused.is_judged && (pair.failures == 0 || scene.now.since(pair.last) > FORGOTTEN);
        let is_first = is_late && pair.failures == 0;
        let mut points = self.weigh(&mut pair, (scene.class, cap), scene.now, refused.call);
        if is_late {
            points = 0.0;
        }
        pair.forgeable = pair.forgeable.saturating_add(u16::from(!refused.is_proof));
        self.pairs.insert(pair_key, scene.now, pair);
        let name = refused.name;
        let (account, _) = self.accounts.entry(refused.account, scene.now, DAY);
        let is_new = account.sources.insert(scene.salt.of_number(address));
        let sources = account.sources.count();
        if sources >= self.sources {
            points *= 2.0;
            if is_new {
                findings.alert(source, Kind::PasswordGuessing, || {
                    format!(
                        "passwords for account {} are tried from {sources} different sources",
                        shown(name)
                    )
                });
            }
        }
        let failures = pair.failures;
        findings.add(source, Kind::PasswordGuessing, points, refused.is_proof, || {
            let times = if failures == 1 { "once".to_owned() } else { format!("{failures} times") };
            format!("credentials for account {} refused, {times} so far", shown(name))
        });
        is_first
    }

    /// The PBX says that it refused credentials: of which account, in which call, and whether its address is proven.
    pub(crate) fn told(
        &mut self,
        scene: &Scene,
        (name, call, is_proof): (&[u8], u64, bool),
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let account = scene.salt.of(&[name]);
        let refused = Refused { account, name, call, is_proof, is_judged: true, witness: Witness::Pbx };
        self.refused(scene, &refused, source, findings);
    }

    /// The PBX says that it accepted credentials of an account.
    pub(crate) fn accepted(&mut self, scene: &Scene, name: &[u8]) {
        self.reset(scene, scene.salt.of(&[name]));
    }

    fn reset(&mut self, scene: &Scene, account: u64) {
        if let Some(pair) = self.pairs.get_mut(pair_key(scene, account), scene.now, DAY) {
            *pair = Pair::default();
        }
    }
}

fn pair_key(scene: &Scene, account: u64) -> u64 {
    let address = Address::of(scene.peer.ip()).number();
    scene.salt.of(&[&address.to_le_bytes(), &account.to_le_bytes()])
}

impl Detect for PasswordGuessing {
    fn answer(
        &mut self,
        scene: &Scene,
        answer: &mut Answer<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        let account = answer.request.account;
        if (200..300).contains(&answer.status) && answer.request.earns_credit {
            self.reset(scene, account);
        } else if answer.refuses_credentials(scene.class) {
            let refused = Refused {
                account,
                name: answer.message.from.as_ref().and_then(|from| from.account()).unwrap_or_default(),
                call: answer.request.call,
                is_proof: answer.request.is_proof,
                is_judged: answer.judges_credentials(),
                witness: Witness::Wire,
            };
            answer.request.is_late = self.refused(scene, &refused, source, findings);
        }
    }
}
