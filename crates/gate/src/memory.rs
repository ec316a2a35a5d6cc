//! Tables in ordinary memory, for replay, tests and the differential check against the kernel.

use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::net::IpAddr;
use std::sync::Arc;

use crate::address::{Address, Family};
use crate::automaton::Automaton;
use crate::bans::{self, Bucket, Store, Term};
use crate::decode::Packet;
use crate::flow::{Flow, FlowKey};
use crate::layout::{
    Ban, Config, FILTER_SIZE, GUARD_TCP, GUARD_UDP, HAS_BANS, HAS_BANS_ON_ALL_PORTS, HAS_SPECIAL, Live,
    MAX_FLOWS, NetworkKey, Outputs, Ports, Proven, Rule, SourceKey,
};
use crate::limit::Buckets;
use crate::tables::Tables;

/// What the policy says, in the layout of the kernel's maps; [`MemoryTables`] judges with it, and the host copies it
/// into the maps as it is.
#[derive(Clone, Debug, Default)]
pub struct GateTables {
    pub config: Config,
    /// All signatures; none if there are none.
    pub automaton: Option<Arc<Automaton>>,
    /// How many states it has.
    pub states: usize,
    /// The table of the first look at a datagram; none leaves everything to the automaton.
    pub filter: Option<Arc<[u8; FILTER_SIZE]>>,
    /// One per accepting state.
    pub outputs: Vec<Outputs>,
    pub rules: Vec<Rule>,
    /// Guarded ports with their protocol bits, ascending.
    pub ports: Vec<(u16, u8)>,
    /// Prefix length (of 128) and address.
    pub blocked: Vec<(u8, NetworkKey)>,
    /// Prefix length (of 128) and address.
    pub trusted: Vec<(u8, NetworkKey)>,
}

impl GateTables {
    /// The guarded ports as the kernel has them.
    pub fn port_bits(&self) -> Box<Ports> {
        let mut all: Box<Ports> = Box::new([0; 2048]);
        for (port, bits) in &self.ports {
            for (begin, bit) in [(0, GUARD_UDP), (1024, GUARD_TCP)] {
                if bits & bit != 0
                    && let Some(word) = all.get_mut(begin + usize::from(port / 64))
                {
                    *word |= 1 << (port % 64);
                }
            }
        }
        all
    }
}

/// [`GateTables`] and what the kernel knows besides: bans, routes, the interface, the clock.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables {
    pub policy: GateTables,
    pub live: Live,
    pub bans: MemoryBans,
    /// Networks that were banned or trusted: prefix length (of 128), address, what they are.
    pub networks: Vec<(u8, NetworkKey, Term)>,
    /// Sources that are let through at a trickle, and bans that found no place.
    pub special: RefCell<HashMap<SourceKey, Ban>>,
    /// Sources that have shown that their addresses are their own.
    pub proven: HashMap<SourceKey, Proven>,
    /// Of the limits.
    pub buckets: RefCell<Emptying>,
    /// Patterns that the arrival interface matches.
    pub patterns: u64,
    /// Nanoseconds of `CLOCK_MONOTONIC`.
    pub now: u64,
    /// Destinations that are this host's own; empty means all are.
    pub local: Vec<Address>,
    /// Connections that are followed.
    pub flows: RefCell<Flows>,
}

impl Tables<[u8]> for MemoryTables {
    fn config(&self) -> &Config {
        &self.policy.config
    }

    fn live(&self) -> Live {
        self.live
    }

    fn trusts(&self, address: &Address) -> bool {
        contains(&self.policy.trusted, address)
    }

    fn blocks(&self, address: &Address) -> bool {
        contains(&self.policy.blocked, address)
    }

    fn bucket(&self, family: Family, number: u32) -> Option<&Bucket> {
        self.bans.0.get(&(family, number))
    }

    fn network(&self, address: &Address) -> Option<Term> {
        let around = self.networks.iter().filter(|(prefix, network, _)| is_within(*prefix, network, address));
        around.max_by_key(|(prefix, _, _)| *prefix).map(|(_, _, term)| *term)
    }

    fn with_special<R>(&self, packet: &Packet, body: impl FnOnce(&mut Ban) -> R) -> Option<R> {
        self.special.borrow_mut().get_mut(&packet.source.source_key(packet.family)).map(body)
    }

    fn is_proven(&self, packet: &Packet) -> bool {
        self.proven
            .get(&packet.source.source_key(packet.family))
            .is_some_and(|proven| proven.until > self.now)
    }

    fn with_buckets<R>(&self, body: impl FnOnce(&mut Buckets) -> R) -> Option<R> {
        Some(body(&mut self.buckets.borrow_mut().0))
    }

    fn now(&self) -> u64 {
        self.now
    }

    fn guards(&self, protocol: usize, port: u16) -> bool {
        let bit = if protocol == 0 { GUARD_UDP } else { GUARD_TCP };
        match self.policy.ports.binary_search_by_key(&port, |&(port, _)| port) {
            Ok(index) => self.policy.ports.get(index).is_some_and(|&(_, bits)| bits & bit != 0),
            Err(_) => false,
        }
    }

