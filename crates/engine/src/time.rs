//! Time in tables: tenths of a second since the engine's first observation.

use std::time::Duration;

/// A point in time, or a span. Reaches 13 years.
#[derive(Clone, Copy, Debug, Default, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) struct Tick(pub(crate) u32);

impl Tick {
    pub(crate) const fn seconds(seconds: u32) -> Self {
        Self(seconds.saturating_mul(10))
    }

    /// How long ago `earlier` was; nothing if it is later.
    pub(crate) const fn since(self, earlier: Self) -> Self {
        Self(self.0.saturating_sub(earlier.0))
    }

    pub(crate) const fn plus(self, span: Self) -> Self {
        Self(self.0.saturating_add(span.0))
    }

    pub(crate) fn as_seconds(self) -> f32 {
        #[expect(clippy::cast_precision_loss, reason = "a second is exact enough")]
        let tenths = self.0 as f32;
        tenths / 10.0
    }

    pub(crate) fn as_duration(self) -> Duration {
        Duration::from_millis(u64::from(self.0) * 100)
    }
}

/// Turns times since the Unix epoch into ticks, and back.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Clock {
    start: Option<Duration>,
    now: Tick,
}

impl Clock {
    /// Time never goes back.
    pub(crate) fn advance(&mut self, now: Duration) -> Tick {
        // Tick 0 is "never" in tables.
        let start = *self.start.get_or_insert(now.saturating_sub(Duration::from_secs(1)));
        // Without `as_millis`, whose 128 bits every packet would divide.
        let passed = now.saturating_sub(start);
        let tenths =
            passed.as_secs().saturating_mul(10).saturating_add(u64::from(passed.subsec_millis()) / 100);
        self.now = self.now.max(Tick(u32::try_from(tenths).unwrap_or(u32::MAX)));
        self.now
    }

    pub(crate) fn time_of(&self, tick: Tick) -> Duration {
        self.start.unwrap_or_default() + tick.as_duration()
    }
}
