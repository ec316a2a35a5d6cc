//! The short way of media: of a UDP packet whose connection is known, only addresses, ports and length are asked for.

use std::cell::Cell;
use std::time::Duration;

use super::{Settings, Stack, Way};
use crate::conntrack::{self, Found, Tuple};
use crate::packet::{Packet, Transport};
use crate::rules::Hook;

/// What the packets of a flow have in common, worked out where one of them is read. One stack is asked about it.
#[derive(Clone, Debug)]
pub struct Flow<'a> {
    pub(crate) tuple: Tuple,
    /// A number that flows seldom share.
    pub(crate) near: usize,
    pub(crate) hook: Hook,
    pub(crate) interface: Option<&'a str>,
    /// Its connection, once the stack was asked.
    pub(crate) found: Cell<Option<Found>>,
}

impl<'a> Flow<'a> {
    /// `None` of a packet of which more may be asked: no whole datagram of UDP to or from this host, or one with a fault.
    /// `settings` are the stack's.
    pub fn of(packet: &Packet<'a>, way: Way, settings: &Settings) -> Option<Self> {
        let Transport::Udp(udp) = packet.transport() else { return None };
        let (seen, interface) = match way {
            Way::Input => (conntrack::Hook::Prerouting, packet.in_interface()),
            Way::Output => (conntrack::Hook::Output, packet.out_interface()),
            Way::Forward | Way::Loopback => return None,
        };
        let is_faulty = way == Way::Input && packet.arrival_fault(false).is_some();
        if packet.fragment().is_some() || is_faulty || !conntrack::is_sound(packet, seen, &settings.conntrack)
        {
            return None;
        }
        Self::new(Tuple::of_udp(packet, &udp), way, interface)
    }

    pub(super) fn new(tuple: Tuple, way: Way, interface: Option<&'a str>) -> Option<Self> {
        let hook = match way {
            Way::Input => Hook::Input,
            Way::Output => Hook::Output,
            Way::Forward | Way::Loopback => return None,
        };
        Some(Self { tuple, near: tuple.near(), hook, interface, found: Cell::default() })
    }
}

impl<T> Stack<T> {
    /// Whether a packet of `len` bytes ([`Packet::total_len`]) of a flow is accepted as the one before it was; it is followed and
    /// counted then. If not, or if it takes more to tell, nothing has happened, and [`Stack::alone`] tells. Call
    /// [`Stack::expire`] before, as for that.
    pub fn accepts_again(&mut self, flow: &Flow<'_>, len: usize, now: Duration) -> bool {
        let tracks = if flow.tuple.is_ipv4() { self.tracks_v4 } else { self.tracks_v6 };
        if !tracks {
            return false;
        }
        let Some(stream) = self.conntrack.stream(flow, now) else { return false };
        let accepts = self.rules.accepts_again(flow, len, stream.state, stream.known);
        if accepts {
            self.conntrack.renew(&stream, now);
        }
        accepts
    }
}
