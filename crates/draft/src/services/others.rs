//! Everything else that listens.

use audit::{Known, Protocol, Role, Socket};

use super::{Services, by_port, listens, short};
use crate::Host;

/// Where SIP is spoken (RFC 3261, 19.1.2), also by what runs in a container and is not seen.
const SIP: u16 = 5060;
/// With TLS.
const SIPS: u16 = 5061;
/// More are not named.
const SHOWN: usize = 24;

pub(super) fn decide(host: &Host, services: &mut Services) {
    let (local, outside): (Vec<&Socket>, Vec<&Socket>) =
        host.sockets.iter().partition(|socket| socket.is_loopback());
    for sockets in by_port(&outside) {
        one(host, &sockets, services);
    }
    let untold = local.into_iter().filter(|socket| !services.told.contains(socket.protocol, socket.port));
    let mut named: Vec<String> = untold.map(short).collect();
    named.sort();
    named.dedup();
    let more = named.len().saturating_sub(SHOWN);
    services.local.extend(named.into_iter().take(SHOWN));
    if more > 0 {
        services.local.push(format!("and {more} more"));
    }
}

fn one(host: &Host, sockets: &[&Socket], services: &mut Services) {
    let Some(socket) = sockets.first() else { return };
    let (protocol, port) = (socket.protocol, socket.port);
    if services.knows(protocol, port) {
        return;
    }
    let listens = listens(sockets);
    if protocol == Protocol::Tcp && host.ssh_ports.contains(&port) {
        services.open("ssh", protocol, port..=port, format!("SSH, where you are logged in: {listens}."));
        return;
    }
    match (protocol, port) {
        (_, SIP) => return services.open_sip("sip", protocol, port, format!("SIP, by its port: {listens}.")),
        (Protocol::Tcp, SIPS) => {
            return services.open_sip(
                "sips",
                protocol,
                port,
                format!("SIP over TLS, by its port: {listens}."),
            );
        }
        _ => {}
    }
    match socket.known() {
        Some(known) => told(known, socket, &listens, services),
        None => untold(host, socket, &listens, services),
    }
}

fn told(known: &Known, socket: &Socket, listens: &str, services: &mut Services) {
    let (protocol, port) = (socket.protocol, socket.port);
    let what = capital(known.what);
    match known.role {
        Role::Shell | Role::Public => {
            services.open(known.name, protocol, port..=port, format!("{what}: {listens}."));
        }
        Role::Client => services.clients.push(short(socket)),
        Role::Private => services.close(known.name, protocol, port, format!("{what}: {listens}.")),
        Role::Control => {
            let why = format!("{what}: {listens}. Whoever gets in there commands the PBX.");
            services.close(known.name, protocol, port, why);
        }
        Role::Database => {
            let why = format!("{what}: {listens}. Guesses of its passwords are told to nobody.");
            services.close(known.name, protocol, port, why);
        }
        Role::Provisioning => {
            let why = format!(
                "{what}: {listens}. They hold phones' passwords; open it to your phones' networks at most."
            );
            services.close(known.name, protocol, port, why);
        }
    }
}

/// Nobody told what it is. It can be reached now, so whoever put it there may want that; but not where the kernel gives ports to
/// clients, nor of a PBX, whose ports are known.
fn untold(host: &Host, socket: &Socket, listens: &str, services: &mut Services) {
    let (protocol, port) = (socket.protocol, socket.port);
    let name = socket.program.clone().unwrap_or_else(|| format!("{}-{port}", protocol.as_str()));
    if host.client_ports.contains(&port) {
        match protocol {
            Protocol::Udp => services.clients.push(short(socket)),
            Protocol::Tcp => {
                let why = format!(
                    "{listens}, where the kernel gives ports to clients; it changes with each start."
                );
                services.close(&name, protocol, port, why);
            }
        }
    } else if socket.is_of(audit::PBX_PROGRAMS) {
        let why = format!("{listens}, and no file that is read here says why.");
        services.close(&format!("{name}-{port}"), protocol, port, why);
    } else {
        let why = format!("{}. Take it out if nobody outside needs it.", capital(listens));
        services.open(&name, protocol, port..=port, why);
    }
}

fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}
