//! What is discarded when it arrives, before connection tracking and rules.

use std::net::{IpAddr, Ipv4Addr};

use super::{Malformed, Packet};

impl Packet<'_> {
    /// Why the kernel would discard this packet when it arrives, before connection tracking and rules. `loopback`: it came
    /// through `lo`, where loopback addresses are at home and checksums are never looked at.
    pub fn arrival_fault(&self, loopback: bool) -> Option<Malformed> {
        if self.is_ipv4() && self.declared_len == 0 {
            return Some(Malformed::Length);
        }
        if !loopback && !self.is_summed {
            return Some(Malformed::Checksum);
        }
        is_martian(self.source, self.destination, loopback).then_some(Malformed::Martian)
    }
}

/// `ip_route_input_slow` and `ip6_rcv_core`. What depends on the host's routes (`rp_filter`, own address as source) is not
/// judged.
pub(crate) fn is_martian(source: IpAddr, destination: IpAddr, loopback: bool) -> bool {
    match (source, destination) {
        (IpAddr::V4(source), IpAddr::V4(destination)) => {
            let nobody = source.octets()[0] == 0 && !(source.is_unspecified() && is_v4_group(destination));
            source.is_multicast()
                || source.is_broadcast()
                || nobody
                || destination.octets()[0] == 0
                || (!loopback && (source.is_loopback() || destination.is_loopback()))
        }
        (IpAddr::V6(source), IpAddr::V6(destination)) => {
            let [first, second, ..] = destination.octets();
            let scope = if first == 0xff { second & 0x0f } else { 0x0e };
            source.is_multicast()
                || scope == 0
                || (!loopback && (source.is_loopback() || destination.is_loopback() || scope == 1))
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => true,
    }
}

fn is_v4_group(address: Ipv4Addr) -> bool {
    address.is_broadcast() || address.is_multicast()
}
