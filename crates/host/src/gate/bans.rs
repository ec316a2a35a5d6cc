//! Banned, limited and proven sources, in the kernel's maps. They outlive generations and the daemon.

use std::collections::HashMap as Cache;
use std::net::IpAddr;

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map, MapData};
use gate::bans::{self, BUCKETS_V4, BUCKETS_V6, Bucket, Store, Term};
use gate::layout::{
    Ban, HAS_BANS, HAS_BANS_ON_ALL_PORTS, HAS_NETWORKS, HAS_PROVEN, HAS_SPECIAL, Live, MAX_PROVEN,
    MAX_SPECIAL, NetworkKey, Proven, SourceKey, map,
};
use gate::limit::Rate;
use gate::{Address, Family};

use super::missing;
use crate::error::Error;
use crate::machine;

/// A ban as it stands in the kernel.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Banned {
    /// Of IPv6 the first address of the /64.
    pub address: IpAddr,
    /// Nanoseconds of `CLOCK_MONOTONIC`; `u64::MAX` for ever.
    pub until: u64,
    /// Whether it covers every port, not only the guarded ones.
    pub all_ports: bool,
}

/// A network, and what was said of it while a policy was in force. The smallest one around an address decides.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Network {
    pub address: IpAddr,
    /// Of the address's own family.
    pub prefix: u8,
    pub standing: Standing,
    /// Nanoseconds of `CLOCK_MONOTONIC`; `u64::MAX` for ever.
    pub until: u64,
}

/// What a network is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Standing {
    /// Banned from the guarded ports, or from all.
    Banned { all_ports: bool },
    /// Let through, whatever else is said of its addresses.
    Trusted,
}

/// What became of many bans at once.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Inserted {
    pub inserted: usize,
    /// For these there was no room.
    pub refused: usize,
}

/// The maps of sources.
pub struct Sources<'a> {
    buckets: Buckets<'a>,
    special: HashMap<&'a mut MapData, SourceKey, Ban>,
    networks: LpmTrie<&'a mut MapData, NetworkKey, u32>,
    proven: HashMap<&'a mut MapData, SourceKey, Proven>,
    live: Array<&'a mut MapData, Live>,
}

impl<'a> Sources<'a> {
    /// The maps of a loaded gate.
    pub(super) fn of(ebpf: &'a mut Ebpf) -> Result<Self, Error> {
        let mut maps: Cache<&str, &mut Map> = ebpf.maps_mut().collect();
        let mut take = |name: &str| maps.remove(name).ok_or_else(|| missing(name));
        let refused = |what: &'static str| Error::kernel::<aya::maps::MapError>(what);
        Ok(Self {
            buckets: Buckets {
                v4: take(map::BANS_V4)?.try_into().map_err(refused("the bans"))?,
                v6: take(map::BANS_V6)?.try_into().map_err(refused("the bans"))?,
                changed: Cache::new(),
            },
            special: take(map::SPECIAL)?.try_into().map_err(refused("the special bans"))?,
            networks: take(map::NETWORKS)?.try_into().map_err(refused("the networks"))?,
            proven: take(map::PROVEN)?.try_into().map_err(refused("the proven sources"))?,
            live: take(map::LIVE)?.try_into().map_err(refused("the state"))?,
        })
    }

    /// Bans addresses (of IPv6 their /64), as far as there is room.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be read or written.
    pub fn ban(&mut self, all: impl IntoIterator<Item = Banned>) -> Result<Inserted, Error> {
        let key = self.live()?.key;
        let now = machine::monotonic();
        let mut done = Inserted::default();
        let mut flags = 0;
        for Banned { address, until, all_ports } in all {
            let (source, family) = source(address);
            flags |= HAS_BANS | if all_ports { HAS_BANS_ON_ALL_PORTS } else { 0 };
            if bans::insert(&mut self.buckets, &source, family, Term::new(until, all_ports), key, now)? {
                done.inserted += 1;
                continue;
            }
            let ban = Ban { until, all_ports: all_ports.into(), ..Ban::default() };
            if self.special.insert(source.source_key(family), ban, 0).is_ok() {
                flags |= HAS_SPECIAL;
                done.inserted += 1;
            } else {
                done.refused += 1;
            }
        }
        self.buckets.write()?;
        self.add_flags(flags)?;
        Ok(done)
    }

