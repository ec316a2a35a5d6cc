//! How hard a secret is to guess.

/// Secrets that products, their manuals and installers come with. What people choose themselves is zxcvbn's business.
const SHIPPED: &[&str] = &[
    "admin",
    "amp109",
    "amp111",
    "amportal",
    "anotherstrongpassword",
    "asterisk",
    "asterisk123",
    "changeme",
    "default",
    "elastix",
    "elastix456",
    "elastix.2oo7",
    "freepbx",
    "issabel",
    "jepe",
    "letmein",
    "manager",
    "mysecret",
    "passw0rd",
    "palosanto",
    "password",
    "phone",
    "sangoma",
    "secret",
    "secret5000",
    "supersecret",
    "trixbox",
    "unsecurepassword",
    "voip",
    "vicidial",
    "welcome",
    "4242",
];

/// Fewer letters are tried out in days by anybody who has seen one call being set up.
const MIN_LENGTH: usize = 8;
/// As many digits have less to guess than ten letters.
const MIN_DIGITS: usize = 16;
/// A longer one is judged by its beginning: what follows makes guessing no easier, and reckoning slower.
const MAX_JUDGED: usize = 32;

/// Why a secret is weak, as the end of a sentence that begins with whose it is. None of these tells the secret.
pub(crate) fn weakness(secret: &str, names: &[&str]) -> Option<&'static str> {
    let lower = secret.to_lowercase();
    let names: Vec<String> =
        names.iter().filter(|name| !name.is_empty()).map(|name| name.to_lowercase()).collect();
    if names.iter().any(|name| *name == lower || reversed(name) == lower) {
        return Some("is taken from the account's own name or number");
    }
    if SHIPPED.contains(&lower.as_str()) {
        return Some("is one that products come with, which everybody tries first");
    }
    let length = secret.chars().count();
    if length < MIN_LENGTH {
        return Some("is short: fewer than 8 letters");
    }
    if length < MIN_DIGITS && secret.chars().all(|letter| letter.is_ascii_digit()) {
        return Some("has digits only");
    }
    let judged: String = secret.chars().take(MAX_JUDGED).collect();
    let inputs: Vec<&str> = names.iter().map(String::as_str).collect();
    let score = zxcvbn::zxcvbn(&judged, &inputs).score();
    (score < zxcvbn::Score::Three).then_some("is easily guessed: common words, dates, names or patterns")
}

/// Why a mailbox's number is weak. It is meant to be short and of digits, so other things count.
pub(crate) fn weak_pin(pin: &str, mailbox: &str) -> Option<&'static str> {
    let digits: Vec<u32> = pin.chars().filter_map(|letter| letter.to_digit(10)).collect();
    let steps: Vec<i64> = digits
        .windows(2)
        .filter_map(|pair| match pair {
            [a, b] => Some(i64::from(*b) - i64::from(*a)),
            _ => None,
        })
        .collect();
    let half = pin.get(..pin.len() / 2).unwrap_or_default();
    if pin == mailbox || reversed(pin) == mailbox {
        Some("is taken from the mailbox's own number")
    } else if pin.chars().count() < 4 {
        Some("is short: fewer than 4 digits")
    } else if steps.iter().all(|step| *step == 0) || steps.iter().all(|step| step.abs() == 1) {
        Some("is one digit repeated, or digits in a row")
    } else if pin.len() <= 4 && pin.len().is_multiple_of(2) && pin.ends_with(half) {
        Some("is a pattern that everybody tries")
    } else if ["2580", "0852", "1379", "1397", "7410", "0147"].contains(&pin) {
        Some("is a line on the keypad")
    } else if SHIPPED.contains(&pin) {
        Some("is one that products come with")
    } else {
        None
    }
}

fn reversed(text: &str) -> String {
    text.chars().rev().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_choose_is_weak() {
        for secret in [
            "1000",
            "0001",
            "amp111",
            "Password",
            "abc123x",
            "123456789012",
            "summer2024",
            "alice1000",
            "qwertyuiop",
        ] {
            assert!(weakness(secret, &["1000", "alice"]).is_some(), "{secret}");
        }
        for secret in [
            "d131c2b93d4b7a0e",
            "vT9-qLz#4hWp",
            "8f2k1x9w7q5m",
            "correct-horse-battery-staple",
            "93847261058374625190",
        ] {
            assert_eq!(weakness(secret, &["1000"]), None, "{secret}");
        }
    }

    #[test]
    fn mailboxes_have_numbers() {
        for pin in ["1000", "0001", "12", "1234", "4321", "7777", "4242", "2580"] {
            assert!(weak_pin(pin, "1000").is_some(), "{pin}");
        }
        for pin in ["8361", "40275", "593817"] {
            assert_eq!(weak_pin(pin, "1000"), None, "{pin}");
        }
    }
}
