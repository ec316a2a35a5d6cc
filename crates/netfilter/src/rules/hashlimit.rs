//! `-m hashlimit` (`net/netfilter/xt_hashlimit.c`, revision 3).

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy::ruleset::{Family, HashCredits, HashLimit, HashRate};

use super::Settings;
use super::conditions::{Held, Subject};
use crate::packet::{Packet, protocol};

/// All tables. Rules of one name and family share the one that the first of them made, with its settings.
#[derive(Debug)]
pub(super) struct HashTables {
    tables: Vec<Table>,
    settings: Settings,
}

/// One rule's use of a table.
#[derive(Debug)]
pub(super) struct Meter {
    table: usize,
    /// This rule's own; everything else is the table's.
    above: bool,
    negated: bool,
}

/// At most `max` entries; when it is full, idle ones go at the next sweep, and until then new ones find no room.
#[derive(Debug)]
struct Table {
    name: String,
    family: Family,
    limit: HashLimit,
    /// `None` for a rule that no kernel loads.
    credits: Option<HashCredits>,
    max: usize,
    /// Ticks.
    expire: u64,
    /// Ticks between sweeps.
    sweep_every: u64,
    /// When the table was made: sweeps count from there.
    start: Option<u64>,
    swept: u64,
    entries: HashMap<Key, Entry>,
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Key {
    source: Option<IpAddr>,
    destination: Option<IpAddr>,
    source_port: u16,
    destination_port: u16,
}

#[derive(Debug)]
struct Entry {
    expires: u64,
    previous: u64,
    credit: u64,
    /// Byte rates: how often the bucket may still be filled at once.
    refills: u64,
}

impl HashTables {
    pub(super) fn new(settings: Settings) -> Self {
        Self { tables: Vec::new(), settings }
    }

    /// Binds a rule to its table, which is made if it is the first.
    pub(super) fn meter(&mut self, limit: &HashLimit, family: Family) -> Meter {
        let known = self.tables.iter().position(|table| table.name == limit.name && table.family == family);
        let table = known.unwrap_or_else(|| {
            self.tables.push(Table::new(limit, family, self.settings));
            self.tables.len() - 1
        });
        Meter { table, above: limit.above, negated: limit.negated }
    }

    pub(super) fn holds(&mut self, meter: &Meter, subject: &mut Subject<'_>) -> Held {
        let Some(table) = self.tables.get_mut(meter.table) else { return Held::No };
        let Some(key) = key(&table.limit, subject.packet()) else { return subject.short_header() };
        match table.under(key, subject) {
            Some(under) => Held::from((under != meter.above) != meter.negated),
            None => Held::HotDrop,
        }
    }
}

impl Table {
    fn new(limit: &HashLimit, family: Family, settings: Settings) -> Self {
        let buckets = if limit.buckets == 0 { settings.hashlimit_buckets } else { limit.buckets };
        let max = if limit.max == 0 { buckets.saturating_mul(8) } else { limit.max.max(buckets) };
        Self {
            name: limit.name.clone(),
            family,
            credits: limit.credits(settings.hz),
            max: usize::try_from(max).unwrap_or(usize::MAX),
            expire: settings.jiffies_of_ms(limit.expire),
            sweep_every: settings.jiffies_of_ms(limit.gc_interval).max(1),
            start: None,
            swept: 0,
            limit: limit.clone(),
            entries: HashMap::new(),
        }
    }

    /// Whether the key is under its rate with this packet; `None` when there is no room for it.
    fn under(&mut self, key: Key, subject: &Subject<'_>) -> Option<bool> {
        let now = subject.jiffies();
        let credits = self.credits?;
        self.sweep(now, &key);
        let expires = now + self.expire;
        let room = self.entries.len() < self.max;
        let entry = match self.entries.get_mut(&key) {
            Some(entry) => {
                entry.gain(&credits, now, self.limit.rate);
                entry
            }
            None if room => {
                let fresh = Entry { expires, previous: now, credit: credits.cap, refills: credits.refills };
                self.entries.entry(key).or_insert(fresh)
            }
            None => return None,
        };
        entry.expires = expires;
        let cost = match self.limit.rate {
            HashRate::Packets(_) => credits.cost,
            HashRate::Bytes(_) => entry.byte_cost(&credits, subject.len()),
        };
        let left = entry.credit.checked_sub(cost);
        entry.credit = left.unwrap_or(entry.credit);
        Some(left.is_some())
    }

