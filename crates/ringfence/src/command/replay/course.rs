//! Which way a packet goes past the guarded host.

use std::net::IpAddr;

use capture::Direction;
use capture::link::Decoded;
use netfilter::packet::Packet;
use netfilter::stack::Way;

use super::locals::{Locals, is_loopback};

/// What addresses and link header tell of a packet's way.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Course {
    /// From the guarded host to itself.
    pub(super) is_loopback: bool,
    /// Which chains it meets; `None` when it is not this host's affair.
    pub(super) way: Option<Way>,
}

impl Course {
    pub(super) fn of(packet: &Packet<'_>, decoded: &Decoded<'_>, locals: &Locals) -> Self {
        Self::between(packet.source(), packet.destination(), decoded, locals)
    }

    /// Of every packet between these addresses.
    pub(super) fn between(
        source: IpAddr,
        destination: IpAddr,
        decoded: &Decoded<'_>,
        locals: &Locals,
    ) -> Self {
        let from_us = locals.contains(source);
        let to_us = locals.contains(destination);
        let both_local = from_us && to_us;
        let is_loopback = decoded.loopback.unwrap_or(both_local && decoded.direction.is_none())
            || (is_loopback(source) && is_loopback(destination));
        let to_us = to_us || decoded.to_group || is_group(destination);
        let forward = || forwards(source, destination, locals).then_some(Way::Forward);
        let way = match decoded.direction {
            _ if decoded.other_host => None,
            _ if is_loopback => Some(Way::Loopback),
            // What is passed on was judged when it came in.
            Some(Direction::Outgoing) => (from_us || !locals.are_certain()).then_some(Way::Output),
            Some(Direction::Incoming) if to_us => Some(Way::Input),
            Some(Direction::Incoming) => forward(),
            None if from_us => Some(Way::Output),
            None if to_us => Some(Way::Input),
            None => forward(),
        };
        Self { is_loopback, way }
    }
}

/// Whether a packet between two others passes through this host. Link-local ones pass through nobody (RFC 4291 section
/// 2.5.6).
fn forwards(source: IpAddr, destination: IpAddr, locals: &Locals) -> bool {
    let stays = |address: IpAddr| match address {
        IpAddr::V4(_) => false,
        IpAddr::V6(address) => address.is_unicast_link_local(),
    };
    locals.are_certain() && !stays(source) && !stays(destination)
}

fn is_group(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(address) => address.is_multicast() || address.is_broadcast(),
        IpAddr::V6(address) => address.is_multicast(),
    }
}
