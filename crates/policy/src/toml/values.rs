//! Ports, networks, interfaces, rates and bytes, from their written form.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::time::Duration;

use toml_edit::Value;

use crate::diagnostic::nearest;
use crate::policy::is_dns_name;
use crate::ruleset::{InterfaceName, Network, Rate, RateUnit};

/// What is wrong with a value, and what to write instead.
#[derive(Debug)]
pub(super) struct BadValue {
    pub(super) message: String,
    pub(super) help: String,
}

pub(super) fn bad<T>(message: impl Into<String>, help: impl Into<String>) -> Result<T, BadValue> {
    Err(BadValue { message: message.into(), help: help.into() })
}

/// `22` or `"10000-20000"`.
pub(super) fn ports(value: &Value) -> Result<RangeInclusive<u16>, BadValue> {
    const SHAPE: &str = "write ports as numbers from 1 to 65535, and ranges as `\"10000-20000\"`";
    if let Some(number) = value.as_integer() {
        return match u16::try_from(number) {
            Ok(port) if port != 0 => Ok(port..=port),
            Ok(_) | Err(_) => bad(format!("`{number}` is no port"), SHAPE),
        };
    }
    let Some(text) = value.as_str() else { return bad("a port is a number or a range", SHAPE) };
    let port = |text: &str| match text.trim().parse::<u16>() {
        Ok(port) => Ok(port),
        Err(_) => bad(format!("`{}` is no port", text.trim()), SHAPE),
    };
    let (first, last) = match text.split_once(['-', ':']) {
        Some((first, last)) => (port(first)?, port(last)?),
        None => (port(text)?, port(text)?),
    };
    if first > last {
        return bad(
            format!("the range `{text}` ends before it begins"),
            format!("write `\"{last}-{first}\"`"),
        );
    }
    Ok(first..=last)
}

