//! What the engine is shown of a capture, and what it says.

use std::collections::VecDeque;
use std::net::SocketAddr;

use engine::{Command, Direction, Enforcer, Fate, Observation, Reading, Segment, Stop, Transport};
use netfilter::packet::{self, Packet, tcp_flags};
use netfilter::stack::Way;

use super::Judge;
use crate::command::replay::ahead::datagram;
use crate::command::replay::record::{Decision, End, Place, Reason, Record};

/// What one fragment of a UDP datagram holds.
#[derive(Clone, Debug)]
pub(super) struct Piece {
    offset: usize,
    data: Vec<u8>,
}

/// A datagram has no more.
const MAX_DATAGRAM: usize = 65_535;

impl Piece {
    /// `None` for what is whole or no UDP.
    pub(super) fn of(packet: &Packet<'_>) -> Option<Self> {
        let fragment = packet.fragment()?;
        let is_udp = packet.protocol() == Some(packet::protocol::UDP);
        is_udp.then(|| Self { offset: fragment.offset, data: packet.payload().to_vec() })
    }
}

/// The engine's word for a verdict.
pub(super) fn fate_of(verdict: Decision, reason: Reason) -> Fate {
    match (verdict, reason) {
        (Decision::Accept, _) => Fate::Passed,
        (Decision::Drop | Decision::Reject, Reason::Banned) => Fate::Banned,
        (Decision::Drop | Decision::Reject, Reason::Signature) => Fate::Signature,
        (Decision::Drop | Decision::Reject, _) => Fate::Refused,
    }
}

impl Judge<'_> {
    /// Whether a packet to this host is stopped for its sender's sake. As the gate does, ask before any rule.
    pub(super) fn stop(&mut self, packet: &Packet<'_>) -> Option<Stop> {
        let (_, port) = packet.ports()?;
        let is_tcp = is_tcp(packet)?;
        if !self.detection.guards(is_tcp, port) {
            return None;
        }
        self.enforcer.judge(packet.source(), self.now)
    }

    /// Shows the engine a whole packet.
    pub(super) fn observe(
        &mut self,
        packet: &Packet<'_>,
        reading: Option<Reading<'_, '_>>,
        way: Way,
        fate: Fate,
        frame: u64,
    ) {
        let (transport, bytes, ports) = match packet.transport() {
            packet::Transport::Udp(udp) => {
                // Most packets are media, which nobody asks for.
                if !self.asks_for(way, false, (udp.source, udp.destination)) {
                    return;
                }
                (Transport::Udp, datagram(packet).unwrap_or_default(), (udp.source, udp.destination))
            }
            packet::Transport::Tcp(tcp) => {
                let flag = |flag| tcp.flags & flag != 0;
                let segment = Segment {
                    sequence: tcp.sequence,
                    acknowledgment: tcp.acknowledgement,
                    syn: flag(tcp_flags::SYN),
                    ack: flag(tcp_flags::ACK),
                    fin: flag(tcp_flags::FIN),
                    rst: flag(tcp_flags::RST),
                };
                (Transport::Tcp(segment), tcp.data, (tcp.source, tcp.destination))
            }
            packet::Transport::Icmp(_)
            | packet::Transport::Icmpv6(_)
            | packet::Transport::Later
            | packet::Transport::Other
            | packet::Transport::Ports { .. }
            | packet::Transport::Truncated
            | packet::Transport::UdpLite(_) => return,
        };
        let seen = Seen { transport, bytes, reading, fate, frame, is_cut: packet.is_cut() };
        let source = SocketAddr::new(packet.source(), ports.0);
        let destination = SocketAddr::new(packet.destination(), ports.1);
        self.show(&seen, way, source, destination);
    }

    /// Shows the engine a datagram that came in fragments.
    pub(super) fn observe_pieces(&mut self, pieces: &[Piece], place: &Place, way: Way, fate: Fate) {
        let len = pieces.iter().map(|piece| piece.offset + piece.data.len()).max().unwrap_or(0);
        let mut whole = vec![0; len.min(MAX_DATAGRAM)];
        for Piece { offset, data } in pieces {
            if let Some(room) = whole.get_mut(*offset..) {
                room.iter_mut().zip(data).for_each(|(to, from)| *to = *from);
            }
        }
        let Some((&[s0, s1, d0, d1, l0, l1, _, _], data)) = whole.split_first_chunk::<8>() else { return };
        let len = usize::from(u16::from_be_bytes([l0, l1])).saturating_sub(8);
        let address = |end| match end {
            End::Address(address) => Some(address),
            End::Socket(socket) => Some(socket.ip()),
            End::Link(_) | End::Unknown => None,
        };
        let (Some(source), Some(destination)) = (address(place.source), address(place.destination)) else {
            return;
        };
        let seen = Seen {
            transport: Transport::Udp,
            bytes: data.get(..len).unwrap_or(data),
            reading: None,
            fate,
            frame: place.frame,
            is_cut: false,
        };
        let source = SocketAddr::new(source, u16::from_be_bytes([s0, s1]));
        let destination = SocketAddr::new(destination, u16::from_be_bytes([d0, d1]));
        self.show(&seen, way, source, destination);
    }

    /// Whether the engine wants to see what goes this way between these ports.
    fn asks_for(&self, way: Way, is_tcp: bool, (source, destination): (u16, u16)) -> bool {
        match way {
            Way::Input => self.detection.wants(is_tcp, destination, source),
            Way::Output => self.detection.wants(is_tcp, source, destination),
            // The host talks to itself, or others talk through it.
            Way::Forward | Way::Loopback => false,
        }
    }

    fn show(&mut self, seen: &Seen<'_>, way: Way, source: SocketAddr, destination: SocketAddr) {
        let direction = match way {
            Way::Input => Direction::In,
            Way::Output => Direction::Out,
            Way::Forward | Way::Loopback => return,
        };
        let is_tcp = matches!(seen.transport, Transport::Tcp(_));
        if !self.asks_for(way, is_tcp, (source.port(), destination.port())) {
            return;
        }
        let observation = Observation {
            source,
            destination,
            direction,
            transport: seen.transport,
            bytes: seen.bytes,
            is_cut: seen.is_cut,
            fate: seen.fate,
            frame: seen.frame,
        };
        let (enforcer, decided) = (&mut self.enforcer, &mut self.decided);
        let apply = |command| obey(enforcer, decided, command);
        match seen.reading {
            Some(reading) => self.detection.see_reading(&observation, reading, self.now, apply),
            None => self.detection.see(&observation, self.now, apply),
        }
    }

    /// Lets the engine see how late it is.
    pub(super) fn pass_time(&mut self) {
        let (enforcer, decided) = (&mut self.enforcer, &mut self.decided);
        self.detection.tick(self.now, |command| obey(enforcer, decided, command));
    }
}

fn obey(enforcer: &mut Enforcer, decided: &mut VecDeque<Record>, command: Command) {
    enforcer.apply(&command);
    // How far a source is believed is the gate's affair.
    if !matches!(command, Command::Trust { .. }) {
        decided.push_back(Record::Command(command));
    }
}

/// What is shown of a packet beside its ends.
struct Seen<'a> {
    transport: Transport,
    bytes: &'a [u8],
    reading: Option<Reading<'a, 'a>>,
    fate: Fate,
    frame: u64,
    is_cut: bool,
}

fn is_tcp(packet: &Packet<'_>) -> Option<bool> {
    match packet.protocol()? {
        packet::protocol::TCP => Some(true),
        packet::protocol::UDP => Some(false),
        _ => None,
    }
}
