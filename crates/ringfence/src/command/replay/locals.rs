//! Which addresses are the guarded host's.

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

/// An address, or a network with its prefix length.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct LocalNetwork {
    address: IpAddr,
    prefix: u8,
}

impl FromStr for LocalNetwork {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (address, prefix) =
            text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address: IpAddr =
            address.parse().map_err(|_unhelpful| format!("`{address}` is not an IPv4 or IPv6 address"))?;
        let whole = if address.is_ipv4() { 32 } else { 128 };
        let prefix = match prefix {
            None => whole,
            Some(text) => text
                .parse()
                .ok()
                .filter(|&prefix| prefix <= whole)
                .ok_or_else(|| format!("`{text}` is not a prefix length from 0 to {whole}"))?,
        };
        Ok(Self { address, prefix })
    }
}

impl LocalNetwork {
    fn contains(&self, address: IpAddr) -> bool {
        let prefix = u32::from(self.prefix);
        match (self.address, address) {
            (IpAddr::V4(network), IpAddr::V4(address)) => {
                let mask = u32::MAX.checked_shl(32 - prefix).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                let mask = u128::MAX.checked_shl(128 - prefix).unwrap_or(0);
                (network.to_bits() ^ address.to_bits()) & mask == 0
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

/// How the addresses were found.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Evidence {
    /// The capture says which frames its machine sent.
    Directions,
    /// The user said so.
    Given,
    /// Nothing told; the address in most packets was taken.
    MostPackets,
    /// They are asked for SIP.
    Requests,
}

/// The guarded host's addresses. Loopback addresses always are.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Locals {
    evidence: Evidence,
    networks: Vec<LocalNetwork>,
    addresses: BTreeSet<IpAddr>,
}

impl Locals {
    pub(super) fn given(networks: &[LocalNetwork]) -> Self {
        Self { evidence: Evidence::Given, networks: networks.to_vec(), addresses: BTreeSet::new() }
    }

    pub(super) fn inferred(evidence: Evidence, addresses: BTreeSet<IpAddr>) -> Self {
        Self { evidence, networks: Vec::new(), addresses }
    }

    /// Whether a packet between two others is known to be one that this host forwards.
    pub(super) fn are_certain(&self) -> bool {
        match self.evidence {
            Evidence::Directions | Evidence::Given => true,
            Evidence::MostPackets | Evidence::Requests => false,
        }
    }

    pub(super) fn contains(&self, address: IpAddr) -> bool {
        is_loopback(address)
            || self.addresses.contains(&address)
            || self.networks.iter().any(|network| network.contains(address))
    }

    #[cfg(test)]
    pub(super) fn addresses(&self) -> Vec<String> {
        self.addresses.iter().map(ToString::to_string).collect()
    }
}

pub(super) fn is_loopback(address: IpAddr) -> bool {
    address.is_loopback()
}

/// Addresses shown at most.
const SHOWN: usize = 8;

impl fmt::Display for Locals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.addresses.is_empty() {
            return f.write_str("only loopback traffic, or none: it is judged as the guarded host's own");
        }
        let mut list: Vec<String> = self.addresses.iter().take(SHOWN).map(ToString::to_string).collect();
        if self.addresses.len() > SHOWN {
            list.push(format!("{} more", self.addresses.len() - SHOWN));
        }
        let how = match self.evidence {
            Evidence::Directions => "the capture was made there",
            Evidence::Given => "as given",
            Evidence::MostPackets => "in most packets; there are no SIP requests",
            Evidence::Requests => "asked for SIP",
        };
        write!(f, "guarded host taken to be {} ({how}); say otherwise with --local ADDR", list.join(", "))
    }
}
