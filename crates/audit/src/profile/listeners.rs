//! Addresses and ports, as the files ask for them.

use std::net::IpAddr;
use std::ops::RangeInclusive;

use super::bind;
use crate::Protocol;
use crate::conf::{Place, Section};
use crate::meaning::{Pbx, of_type};

/// What is spoken there.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Purpose {
    /// SIP in plain text.
    Sip,
    /// SIP over TLS.
    Sips,
    /// SIP over WebSocket, on the port of the web server.
    WebSocket,
    /// The same with TLS.
    SecureWebSocket,
    Iax,
    Manager,
    Web,
}

/// Something that listens.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Listener {
    pub purpose: Purpose,
    pub protocol: Protocol,
    /// `None` for every one.
    pub address: Option<IpAddr>,
    pub port: u16,
    pub place: Place,
    /// Who says so there, such as "transport `udp`".
    pub what: String,
}

/// The ports for media.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Media {
    pub ports: RangeInclusive<u16>,
    /// `None` where no file says it, and Asterisk takes its own.
    pub place: Option<Place>,
}

/// `DEFAULT_RTP_START` and `DEFAULT_RTP_END` of res_rtp_asterisk.c.
const DEFAULT_MEDIA: RangeInclusive<u16> = 5000..=31000;
const SIP: u16 = 5060;
const SIPS: u16 = 5061;
const IAX: u16 = 4569;
const MANAGER: u16 = 5038;
const MANAGER_TLS: u16 = 5039;
const WEB: u16 = 8088;
const WEB_TLS: u16 = 8089;

pub(crate) fn read(pbx: &Pbx) -> Vec<Listener> {
    let mut all = Vec::new();
    pjsip(pbx, &mut all);
    sip(pbx, &mut all);
    iax(pbx, &mut all);
    manager(pbx, &mut all);
    web(pbx, &mut all);
    all
}

pub(crate) fn media(pbx: &Pbx) -> Media {
    let general = pbx.general("rtp.conf");
    let port = |key: &str| general.as_ref().and_then(|general| general.value(key)?.parse::<u16>().ok());
    let (start, end) = (port("rtpstart"), port("rtpend"));
    let place = general.as_ref().filter(|_| start.or(end).is_some()).map(|general| {
        let key = if start.is_some() { "rtpstart" } else { "rtpend" };
        general.place_of(key).clone()
    });
    let ports = start.unwrap_or(*DEFAULT_MEDIA.start())..=end.unwrap_or(*DEFAULT_MEDIA.end());
    // Asterisk takes its own where the end comes before the start.
    let ports = if ports.is_empty() || *ports.start() == 0 { DEFAULT_MEDIA } else { ports };
    Media { ports, place }
}

fn pjsip(pbx: &Pbx, all: &mut Vec<Listener>) {
    let Some(config) = pbx.config("pjsip.conf") else { return };
    for section in of_type(config, "transport") {
        let protocol = section.value("protocol").unwrap_or("udp").to_ascii_lowercase();
        let (purpose, protocol, port) = match protocol.as_str() {
            "udp" => (Purpose::Sip, Protocol::Udp, SIP),
            "tcp" => (Purpose::Sip, Protocol::Tcp, SIP),
            "tls" => (Purpose::Sips, Protocol::Tcp, SIPS),
            "ws" | "wss" => {
                web_socket(pbx, section, protocol == "wss", all);
                continue;
            }
            _ => continue,
        };
        let at = bind(section.value("bind").unwrap_or_default(), port);
        let what = format!("transport `{}`", section.name);
        all.push(Listener::new(purpose, protocol, at, section.place_of("bind"), what));
    }
}

/// WebSockets come through the web server, whatever the transport's `bind` says.
fn web_socket(pbx: &Pbx, section: &Section, is_secure: bool, all: &mut Vec<Listener>) {
    let Some(general) = pbx.general("http.conf") else { return };
    let Some(at) = (if is_secure { web_tls(&general) } else { web_plain(&general) }) else { return };
    let purpose = if is_secure { Purpose::SecureWebSocket } else { Purpose::WebSocket };
    let what = format!("transport `{}`, through the web server", section.name);
    all.push(Listener::new(purpose, Protocol::Tcp, at, &section.place, what));
}

