//! PBXs and proxies that are told by their programs: what they do not say by listening is as they are shipped.

use audit::{Protocol, Role, Socket};

use super::{Services, by_port, listens};
use crate::Host;

/// What a program has.
struct Switch {
    program: &'static str,
    /// Where it speaks SIP; nothing for "wherever it listens".
    sip: Option<&'static [u16]>,
    /// With TLS.
    sips: &'static [u16],
    /// WebSockets with TLS.
    wss: &'static [u16],
    /// The media ports that it takes if nobody says otherwise, and where that is said.
    media: Option<(u16, u16, &'static str)>,
}

const SWITCHES: &[Switch] = &[
    Switch {
        program: "freeswitch",
        sip: Some(&[5060, 5070, 5080]),
        sips: &[5061, 5081],
        wss: &[7443],
        media: Some((16384, 32768, "`rtp-start-port` and `rtp-end-port` in switch.conf.xml")),
    },
    Switch { program: "kamailio", sip: None, sips: &[5061, 5081], wss: &[443, 8443], media: None },
    Switch { program: "opensips", sip: None, sips: &[5061, 5081], wss: &[443, 8443], media: None },
    Switch {
        program: "yate",
        sip: Some(&[5060]),
        sips: &[5061],
        wss: &[],
        media: Some((16384, 32768, "`minport` and `maxport` in yrtpchan.conf")),
    },
    Switch {
        program: "rtpengine",
        sip: Some(&[]),
        sips: &[],
        wss: &[],
        media: Some((30000, 40000, "`port-min` and `port-max` in rtpengine.conf")),
    },
    Switch {
        program: "rtpproxy",
        sip: Some(&[]),
        sips: &[],
        wss: &[],
        media: Some((35000, 65000, "rtpproxy's options -m and -M")),
    },
];

pub(super) fn decide(host: &Host, services: &mut Services) {
    for switch in SWITCHES {
        let own: Vec<&Socket> =
            host.sockets.iter().filter(|socket| socket.is_of(&[switch.program])).collect();
        if own.is_empty() {
            continue;
        }
        if let Some((first, last, says)) = switch.media {
            let why = format!(
                "Media: the range that `{}` is shipped with. See that it is the one of {says}.",
                switch.program
            );
            services.open(super::MEDIA, Protocol::Udp, first..=last, why);
        }
        let outside: Vec<&Socket> = own.into_iter().filter(|socket| !socket.is_loopback()).collect();
        for sockets in by_port(&outside) {
            one(switch, &sockets, services);
        }
    }
}

fn one(switch: &Switch, sockets: &[&Socket], services: &mut Services) {
    let Some(socket) = sockets.first() else { return };
    let (protocol, port) = (socket.protocol, socket.port);
    if services.knows(protocol, port) {
        return;
    }
    let listens = listens(sockets);
    let is_tcp = protocol == Protocol::Tcp;
    if is_tcp && switch.wss.contains(&port) {
        services.open_sip("sip-wss", protocol, port, format!("Phones in browsers: {listens}."));
    } else if is_tcp && switch.sips.contains(&port) {
        services.open_sip("sips", protocol, port, format!("SIP over TLS: {listens}."));
    } else if let Some(known) =
        socket.known().filter(|known| matches!(known.role, Role::Control | Role::Database | Role::Private))
    {
        services.close(known.name, protocol, port, format!("{listens}: {}.", known.what));
    } else if switch.sip.is_none_or(|ports| ports.contains(&port)) {
        services.open_sip("sip", protocol, port, format!("SIP: {listens}."));
    } else {
        let name = format!("{}-{port}", switch.program);
        services.close(
            &name,
            protocol,
            port,
            format!("{listens}, and that is none of its usual ports for SIP."),
        );
    }
}
