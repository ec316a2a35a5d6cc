//! One frame, with what can be told without any other.

use capture::Frame;
use capture::link::{Decoded, Payload, decode};
use netfilter::packet::{Malformed, Packet, Transport};
use netfilter::stack::{Flow, Way};
use policy::detection::SipPorts;

use super::Asked;
use crate::command::replay::course::Course;
use crate::command::replay::locals::Locals;

/// A frame with what can be told without any other.
#[derive(Clone, Copy, Debug)]
pub(in crate::command::replay) struct Prepared<'a> {
    pub(in crate::command::replay) frame: Frame<'a>,
    pub(in crate::command::replay) decoded: Decoded<'a>,
    /// Of IP, with the interfaces that its way has.
    pub(in crate::command::replay) packet: Option<Result<Packet<'a>, Malformed>>,
    /// Of a packet that could be read.
    pub(in crate::command::replay) course: Course,
}

impl<'a> Prepared<'a> {
    pub(in crate::command::replay) fn of(
        frame: Frame<'a>,
        locals: &Locals,
        interface: Option<&'a str>,
    ) -> Self {
        let decoded = decode(&frame);
        let mut packet = match decoded.payload {
            Payload::Ip { data, wire_len } => Some(Packet::parse(data, wire_len)),
            Payload::Other(_) | Payload::Cut | Payload::Unsupported(_) => None,
        };
        let course = match &mut packet {
            Some(Ok(packet)) => {
                let course = Course::of(packet, &decoded, locals);
                let name = if course.is_loopback { Some("lo") } else { frame.interface.or(interface) };
                match course.way {
                    Some(Way::Input | Way::Forward) => packet.set_interfaces(name, None),
                    Some(Way::Output) => packet.set_interfaces(None, name),
                    Some(Way::Loopback) => packet.set_interfaces(name, name),
                    None => {}
                }
                course
            }
            Some(Err(_)) | None => Course::default(),
        };
        Self { frame, decoded, packet, course }
    }

    /// The payload of a whole datagram between ports that the engine asks for.
    pub(super) fn sip(&self, ports: &SipPorts) -> Option<&'a [u8]> {
        let Some(Ok(packet)) = &self.packet else { return None };
        let is_asked_for = packet.fragment().is_none() && may_be(packet, ports);
        is_asked_for.then(|| datagram(packet)).flatten()
    }

    /// The flow, where it may be enough, and the length of the datagram.
    pub(super) fn flow(&self, asked: Asked<'a>) -> Option<(Flow<'a>, usize)> {
        let (Some(Ok(packet)), Some(ports), Some(settings)) = (&self.packet, asked.ports, asked.flows) else {
            return None;
        };
        if self.course.is_loopback || may_be(packet, ports) {
            return None;
        }
        Some((Flow::of(packet, self.course.way?, settings)?, packet.total_len()))
    }
}

fn may_be(packet: &Packet<'_>, ports: &SipPorts) -> bool {
    let Transport::Udp(udp) = packet.transport() else { return false };
    may_be_sip((udp.source, udp.destination), ports)
}

/// Whether the engine may ask for a datagram of UDP between these ports.
pub(super) fn may_be_sip((source, destination): (u16, u16), ports: &SipPorts) -> bool {
    let is_asked_for = |port: u16| port == crate::detection::SIP || ports.has_udp(port);
    is_asked_for(source) || is_asked_for(destination)
}

/// The payload of a whole UDP datagram.
pub(in crate::command::replay) fn datagram<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    let Transport::Udp(udp) = packet.transport() else { return None };
    let data = packet.payload().get(8..).unwrap_or_default();
    // What lies behind the length of UDP is no part of it.
    let len = usize::from(udp.len).saturating_sub(8);
    Some(data.get(..len).unwrap_or(data))
}

#[cfg(test)]
mod tests {
    use policy::Policy;

    use super::*;
    use crate::detection::Detection;

    /// The short way of media asks for no bans and shows the engine nothing: whatever either may be about has to be taken for SIP.
    #[test]
    fn what_the_engine_asks_for_may_be_sip() {
        let policies: [&str; 3] = [
            "",
            "[services]\nsip = { udp = [5080, \"6000-6010\"], tcp = [5061], inspect = true }\n",
            "[services]\nrtp = { udp = [\"10000-20000\"] }\nodd = { udp = [10001], inspect = true }\n",
        ];
        for text in policies {
            let policy = Policy::parse("test.toml", text.as_bytes().to_vec()).expect("a policy");
            let (detection, ports) = (Detection::new(&policy, 0), &policy.detection().ports);
            let some =
                [0, 53, 5059, 5060, 5061, 5080, 5999, 6000, 6010, 6011, 10_000, 10_001, 20_000, 65_535];
            let mut asked_for = 0;
            for (source, destination) in some.into_iter().flat_map(|one| some.map(|other| (one, other))) {
                // The local port is the destination's of what comes in, the source's of what goes out.
                let is_asked_for =
                    [(destination, source), (source, destination)].into_iter().any(|(local, remote)| {
                        detection.guards(false, local) || detection.wants(false, local, remote)
                    });
                asked_for += u32::from(is_asked_for);
                assert!(
                    !is_asked_for || may_be_sip((source, destination), ports),
                    "{source} > {destination}"
                );
            }
            assert!(asked_for > 20, "{text}: {asked_for}");
        }
    }
}
