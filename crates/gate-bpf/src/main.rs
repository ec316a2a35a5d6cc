//! The kernel half of the gate: hooks, maps, and the three things that only the kernel can do for the verdict (read the
//! packet, walk the automaton over it, ask the routing table).
//!
//! The decision itself is `gate::judge`, the same code that replay runs.
#![no_std]
#![no_main]
#![feature(asm_experimental_arch)]

mod clock;
mod context;
mod maps;
mod report;
mod tables;

use aya_ebpf::bindings::{TC_ACT_SHOT, TC_ACT_UNSPEC, xdp_action};
use aya_ebpf::macros::{cgroup_skb, classifier, xdp};
use aya_ebpf::programs::{SkBuffContext, TcContext, XdpContext};
use gate::decode::{TCP, UDP};
use gate::layout::{
    ALL_PROTOCOLS, ALL_TCP_PORTS, ALL_UDP_PORTS, CAPTURES, MARKED, OBSERVE, REPORT_ALL, Share, TAG_MASK,
};
use gate::{Fragment, Judgement, Link, Reason, Tables, Verdict, decode, judge};

use crate::context::{Context, Skb, Xdp};
use crate::maps::{CPU, config};
use crate::report::About;
use crate::tables::KernelTables;

/// XDP: before the kernel has built anything around the packet.
#[xdp(frags)]
pub fn ringfence_xdp(ctx: XdpContext) -> u32 {
    xdp(ctx, Link::Ethernet)
}

/// The same for interfaces whose frames begin with the network header.
#[xdp(frags)]
pub fn ringfence_xdp_ip(ctx: XdpContext) -> u32 {
    xdp(ctx, Link::Ip)
}

/// TC ingress: where XDP is taken or not to be had.
#[classifier]
pub fn ringfence_tc(ctx: TcContext) -> i32 {
    tc(ctx, Link::Ethernet)
}

/// The same for interfaces whose frames begin with the network header.
#[classifier]
pub fn ringfence_tc_ip(ctx: TcContext) -> i32 {
    tc(ctx, Link::Ip)
}

/// Between reassembly and the socket: a text that no single fragment holds is found here. nftables has marked the
/// datagrams that came in fragments; a cgroup's hook sees the sockets of all network namespaces, so the mark also tells
/// whose they are.
#[cgroup_skb(ingress)]
pub fn ringfence_sock(ctx: SkBuffContext) -> i32 {
    const PASS: i32 = 1;
    const DROP: i32 = 0;
    let ctx = Skb::<true>::new(ctx.skb.skb);
    let config = config();
    if config.tag == 0 || ctx.mark() & TAG_MASK != config.tag {
        return PASS;
    }
    let tables = KernelTables::new(&ctx);
    let Some(cpu) = CPU.get_ptr_mut(0) else { return PASS };
    // SAFETY: as in `decide`.
    let cpu = unsafe { &mut *cpu };
    let judgement = judgement(&mut cpu.judgement);
    judge(&ctx, &tables, Link::Ip, &mut cpu.found, judgement);
    let dropped = judgement.reason.verdict() == Verdict::Drop;
    let observed = dropped && config.flags & OBSERVE != 0;
    if dropped {
        report::count(&mut cpu.counts, judgement.reason, ctx.total_len());
    }
    // Its fragments were counted and told when they came, but what is in it is known only now.
    if dropped || config.flags & CAPTURES != 0 && judgement.reason != Reason::Unguarded {
        report::send(&ctx, &mut cpu.budgets, judgement, About::incoming(judgement, observed));
    }
    if dropped && !observed { DROP } else { PASS }
}

/// TC egress: what this host answers from a guarded port. Judges nothing.
#[classifier]
pub fn ringfence_out(ctx: TcContext) -> i32 {
    watch(ctx, Link::Ethernet)
}

/// The same for interfaces whose frames begin with the network header.
#[classifier]
pub fn ringfence_out_ip(ctx: TcContext) -> i32 {
    watch(ctx, Link::Ip)
}

