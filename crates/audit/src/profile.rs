//! What a firewall has to know about a PBX: where it listens, whom it was told about, and what it can tell itself.

mod listeners;
mod trunks;
mod witnesses;

use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

pub use listeners::{Listener, Media, Purpose};
pub(crate) use listeners::{media, read as listeners};
pub use trunks::{Peer, Trunk};
pub use witnesses::{Login, Manager, SecurityLog};

use crate::conf::Place;
use crate::files::Files;
use crate::meaning::Pbx;
use crate::{Error, Protocol};

/// A PBX, as far as packets to it are concerned. No secret is in it that could be shown.
#[derive(Clone, Debug)]
pub struct Profile {
    /// In the order of the files.
    pub listeners: Vec<Listener>,
    pub media: Media,
    /// Those that it was told the address or name of.
    pub trunks: Vec<Trunk>,
    /// Whether iax.conf has anybody who may call.
    pub has_iax_peers: bool,
    pub manager: Option<Manager>,
    pub security_log: Option<SecurityLog>,
}

/// Reads the configuration in a directory.
///
/// # Errors
/// When a file cannot be read, or none is there.
pub fn profile(files: &dyn Files, directory: &Path) -> Result<Profile, Error> {
    // Certificates and their ends are none of its business.
    let pbx = Pbx::read(files, directory, Duration::ZERO)?;
    Ok(Profile {
        listeners: listeners(&pbx),
        media: media(&pbx),
        trunks: trunks::read(&pbx),
        has_iax_peers: pbx
            .config("iax.conf")
            .is_some_and(|config| crate::meaning::peers(config).next().is_some()),
        manager: witnesses::manager(&pbx),
        security_log: witnesses::security_log(&pbx),
    })
}

/// An address to listen on: `0.0.0.0`, `192.0.2.1:5060`, `[::]:5061`. `None` for every address; names count as that, too.
fn bind(text: &str, port: u16) -> (Option<IpAddr>, u16) {
    let (host, own_port) = host_and_port(text);
    let address = match host {
        "localhost" => Some(IpAddr::from([127, 0, 0, 1])),
        host => host.parse::<IpAddr>().ok(),
    };
    (address.filter(|address| !address.is_unspecified()), own_port.unwrap_or(port))
}

/// A host and, behind a colon, its port. IPv6 addresses with a port stand in brackets.
fn host_and_port(text: &str) -> (&str, Option<u16>) {
    let text = text.trim();
    if let Some((host, rest)) = text.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        return (host, rest.strip_prefix(':').and_then(|port| port.parse().ok()));
    }
    match text.split_once(':') {
        Some((host, port)) if !port.contains(':') => (host, port.trim().parse().ok()),
        Some(_) | None => (text, None),
    }
}

/// Whether a socket is one that the configuration asks for.
#[must_use]
pub fn is_asked_for(listener: &Listener, socket: &crate::Socket) -> bool {
    let Listener { protocol, port, address, .. } = listener;
    *protocol == socket.protocol
        && *port == socket.port
        && address.is_none_or(|address| socket.address == address || socket.address.is_unspecified())
}

impl Listener {
    /// Whether only this host reaches it.
    #[must_use]
    pub fn is_loopback(&self) -> bool {
        self.address.is_some_and(|address| address.is_loopback())
    }

    fn new(
        purpose: Purpose,
        protocol: Protocol,
        (address, port): (Option<IpAddr>, u16),
        place: &Place,
        what: String,
    ) -> Self {
        Self { purpose, protocol, address, port, place: place.clone(), what }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_to_listen_on_are_read() {
        let address = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        for (text, expected) in [
            ("0.0.0.0", (None, 5060)),
            ("0.0.0.0:5070", (None, 5070)),
            ("192.0.2.1", (address("192.0.2.1"), 5060)),
            ("[::]:5061", (None, 5061)),
            ("::", (None, 5060)),
            ("[2001:db8::1]", (address("2001:db8::1"), 5060)),
            ("2001:db8::1", (address("2001:db8::1"), 5060)),
            ("localhost:1", (address("127.0.0.1"), 1)),
            ("pbx.example", (None, 5060)),
            ("", (None, 5060)),
        ] {
            assert_eq!(bind(text, 5060), expected, "{text}");
        }
    }
}
