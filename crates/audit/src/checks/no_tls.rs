//! `no-tls`

use super::{Check, Found, Severity};
use crate::meaning::{Pbx, Technology};

pub(super) const CHECK: Check = Check {
    id: "no-tls",
    severity: Severity::Medium,
    title: "no transport is encrypted",
    why: "Who called whom, and enough to guess passwords at leisure, can be read on the way.",
    asterisk: "add a transport with `protocol=tls`, `cert_file` and `priv_key_file` (`tlsenable=yes` in \
        sip.conf), and let phones use it.",
    freepbx: "Settings > Asterisk SIP Settings > SIP Settings [chan_pjsip]: choose a certificate and enable \
        the tls transport; then choose it in each extension.",
    about: "Told where pjsip.conf has transports that listen beyond loopback and none is `tls` or `wss`; \
        for sip.conf where `tlsenable` is off.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for technology in [Technology::Pjsip, Technology::Sip] {
        let of_one = || pbx.transports.iter().filter(move |transport| transport.technology == technology);
        if of_one().any(|transport| transport.is_encrypted) {
            continue;
        }
        if let Some(transport) = of_one().find(|transport| !transport.is_loopback) {
            found.add(&transport.place, Some(&transport.name), "SIP is spoken in plain text only");
        }
    }
}
