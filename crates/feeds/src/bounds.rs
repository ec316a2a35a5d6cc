//! What an address or network is, and which networks are not taken from a list: a mistake in somebody else's list must not
//! shut off half the internet, nor one's own network.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use crate::Entry;

/// The widest network of IPv4 that is taken.
pub const MIN_PREFIX_V4: u8 = 8;
/// The widest network of IPv6 that is taken.
pub const MIN_PREFIX_V6: u8 = 16;

/// Networks of IPv4 that are nobody's on the internet (RFC 6890): a phone behind them is one's own, or a neighbour's. Those
/// for documentation and benchmarks are not among them, as nobody is there.
const RESERVED_V4: [(Ipv4Addr, u8); 10] = [
    (Ipv4Addr::new(0, 0, 0, 0), 8),
    (Ipv4Addr::new(10, 0, 0, 0), 8),
    (Ipv4Addr::new(100, 64, 0, 0), 10),
    (Ipv4Addr::new(127, 0, 0, 0), 8),
    (Ipv4Addr::new(169, 254, 0, 0), 16),
    (Ipv4Addr::new(172, 16, 0, 0), 12),
    (Ipv4Addr::new(192, 0, 0, 0), 24),
    (Ipv4Addr::new(192, 168, 0, 0), 16),
    (Ipv4Addr::new(224, 0, 0, 0), 4),
    (Ipv4Addr::new(240, 0, 0, 0), 4),
];

/// The one network of IPv6 from which the internet has addresses (RFC 4291, 2.4).
const GLOBAL_V6: (Ipv6Addr, u8) = (Ipv6Addr::new(0x2000, 0, 0, 0, 0, 0, 0, 0), 3);

/// Why a network is not taken.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Refusal {
    /// It is, or has in it, a network that is nobody's on the internet.
    Reserved,
    Wide,
}

/// `203.0.113.9`, `203.0.113.0/24`, `2001:db8::/32`. Bits behind the prefix are cleared: lists are careless about them.
pub(crate) fn entry(text: &[u8]) -> Option<Entry> {
    let text = std::str::from_utf8(text).ok()?;
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(number(prefix)?)),
        None => (text, None),
    };
    match address.parse().ok()? {
        IpAddr::V4(address) => v4(address, prefix.unwrap_or(32)),
        IpAddr::V6(address) => {
            let prefix = prefix.unwrap_or(128);
            match address.to_ipv4_mapped() {
                Some(mapped) if (96..=128).contains(&prefix) => v4(mapped, prefix - 96),
                Some(_) | None if prefix <= 128 => {
                    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
                    Some(Entry { address: Ipv6Addr::from_bits(address.to_bits() & mask).into(), prefix })
                }
                Some(_) | None => None,
            }
        }
    }
}

fn v4(address: Ipv4Addr, prefix: u8) -> Option<Entry> {
    let mask = u32::MAX.checked_shl(32_u32.checked_sub(u32::from(prefix))?).unwrap_or(0);
    Some(Entry { address: Ipv4Addr::from_bits(address.to_bits() & mask).into(), prefix })
}

/// Digits alone: `parse` would take `+8`, too.
fn number(text: &str) -> Option<u8> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}

/// Why it is not taken; `None` if it is.
pub(crate) fn refusal(entry: Entry) -> Option<Refusal> {
    let (widest, is_reserved) = match entry.address {
        IpAddr::V4(address) => {
            let meets = |&(reserved, prefix): &(Ipv4Addr, u8)| {
                let shift = 32 - u32::from(prefix.min(entry.prefix));
                (address.to_bits() ^ reserved.to_bits()).checked_shr(shift).unwrap_or(0) == 0
            };
            (MIN_PREFIX_V4, RESERVED_V4.iter().any(meets))
        }
        IpAddr::V6(address) => {
            let (global, prefix) = GLOBAL_V6;
            (MIN_PREFIX_V6, (address.to_bits() ^ global.to_bits()) >> (128 - u32::from(prefix)) != 0)
        }
    };
    match (entry.prefix < widest, is_reserved) {
        (true, _) => Some(Refusal::Wide),
        (false, true) => Some(Refusal::Reserved),
        (false, false) => None,
    }
}
