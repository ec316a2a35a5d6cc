//! What user space learns: counters always, events while this CPU's budget for the second lasts.

use aya_ebpf::helpers::bpf_ktime_get_boot_ns;
use gate::layout::{Config, Event};
use gate::{Judgement, Reason, Tables};

use crate::context::Context;
use crate::maps::{BUDGET, COUNTS, EVENTS};
use crate::tables::KernelTables;

const SECOND: u64 = 1_000_000_000;

/// One more packet of that reason.
#[inline(always)]
pub fn count(reason: Reason, bytes: usize) {
    if let Some(count) = COUNTS.get_ptr_mut(reason as u32) {
        // SAFETY: the slot belongs to this CPU, and a program is not interrupted by itself there; the pointer was
        // checked by the look-up.
        unsafe {
            (*count).packets += 1;
            (*count).bytes += bytes as u64;
        }
    }
}

/// Sends an event, or counts it as lost.
#[inline(always)]
pub fn send<C: Context>(ctx: &C, judgement: &Judgement, tables: &KernelTables<'_, C>, observed: bool) {
    let packet = &judgement.packet;
    let Some(config) = tables.config() else { return };
    // SAFETY: the helper has no arguments and no preconditions.
    let now = unsafe { bpf_ktime_get_boot_ns() };
    if !within_budget(config, now) {
        return;
    }
    let event = Event {
        time: now,
        source: packet.source,
        destination: packet.destination,
        interface: ctx.interface(),
        rule: judgement.rule,
        signature: judgement.signature,
        notes: judgement.notes,
        source_port: packet.source_port,
        destination_port: packet.destination_port,
        length: packet.length,
        family: packet.family as u8,
        protocol: packet.protocol,
        reason: judgement.reason as u8,
        observed: u8::from(observed),
        reserved: [0; 6],
    };
    match EVENTS.reserve(0) {
        Some(mut entry) => {
            entry.write(event);
            entry.submit(0);
        }
        None => lose(),
    }
}

/// Whether this CPU may send one more event in this second.
#[inline(always)]
fn within_budget(config: &Config, now: u64) -> bool {
    let Some(budget) = BUDGET.get_ptr_mut(0) else { return false };
    // SAFETY: as in `count`.
    unsafe {
        if now - (*budget).since >= SECOND {
            (*budget).since = now;
            (*budget).sent = 0;
        }
        if (*budget).sent >= u64::from(config.events_per_second) {
            (*budget).lost += 1;
            return false;
        }
        (*budget).sent += 1;
        true
    }
}

#[inline(always)]
fn lose() {
    if let Some(budget) = BUDGET.get_ptr_mut(0) {
        // SAFETY: as in `count`.
        unsafe { (*budget).lost += 1 };
    }
}
