//! `anonymous-endpoint`

use super::{Check, Found, Severity};
use crate::meaning::{Pbx, Technology};

pub(super) const CHECK: Check = Check {
    id: "anonymous-endpoint",
    severity: Severity::High,
    title: "callers whom nobody knows are let in",
    why: "Scanners find such a PBX within hours and try every number through it.",
    asterisk: "remove the endpoint `anonymous`, or take `anonymous` out of `endpoint_identifier_order` in \
        `[global]`; carriers without a registration get an `identify` section.",
    freepbx: "Settings > Asterisk SIP Settings: Allow SIP Guests and Allow Anonymous Inbound SIP Calls to \
        No; carriers go into their trunk's Match (Permit).",
    about: "Told for an endpoint `anonymous` in pjsip.conf that has neither `auth` nor an access list, \
        unless `endpoint_identifier_order` leaves it out.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for guest in pbx.guests.iter().filter(|guest| guest.technology == Technology::Pjsip) {
        let message =
            format!("endpoint `{}` takes calls of anybody into context `{}`", guest.section, guest.context);
        found.add(&guest.place, Some(&guest.section), message);
    }
}