    /// Ends the ban, or the limit, of an address; whether there was one.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be read or written.
    pub fn unban(&mut self, address: IpAddr) -> Result<bool, Error> {
        let (source, family) = source(address);
        let key = self.live()?.key;
        let was_banned = bans::remove(&mut self.buckets, &source, family, key)?;
        self.buckets.write()?;
        let was_special = self.special.remove(&source.source_key(family)).is_ok();
        Ok(was_banned || was_special)
    }

    /// The ban of an address, in force or over.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be read.
    pub fn find(&mut self, address: IpAddr) -> Result<Option<Banned>, Error> {
        let (source, family) = source(address);
        let key = self.live()?.key;
        if let Some(term) = bans::find(&mut self.buckets, &source, family, key)? {
            return Ok(Some(Banned { address, until: term.until(), all_ports: term.covers_all_ports() }));
        }
        let special = self.special.get(&source.source_key(family), 0).ok();
        let ban = special.filter(|ban| ban.trickle.cost == 0);
        Ok(ban.map(|ban| Banned { address, until: ban.until, all_ports: ban.all_ports != 0 }))
    }

    /// Bans or trusts a network; `false` if there is no room.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be written.
    pub fn set_network(&mut self, network: &Network) -> Result<bool, Error> {
        let (term, flags) = match network.standing {
            Standing::Banned { all_ports: true } => {
                (Term::new(network.until, true), HAS_NETWORKS | HAS_BANS_ON_ALL_PORTS)
            }
            Standing::Banned { all_ports: false } => (Term::new(network.until, false), HAS_NETWORKS),
            Standing::Trusted => (Term::trusted(network.until), HAS_NETWORKS),
        };
        if self.networks.insert(&trie_key(network.address, network.prefix), term.0, 0).is_err() {
            return Ok(false);
        }
        self.add_flags(flags)?;
        Ok(true)
    }

    /// Takes back what was said of a network; whether anything was.
    pub fn remove_network(&mut self, address: IpAddr, prefix: u8) -> bool {
        self.networks.remove(&trie_key(address, prefix)).is_ok()
    }

    /// What was said of a network itself, in force or over.
    pub fn find_network(&self, address: IpAddr, prefix: u8) -> Option<Network> {
        let key = trie_key(address, prefix);
        // The trie answers with the smallest network around; only iteration tells which it was.
        let term = self.networks.get(&key, 0).ok()?;
        let is_it = self
            .networks
            .keys()
            .flatten()
            .any(|there| there.prefix_len() == key.prefix_len() && there.data() == key.data());
        is_it.then(|| network(address, prefix, Term(term)))
    }

    /// Everything that was said of networks, over or not.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if the map cannot be read.
    pub fn networks(&self) -> Result<Vec<Network>, Error> {
        let read = |entry: Result<(Key<NetworkKey>, u32), aya::maps::MapError>| {
            let (key, term) = entry.map_err(Error::kernel("a network"))?;
            Ok(network_of(&key, Term(term)))
        };
        self.networks.iter().map(read).collect()
    }

    /// Every ban of an address in force, in the order of its place.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be read.
    pub fn bans(&mut self) -> Result<Vec<Banned>, Error> {
        let now = machine::monotonic();
        let mut all = Vec::new();
        for (family, count) in [(Family::Ipv4, BUCKETS_V4), (Family::Ipv6, BUCKETS_V6)] {
            for number in 0..count {
                let bucket = self.buckets.get(family, number)?;
                if bucket == Bucket::default() {
                    continue;
                }
                all.extend(bans::contents(&bucket, family, now).map(|(address, term)| Banned {
                    address: address.to_ip(family),
                    until: term.until(),
                    all_ports: term.covers_all_ports(),
                }));
            }
        }
        for entry in self.special.iter() {
            let (key, ban) = entry.map_err(Error::kernel("a special ban"))?;
            if ban.trickle.cost == 0 && ban.until > now {
                all.push(Banned { address: ip(key), until: ban.until, all_ports: ban.all_ports != 0 });
            }
        }
        Ok(all)
    }

    /// Lets only so much of an address through to guarded ports, until `until`; `false` if there is no room.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be written.
    pub fn limit(&mut self, address: IpAddr, until: u64, trickle: Rate) -> Result<bool, Error> {
        let (source, family) = source(address);
        let ban = Ban { until, trickle, ..Ban::default() };
        let key = source.source_key(family);
        if self.special.insert(key, ban, 0).is_err() {
            self.sweep()?;
            if self.special.insert(key, ban, 0).is_err() {
                return Ok(false);
            }
        }
        self.add_flags(HAS_SPECIAL)?;
        Ok(true)
    }

