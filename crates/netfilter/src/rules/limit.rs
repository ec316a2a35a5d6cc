//! `-m limit` (`net/netfilter/xt_limit.c`).

use policy::ruleset::{Limit, LimitCredits};

use super::Settings;

/// One rule's token bucket.
#[derive(Debug)]
pub(super) struct Bucket {
    /// `None` for a rule that no kernel loads: it never holds.
    credits: Option<LimitCredits>,
    credit: u32,
    /// When credit was last given; a fresh bucket is full.
    previous: Option<u64>,
}

impl Bucket {
    pub(super) fn new(limit: &Limit, settings: Settings) -> Self {
        let credits = limit.credits(settings.hz);
        Self { credits, credit: credits.map_or(0, |credits| credits.cap), previous: None }
    }

    /// Whether there is credit for a packet at this tick; if so it is spent.
    pub(super) fn takes(&mut self, jiffies: u64) -> bool {
        let Some(credits) = self.credits else { return false };
        let elapsed = jiffies.saturating_sub(self.previous.replace(jiffies).unwrap_or(jiffies));
        // Saturating where the kernel's 32 bits wrap: after 388 days without a packet.
        let gained = elapsed.saturating_mul(u64::from(credits.per_jiffy));
        let full = u64::from(self.credit).saturating_add(gained).min(u64::from(credits.cap));
        self.credit = u32::try_from(full).unwrap_or(credits.cap);
        match self.credit.checked_sub(credits.cost) {
            Some(left) => {
                self.credit = left;
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use policy::ruleset::{Rate, RateUnit};

    use super::*;

    #[test]
    fn a_burst_and_then_the_rate() {
        let limit = Limit { rate: Rate { amount: 2, unit: RateUnit::Second }, burst: 3 };
        let mut bucket = Bucket::new(&limit, Settings::default());
        let at = |bucket: &mut Bucket, tick: u64| bucket.takes(1_000_000 + tick);
        assert_eq!([0, 0, 0, 0].map(|tick| at(&mut bucket, tick)), [true, true, true, false]);
        // Half a second is 125 ticks.
        assert!(!at(&mut bucket, 124));
        assert!(at(&mut bucket, 125));
        assert!(!at(&mut bucket, 126));
        // A long rest fills the bucket, and no more than that.
        assert_eq!([9999; 4].map(|tick| at(&mut bucket, tick)), [true, true, true, false]);
    }
}
