use std::time::Duration;

use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp, ToSpan as _};

use super::days::{Days, of_day};
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

/// What a group of a form says, by the names of Python's `strptime`.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    ShortYear,
    Year,
    Month,
    MonthName,
    Day,
    Hour,
    HourOfTwelve,
    HalfOfDay,
    Minute,
    Second,
    DayName,
    Weekday,
    DayOfYear,
    WeekFromSunday,
    WeekFromMonday,
    Zone,
}

impl Part {
    /// `None` for what tells nothing of the time, such as fractions of a second.
    pub(super) fn named(name: &str) -> Option<Self> {
        Some(match name {
            "y" => Self::ShortYear,
            "Y" => Self::Year,
            "m" => Self::Month,
            "b" | "B" => Self::MonthName,
            "d" => Self::Day,
            "H" => Self::Hour,
            "I" => Self::HourOfTwelve,
            "p" => Self::HalfOfDay,
            "M" => Self::Minute,
            "S" => Self::Second,
            "a" | "A" => Self::DayName,
            "w" => Self::Weekday,
            "j" => Self::DayOfYear,
            "U" => Self::WeekFromSunday,
            "W" => Self::WeekFromMonday,
            "z" | "Z" => Self::Zone,
            _ => return None,
        })
    }
}

/// The groups of what nearly every date says, each of which is asked for in its place.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Clock {
    year: Option<usize>,
    month: Option<usize>,
    month_name: Option<usize>,
    day: Option<usize>,
    hour: Option<usize>,
    minute: Option<usize>,
    second: Option<usize>,
}

impl Clock {
    /// Takes its groups out of all that a form has; what says the same as another part stays with the rest, in its order.
    pub(super) fn of(parts: Vec<(Part, usize)>) -> (Self, Vec<(Part, usize)>) {
        let mut clock = Self::default();
        let says_year = |part: Part| matches!(part, Part::Year | Part::ShortYear);
        let says_month = |part: Part| matches!(part, Part::Month | Part::MonthName);
        let says_hour = |part: Part| matches!(part, Part::Hour | Part::HourOfTwelve);
        let rest = parts.iter().filter(|(part, group)| {
            let is_only =
                |says: &dyn Fn(Part) -> bool| parts.iter().filter(|(part, _)| says(*part)).count() == 1;
            let place = match part {
                Part::Year if is_only(&says_year) => &mut clock.year,
                Part::Month if is_only(&says_month) => &mut clock.month,
                Part::MonthName if is_only(&says_month) => &mut clock.month_name,
                Part::Day if is_only(&|part| part == Part::Day) => &mut clock.day,
                Part::Hour if is_only(&says_hour) => &mut clock.hour,
                Part::Minute if is_only(&|part| part == Part::Minute) => &mut clock.minute,
                Part::Second if is_only(&|part| part == Part::Second) => &mut clock.second,
                Part::Year
                | Part::ShortYear
                | Part::Month
                | Part::MonthName
                | Part::Day
                | Part::Hour
                | Part::HourOfTwelve
                | Part::HalfOfDay
                | Part::Minute
                | Part::Second
                | Part::DayName
                | Part::Weekday
                | Part::DayOfYear
                | Part::WeekFromSunday
                | Part::WeekFromMonday
                | Part::Zone => return true,
            };
            *place = Some(*group);
            false
        });
        let rest = rest.copied().collect();
        (clock, rest)
    }

    /// What its groups say; `None` if it cannot be.
    #[inline]
    pub(super) fn read<'t>(&self, text: impl Fn(usize) -> Option<&'t [u8]>) -> Option<Parts> {
        let mut parts = Parts::default();
        if let Some(text) = self.year.and_then(&text) {
            parts.year = Some(number(text)?);
        }
        if let Some(text) = self.month.and_then(&text) {
            parts.month = Some(number(text)?);
        }
        if let Some(text) = self.month_name.and_then(&text) {
            parts.month = Some(word(&MONTHS, text)? + 1);
        }
        if let Some(text) = self.day.and_then(&text) {
            parts.day = Some(number(text)?);
        }
        if let Some(text) = self.hour.and_then(&text) {
            parts.hour = number(text)?;
        }
        if let Some(text) = self.minute.and_then(&text) {
            parts.minute = number(text)?;
        }
        if let Some(text) = self.second.and_then(&text) {
            parts.second = number(text)?;
        }
        Some(parts)
    }
}

/// What was found out for the last date, and often holds for the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Calendar {
    /// What a clock on the wall shows now, and in a day.
    today: Option<(Duration, DateTime, DateTime)>,
    days: Days,
}

impl Calendar {
    fn today(&mut self, now: Duration, zone: &TimeZone) -> Option<(DateTime, DateTime)> {
        match self.today {
            Some((then, today, tomorrow)) if then == now => Some((today, tomorrow)),
            _ => {
                let today = local(now, zone)?;
                let tomorrow = today.checked_add(1.day()).ok()?;
                self.today = Some((now, today, tomorrow));
                Some((today, tomorrow))
            }
        }
    }
}

