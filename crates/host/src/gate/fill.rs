//! From tables in memory to maps in the kernel.

use aya::Ebpf;
use aya::maps::lpm_trie::Key;
use aya::maps::{Array, HashMap, LpmTrie, Map};
use gate::automaton::Automaton;
use gate::layout::{self, FILTER_SIZE, Outputs, Ports, Rule, map};
use gate::memory::GateTables;
use policy::ruleset::InterfaceName;

use super::missing;
use crate::error::Error;
use crate::machine::Interface;

/// Fills everything that belongs to the policy, but for the configuration, which is part of the programs.
pub(super) fn fill(ebpf: &mut Ebpf, tables: &GateTables) -> Result<(), Error> {
    if let Some(table) = tables.automaton.as_deref() {
        let mut automaton: Array<_, Automaton> = array(ebpf, map::AUTOMATON)?;
        automaton.set(0, table, 0).map_err(Error::kernel("the automaton"))?;
    }
    let mut outputs: Array<_, Outputs> = array(ebpf, map::OUTPUTS)?;
    for (index, output) in (0..).zip(&tables.outputs) {
        outputs.set(index, output, 0).map_err(Error::kernel("a signature"))?;
    }
    let mut rules: Array<_, Rule> = array(ebpf, map::RULES)?;
    for (index, rule) in (0..).zip(&tables.rules) {
        rules.set(index, rule, 0).map_err(Error::kernel("a rule"))?;
    }
    let mut ports: Array<_, Ports> = array(ebpf, map::PORTS)?;
    ports.set(0, *tables.port_bits(), 0).map_err(Error::kernel("the ports"))?;
    if let Some(table) = tables.filter.as_deref() {
        let mut filter: Array<_, [u8; FILTER_SIZE]> = array(ebpf, map::FILTER)?;
        filter.set(0, table, 0).map_err(Error::kernel("the filter"))?;
    }
    for (name, networks) in [(map::BLOCKED, &tables.blocked), (map::TRUSTED, &tables.trusted)] {
        let mut trie: LpmTrie<_, layout::NetworkKey, u32> =
            LpmTrie::try_from(find(ebpf, name)?).map_err(Error::kernel(name))?;
        for (prefix, network) in networks {
            let key = Key::new(u32::from(*prefix), *network);
            trie.insert(&key, 1, 0).map_err(Error::kernel(format!("a network in {name}")))?;
        }
    }
    Ok(())
}

/// Tells the gate what it stands before.
pub(super) fn interfaces(
    ebpf: &mut Ebpf,
    interfaces: &[Interface],
    patterns: &[InterfaceName],
) -> Result<(), Error> {
    for one in interfaces {
        let matched = (0u32..64).zip(patterns).filter(|(_, pattern)| pattern.matches(&one.name));
        let value = layout::Interface {
            patterns: matched.fold(0, |bits, (bit, _)| bits | 1 << bit),
            raw_ip: u32::from(one.is_raw_ip()),
            reserved: 0,
        };
        interface(ebpf, one.index, value)?;
    }
    Ok(())
}

pub(super) fn interface(ebpf: &mut Ebpf, index: u32, value: layout::Interface) -> Result<(), Error> {
    let mut map: HashMap<_, u32, layout::Interface> =
        HashMap::try_from(find(ebpf, map::INTERFACES)?).map_err(Error::kernel("the interfaces"))?;
    map.insert(index, value, 0).map_err(Error::kernel("an interface"))
}

fn array<'a, V: aya::Pod>(
    ebpf: &'a mut Ebpf,
    name: &str,
) -> Result<Array<&'a mut aya::maps::MapData, V>, Error> {
    Array::try_from(find(ebpf, name)?).map_err(Error::kernel(name))
}

fn find<'a>(ebpf: &'a mut Ebpf, name: &str) -> Result<&'a mut Map, Error> {
    ebpf.map_mut(name).ok_or_else(|| missing(name))
}