    /// Takes a source out of the limits for those that are not proven, until `until`; `false` if there is no room.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be written.
    pub fn prove(&mut self, address: IpAddr, until: u64) -> Result<bool, Error> {
        let (source, family) = source(address);
        let key = source.source_key(family);
        if self.proven.insert(key, Proven { until }, 0).is_err() {
            self.sweep()?;
            if self.proven.insert(key, Proven { until }, 0).is_err() {
                return Ok(false);
            }
        }
        self.add_flags(HAS_PROVEN)?;
        Ok(true)
    }

    /// The limits are for a source again.
    pub fn disprove(&mut self, address: IpAddr) {
        let (source, family) = source(address);
        // Gone already is as good.
        let _ = self.proven.remove(&source.source_key(family));
    }

    /// Ends the limit of an address, not its ban.
    pub fn unlimit(&mut self, address: IpAddr) {
        let (source, family) = source(address);
        let key = source.source_key(family);
        if self.special.get(&key, 0).is_ok_and(|ban| ban.trickle.cost != 0) {
            let _ = self.special.remove(&key);
        }
    }

    /// Removes what is over from the maps that do not make room by themselves.
    ///
    /// # Errors
    ///
    /// [`Error::Kernel`] if a map cannot be read.
    pub fn sweep(&mut self) -> Result<(), Error> {
        let now = machine::monotonic();
        let over: Vec<SourceKey> = self
            .special
            .iter()
            .flatten()
            .filter(|(_, ban)| ban.until <= now)
            .map(|(key, _)| key)
            .take(MAX_SPECIAL as usize)
            .collect();
        for key in over {
            // Gone already is as good.
            let _ = self.special.remove(&key);
        }
        let over: Vec<SourceKey> = self
            .proven
            .iter()
            .flatten()
            .filter(|(_, proven)| proven.until <= now)
            .map(|(key, _)| key)
            .take(MAX_PROVEN as usize)
            .collect();
        for key in over {
            let _ = self.proven.remove(&key);
        }
        Ok(())
    }

    /// Gives the hash of the places a key, if it has none yet, and says whether this host sends packets on.
    pub(super) fn begin(&mut self, key: [u64; 2], forwards: bool) -> Result<(), Error> {
        use gate::layout::FORWARDS;
        let mut live = self.live()?;
        if live.key == [0; 2] {
            live.key = key;
        }
        live.flags = if forwards { live.flags | FORWARDS } else { live.flags & !FORWARDS };
        self.live.set(0, live, 0).map_err(Error::kernel("the state"))
    }

    fn live(&self) -> Result<Live, Error> {
        self.live.get(&0, 0).map_err(Error::kernel("the state"))
    }

    fn add_flags(&mut self, flags: u32) -> Result<(), Error> {
        let mut live = self.live()?;
        if live.flags & flags == flags {
            return Ok(());
        }
        live.flags |= flags;
        self.live.set(0, live, 0).map_err(Error::kernel("the state"))
    }
}

/// The buckets of both families. What is changed is written once, however often it changes meanwhile.
struct Buckets<'a> {
    v4: Array<&'a mut MapData, Bucket>,
    v6: Array<&'a mut MapData, Bucket>,
    changed: Cache<(Family, u32), Bucket>,
}

impl Store<Error> for Buckets<'_> {
    fn get(&mut self, family: Family, number: u32) -> Result<Bucket, Error> {
        if let Some(bucket) = self.changed.get(&(family, number)) {
            return Ok(*bucket);
        }
        let map = if family == Family::Ipv4 { &self.v4 } else { &self.v6 };
        map.get(&number, 0).map_err(Error::kernel("the bans"))
    }

    fn set(&mut self, family: Family, number: u32, bucket: &Bucket) -> Result<(), Error> {
        self.changed.insert((family, number), *bucket);
        Ok(())
    }
}

impl Buckets<'_> {
    fn write(&mut self) -> Result<(), Error> {
        for ((family, number), bucket) in self.changed.drain() {
            let map = if family == Family::Ipv4 { &mut self.v4 } else { &mut self.v6 };
            map.set(number, bucket, 0).map_err(Error::kernel("the bans"))?;
        }
        Ok(())
    }
}

fn trie_key(address: IpAddr, prefix: u8) -> Key<NetworkKey> {
    let more = if address.is_ipv4() { 96 } else { 0 };
    Key::new(u32::from(prefix) + more, Address::from(address).0)
}

pub(super) fn network_of(key: &Key<NetworkKey>, term: Term) -> Network {
    let address = ip(key.data());
    let of_128 = if address.is_ipv4() { 96.min(key.prefix_len()) } else { 0 };
    network(address, u8::try_from(key.prefix_len() - of_128).unwrap_or(128), term)
}

