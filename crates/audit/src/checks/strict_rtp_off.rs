//! `strict-rtp-off`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "strict-rtp-off",
    severity: Severity::Medium,
    title: "media is taken from anywhere",
    why: "Anybody who finds the port can speak into calls, or have their sound sent to himself.",
    asterisk: "set `strictrtp=yes` in `[general]` of rtp.conf, which it is unless it is switched off.",
    freepbx: "Settings > Asterisk SIP Settings: Strict RTP to Yes.",
    about: "Told where `strictrtp` is off in rtp.conf.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(general) = pbx.general("rtp.conf") else { return };
    if general.switch("strictrtp") == Some(false) {
        found.add(general.place_of("strictrtp"), Some("general"), "`strictrtp` is off");
    }
}
