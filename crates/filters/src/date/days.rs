use jiff::civil::{Date, DateTime, Time};
use jiff::tz::TimeZone;

/// Days that are remembered, a power of two.
const PLACES: usize = 64;
/// Seconds of a day without the last.
const TO_THE_LAST: i64 = 86_399;

/// When days began in a zone, which is always the same one: most lines of a log are of few days.
#[derive(Clone, Debug, Default)]
pub(super) struct Days {
    /// Made when the first comes.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug, Default)]
struct Place {
    /// Nobody's is 0.
    day: u32,
    began: Began,
}

#[derive(Clone, Copy, Debug, Default)]
enum Began {
    /// Asked for once: a log in which each line is of another day would look for no more than it needs.
    #[default]
    Unknown,
    At(i64),
    /// Its clocks were put forward or back.
    Never,
}

impl Days {
    /// Seconds since the epoch of a time on a day that is known, by the seconds of that day.
    #[inline]
    pub(super) fn known(&self, (year, month, day): (i16, i8, i8), seconds: i64) -> Option<i64> {
        let number = number(year, month, day)?;
        match self.places.get(place(number)) {
            Some(Place { day, began: Began::At(began) }) if *day == number => Some(began + seconds),
            _ => None,
        }
    }

    /// Seconds since the epoch of what a clock in the zone shows.
    pub(super) fn seconds(&mut self, when: DateTime, zone: &TimeZone) -> Option<i64> {
        let date = when.date();
        let number = number(date.year(), date.month(), date.day());
        if self.places.is_empty() {
            self.places = vec![Place::default(); PLACES];
        }
        if let Some(number) = number
            && let Some(known) = self.places.get_mut(place(number))
        {
            if known.day != number {
                *known = Place { day: number, began: Began::Unknown };
            } else if matches!(known.began, Began::Unknown) {
                known.began = began(date, zone).map_or(Began::Never, Began::At);
            }
            if let Began::At(began) = known.began {
                return Some(began + of_day(when.hour(), when.minute(), when.second()));
            }
        }
        instant(when, zone)
    }
}

/// Seconds since a day began.
pub(super) fn of_day(hour: i8, minute: i8, second: i8) -> i64 {
    (i64::from(hour) * 60 + i64::from(minute)) * 60 + i64::from(second)
}

/// When a day began on which no clock is put forward or back.
fn began(date: Date, zone: &TimeZone) -> Option<i64> {
    let first = instant(date.to_datetime(Time::MIN), zone)?;
    let last = instant(date.to_datetime(Time::new(23, 59, 59, 0).ok()?), zone)?;
    let next = zone.following(jiff::Timestamp::from_second(first).ok()?).next();
    let is_even = next.is_none_or(|next| next.timestamp().as_second() > last);
    (is_even && last - first == TO_THE_LAST).then_some(first)
}

fn instant(when: DateTime, zone: &TimeZone) -> Option<i64> {
    Some(zone.to_ambiguous_zoned(when).compatible().ok()?.timestamp().as_second())
}

/// A number for each day, none of them 0. Not every month has all days: no date is found that nobody asked for as one.
fn number(year: i16, month: i8, day: i8) -> Option<u32> {
    if !(1..=12).contains(&month) || !(1..=31).contains(&day) {
        return None;
    }
    let [year, month, day] = [i64::from(year), i64::from(month), i64::from(day)];
    u32::try_from((year * 16 + month) * 32 + day).ok().filter(|number| *number > 0)
}

/// Days of two months lie in different places.
fn place(number: u32) -> usize {
    number as usize % PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_of_any_length_are_those_of_the_zone() {
        let zone = TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
        let mut days = Days::default();
        // The second of each three is shorter or longer; the last two lie in one place.
        let dates = [(3, 28), (3, 29), (3, 30), (10, 24), (10, 25), (10, 26), (1, 26), (3, 26)];
        for round in 0..3 {
            for (month, day) in dates {
                let date = Date::new(2026, month, day).unwrap();
                for (hour, minute, second) in
                    [(0, 0, 0), (1, 59, 59), (2, 0, 0), (2, 30, 0), (3, 0, 0), (23, 59, 59)]
                {
                    let when = date.to_datetime(Time::new(hour, minute, second, 0).unwrap());
                    let expected = instant(when, &zone);
                    let known = days.known((2026, month, day), of_day(hour, minute, second));
                    assert!(known.is_none() || known == expected, "{when} in round {round}");
                    assert_eq!(days.seconds(when, &zone), expected, "{when} in round {round}");
                }
                let is_even = !matches!((month, day), (3, 29) | (10, 25));
                assert_eq!(days.known((2026, month, day), 0).is_some(), is_even, "{date} in round {round}");
            }
        }
        assert_eq!(days.places.len(), PLACES);
        assert_eq!(days.known((2026, 13, 1), 0), None);
    }
}
