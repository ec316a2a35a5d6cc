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
    /// Each group alone says what its key is.
    is_plain: bool,
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
        let is_alone =
            |(key, group): &(Key, usize)| groups.named.iter().all(|(other, of)| other != key || of == group);
        groups.is_plain =
            groups.instead.is_empty() && groups.parts.is_empty() && groups.named.iter().all(is_alone);
        groups
    }

    /// Adds to some fields what was found.
    pub(super) fn fill<'t>(&self, fields: &mut Fields<'t>, text: &'t str, found: &Found) {
        if self.is_plain {
            for (key, group) in &self.named {
                if let Some(text) = found.text(text, *group) {
                    fields.put(*key, Some(text));
                }
            }
        } else {
            fields.update(self.fields(text, found));
        }
    }

    /// Where each field is that [`Groups::fill`] adds; `None` where one is in no place as a whole.
    pub(super) fn spans(&self, found: &Found) -> Option<impl Iterator<Item = (Key, (usize, usize))>> {
        let mut spans = [None; KEYS.len()];
        for (key, group) in &self.named {
            *spans.get_mut(*key as usize)? = found.span(*group);
        }
        for (key, group) in &self.instead {
            let place = spans.get_mut(*key as usize)?;
            if place.is_none_or(|(start, end)| start == end) {
                *place = found.span(*group).filter(|(start, end)| start < end);
            }
        }
        let found = KEYS.into_iter().zip(spans).filter_map(|(key, span)| Some((key, span?)));
        self.parts.is_empty().then_some(found)
    }

    fn fields<'t>(&self, text: &'t str, found: &Found) -> Fields<'t> {
        let mut fields = Fields::default();
        for (key, group) in &self.named {
            fields.put(*key, found.text(text, *group));
        }
        for (key, group) in &self.instead {
            if fields.get(*key).is_none_or(str::is_empty) {
                fields.put(*key, found.text(text, *group).filter(|text| !text.is_empty()));
            }
        }
        for (key, group) in &self.parts {
            let joined = [fields.get(*key), found.text(text, *group)]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join(", ");
            fields.put_joined(*key, joined);
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
pub(super) struct Fields<'t> {
    texts: [Option<&'t str>; NAMES.len()],
    /// What is in no place of the text as a whole, and counts before that.
    joined: Vec<(Key, String)>,
}

impl<'t> Fields<'t> {
    #[inline]
    pub(super) fn get(&self, key: Key) -> Option<&str> {
        if !self.joined.is_empty()
            && let Some((_, text)) = self.joined.iter().find(|(other, _)| *other == key)
        {
            return Some(text);
        }
        self.texts.get(key as usize).copied().flatten()
    }

    /// Whether it is there and not empty.
    pub(super) fn has(&self, key: Key) -> bool {
        self.get(key).is_some_and(|text| !text.is_empty())
    }

    #[inline]
    pub(super) fn put(&mut self, key: Key, text: Option<&'t str>) {
        if !self.joined.is_empty() {
            self.joined.retain(|(other, _)| *other != key);
        }
        if let Some(place) = self.texts.get_mut(key as usize) {
            *place = text;
        }
    }

    fn put_joined(&mut self, key: Key, text: String) {
        self.joined.retain(|(other, _)| *other != key);
        self.joined.push((key, text));
    }

    /// What one says the other says, too.
    pub(super) fn copy(&mut self, from: Key, to: Key) {
        match self.joined.iter().find(|(key, _)| *key == from) {
            Some((_, text)) => self.put_joined(to, text.clone()),
            None => self.put(to, self.texts.get(from as usize).copied().flatten()),
        }
    }

    pub(super) fn take(&mut self, key: Key) -> Option<Cow<'t, str>> {
        if let Some(place) = self.joined.iter().position(|(other, _)| *other == key) {
            return Some(self.joined.swap_remove(place).1.into());
        }
        self.texts.get_mut(key as usize).and_then(Option::take).map(Cow::Borrowed)
    }

    /// Takes over what the other has.
    fn update(&mut self, other: Self) {
        for (key, text) in KEYS.into_iter().zip(other.texts) {
            if text.is_some() {
                self.put(key, text);
            }
        }
        other.joined.into_iter().for_each(|(key, text)| self.put_joined(key, text));
    }

    /// Who it was, and what else a filter tells it apart by.
    pub(super) fn host(&self) -> Option<(Host, Option<String>)> {
        host(|key| self.get(key))
    }
}

/// Who it was by what some fields say, and what else a filter tells it apart by.
pub(super) fn host<'f>(get: impl Fn(Key) -> Option<&'f str>) -> Option<(Host, Option<String>)> {
    let id = get(Key::Id);
    let host = match get(Key::Ip4).or_else(|| get(Key::Ip6)) {
        Some(text) => match address(text) {
            Some(addr) => net(addr, get(Key::Cidr).and_then(|text| text.parse().ok())),
            None => Host::Id(text.to_owned()),
        },
        None => match get(Key::Dns) {
            Some(text) => name(text),
            None => return id.map(|id| (named(id), None)),
        },
    };
    let id = id.filter(|id| *id != host.to_string() && named(id) != host).map(str::to_owned);
    Some((host, id))
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
