//! Tables in ordinary memory, for replay, tests and the differential check against the kernel.

use std::collections::HashMap;

use crate::address::{Address, Family};
use crate::decode::Packet;
use crate::layout::{Ban, Config, GUARD_TCP, GUARD_UDP, NetworkKey, Outputs, Rule};
use crate::tables::Tables;

/// What the policy says, in the layout of the kernel's maps; [`MemoryTables`] judges with it, and the host copies it
/// into the maps as it is.
#[derive(Clone, Debug, Default)]
pub struct GateTables {
    pub config: Config,
    /// 256 next states per state.
    pub automaton: Vec<[u32; 256]>,
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

/// [`GateTables`] and what the kernel knows besides: bans, routes, the interface, the clock.
#[derive(Clone, Debug, Default)]
pub struct MemoryTables {
    pub policy: GateTables,
    pub bans_v4: HashMap<[u8; 4], Ban>,
    pub bans_v6: HashMap<[u8; 8], Ban>,
    /// Patterns that the arrival interface matches.
    pub patterns: u64,
    /// Nanoseconds since boot.
    pub now: u64,
    /// Destinations that are this host's own; empty means all are.
    pub local: Vec<Address>,
}

impl Tables<[u8]> for MemoryTables {
    fn config(&self) -> Option<&Config> {
        Some(&self.policy.config)
    }

    fn trusts(&self, address: &Address) -> bool {
        contains(&self.policy.trusted, address)
    }

    fn blocks(&self, address: &Address) -> bool {
        contains(&self.policy.blocked, address)
    }

    fn ban(&self, packet: &Packet) -> Option<Ban> {
        let ban = match packet.family {
            Family::Ipv4 => self.bans_v4.get(&packet.source.low()),
            Family::Ipv6 => self.bans_v6.get(&packet.source.high()),
        };
        ban.copied().filter(|ban| ban.until > self.now)
    }

    fn guards(&self, port: u16) -> u8 {
        match self.policy.ports.binary_search_by_key(&port, |&(port, _)| port) {
            Ok(index) => self.policy.ports.get(index).map_or(0, |&(_, bits)| bits & (GUARD_UDP | GUARD_TCP)),
            Err(_) => 0,
        }
    }

    fn interface_patterns(&self) -> u64 {
        self.patterns
    }

    fn next(&self, state: u32, byte: u8) -> Option<u32> {
        self.policy.automaton.get(state as usize)?.get(usize::from(byte)).copied()
    }

    fn outputs(&self, state: u32) -> Option<&Outputs> {
        self.policy.outputs.get(state as usize)
    }

    fn rule(&self, index: u32) -> Option<&Rule> {
        self.policy.rules.get(index as usize)
    }

    fn forwards(&self, packet: &Packet) -> bool {
        !self.local.is_empty() && !self.local.contains(&packet.destination)
    }
}

fn contains(networks: &[(u8, NetworkKey)], address: &Address) -> bool {
    let address = u128::from_be_bytes(address.0);
    networks.iter().any(|(prefix, network)| {
        let mask = u128::MAX.checked_shl(128 - u32::from(*prefix)).unwrap_or(0);
        address & mask == u128::from_be_bytes(*network) & mask
    })
}
