//! `gate::Tables` over the maps.

use core::ffi::c_void;

use aya_ebpf::bindings::bpf_fib_lookup as FibLookup;
use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use aya_ebpf::helpers::generated::bpf_loop;
use gate::layout::{Ban, Config, Interface, Outputs, Rule};
use gate::{Address, Family, Packet, Tables};

use crate::context::Context;
use crate::maps::{
    AUTOMATON, BANS_V4, BANS_V6, BLOCKED, CONFIG, INTERFACES, OUTPUTS, PORTS, RULES, TRUSTED, host_key,
};

const AF_INET: u8 = 2;
const AF_INET6: u8 = 10;
/// `BPF_FIB_LKUP_RET_*` in include/uapi/linux/bpf.h: the answers that mean "would be sent on".
const FORWARDED: [i64; 4] = [0, 6, 7, 8];

/// The maps, as one packet sees them.
pub struct KernelTables<'a, C> {
    ctx: &'a C,
    interface: Interface,
}

impl<'a, C: Context> KernelTables<'a, C> {
    #[inline(always)]
    pub fn new(ctx: &'a C) -> Self {
        // SAFETY: the value is copied at once; the loader changes it only as a whole.
        let interface = unsafe { INTERFACES.get(&ctx.interface()) }.copied().unwrap_or_default();
        Self { ctx, interface }
    }

    #[inline(always)]
    pub fn raw_ip(&self) -> bool {
        self.interface.raw_ip != 0
    }
}

impl<C: Context> Tables<C> for KernelTables<'_, C> {
    #[inline(always)]
    fn config(&self) -> Option<&Config> {
        CONFIG.get(0)
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
    fn ban(&self, packet: &Packet) -> Option<Ban> {
        // SAFETY: the value is copied at once; a ban replaced meanwhile is still some ban of that address.
        let ban = unsafe {
            match packet.family {
                Family::Ipv4 => BANS_V4.get(&packet.source.low()),
                Family::Ipv6 => BANS_V6.get(&packet.source.high()),
            }
        };
        let ban = *ban?;
        // SAFETY: the helper has no arguments and no preconditions. The clock is read only for banned sources.
        (ban.until > unsafe { bpf_ktime_get_boot_ns() }).then_some(ban)
    }

    #[inline(always)]
    fn guards(&self, port: u16) -> u8 {
        PORTS.get(u32::from(port)).copied().unwrap_or(0)
    }

    #[inline(always)]
    fn interface_patterns(&self) -> u64 {
        self.interface.patterns
    }

    #[inline(always)]
    fn next(&self, state: u32, byte: u8) -> Option<u32> {
        AUTOMATON.get(state)?.get(usize::from(byte)).copied()
    }

    #[inline(always)]
    fn outputs(&self, state: u32) -> Option<&Outputs> {
        OUTPUTS.get(state)
    }

    #[inline(always)]
    fn rule(&self, index: u32) -> Option<&Rule> {
        RULES.get(index)
    }

    /// Asked only for packets in which a signature was found, so the price of a route look-up is paid by attackers.
    #[inline(always)]
    fn forwards(&self, packet: &Packet) -> bool {
        // SAFETY: all bytes zero is a valid value of this plain C struct.
        let mut lookup: FibLookup = unsafe { core::mem::zeroed() };
        lookup.ifindex = self.ctx.interface();
        lookup.l4_protocol = packet.protocol;
        match packet.family {
            Family::Ipv4 => {
                lookup.family = AF_INET;
                lookup.__bindgen_anon_3.ipv4_src = u32::from_ne_bytes(packet.source.low());
                lookup.__bindgen_anon_4.ipv4_dst = u32::from_ne_bytes(packet.destination.low());
            }
            Family::Ipv6 => {
                lookup.family = AF_INET6;
                lookup.__bindgen_anon_3.ipv6_src = words(packet.source);
                lookup.__bindgen_anon_4.ipv6_dst = words(packet.destination);
            }
        }
        FORWARDED.contains(&self.ctx.route(&mut lookup))
    }

    #[inline(always)]
    fn repeat<B: FnMut(u32) -> bool>(&self, count: u32, mut body: B) {
        // SAFETY: `call::<B>` has the signature that the helper calls, and `body` outlives the helper.
        unsafe {
            bpf_loop(count, call::<B> as *mut c_void, (&raw mut body).cast(), 0);
        }
    }
}

/// The form in which `bpf_loop` calls a closure: 0 goes on, 1 ends.
extern "C" fn call<B: FnMut(u32) -> bool>(index: u32, body: *mut B) -> i64 {
    // SAFETY: `repeat` passed a pointer to a live closure that nothing else uses meanwhile.
    i64::from(!unsafe { (*body)(index) })
}

/// An address as the kernel keeps it: four words in network order.
#[inline(always)]
fn words(address: Address) -> [u32; 4] {
    let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = address.0;
    [
        u32::from_ne_bytes([a, b, c, d]),
        u32::from_ne_bytes([e, f, g, h]),
        u32::from_ne_bytes([i, j, k, l]),
        u32::from_ne_bytes([m, n, o, p]),
    ]
}
