//! Calls at somebody else's expense: numbers dialled without credentials, prefixes tried until one leads out.

use sip::Method;

use super::{Answer, Detect, Detector, Findings, Kind, Request, Scene, shown};
use crate::command::Class;
use crate::settings::{Setting, Settings};
use crate::source::{Distinct, Source};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::TollFraud,
    summary: "numbers dialled without credentials, and prefix walks",
    description: "Looks at INVITEs to telephone numbers that come without credentials from a source that never authenticated and \
        whose calls the PBX does not take: different numbers that are refused, and above all the same number with one prefix \
        after another, however slowly (one try in 35 seconds, or in an hour). A phone or dialling program that is challenged \
        comes back with credentials within a moment and is out of this. Of a source some of whose calls are taken, only many \
        refused numbers count, or five prefixes. A call whose caller is a telephone number, or withheld, may be a carrier's that \
        the PBX refuses by mistake: numbers that differ in their last four digits only are one then, as those of a subscriber do, and \
        a walk has five prefixes. Over UDP the INVITE can be forged: its points count for certain when the sender acknowledges our answer.",
    settings: &[
        Setting {
            key: "walk-points",
            default: 40,
            min: 0,
            max: 1000,
            unit: "points a prefix more",
            reason: "one number behind a third prefix is no wrong number",
        },
        Setting {
            key: "number-points",
            default: 20,
            min: 0,
            max: 1000,
            unit: "points a number more",
            reason: "six refused numbers make the threshold of 100",
        },
        Setting {
            key: "digits",
            default: 7,
            min: 4,
            max: 20,
            unit: "digits",
            reason: "shorter ones are extensions, which enumeration sees",
        },
    ],
};

#[derive(Debug)]
pub(crate) struct TollFraud {
    walk_points: f32,
    number_points: f32,
    digits: usize,
}

#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct State {
    last: Tick,
    /// The ends of the last two numbers, and the prefixes that stood before each.
    tails: [u32; 2],
    heads: [u16; 2],
    refused: Distinct,
    /// Numbers that were challenged and not followed by credentials, of this moment and the one before.
    challenged: [Distinct; 2],
    since: Tick,
    /// Challenges that were acknowledged, which proves who was challenged.
    acknowledged: u8,
}

const MEMORY: Tick = Tick::seconds(24 * 3600);
/// A phone answers a challenge within less than one of these; what waited for two is not answered.
const MOMENT: Tick = Tick(15);
/// A caller may forget a prefix or two. A carrier may write one number in several ways.
const WALK: u32 = 3;
const LONG_WALK: u32 = 5;
/// Digits in which the numbers of one subscriber differ.
const BLOCK: usize = 4;
/// Digits that a walk leaves alone.
const TAIL: usize = 7;

impl State {
    /// The sender of a call without credentials acknowledged our answer.
    pub(crate) fn acknowledge(&mut self) {
        self.acknowledged = self.acknowledged.saturating_add(1);
    }

    fn challenge(&mut self, number: u64) {
        self.challenged[0].insert(number);
    }

    /// Credentials came for a number. That its challenge was acknowledged vouches for no other.
    fn follow(&mut self, number: u64) {
        let bit = Distinct::bit(number);
        let is_open = self.challenged.iter().any(|numbers| numbers.0 & bit != 0);
        self.challenged.iter_mut().for_each(|numbers| numbers.0 &= !bit);
        self.acknowledged = self.acknowledged.saturating_sub(u8::from(is_open));
    }

    /// Numbers that were challenged a while ago, and whether the challenges were acknowledged.
    fn settle(&mut self, now: Tick) -> (Distinct, bool) {
        if self.since == Tick(0) {
            self.since = now;
        }
        if now.since(self.since) < MOMENT {
            return (Distinct::default(), false);
        }
        let is_old = now.since(self.since) >= Tick(2 * MOMENT.0);
        let [latest, before] = self.challenged;
        let left = Distinct(before.0 | if is_old { latest.0 } else { 0 });
        self.challenged = [Distinct::default(), if is_old { Distinct::default() } else { latest }];
        self.since = now;
        let is_acknowledged = u32::from(self.acknowledged) >= left.0.count_ones();
        // What is acknowledged but followed by credentials, or no challenge at all, vouches for nothing later.
        let waiting = u8::try_from(self.challenged[1].0.count_ones()).unwrap_or(u8::MAX);
        let rest = self.acknowledged.saturating_sub(u8::try_from(left.0.count_ones()).unwrap_or(u8::MAX));
        self.acknowledged = rest.min(waiting);
        (left, is_acknowledged)
    }

    fn is_walked(&self, prefixes: u32) -> bool {
        self.heads.iter().any(|heads| heads.count_ones() >= prefixes)
    }

    /// Different prefixes of this number so far, if this one is new.
    fn walk(&mut self, tail: u64, head: u64) -> Option<u32> {
        let tail = u32::try_from(tail >> 24 & 0xffff_ffff).unwrap_or(0);
        let at = self.tails.iter().position(|&known| known == tail).unwrap_or_else(|| {
            // The one with fewer prefixes makes room.
            let at = usize::from(self.heads[0].count_ones() > self.heads[1].count_ones());
            if let (Some(known), Some(heads)) = (self.tails.get_mut(at), self.heads.get_mut(at)) {
                *known = tail;
                *heads = 0;
            }
            at
        });
        let heads = self.heads.get_mut(at)?;
        let bit = 1_u16 << (head >> 24 & 15);
        let is_new = *heads & bit == 0;
        *heads |= bit;
        is_new.then_some(heads.count_ones())
    }
}

