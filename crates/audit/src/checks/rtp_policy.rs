//! `rtp-policy`

use std::ops::RangeInclusive;

use super::{Check, Found, Severity};
use crate::conf::Place;
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "rtp-policy",
    severity: Severity::Medium,
    title: "the policy opens other ports for media than the PBX uses",
    why: "On a port that is not open a call has no sound, and one that is open for nothing can be probed.",
    asterisk: "make `udp` of the service `rtp` in the policy what `rtpstart` and `rtpend` in rtp.conf say, then `ringfence reload`.",
    freepbx: "Settings > Asterisk SIP Settings: RTP Port Ranges; the policy of Ringfence has no page.",
    about: "Told where a policy with services (`--policy`, or the one in /etc/ringfence) leaves ports of rtp.conf closed, or opens \
        the range wider than it is.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(open) = pbx.here.as_ref().and_then(|here| here.open_udp.as_deref()) else { return };
    let media = pbx.media();
    let place = media.place.unwrap_or_else(|| Place::file("rtp.conf"));
    let (start, end) = (*media.ports.start(), *media.ports.end());
    let closed = media.ports.clone().filter(|port| !open.iter().any(|range| range.contains(port)));
    let closed: Vec<u16> = closed.collect();
    if let (Some(first), Some(last)) = (closed.first(), closed.last()) {
        let count = closed.len();
        let message =
            format!("{count} of the ports {start} to {end} are closed in the policy, from {first} to {last}");
        found.add(&place, Some("general"), message);
    }
    for range in open.iter().filter(|range| is_wider(range, &media.ports)) {
        let message = format!(
            "the policy opens ports {} to {} for media, and only {start} to {end} are used",
            range.start(),
            range.end()
        );
        found.add(&place, Some("general"), message);
    }
}

/// Whether a range has to do with the other, and goes beyond it.
fn is_wider(range: &RangeInclusive<u16>, media: &RangeInclusive<u16>) -> bool {
    let meets = range.start() <= media.end() && media.start() <= range.end();
    // Single ports that lie at its end are services of their own.
    let inside = media.contains(range.start()) && media.contains(range.end());
    meets && !inside
}
