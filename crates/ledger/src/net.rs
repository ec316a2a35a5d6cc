//! Where calls come from, as a ban knows it: an address or a network.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::str::FromStr;

/// The longest prefix of an IPv6 source. Who has one IPv6 address has its whole /64, so nothing smaller is worth a row.
pub const MAX_V6_PREFIX: u8 = 64;

/// A source: an IPv4 address (prefix 32), an IPv4 network or an IPv6 network. Host bits are zero, an IPv4 address written as
/// IPv6 (`::ffff:203.0.113.9`) is IPv4, and an IPv6 address is its /64.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Net {
    address: IpAddr,
    prefix: u8,
}

/// Why a text is no [`Net`], and what to write instead.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("`{text}` is no address or network: {why}")]
pub struct NetError {
    text: String,
    why: &'static str,
}

const FORMS: &str =
    "write an address such as 203.0.113.9, or a network such as 203.0.113.0/24 or 2001:db8::/48";
const LEN_V4: &str = "the number behind the `/` is the prefix length, for IPv4 from 0 to 32";
const LEN_V6: &str = "the number behind the `/` is the prefix length, for IPv6 from 0 to 128";
const MAPPED: &str =
    "it is an IPv4 address written as IPv6 with more than IPv4 in its network; write it as IPv4";
const MASK: &str =
    "write the prefix length behind the `/` in place of the mask, such as /24 for 255.255.255.0";
const PORT: &str = "leave the port and the brackets out, a ban is on the address";
const ZONE: &str = "leave out the `%` and what follows it";

impl Net {
    /// The network of that prefix length around an address. Host bits are cleared; a prefix that is too long for the family is
    /// the longest one (32, or 64 for IPv6).
    pub fn new(address: IpAddr, prefix: u8) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address, prefix),
            IpAddr::V6(address) => match address.to_ipv4_mapped() {
                Some(address) if prefix >= 96 => Self::v4(address, prefix - 96),
                Some(_) | None => Self::v6(address, prefix),
            },
        }
    }

    fn v4(address: Ipv4Addr, prefix: u8) -> Self {
        let prefix = prefix.min(32);
        let address = Ipv4Addr::from_bits(address.to_bits() & !low_bits_32(prefix));
        Self { address: address.into(), prefix }
    }

    fn v6(address: Ipv6Addr, prefix: u8) -> Self {
        let prefix = prefix.min(MAX_V6_PREFIX);
        let half = high_half(address) & !low_bits_64(prefix);
        Self { address: Ipv6Addr::from_bits(u128::from(half) << 64).into(), prefix }
    }

    /// The lowest address in it.
    pub fn address(&self) -> IpAddr {
        self.address
    }

    /// From 0 to 32, for IPv6 to 64.
    pub fn prefix(&self) -> u8 {
        self.prefix
    }

    /// Whether all of `other` is in it.
    pub fn contains(&self, other: &Self) -> bool {
        self.prefix <= other.prefix && Self::raw(other.address, self.prefix) == *self
    }

    /// Every network that it is in, from the whole family to itself.
    pub fn covering(self) -> impl Iterator<Item = Self> {
        (0..=self.prefix).map(move |prefix| Self::raw(self.address, prefix))
    }

    /// As [`Net::new`], for an address of a `Net`, which is of the right family already.
    fn raw(address: IpAddr, prefix: u8) -> Self {
        match address {
            IpAddr::V4(address) => Self::v4(address, prefix),
            IpAddr::V6(address) => Self::v6(address, prefix),
        }
    }

    /// 4 or 6.
    pub(crate) fn family(&self) -> i64 {
        if self.address.is_ipv4() { 4 } else { 6 }
    }

    /// How the ledger keeps the address: the 32 bits of IPv4, or the high 64 bits of IPv6 as a signed number.
    pub(crate) fn number(&self) -> i64 {
        match self.address {
            IpAddr::V4(address) => i64::from(address.to_bits()),
            IpAddr::V6(address) => high_half(address).cast_signed(),
        }
    }

    /// The numbers of all addresses in it, first and last.
    pub(crate) fn numbers(&self) -> (i64, i64) {
        let first = self.number();
        match self.address {
            IpAddr::V4(_) => (first, first | i64::from(low_bits_32(self.prefix))),
            // The sign bit is the first bit of the address: only the network of all addresses has both.
            IpAddr::V6(_) if self.prefix == 0 => (i64::MIN, i64::MAX),
            IpAddr::V6(_) => (first, first | low_bits_64(self.prefix).cast_signed()),
        }
    }

    /// The inverse of [`Net::family`], [`Net::number`] and [`Net::prefix`]; `None` for what they do not give.
    pub(crate) fn from_numbers(family: i64, number: i64, prefix: i64) -> Option<Self> {
        let prefix = u8::try_from(prefix).ok()?;
        let address = match family {
            4 => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(number).ok()?)),
            6 => IpAddr::V6(Ipv6Addr::from_bits(u128::from(number.cast_unsigned()) << 64)),
            _ => return None,
        };
        let net = Self { address, prefix };
        (Self::raw(address, prefix) == net).then_some(net)
    }
}

