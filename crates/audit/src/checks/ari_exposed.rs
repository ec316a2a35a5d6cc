//! `ari-exposed`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "ari-exposed",
    severity: Severity::High,
    title: "ARI can be reached from outside",
    why: "A user of ARI calls, records and listens as he likes, and only the password is between him and \
        the network.",
    asterisk: "set `bindaddr=127.0.0.1` (and `tlsbindaddr`) in http.conf, or let a reverse proxy with its own \
        access list stand before it.",
    freepbx: "Settings > Advanced Settings > Asterisk Builtin mini-HTTP server: HTTP Bind Address to \
        127.0.0.1; Settings > Asterisk REST Interface Users: remove whom nobody needs.",
    about: "Told for each user in ari.conf, if ARI is on and the built-in web server listens on more than \
        loopback, encrypted or not.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let Some(http) = pbx.http.as_ref().filter(|http| http.is_outside) else { return };
    for (name, place) in &http.ari_users {
        found.add(
            place,
            Some(name),
            format!("ARI user `{name}` can log in from everywhere ({} says where)", http.place),
        );
    }
}
