//! `-m recent` (`net/netfilter/xt_recent.c`).

use std::collections::{BTreeMap, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use policy::ruleset::{Recent, RecentAction};

use super::Settings;
use super::conditions::Subject;
use crate::packet::Packet;

/// All lists, by name; IPv4 and IPv6 rules of one name share one. Rules must be bound in the order in which the kernel sees
/// them: the first makes the list.
#[derive(Debug)]
pub(super) struct RecentLists {
    lists: Vec<List>,
    settings: Settings,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct ListId(usize);

/// At most `max` addresses; the one seen longest ago makes room.
#[derive(Debug)]
struct List {
    name: String,
    max: usize,
    /// Times kept of each address.
    stamps: usize,
    /// The first rule's `--mask` holds for all rules of the list; for IPv4 in the upper 32 bits.
    mask: u128,
    entries: HashMap<IpAddr, Entry>,
    /// Addresses by when they were last touched.
    order: BTreeMap<u64, IpAddr>,
    touches: u64,
}

#[derive(Debug)]
struct Entry {
    ttl: u8,
    /// The oldest is overwritten first.
    stamps: Vec<u64>,
    /// Where the next time goes, one behind the latest.
    next: usize,
    touched: u64,
}

/// Times kept of an address in a list where no rule has a `--hitcount`.
const DEFAULT_STAMPS: u32 = 32;

impl RecentLists {
    pub(super) fn new(settings: Settings) -> Self {
        Self { lists: Vec::new(), settings }
    }

    /// Binds a rule to its list. The list keeps as many times as the most demanding of its rules needs.
    pub(super) fn list(&mut self, rule: &Recent) -> ListId {
        let configured = self.settings.recent_stamps;
        let stamps = match rule.hitcount {
            hits if hits < configured => configured,
            0 => DEFAULT_STAMPS,
            hits => hits,
        };
        let stamps = usize::try_from(stamps.next_power_of_two()).unwrap_or(usize::MAX);
        if let Some(index) = self.lists.iter().position(|list| list.name == rule.name) {
            if let Some(list) = self.lists.get_mut(index) {
                list.stamps = list.stamps.max(stamps);
            }
            return ListId(index);
        }
        self.lists.push(List {
            name: rule.name.clone(),
            max: self.settings.recent_addresses.max(1),
            stamps,
            mask: bits(rule.mask),
            entries: HashMap::new(),
            order: BTreeMap::new(),
            touches: 0,
        });
        ListId(self.lists.len() - 1)
    }

    pub(super) fn holds(&mut self, rule: &Recent, list: ListId, subject: &Subject<'_>) -> bool {
        let hz = self.settings.hz;
        let Some(list) = self.lists.get_mut(list.0) else { return false };
        let packet = subject.packet();
        let address = if rule.by_destination { packet.destination() } else { packet.source() };
        let found = list.check(rule, masked(address, list.mask), ttl(packet), subject.jiffies(), hz);
        found != rule.negated
    }
}

impl List {
    /// `recent_mt`, without `!`, which only turns the answer round but for `--update`.
    fn check(&mut self, rule: &Recent, address: IpAddr, ttl: u8, now: u64, hz: u32) -> bool {
        let entry = self.entries.get(&address);
        let entry = entry.filter(|entry| !rule.rttl || ttl == entry.ttl || ttl == 0 || entry.ttl == 0);
        let Some(entry) = entry else {
            if rule.action == RecentAction::Set {
                self.insert(address, ttl, now);
                return true;
            }
            return false;
        };
        match rule.action {
            RecentAction::Set => {
                self.touch(address, ttl, now);
                true
            }
            RecentAction::Remove => {
                self.remove(address);
                true
            }
            RecentAction::Check | RecentAction::Update => {
                // The kernel multiplies in 32 bits: more than 198 days at 250 ticks a second wrap round.
                let since = now.wrapping_sub(u64::from(rule.seconds.wrapping_mul(hz)));
                let counts = |stamp: &&u64| rule.seconds == 0 || !is_after(since, **stamp);
                let hits = entry.stamps.iter().filter(counts).count();
                let wanted = usize::try_from(rule.hitcount.max(1)).unwrap_or(usize::MAX);
                let found = hits >= wanted;
                // The kernel looks at the answer with `!` applied.
                let updates = rule.action == RecentAction::Update && found != rule.negated;
                if rule.reap {
                    self.reap(since, address, updates);
                }
                if updates {
                    self.touch(address, ttl, now);
                }
                found
            }
        }
    }

    /// A new address; the one touched longest ago makes room.
    fn insert(&mut self, address: IpAddr, ttl: u8, now: u64) {
        if self.entries.len() >= self.max
            && let Some((_, oldest)) = self.order.pop_first()
        {
            self.entries.remove(&oldest);
        }
        self.touches += 1;
        self.order.insert(self.touches, address);
        self.entries.insert(address, Entry { ttl, stamps: vec![now], next: 1, touched: self.touches });
    }

    /// `recent_entry_update`.
    fn touch(&mut self, address: IpAddr, ttl: u8, now: u64) {
        let Some(entry) = self.entries.get_mut(&address) else { return };
        let slot = entry.next % self.stamps;
        match entry.stamps.get_mut(slot) {
            Some(stamp) => *stamp = now,
            None => entry.stamps.push(now),
        }
        entry.next = slot + 1;
        entry.ttl = ttl;
        self.order.remove(&entry.touched);
        self.touches += 1;
        entry.touched = self.touches;
        self.order.insert(self.touches, address);
    }

    fn remove(&mut self, address: IpAddr) {
        if let Some(entry) = self.entries.remove(&address) {
            self.order.remove(&entry.touched);
        }
    }

    /// `recent_entry_reap`: the oldest address goes when its last time is before `since`, unless it is about to be renewed.
    fn reap(&mut self, since: u64, working: IpAddr, updates: bool) {
        let Some((_, oldest)) = self.order.first_key_value() else { return };
        let oldest = *oldest;
        if oldest == working && updates {
            return;
        }
        let last = self.entries.get(&oldest).and_then(|entry| entry.stamps.get(entry.next.wrapping_sub(1)));
        if last.is_some_and(|last| is_after(since, *last)) {
            self.remove(oldest);
        }
    }
}

/// `time_after`: whether `a` is later than `b`, on a clock that wraps.
fn is_after(a: u64, b: u64) -> bool {
    b.wrapping_sub(a).cast_signed() < 0
}

/// The TTL or hop limit as the packet arrived. (The kernel adds one in FORWARD, where it has just taken one away.)
fn ttl(packet: &Packet<'_>) -> u8 {
    let at = if packet.is_ipv4() { 8 } else { 7 };
    packet.bytes().get(at).copied().unwrap_or(0)
}

/// The bytes of the kernel's `nf_inet_addr`: an IPv4 mask stands in the first four, and only the full one goes on behind them.
fn bits(mask: IpAddr) -> u128 {
    match mask {
        IpAddr::V4(Ipv4Addr::BROADCAST) => u128::MAX,
        IpAddr::V4(mask) => u128::from(mask.to_bits()) << 96,
        IpAddr::V6(mask) => mask.to_bits(),
    }
}

fn masked(address: IpAddr, mask: u128) -> IpAddr {
    match address {
        IpAddr::V4(address) => {
            let upper = u32::try_from(mask >> 96).unwrap_or(u32::MAX);
            IpAddr::V4(Ipv4Addr::from_bits(address.to_bits() & upper))
        }
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & mask)),
    }
}
