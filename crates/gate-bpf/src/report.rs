//! What user space learns: counters always, events while this CPU's budget for the second lasts.

use gate::layout::{Budget, Count, Event};
use gate::reason::REASONS;
use gate::{Judgement, Reason};

use crate::clock;
use crate::context::{Context, opaque};
use crate::maps::{EVENTS, config};

const SECOND: u64 = 1_000_000_000;

/// One more packet of that reason.
#[inline(always)]
pub fn count(counts: &mut [Count; REASONS], reason: Reason, bytes: usize) {
    // The verifier does not know that the stack holds a reason; hidden from the compiler, the check stays.
    if let Some(count) = counts.get_mut(opaque(reason as usize)) {
        count.packets += 1;
        count.bytes += bytes as u64;
    }
}

/// Sends an event, or counts it as lost. Not inlined, so that its stack is its own.
#[inline(never)]
pub fn send<C: Context>(ctx: &C, budget: &mut Budget, judgement: &Judgement, observed: bool) {
    let packet = &judgement.packet;
    let now = clock::now();
    if !within_budget(budget, now) {
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
        None => budget.lost += 1,
    }
}

/// Whether this CPU may send one more event in this second.
#[inline(always)]
fn within_budget(budget: &mut Budget, now: u64) -> bool {
    if now - budget.since >= SECOND {
        budget.since = now;
        budget.sent = 0;
    }
    if budget.sent >= u64::from(config().events_per_second) {
        budget.lost += 1;
        return false;
    }
    budget.sent += 1;
    true
}
