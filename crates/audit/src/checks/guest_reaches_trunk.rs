//! `guest-reaches-trunk`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "guest-reaches-trunk",
    severity: Severity::High,
    title: "callers whom nobody knows reach a trunk",
    why: "This is how telephone bills of thousands come about overnight.",
    asterisk: "send guests to a context of their own without `include`, where only what strangers may call is \
        said.",
    freepbx: "Settings > Asterisk SIP Settings: Allow SIP Guests to No; Default Context (in Advanced \
        Settings or a trunk's) back to `from-sip-external` or `from-pstn`.",
    about: "Told where the context of guests or of the endpoint `anonymous` leads, through includes, jumps \
        and macros, to a trunk that is dialled with the caller's number.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for guest in &pbx.guests {
        let Some(route) = pbx.dialplan.routes(&guest.context, false).into_iter().next() else { continue };
        let message = format!(
            "{} guests come into context `{}`, from where `{}` of context `{}` ({}) calls out",
            guest.technology.as_str(),
            guest.context,
            route.pattern,
            route.context,
            route.place
        );
        found.add(&guest.context_place, Some(&guest.section), message);
    }
}
