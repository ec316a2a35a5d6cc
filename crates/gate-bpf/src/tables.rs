//! `gate::Tables` over the maps.

use core::ffi::c_void;

use aya_ebpf::bindings::bpf_fib_lookup as FibLookup;
use aya_ebpf::helpers::generated::bpf_loop;
use gate::automaton::Automaton;
use gate::bans::{Bucket, Term};
use gate::flow::{Flow, FlowKey};
use gate::layout::{Ban, Config, FILTER_SIZE, Live, Outputs, Rule};
use gate::limit::Buckets;
use gate::{Address, Family, Packet, Tables};

use crate::clock;
use crate::context::{Context, opaque, put};
use crate::maps::{
    AUTOMATON, BANS_V4, BANS_V6, BLOCKED, BUCKETS, FILTER, FLOWS, FRESH, INTERFACES, LIVE, NETWORKS, OUTPUTS,
    PORTS, PROVEN, RULES, SPECIAL, TRUSTED, config, host_key,
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `BPF_FIB_LKUP_RET_*` in include/uapi/linux/bpf.h: the answers that mean "would be sent on".
const FORWARDED: [i64; 4] = [0, 6, 7, 8];

/// The maps, as one packet sees them.
pub struct KernelTables<'a, C> {
    ctx: &'a C,
}

impl<'a, C: Context> KernelTables<'a, C> {
    #[inline(always)]
    pub fn new(ctx: &'a C) -> Self {
        Self { ctx }
    }
}

impl<C: Context> Tables<C> for KernelTables<'_, C> {
    #[inline(always)]
    fn config(&self) -> &Config {
        config()
    }

    #[inline(always)]
    fn live(&self) -> Live {
        LIVE.get(0).copied().unwrap_or_default()
    }

    #[inline(always)]
    fn trusts(&self, address: &Address) -> bool {
        TRUSTED.get(&host_key(address.0)).is_some()
    }

    #[inline(always)]
    fn blocks(&self, address: &Address) -> bool {
        BLOCKED.get(&host_key(address.0)).is_some()
    }

    #[inline(always)]
    fn bucket(&self, family: Family, number: u32) -> Option<&Bucket> {
        match family {
            Family::Ipv4 => BANS_V4.get(number),
            Family::Ipv6 => BANS_V6.get(number),
        }
    }

    #[inline(always)]
    fn network(&self, address: &Address) -> Option<Term> {
        NETWORKS.get(&host_key(address.0)).map(|term| Term(*term))
    }

    #[inline(always)]
    fn with_special<R>(&self, packet: &Packet, body: impl FnOnce(&mut Ban) -> R) -> Option<R> {
        let ban = SPECIAL.get_ptr_mut(packet.source.source_key(packet.family))?;
        // SAFETY: the kernel keeps the value while the program runs; a ban replaced meanwhile is still some ban.
        Some(body(unsafe { &mut *ban }))
    }

    #[inline(always)]
    fn is_proven(&self, packet: &Packet) -> bool {
        // SAFETY: the value is read at once.
        unsafe { PROVEN.get(packet.source.source_key(packet.family)) }
            .is_some_and(|proven| proven.until > clock::now())
    }

    #[inline(always)]
    fn with_buckets<R>(&self, body: impl FnOnce(&mut Buckets) -> R) -> Option<R> {
        let buckets = BUCKETS.get_ptr_mut(0)?;
        // SAFETY: the kernel keeps the value while the program runs. CPUs may write over each other's times; a limit is
        // then a packet wider.
        Some(body(unsafe { &mut *buckets }))
    }

    #[inline(always)]
    fn now(&self) -> u64 {
        clock::now()
    }

    #[inline(always)]
    fn guards(&self, protocol: usize, port: u16) -> bool {
        // A port comes from memory, where the verifiers of 6.1 and 6.12 do not know that it has 16 bits.
        let word = opaque(usize::from(port)) / 64 & 1023;
        let Some(word) = PORTS.get(0).and_then(|all| all.get((protocol & 1) * 1024 + word)) else {
            return false;
        };
        word >> (port % 64) & 1 != 0
    }

    #[inline(always)]
    fn filter(&self) -> Option<&[u8; FILTER_SIZE]> {
        FILTER.get(0)
    }

    #[inline(always)]
    fn interface_patterns(&self) -> u64 {
        // SAFETY: the value is copied at once; the loader changes it only as a whole.
        unsafe { INTERFACES.get(&self.ctx.interface()) }.map_or(0, |interface| interface.patterns)
    }

    #[inline(always)]
    fn automaton(&self) -> Option<&Automaton> {
        AUTOMATON.get(0)
    }

    #[inline(always)]
    fn outputs(&self, row: u32) -> Option<&Outputs> {
        OUTPUTS.get(row)
    }

    #[inline(always)]
    fn rule(&self, index: u32) -> Option<&Rule> {
        RULES.get(index)
    }

    #[inline(always)]
    fn forwards(&self, packet: &Packet) -> bool {
        forwards(self.ctx, packet)
    }

    #[inline(always)]
    fn is_connected(&self, packet: &Packet) -> bool {
        self.ctx.has_connection(packet)
    }

    #[inline(always)]
    fn with_flow<R>(&self, key: &FlowKey, body: impl FnOnce(&mut Flow) -> R) -> Option<R> {
        let flow = FLOWS.get_ptr_mut(key)?;
        // SAFETY: the kernel keeps the value while the program runs. Two CPUs that work on segments of one connection at
        // the same time may both be wrong about its state, as they would be about the order of the segments; neither
        // reads or writes outside of the value.
        Some(body(unsafe { &mut *flow }))
    }

    #[inline(always)]
    fn begin(&self, key: &FlowKey) {
        if let Some(fresh) = FRESH.get(0) {
            // Full tables make room by themselves; what cannot be followed all the same is searched segment by segment.
            let _ = FLOWS.insert(key, fresh, 0);
        }
    }

    #[inline(always)]
    fn forget(&self, key: &FlowKey) {
        let _ = FLOWS.remove(key);
    }

    #[inline(always)]
    fn repeat<B: FnMut(u32) -> bool>(&self, count: u32, mut body: B) {
        // SAFETY: `call::<B>` has the signature that the helper calls, and `body` outlives the helper.
        unsafe {
            bpf_loop(count, call::<B> as *mut c_void, (&raw mut body).cast(), 0);
        }
    }
}

