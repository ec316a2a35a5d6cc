//! `http-plaintext`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;

pub(super) const CHECK: Check = Check {
    id: "http-plaintext",
    severity: Severity::Medium,
    title: "the built-in web server is reached from outside without encryption",
    why: "Passwords of ARI, the manager and phones' provisioning that go through it can be read on the \
        way.",
    asterisk: "set `bindaddr=127.0.0.1` in http.conf and let only `tlsbindaddr` be reached from outside.",
    freepbx: "Settings > Advanced Settings > Asterisk Builtin mini-HTTP server: HTTP Bind Address to \
        127.0.0.1, Enable TLS to Yes.",
    about: "Told where http.conf has `enabled=yes` and a `bindaddr` that is not loopback \
        (where none is set, it does not listen).",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    if let Some(http) = pbx.http.as_ref().filter(|http| http.is_plain_outside) {
        found.add(&http.place, Some("general"), "the web server listens beyond loopback, in plain text");
    }
}
