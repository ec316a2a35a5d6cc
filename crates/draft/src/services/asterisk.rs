//! What Asterisk's configuration asks for, beside what its sockets show.

use audit::{Listener, Profile, Protocol, Purpose, is_asked_for};

use super::{Services, at};
use crate::Host;
use crate::text::named;

const PROGRAM: &str = "asterisk";

pub(super) fn decide(host: &Host, folder: &str, profile: &Profile, services: &mut Services) {
    let runs = host.sockets.iter().any(|socket| socket.is_of(&[PROGRAM]));
    let sees_programs = host.sockets.iter().any(|socket| socket.program.is_some());
    if !runs {
        services.remarks.push(match sees_programs || host.sockets.is_empty() {
            true => {
                format!("Asterisk does not run now, so its ports are taken from its files in {folder} alone")
            }
            false => "of no socket could be seen whose it is, so Asterisk's ports are taken from its files alone; root sees more"
                .to_owned(),
        });
    }
    // Phones' WebSockets first: their port is the web server's, which is closed otherwise.
    let (phones, rest): (Vec<_>, Vec<_>) =
        profile.listeners.iter().partition(|listener| listener.purpose == Purpose::SecureWebSocket);
    for listener in phones.into_iter().chain(rest) {
        let is_there = host.sockets.iter().any(|socket| is_asked_for(listener, socket));
        one(listener, profile, !runs || is_there, services);
    }
    media(profile, services);
}

fn one(listener: &Listener, profile: &Profile, is_there: bool, services: &mut Services) {
    let Listener { purpose, protocol, port, .. } = listener;
    let asked = format!(
        "{} ({}): {}",
        named(&listener.place.to_string()),
        named(&listener.what),
        at(listener.address, *port, *protocol)
    );
    if listener.is_loopback() {
        services.local.push(asked);
        services.told.add(*protocol, *port..=*port);
        return;
    }
    if services.knows(*protocol, *port) && !matches!(purpose, Purpose::Sip | Purpose::Sips) {
        return;
    }
    if !is_there {
        let why = format!("{asked}. Asterisk runs, and does not listen there: is its module loaded?");
        services.close(name(*purpose), *protocol, *port, why);
        return;
    }
    match purpose {
        Purpose::Sip => services.open_sip("sip", *protocol, *port, format!("SIP in plain text: {asked}.")),
        Purpose::Sips => services.open_sip("sips", *protocol, *port, format!("SIP over TLS: {asked}.")),
        Purpose::SecureWebSocket => services.open_sip(
            "sip-wss",
            *protocol,
            *port,
            format!("Phones in browsers: {asked}. ARI is on the same port, if ari.conf has users."),
        ),
        Purpose::Iax if profile.has_iax_peers => {
            services.open("iax2", *protocol, *port..=*port, format!("IAX2: {asked}."));
        }
        Purpose::Iax => {
            let why = format!("IAX2: {asked}. But iax.conf has nobody who could call.");
            services.close("iax2", *protocol, *port, why);
        }
        Purpose::WebSocket | Purpose::Web => {
            let why = format!(
                "{asked}. ARI, and phones in browsers without encryption: passwords can be read on the way."
            );
            services.close("asterisk-web", *protocol, *port, why);
        }
        Purpose::Manager => {
            let why = format!(
                "{asked}. Whoever logs in there commands Asterisk; `bindaddr = 127.0.0.1` is better than any policy."
            );
            services.close("manager", *protocol, *port, why);
        }
    }
}

const fn name(purpose: Purpose) -> &'static str {
    match purpose {
        Purpose::Sip => "sip-idle",
        Purpose::Sips => "sips-idle",
        Purpose::SecureWebSocket => "sip-wss",
        Purpose::WebSocket | Purpose::Web => "asterisk-web",
        Purpose::Iax => "iax2",
        Purpose::Manager => "manager",
    }
}

fn media(profile: &Profile, services: &mut Services) {
    let says = match &profile.media.place {
        Some(place) => named(&place.to_string()),
        None => "no file says which, so Asterisk takes its own range".to_owned(),
    };
    let why = format!("Media, where something listens only during a call: {says}.");
    services.open(super::MEDIA, Protocol::Udp, profile.media.ports.clone(), why);
}
