//! What is open, and why.

mod asterisk;
mod others;
mod switches;

use std::net::IpAddr;

use audit::{Protocol, Socket};

use crate::Host;
use crate::ports::Ports;
use crate::text::{Writer, key, named};

/// An entry of `[services]`, or one that is only suggested.
#[derive(Clone, Debug)]
pub(crate) struct Service {
    pub(crate) name: String,
    ports: Ports,
    inspect: bool,
    /// A sentence each.
    why: Vec<String>,
}

/// What was decided.
#[derive(Clone, Debug, Default)]
pub(crate) struct Services {
    pub(crate) opened: Vec<Service>,
    pub(crate) closed: Vec<Service>,
    /// What only this host reaches.
    local: Vec<String>,
    /// Of those, the ones of the PBX's files.
    told: Ports,
    /// What asks others, and needs nothing opened.
    clients: Vec<String>,
    pub(crate) remarks: Vec<String>,
}

/// More services, of each kind, are not told one by one; no host has as many.
const MAX_SERVICES: usize = 256;
/// The service with the ports for media.
const MEDIA: &str = "rtp";
/// The port of DHCPv6's answers.
const DHCPV6: u16 = 546;

impl Services {
    /// The PBX first: what it listens on is its own, whatever the port usually is.
    pub(crate) fn decide(host: &Host) -> Self {
        let mut services = Self::default();
        if let Some((folder, profile)) = &host.asterisk {
            asterisk::decide(host, folder, profile, &mut services);
        }
        switches::decide(host, &mut services);
        others::decide(host, &mut services);
        if !host.has_pbx() && !services.opened.iter().any(|service| service.inspect) {
            services.remarks.push(
                "there is no PBX here, so no port for SIP or media is opened: neither Asterisk's configuration (in /etc/asterisk, \
                 or where `--asterisk-dir` says) nor a listening program called asterisk, freeswitch, kamailio, opensips, \
                 rtpengine, rtpproxy or yate was found, nor anything on port 5060 or 5061"
                    .to_owned(),
            );
        }
        services
    }

    /// Whether something was decided about a port.
    fn knows(&self, protocol: Protocol, port: u16) -> bool {
        self.opened.iter().chain(&self.closed).any(|service| service.ports.contains(protocol, port))
    }

    fn open(&mut self, name: &str, protocol: Protocol, ports: std::ops::RangeInclusive<u16>, why: String) {
        add(&mut self.opened, name, protocol, ports, why);
    }

    /// The same for ports where SIP is spoken.
    fn open_sip(&mut self, name: &str, protocol: Protocol, port: u16, why: String) {
        add(&mut self.opened, name, protocol, port..=port, why);
        if let Some(service) = self.opened.iter_mut().find(|service| service.name == name) {
            service.inspect = true;
        }
    }

    fn close(&mut self, name: &str, protocol: Protocol, port: u16, why: String) {
        add(&mut self.closed, name, protocol, port..=port, why);
    }

    pub(crate) fn write(&self, writer: &mut Writer) {
        writer.comment("What is open. A service that is not here is closed.");
        writer.line("[services]");
        for service in &self.opened {
            service.why.iter().for_each(|why| writer.comment(why));
            writer.line(&service.toml(""));
        }
        let has_sip = self.opened.iter().any(|service| service.inspect);
        if has_sip && !self.opened.iter().any(|service| service.name == MEDIA) {
            writer.comment("Where calls' media arrive could not be told. If it is this host, open the range, or calls have no sound:");
            writer.suggestion("rtp = { udp = [\"10000-20000\"] }");
        }
        if !self.opened.iter().any(|service| service.ports.contains(Protocol::Udp, DHCPV6)) {
            writer.comment("Answers to this host's own questions for an IPv6 address, if it asks any.");
            writer.line("dhcpv6 = { udp = [546], from = [\"fe80::/10\"] }");
        }
        self.write_closed(writer);
        self.write_left_out(writer);
    }

    fn write_closed(&self, writer: &mut Writer) {
        if self.closed.is_empty() {
            return;
        }
        writer.blank();
        writer.comment(
            "Not opened, although it listens, or would: nobody outside should need it. To open one to some, take the mark in front \
             of its line away and write their networks.",
        );
        for service in &self.closed {
            writer.comment("");
            service.why.iter().for_each(|why| writer.comment(why));
            writer.suggestion(&service.toml(", from = [\"192.0.2.0/24\"]"));
        }
    }

    fn write_left_out(&self, writer: &mut Writer) {
        for (what, list) in [
            ("Reached from this host only, so there is nothing to open", &self.local),
            ("Asks others, and their answers come in", &self.clients),
        ] {
            if !list.is_empty() {
                writer.blank();
                writer.comment(&format!("{what}: {}.", list.join(", ")));
            }
        }
        writer.blank();
    }
}

impl Service {
    fn toml(&self, more: &str) -> String {
        let inspect = if self.inspect { ", inspect = true" } else { "" };
        format!("{} = {{ {}{inspect}{more} }}", self.name, self.ports.toml())
    }
}

fn add(
    list: &mut Vec<Service>,
    name: &str,
    protocol: Protocol,
    ports: std::ops::RangeInclusive<u16>,
    why: String,
) {
    let name = key(name);
    let index = list.iter().position(|service| service.name == name);
    if index.is_none() && list.len() >= MAX_SERVICES {
        return;
    }
    let index = index.unwrap_or_else(|| {
        list.push(Service { name, ports: Ports::default(), inspect: false, why: Vec::new() });
        list.len() - 1
    });
    if let Some(service) = list.get_mut(index) {
        service.ports.add(protocol, ports);
        if !service.why.contains(&why) {
            service.why.push(why);
        }
    }
}

/// Sockets of one port, as a sentence: "`sshd` listens on every address, port 2222/tcp".
fn listens(sockets: &[&Socket]) -> String {
    let Some(first) = sockets.first() else { return String::new() };
    let who = first
        .program
        .as_deref()
        .map_or_else(|| "somebody".to_owned(), |program| format!("`{}`", named(program)));
    let everywhere = sockets.iter().any(|socket| socket.address.is_unspecified());
    let mut addresses: Vec<String> = sockets.iter().map(|socket| socket.address.to_string()).collect();
    addresses.dedup();
    let more = addresses.len() > 4;
    addresses.truncate(4);
    let whereto = match everywhere {
        true => "every address".to_owned(),
        false => addresses.join(" and ") + if more { " and more" } else { "" },
    };
    format!("{who} listens on {whereto}, port {}/{}", first.port, first.protocol.as_str())
}

/// `127.0.0.1 port 5038/tcp (asterisk)`
fn short(socket: &Socket) -> String {
    let program =
        socket.program.as_deref().map(|program| format!(" ({})", named(program))).unwrap_or_default();
    format!("{} port {}/{}{program}", socket.address, socket.port, socket.protocol.as_str())
}

/// Those that others reach, by port.
fn by_port<'a>(sockets: &[&'a Socket]) -> Vec<Vec<&'a Socket>> {
    let mut sorted = sockets.to_vec();
    sorted.sort();
    let same = |a: &&Socket, b: &&Socket| (a.protocol, a.port) == (b.protocol, b.port);
    sorted.chunk_by(same).map(<[&Socket]>::to_vec).collect()
}

/// An address and a port as one.
fn at(address: Option<IpAddr>, port: u16, protocol: Protocol) -> String {
    let address = address.map_or_else(|| "every address".to_owned(), |address| address.to_string());
    format!("{address}, port {port}/{}", protocol.as_str())
}
