use std::borrow::Cow;
use std::net::IpAddr;

use crate::Host;
use crate::host::address;
use crate::pattern::{Found, Pattern};

/// Groups that mean something.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Key {
    Id,
    Ip4,
    Ip6,
    Dns,
    Cidr,
    User,
    /// `<F-MLFID>`: lines with the same one belong together.
    Connection,
    NoFail,
    Forget,
    Gained,
}

const NAMES: [(&str, Key); 10] = [
    ("fid", Key::Id),
    ("ip4", Key::Ip4),
    ("ip6", Key::Ip6),
    ("dns", Key::Dns),
    ("cidr", Key::Cidr),
    ("user", Key::User),
    ("mlfid", Key::Connection),
    ("nofail", Key::NoFail),
    ("mlfforget", Key::Forget),
    ("mlfgained", Key::Gained),
];

/// All of them, each at the place of its number.
pub(super) const KEYS: [Key; NAMES.len()] = [
    Key::Id,
    Key::Ip4,
    Key::Ip6,
    Key::Dns,
    Key::Cidr,
    Key::User,
    Key::Connection,
    Key::NoFail,
    Key::Forget,
    Key::Gained,
];

/// Where they are in an expression.
#[derive(Clone, Debug, Default)]
pub(super) struct Groups {
    named: Vec<(Key, usize)>,
    /// `<F-ALT_USER>`: count where the other is empty.
    instead: Vec<(Key, usize)>,
    /// `<F-TUPLE_ID>`: are put behind the other.
    parts: Vec<(Key, usize)>,
    /// What `<SKIPLINES>` passes over.
    pub(super) skipped: Vec<usize>,
}

impl Groups {
    pub(super) fn of(pattern: &Pattern) -> Self {
        let mut groups = Self::default();
        let mut names = pattern.names().to_vec();
        names.sort();
        for (name, group) in names {
            if let Some(key) = key(&name) {
                groups.named.push((key, group));
            } else if let Some(key) = name.strip_prefix("alt_").and_then(numbered) {
                groups.instead.push((key, group));
            } else if let Some(key) = name.strip_prefix("tuple_").and_then(numbered) {
                groups.parts.push((key, group));
            } else if name.starts_with("skiplines") {
                groups.skipped.push(group);
            }
        }
        groups
    }

    pub(super) fn fields<'t>(&self, text: &'t str, found: &Found) -> Fields<'t> {
        let mut fields = Fields::default();
        for (key, group) in &self.named {
            fields.set(*key, found.text(text, *group).map(Cow::Borrowed));
        }
        for (key, group) in &self.instead {
            if fields.get(*key).is_none_or(str::is_empty) {
                let text = found.text(text, *group).filter(|text| !text.is_empty());
                fields.set(*key, text.map(Cow::Borrowed));
            }
        }
        for (key, group) in &self.parts {
            let joined = [fields.get(*key), found.text(text, *group)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", ");
            fields.set(*key, Some(joined.into()));
        }
        fields
    }

    /// The groups that find hosts, if these are addresses and names and nothing else; `None` where they may be anything.
    pub(super) fn hosts(&self) -> Option<Vec<usize>> {
        let is_host = |key: &Key| matches!(key, Key::Id | Key::Ip4 | Key::Ip6 | Key::Dns);
        let any = self.named.iter().any(|(key, _)| *key == Key::Id)
            || self.instead.iter().chain(&self.parts).any(|(key, _)| is_host(key));
        let hosts = self.named.iter().filter(|(key, _)| is_host(key)).map(|(_, group)| *group);
        if any { None } else { Some(hosts.collect()) }
    }

    /// Where the host stands that this expression itself finds.
    pub(super) fn host(&self, found: &Found) -> Option<(usize, usize)> {
        [Key::Ip4, Key::Ip6, Key::Dns, Key::Id].into_iter().find_map(|wanted| {
            let (_, group) = self.named.iter().find(|(key, _)| *key == wanted)?;
            found.span(*group)
        })
    }
}

fn key(name: &str) -> Option<Key> {
    let name = if name == "id" { "fid" } else { name };
    NAMES.iter().find(|(other, _)| *other == name).map(|(_, key)| *key)
}

/// `user_1`
fn numbered(name: &str) -> Option<Key> {
    let plain =
        name.rsplit_once('_').filter(|(_, number)| number.chars().all(|letter| letter.is_ascii_digit()));
    key(plain.map_or(name, |(plain, _)| plain))
}

/// What the groups of a match hold.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Fields<'t>([Option<Cow<'t, str>>; NAMES.len()]);

impl<'t> Fields<'t> {
    pub(super) fn get(&self, key: Key) -> Option<&str> {
        self.0.get(key as usize).and_then(Option::as_deref)
    }

    /// Whether it is there and not empty.
    pub(super) fn has(&self, key: Key) -> bool {
        self.get(key).is_some_and(|text| !text.is_empty())
    }

    pub(super) fn set(&mut self, key: Key, text: Option<Cow<'t, str>>) {
        if let Some(place) = self.0.get_mut(key as usize) {
            *place = text;
        }
    }

    pub(super) fn take(&mut self, key: Key) -> Option<Cow<'t, str>> {
        self.0.get_mut(key as usize).and_then(Option::take)
    }

    /// Takes over what the other has.
    pub(super) fn update(&mut self, other: Self) {
        for (place, text) in self.0.iter_mut().zip(other.0) {
            if text.is_some() {
                *place = text;
            }
        }
    }

    /// Who it was, and what else a filter tells it apart by.
    pub(super) fn host(&self) -> Option<(Host, Option<String>)> {
        let id = self.get(Key::Id);
        let Some(host) = self.address().or_else(|| self.get(Key::Dns).map(name)) else {
            return id.map(|id| (named(id), None));
        };
        let id = id.filter(|id| *id != host.to_string() && named(id) != host).map(str::to_owned);
        Some((host, id))
    }

    fn address(&self) -> Option<Host> {
        let text = self.get(Key::Ip4).or_else(|| self.get(Key::Ip6))?;
        let Some(addr) = address(text) else { return Some(Host::Id(text.to_owned())) };
        let prefix = self.get(Key::Cidr).and_then(|text| text.parse().ok());
        Some(net(addr, prefix))
    }
}

fn name(text: &str) -> Host {
    address(text).map_or_else(|| Host::Name(text.to_owned()), Host::Addr)
}

fn named(id: &str) -> Host {
    let (text, prefix) = id.split_once('/').map_or((id, None), |(text, prefix)| (text, prefix.parse().ok()));
    match address(text) {
        Some(addr) if prefix.is_some() || text.len() == id.len() => net(addr, prefix),
        _ => Host::Id(id.to_owned()),
    }
}

fn net(addr: IpAddr, prefix: Option<u8>) -> Host {
    let whole = if addr.is_ipv4() { 32 } else { 128 };
    match prefix {
        Some(prefix) if prefix < whole => Host::Net { addr: masked(addr, prefix), prefix },
        _ => Host::Addr(addr),
    }
}

/// Without the bits that are the host's.
fn masked(addr: IpAddr, prefix: u8) -> IpAddr {
    match addr {
        IpAddr::V4(addr) => {
            let mask = u32::MAX.checked_shl(32 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V4((addr.to_bits() & mask).into())
        }
        IpAddr::V6(addr) => {
            let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
            IpAddr::V6((addr.to_bits() & mask).into())
        }
    }
}
