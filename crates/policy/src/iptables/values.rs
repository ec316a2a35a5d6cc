//! Option values: numbers, ports, addresses, rates.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::ops::RangeInclusive;
use std::str::FromStr;

use super::names;
use crate::ruleset::{Family, InterfaceName, Network, Rate, RateUnit};

/// What is wrong with a value, and what to do.
#[derive(Debug, Eq, PartialEq)]
pub(super) struct BadValue {
    pub(super) message: String,
    pub(super) help: Option<String>,
}

pub(super) fn bad<T>(message: impl Into<String>) -> Result<T, BadValue> {
    Err(BadValue { message: message.into(), help: None })
}

pub(super) fn bad_with_help<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, BadValue> {
    Err(BadValue { message: message.into(), help: Some(help.into()) })
}

/// A number as C's `strtoul` with base 0 reads it: decimal, `0x` hexadecimal or octal after a leading 0.
pub(super) fn number(text: &str, range: RangeInclusive<u64>) -> Option<u64> {
    let digits = |digits: &str, radix| {
        let plain = digits.chars().all(|c| c.is_ascii_hexdigit());
        if plain { u64::from_str_radix(digits, radix).ok() } else { None }
    };
    let value = match text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")) {
        Some(hex) => digits(hex, 16),
        None if text.len() > 1 && text.starts_with('0') => digits(text, 8),
        None => digits(text, 10),
    };
    value.filter(|value| range.contains(value))
}

pub(super) fn number_in<T>(text: &str, low: T, high: T) -> Result<T, BadValue>
where
    T: Copy + Into<u64> + TryFrom<u64>,
{
    let (low, high) = (low.into(), high.into());
    match number(text, low..=high).map(T::try_from) {
        Some(Ok(value)) => Ok(value),
        Some(Err(_)) | None => bad(format!("`{text}` is not a number from {low} to {high}")),
    }
}

/// `-p`: a name or a number; 0 is `all`.
pub(super) fn protocol(text: &str) -> Result<u8, BadValue> {
    if let Some(number) = number(text, 0..=255) {
        return number_in(&number.to_string(), 0, u8::MAX);
    }
    if let Some(number) = names::protocol(text) {
        return Ok(number);
    }
    let help = match crate::diagnostic::nearest(text, names::protocols()) {
        Some(near) => format!("did you mean `{near}`? otherwise write the protocol's number, 0 to 255"),
        None => "write the protocol's number, 0 to 255".to_owned(),
    };
    bad_with_help(format!("unknown protocol `{text}`"), help)
}

/// One port: a number or the name of a service.
pub(super) fn port(text: &str) -> Result<u16, BadValue> {
    if let Ok(port) = number_in(text, 0, u16::MAX) {
        return Ok(port);
    }
    if text.starts_with(|c: char| c.is_ascii_digit()) || text.is_empty() {
        let list = text.contains(',').then(|| "for a list of ports use `-m multiport --dports`".to_owned());
        let range = text.contains('-').then(|| "a range is written with a colon, `5060:5061`".to_owned());
        return Err(BadValue {
            message: format!("`{text}` is not a port from 0 to 65535"),
            help: list.or(range),
        });
    }
    names::service(text).map_or_else(
        || bad_with_help(format!("unknown service `{text}`"), "write the port's number, 0 to 65535"),
        Ok,
    )
}

/// `PORT`, `LOW:HIGH`, `LOW:` or `:HIGH`.
pub(super) fn port_range(text: &str) -> Result<RangeInclusive<u16>, BadValue> {
    let Some((low, high)) = text.split_once(':') else {
        let port = port(text)?;
        return Ok(port..=port);
    };
    let low = if low.is_empty() { 0 } else { port(low)? };
    let high = if high.is_empty() { u16::MAX } else { port(high)? };
    if low > high {
        return bad_with_help(format!("port range `{text}` runs backwards"), format!("write `{high}:{low}`"));
    }
    Ok(low..=high)
}

/// A list of networks as `-s` takes it.
pub(super) fn networks(text: &str, family: Family) -> Result<Vec<Network>, BadValue> {
    text.split(',').map(|part| network(part, family)).collect()
}

/// `ADDRESS`, `ADDRESS/LENGTH` or `ADDRESS/MASK`.
pub(super) fn network(text: &str, family: Family) -> Result<Network, BadValue> {
    let (address, mask) = text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
    match family {
        Family::Ipv4 => {
            let mask = mask.map_or(Ok(Ipv4Addr::BROADCAST), mask_v4)?;
            let address = address_v4(address, text.contains('/'))?;
            Ok(Network { address: IpAddr::V4(address & mask), mask: IpAddr::V4(mask) })
        }
        Family::Ipv6 => {
            let mask = mask.map_or(Ok(Ipv6Addr::from_bits(u128::MAX)), mask_v6)?;
            let address = address_v6(address)?;
            Ok(Network { address: IpAddr::V6(address & mask), mask: IpAddr::V6(mask) })
        }
    }
}

