//! `old-tls`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "old-tls",
    severity: Severity::Medium,
    title: "versions of TLS that are broken are spoken",
    why: "TLS before 1.2 and all of SSL can be brought to give away what they protect (RFC 8996).",
    asterisk: "set `method=tlsv1_2` or `tlsv1_3` in the transport; take `tlsclientmethod` and \
        `tlsdisablev1=no` out of sip.conf, http.conf and manager.conf.",
    freepbx: "Settings > Asterisk SIP Settings > SIP Settings [chan_pjsip]: SSL Method to tlsv1_2 or newer.",
    about: "Told where a version before 1.2, or `sslv23`, which starts with them, is chosen. Where none is \
        chosen, the TLS library decides, and none in use chooses these.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for config in pbx.configs() {
        for section in config.real() {
            for key in ["method", "tlsclientmethod", "tlsservermethod"] {
                let Some(version) = section.value(key).filter(|version| is_old(version)) else { continue };
                found.add(section.place_of(key), Some(&section.name), format!("`{key}` is `{version}`"));
            }
            for key in ["tlsdisablev1", "tlsdisablev11"] {
                if section.switch(key) == Some(false) {
                    found.add(section.place_of(key), Some(&section.name), format!("`{key}` is off"));
                }
            }
        }
    }
}

fn is_old(version: &str) -> bool {
    ["sslv2", "sslv3", "sslv23", "tlsv1", "tlsv1_0", "tlsv1_1"]
        .iter()
        .any(|old| version.eq_ignore_ascii_case(old))
}
