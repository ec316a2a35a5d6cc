//! Ethernet frames with VLAN tags, put on the PBX's link from its other end.

use std::os::fd::{AsRawFd as _, OwnedFd};

use lab::{Lab, Node};
use nix::ifaddrs::getifaddrs;
use nix::sys::socket::{AddressFamily, LinkAddr, MsgFlags, SockFlag, SockProtocol, SockType, sendto, socket};

/// The wire, and the link header with its tags.
pub(crate) struct Tagged {
    socket: OwnedFd,
    link: LinkAddr,
    header: Vec<u8>,
}

impl Tagged {
    /// `tags` are the types of the tags, from the outer one; each is of the VLAN 0.
    pub(crate) fn open(lab: &Lab, tags: &[u16]) -> Self {
        let pbx = lab.inside(Node::Pbx, || link(Node::INTERFACE)).unwrap();
        let (socket, link) = lab
            .inside(Node::Net, || {
                let kind = (AddressFamily::Packet, SockType::Raw, SockFlag::SOCK_CLOEXEC);
                (socket(kind.0, kind.1, kind.2, None::<SockProtocol>).unwrap(), link(Node::Pbx.name()))
            })
            .unwrap();
        let mut header = [pbx.addr().unwrap(), link.addr().unwrap()].concat();
        for tag in tags {
            header.extend(tag.to_be_bytes());
            header.extend([0xa0, 0]);
        }
        header.extend([8, 0]);
        Self { socket, link, header }
    }

    /// A UDP datagram from the attacker to port 5060.
    pub(crate) fn send(&self, payload: &[u8]) {
        let length = |more: usize| u16::try_from(payload.len() + more).unwrap().to_be_bytes();
        let mut ip = vec![0x45, 0];
        ip.extend(length(28));
        ip.extend([0, 1, 0, 0, 64, 17, 0, 0]);
        ip.extend(Node::Attacker.v4().octets());
        ip.extend(Node::Pbx.v4().octets());
        let sum: u32 =
            ip.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes(pair.try_into().unwrap()))).sum();
        let checksum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        ip.splice(10..12, checksum.to_be_bytes());
        ip.extend(5071u16.to_be_bytes());
        ip.extend(5060u16.to_be_bytes());
        ip.extend(length(8));
        // No checksum, which UDP over IPv4 allows.
        ip.extend([0, 0]);
        let frame = [&self.header, &ip, payload].concat();
        sendto(self.socket.as_raw_fd(), &frame, &self.link, MsgFlags::empty()).unwrap();
    }
}

fn link(name: &str) -> LinkAddr {
    let mut interfaces = getifaddrs().unwrap().filter(|interface| interface.interface_name == name);
    interfaces.find_map(|interface| interface.address?.as_link_addr().copied()).unwrap()
}
