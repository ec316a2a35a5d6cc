//! Who is in the lab, at which address, and how the links are laid.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

use crate::error::LabError;

/// A network namespace of the lab. `Net` is the router between the others, so that the PBX sees the same one interface and
/// the foreign source addresses that a server in the Internet sees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Node {
    /// Where the attack tools run.
    Attacker,
    /// Where the honest phones run.
    Phone,
    /// Where Asterisk and Ringfence run.
    Pbx,
    /// The router between them.
    Net,
}

impl Node {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Attacker, Self::Phone, Self::Pbx, Self::Net];
    /// Those with an address of their own on `eth0`.
    pub const HOSTS: [Self; 3] = [Self::Attacker, Self::Phone, Self::Pbx];
    /// The interface name inside each host's namespace.
    pub const INTERFACE: &'static str = "eth0";

    /// The short name, also the end of the namespace's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Attacker => "attacker",
            Self::Phone => "phone",
            Self::Pbx => "pbx",
            Self::Net => "net",
        }
    }

    /// The IPv4 address (of the documentation networks, RFC 5737). The router has the `.1` of each network and is named here
    /// by the one towards the PBX.
    #[must_use]
    pub const fn v4(self) -> Ipv4Addr {
        match self {
            Self::Attacker => Ipv4Addr::new(203, 0, 113, 66),
            Self::Phone => Ipv4Addr::new(192, 0, 2, 20),
            Self::Pbx => Ipv4Addr::new(198, 51, 100, 10),
            Self::Net => Ipv4Addr::new(198, 51, 100, 1),
        }
    }

    /// The IPv6 address (of the documentation network, RFC 3849).
    #[must_use]
    pub const fn v6(self) -> Ipv6Addr {
        match self {
            Self::Attacker => Ipv6Addr::new(0x2001, 0xdb8, 0x66, 0, 0, 0, 0, 0x66),
            Self::Phone => Ipv6Addr::new(0x2001, 0xdb8, 0x20, 0, 0, 0, 0, 0x20),
            Self::Pbx => Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 0x10),
            Self::Net => Ipv6Addr::new(0x2001, 0xdb8, 0x10, 0, 0, 0, 0, 1),
        }
    }

    /// The address of the same family as `like`.
    #[must_use]
    pub const fn address_like(self, like: IpAddr) -> IpAddr {
        match like {
            IpAddr::V4(_) => IpAddr::V4(self.v4()),
            IpAddr::V6(_) => IpAddr::V6(self.v6()),
        }
    }

    fn gateway_v4(self) -> Ipv4Addr {
        let [a, b, c, _] = self.v4().octets();
        Ipv4Addr::new(a, b, c, 1)
    }

    fn gateway_v6(self) -> Ipv6Addr {
        let [a, b, c, ..] = self.v6().segments();
        Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 1)
    }
}

impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Node {
    type Err = LabError;

    fn from_str(name: &str) -> Result<Self, LabError> {
        Self::ALL
            .into_iter()
            .find(|node| node.name() == name)
            .ok_or_else(|| LabError::NoSuchNode(name.to_owned()))
    }
}

/// The `ip -batch` commands, to be run in the router's namespace, that lay the links and give the router its addresses.
/// `namespace` gives the name of a node's namespace.
pub(crate) fn router_batch(namespace: impl Fn(Node) -> String) -> String {
    let mut batch = String::from("link set lo up\n");
    for host in Node::HOSTS {
        let (far, port) = (namespace(host), host.name());
        batch.push_str(&format!(
            "link add name {port} type veth peer name {} netns {far}\n\
             link set {port} up\n\
             addr add {}/24 dev {port}\n\
             addr add {}/64 dev {port} nodad\n",
            Node::INTERFACE,
            host.gateway_v4(),
            host.gateway_v6(),
        ));
    }
    batch
}

/// The `ip -batch` commands for a host's own namespace, once its link is there.
pub(crate) fn host_batch(host: Node) -> String {
    let eth0 = Node::INTERFACE;
    format!(
        "link set lo up\n\
         link set {eth0} up\n\
         addr add {}/24 dev {eth0}\n\
         addr add {}/64 dev {eth0} nodad\n\
         route add default via {}\n\
         route add default via {}\n",
        host.v4(),
        host.v6(),
        host.gateway_v4(),
        host.gateway_v6(),
    )
}

/// What to write below `/proc/sys/net` inside a node's namespace, before its links come up. Duplicate address detection would
/// leave IPv6 addresses unusable for a second; a router that checks source addresses would stop the attacker from forging; and
/// the kernel sends only six ICMP errors in a row to one host, after which a refusal looks like a drop.
pub(crate) fn settings(node: Node) -> &'static [(&'static str, &'static str)] {
    match node {
        Node::Net => &[
            ("ipv4/ip_forward", "1"),
            ("ipv4/conf/all/rp_filter", "0"),
            ("ipv4/conf/default/rp_filter", "0"),
            ("ipv6/conf/all/forwarding", "1"),
            ("ipv6/conf/default/accept_dad", "0"),
        ],
        Node::Attacker | Node::Phone | Node::Pbx => &[
            ("ipv4/icmp_ratelimit", "0"),
            ("ipv6/icmp/ratelimit", "0"),
            ("ipv6/conf/default/accept_dad", "0"),
            ("ipv6/conf/default/accept_ra", "0"),
        ],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_back() {
        for node in Node::ALL {
            assert_eq!(node.name().parse::<Node>().unwrap(), node);
        }
        assert!("mars".parse::<Node>().is_err());
    }

    #[test]
    fn each_host_has_a_gateway_in_its_own_network() {
        for host in Node::HOSTS {
            assert_eq!(host.v4().octets()[..3], host.gateway_v4().octets()[..3]);
            assert_ne!(host.v4(), host.gateway_v4());
            assert_eq!(host.v6().segments()[..4], host.gateway_v6().segments()[..4]);
            assert_ne!(host.v6(), host.gateway_v6());
        }
    }
}