/// `"192.0.2.0/24"`, `"2001:db8::/32"` or a single address.
pub(super) fn network(value: &Value) -> Result<Network, BadValue> {
    const SHAPE: &str =
        "write addresses as texts: `\"192.0.2.0/24\"`, `\"2001:db8::/32\"` or `\"203.0.113.7\"`";
    let Some(text) = value.as_str() else { return bad("a network is a text", SHAPE) };
    let (address, prefix) = match text.split_once('/') {
        Some((address, prefix)) => (address, Some(prefix)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else {
        let help = match text.bytes().any(|byte| byte.is_ascii_alphabetic()) && !text.contains(':') {
            true => "write the address; only `[trust]` takes names, under `names`",
            false => SHAPE,
        };
        return bad(format!("`{address}` is no address"), help);
    };
    let longest = if address.is_ipv4() { 32 } else { 128 };
    let length = match prefix.map(str::parse::<u8>) {
        None => longest,
        Some(Ok(length)) if length <= longest => length,
        Some(_) => {
            let prefix = prefix.unwrap_or_default();
            return bad(
                format!("`/{prefix}` is no prefix length"),
                format!("it is a number from 0 to {longest} here"),
            );
        }
    };
    if length == 0 {
        return bad(
            "this is every address there is",
            "use `default` to say what happens to packets from anywhere",
        );
    }
    let network = with_prefix(address, length);
    if network.address != address {
        return bad(
            format!("`{text}` has bits behind its prefix"),
            format!(
                "write `\"{}/{length}\"` for the network, or `\"{address}\"` for the one address",
                network.address
            ),
        );
    }
    Ok(network)
}

/// `"sip.example.net"`, in small letters.
pub(super) fn name(value: &Value) -> Result<String, BadValue> {
    const SHAPE: &str =
        "write names as the DNS has them: `\"sip.example.net\"`; addresses go into `networks`";
    let Some(text) = value.as_str() else { return bad("a name is a text", SHAPE) };
    if !is_dns_name(text) {
        return bad(format!("`{text}` is no DNS name"), SHAPE);
    }
    Ok(text.to_ascii_lowercase())
}

fn with_prefix(address: IpAddr, length: u8) -> Network {
    match address {
        IpAddr::V4(address) => {
            let mask = Ipv4Addr::from(u32::MAX.checked_shl(32 - u32::from(length)).unwrap_or(0));
            Network { address: (address & mask).into(), mask: mask.into() }
        }
        IpAddr::V6(address) => {
            let mask = Ipv6Addr::from(u128::MAX.checked_shl(128 - u32::from(length)).unwrap_or(0));
            Network { address: (address & mask).into(), mask: mask.into() }
        }
    }
}

/// `"eth0"`, or `"tun+"` for every name that begins like this.
pub(super) fn interface(value: &Value) -> Result<InterfaceName, BadValue> {
    /// The kernel's `IFNAMSIZ` without its end.
    const LONGEST: usize = 15;
    const SHAPE: &str =
        "write names as `ip link` shows them: `\"eth0\"`; `\"tun+\"` is every name that begins with `tun`";
    let Some(text) = value.as_str() else { return bad("an interface is a text", SHAPE) };
    let (name, prefix) = match text.strip_suffix('+') {
        Some(name) => (name, true),
        None => (text, false),
    };
    let odd =
        |c: char| c.is_whitespace() || c.is_control() || matches!(c, '/' | '"' | '*' | '\\' | '+' | ':');
    if name.is_empty() || name.len() > LONGEST || name.contains(odd) {
        return bad(format!("`{text}` is no interface name"), SHAPE);
    }
    Ok(InterfaceName { name: name.to_owned(), prefix })
}

/// `10/minute`, `10/minute burst 20`: the rate and the burst.
pub(super) fn limit(text: &str, default_burst: u32) -> Result<(Rate, u32), BadValue> {
    const SHAPE: &str = "write it as `\"10/minute\"` or `\"10/minute burst 20\"`";
    let words: Vec<&str> = text.split_ascii_whitespace().collect();
    let (rate, burst) = match words.as_slice() {
        [rate] => (*rate, None),
        [rate, "burst", burst] => (*rate, Some(*burst)),
        _ => return bad(format!("`{text}` is no limit"), SHAPE),
    };
    let Some((amount, unit)) = rate.split_once('/') else {
        return bad(format!("`{rate}` is no rate"), SHAPE);
    };
    let positive = |text: &str| match text.parse::<u32>() {
        Ok(number @ 1..) => Ok(number),
        Ok(_) | Err(_) => bad(format!("`{text}` is no number of connections"), SHAPE),
    };
    let unit = match unit {
        "second" => RateUnit::Second,
        "minute" => RateUnit::Minute,
        "hour" => RateUnit::Hour,
        "day" => RateUnit::Day,
        other => {
            let near = nearest(other, ["second", "minute", "hour", "day"]);
            let near = near.map_or_else(String::new, |near| format!("did you mean `{near}`? "));
            return bad(
                format!("`{other}` is no unit of time"),
                format!("{near}a rate is per second, minute, hour or day"),
            );
        }
    };
    let burst = burst.map_or(Ok(default_burst), positive)?;
    Ok((Rate { amount: positive(amount)?, unit }, burst))
}

/// Bytes as hexadecimal digits; blanks, colons and iptables' bars between them do not count.
pub(super) fn hex(text: &str) -> Result<Vec<u8>, BadValue> {
    const SHAPE: &str = "write two hexadecimal digits a byte: `\"66 72 69 65\"`";
    let mut digits = Vec::new();
    for c in text.chars().filter(|c| !matches!(c, ' ' | ':' | '|')) {
        match c.to_digit(16).and_then(|digit| u8::try_from(digit).ok()) {
            Some(digit) => digits.push(digit),
            None => return bad(format!("`{c}` is no hexadecimal digit"), SHAPE),
        }
    }
    let (pairs, rest) = digits.as_chunks::<2>();
    if !rest.is_empty() {
        return bad("an odd number of hexadecimal digits", SHAPE);
    }
    Ok(pairs.iter().map(|[high, low]| high << 4 | low).collect())
}

/// The prefix of a kernel log line. nftables' strings have no escapes, and the kernel keeps 29 bytes.
pub(super) fn log_prefix(text: &str) -> Result<String, BadValue> {
    /// As `-j LOG --log-prefix` of iptables allows.
    const LONGEST: usize = 29;
    if text.len() > LONGEST {
        return bad(format!("a log prefix of {} bytes", text.len()), format!("the kernel keeps {LONGEST}"));
    }
    if text.contains(|c: char| c.is_control() || !c.is_ascii() || matches!(c, '"' | '\\' | '$')) {
        return bad(
            "a sign in the log prefix that the kernel's log cannot have",
            "use printable ASCII without `\"`, `\\` and `$`",
        );
    }
    Ok(text.to_owned())
}

/// `90s`, `6h`, `1d 12h`: numbers with their units.
pub(super) fn period(text: &str) -> Result<Duration, BadValue> {
    const SHAPE: &str = "write it like `\"30m\"`, `\"6h\"` or `\"7d\"`";
    let wrong = || bad(format!("`{text}` is no period of time"), SHAPE);
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    if rest.is_empty() {
        return wrong();
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
        let (number, unit) = rest.split_at_checked(end).unwrap_or((rest, ""));
        let mut letters = unit.chars();
        let worth: u64 = match letters.next() {
            Some('s') => 1,
            Some('m') => 60,
            Some('h') => 3_600,
            Some('d') => 86_400,
            Some(_) | None => return wrong(),
        };
        let sum = number.parse().ok().and_then(|number: u64| number.checked_mul(worth)?.checked_add(seconds));
        let Some(sum) = sum else { return wrong() };
        seconds = sum;
        rest = letters.as_str().trim_start();
    }
    Ok(Duration::from_secs(seconds))
}

/// `127.0.0.1:5038`, `[::1]:5038`, or an address alone for the usual port.
pub(super) fn socket(text: &str, port: u16) -> Result<SocketAddr, BadValue> {
    let alone = text.trim_matches(['[', ']']).parse::<IpAddr>().map(|address| SocketAddr::new(address, port));
    match text.parse::<SocketAddr>().or(alone) {
        Ok(socket) if socket.port() != 0 => Ok(socket),
        Ok(_) | Err(_) => {
            let help = match text.bytes().any(|byte| byte.is_ascii_alphabetic()) && !text.starts_with('[') {
                true => "names are not looked up, as their addresses change; write the address".to_owned(),
                false => format!("write it as `\"127.0.0.1:{port}\"` or `\"[2001:db8::1]:{port}\"`"),
            };
            bad(format!("`{text}` is no address with a port"), help)
        }
    }
}

/// An absolute path.
pub(super) fn path(text: &str) -> Result<PathBuf, BadValue> {
    if !text.starts_with('/') || text.contains('\0') {
        return bad(format!("`{text}` is no absolute path"), "write the whole path, from `/` on");
    }
    Ok(PathBuf::from(text))
}
