//! `IPV4/UDP/203.0.113.9/5060`, as Asterisk writes where something came from.

use std::net::{IpAddr, SocketAddr};

use crate::event::Transport;

/// Address, port and transport. `None` for what is none of these: the parts are the PBX's own, so nothing is guessed.
pub(crate) fn read(text: &str) -> Option<(SocketAddr, Option<Transport>)> {
    let mut parts = text.split('/');
    let (family, transport) = (parts.next()?, parts.next()?);
    let (address, port) = (parts.next()?, parts.next()?);
    let address: IpAddr = address.trim_matches(['[', ']']).parse().ok()?;
    let is_family = match family {
        "IPV4" => address.is_ipv4(),
        "IPV6" => address.is_ipv6(),
        _ => false,
    };
    let port: u16 = port.parse().ok()?;
    (is_family && parts.next().is_none())
        .then(|| (SocketAddr::new(address.to_canonical(), port), Transport::of(transport)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_as_asterisk_writes_them() {
        let v4 = read("IPV4/TLS/203.0.113.9/5061").unwrap();
        assert_eq!(v4, ("203.0.113.9:5061".parse().unwrap(), Some(Transport::Tls)));
        let v6 = read("IPV6/UDP/2001:db8::9/5060").unwrap();
        assert_eq!(v6, ("[2001:db8::9]:5060".parse().unwrap(), Some(Transport::Udp)));
        let mapped = read("IPV6/TCP/::ffff:203.0.113.9/5060").unwrap();
        assert_eq!(mapped.0, "203.0.113.9:5060".parse().unwrap());
        assert_eq!(read("IPV4/QUIC/203.0.113.9/5060").unwrap().1, None);
        for wrong in [
            "",
            "203.0.113.9",
            "IPV6/UDP/203.0.113.9/5060",
            "IPV4/UDP/203.0.113.9/70000",
            "IPV4/UDP/203.0.113.9/5060/x",
            "IPV4/UDP/x/5060",
        ] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }
}
