//! `unused-protocol`

use super::{Check, Found, Severity};
use crate::meaning::Pbx;
use crate::socket::Protocol;

pub(super) const CHECK: Check = Check {
    id: "unused-protocol",
    severity: Severity::Low,
    title: "the PBX listens for a protocol that hardly anybody needs",
    why: "These protocols know no password worth the name, and nobody looks after their code.",
    asterisk: "add `noload = ` with the module to modules.conf: chan_skinny.so, chan_mgcp.so, chan_unistim.so, chan_ooh323.so, \
        pbx_dundi.so.",
    freepbx: "Settings > Asterisk Modules: the module into Excluded Modules.",
    about: "Told for sockets of Asterisk beyond loopback on 2000/tcp (SCCP), 2427/udp and 2727/udp (MGCP), 5000/udp (UNIStim), \
        1720/tcp (H.323) and 4520/udp (DUNDi), unless the port is one of rtp.conf.",
    look,
};

const PROTOCOLS: &[(Protocol, u16, &str)] = &[
    (Protocol::Tcp, 1720, "H.323"),
    (Protocol::Tcp, 2000, "SCCP"),
    (Protocol::Udp, 2427, "MGCP"),
    (Protocol::Udp, 2727, "MGCP"),
    (Protocol::Udp, 4520, "DUNDi"),
    (Protocol::Udp, 5000, "UNIStim"),
];

fn look(pbx: &Pbx, found: &mut Found<'_>) {
    let media = pbx.media().ports;
    for open in pbx.exposed() {
        let socket = open.socket;
        let is_media = socket.protocol == Protocol::Udp && media.contains(&socket.port);
        let known = PROTOCOLS.iter().find(|known| (known.0, known.1) == (socket.protocol, socket.port));
        if let (Some((_, _, name)), true, false) = (known, socket.is_of(&["asterisk"]), is_media) {
            found.add_socket(&open, format!("{name}: {open}"));
        }
    }
}
