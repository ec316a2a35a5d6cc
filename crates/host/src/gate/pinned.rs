//! The bans as they stand in the kernel, read through the pins: for a thread that has nothing else of the gate, or a command
//! without a daemon.

use std::path::Path;

use aya::maps::{Array, HashMap, LpmTrie, Map, MapData};
use gate::Family;
use gate::bans::{self, BUCKETS_V4, BUCKETS_V6, Bucket, Term};
use gate::layout::{Ban, HAS_BANS, HAS_NETWORKS, HAS_SPECIAL, Live, NetworkKey, SourceKey, map};

use super::bans::{Banned, Network, ip, network_of};
use super::pins::Pins;
use crate::error::Error;
use crate::machine;

/// Everything that is banned or trusted, of addresses and of networks.
#[derive(Clone, Debug, Default)]
pub struct Found {
    /// Bans of addresses in force, in no order.
    pub bans: Vec<Banned>,
    /// What was said of networks, over or not.
    pub networks: Vec<Network>,
}

/// Reads the maps that `pins` keeps.
///
/// # Errors
///
/// [`Error::Kernel`] if one is not there or cannot be read.
pub fn standing(pins: &Path) -> Result<Found, Error> {
    let pins = Pins::of(pins);
    let open = |name: &'static str| {
        let map = MapData::from_pin(pins.map(name)).map_err(Error::kernel(name))?;
        Ok::<_, Error>(map)
    };
    let live: Array<_, Live> = Map::Array(open(map::LIVE)?).try_into().map_err(refused("the state"))?;
    let flags = live.get(&0, 0).map_err(Error::kernel("the state"))?.flags;
    let now = machine::monotonic();
    let mut found = Found::default();
    if flags & HAS_BANS != 0 {
        for (family, name, count) in
            [(Family::Ipv4, map::BANS_V4, BUCKETS_V4), (Family::Ipv6, map::BANS_V6, BUCKETS_V6)]
        {
            let buckets: Array<_, Bucket> =
                Map::Array(open(name)?).try_into().map_err(refused("the bans"))?;
            for number in 0..count {
                let bucket = buckets.get(&number, 0).map_err(Error::kernel("the bans"))?;
                if bucket != Bucket::default() {
                    found.bans.extend(bans::contents(&bucket, family, now).map(|(address, term)| Banned {
                        address: address.to_ip(family),
                        until: term.until(),
                        all_ports: term.covers_all_ports(),
                    }));
                }
            }
        }
    }
    if flags & HAS_SPECIAL != 0 {
        let special: HashMap<_, SourceKey, Ban> =
            Map::HashMap(open(map::SPECIAL)?).try_into().map_err(refused("the special bans"))?;
        for entry in special.iter() {
            let (key, ban) = entry.map_err(Error::kernel("a special ban"))?;
            if ban.trickle.cost == 0 && ban.until > now {
                let address = ip(key);
                found.bans.push(Banned { address, until: ban.until, all_ports: ban.all_ports != 0 });
            }
        }
    }
    if flags & HAS_NETWORKS != 0 {
        let networks: LpmTrie<_, NetworkKey, u32> =
            Map::LpmTrie(open(map::NETWORKS)?).try_into().map_err(refused("the networks"))?;
        for entry in networks.iter() {
            let (key, term) = entry.map_err(Error::kernel("a network"))?;
            found.networks.push(network_of(&key, Term(term)));
        }
    }
    Ok(found)
}

fn refused(what: &'static str) -> impl FnOnce(aya::maps::MapError) -> Error {
    Error::kernel(what)
}
