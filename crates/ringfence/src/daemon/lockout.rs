//! Whether a policy would lock out who administers this host over SSH right now.

use std::net::IpAddr;
use std::time::Duration;

use host::machine::Session;
use netfilter::packet::Packet;
use netfilter::rules::Verdict;
use netfilter::stack::{Settings, Stack, Way};
use policy::Policy;

use crate::exit::Exit;

/// Refuses a policy under which nobody could come back from where an SSH session comes from now.
pub(crate) fn check(policy: &Policy, sessions: &[Session]) -> Result<(), Exit> {
    // This host reaches itself in other ways.
    let from_elsewhere = sessions.iter().filter(|session| !session.peer.is_loopback());
    match from_elsewhere.into_iter().find(|session| !lets_in(policy, session)) {
        None => Ok(()),
        Some(Session { peer, local, port, .. }) => Err(Exit::No(format!(
            "this policy locks you out: it lets no new SSH session from {peer} to port {port} of {local} in, and there is \
             one now; allow it in the policy, or add `--confirm 60s`, which goes back again unless \
             `ringfence confirm` comes in time"
        ))),
    }
}

/// What the policy says of the first packet of a session like this one.
fn lets_in(policy: &Policy, session: &Session) -> bool {
    let Some(bytes) = syn(session) else { return true };
    let Ok(packet) = Packet::parse(&bytes, bytes.len()) else { return true };
    let mut settings = Settings::default();
    settings.conntrack.checksums = false;
    let mut stack = Stack::new(policy.sets(), settings);
    stack.push(
        &packet.with_interfaces(session.interface.as_deref(), None),
        Way::Input,
        (),
        Duration::from_secs(1),
    );
    stack.judged().is_none_or(|judged| judged.fate.verdict == Verdict::Accept)
}

/// The packet that would ask for the session again.
fn syn(session: &Session) -> Option<Vec<u8>> {
    const SYN: u8 = 0x02;
    const TCP: u8 = 6;
    /// Where a client's port may be.
    const FROM: u16 = 50_000;
    let mut tcp = Vec::from(FROM.to_be_bytes());
    tcp.extend(session.port.to_be_bytes());
    tcp.extend([0, 0, 0, 1, 0, 0, 0, 0, 0x50, SYN, 0xff, 0xff, 0, 0, 0, 0]);
    let length = u16::try_from(tcp.len()).ok()?;
    let mut packet = match (session.peer, session.local) {
        (IpAddr::V4(peer), IpAddr::V4(local)) => {
            let [high, low] = (length + 20).to_be_bytes();
            let mut header = vec![0x45, 0, high, low, 0, 1, 0x40, 0, 64, TCP, 0, 0];
            header.extend(peer.octets());
            header.extend(local.octets());
            let [high, low] = checksum(&header).to_be_bytes();
            for (place, byte) in header.iter_mut().skip(10).zip([high, low]) {
                *place = byte;
            }
            header
        }
        (IpAddr::V6(peer), IpAddr::V6(local)) => {
            let [high, low] = length.to_be_bytes();
            let mut header = vec![0x60, 0, 0, 0, high, low, TCP, 64];
            header.extend(peer.octets());
            header.extend(local.octets());
            header
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => return None,
    };
    packet.extend(tcp);
    Some(packet)
}

/// Of an IPv4 header whose checksum is 0 (RFC 1071).
fn checksum(header: &[u8]) -> u16 {
    let words = header.as_chunks::<2>().0.iter().map(|word| u32::from(u16::from_be_bytes(*word)));
    let sum = words.sum::<u32>();
    let sum = (sum & 0xffff) + (sum >> 16);
    !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(peer: &str, local: &str, interface: &str) -> Session {
        Session {
            peer: peer.parse().unwrap(),
            local: local.parse().unwrap(),
            port: 22,
            interface: Some(interface.to_owned()),
        }
    }

    fn policy(text: &str) -> Policy {
        Policy::parse("test", text.as_bytes().to_vec()).unwrap()
    }

    #[test]
    fn a_policy_without_ssh_locks_out() {
        let v4 = session("203.0.113.5", "198.51.100.1", "eth0");
        let v6 = session("2001:db8::5", "2001:db8::1", "eth0");
        let shipped = policy("");
        assert!(lets_in(&shipped, &v4) && lets_in(&shipped, &v6), "the default policy lets SSH in");
        let none = policy("[services]\nsip = { udp = [5060] }\n");
        assert!(!lets_in(&none, &v4) && !lets_in(&none, &v6));
        let blocked = policy("[block]\nnetworks = [\"203.0.113.0/24\"]\n");
        assert!(!lets_in(&blocked, &v4) && lets_in(&blocked, &v6));
    }

    /// The packet that the trial sends has to be a good one, or the answer says nothing.
    #[test]
    fn the_packet_is_sound() {
        for one in [session("203.0.113.5", "198.51.100.1", "a"), session("2001:db8::5", "2001:db8::1", "a")] {
            let bytes = syn(&one).unwrap();
            let packet = Packet::parse(&bytes, bytes.len()).unwrap();
            assert_eq!(packet.ports(), Some((50_000, 22)));
            assert_eq!(packet.arrival_fault(false), None);
        }
    }

    #[test]
    fn rules_about_interfaces_are_seen() {
        let rules = policy(
            "*filter\n:INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
             -A INPUT -i eth1 -p tcp -m state --state NEW -m tcp --dport 22 -j ACCEPT\nCOMMIT\n",
        );
        assert!(lets_in(&rules, &session("203.0.113.5", "198.51.100.1", "eth1")));
        assert!(!lets_in(&rules, &session("203.0.113.5", "198.51.100.1", "eth0")));
    }
}
