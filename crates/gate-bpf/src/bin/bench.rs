//! What the benchmark measures the gate against, and what it varies packets with: `BPF_PROG_TEST_RUN` repeats one frame,
//! so a program in front of the gate gives each run another source.
#![no_std]
#![no_main]

use aya_ebpf::bindings::xdp_action;
use aya_ebpf::btf_maps::{Array, ProgramArray};
use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use aya_ebpf::macros::{btf_map, xdp};
use aya_ebpf::programs::XdpContext;

/// Where the packet goes with its new source.
#[btf_map]
static TARGET: ProgramArray<1> = ProgramArray::new();

/// How many sources there are.
#[btf_map]
static SOURCES: Array<u32, 1> = Array::new();

/// The first of them.
const FIRST: u32 = 0x1000_0000;

/// The least that a program can do.
#[xdp(frags)]
pub fn empty(_ctx: XdpContext) -> u32 {
    xdp_action::XDP_DROP
}

/// A table as large as that of the IPv4 bans.
#[btf_map]
static LINES: Array<[u32; 16], { 1 << 18 }> = Array::new();

/// What the last packet read, which is 0. The processor does not know that, so it cannot begin with the next packet's line
/// before.
#[btf_map]
static LAST: Array<u32, 1> = Array::new();

/// One cache line of a table of 16 MiB, told by the packet's source: what no table of bans of that size can undercut.
#[xdp(frags)]
pub fn touch(ctx: XdpContext) -> u32 {
    const OFFSET: usize = 26;
    let place = ctx.data() + OFFSET;
    if place + 4 > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    let Some(last) = LAST.get_ptr_mut(0) else { return xdp_action::XDP_ABORTED };
    // SAFETY: the four bytes were just checked to lie in the packet, and the map's value is there for good.
    let source = unsafe { (place as *const u32).read_unaligned() ^ last.read_volatile() };
    let number = u64::from(source).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (64 - 18);
    match LINES.get(number as u32) {
        Some([first, ..]) => {
            // SAFETY: as above.
            unsafe { last.write_volatile(*first) };
            xdp_action::XDP_DROP
        }
        None => xdp_action::XDP_ABORTED,
    }
}

/// Gives an Ethernet frame another source: of IPv4 the address, of IPv6 the second half of the /64, which stand at the same
/// offset.
#[xdp(frags)]
pub fn scatter(ctx: XdpContext) -> u32 {
    const OFFSET: usize = 26;
    // SAFETY: the helper has no arguments and no preconditions.
    let random = unsafe { bpf_get_prandom_u32() };
    let count = SOURCES.get(0).copied().unwrap_or(1).max(1);
    let source = (FIRST + random % count).to_be();
    let place = ctx.data() + OFFSET;
    if place + 4 > ctx.data_end() {
        return xdp_action::XDP_ABORTED;
    }
    // SAFETY: the four bytes were just checked to lie in the packet.
    unsafe { (place as *mut u32).write_unaligned(source) };
    // SAFETY: nothing here needs to be dropped.
    unsafe { TARGET.tail_call(&ctx, 0) };
    xdp_action::XDP_ABORTED
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