/// Asked only for packets in which a signature was found, so the price of a route look-up is paid by attackers. Not
/// inlined: the stack of the way there has no room for the question.
#[inline(never)]
fn forwards<C: Context>(ctx: &C, packet: &Packet) -> bool {
    // SAFETY: all bytes zero is a valid value of this plain C struct.
    let mut lookup: FibLookup = unsafe { core::mem::zeroed() };
    lookup.ifindex = ctx.interface();
    lookup.l4_protocol = packet.protocol;
    match packet.family {
        Family::Ipv4 => {
            lookup.family = AF_INET;
            lookup.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(packet.source.low());
            lookup.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(packet.destination.low());
        }
        Family::Ipv6 => {
            lookup.family = AF_INET6;
            // SAFETY: both fields are arrays of four words inside the struct.
            unsafe {
                put(&raw mut lookup.__bindgen_anon_3.ipv6_src, packet.source);
                put(&raw mut lookup.__bindgen_anon_4.ipv6_dst, packet.destination);
            }
        }
    }
    FORWARDED.contains(&ctx.route(&mut lookup))
}

/// The form in which `bpf_loop` calls a closure: 0 goes on, 1 ends.
extern "C" fn call<B: FnMut(u32) -> bool>(index: u32, body: *mut B) -> i64 {
    // SAFETY: `repeat` passed a pointer to a live closure that nothing else uses meanwhile.
    let goes_on = unsafe { (*body)(index) };
    // The verifier wants to see 0 or 1, and does not know that a `bool` in memory is.
    (opaque(usize::from(!goes_on)) & 1) as i64
}
