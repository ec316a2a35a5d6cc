use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

/// Who caused a failure.
#[derive(Clone, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Host {
    Addr(IpAddr),
    /// `<SUBNET>`, `<ADDR>/<CIDR>`
    Net {
        addr: IpAddr,
        prefix: u8,
    },
    /// A DNS name. Nobody has asked yet whose it is, and whoever wrote the line may have chosen it.
    Name(String),
    /// `<F-ID>`: what a filter tells apart by, and is no address.
    Id(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Addr(addr) => addr.fmt(f),
            Self::Net { addr, prefix } => write!(f, "{addr}/{prefix}"),
            Self::Name(text) | Self::Id(text) => text.fmt(f),
        }
    }
}

/// Four numbers with points. Whether each is below 256 is looked at afterwards, as fail2ban does.
const V4: &str = r"(?:\d{1,3}\.){3}\d{1,3}";
/// fail2ban's also looks back whether the last colon follows one; it always does.
const V6: &str = r"(?:[0-9a-fA-F]{1,4}::?|::){1,7}(?:[0-9a-fA-F]{1,4}|:)";
const NAME: &str = r"(?P<dns>[\w\-.^_]*\w)";

fn v4() -> String {
    format!(r"(?:::f{{4,6}}:)?(?P<ip4>{V4})")
}

fn v6() -> String {
    format!("(?P<ip6>{V6})")
}

fn addr() -> String {
    format!(r"\[?(?:{}|{})\]?", v4(), v6())
}

/// What a tag stands for; `names` says whether `<HOST>` may be a DNS name.
fn expression(tag: &str, names: bool) -> Option<String> {
    Some(match tag {
        "HOST" if names => format!("(?:{}|{NAME})", addr()),
        "HOST" | "ADDR" | "F-ADDR/" => addr(),
        "IP4" | "F-IP4/" => v4(),
        "IP6" | "F-IP6/" => v6(),
        "CIDR" | "F-CIDR/" => r"(?P<cidr>\d+)".to_owned(),
        "SUBNET" | "F-SUBNET/" => format!(r"\[?(?:{}|{})(?:/(?P<cidr>\d+))?\]?", v4(), v6()),
        "DNS" | "F-DNS/" => NAME.to_owned(),
        "F-ID/" => r"(?P<fid>\S+)".to_owned(),
        "F-PORT/" => r"(?P<fport>\w+)".to_owned(),
        _ => return None,
    })
}

/// Replaces the tags of a regular expression: `<HOST>` and its kin, `<F-NAME>…</F-NAME>`, `<SKIPLINES>`.
pub(crate) fn expand(regex: &str, names: bool) -> String {
    let mut done = String::with_capacity(regex.len() * 2);
    let mut open: Vec<String> = Vec::new();
    let mut skips = 0;
    let mut rest = regex;
    while let Some(at) = rest.find('<') {
        let (before, from) = rest.split_at_checked(at).unwrap_or((rest, ""));
        done.push_str(before);
        let Some(tag) = tag(from) else {
            done.push('<');
            rest = from.get(1..).unwrap_or_default();
            continue;
        };
        rest = from.get(tag.len() + 2..).unwrap_or_default();
        if tag == "SKIPLINES" {
            done.push_str(&format!(r"\n(?P<skiplines{skips}>(?:(?:.*\n)*?))"));
            skips += 1;
        } else if let Some(expression) = expression(tag, names) {
            done.push_str(&expression);
        } else if let Some(name) = tag.strip_prefix("/F-").filter(|name| open.iter().any(|open| open == name))
        {
            let _ = name;
            done.push(')');
        } else if let Some(name) = tag.strip_prefix("F-").filter(|name| is_custom(name)) {
            open.push(name.to_owned());
            done.push_str(&format!("(?P<{}>", group(name)));
        } else {
            done.push_str(&format!("<{tag}>"));
        }
    }
    done.push_str(rest);
    done
}

/// The name in `<name>`, if it is one.
fn tag(text: &str) -> Option<&str> {
    let (name, _) = text.strip_prefix('<')?.split_once('>')?;
    let word = name.strip_prefix('/').unwrap_or(name);
    let word = word.strip_suffix('/').unwrap_or(word);
    let named = |letter: char| letter.is_alphanumeric() || matches!(letter, '_' | '-');
    (!word.is_empty() && word.chars().all(named)).then_some(name)
}

fn is_custom(name: &str) -> bool {
    !name.is_empty() && name.chars().all(|letter| matches!(letter, 'A'..='Z' | '0'..='9' | '_' | '-'))
}

/// The group that `<F-NAME>` opens.
fn group(name: &str) -> String {
    match name.to_lowercase().as_str() {
        "id" => "fid".to_owned(),
        "port" => "fport".to_owned(),
        name => name.to_owned(),
    }
}

/// An address as fail2ban takes it: an IPv4 address written as IPv6 is IPv4.
pub(crate) fn address(text: &str) -> Option<IpAddr> {
    let text = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    v4_of(text.as_bytes())
        .map(IpAddr::V4)
        .or_else(|| text.parse().ok().map(|address: IpAddr| address.to_canonical()))
}

/// Four numbers below 256 with points between them, none with a zero before it.
fn v4_of(text: &[u8]) -> Option<Ipv4Addr> {
    let (mut bits, mut number, mut digits, mut points) = (0_u32, 0_u32, 0, 0);
    for byte in text {
        match byte {
            b'0'..=b'9' if digits < 3 && (digits == 0 || number > 0) => {
                number = number * 10 + u32::from(byte - b'0');
                digits += 1;
            }
            b'.' if digits > 0 && number < 256 && points < 3 => {
                bits = bits << 8 | number;
                (number, digits, points) = (0, 0, points + 1);
            }
            _ => return None,
        }
    }
    (digits > 0 && number < 256 && points == 3).then(|| (bits << 8 | number).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_become_groups() {
        assert_eq!(expand("<F-USER>a</F-USER> <F-ID>", true), "(?P<user>a) (?P<fid>");
        assert_eq!(expand("(?P<x>a) </F-USER> <b c> <", true), "(?P<x>a) </F-USER> <b c> <");
        assert_eq!(expand("a<SKIPLINES>b<SKIPLINES>", true).matches("skiplines1").count(), 1);
        assert!(!expand("<HOST>", false).contains("dns"));
        assert_eq!(expand("<IP4>", false), expand("<F-IP4/>", true));
    }

    #[test]
    fn addresses_are_in_their_shortest_form() {
        assert_eq!(address("[2001:DB8::1]").unwrap().to_string(), "2001:db8::1");
        assert_eq!(address("::ffff:192.0.2.1").unwrap().to_string(), "192.0.2.1");
        assert_eq!(address("192.0.2.256"), None);
        for text in [
            "0.0.0.0",
            "255.255.255.255",
            "192.0.2.01",
            "00.0.0.1",
            "1.2.3",
            "1.2.3.4.5",
            "1..2.3",
            "1.2.3.4.",
            ".1.2.3",
            "1.2.3.0004",
            "",
        ] {
            assert_eq!(address(text), text.parse().ok(), "{text}");
        }
    }
}
