//! `manager-plaintext`

use super::{Check, Found, Severity};
use crate::meaning::{Access, Pbx};

pub(super) const CHECK: Check = Check {
    id: "manager-plaintext",
    severity: Severity::Medium,
    title: "the manager interface is used from outside without encryption",
    why: "Its password, and all that is told and ordered through it, can be read and changed on the way.",
    asterisk: "set `bindaddr=127.0.0.1` in manager.conf and `tlsenable=yes` with `tlsbindaddr` for those who \
        come from outside.",
    freepbx: "Settings > Advanced Settings: AMI Bind Address to 127.0.0.1; what comes from other hosts goes \
        through TLS or a tunnel.",
    about: "Told where the port without encryption listens on more than loopback and a user may come from \
        other hosts.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(manager) = pbx.manager.as_ref().filter(|manager| manager.is_plain_outside) else { return };
    if manager.users.iter().any(|user| user.access > Access::Loopback) {
        found.add(
            &manager.place,
            Some("general"),
            "the manager interface listens beyond loopback, in plain text",
        );
    }
}