fn sip(pbx: &Pbx, all: &mut Vec<Listener>) {
    let Some(general) = pbx.general("sip.conf") else { return };
    let port = number(&general, "bindport").unwrap_or(SIP);
    let address = general.value("udpbindaddr").or_else(|| general.value("bindaddr")).unwrap_or_default();
    let udp = bind(address, port);
    let key = if general.last("udpbindaddr").is_some() { "udpbindaddr" } else { "bindport" };
    let what = "chan_sip".to_owned();
    all.push(Listener::new(Purpose::Sip, Protocol::Udp, udp, general.place_of(key), what.clone()));
    if general.switch("tcpenable").unwrap_or(false) {
        let at = general.value("tcpbindaddr").map_or(udp, |text| bind(text, port));
        all.push(Listener::new(Purpose::Sip, Protocol::Tcp, at, general.place_of("tcpenable"), what.clone()));
    }
    if general.switch("tlsenable").unwrap_or(false) {
        let at = general.value("tlsbindaddr").map_or((udp.0, SIPS), |text| bind(text, SIPS));
        all.push(Listener::new(Purpose::Sips, Protocol::Tcp, at, general.place_of("tlsenable"), what));
    }
}

fn iax(pbx: &Pbx, all: &mut Vec<Listener>) {
    let Some(config) = pbx.config("iax.conf") else { return };
    let Some(general) = config.merged("general") else { return };
    let port = number(&general, "bindport").unwrap_or(IAX);
    let mut add = |at, place: &Place| {
        all.push(Listener::new(Purpose::Iax, Protocol::Udp, at, place, "chan_iax2".to_owned()));
    };
    let mut any = false;
    for entry in general.all("bindaddr").filter(|entry| !entry.value.is_empty()) {
        any = true;
        add(bind(&entry.value, port), &entry.place);
    }
    if !any {
        add((None, port), general.place_of("bindport"));
    }
}

fn manager(pbx: &Pbx, all: &mut Vec<Listener>) {
    let Some(general) = pbx.general("manager.conf") else { return };
    if !general.switch("enabled").unwrap_or(false) {
        return;
    }
    let plain =
        bind(general.value("bindaddr").unwrap_or_default(), number(&general, "port").unwrap_or(MANAGER));
    let what = "the manager interface".to_owned();
    let place = general.place_of(if general.last("bindaddr").is_some() { "bindaddr" } else { "enabled" });
    all.push(Listener::new(Purpose::Manager, Protocol::Tcp, plain, place, what.clone()));
    if general.switch("tlsenable").unwrap_or(false) {
        let at = general.value("tlsbindaddr").map_or((plain.0, MANAGER_TLS), |text| bind(text, MANAGER_TLS));
        all.push(Listener::new(Purpose::Manager, Protocol::Tcp, at, general.place_of("tlsbindaddr"), what));
    }
}

fn web(pbx: &Pbx, all: &mut Vec<Listener>) {
    let Some(general) = pbx.general("http.conf") else { return };
    let what = "the web server".to_owned();
    for (at, key) in [(web_plain(&general), "bindaddr"), (web_tls(&general), "tlsbindaddr")] {
        if let Some(at) = at {
            all.push(Listener::new(Purpose::Web, Protocol::Tcp, at, general.place_of(key), what.clone()));
        }
    }
}

fn web_plain(general: &Section) -> Option<(Option<IpAddr>, u16)> {
    general.switch("enabled").unwrap_or(false).then_some(())?;
    // Without an address it does not listen.
    Some(bind(general.value("bindaddr")?, number(general, "bindport").unwrap_or(WEB)))
}

fn web_tls(general: &Section) -> Option<(Option<IpAddr>, u16)> {
    general.switch("tlsenable").unwrap_or(false).then_some(())?;
    Some(bind(general.value("tlsbindaddr").or_else(|| general.value("bindaddr"))?, WEB_TLS))
}

fn number(section: &Section, key: &str) -> Option<u16> {
    section.value(key)?.parse().ok().filter(|port| *port != 0)
}
