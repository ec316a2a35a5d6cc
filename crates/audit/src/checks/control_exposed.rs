//! `control-exposed`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;
use crate::profile::Purpose;
use crate::socket::{PBX_PROGRAMS, Role};

pub(super) const CHECK: Check = Check {
    id: "control-exposed",
    severity: Severity::High,
    title: "what commands the PBX listens to the network, and no file says so",
    why: "Whoever gets in there calls, records and runs programs as the PBX's user.",
    asterisk: "let it listen on 127.0.0.1 (`bindaddr` in manager.conf and http.conf), then restart the PBX: an address is \
        taken when it starts.",
    freepbx: "Settings > Advanced Settings: AMI Bind Address and HTTP Bind Address to 127.0.0.1; then `fwconsole restart`.",
    about: "Told for sockets beyond loopback of the manager interface, Asterisk's web server and FreeSWITCH's event \
        socket, where manager.conf and http.conf say loopback or nothing. Where they say more, the findings about these files tell.",
    look,
};

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let listeners = pbx.listeners();
    for open in pbx.exposed() {
        let is_of_pbx = open.socket.program.is_none() || open.socket.is_of(PBX_PROGRAMS);
        let mut said = listeners.iter().filter(|listener| {
            matches!(
                listener.purpose,
                Purpose::Manager | Purpose::Web | Purpose::WebSocket | Purpose::SecureWebSocket
            ) && (listener.protocol, listener.port) == (open.socket.protocol, open.socket.port)
        });
        let known = open.socket.known().filter(|known| known.role == Role::Control);
        if !is_of_pbx || said.clone().any(|listener| !listener.is_loopback()) {
            continue;
        }
        match (said.next(), known) {
            (Some(listener), _) => {
                let message =
                    format!("{} is to be on loopback by {}, and {open}", listener.what, listener.place);
                found.add_socket(&open, message);
            }
            (None, Some(known)) => found.add_socket(&open, format!("{}: {open}", known.what)),
            (None, None) => {}
        }
    }
}
