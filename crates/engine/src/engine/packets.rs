//! From packets to messages.

use std::net::SocketAddr;

use sip::payload::{Payload, classify};
use sip::stream::Piece;
use sip::{Anomalies, Carrier, Message, View};

use super::Engine;
use super::expect::Keys;
use crate::command::{Class, Source as Address};
use crate::connection::Connections;
use crate::detectors::Scene;
use crate::hash::Salt;
use crate::observation::{Direction, Fate, Observation, Reading, Segment, Transport};
use crate::time::Tick;

/// Ports with TLS that are remembered.
const MAX_ENCRYPTED: usize = 64;

/// Who talks to whom, and how.
#[derive(Clone, Copy, Debug)]
pub(super) struct Talk {
    pub(super) peer: SocketAddr,
    pub(super) local: SocketAddr,
    pub(super) direction: Direction,
    /// The key of the TCP connection.
    pub(super) connection: Option<u64>,
    /// The peer's address is proven by the handshake.
    pub(super) is_established: bool,
    /// Somebody else saw it; the wire may have, too.
    pub(super) is_copy: bool,
    /// Of a TCP segment: the number behind its data, and what the sender has received so far.
    pub(super) sent: u32,
    pub(super) received: u32,
    pub(super) fate: Fate,
    is_cut: bool,
    pub(super) frame: u64,
}

impl Talk {
    /// What is said by whom the gate bans: it was not heard, and counts for nothing.
    fn is_of_banned(&self) -> bool {
        self.direction == Direction::In && self.fate == Fate::Banned
    }

    /// What a detector is told of it, `class` being the peer's.
    pub(super) fn scene(&self, class: Class, now: Tick, salt: Salt) -> Scene {
        Scene { now, class, peer: self.peer, local: self.local, over_tcp: self.is_established, salt }
    }
}

impl Engine {
    /// `reading`: of its bytes, if it is a datagram and somebody read it.
    pub(super) fn packet(
        &mut self,
        observation: &Observation<'_>,
        reading: Option<Reading<'_, '_>>,
        now: Tick,
    ) {
        let (peer, local) = match observation.direction {
            Direction::In => (observation.source, observation.destination),
            Direction::Out => (observation.destination, observation.source),
        };
        // The host itself is nobody's attacker.
        if peer.ip().is_loopback() || peer.ip() == local.ip() {
            return;
        }
        let talk = Talk {
            peer,
            local,
            direction: observation.direction,
            connection: None,
            is_established: false,
            is_copy: false,
            sent: 0,
            received: 0,
            fate: observation.fate,
            is_cut: observation.is_cut,
            frame: observation.frame,
        };
        match observation.transport {
            Transport::Udp => match reading {
                Some(_) if talk.is_of_banned() => {}
                Some(reading) => {
                    self.expect_source(&talk);
                    let keys = self.expect_keys(reading.message, &talk);
                    self.message(reading.view, reading.message, &keys, &talk, now);
                }
                None => {
                    // More than half of what comes to a SIP port are keep-alives.
                    if let Payload::Message(bytes) = classify(observation.bytes) {
                        self.read(bytes, Carrier::Datagram, &talk, now);
                    }
                }
            },
            Transport::Copy { is_connection } => {
                let talk = Talk { is_established: is_connection, is_copy: true, ..talk };
                self.read(observation.bytes, Carrier::Datagram, &talk, now);
            }
            Transport::Tcp(segment) => self.segment(observation.bytes, &segment, talk, now),
        }
    }

    fn segment(&mut self, bytes: &[u8], segment: &Segment, talk: Talk, now: Tick) {
        let key = Connections::key(talk.peer, talk.local, self.salt);
        let silent_after =
            self.detectors.silent_connection.as_ref().map_or(Tick(u32::MAX), |detector| detector.after);
        let ends = (talk.peer, talk.local);
        let times = (now, silent_after);
        if !self.connections.follow(key, ends, talk.direction, segment, !bytes.is_empty(), times) {
            return;
        }
        let is_established = self.connections.get(key).is_some_and(|connection| connection.is_established);
        if is_established && talk.direction == Direction::In {
            // Also where what follows is encrypted: a log may tell of it.
            let source = self.sources.entry(Address::of(talk.peer.ip()).number());
            source.last = now;
            source.proven = true;
            // TLS: a handshake record of any version (RFC 8446 section 5.1).
            if bytes.starts_with(&[22, 3]) {
                if self.encrypted.len() < MAX_ENCRYPTED {
                    self.encrypted.insert(talk.local.port());
                }
                self.privacy.speaks_tls(talk.peer.ip());
            }
        }
        let length = u32::try_from(bytes.len()).unwrap_or(0);
        let (sent, received) = (segment.sequence.wrapping_add(length), segment.acknowledgment);
        let talk = Talk { connection: Some(key), is_established, sent, received, ..talk };
        let Some(mut framer) = self.connections.take_framer(key, talk.direction) else { return };
        framer.push(segment.sequence, bytes, |piece| match piece {
            Piece::Message(bytes) => self.read(bytes, Carrier::Stream, &talk, now),
            Piece::KeepAlive(_) | Piece::NotSip(_) => {}
        });
        self.connections.give_framer(key, talk.direction, framer);
    }

    fn read(&mut self, bytes: &[u8], carrier: Carrier, talk: &Talk, now: Tick) {
        if talk.is_of_banned() {
            return;
        }
        self.expect(talk.peer.ip());
        let mut view = View::new();
        if view.read(bytes, carrier).is_ok() {
            self.expect_source(talk);
            let mut message = Message::new();
            message.begin(&view);
            let keys = self.expect_keys(&message, talk);
            message.complete(&view);
            self.message(&view, &message, &keys, talk, now);
        }
    }

    fn message(&mut self, view: &View<'_>, message: &Message<'_>, keys: &Keys, talk: &Talk, now: Tick) {
        let without;
        let message = if talk.is_cut {
            // What is missing says nothing about the sender.
            without = Message { anomalies: Anomalies::NONE, ..*message };
            &without
        } else {
            message
        };
        match (talk.direction, message.status()) {
            (Direction::In, None) => self.request(view, message, keys, talk, now),
            (Direction::In, Some(_)) => self.response(message, talk, now),
            (Direction::Out, None) => self.our_request(view, message, talk, now),
            (Direction::Out, Some(status)) => self.our_answer(view, message, (status, keys), talk, now),
        }
    }

    /// What is due.
    pub(super) fn expire(&mut self, now: Tick) {
        while let Some(silent) = self.connections.silent(now) {
            let address = Address::of(silent.peer.ip());
            let trusted = self.is_trusted(silent.peer.ip());
            let source = self.sources.entry(address.number());
            if source.is_banned(now) {
                continue;
            }
            source.last = now;
            let scene = Scene {
                now,
                class: source.class(now, trusted),
                peer: silent.peer,
                local: silent.local,
                over_tcp: true,
                salt: self.salt,
            };
            if let Some(detector) = &self.detectors.silent_connection {
                detector.silent(&scene, source, &mut self.findings);
            }
            self.decide(&scene, 0);
        }
    }
}
