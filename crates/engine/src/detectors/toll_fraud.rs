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
        after another, however slowly (one try in 35 seconds, or in an hour). A phone that is challenged comes back with \
        credentials and is out of this; a carrier's calls are accepted. Over UDP the INVITE can be forged: its points count for \
        certain when the sender acknowledges our answer.",
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

#[derive(Debug, Default)]
pub(crate) struct State {
    last: Tick,
    /// The ends of the last two numbers, and the prefixes that stood before each.
    tails: [u32; 2],
    heads: [u16; 2],
    refused: Distinct,
    followed: Distinct,
}

const MEMORY: Tick = Tick::seconds(24 * 3600);
/// Digits that a walk leaves alone.
const TAIL: usize = 7;

impl State {
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
        if request.has_credentials {
            source.toll.followed.insert(request.target_hash);
            return;
        }
        if scene.class >= Class::Credited || source.accepted > 0 {
            return;
        }
        let Some(number) = request.target else { return };
        let Some((head, tail)) = self.number(number) else { return };
        let state = &mut source.toll;
        if scene.now.since(state.last) > MEMORY {
            *state = State::default();
        }
        state.last = scene.now;
        let walked = state.walk(scene.salt.of(&[tail]), scene.salt.of(&[head]));
        if let Some(prefixes @ 2..) = walked {
            // A second prefix may be a caller who forgot one; it counts half.
            let points = if prefixes == 2 { self.walk_points / 2.0 } else { self.walk_points };
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
        let is_call = request.method == Method::Invite && request.is_initial && !request.has_credentials;
        // Busy, no answer and the like are results of a call that was taken.
        let refused =
            matches!(answer.status, 400..=407 | 410 | 413..=423 | 484 | 485 | 488 | 500..=504 | 603 | 604);
        if !is_call || !refused || scene.class >= Class::Credited || source.accepted > 0 {
            return;
        }
        let Some(number) = answer.message.to.and_then(|to| to.account()) else { return };
        if self.number(number).is_none() {
            return;
        }
        let is_new = source.toll.refused.insert(request.target);
        source.slow.dial(scene.now);
        let open = Distinct(source.toll.refused.0 & !source.toll.followed.0).count();
        let walked = source.toll.heads.iter().any(|heads| heads.count_ones() > 2);
        if is_new && open > 1 || walked {
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
