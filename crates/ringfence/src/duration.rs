//! Periods as people write them: `90s`, `2h`, `1h30m`, `7d`.

use std::time::Duration;

use jiff::{Span, SpanRelativeTo};

/// Reads a period; a day has 24 hours.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let span = text.parse::<Span>().ok();
    let period = span.and_then(|span| span.to_duration(SpanRelativeTo::days_are_24_hours()).ok());
    let period =
        period.ok_or_else(|| format!("`{text}` is no period of time; write it like 90s, 30m, 2h or 7d"))?;
    match Duration::try_from(period) {
        Ok(period) if !period.is_zero() => Ok(period),
        Ok(_) | Err(_) => Err(format!("`{text}` is not longer than nothing")),
    }
}

/// As people read it: the two largest units.
pub(crate) fn show(period: Duration) -> String {
    let seconds = period.as_secs();
    let (days, hours, minutes) = (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60);
    let two = |first: u64, unit: &str, second: u64, next: &str| {
        if second == 0 { format!("{first} {unit}") } else { format!("{first} {unit} {second} {next}") }
    };
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, minutes) => two(minutes, "min", seconds % 60, "s"),
        (0, hours, minutes) => two(hours, "h", minutes, "min"),
        (days, hours, _) => two(days, "d", hours, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn periods_are_read_as_people_write_them() {
        for (text, seconds) in
            [("90s", 90), ("2h", 7200), ("1h30m", 5400), ("1h 30m", 5400), ("7d", 604_800), ("2 hours", 7200)]
        {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
        for text in ["", "2", "soon", "0s", "-2h", "1month", "99999999999999999999d"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn periods_are_shown_in_two_units() {
        for (seconds, text) in [
            (0, "0 s"),
            (59, "59 s"),
            (61, "1 min 1 s"),
            (7200, "2 h"),
            (5400, "1 h 30 min"),
            (100_000, "1 d 3 h"),
        ] {
            assert_eq!(show(Duration::from_secs(seconds)), text);
        }
    }
}
