//! The short way of media: of a UDP packet whose connection is known, only addresses, ports and length are asked for.

use std::time::Duration;

use super::{Settings, Stack, Way};
use crate::conntrack::{self, Tuple};
use crate::packet::{Packet, Transport};
use crate::rules::Hook;

/// What is asked for, worked out where the packet is read.
#[derive(Clone, Copy, Debug)]
pub struct Flow<'a> {
    pub(crate) tuple: Tuple,
    /// A number that flows seldom share.
    near: usize,
    pub(crate) hook: Hook,
    pub(crate) interface: Option<&'a str>,
    pub(crate) len: usize,
}

impl<'a> Flow<'a> {
    /// `None` of a packet of which more may be asked: no whole datagram of UDP to or from this host, or one with a fault.
    /// `settings` are the stack's.
    pub fn of(packet: &Packet<'a>, way: Way, settings: &Settings) -> Option<Self> {
        let Transport::Udp(udp) = packet.transport() else { return None };
        let (hook, seen, interface) = match way {
            Way::Input => (Hook::Input, conntrack::Hook::Prerouting, packet.in_interface()),
            Way::Output => (Hook::Output, conntrack::Hook::Output, packet.out_interface()),
            Way::Forward | Way::Loopback => return None,
        };
        let is_faulty = way == Way::Input && packet.arrival_fault(false).is_some();
        if packet.fragment().is_some() || is_faulty || !conntrack::is_sound(packet, seen, &settings.conntrack)
        {
            return None;
        }
        let tuple = Tuple::of_udp(packet, &udp);
        Some(Self { tuple, near: tuple.near(), hook, interface, len: packet.total_len() })
    }
}

impl<T> Stack<T> {
    /// Whether the packet of a flow is accepted as the one before it was; it is followed and counted then. If not, or if it takes
    /// more to tell, nothing has happened, and [`Stack::alone`] tells. Call [`Stack::expire`] before, as for that.
    pub fn accepts_again(&mut self, flow: &Flow<'_>, now: Duration) -> bool {
        let tracks = if flow.tuple.is_ipv4() { self.tracks_v4 } else { self.tracks_v6 };
        if !tracks {
            return false;
        }
        let Some(stream) = self.conntrack.stream(&flow.tuple, flow.near, now) else { return false };
        let accepts = self.rules.accepts_again(flow, stream.state, stream.known);
        if accepts {
            self.conntrack.renew(&stream, now);
        }
        accepts
    }
}
