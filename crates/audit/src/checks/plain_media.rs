//! `plain-media`

use super::{Check, Found, Severity};
use crate::meaning::{Media, Pbx};

pub(super) const CHECK: Check = Check {
    id: "plain-media",
    severity: Severity::Medium,
    title: "what is said can be listened to",
    why: "Whoever is on the way hears the call, and the digits that are typed into it.",
    asterisk: "set `media_encryption=sdes` with a TLS transport, or `dtls` for browsers (`encryption=yes` in \
        sip.conf).",
    freepbx: "Applications > Extensions > Advanced: Media Encryption to SRTP via in-SDP, and a TLS \
        transport; for trunks in pjsip Settings > Advanced.",
    about: "Told for each endpoint without SRTP or DTLS-SRTP, trunks too; a carrier that has none is one \
        for the accepted ones. IAX2 is not looked at.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for endpoint in pbx.endpoints.iter().filter(|endpoint| endpoint.media == Media::Plain) {
        let message = format!("the media of `{}` is not encrypted", endpoint.name);
        found.add(&endpoint.media_place, Some(&endpoint.name), message);
    }
}
