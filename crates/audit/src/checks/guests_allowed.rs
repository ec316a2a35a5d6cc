//! `guests-allowed`

use super::{Check, Found, Severity};
use crate::meaning::{Pbx, Technology};

pub(super) const CHECK: Check = Check {
    id: "guests-allowed",
    severity: Severity::High,
    title: "calls without an account are taken",
    why: "Scanners find such a PBX within hours and try every number through it.",
    asterisk: "set `allowguest=no` in `[general]` of sip.conf (without it, guests are allowed); remove \
        `[guest]` from iax.conf or give it `permit` and `deny`.",
    freepbx: "Settings > Asterisk SIP Settings: Allow SIP Guests to No.",
    about: "Told where sip.conf does not say `allowguest=no`, and for a user `guest` in iax.conf without \
        secret and access list. For chan_pjsip see `anonymous-endpoint`.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for guest in pbx.guests.iter().filter(|guest| guest.technology != Technology::Pjsip) {
        let technology = guest.technology.as_str();
        let message = format!("{technology} calls of anybody are taken into context `{}`", guest.context);
        found.add(&guest.place, Some(&guest.section), message);
    }
}