impl Parts {
    /// Takes what a group found; `None` if it cannot be.
    pub(super) fn set(&mut self, part: Part, text: &[u8]) -> Option<()> {
        match part {
            // All of this century.
            Part::ShortYear => {
                self.year = Some(number(text)?).map(|year: i16| if year <= 2000 { year + 2000 } else { year })
            }
            Part::Year => self.year = Some(number(text)?),
            Part::Month => self.month = Some(number(text)?),
            Part::MonthName => self.month = Some(word(&MONTHS, text)? + 1),
            Part::Day => self.day = Some(number(text)?),
            Part::Hour => self.hour = number(text)?,
            Part::HourOfTwelve => (self.hour, self.of_twelve) = (number(text)?, true),
            Part::HalfOfDay => self.afternoon = Some(text.eq_ignore_ascii_case(b"pm")),
            Part::Minute => self.minute = number(text)?,
            Part::Second => self.second = number(text)?,
            Part::DayName => self.weekday = Some(i32::from(word(&DAYS, text)?)),
            Part::Weekday => self.weekday = Some(number(text)?).map(|day: i32| (day + 6) % 7),
            Part::DayOfYear => self.day_of_year = Some(number(text)?),
            Part::WeekFromSunday => self.week = Some((number(text)?, false)),
            Part::WeekFromMonday => self.week = Some((number(text)?, true)),
            Part::Zone => self.offset = Some(zones::minutes(std::str::from_utf8(text).ok()?)?),
        }
        Some(())
    }

    /// The time since the epoch. Who leaves out the year means the last time it was so, but for a day's grace; who leaves out the
    /// day means today, or yesterday if that is not yet.
    pub(super) fn time(
        mut self,
        now: Duration,
        zone: &TimeZone,
        calendar: &mut Calendar,
    ) -> Option<Duration> {
        let (today, tomorrow) = calendar.today(now, zone)?;
        if let Some(seconds) = self.known((today, tomorrow), &calendar.days) {
            return Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)));
        }
        let year = self.year.unwrap_or(today.year());
        self.day_from_others(year)?;
        let no_day = self.month.is_none() && self.day.is_none();
        if no_day {
            (self.month, self.day) = (Some(today.month()), Some(today.day()));
        }
        let date = Date::new(year, self.month?, self.day?).ok()?;
        let mut when = DateTime::from_parts(date, Time::new(self.hour(), self.minute, self.second, 0).ok()?);
        if let Some(minutes) = self.offset {
            when = when.checked_sub(SignedDuration::from_mins(i64::from(minutes))).ok()?;
        }
        if no_day && when > today {
            when = when.checked_sub(1.day()).ok()?;
        }
        if self.year.is_none() && when > tomorrow {
            let date = Date::new(year.checked_sub(1)?, self.month?, self.day?).ok()?;
            when = DateTime::from_parts(date, when.time());
        }
        let seconds = if self.offset.is_some() {
            TimeZone::UTC.to_ambiguous_zoned(when).compatible().ok()?.timestamp().as_second()
        } else {
            calendar.days.seconds(when, zone)?
        };
        Some(Duration::from_secs(u64::try_from(seconds).unwrap_or(0)))
    }

    /// Seconds since the epoch, where the day is known.
    fn known(&self, (today, tomorrow): (DateTime, DateTime), days: &Days) -> Option<i64> {
        let (month, day) = (self.month?, self.day?);
        let (hour, minute, second) = (self.hour(), self.minute, self.second);
        let is_time = (0..24).contains(&hour) && (0..60).contains(&minute) && (0..60).contains(&second);
        // There may be no such day this year.
        let is_leap_day = self.year.is_none() && (month, day) == (2, 29);
        if !is_time || is_leap_day || self.offset.is_some() {
            return None;
        }
        let seconds = of_day(hour, minute, second);
        let year = self.year.unwrap_or_else(|| {
            let at = |when: DateTime| {
                let of_day = of_day(when.hour(), when.minute(), when.second());
                (when.year(), when.month(), when.day(), of_day)
            };
            let year = today.year();
            if (year, month, day, seconds) > at(tomorrow) { year.saturating_sub(1) } else { year }
        });
        days.known((year, month, day), seconds)
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

#[inline]
fn number<T: std::str::FromStr + From<i8> + TryFrom<i32>>(text: &[u8]) -> Option<T> {
    let digit = |byte: u8| (byte & 0x0f) as i8;
    match *text {
        [ten @ b'0'..=b'9', one @ b'0'..=b'9'] => Some((digit(ten) * 10 + digit(one)).into()),
        [one @ b'0'..=b'9'] => Some(digit(one).into()),
        _ => long_number(text),
    }
}

fn long_number<T: std::str::FromStr + TryFrom<i32>>(text: &[u8]) -> Option<T> {
    if matches!(text.len(), 3 | 4) && text.iter().all(u8::is_ascii_digit) {
        return T::try_from(text.iter().fold(0, |number, digit| number * 10 + i32::from(digit - b'0'))).ok();
    }
    std::str::from_utf8(text).ok()?.trim().parse().ok()
}

/// The place of a word of which the first three letters count.
fn word(words: &[&str], text: &[u8]) -> Option<i8> {
    let small = |start: &[u8; 3]| start.map(|byte| byte.to_ascii_lowercase());
    let start = small(text.first_chunk()?);
    let place = words.iter().position(|word| word.as_bytes().first_chunk() == Some(&start))?;
    i8::try_from(place).ok()
}
