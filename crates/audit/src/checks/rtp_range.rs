//! `rtp-range`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "rtp-range",
    severity: Severity::Low,
    title: "more ports are open for media than calls need",
    why: "Each open port is one that a firewall must let through and an attacker may probe.",
    asterisk: "set `rtpstart` and `rtpend` in rtp.conf so that there are four ports for each call at the same \
        time, such as 10000 to 12000, and open no others.",
    freepbx: "Settings > Asterisk SIP Settings: RTP Port Ranges.",
    about: "Told where rtp.conf has more than 10,001 ports, which are those of 2,500 calls at the same \
        time, or ports below 1024.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(general) = pbx.general("rtp.conf") else { return };
    let port = |key: &str| general.value(key).and_then(|value| value.parse::<u16>().ok());
    let (Some(start), Some(end)) = (port("rtpstart"), port("rtpend")) else { return };
    let count = u32::from(end.saturating_sub(start)) + 1;
    if count > MAX_PORTS {
        let message = format!("{count} ports, {start} to {end}, are for media");
        found.add(general.place_of("rtpend"), Some("general"), message);
    } else if start < 1024 {
        found.add(
            general.place_of("rtpstart"),
            Some("general"),
            format!("ports from {start} on are for media"),
        );
    }
}

/// As many as nearly every PBX has, because they come so.
const MAX_PORTS: u32 = 10_001;
