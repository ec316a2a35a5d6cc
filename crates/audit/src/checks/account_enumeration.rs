//! `account-enumeration`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "account-enumeration",
    severity: Severity::Medium,
    title: "wrong accounts are answered otherwise than wrong passwords",
    why: "Whoever asks for many names learns which extensions exist, and then guesses only their \
        passwords.",
    asterisk: "set `alwaysauthreject=yes` in `[general]` of sip.conf.",
    freepbx: "Settings > Asterisk SIP Settings > Chan SIP: take `alwaysauthreject=no` out of Other SIP \
        Settings.",
    about: "Told where `alwaysauthreject` is off in sip.conf. It is on unless it is switched off, and \
        chan_pjsip cannot do otherwise.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(general) = pbx.general("sip.conf") else { return };
    if general.switch("alwaysauthreject") == Some(false) {
        let place = general.place_of("alwaysauthreject");
        found.add(place, Some("general"), "`alwaysauthreject` is off");
    }
}
