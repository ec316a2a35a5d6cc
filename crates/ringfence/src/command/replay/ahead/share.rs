//! Who looks at how much: the two processors are to have done with a batch at the same time.

use std::time::Duration;

/// How much of each batch the reader looks at; the judge looks at the rest by itself. What is printed does not depend on it.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Share(u32);

/// All of it.
const WHOLE: u32 = 1 << 8;
/// It never does less, so that there is something to measure.
const LEAST: u32 = WHOLE / 8;
/// How far it moves at once: a processor may have been busy with something else.
const STEP: i64 = 24;

impl Share {
    /// All of it is looked at by the reader.
    pub(super) const ALL: Self = Self(WHOLE);

    /// How many of `frames` that is.
    pub(super) fn of(self, frames: usize) -> usize {
        let share = usize::try_from(self.0).unwrap_or_default();
        (frames.saturating_mul(share) / usize::try_from(WHOLE).unwrap_or(1)).min(frames)
    }

    /// Gives less to who took longer.
    pub(super) fn follow(&mut self, judging: Duration, reading: Duration) {
        let micros = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX / 1024);
        let (judging, reading) = (micros(judging).min(1 << 40), micros(reading).min(1 << 40));
        let half = i64::from(WHOLE) / 2;
        let change = half * (judging - reading) / (judging + reading).max(1);
        let moved = i64::from(self.0) + change.clamp(-STEP, STEP);
        self.0 = u32::try_from(moved.clamp(i64::from(LEAST), i64::from(WHOLE))).unwrap_or(WHOLE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_took_longer_gets_less() {
        let ms = Duration::from_millis;
        let mut share = Share::ALL;
        share.follow(ms(9), ms(3));
        assert_eq!(share, Share::ALL, "the judge is late: the reader cannot do more than all");
        for _ in 0..100 {
            share.follow(ms(1), ms(9));
        }
        assert_eq!(share.of(800), 100, "some is left to be measured");
        share.follow(ms(5), ms(5));
        assert_eq!(share.of(800), 100);
        share.follow(Duration::MAX, Duration::ZERO);
        assert_eq!(share.of(800), 175);
        share.follow(Duration::ZERO, Duration::ZERO);
        assert_eq!(share.of(800), 175);
        assert_eq!(Share::ALL.of(7), 7);
    }

    #[test]
    fn both_end_at_the_same_time() {
        // Looking takes 3 for each frame, reading the file 1, judging 2.
        let mut share = Share::ALL;
        for _ in 0..100 {
            let looked = u64::try_from(share.of(1000)).unwrap();
            let reading = Duration::from_micros(1000 + 3 * looked);
            let judging = Duration::from_micros(2000 + 3 * (1000 - looked));
            share.follow(judging, reading);
        }
        assert!((600..=730).contains(&share.of(1000)), "{share:?}");
    }
}
