//! When a certificate ends: as much of PEM and DER as leads to `notAfter` (RFC 5280, 4.1).

use std::time::Duration;

/// What is looked through for a certificate.
const MAX_BASE64: usize = 64 << 10;

/// When the first certificate of a PEM file ends, since 1970; `None` where it holds none that can be read.
pub(crate) fn not_after(pem: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(pem).ok()?;
    let (_, rest) = text.split_once("-----BEGIN CERTIFICATE-----")?;
    let (body, _) = rest.split_once("-----END CERTIFICATE-----")?;
    let der = base64(body)?;
    let certificate = Der(&der).enter(SEQUENCE)?;
    let mut fields = certificate.enter(SEQUENCE)?;
    // The version is explicit and may be absent; serial number, signature and issuer follow.
    if fields.tag() == Some(EXPLICIT_0) {
        fields = fields.skip()?;
    }
    let validity = fields.skip()?.skip()?.skip()?.enter(SEQUENCE)?;
    let (tag, value) = validity.skip()?.next()?;
    time(tag, value)
}

const SEQUENCE: u8 = 0x30;
const EXPLICIT_0: u8 = 0xa0;
const UTC_TIME: u8 = 0x17;
const GENERALIZED_TIME: u8 = 0x18;

/// Values that follow one another.
#[derive(Clone, Copy)]
struct Der<'a>(&'a [u8]);

impl<'a> Der<'a> {
    fn tag(self) -> Option<u8> {
        self.0.first().copied()
    }

    fn next(self) -> Option<(u8, &'a [u8])> {
        self.split().map(|(tag, value, _)| (tag, value))
    }

    fn skip(self) -> Option<Self> {
        self.split().map(|(_, _, rest)| Self(rest))
    }

    fn enter(self, wanted: u8) -> Option<Self> {
        self.next().filter(|(tag, _)| *tag == wanted).map(|(_, value)| Self(value))
    }

    fn split(self) -> Option<(u8, &'a [u8], &'a [u8])> {
        let (tag, rest) = self.0.split_first()?;
        let (first, rest) = rest.split_first()?;
        let (length, rest) = match usize::from(*first) {
            short @ 0..=0x7f => (short, rest),
            long => {
                let (bytes, rest) =
                    rest.split_at_checked(long & 0x7f).filter(|(bytes, _)| bytes.len() <= 3)?;
                (bytes.iter().fold(0_usize, |sum, byte| sum << 8 | usize::from(*byte)), rest)
            }
        };
        let (value, rest) = rest.split_at_checked(length)?;
        Some((*tag, value, rest))
    }
}

/// `YYMMDDHHMMSSZ` or `YYYYMMDDHHMMSSZ`.
fn time(tag: u8, value: &[u8]) -> Option<Duration> {
    let text = std::str::from_utf8(value).ok()?;
    let (year, rest) = match tag {
        UTC_TIME => {
            let (year, rest) = text.split_at_checked(2)?;
            let year: i64 = year.parse().ok()?;
            (if year < 50 { 2000 + year } else { 1900 + year }, rest)
        }
        GENERALIZED_TIME => {
            let (year, rest) = text.split_at_checked(4)?;
            (year.parse().ok()?, rest)
        }
        _ => return None,
    };
    let part = |from: usize| rest.get(from..from + 2)?.parse::<i64>().ok();
    let (month, day, hour, minute) = (part(0)?, part(2)?, part(4)?, part(6)?);
    let days = days_from_civil(year, month, day);
    let seconds = days.checked_mul(86_400)?.checked_add(hour * 3_600 + minute * 60 + part(8).unwrap_or(0))?;
    u64::try_from(seconds).ok().map(Duration::from_secs)
}

/// Howard Hinnant's algorithm: years begin in March, eras have 400 of them.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * (month + if month > 2 { -3 } else { 9 }) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// `2026-01-31`, the other way round.
pub(crate) fn date(since_1970: Duration) -> String {
    let days = i64::try_from(since_1970.as_secs() / 86_400).unwrap_or(i64::MAX / 2).min(4_000_000) + 719_468;
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    format!("{year:04}-{month:02}-{day:02}")
}

fn base64(text: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let (mut bits, mut count) = (0_u32, 0_u32);
    for letter in text.bytes().take(MAX_BASE64) {
        let value = match letter {
            b'A'..=b'Z' => letter - b'A',
            b'a'..=b'z' => letter - b'a' + 26,
            b'0'..=b'9' => letter - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            b'=' => break,
            _ if letter.is_ascii_whitespace() => continue,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xff_ffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push(u8::try_from((bits >> count) & 0xff).ok()?);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found() {
        let pem = include_bytes!("../tests/keys/expired.pem");
        assert_eq!(date(not_after(pem).unwrap()), "2020-01-01");
        assert_eq!(not_after(b"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"), None);
        assert_eq!(not_after(b"nothing"), None);
    }

    #[test]
    fn days_have_names() {
        for (seconds, name) in [(0, "1970-01-01"), (951_782_400, "2000-02-29"), (1_800_000_000, "2027-01-15")]
        {
            assert_eq!(date(Duration::from_secs(seconds)), name);
        }
        assert_eq!(days_from_civil(2000, 2, 29) * 86_400, 951_782_400);
    }
}
