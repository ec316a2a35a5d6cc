//! What user space learns: counters always, events as far as this CPU's budget goes.

use gate::decode::{TCP, UDP};
use gate::layout::{Budget, CAPTURES, Count, EVENT_SIZE, Event, MAX_CAPTURE, SHARES, Share};
use gate::reason::REASONS;
use gate::{Fragment, Judgement, Packet, Reason, Verdict};

use crate::clock;
use crate::context::{Context, opaque};
use crate::maps::{EVENTS, RECORD, config};

/// An event with room for what it brings.
#[repr(C)]
pub struct Record {
    pub event: Event,
    pub capture: [u8; MAX_CAPTURE],
}

/// What an event is about, beside the packet.
#[derive(Clone, Copy)]
pub struct About {
    /// The packet was let through though it should be dropped.
    pub observed: bool,
    pub outgoing: bool,
    pub share: Share,
}

impl About {
    /// A packet that came in.
    #[inline(always)]
    pub fn incoming(judgement: &Judgement, observed: bool) -> Self {
        let dropped = judgement.reason.verdict() == Verdict::Drop;
        let share = if dropped && !observed && judgement.reason.is_unread() {
            Share::Unread
        } else if dropped && judgement.reason.is_of_a_crowd() {
            Share::Crowd
        } else if dropped || judgement.notes != 0 {
            Share::Urgent
        } else {
            Share::Passing
        };
        Self { observed, outgoing: false, share }
    }
}

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
pub fn send<C: Context>(ctx: &C, budgets: &mut [Budget; SHARES], judgement: &Judgement, about: About) {
    let packet = &judgement.packet;
    let [passing, urgent, crowd] = budgets;
    let most = u64::from(config().events_per_second);
    // A crowd may have at once what comes with a tick of a slow clock (a hundredth of a second), as whatever it has waits in front
    // of what is urgent. The others may have a quarter of a second's.
    let (budget, rate, burst) = match about.share {
        Share::Passing => (passing, most, most / 4 + 1),
        Share::Urgent => (urgent, most / 4, most / 16 + 1),
        Share::Crowd | Share::Unread => (crowd, most / 4, most / 256 + 1),
    };
    if !budget.take(rate, burst, clock::now()) {
        return;
    }
    let Some(record) = RECORD.get_ptr_mut(0) else { return };
    // SAFETY: the slot belongs to this CPU, and the hooks of one packet do not nest; the pointer was checked above.
    let record = unsafe { &mut *record };
    let (offset, payload, sequence, acknowledgment) = payload(ctx, packet);
    let mut captured = 0;
    let is_read = config().flags & CAPTURES != 0 && about.share != Share::Unread;
    if payload > 0 && is_read && packet.fragment == Fragment::Whole {
        let most = if payload < MAX_CAPTURE as u32 { payload } else { MAX_CAPTURE as u32 };
        // The verifier must see that it is 1 to `MAX_CAPTURE`.
        let count = (opaque((most as usize).wrapping_sub(1)) & (MAX_CAPTURE - 1)) + 1;
        if ctx.copy(offset, record.capture.as_mut_ptr(), count as u32) {
            captured = count;
        }
    }
    record.event = Event {
        time: clock::exact(),
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
        observed: u8::from(about.observed),
        outgoing: u8::from(about.outgoing),
        tcp_flags: packet.tcp_flags,
        captured: captured as u16,
        payload: payload as u16,
        sequence,
        acknowledgment,
        reserved: 0,
    };
    let size = EVENT_SIZE + (opaque(captured) & (2 * MAX_CAPTURE - 1)).min(MAX_CAPTURE);
    // SAFETY: the record is at least as long as said, and all of it was written at some time.
    let bytes = unsafe { core::slice::from_raw_parts(core::ptr::from_mut(record).cast::<u8>(), size) };
    if EVENTS.output_untyped::<[u8]>(bytes, 0).is_err() {
        budget.lost += 1;
    }
}

/// Where the payload of UDP or TCP begins in the frame, how many bytes it has, and TCP's two numbers.
#[inline(always)]
fn payload<C: Context>(ctx: &C, packet: &Packet) -> (u32, u32, u32, u32) {
    let transport = u32::from(packet.transport);
    let end = u32::from(packet.network) + u32::from(packet.length);
    let (header, sequence, acknowledgment) = match packet.protocol {
        UDP => (8, 0, 0),
        TCP => match ctx.direct::<13>(transport) {
            Some([_, _, _, _, a, b, c, d, e, f, g, h, offset]) => (
                u32::from(offset >> 4) * 4,
                u32::from_be_bytes([*a, *b, *c, *d]),
                u32::from_be_bytes([*e, *f, *g, *h]),
            ),
            None => return (0, 0, 0, 0),
        },
        _ => return (0, 0, 0, 0),
    };
    (transport + header, end.saturating_sub(transport + header), sequence, acknowledgment)
}
