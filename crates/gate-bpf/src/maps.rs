//! The maps. Sizes of those that depend on the policy are set by the loader; names are those of `gate::layout::map`.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use gate::Judgement;
use gate::layout::{
    Ban, Budget, Config, Count, Event, Interface, MAX_BANS, MAX_NETWORKS, MAX_RULES, NetworkKey, Outputs,
    Rule,
};
use gate::reason::REASONS;

/// `BPF_F_NO_PREALLOC`: tries demand it, and an empty ban table then costs nothing.
const NO_PREALLOC: usize = 1;

#[btf_map]
pub static CONFIG: Array<Config, 1> = Array::new();

#[btf_map]
pub static COUNTS: PerCpuArray<Count, REASONS> = PerCpuArray::new();

/// The loader sets the number of states.
#[btf_map]
pub static AUTOMATON: Array<[u32; 256], 1> = Array::new();

/// The loader sets the number of accepting states.
#[btf_map]
pub static OUTPUTS: Array<Outputs, 1> = Array::new();

#[btf_map]
pub static RULES: Array<Rule, { MAX_RULES as usize }> = Array::new();

#[btf_map]
pub static PORTS: Array<u8, 65536> = Array::new();

#[btf_map]
pub static INTERFACES: HashMap<u32, Interface, 256> = HashMap::new();

#[btf_map]
pub static BANS_V4: HashMap<[u8; 4], Ban, { MAX_BANS as usize }, NO_PREALLOC> = HashMap::new();

#[btf_map]
pub static BANS_V6: HashMap<[u8; 8], Ban, { MAX_BANS as usize }, NO_PREALLOC> = HashMap::new();

#[btf_map]
pub static BLOCKED: LpmTrie<NetworkKey, u32, { MAX_NETWORKS as usize }, NO_PREALLOC> = LpmTrie::new();

#[btf_map]
pub static TRUSTED: LpmTrie<NetworkKey, u32, { MAX_NETWORKS as usize }, NO_PREALLOC> = LpmTrie::new();

/// 1 MiB: about 12,000 events.
#[btf_map]
pub static EVENTS: RingBuf<Event, 1048576> = RingBuf::new();

#[btf_map]
pub static BUDGET: PerCpuArray<Budget, 1> = PerCpuArray::new();

/// Where the verdict is put together; not read by user space.
#[btf_map]
pub static JUDGEMENT: PerCpuArray<Judgement, 1> = PerCpuArray::new();

/// A whole address as a trie key.
#[inline(always)]
pub fn host_key(address: NetworkKey) -> Key<NetworkKey> {
    Key::new(128, address)
}
