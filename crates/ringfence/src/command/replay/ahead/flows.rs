//! Flows met lately: what all packets of one have in common is found out once.

use capture::link::{Decoded, Payload, decode};
use capture::{Direction, Frame};
use netfilter::stack::{Flow, Plain, Way};

use super::Asked;
use super::prepared::may_be_sip;
use crate::command::replay::course::Course;

/// What is known of flows, each in a place that others may take over.
#[derive(Debug)]
pub(super) struct Flows {
    places: Vec<Option<Known>>,
}

/// Places.
const FLOWS: usize = 1 << 11;

#[derive(Clone, Copy, Debug)]
struct Known {
    ends: Ends,
    /// Which way its packets go; `None` of those for which the flow is not enough.
    way: Option<Way>,
    interface: Option<usize>,
    /// The batch in whose list it is, and its place there.
    round: u64,
    at: usize,
}

/// What is told by the headers about the way: addresses, ports, and what the link header says.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Ends {
    addresses: u64,
    ports: u32,
    link: u32,
}

impl Default for Flows {
    /// Of which nothing is known.
    fn default() -> Self {
        Self { places: vec![None; FLOWS] }
    }
}

impl Flows {
    /// The place of a plain frame's flow in `list`, where new ones are added, and the length of its datagram. `None` where the flow
    /// is not enough. `round` is the number of the batch whose flows are listed, `interface` that of the frame's interface in it.
    pub(super) fn find<'a>(
        &mut self,
        frame: &Frame<'a>,
        interface: Option<usize>,
        asked: Asked<'a>,
        round: u64,
        list: &mut Vec<Flow<'a>>,
    ) -> Option<(usize, usize)> {
        let settings = asked.flows?;
        let decoded = decode(frame);
        let Payload::Ip { data, .. } = decoded.payload else { return None };
        let plain = Plain::read(data)?;
        let ends = Ends::of(&plain, &decoded);
        let place = self.places.get_mut(ends.place())?;
        let known = match place {
            Some(known) if known.ends == ends => known,
            Some(_) | None => place.insert(Known {
                ends,
                way: way(&plain, &decoded, asked),
                interface,
                round: u64::MAX,
                at: 0,
            }),
        };
        let way = known.way?;
        if !plain.is_sound(way, settings) {
            return None;
        }
        if known.round != round || known.interface != interface {
            list.push(plain.flow(way, frame.interface.or(asked.interface))?);
            (known.round, known.interface, known.at) = (round, interface, list.len() - 1);
        }
        Some((known.at, plain.len))
    }
}

/// Which way such packets go, where they are neither SIP nor the host's own affair.
fn way(plain: &Plain<'_>, decoded: &Decoded<'_>, asked: Asked<'_>) -> Option<Way> {
    if may_be_sip((plain.source_port, plain.destination_port), asked.ports?) {
        return None;
    }
    let course = Course::between(plain.source.into(), plain.destination.into(), decoded, asked.locals);
    let way = course.way?;
    // None of what is forwarded, or the host sends to itself.
    plain.flow(way, None).map(|_| way)
}

impl Ends {
    fn of(plain: &Plain<'_>, decoded: &Decoded<'_>) -> Self {
        let addresses = u64::from(plain.source.to_bits()) << 32 | u64::from(plain.destination.to_bits());
        let ports = u32::from(plain.source_port) << 16 | u32::from(plain.destination_port);
        let direction = match decoded.direction {
            None => 0,
            Some(Direction::Incoming) => 1,
            Some(Direction::Outgoing) => 2,
        };
        let loopback = match decoded.loopback {
            None => 0,
            Some(false) => 1,
            Some(true) => 2,
        };
        let link =
            u32::from(decoded.to_group) << 3 | u32::from(decoded.other_host) << 2 | loopback << 8 | direction;
        Self { addresses, ports, link }
    }

    /// Seldom that of others, unless somebody wants that.
    fn place(&self) -> usize {
        const ODD: u64 = 0x9e37_79b9_7f4a_7c15;
        let mixed = self.addresses.rotate_left(32) ^ u64::from(self.ports).wrapping_mul(ODD);
        usize::try_from(mixed.wrapping_mul(ODD) >> 40).unwrap_or_default() % FLOWS
    }
}