#[inline(always)]
fn xdp(ctx: XdpContext, link: Link) -> u32 {
    match decide(&Xdp(ctx), link) {
        Verdict::Pass => xdp_action::XDP_PASS,
        Verdict::Drop => xdp_action::XDP_DROP,
    }
}

#[inline(always)]
fn tc(ctx: TcContext, link: Link) -> i32 {
    let ctx = Skb::<false>::new(ctx.skb.skb);
    ctx.pull_headers();
    match decide(&ctx, link) {
        // Other programs on the interface go on after us: in a chain of TC links any other value ends it.
        Verdict::Pass => TC_ACT_UNSPEC,
        Verdict::Drop => TC_ACT_SHOT,
    }
}

#[inline(always)]
fn decide<C: Context>(ctx: &C, link: Link) -> Verdict {
    let tables = KernelTables::new(ctx);
    let Some(cpu) = CPU.get_ptr_mut(0) else { return Verdict::Pass };
    // SAFETY: the slot belongs to this CPU, and the hooks of one packet do not nest; the pointer was checked above.
    let cpu = unsafe { &mut *cpu };
    let judgement = judgement(&mut cpu.judgement);
    judge(ctx, &tables, link, &mut cpu.found, judgement);
    let flags = config().flags;
    let dropped = judgement.reason.verdict() == Verdict::Drop;
    let observed = dropped && flags & OBSERVE != 0;
    if judgement.reason == Reason::Banned && judgement.packet.source == MARKED {
        return Verdict::Drop;
    }
    report::count(&mut cpu.counts, judgement.reason, ctx.size(&judgement.packet));
    let matters = dropped || judgement.notes != 0;
    if matters || flags & REPORT_ALL != 0 || flags & CAPTURES != 0 && is_captured(judgement) {
        report::send(ctx, &mut cpu.budgets, judgement, About::incoming(judgement, observed));
    }
    if observed { Verdict::Pass } else { judgement.reason.verdict() }
}

/// Whether user space wants to see a packet that passes: all of one to a guarded port.
#[inline(always)]
fn is_captured(judgement: &Judgement) -> bool {
    match judgement.reason {
        Reason::Clean | Reason::Exempt => judgement.packet.fragment == Fragment::Whole,
        _ => false,
    }
}

#[inline(always)]
fn watch(ctx: TcContext, link: Link) -> i32 {
    let ctx = Skb::<false>::new(ctx.skb.skb);
    let flags = config().flags;
    if flags & CAPTURES == 0 {
        return TC_ACT_UNSPEC;
    }
    ctx.pull_headers();
    let Some(cpu) = CPU.get_ptr_mut(0) else { return TC_ACT_UNSPEC };
    // SAFETY: as in `decide`.
    let cpu = unsafe { &mut *cpu };
    let judgement = judgement(&mut cpu.judgement);
    if decode(&ctx, link, &mut judgement.packet).is_err() {
        return TC_ACT_UNSPEC;
    }
    let tables = KernelTables::new(&ctx);
    let packet = &judgement.packet;
    let (index, all) = match packet.protocol {
        UDP => (0, ALL_UDP_PORTS),
        TCP => (1, ALL_TCP_PORTS),
        _ => return TC_ACT_UNSPEC,
    };
    if flags & (all | ALL_PROTOCOLS) != 0 || tables.guards(index, packet.source_port) {
        judgement.reason = Reason::Clean;
        let about = About { observed: false, outgoing: true, share: Share::Passing };
        report::send(&ctx, &mut cpu.budgets, judgement, about);
    }
    TC_ACT_UNSPEC
}

/// The room for a verdict, with nothing judged yet.
#[inline(always)]
fn judgement(room: &mut [u64; 16]) -> &mut Judgement {
    const { assert!(size_of::<Judgement>() <= size_of::<[u64; 16]>() && align_of::<Judgement>() <= 8) };
    let judgement = room.as_mut_ptr().cast::<Judgement>();
    // SAFETY: the room is large enough and aligned, as was just asserted, and is written before it is read as a verdict.
    unsafe {
        judgement.write(Judgement::NONE);
        &mut *judgement
    }
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
