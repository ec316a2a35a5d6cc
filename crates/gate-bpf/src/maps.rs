//! The maps. Sizes of those that depend on the policy are set by the loader; names are those of `gate::layout::map`.

use aya_ebpf::btf_maps::lpm_trie::Key;
use aya_ebpf::btf_maps::{Array, HashMap, LpmTrie, LruHashMap, PerCpuArray, RingBuf};
use aya_ebpf::macros::btf_map;
use gate::automaton::Automaton;
use gate::bans::{BUCKETS_V4, BUCKETS_V6, Bucket};
use gate::flow::{Flow, FlowKey};
use gate::layout::{
    Ban, Config, Cpu, Event, FILTER_SIZE, Interface, Live, MAX_FLOWS, MAX_NETWORKS, MAX_PROVEN, MAX_RULES,
    MAX_SPECIAL, NetworkKey, Outputs, Ports, Proven, Rule, SourceKey,
};

use gate::limit::{Buckets, Limits, Rate};

use crate::context::opaque;
use crate::report::Record;

/// `BPF_F_NO_PREALLOC`: tries demand it, and an empty ban table then costs nothing.
const NO_PREALLOC: usize = 1;

/// The loader writes the policy's values into the object before the kernel sees it. The kernel takes the section for
/// constants, and drops code that they rule out.
#[unsafe(no_mangle)]
static CONFIG: Config = Config {
    version: 0,
    flags: 0,
    rules: 0,
    start: 0,
    width: 0,
    events_per_second: 0,
    tag: 0,
    longest: 0,
    pair: [0; 2],
    pairs: 0,
    reserved: 0,
    limits: Limits {
        source: Rate { cost: 0, depth: 0 },
        network: Rate { cost: 0, depth: 0 },
        all: Rate { cost: 0, depth: 0 },
        key: [0; 2],
    },
    policy: [0; 8],
};

/// What the loader wrote; the compiler must not take the zeros above for it.
#[inline(always)]
pub fn config() -> &'static Config {
    let config = opaque((&raw const CONFIG) as usize) as *const Config;
    // SAFETY: the address is that of a static of this type; only its origin was hidden.
    unsafe { &*config }
}

#[btf_map]
pub static LIVE: Array<Live, 1> = Array::new();

#[btf_map]
pub static CPU: PerCpuArray<Cpu, 1> = PerCpuArray::new();

#[btf_map]
pub static FILTER: Array<[u8; FILTER_SIZE], 1> = Array::new();

#[btf_map]
pub static AUTOMATON: Array<Automaton, 1> = Array::new();

/// The loader sets the number of accepting states.
#[btf_map]
pub static OUTPUTS: Array<Outputs, 1> = Array::new();

#[btf_map]
pub static RULES: Array<Rule, { MAX_RULES as usize }> = Array::new();

#[btf_map]
pub static PORTS: Array<Ports, 1> = Array::new();

#[btf_map]
pub static INTERFACES: HashMap<u32, Interface, 256> = HashMap::new();

#[btf_map]
pub static BANS_V4: Array<Bucket, { BUCKETS_V4 as usize }> = Array::new();

#[btf_map]
pub static BANS_V6: Array<Bucket, { BUCKETS_V6 as usize }> = Array::new();

#[btf_map]
pub static SPECIAL: HashMap<SourceKey, Ban, { MAX_SPECIAL as usize }, NO_PREALLOC> = HashMap::new();

#[btf_map]
pub static PROVEN: HashMap<SourceKey, Proven, { MAX_PROVEN as usize }, NO_PREALLOC> = HashMap::new();

#[btf_map]
pub static BUCKETS: Array<Buckets, 1> = Array::new();

/// The loader makes it small where no TCP is searched.
#[btf_map]
pub static FLOWS: LruHashMap<FlowKey, Flow, { MAX_FLOWS as usize }> = LruHashMap::new();

/// What a new connection begins with: all zeros. The stack has no room for it.
#[btf_map]
pub static FRESH: Array<Flow, 1> = Array::new();

#[btf_map]
pub static BLOCKED: LpmTrie<NetworkKey, u32, { MAX_NETWORKS as usize }, NO_PREALLOC> = LpmTrie::new();

#[btf_map]
pub static NETWORKS: LpmTrie<NetworkKey, u32, { MAX_NETWORKS as usize }, NO_PREALLOC> = LpmTrie::new();

#[btf_map]
pub static TRUSTED: LpmTrie<NetworkKey, u32, { MAX_NETWORKS as usize }, NO_PREALLOC> = LpmTrie::new();

/// 8 MiB: more than ten thousand SIP messages, half a second of a flood, as long as a daemon may wait for its turn.
#[btf_map]
pub static EVENTS: RingBuf<Event, 8388608> = RingBuf::new();

/// Where an event is put together; not read by user space.
#[btf_map]
pub static RECORD: PerCpuArray<Record, 1> = PerCpuArray::new();

/// A whole address as a trie key.
#[inline(always)]
pub fn host_key(address: NetworkKey) -> Key<NetworkKey> {
    Key::new(128, address)
}
