//! Who may come from where: `permit`, `deny`, `acl`, and addresses that are listened on.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use crate::conf::{Config, Section};

/// Strangers from unrelated networks: whom both may come, everybody may.
const STRANGERS: [IpAddr; 3] = [
    IpAddr::V4(Ipv4Addr::new(45, 155, 91, 3)),
    IpAddr::V4(Ipv4Addr::new(146, 70, 12, 201)),
    IpAddr::V4(Ipv4Addr::new(203, 0, 113, 77)),
];

/// How far access goes.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(crate) enum Access {
    /// From this host.
    Loopback,
    /// From some addresses.
    Some,
    /// From everywhere.
    Everybody,
}

/// Lists with names, of `acl.conf`.
#[derive(Debug, Default)]
pub(crate) struct Acls(BTreeMap<String, Vec<Rule>>);

/// Asterisk goes through all of them; the last that matches decides, and without one it is yes.
#[derive(Clone, Debug)]
struct Rule {
    permits: bool,
    net: Net,
}

/// Addresses under a mask.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Net {
    address: IpAddr,
    mask: u128,
}

impl Acls {
    pub(crate) fn read(config: Option<&Config>) -> Self {
        let sections = config.into_iter().flat_map(Config::real);
        Self(sections.map(|section| (section.name.to_string(), rules(section, ["permit", "deny"]))).collect())
    }

    /// What `permit`, `deny` and `acl` of a section come to.
    pub(crate) fn access(&self, section: &Section) -> Access {
        self.access_by(section, ["permit", "deny", "acl"])
    }

    /// Whether one address is let in.
    pub(crate) fn admits(&self, section: &Section, who: &IpAddr) -> bool {
        let mut names = section.all("acl").flat_map(|entry| entry.value.split(','));
        admits(&rules(section, ["permit", "deny"]), who)
            && names.all(|name| self.0.get(name.trim()).is_some_and(|rules| admits(rules, who)))
    }

    /// The same under other names.
    pub(crate) fn access_by(&self, section: &Section, [permit, deny, acl]: [&str; 3]) -> Access {
        let own = access(&rules(section, [permit, deny]));
        let names = section.all(acl).flat_map(|entry| entry.value.split(','));
        // What names no list refuses all.
        let named = names.map(|name| self.0.get(name.trim()).map_or(Access::Some, |rules| access(rules)));
        named.fold(own, Access::min)
    }
}

/// Whether what is bound to the address is out of others' reach.
pub(crate) fn is_loopback(bind: &str) -> bool {
    let bare = bind.trim();
    let host = bare.strip_prefix('[').and_then(|rest| rest.split_once(']')).map(|(host, _)| host);
    let address = host.unwrap_or(bare).parse::<IpAddr>().ok();
    let address = address.or_else(|| bare.parse::<SocketAddr>().ok().map(|socket| socket.ip()));
    let name = bare.split(':').next().unwrap_or_default();
    address.map_or_else(|| name.eq_ignore_ascii_case("localhost"), |address| address.is_loopback())
}

fn admits(rules: &[Rule], who: &IpAddr) -> bool {
    rules.iter().rev().find(|rule| rule.net.contains(who)).is_none_or(|rule| rule.permits)
}

fn access(rules: &[Rule]) -> Access {
    let may_come = |who: &IpAddr| admits(rules, who);
    let permitted = rules.iter().filter(|rule| rule.permits);
    if STRANGERS.iter().all(may_come) {
        Access::Everybody
    } else if !STRANGERS.iter().any(may_come) && permitted.clone().all(|rule| rule.net.is_loopback()) {
        Access::Loopback
    } else {
        Access::Some
    }
}

fn rules(section: &Section, [permit, deny]: [&str; 2]) -> Vec<Rule> {
    let mut rules = Vec::new();
    for entry in &section.entries {
        let permits = entry.key.eq_ignore_ascii_case(permit);
        if !permits && !entry.key.eq_ignore_ascii_case(deny) {
            continue;
        }
        for net in entry.value.split(',').map(str::trim) {
            let (net, permits) = net.strip_prefix('!').map_or((net, permits), |net| (net, !permits));
            rules.extend(Net::parse(net).map(|net| Rule { permits, net }));
        }
    }
    rules
}

