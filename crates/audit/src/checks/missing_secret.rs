//! `missing-secret`

use super::{Check, Found, Severity};
use crate::meaning::{Pbx, Secret};

pub(super) const CHECK: Check = Check {
    id: "missing-secret",
    severity: Severity::High,
    title: "a password is empty",
    why: "Whoever knows the name is let in.",
    asterisk: "set a long random one, such as `openssl rand -hex 16` gives (for a mailbox six random digits), \
        here and in the phone.",
    freepbx: "Applications > Extensions: Secret and Voicemail Password; Connectivity > Trunks: Secret; \
        Settings > Asterisk Manager Users and Asterisk REST Interface Users: Password.",
    about: "Told for auth sections, trunks, users of IAX2, the manager and ARI, and mailboxes whose secret \
        is not there. Digests and keys are not looked into.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for credential in pbx.credentials.iter().filter(|credential| matches!(credential.secret, Secret::Missing))
    {
        found.add(&credential.place, Some(&credential.section), format!("{} is missing", credential.owner));
    }
}
