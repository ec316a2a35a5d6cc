//! What is remembered about one source.

use std::slice::from_ref;

use prefetch_index::prefetch_index;

use crate::command::{Class, Scope};
use crate::detectors::{
    Kind, enumeration, flood, low_and_slow, scanning, silent_connection, toll_fraud, tool_fingerprint,
};
use crate::table::Worth;
use crate::time::Tick;

/// One row of the table of sources. Each detector has its own field. What every message touches stands first, within two
/// lines of the processor's cache; what few touch, behind it.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C)]
pub(crate) struct Source {
    pub(crate) last: Tick,
    /// Authenticated successes count until then.
    pub(crate) credit_until: Tick,
    pub(crate) banned_until: Tick,
    pub(crate) limited_until: Tick,
    /// Calls of this source that were accepted without credentials, as a carrier's are.
    pub(crate) accepted: u16,
    pub(crate) bans: u8,
    pub(crate) proven: bool,
    /// Of the latest ban.
    pub(crate) banned_scope: Scope,
    pub(crate) class_told: Option<Class>,
    pub(crate) tools: tool_fingerprint::State,
    /// Of [`low_and_slow::State`]: how many accounts that were left alone nobody else can have asked for. Here, and below, because
    /// there is room.
    pub(crate) left_for_sure: u8,
    /// Points of evidence that nobody can forge.
    pub(crate) certain: Score,
    /// Points of evidence that someone else may have sent.
    pub(crate) forgeable: Score,
    pub(crate) scanning: scanning::State,
    pub(crate) enumeration: enumeration::State,
    pub(crate) flood: flood::State,
    /// Accounts that succeeded.
    pub(crate) succeeded: Distinct,
    pub(crate) slow: low_and_slow::State,
    pub(crate) toll: toll_fraud::State,
    /// When a limit was lifted without a success.
    pub(crate) lifted: Tick,
    /// The last request that came as a datagram, whoever sent it in this name.
    pub(crate) datagram: Tick,
    pub(crate) silent: silent_connection::State,
    /// Evidence of each kind so far.
    pub(crate) reports: [u16; Kind::COUNT],
    /// Of [`enumeration::State`]: how many accounts were asked for over TCP and are not used, of this period and the last.
    pub(crate) asked_over_tcp: [u8; 2],
}

/// So many calls taken without credentials are no guest's any more: who sends them is known.
pub(crate) const KNOWN_CALLS: u16 = 12;

impl Source {
    /// Accounts and numbers that a source may ask for in vain because others of its calls are taken: a carrier does not know
    /// which numbers are in use. Nothing for a source of which none is.
    pub(crate) fn spared_numbers(&self) -> u32 {
        if self.accepted > 0 { 10 + 4 * u32::from(self.accepted) } else { 0 }
    }

    /// Accounts that may fail for long without being somebody's list: an office has phones that nobody took down.
    pub(crate) fn spared_accounts(&self) -> u32 {
        const MOST: u32 = 16;
        (1 + self.succeeded.count() / 4).min(MOST)
    }

    pub(crate) fn class(&self, now: Tick, trusted: bool) -> Class {
        if trusted {
            Class::Trusted
        } else if self.credit_until > now {
            Class::Credited
        } else if self.proven {
            Class::Proven
        } else {
            Class::Unproven
        }
    }

    pub(crate) fn is_banned(&self, now: Tick) -> bool {
        self.banned_until > now
    }
}

impl Worth for Source {
    fn worth(&self) -> (u8, Tick) {
        let worth = match self {
            Self { bans: 1.., .. } => 4,
            Self { credit_until: Tick(1..), .. } => 3,
            _ if self.certain.is_some() => 3,
            Self { proven: true, .. } => 2,
            _ if self.forgeable.is_some() => 1,
            _ => 0,
        };
        (worth, self.last)
    }

    /// Behind the key they stand at most 64 bytes apart: in every line of the processor's cache, wherever a row begins.
    fn expect(&self) {
        prefetch_index(from_ref(&self.enumeration), 0);
        prefetch_index(from_ref(&self.flood), 0);
        prefetch_index(from_ref(&self.toll), 0);
        prefetch_index(from_ref(&self.reports), 0);
    }
}

/// Points that fade.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Score {
    points: f32,
    at: Tick,
}

impl Score {
    /// What is left of the points, with half of them gone every `half_life` seconds.
    pub(crate) fn value(self, now: Tick, half_life: f32) -> f32 {
        if self.points == 0.0 {
            return 0.0;
        }
        self.points * (-now.since(self.at).as_seconds() / half_life).exp2()
    }

    pub(crate) fn add(&mut self, points: f32, now: Tick, half_life: f32) {
        *self = Self { points: self.value(now, half_life) + points, at: now };
    }

    pub(crate) fn clear(&mut self) {
        *self = Self::default();
    }

    fn is_some(self) -> bool {
        self.points > 0.0
    }
}

/// How many different things were seen, from one bit each (linear counting): exact for a few, right within a fifth up to
/// a hundred, and never more than 8 bytes.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(crate) struct Distinct(pub(crate) u64);

impl Distinct {
    /// The bit of a hash.
    pub(crate) const fn bit(hash: u64) -> u64 {
        1 << (hash >> 20 & 63)
    }

    /// Adds one; whether its bit is new.
    pub(crate) fn insert(&mut self, hash: u64) -> bool {
        let bit = Self::bit(hash);
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// The estimate.
    pub(crate) fn count(self) -> u32 {
        /// `-64 ln(1 - n/64)`, rounded.
        const ESTIMATES: [u16; 65] = [
            0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 20, 21, 23, 24, 25, 27, 28, 30, 32,
            33, 35, 37, 39, 40, 42, 44, 46, 48, 51, 53, 55, 58, 60, 63, 66, 68, 71, 74, 78, 81, 85, 89, 93,
            97, 102, 107, 113, 119, 125, 133, 142, 152, 163, 177, 196, 222, 266, 310,
        ];
        let bits = usize::try_from(self.0.count_ones()).unwrap_or(64);
        u32::from(ESTIMATES.get(bits).copied().unwrap_or(310))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::hash::Salt;

    #[test]
    fn points_fade_by_half() {
        let mut score = Score::default();
        score.add(80.0, Tick(0), 600.0);
        assert!((score.value(Tick::seconds(600), 600.0) - 40.0).abs() < 0.1);
        score.add(60.0, Tick::seconds(600), 600.0);
        assert!((score.value(Tick::seconds(600), 600.0) - 100.0).abs() < 0.1);
    }

    #[test]
    fn different_things_are_counted_about_right() {
        for count in [1_u32, 5, 20, 60] {
            let mut distinct = Distinct::default();
            (0..count).for_each(|number| {
                distinct.insert(Salt::new(7).of_number(u64::from(number)));
            });
            let (found, slack) = (distinct.count(), 1 + count / 4);
            assert!(found.abs_diff(count) <= slack, "{found} for {count}");
        }
    }

    #[test]
    fn a_row_is_small() {
        assert!(size_of::<Source>() <= 256, "{}", size_of::<Source>());
    }
}
