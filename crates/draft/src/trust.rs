//! Who is trusted: the operator, and those whom the PBX's files name by address or name.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use audit::{Peer, Trunk};

use crate::Host;
use crate::text::{Writer, named, quoted};

/// Names that a policy takes, and networks that somebody would read.
const MOST: usize = 1000;
/// The widest networks that a carrier has; who is named with more is hardly one.
const WIDEST: (u8, u8) = (16, 32);

pub(crate) fn write(host: &Host, writer: &mut Writer, remarks: &mut Vec<String>) {
    let mut lists = Lists::default();
    for operator in &host.operators {
        lists.net(
            *operator,
            longest(*operator),
            "you: a session of SSH comes from here. Take it out if the address is soon somebody else's"
                .to_owned(),
        );
    }
    for trunk in host.asterisk.iter().flat_map(|(_, profile)| &profile.trunks) {
        lists.trunk(trunk);
    }
    lists.drop_inner();
    if lists.full {
        remarks.push(format!("more than {MOST} trunks are in the files; the rest is not trusted"));
    }
    writer.comment(
        "Everything from `networks` is accepted, on every port, and nothing of it is searched or banned: keep them few. `names` are looked \
         up every minute; their addresses are not searched or banned either, and have the ports that are open to all.",
    );
    writer.line("[trust]");
    lists.write(writer);
    writer.blank();
}

/// Networks and names, with who names them.
#[derive(Default)]
struct Lists {
    nets: BTreeMap<(IpAddr, u8), Vec<String>>,
    names: BTreeMap<String, Vec<String>>,
    /// With why not.
    not: Vec<String>,
    full: bool,
}

impl Lists {
    fn net(&mut self, address: IpAddr, length: u8, why: String) {
        if self.nets.len() >= MOST && !self.nets.contains_key(&(address, length)) {
            self.full = true;
            return;
        }
        push(self.nets.entry((address, length)).or_default(), why);
    }

    fn trunk(&mut self, trunk: &Trunk) {
        let why = format!("{}: {}", named(&trunk.place.to_string()), named(&trunk.what));
        match &trunk.peer {
            Peer::Name(name) if !policy::is_dns_name(name) => {
                push(&mut self.not, format!("{why} has no name that could be looked up"));
            }
            Peer::Name(name) if self.names.len() >= MOST && !self.names.contains_key(name) => {
                self.full = true
            }
            Peer::Name(name) => push(self.names.entry(name.clone()).or_default(), why),
            Peer::Net(address, length) => match fault(*address, *length) {
                Some("") => {}
                Some(fault) => push(&mut self.not, format!("{address}/{length}, {fault} ({why})")),
                None => self.net(*address, *length, why),
            },
        }
    }

    /// A network in a wider one says nothing.
    fn drop_inner(&mut self) {
        let all: Vec<(IpAddr, u8)> = self.nets.keys().copied().collect();
        self.nets.retain(|(address, length), _| {
            !all.iter().any(|(other, shorter)| shorter < length && covers(*other, *shorter, *address))
        });
    }

    fn write(&self, writer: &mut Writer) {
        if self.nets.is_empty() && self.names.is_empty() {
            writer.comment(
                "Nobody: no trunk is named in the files that were read, and no session of SSH was found.",
            );
        }
        if !self.nets.is_empty() {
            let shown = self.nets.iter().map(|((address, length), why)| (net(*address, *length), why));
            list(writer, "networks", shown);
        }
        if !self.names.is_empty() {
            list(writer, "names", self.names.iter().map(|(name, why)| (name.clone(), why)));
        }
        for not in self.not.iter().take(MOST) {
            writer.comment(&format!("Not trusted: {not}."));
        }
    }
}

fn list<'a>(writer: &mut Writer, key: &str, entries: impl Iterator<Item = (String, &'a Vec<String>)>) {
    writer.line(&format!("{key} = ["));
    for (entry, why) in entries {
        why.iter().for_each(|why| writer.comment_behind("    ", why));
        writer.line(&format!("    {},", quoted(&entry)));
    }
    writer.line("]");
}

fn push(list: &mut Vec<String>, text: String) {
    if list.len() < 8 && !list.contains(&text) {
        list.push(text);
    }
}

/// Why a network is not trusted because a file names it; nothing to say of this host itself.
fn fault(address: IpAddr, length: u8) -> Option<&'static str> {
    let is_one = length == longest(address);
    let (is_wide, is_private) = match address {
        IpAddr::V4(v4) => (length < WIDEST.0, is_private_v4(v4)),
        IpAddr::V6(v6) => (length < WIDEST.1, is_private_v6(v6)),
    };
    if address.is_loopback() || (address.is_unspecified() && is_one) {
        Some("")
    } else if is_wide {
        Some("which is too wide to be somebody's")
    } else if is_private && !is_one {
        Some("a local network: who is in it is not known")
    } else if address.is_multicast() {
        Some("which is nobody's")
    } else {
        None
    }
}

/// RFC 1918, 3927 and 6598.
fn is_private_v4(address: Ipv4Addr) -> bool {
    let [first, second, ..] = address.octets();
    address.is_private() || address.is_link_local() || (first == 100 && second & 0xc0 == 64)
}

fn is_private_v6(address: Ipv6Addr) -> bool {
    address.is_unique_local() || address.is_unicast_link_local()
}

const fn longest(address: IpAddr) -> u8 {
    if address.is_ipv4() { 32 } else { 128 }
}

fn net(address: IpAddr, length: u8) -> String {
    if length == longest(address) { address.to_string() } else { format!("{address}/{length}") }
}

fn covers(net: IpAddr, length: u8, address: IpAddr) -> bool {
    let same = |net: u128, address: u128, width: u32| {
        let shift = width.saturating_sub(u32::from(length));
        net.checked_shr(shift).unwrap_or(0) == address.checked_shr(shift).unwrap_or(0)
    };
    match (net, address) {
        (IpAddr::V4(net), IpAddr::V4(address)) => same(net.to_bits().into(), address.to_bits().into(), 32),
        (IpAddr::V6(net), IpAddr::V6(address)) => same(net.to_bits(), address.to_bits(), 128),
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
