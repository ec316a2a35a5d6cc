use std::time::Duration;

use jiff::civil::{Date, DateTime};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::zones;

const MONTHS: [&str; 12] =
    ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];

/// What a date in a line says, by the names of Python's `strptime`.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Parts {
    year: Option<i16>,
    month: Option<i8>,
    day: Option<i8>,
    hour: i8,
    /// `%p`
    afternoon: Option<bool>,
    /// `%I`
    of_twelve: bool,
    minute: i8,
    second: i8,
    /// From Monday, 0.
    weekday: Option<i32>,
    day_of_year: Option<i32>,
    /// And whether it begins with Monday.
    week: Option<(i32, bool)>,
    /// Minutes east of Greenwich.
    offset: Option<i32>,
}

impl Parts {
    /// Takes what a group found; `None` if it cannot be.
    pub(super) fn set(&mut self, name: &str, text: &str) -> Option<()> {
        match name {
            // All of this century.
            "y" => {
                self.year = Some(number(text)?).map(|year: i16| if year <= 2000 { year + 2000 } else { year })
            }
            "Y" => self.year = Some(number(text)?),
            "m" => self.month = Some(number(text)?),
            "b" | "B" => self.month = Some(word(&MONTHS, text)? + 1),
            "d" => self.day = Some(number(text)?),
            "H" => self.hour = number(text)?,
            "I" => (self.hour, self.of_twelve) = (number(text)?, true),
            "p" => self.afternoon = Some(text.eq_ignore_ascii_case("pm")),
            "M" => self.minute = number(text)?,
            "S" => self.second = number(text)?,
            "a" | "A" => self.weekday = Some(i32::from(word(&DAYS, text)?)),
            "w" => self.weekday = Some(number(text)?).map(|day: i32| (day + 6) % 7),
            "j" => self.day_of_year = Some(number(text)?),
            "U" => self.week = Some((number(text)?, false)),
            "W" => self.week = Some((number(text)?, true)),
            "z" | "Z" => self.offset = Some(zones::minutes(text)?),
            _ => {}
        }
        Some(())
    }

    /// The time since the epoch. Who leaves out the year means the last time it was so, but for a day's grace; who leaves out the
    /// day means today, or yesterday if that is not yet.
    pub(super) fn time(mut self, now: Duration, zone: &TimeZone) -> Option<Duration> {
        let today = local(now, zone)?;
        let year = self.year.unwrap_or(today.year());
        self.day_from_others(year)?;
        let no_day = self.month.is_none() && self.day.is_none();
        if no_day {
            (self.month, self.day) = (Some(today.month()), Some(today.day()));
        }
        let date = Date::new(year, self.month?, self.day?).ok()?;
        let mut when = DateTime::from_parts(
            date,
            jiff::civil::Time::new(self.hour(), self.minute, self.second, 0).ok()?,
        );
        if let Some(minutes) = self.offset {
            when = when.checked_sub(SignedDuration::from_mins(i64::from(minutes))).ok()?;
        }
        if no_day && when > today {
            when = when.checked_sub(1.day()).ok()?;
        }
        if self.year.is_none() && when > today.checked_add(1.day()).ok()? {
            let date = Date::new(year.checked_sub(1)?, self.month?, self.day?).ok()?;
            when = DateTime::from_parts(date, when.time());
        }
        let zone = if self.offset.is_some() { &TimeZone::UTC } else { zone };
        let instant = zone.to_ambiguous_zoned(when).compatible().ok()?.timestamp();
        Some(Duration::from_secs(u64::try_from(instant.as_second()).unwrap_or(0)))
    }

    fn hour(&self) -> i8 {
        match (self.of_twelve, self.hour, self.afternoon) {
            (true, 12, Some(false) | None) => 0,
            (true, 12, Some(true)) => 12,
            (true, hour, Some(true)) => hour.saturating_add(12),
            (_, hour, _) => hour,
        }
    }

    /// From the day of the year, or from week and day of the week.
    fn day_from_others(&mut self, year: i16) -> Option<()> {
        if self.month.is_some() && self.day.is_some() {
            return Some(());
        }
        let first = Date::new(year, 1, 1).ok()?;
        if let (None, Some((week, monday)), Some(weekday)) = (self.day_of_year, self.week, self.weekday) {
            let shift = i32::from(!monday);
            let begins = (i32::from(first.weekday().to_monday_zero_offset()) + shift) % 7;
            let day = (weekday + shift) % 7;
            let days = if week == 0 { day - begins } else { (7 - begins) % 7 + 7 * (week - 1) + day };
            self.day_of_year = Some(1 + days);
        }
        if let Some(day) = self.day_of_year {
            let date = first.checked_add((i64::from(day) - 1).days()).ok()?;
            (self.month, self.day) = (Some(date.month()), Some(date.day()));
        }
        Some(())
    }
}

/// What a clock on the wall shows.
fn local(now: Duration, zone: &TimeZone) -> Option<DateTime> {
    let now = Timestamp::from_duration(SignedDuration::try_from(now).ok()?).ok()?;
    Some(zone.to_datetime(now))
}

fn number<T: std::str::FromStr>(text: &str) -> Option<T> {
    text.trim().parse().ok()
}

/// The place of a word of which the first three letters count.
fn word(words: &[&str], text: &str) -> Option<i8> {
    let start = text.get(..3)?;
    let place = words.iter().position(|word| word.eq_ignore_ascii_case(start))?;
    i8::try_from(place).ok()
}