/// A single address.
pub(super) fn address(text: &str, family: Family) -> Result<IpAddr, BadValue> {
    match family {
        Family::Ipv4 => address_v4(text, false).map(IpAddr::V4),
        Family::Ipv6 => address_v6(text).map(IpAddr::V6),
    }
}

/// With a mask, trailing zeros may be left out (`10/8`), as iptables allows.
fn address_v4(text: &str, short_form: bool) -> Result<Ipv4Addr, BadValue> {
    if let Ok(address) = Ipv4Addr::from_str(text) {
        return Ok(address);
    }
    if Ipv6Addr::from_str(text).is_ok() {
        return bad_with_help(format!("`{text}` is an IPv6 address in an IPv4 dump"), OTHER_FAMILY);
    }
    let parts = text.split('.').count();
    if short_form && parts < 4 {
        let padded = format!("{text}{}", ".0".repeat(4 - parts));
        if let Ok(address) = Ipv4Addr::from_str(&padded) {
            return Ok(address);
        }
    }
    let numeric = !text.is_empty() && text.chars().all(|c| c.is_ascii_digit() || c == '.');
    if numeric || text.is_empty() {
        return bad_with_help(
            format!("`{text}` is not an IPv4 address"),
            "write four numbers from 0 to 255, without leading zeros",
        );
    }
    bad_with_help(format!("`{text}` is not an address"), HOST_NAME)
}

fn address_v6(text: &str) -> Result<Ipv6Addr, BadValue> {
    if let Ok(address) = Ipv6Addr::from_str(text) {
        return Ok(address);
    }
    if Ipv4Addr::from_str(text).is_ok() {
        return bad_with_help(format!("`{text}` is an IPv4 address in an IPv6 dump"), OTHER_FAMILY);
    }
    if text.contains(':') || text.is_empty() {
        return bad(format!("`{text}` is not an IPv6 address"));
    }
    bad_with_help(format!("`{text}` is not an address"), HOST_NAME)
}

const OTHER_FAMILY: &str = "give each family a `*filter` dump of its own; `# Generated by ip6tables-save` above one marks it as IPv6";
const HOST_NAME: &str = "host names are looked up once by iptables and can change later; write the addresses";

fn mask_v4(text: &str) -> Result<Ipv4Addr, BadValue> {
    if let Ok(length) = number_in(text, 0, 32_u8) {
        let bits = u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0);
        return Ok(Ipv4Addr::from_bits(bits));
    }
    Ipv4Addr::from_str(text)
        .or_else(|_| bad(format!("`{text}` is not a prefix length from 0 to 32, nor a mask")))
}

fn mask_v6(text: &str) -> Result<Ipv6Addr, BadValue> {
    if let Ok(length) = number_in(text, 0, 128_u8) {
        let bits = u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0);
        return Ok(Ipv6Addr::from_bits(bits));
    }
    Ipv6Addr::from_str(text)
        .or_else(|_| bad(format!("`{text}` is not a prefix length from 0 to 128, nor a mask")))
}

/// `--src-range A-B` or a single address.
pub(super) fn address_range(text: &str, family: Family) -> Result<RangeInclusive<IpAddr>, BadValue> {
    let (low, high) = text.split_once('-').unwrap_or((text, text));
    Ok(address(low, family)?..=address(high, family)?)
}

/// `-i`, `-o`.
pub(super) fn interface(text: &str) -> Result<InterfaceName, BadValue> {
    if text.is_empty() {
        return bad("the interface name is empty");
    }
    if text.len() > 15 {
        return bad(format!("interface name `{text}` is longer than 15 bytes"));
    }
    Ok(match text.strip_suffix('+') {
        Some(name) => InterfaceName { name: name.to_owned(), prefix: true },
        None => InterfaceName { name: text.to_owned(), prefix: false },
    })
}

/// `AMOUNT[/UNIT]`, where a unit may be shortened to its first letters. `scale` is the finest rate: amounts per second.
pub(super) fn rate(text: &str, scale: u32) -> Result<Rate, BadValue> {
    let (amount, unit) = text.split_once('/').map_or((text, "second"), |(amount, unit)| (amount, unit));
    let units = [
        ("second", RateUnit::Second),
        ("minute", RateUnit::Minute),
        ("hour", RateUnit::Hour),
        ("day", RateUnit::Day),
    ];
    let begins = |name: &str| !unit.is_empty() && name.starts_with(&unit.to_ascii_lowercase());
    let Some((_, unit)) = units.into_iter().find(|(name, _)| begins(name)) else {
        return bad_with_help(
            format!("`{text}` is not a rate"),
            "write a number and a unit: `3/second`, `3/minute`, `3/hour`, `3/day`",
        );
    };
    let amount = match number(amount, 1..=u64::from(u32::MAX)).map(u32::try_from) {
        Some(Ok(amount)) if !amount_is_octal(text) => amount,
        Some(_) | None => {
            return bad_with_help(
                format!("`{text}` is not a rate"),
                "write a whole number from 1 on and a unit, such as `3/minute`",
            );
        }
    };
    let rate = Rate { amount, unit };
    if u64::from(scale) * rate.unit.seconds() < u64::from(amount) {
        return bad(format!("`{text}` is faster than iptables can count, {scale} a second"));
    }
    Ok(rate)
}

