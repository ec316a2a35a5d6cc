//! `provisioning-exposed`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;
use crate::socket::Role;

pub(super) const CHECK: Check = Check {
    id: "provisioning-exposed",
    severity: Severity::Medium,
    title: "phones' files are given out in plain text",
    why: "They hold the phones' passwords, and their names follow from the phones' addresses, which can be tried.",
    asterisk: "let TFTP and the web server for phones listen in the phones' network only, or give the files out over HTTPS \
        with a password.",
    freepbx: "System Admin > Provisioning Protocol: TFTP off, HTTPS with authentication; System Admin > Port Management: the \
        plain ports off.",
    about: "Told for sockets beyond loopback on 69/udp (TFTP), and on 83/tcp and 84/tcp, where FreePBX gives out phones' files.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    for open in pbx.exposed() {
        if let Some(known) = open.socket.known().filter(|known| known.role == Role::Provisioning) {
            found.add_socket(&open, format!("{}: {open}", known.what));
        }
    }
}
