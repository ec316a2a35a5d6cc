//! What the fuzz target and the replay of its corpus run: packets in any order.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crate::{Command, Direction, Engine, Fate, Limits, Observation, Segment, Settings, Transport};

/// Packets, each behind four bytes: who and how, what time passed, and the length in two.
pub fn traffic(data: &[u8]) -> Vec<Command> {
    let limits = Limits { sources: 64, connections: 16 };
    let mut engine = Engine::new(&Settings::default(), limits, Vec::new(), 1);
    let mut commands = Vec::new();
    let mut now = Duration::from_secs(1_700_000_000);
    let mut rest = data;
    let mut sequence = 1000_u32;
    while let Some((&[who, time, high, low], after)) = rest.split_first_chunk::<4>() {
        let len = usize::from(u16::from_be_bytes([high & 7, low])).min(after.len());
        let (bytes, others) = after.split_at_checked(len).unwrap_or((after, &[]));
        rest = others;
        now += Duration::from_millis(u64::from(time) * u64::from(time));
        let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, who & 15)), 5060);
        let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 5060);
        let direction = if who & 16 == 0 { Direction::In } else { Direction::Out };
        let (source, destination) = if who & 16 == 0 { (peer, local) } else { (local, peer) };
        let transport = if who & 32 == 0 {
            Transport::Udp
        } else {
            let segment = Segment {
                sequence,
                acknowledgment: sequence,
                syn: high & 0x80 != 0,
                ack: high & 0x40 != 0,
                fin: high & 0x20 != 0,
                rst: high & 0x10 != 0,
            };
            Transport::Tcp(segment)
        };
        sequence = sequence.wrapping_add(u32::try_from(len).unwrap_or(0));
        let fate = match who >> 6 {
            0 | 1 => Fate::Passed,
            2 => Fate::Refused,
            _ => Fate::Signature,
        };
        let observation = Observation {
            source,
            destination,
            direction,
            transport,
            bytes,
            is_cut: time & 128 != 0,
            fate,
            frame: 0,
        };
        engine.handle_packet(&observation, now);
        while let Some(command) = engine.next_command() {
            commands.push(command);
        }
        for fill in engine.fills() {
            assert!(fill.used <= fill.limit, "{} is over its bound", fill.table);
        }
    }
    commands
}
