//! `sip-plaintext`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;
use crate::profile::{Purpose, is_asked_for};

pub(super) const CHECK: Check = Check {
    id: "sip-plaintext",
    severity: Severity::Low,
    title: "SIP in plain text can be reached from outside",
    why: "Scanners find plain SIP first, and what a phone says there can be read on the way.",
    asterisk: "let phones register over TLS; bind the plain transport to the address that carriers need, or let the policy open \
        its port `from` their networks only.",
    freepbx: "Settings > Asterisk SIP Settings > SIP Settings [chan_pjsip]: udp and tcp to No where nobody needs them.",
    about: "Told for each transport in plain text that listens beyond loopback right now.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let open = pbx.exposed();
    for listener in pbx.listeners().iter().filter(|listener| listener.purpose == Purpose::Sip) {
        if let Some(open) = open.iter().find(|open| is_asked_for(listener, open.socket)) {
            found.add(&listener.place, None, format!("{}: {open}", listener.what));
        }
    }
}
