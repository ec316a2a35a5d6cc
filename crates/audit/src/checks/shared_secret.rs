//! `shared-secret`

use super::{Check, Found, Severity};
use std::collections::{BTreeMap, BTreeSet};

use crate::conf::Place;
use crate::meaning::{Credential, Hidden, Opens, Pbx, Secret};

pub(super) const CHECK: Check = Check {
    id: "shared-secret",
    severity: Severity::Medium,
    title: "accounts have the same password",
    why: "Who guesses one, or takes it from a phone that was thrown away, has them all.",
    asterisk: "set a long random one, such as `openssl rand -hex 16` gives (for a mailbox six random digits), \
        here and in the phone.",
    freepbx: "Applications > Extensions: Secret and Voicemail Password; Connectivity > Trunks: Secret; \
        Settings > Asterisk Manager Users and Asterisk REST Interface Users: Password.",
    about: "Told for each account that shares its secret with another of another name. Mailboxes, whose \
        PINs are short, are not compared.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let mut users: BTreeMap<&Hidden, Vec<&Credential>> = BTreeMap::new();
    for credential in pbx.credentials.iter().filter(|credential| credential.opens != Opens::Mailbox) {
        if let Secret::Plain(secret) = &credential.secret {
            users.entry(secret).or_default().push(credential);
        }
    }
    for users in users.values() {
        for user in users {
            // A trunk may stand in an auth and in a registration.
            let others: BTreeSet<&Place> = users
                .iter()
                .filter(|other| {
                    other.place != user.place && !other.names.iter().any(|name| user.names.contains(name))
                })
                .map(|other| &other.place)
                .collect();
            let Some(other) = others.first() else { continue };
            let more =
                if others.len() > 1 { format!(" and {} more", others.len() - 1) } else { String::new() };
            let message = format!("{} is the same as that at {other}{more}", user.owner);
            found.add(&user.place, Some(&user.section), message);
        }
    }
}
