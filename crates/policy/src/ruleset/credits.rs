//! The token arithmetic of `xt_limit` and `xt_hashlimit`: what a packet costs, what a bucket holds, what a tick gives.

use super::{HashLimit, HashRate, Limit, Rate};

/// Parts of a second in which `-m limit` counts an interval (`XT_LIMIT_SCALE`); also its fastest rate per second.
pub const LIMIT_SCALE: u32 = 10_000;

/// The same for `-m hashlimit` (`XT_HASHLIMIT_SCALE_v2`).
pub const HASHLIMIT_SCALE: u32 = 1_000_000;

/// `xt_limit`'s bucket, in credits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct LimitCredits {
    /// What one packet takes.
    pub cost: u32,
    /// What the bucket holds, and begins with.
    pub cap: u32,
    /// What each tick of the kernel's clock gives.
    pub per_jiffy: u32,
}

/// `xt_hashlimit`'s bucket, in credits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct HashCredits {
    /// What one packet takes; for byte rates, what each 16 bytes take.
    pub cost: u64,
    /// What the bucket holds, and begins with.
    pub cap: u64,
    /// What each tick gives.
    pub per_jiffy: u64,
    /// Byte rates only: how often an empty bucket is filled at once (the burst).
    pub refills: u64,
}

impl Limit {
    /// The arithmetic for a kernel with `hz` ticks a second; `None` where `limit_mt_check` refuses the rule.
    pub fn credits(&self, hz: u32) -> Option<LimitCredits> {
        let interval = interval(self.rate, LIMIT_SCALE)?;
        let interval = u32::try_from(interval).ok()?;
        let per_jiffy = power_of_two_at_most(u64::from(u32::MAX) / u64::from(hz.checked_mul(86_400)?))?;
        let per_jiffy = u32::try_from(per_jiffy).ok()?;
        let cost = limit_credits(interval, hz, per_jiffy)?;
        // The kernel multiplies in 32 bits and refuses what wrapped around, or most of it.
        let cap = limit_credits(interval.wrapping_mul(self.burst), hz, per_jiffy)?;
        (self.burst > 0 && cap >= cost).then_some(LimitCredits { cost, cap, per_jiffy })
    }
}

/// `user2credits` of `xt_limit.c`.
fn limit_credits(user: u32, hz: u32, per_jiffy: u32) -> Option<u32> {
    let factor = hz.checked_mul(per_jiffy)?;
    if user > u32::MAX.checked_div(factor)? {
        return Some((user / LIMIT_SCALE).wrapping_mul(factor));
    }
    Some(user.wrapping_mul(factor) / LIMIT_SCALE)
}

impl HashLimit {
    /// The arithmetic for a kernel with `hz` ticks a second; `None` where `hashlimit_mt_check_common` refuses the rule.
    pub fn credits(&self, hz: u32) -> Option<HashCredits> {
        match self.rate {
            HashRate::Packets(rate) => packet_credits(rate, self.burst, hz),
            HashRate::Bytes(rate) => byte_credits(rate, self.burst, hz),
        }
    }
}

fn packet_credits(rate: Rate, burst: u64, hz: u32) -> Option<HashCredits> {
    let interval = interval(rate, HASHLIMIT_SCALE)?;
    let per_jiffy = power_of_two_at_most(u64::MAX / (u64::from(hz) * 86_400))?;
    let per_second = u64::from(hz).checked_mul(per_jiffy)?;
    // `user2credits`: constants are divided first, so that nothing overflows.
    let per_unit = per_second / u64::from(HASHLIMIT_SCALE);
    let cost = interval.wrapping_mul(per_unit);
    let cap = interval.wrapping_mul(burst).wrapping_mul(per_unit);
    (burst > 0 && cap >= cost).then_some(HashCredits { cost, cap, per_jiffy, refills: 0 })
}

/// Byte rates are counted in chunks of 16 bytes (`XT_HASHLIMIT_BYTE_SHIFT`), as a share of `u32::MAX`.
fn byte_credits(rate: u64, burst: u64, hz: u32) -> Option<HashCredits> {
    let chunks = u32::try_from(rate >> 4).ok()?;
    let user = u32::MAX.checked_div(chunks.checked_add(1)?)?;
    let per_jiffy = power_of_two_at_most(u64::from(u32::MAX) / u64::from(hz))?;
    let cap = per_jiffy.checked_mul(u64::from(hz))?;
    let cost = (u64::from(user) * cap) >> 32;
    let kept = kept_byte_rate(rate)?;
    let refills = if burst == 0 { 0 } else { refills(burst, kept)? };
    (user > 0).then_some(HashCredits { cost, cap, per_jiffy, refills })
}