fn low_bits_32(prefix: u8) -> u32 {
    u32::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

fn low_bits_64(prefix: u8) -> u64 {
    u64::MAX.checked_shr(u32::from(prefix)).unwrap_or(0)
}

fn high_half(address: Ipv6Addr) -> u64 {
    u64::try_from(address.to_bits() >> 64).unwrap_or(0)
}

impl From<IpAddr> for Net {
    fn from(address: IpAddr) -> Self {
        Self::new(address, 128)
    }
}

impl fmt::Display for Net {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) if self.prefix == 32 => write!(f, "{address}"),
            IpAddr::V4(_) | IpAddr::V6(_) => write!(f, "{}/{}", self.address, self.prefix),
        }
    }
}

impl FromStr for Net {
    type Err = NetError;

    /// An address, or an address, `/` and a prefix length. Host bits are cleared.
    fn from_str(text: &str) -> Result<Self, NetError> {
        let text = text.trim();
        let refuse = |why| NetError { text: text.chars().take(80).collect(), why };
        let (address, prefix) = match text.split_once('/') {
            Some((address, prefix)) => (address, Some(prefix)),
            None => (text, None),
        };
        let address: IpAddr = address.parse().map_err(|_not_one| refuse(hint(address)))?;
        let Some(prefix) = prefix else {
            return Ok(address.into());
        };
        let (longest, why) = if address.is_ipv4() { (32, LEN_V4) } else { (128, LEN_V6) };
        let why = if prefix.contains('.') { MASK } else { why };
        let digits = prefix.bytes().all(|byte| byte.is_ascii_digit());
        let prefix = prefix.parse().ok().filter(|&prefix: &u8| digits && prefix <= longest);
        let prefix = prefix.ok_or_else(|| refuse(why))?;
        match address {
            IpAddr::V6(address) if address.to_ipv4_mapped().is_some() && prefix < 96 => Err(refuse(MAPPED)),
            IpAddr::V4(_) | IpAddr::V6(_) => Ok(Self::new(address, prefix)),
        }
    }
}

/// What people write in place of an address.
fn hint(address: &str) -> &'static str {
    if address.parse::<std::net::SocketAddr>().is_ok() || address.starts_with('[') {
        PORT
    } else if address.contains('%') {
        ZONE
    } else {
        FORMS
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn net(text: &str) -> Net {
        text.parse().unwrap()
    }

    #[test]
    fn texts_become_canonical() {
        for (text, canonical) in [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9/32", "203.0.113.9"),
            ("203.0.113.9/24", "203.0.113.0/24"),
            (" 0.0.0.0/0 ", "0.0.0.0/0"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("::ffff:203.0.113.9/120", "203.0.113.0/24"),
            ("2001:db8::1", "2001:db8::/64"),
            ("2001:db8::1/128", "2001:db8::/64"),
            ("2001:db8:1:2:3::/48", "2001:db8:1::/48"),
            ("::/0", "::/0"),
            ("::1", "::/64"),
        ] {
            assert_eq!(net(text).to_string(), canonical, "{text}");
            assert_eq!(net(canonical), net(text));
        }
    }

    #[test]
    fn a_bad_text_says_what_to_write() {
        for (text, why) in [
            ("", FORMS),
            ("pbx.example.org", FORMS),
            ("203.0.113", FORMS),
            ("203.0.113.9:5060", PORT),
            ("[2001:db8::1]:5060", PORT),
            ("fe80::1%eth0", ZONE),
            ("203.0.113.0/33", LEN_V4),
            ("203.0.113.0/+8", LEN_V4),
            ("203.0.113.0/", LEN_V4),
            ("203.0.113.0/255.255.255.0", MASK),
            ("2001:db8::/129", LEN_V6),
            ("::ffff:203.0.113.9/64", MAPPED),
        ] {
            assert_eq!(text.parse::<Net>(), Err(NetError { text: text.to_owned(), why }));
        }
        let long = "x".repeat(10_000).parse::<Net>().unwrap_err().to_string();
        assert!(long.len() < 300, "{long}");
    }

    #[test]
    fn a_network_contains_itself_and_what_is_in_it() {
        assert!(net("10.0.0.0/8").contains(&net("10.0.0.0/8")));
        assert!(net("10.0.0.0/8").contains(&net("10.1.2.3")));
        assert!(!net("10.0.0.0/24").contains(&net("10.0.0.0/8")));
        assert!(!net("0.0.0.0/0").contains(&net("2001:db8::/64")));
        assert!(net("::/0").contains(&net("fe80::/64")));
        assert_eq!(net("10.1.2.3").covering().count(), 33);
        assert!(net("fe80::").covering().all(|wider| wider.contains(&net("fe80::"))));
    }

    #[test]
    fn numbers_are_those_of_the_network() {
        for text in
            ["203.0.113.9", "0.0.0.0/0", "255.255.255.255", "::/0", "ffff::/16", "8000::/1", "2001:db8::"]
        {
            let net = net(text);
            let back = Net::from_numbers(net.family(), net.number(), i64::from(net.prefix()));
            assert_eq!(back, Some(net));
            let (first, last) = net.numbers();
            assert!((first..=last).contains(&net.number()));
        }
        assert_eq!(net("10.0.0.0/8").numbers(), (0x0a00_0000, 0x0aff_ffff));
        assert_eq!(Net::from_numbers(4, 1, 24), None, "host bits");
        assert_eq!(Net::from_numbers(4, -1, 32), None);
        assert_eq!(Net::from_numbers(5, 0, 0), None);
        assert_eq!(Net::from_numbers(6, 0, 65), None);
    }
}
