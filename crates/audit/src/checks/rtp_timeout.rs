//! `rtp-timeout`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "rtp-timeout",
    severity: Severity::Low,
    title: "calls without media never end",
    why: "A call whose other end vanished, or that an attacker left open, is paid for until somebody \
        notices.",
    asterisk: "set `rtp_timeout=60` and `rtp_timeout_hold=600` in the endpoint (`rtptimeout` in sip.conf).",
    freepbx: "Applications > Extensions > Advanced: RTP Timeout and RTP Hold Timeout; for chan_sip Settings \
        > Asterisk SIP Settings.",
    about: "Told for each SIP endpoint whose `rtp_timeout` is 0 or not set.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for endpoint in pbx.endpoints.iter().filter(|endpoint| endpoint.has_timeout == Some(false)) {
        let message = format!("a call of `{}` goes on without media", endpoint.name);
        found.add(&endpoint.place, Some(&endpoint.name), message);
    }
}