    fn filter(&self) -> Option<&[u8; FILTER_SIZE]> {
        self.policy.filter.as_deref()
    }

    fn interface_patterns(&self) -> u64 {
        self.patterns
    }

    fn automaton(&self) -> Option<&Automaton> {
        self.policy.automaton.as_deref()
    }

    fn outputs(&self, row: u32) -> Option<&Outputs> {
        self.policy.outputs.get(row as usize)
    }

    fn rule(&self, index: u32) -> Option<&Rule> {
        self.policy.rules.get(index as usize)
    }

    fn forwards(&self, packet: &Packet) -> bool {
        !self.local.is_empty() && !self.local.contains(&packet.destination)
    }

    fn is_connected(&self, _packet: &Packet) -> bool {
        false
    }

    fn with_flow<R>(&self, key: &FlowKey, body: impl FnOnce(&mut Flow) -> R) -> Option<R> {
        self.flows.borrow_mut().by_key.get_mut(key).map(|flow| body(flow))
    }

    fn begin(&self, key: &FlowKey) {
        self.flows.borrow_mut().begin(*key);
    }

    fn forget(&self, key: &FlowKey) {
        self.flows.borrow_mut().by_key.remove(key);
    }
}

/// The buckets of banned addresses that are not empty.
#[derive(Clone, Debug, Default)]
pub struct MemoryBans(HashMap<(Family, u32), Bucket>);

impl Store<Infallible> for MemoryBans {
    fn get(&mut self, family: Family, number: u32) -> Result<Bucket, Infallible> {
        Ok(self.0.get(&(family, number)).copied().unwrap_or_default())
    }

    fn set(&mut self, family: Family, number: u32, bucket: &Bucket) -> Result<(), Infallible> {
        self.0.insert((family, number), *bucket);
        Ok(())
    }
}

impl MemoryBans {
    /// All of them, those that are over included.
    pub fn all(&self) -> Vec<(IpAddr, u64, bool)> {
        let contents = |((family, _), bucket): (&(Family, u32), &Bucket)| {
            let family = *family;
            bans::contents(bucket, family, 0)
                .map(move |(address, term)| (address.to_ip(family), term.until(), term.covers_all_ports()))
        };
        self.0.iter().flat_map(contents).collect()
    }
}

impl MemoryTables {
    /// Bans an address, as the daemon would.
    pub fn ban(&mut self, address: IpAddr, until: u64, all_ports: bool) {
        let family = if address.is_ipv4() { Family::Ipv4 } else { Family::Ipv6 };
        let address = Address::from(address);
        let term = Term::new(until, all_ports);
        let Ok(has_place) = bans::insert(&mut self.bans, &address, family, term, self.live.key, self.now);
        self.live.flags |= HAS_BANS | if all_ports { HAS_BANS_ON_ALL_PORTS } else { 0 };
        if !has_place {
            let ban = Ban { until, all_ports: all_ports.into(), ..Ban::default() };
            self.special.get_mut().insert(address.source_key(family), ban);
            self.live.flags |= HAS_SPECIAL;
        }
    }
}

/// [`Buckets`], all empty at first.
#[derive(Clone)]
pub struct Emptying(Box<Buckets>);

impl Default for Emptying {
    fn default() -> Self {
        let zeros = vec![0; size_of::<Buckets>() / size_of::<u32>()].into_boxed_slice();
        // The length is right by construction; a box of an array cannot be made in place otherwise.
        Self(zeros.try_into().unwrap_or_else(|_: Box<[u32]>| Box::new([0; _])))
    }
}

impl std::fmt::Debug for Emptying {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Emptying")
    }
}

/// Followed connections, at most [`MAX_FLOWS`]; the one that began first makes room for a new one.
#[derive(Clone, Debug, Default)]
pub struct Flows {
    by_key: HashMap<FlowKey, Box<Flow>>,
    order: VecDeque<FlowKey>,
}

impl Flows {
    fn begin(&mut self, key: FlowKey) {
        if self.by_key.insert(key, Box::new(Flow::FRESH)).is_none() {
            self.order.push_back(key);
        }
        while self.by_key.len() > MAX_FLOWS as usize {
            let Some(oldest) = self.order.pop_front() else { break };
            self.by_key.remove(&oldest);
        }
        // Forgotten ones are still in the order.
        if self.order.len() > 2 * MAX_FLOWS as usize {
            self.order.retain(|key| self.by_key.contains_key(key));
        }
    }
}

fn contains(networks: &[(u8, NetworkKey)], address: &Address) -> bool {
    networks.iter().any(|(prefix, network)| is_within(*prefix, network, address))
}

fn is_within(prefix: u8, network: &NetworkKey, address: &Address) -> bool {
    let mask = u128::MAX.checked_shl(128 - u32::from(prefix)).unwrap_or(0);
    u128::from_be_bytes(address.0) & mask == u128::from_be_bytes(*network) & mask
}