fn network(address: IpAddr, prefix: u8, term: Term) -> Network {
    let standing = if term.is_trust() {
        Standing::Trusted
    } else {
        Standing::Banned { all_ports: term.covers_all_ports() }
    };
    Network { address, prefix, standing, until: term.until() }
}

fn source(address: IpAddr) -> (Address, Family) {
    let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
    (Address::from(address), family)
}

pub(super) fn ip(key: SourceKey) -> IpAddr {
    let address = Address(key);
    let is_v4 = u128::from_be_bytes(key) >> 32 == 0xffff;
    address.to_ip(if is_v4 { Family::Ipv4 } else { Family::Ipv6 })
}

#[cfg(test)]
mod tests {
    use std::net::{Ipv4Addr, Ipv6Addr};
    use std::time::Instant;

    use gate::layout::Interface;
    use gate::memory::GateTables;

    use super::*;
    use crate::gate::TestGate;

    #[test]
    fn bans_are_put_in_found_and_taken_out() {
        if !lab::skip::ready("bans_are_put_in_found_and_taken_out", &[]) {
            return;
        }
        let mut gate = TestGate::load(&GateTables::default(), Interface::default()).unwrap();
        let mut sources = gate.sources().unwrap();
        let until = machine::monotonic() + (1 << 40);
        let v4: IpAddr = Ipv4Addr::new(192, 0, 2, 1).into();
        let v6: IpAddr = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 9).into();
        let all = [v4, v6].map(|address| Banned { address, until, all_ports: false });
        assert_eq!(sources.ban(all).unwrap(), Inserted { inserted: 2, refused: 0 });
        let known = sources.bans().unwrap();
        assert_eq!(known.len(), 2);
        assert_eq!(known[1].address, IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0)), "the /64");
        assert!(known.iter().all(|ban| ban.until >= until && ban.until < until + (2 << 30)));
        // Over, so not in force.
        sources
            .ban([Banned { address: Ipv4Addr::new(192, 0, 2, 2).into(), until: 1, all_ports: false }])
            .unwrap();
        assert!(sources.unban(v4).unwrap() && !sources.unban(v4).unwrap());
        assert_eq!(sources.bans().unwrap().len(), 1);
        assert!(sources.limit(v4, until, Rate::new(1, 30, 2)).unwrap());
        assert!(sources.unban(v4).unwrap());
        assert!(sources.prove(v6, 1).unwrap());
        assert_eq!(sources.find(v4).unwrap(), None);
        assert!(sources.find(v6).unwrap().is_some_and(|ban| ban.until >= until));
        let all = [
            ([203, 0, 113, 0].into(), 24, Standing::Banned { all_ports: false }),
            ([203, 0, 113, 9].into(), 32, Standing::Trusted),
            (
                IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 7, 0, 0, 0, 0, 0)),
                48,
                Standing::Banned { all_ports: true },
            ),
        ]
        .map(|(address, prefix, standing)| Network { address, prefix, standing, until: u64::MAX });
        for network in &all {
            assert!(sources.set_network(network).unwrap());
            assert_eq!(sources.find_network(network.address, network.prefix), Some(*network));
        }
        assert_eq!(sources.find_network([203, 0, 113, 0].into(), 25), None, "only what is around it");
        assert_eq!(sources.networks().unwrap().len(), 3);
        assert!(sources.remove_network([203, 0, 113, 0].into(), 24));
        assert!(!sources.remove_network([203, 0, 113, 0].into(), 24));
        sources.sweep().unwrap();
    }

    /// The figures are told, not judged: `cargo xtask bench bans` measures.
    #[test]
    fn a_million_bans_are_loaded() {
        if !lab::skip::ready("a_million_bans_are_loaded", &[]) {
            return;
        }
        let mut gate = TestGate::load(&GateTables::default(), Interface::default()).unwrap();
        let mut sources = gate.sources().unwrap();
        let start = Instant::now();
        let all = (0..1_000_000u32).map(|number| Banned {
            address: Ipv4Addr::from(number.wrapping_mul(2_654_435_761)).into(),
            until: u64::MAX,
            all_ports: false,
        });
        assert_eq!(sources.ban(all).unwrap(), Inserted { inserted: 1_000_000, refused: 0 });
        println!("in {:?}", start.elapsed());
        assert_eq!(sources.bans().unwrap().len(), 1_000_000);
    }
}
