use std::time::Duration;

use jiff::tz::TimeZone;

use crate::date::{Detector, Seen};

/// How old the last date may be and still count for a line without one, in seconds.
const LAST_DATE_COUNTS: u64 = 60;

/// The last date, of which the value may not be wanted yet.
#[derive(Clone, Debug, Default)]
pub(super) struct Last {
    time: Option<Duration>,
    /// A line that has a date, up to a little after it.
    pending: Option<(Seen, Duration)>,
    line: String,
}

impl Last {
    pub(super) fn set(&mut self, time: Option<Duration>) {
        self.time = time;
        self.pending = None;
    }

    /// Remembers a line until its date is wanted.
    pub(super) fn keep(&mut self, line: &str, seen: Seen, now: Duration) {
        let after = line.get(seen.end..).and_then(|rest| rest.chars().next()).map_or(0, char::len_utf8);
        self.line.clear();
        self.line.push_str(line.get(..seen.end + after).unwrap_or(line));
        self.pending = Some((seen, now));
    }

    /// The last date if it is young, else now.
    pub(super) fn or_now(&mut self, detector: &mut Detector, now: Duration, zone: &TimeZone) -> Duration {
        if let Some((seen, then)) = self.pending.take()
            && let Some(time) = detector.time_again(&self.line, seen, then, zone)
        {
            self.time = Some(time);
        }
        let young = now.saturating_sub(Duration::from_secs(LAST_DATE_COUNTS));
        self.time.filter(|time| *time > young).unwrap_or(now)
    }
}