impl Net {
    /// The first address and the length of the prefix; `None` for a mask with holes.
    pub(crate) fn prefix(&self) -> Option<(IpAddr, u8)> {
        let width: u32 = if self.address.is_ipv4() { 32 } else { 128 };
        let length = (self.mask << (128 - width)).leading_ones();
        (length == self.mask.count_ones()).then_some(())?;
        let first = bits(&self.address) & self.mask;
        let address = match self.address {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from_bits(u32::try_from(first).ok()?)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from_bits(first)),
        };
        Some((address, u8::try_from(length).ok()?))
    }

    /// `192.0.2.1`, `192.0.2.0/24`, `192.0.2.0/255.255.255.0`.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (address, mask) =
            text.split_once('/').map_or((text, None), |(address, mask)| (address, Some(mask)));
        let address: IpAddr = address.trim().parse().ok()?;
        let width: u32 = if address.is_ipv4() { 32 } else { 128 };
        let full = u128::MAX >> (128 - width);
        let mask = match mask.map(str::trim) {
            None => full,
            Some(mask) => match (mask.parse::<IpAddr>(), mask.parse::<u32>()) {
                (Ok(mask), _) => bits(&mask),
                (_, Ok(length)) if length <= width => {
                    full & full.checked_shl(width - length).unwrap_or_default()
                }
                _ => return None,
            },
        };
        Some(Self { address, mask })
    }

    fn contains(&self, who: &IpAddr) -> bool {
        // `::/0` is how all are meant, of both kinds.
        let everyone = self.mask == 0 && self.address.is_unspecified();
        everyone
            || (self.address.is_ipv4() == who.is_ipv4()
                && (bits(who) & self.mask) == (bits(&self.address) & self.mask))
    }

    fn is_loopback(&self) -> bool {
        let (own, least) = match self.address {
            IpAddr::V4(_) => (self.address, 0xff00_0000),
            IpAddr::V6(_) => (self.address, u128::MAX),
        };
        (own.is_loopback() || own == IpAddr::V6(Ipv6Addr::LOCALHOST)) && self.mask & least == least
    }
}

fn bits(address: &IpAddr) -> u128 {
    match address {
        IpAddr::V4(v4) => u128::from(v4.to_bits()),
        IpAddr::V6(v6) => v6.to_bits(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(lines: &[(bool, &str)]) -> Access {
        let rules: Vec<_> = lines
            .iter()
            .map(|(permits, net)| Rule { permits: *permits, net: Net::parse(net).unwrap() })
            .collect();
        access(&rules)
    }

    #[test]
    fn the_last_rule_decides() {
        assert_eq!(of(&[]), Access::Everybody);
        assert_eq!(of(&[(true, "127.0.0.1")]), Access::Everybody, "what is not denied may come");
        assert_eq!(of(&[(false, "0.0.0.0/0.0.0.0"), (true, "127.0.0.1/255.255.255.0")]), Access::Loopback);
        assert_eq!(of(&[(false, "0.0.0.0/0"), (true, "10.0.0.0/8")]), Access::Some);
        assert_eq!(of(&[(false, "0.0.0.0/0"), (true, "0.0.0.0/0")]), Access::Everybody);
    }

    #[test]
    fn networks_have_prefixes() {
        let prefix = |text: &str| {
            Net::parse(text)
                .and_then(|net| net.prefix())
                .map(|(address, length)| format!("{address}/{length}"))
        };
        assert_eq!(prefix("192.0.2.7").as_deref(), Some("192.0.2.7/32"));
        assert_eq!(prefix("192.0.2.7/24").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(prefix("192.0.2.7/255.255.255.0").as_deref(), Some("192.0.2.0/24"));
        assert_eq!(prefix("0.0.0.0/0").as_deref(), Some("0.0.0.0/0"));
        assert_eq!(prefix("2001:db8::7/32").as_deref(), Some("2001:db8::/32"));
        assert_eq!(prefix("192.0.2.7/255.0.255.0"), None);
    }

    #[test]
    fn loopback_is_told() {
        for bind in ["127.0.0.1", "127.0.0.1:5038", "::1", "[::1]:8088", "localhost", "localhost:1"] {
            assert!(is_loopback(bind), "{bind}");
        }
        for bind in ["0.0.0.0", "::", "[::]:8088", "192.0.2.1:5038", "pbx.example"] {
            assert!(!is_loopback(bind), "{bind}");
        }
    }
}