    /// Forgets what was idle at the last sweep: the key at hand always, the rest when room is needed.
    fn sweep(&mut self, now: u64, key: &Key) {
        let start = *self.start.get_or_insert(now);
        let last = now - (now.saturating_sub(start)) % self.sweep_every;
        if self.entries.get(key).is_some_and(|entry| entry.expires <= last) {
            self.entries.remove(key);
        }
        if self.entries.len() >= self.max && self.swept < last {
            self.entries.retain(|_, entry| entry.expires > last);
            self.swept = last;
        }
    }
}

impl Entry {
    /// `rateinfo_recalc`.
    fn gain(&mut self, credits: &HashCredits, now: u64, rate: HashRate) {
        let elapsed = now.saturating_sub(self.previous);
        if elapsed == 0 {
            return;
        }
        self.previous = now;
        let gained = elapsed.wrapping_mul(credits.per_jiffy);
        let (credit, overflowed) = match rate {
            HashRate::Packets(_) => (self.credit.wrapping_add(gained), false),
            HashRate::Bytes(_) => self.credit.overflowing_add(gained),
        };
        self.credit = if overflowed { credits.cap } else { credit.min(credits.cap) };
    }

    /// `hashlimit_byte_cost`: a chunk more than the length holds; an empty bucket is filled while the burst lasts.
    fn byte_cost(&mut self, credits: &HashCredits, len: usize) -> u64 {
        let chunks = u64::try_from(len >> 4).unwrap_or(u64::MAX).saturating_add(1);
        let cost = chunks.saturating_mul(credits.cost).min(credits.cap);
        if self.credit < cost && self.refills > 0 {
            self.refills -= 1;
            self.credit = credits.cap;
        }
        cost
    }
}

/// What the packet is counted under; `None` when its ports cannot be read (`hashlimit_init_dst`).
fn key(limit: &HashLimit, packet: &Packet<'_>) -> Option<Key> {
    let with_ports = limit.by_source_port || limit.by_destination_port;
    let (source_port, destination_port) = if with_ports { ports(packet)? } else { (0, 0) };
    Some(Key {
        source: limit.by_source.then(|| masked(packet.source(), limit.source_mask)),
        destination: limit.by_destination.then(|| masked(packet.destination(), limit.destination_mask)),
        source_port: if limit.by_source_port { source_port } else { 0 },
        destination_port: if limit.by_destination_port { destination_port } else { 0 },
    })
}

/// The four bytes at the place of ports: for ESP and AH that is the SPI (`proto_ports_offset`).
fn ports(packet: &Packet<'_>) -> Option<(u16, u16)> {
    let later = packet.fragment().is_some_and(|fragment| fragment.offset > 0);
    if !packet.is_ipv4() {
        if later {
            return Some((0, 0));
        }
        if matches!(packet.protocol(), None | Some(protocol::NO_NEXT_HEADER)) {
            return None;
        }
    }
    let at = match packet.protocol()? {
        protocol::TCP
        | protocol::UDP
        | protocol::DCCP
        | protocol::ESP
        | protocol::SCTP
        | protocol::UDPLITE => 0,
        protocol::AH => 4,
        _ => return Some((0, 0)),
    };
    let &[s0, s1, d0, d1] = packet.payload().get(at..)?.first_chunk::<4>()?;
    Some((u16::from_be_bytes([s0, s1]), u16::from_be_bytes([d0, d1])))
}

fn masked(address: IpAddr, prefix: u8) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let mask = u32::MAX.checked_shl(32_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & mask))
        }
        IpAddr::V6(address) => {
            let mask = u128::MAX.checked_shl(128_u32.saturating_sub(prefix.into())).unwrap_or(0);
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask))
        }
    }
}
