//! `weak-secret`

use super::{Check, Found, Severity};
use crate::meaning::{Hidden, Opens, Pbx, Secret};
use crate::secret;

pub(super) const CHECK: Check = Check {
    id: "weak-secret",
    severity: Severity::High,
    title: "a password can be guessed",
    why: "Attackers try names, numbers, patterns and lists of common words all day, and need one hit.",
    asterisk: "set a long random one, such as `openssl rand -hex 16` gives (for a mailbox six random digits), \
        here and in the phone.",
    freepbx: "Applications > Extensions: Secret and Voicemail Password; Connectivity > Trunks: Secret; \
        Settings > Asterisk Manager Users and Asterisk REST Interface Users: Password.",
    about: "Told for secrets that are made of the account's name or number, come with a product, are \
        shorter than 8 letters, have fewer than 16 letters that are all digits, or take fewer than \
        10^8 guesses (zxcvbn). A mailbox's PIN may be short: it is weak if it is its number, a row, a \
        repetition or a line on the keypad.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for credential in &pbx.credentials {
        let Secret::Plain(Hidden(secret)) = &credential.secret else { continue };
        let names: Vec<&str> = credential.names.iter().map(String::as_str).collect();
        let reason = match credential.opens {
            Opens::Mailbox => secret::weak_pin(secret, names.first().copied().unwrap_or_default()),
            Opens::Ari | Opens::Endpoint | Opens::Manager | Opens::Trunk => secret::weakness(secret, &names),
        };
        if let Some(reason) = reason {
            found.add(&credential.place, Some(&credential.section), format!("{} {reason}", credential.owner));
        }
    }
}