/// The burst in units of the rate. iptables adds one when the *quotient* is no multiple of the rate.
fn refills(burst: u64, kept: u64) -> Option<u64> {
    if burst < kept {
        return None;
    }
    let quotient = burst.checked_div(kept)?;
    Some(if burst.checked_rem(kept)? > 0 { quotient + 1 } else { quotient })
}

/// The byte rate that is left after rounding (`cost_to_bytes`); `None` below 16 bytes a second.
fn kept_byte_rate(rate: u64) -> Option<u64> {
    let chunks = u32::try_from(rate >> 4).ok()?;
    let cost = u32::MAX.checked_div(chunks.checked_add(1)?)?;
    let kept = u64::from(u32::MAX.checked_div(cost)?.checked_sub(1)?) << 4;
    (kept > 0).then_some(kept)
}

/// Time between two packets of this rate, in parts of a second.
fn interval(rate: Rate, scale: u32) -> Option<u64> {
    (u64::from(scale) * rate.unit.seconds())
        .checked_div(u64::from(rate.amount))
        .filter(|interval| *interval > 0)
}

/// `POW2_BELOW32`, `POW2_BELOW64`.
fn power_of_two_at_most(value: u64) -> Option<u64> {
    value.checked_ilog2().map(|log| 1 << log)
}

#[cfg(test)]
mod tests {
    use super::super::RateUnit;
    use super::*;

    fn limit(amount: u32, unit: RateUnit, burst: u32) -> Option<LimitCredits> {
        Limit { rate: Rate { amount, unit }, burst }.credits(250)
    }

    #[test]
    fn a_second_at_250_ticks_is_32000_credits() {
        let credits = limit(1, RateUnit::Second, 5).unwrap();
        assert_eq!(credits, LimitCredits { cost: 32_000, cap: 160_000, per_jiffy: 128 });
        assert_eq!(u64::from(credits.per_jiffy) * 250, 32_000);
    }

    #[test]
    fn what_the_kernel_refuses_has_no_credits() {
        // Seen with iptables-legacy-restore on Linux 6.18: one a day overflows even with the default burst.
        assert_eq!(limit(1, RateUnit::Day, 5), None);
        assert_eq!(limit(3, RateUnit::Second, 0), None);
        assert!(limit(3, RateUnit::Hour, 100).is_some());
    }

    fn hash(rate: HashRate, burst: u64) -> Option<HashCredits> {
        HashLimit {
            negated: false,
            name: "x".into(),
            above: false,
            rate,
            burst,
            by_source: true,
            by_source_port: false,
            by_destination: false,
            by_destination_port: false,
            source_mask: 32,
            destination_mask: 32,
            buckets: 0,
            max: 0,
            expire: 1000,
            gc_interval: 1000,
        }
        .credits(250)
    }

    #[test]
    fn a_packet_costs_its_share_of_a_second() {
        let credits = hash(HashRate::Packets(Rate { amount: 1, unit: RateUnit::Second }), 5).unwrap();
        // Integer division of the constants loses less than one part in a million.
        assert!(credits.cost <= credits.per_jiffy * 250 && credits.cost > credits.per_jiffy * 249);
        assert_eq!(credits.cap, credits.cost * 5);
    }

    #[test]
    fn a_byte_rate_spends_the_bucket_in_a_second() {
        let credits = hash(HashRate::Bytes(16_000), 0).unwrap();
        let chunks = credits.cap / credits.cost;
        assert!((1000..=1002).contains(&chunks), "{chunks}");
        assert_eq!(credits.refills, 0);
        assert_eq!(hash(HashRate::Bytes(1 << 20), 2 << 20).unwrap().refills, 2);
        assert_eq!(hash(HashRate::Bytes(1 << 20), 20_000), None);
        assert_eq!(hash(HashRate::Bytes(15), 0), None);
    }
}