/// iptables reads rates with `atoi`, which knows neither octal nor hexadecimal.
fn amount_is_octal(text: &str) -> bool {
    text.starts_with('0')
}

impl RateUnit {
    /// How long the unit lasts.
    pub fn seconds(self) -> u64 {
        match self {
            Self::Second => 1,
            Self::Minute => 60,
            Self::Hour => 3600,
            Self::Day => 86400,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_as_c_reads_them() {
        assert_eq!(number("0x16", 0..=100), Some(22));
        assert_eq!(number("010", 0..=100), Some(8));
        assert_eq!(number("0", 0..=100), Some(0));
        for wrong in ["", "-1", "+1", "08", "1x", "0x", " 1", "101"] {
            assert_eq!(number(wrong, 0..=100), None, "{wrong}");
        }
    }

    #[test]
    fn networks_keep_masks_with_holes() {
        let network = network("10.1.1.1/255.0.255.0", Family::Ipv4).unwrap();
        assert_eq!(network.address, IpAddr::from([10, 0, 1, 0]));
        assert_eq!(network.prefix(), None);
        assert!(network.contains(IpAddr::from([10, 77, 1, 99])));
        assert!(!network.contains(IpAddr::from([10, 77, 2, 99])));
    }

    #[test]
    fn every_way_to_write_a_network() {
        let v4 =
            |text| network(text, Family::Ipv4).map(|network| (network.address.to_string(), network.prefix()));
        assert_eq!(v4("192.0.2.77/24"), Ok(("192.0.2.0".into(), Some(24))));
        assert_eq!(v4("192.0.2.77/255.255.255.0"), Ok(("192.0.2.0".into(), Some(24))));
        assert_eq!(v4("10/8"), Ok(("10.0.0.0".into(), Some(8))));
        assert_eq!(v4("1.2.3.4/0"), Ok(("0.0.0.0".into(), Some(0))));
        assert_eq!(v4("1.2.3.4"), Ok(("1.2.3.4".into(), Some(32))));
        for wrong in [
            "10",
            "10.1",
            "1.2.3.256",
            "1.2.3.4/33",
            "1.2.3.4/",
            "",
            "010.1.1.1",
            "localhost",
            "::1",
            "1.2.3.4.5/8",
        ] {
            assert!(v4(wrong).is_err(), "{wrong}");
        }
        let v6 =
            |text| network(text, Family::Ipv6).map(|network| (network.address.to_string(), network.prefix()));
        assert_eq!(v6("2001:db8::77/64"), Ok(("2001:db8::".into(), Some(64))));
        assert_eq!(v6("2001:db8::77/ffff:ffff::"), Ok(("2001:db8::".into(), Some(32))));
        assert_eq!(v6("::/0"), Ok(("::".into(), Some(0))));
        assert!(v6("10.0.0.1").is_err() && v6("2001:db8::/129").is_err() && v6("host").is_err());
    }

    #[test]
    fn ports_and_services() {
        assert_eq!(port_range("5060:5061"), Ok(5060..=5061));
        assert_eq!(port_range(":5"), Ok(0..=5));
        assert_eq!(port_range("5:"), Ok(5..=65535));
        assert_eq!(port_range("sip"), Ok(5060..=5060));
        assert_eq!(port("ssh"), Ok(22));
        assert!(port("65536").is_err() && port_range("10:5").is_err());
    }

    #[test]
    fn rates_take_shortened_units() {
        assert_eq!(rate("3/min", 10_000), Ok(Rate { amount: 3, unit: RateUnit::Minute }));
        assert_eq!(rate("3/H", 10_000), Ok(Rate { amount: 3, unit: RateUnit::Hour }));
        assert_eq!(rate("7", 10_000), Ok(Rate { amount: 7, unit: RateUnit::Second }));
        assert!(rate("10001/s", 10_000).is_err() && rate("10001/min", 10_000).is_ok());
        for wrong in ["", "/s", "0/s", "5/", "5/fortnight", "-1/s", "3.5/s", "010/s"] {
            assert!(rate(wrong, 10_000).is_err(), "{wrong}");
        }
    }
}
