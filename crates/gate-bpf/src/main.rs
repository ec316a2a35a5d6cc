//! The kernel half of the gate: hooks, maps, and the three things that only the kernel can do for the verdict (read the
//! packet, walk the automaton over it, ask the routing table).
//!
//! The decision itself is `gate::judge`, the same code that replay runs.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod context;
mod maps;
mod report;
mod tables;

use aya_ebpf::bindings::{TC_ACT_PIPE, TC_ACT_SHOT, xdp_action};
use aya_ebpf::macros::{classifier, xdp};
use aya_ebpf::programs::{TcContext, XdpContext};
use gate::{Link, Tables, Verdict, judge};

use crate::context::{Context, Tc, Xdp};
use crate::maps::JUDGEMENT;
use crate::tables::KernelTables;

/// XDP: before the kernel has built anything around the packet.
#[xdp(frags)]
pub fn ringfence_xdp(ctx: XdpContext) -> u32 {
    match decide(&Xdp(ctx)) {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

/// TC ingress: where XDP is taken or not to be had.
#[classifier]
pub fn ringfence_tc(ctx: TcContext) -> i32 {
    match decide(&Tc::new(ctx)) {
        // Other classifiers of the administrator go on after us.
        Verdict::Pass => TC_ACT_PIPE,
        Verdict::Drop => TC_ACT_SHOT,
    }
}

#[inline(always)]
fn decide<C: Context>(ctx: &C) -> Verdict {
    let tables = KernelTables::new(ctx);
    let Some(judgement) = JUDGEMENT.get_ptr_mut(0) else { return Verdict::Pass };
    // SAFETY: the slot belongs to this CPU, and the hooks of one packet do not nest; the pointer was checked above.
    let judgement = unsafe { &mut *judgement };
    let link = if tables.raw_ip() { Link::Ip } else { Link::Ethernet };
    judge(ctx, &tables, link, judgement);
    let observe = tables.config().is_some_and(|config| config.flags & gate::layout::OBSERVE != 0);
    report::count(judgement.reason, ctx.total_len());
    if judgement.reason.verdict() == Verdict::Drop || judgement.notes != 0 {
        report::send(ctx, judgement, &tables, observe);
    }
    if observe { Verdict::Pass } else { judgement.reason.verdict() }
}

#[cfg(not(test))]
#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing here can panic; the verifier would refuse the endless loop if the compiler had kept a way to it.
    loop {}
}

/// `bpf_loop` and the coarse clock are not limited to GPL programs; the ring buffer is not either. The kernel asks for
/// a licence string all the same.
#[unsafe(link_section = "license")]
#[unsafe(no_mangle)]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
