//! Whom the files name by address or name: carriers, other PBXs.

use std::net::IpAddr;

use super::host_and_port;
use crate::conf::{Config, Entry, Place, Section};
use crate::meaning::{Net, Pbx, of_type, peers};

/// Who is at the other end.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Peer {
    /// An address, or a network: its first address and the length of its prefix.
    Net(IpAddr, u8),
    /// A name; what it stands for is not asked here.
    Name(String),
}

/// Somebody who is named.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Trunk {
    pub peer: Peer,
    pub place: Place,
    /// Who names it there, such as "registration `carrier`".
    pub what: String,
}

/// More are not told.
const MAX_TRUNKS: usize = 4096;

pub(super) fn read(pbx: &Pbx) -> Vec<Trunk> {
    let mut trunks = Trunks(Vec::new());
    if let Some(config) = pbx.config("pjsip.conf") {
        pjsip(config, &mut trunks);
    }
    if let Some(config) = pbx.config("pjsip_wizard.conf") {
        wizard(config, &mut trunks);
    }
    for (file, technology) in [("sip.conf", "peer"), ("iax.conf", "IAX2 peer")] {
        if let Some(config) = pbx.config(file) {
            old(config, technology, &mut trunks);
        }
    }
    trunks.0
}

struct Trunks(Vec<Trunk>);

impl Trunks {
    fn add(&mut self, host: &str, place: &Place, what: impl FnOnce() -> String) {
        let host = host.trim();
        let peer = match Net::parse(host) {
            Some(net) => net.prefix().map(|(address, length)| Peer::Net(address, length)),
            None => is_name(host).then(|| Peer::Name(host.to_ascii_lowercase())),
        };
        if let Some(peer) = peer
            && self.0.len() < MAX_TRUNKS
        {
            self.0.push(Trunk { peer, place: place.clone(), what: what() });
        }
    }

    /// A list of hosts, each with a port or without.
    fn hosts(&mut self, entry: &Entry, what: &str) {
        for host in entry.value.split(',') {
            // A network has no port, and a mask no colon before it.
            let host = if host.contains('/') { host } else { host_and_port(host).0 };
            self.add(host, &entry.place, || what.to_owned());
        }
    }

    /// `sip:user@host:port;transport=udp`, `<sip:host>`, `host`.
    fn uri(&mut self, entry: &Entry, what: &str) {
        let text = entry.value.trim().trim_start_matches('<');
        let text = ["sips:", "sip:"].iter().find_map(|scheme| text.strip_prefix(scheme)).unwrap_or(text);
        let text = text.rsplit_once('@').map_or(text, |(_, host)| host);
        let host = text.split([';', '?', '>', '\\', '/']).next().unwrap_or_default();
        self.add(host_and_port(host).0, &entry.place, || what.to_owned());
    }
}

fn pjsip(config: &Config, trunks: &mut Trunks) {
    for section in of_type(config, "identify") {
        let what = format!("identify `{}`", section.name);
        section.all("match").for_each(|entry| trunks.hosts(entry, &what));
    }
    for section in of_type(config, "registration") {
        let what = format!("registration `{}`", section.name);
        for entry in ["server_uri", "outbound_proxy"].iter().filter_map(|key| section.last(key)) {
            trunks.uri(entry, &what);
        }
    }
}

fn wizard(config: &Config, trunks: &mut Trunks) {
    for section in of_type(config, "wizard") {
        let registers_here = section.switch("accepts_registrations").unwrap_or(false);
        if let Some(entry) = section.last("remote_hosts").filter(|_| !registers_here) {
            trunks.hosts(entry, &format!("wizard `{}`", section.name));
        }
    }
}

/// sip.conf and iax.conf: registrations, and peers with an address.
fn old(config: &Config, technology: &str, trunks: &mut Trunks) {
    let general = config.merged("general");
    for entry in general.iter().flat_map(|general| general.all("register")) {
        let Some((_, host)) = entry.value.rsplit_once('@') else { continue };
        let host = host.split(['/', '~', '?']).next().unwrap_or_default();
        trunks.add(host_and_port(host).0, &entry.place, || "a registration".to_owned());
    }
    for section in peers(config) {
        if let Some(entry) = host(section) {
            let what = format!("{technology} `{}`", section.name);
            trunks.add(host_and_port(&entry.value).0, &entry.place, || what);
        }
    }
}

/// Where a peer is, unless it says that itself by registering.
fn host(section: &Section) -> Option<&Entry> {
    section.last("host").filter(|entry| !entry.value.eq_ignore_ascii_case("dynamic"))
}

/// Whether it can be looked up; who uses it decides whether it is a good name.
fn is_name(text: &str) -> bool {
    let plain = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '-' | '_' | '.');
    !text.is_empty()
        && text.len() <= 253
        && text.chars().all(plain)
        && !text.eq_ignore_ascii_case("localhost")
}