impl TollFraud {
    pub(crate) fn new(settings: &Settings) -> Self {
        Self {
            walk_points: settings.points(Kind::TollFraud, "walk-points"),
            number_points: settings.points(Kind::TollFraud, "number-points"),
            digits: usize::try_from(settings.get(Some(Kind::TollFraud), "digits")).unwrap_or(TAIL),
        }
    }

    /// A telephone number's prefix and end.
    fn number<'a>(&self, user: &'a [u8]) -> Option<(&'a [u8], &'a [u8])> {
        let is_dialled = |&byte: &u8| {
            byte.is_ascii_digit() || matches!(byte, b'+' | b'*' | b'#' | b'-' | b'.' | b',' | b'%')
        };
        let digits = user.iter().filter(|byte| byte.is_ascii_digit()).count();
        if digits < self.digits || !user.iter().all(is_dialled) {
            return None;
        }
        user.split_at_checked(user.len().saturating_sub(TAIL))
    }
}

/// What counts as one number: of what may be a carrier's calls, numbers that differ in the last four digits only.
fn key(scene: &Scene, number: &[u8], is_from_network: bool) -> u64 {
    let digits = number.len().saturating_sub(if is_from_network { BLOCK } else { 0 });
    scene.salt.of(&[number.get(..digits).unwrap_or(number)])
}

/// Prefixes of one number that are a walk.
fn longest_walk(source: &Source, is_from_network: bool) -> u32 {
    if source.accepted > 0 || is_from_network { LONG_WALK } else { WALK }
}

impl TollFraud {
    /// Numbers that were challenged and that nobody came back for.
    fn settle(&self, scene: &Scene, may_be_carrier: bool, source: &mut Source, findings: &mut Findings) {
        let (left, is_acknowledged) = source.toll.settle(scene.now);
        if left == Distinct::default() || scene.class >= Class::Credited {
            return;
        }
        source.slow.dial(left.0.count_ones(), scene.now);
        let before = source.toll.refused;
        source.toll.refused.0 |= left.0;
        let (open, spared) = (source.toll.refused.count(), 1 + source.spared_numbers());
        let new = (left.0 & !before.0).count_ones().min(open.saturating_sub(spared));
        if new > 0 && !source.toll.is_walked(longest_walk(source, may_be_carrier)) {
            #[expect(clippy::cast_precision_loss, reason = "at most 64")]
            let points = self.number_points * new as f32;
            let is_proof = is_acknowledged;
            findings.add(source, Kind::TollFraud, points, is_proof, || {
                format!("dialled {open} different numbers and came back with credentials for none")
            });
            if !is_proof {
                findings.doubt();
            }
        }
    }
}

impl Detect for TollFraud {
    fn request(
        &mut self,
        scene: &Scene,
        request: &Request<'_, '_>,
        source: &mut Source,
        findings: &mut Findings,
    ) {
        if request.method != Method::Invite || !request.is_initial {
            return;
        }
        if request.earns_credit {
            let number = request.target.unwrap_or_default();
            return source.toll.follow(key(scene, number, request.is_from_network));
        }
        self.settle(scene, request.is_from_network, source, findings);
        if scene.class >= Class::Credited {
            return;
        }
        let Some(number) = request.target else { return };
        let Some((head, tail)) = self.number(number) else { return };
        let state = &mut source.toll;
        if scene.now.since(state.last) > MEMORY {
            *state = State { since: state.since, ..State::default() };
        }
        state.last = scene.now;
        let walked = state.walk(scene.salt.of(&[tail]), scene.salt.of(&[head]));
        let most = longest_walk(source, request.is_from_network);
        if let Some(prefixes) = walked.filter(|&prefixes| prefixes + 1 >= most) {
            // One less may be a caller who forgot a prefix; it counts half.
            let points = if prefixes < most { self.walk_points / 2.0 } else { self.walk_points };
            findings.add(source, Kind::TollFraud, points, request.is_proof, || {
                format!("dialled the same number behind {prefixes} different prefixes without credentials, the last {}", shown(number))
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
        let is_call = request.method == Method::Invite && request.is_initial && !request.earns_credit;
        let is_from_network = request.is_from_network;
        // Busy, no answer and the like are results of a call that was taken.
        let refused = match answer.status {
            400..=407 | 410 | 484 | 485 | 603 | 604 => true,
            // Of a carrier's call they say that the PBX cannot take it at present.
            413..=423 | 488 | 500..=504 => !is_from_network,
            _ => false,
        };
        if !is_call || !refused || scene.class >= Class::Credited {
            return;
        }
        let Some(number) = answer.message.to.as_ref().and_then(|to| to.account()) else { return };
        if self.number(number).is_none() {
            return;
        }
        let walked = source.toll.is_walked(longest_walk(source, is_from_network));
        let key = key(scene, number, is_from_network);
        let is_challenged = matches!(answer.status, 401 | 407);
        if is_challenged {
            source.toll.challenge(key);
            if scene.over_tcp {
                request.is_acknowledged = true;
                source.toll.acknowledge();
            }
        } else {
            source.slow.dial(1, scene.now);
        }
        let is_new = !is_challenged && source.toll.refused.insert(key);
        let open = source.toll.refused.count();
        if is_new && open > 1 + source.spared_numbers() || walked {
            let points = if walked { self.walk_points } else { self.number_points };
            if !request.is_proof {
                request.pending += points;
                request.pending_kind = Some(Kind::TollFraud);
            }
            findings.add(source, Kind::TollFraud, points, request.is_proof, || {
                format!("dialled {open} different numbers without credentials, the last {}", shown(number))
            });
        }
    }
}
