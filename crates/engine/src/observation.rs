//! What the engine is told: one packet, seen on its way to or from the guarded host.

use std::net::SocketAddr;

use sip::{Message, View};

/// One packet. Times come beside it, as `now`.
#[derive(Clone, Copy, Debug)]
pub struct Observation<'a> {
    pub source: SocketAddr,
    pub destination: SocketAddr,
    pub direction: Direction,
    pub transport: Transport,
    /// The datagram's payload, or the segment's data.
    pub bytes: &'a [u8],
    /// Only part of it is known: a capture kept no more.
    pub is_cut: bool,
    /// What happened to it.
    pub fate: Fate,
    /// Names the packet in evidence: a frame number, or 0.
    pub frame: u64,
}

/// What SIP a datagram holds, read before the engine is told of it: on another processor, say. It depends on the bytes alone.
#[derive(Clone, Copy, Debug)]
pub struct Reading<'r, 'a> {
    /// Of [`View::of_datagram`].
    pub view: &'r View<'a>,
    /// Of [`Message::read`].
    pub message: &'r Message<'a>,
}

/// Seen from the guarded host.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Direction {
    In,
    Out,
}

/// What carried the bytes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Transport {
    /// A whole message, told by a PBX that decrypted it or took it from a stream; over a connection, unless it was a datagram.
    Copy {
        is_connection: bool,
    },
    Tcp(Segment),
    Udp,
}

/// The fields of a TCP header that the engine reads (RFC 9293 section 3.1).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Segment {
    /// Sequence number of the first byte, or of the SYN.
    pub sequence: u32,
    pub acknowledgment: u32,
    pub syn: bool,
    pub ack: bool,
    pub fin: bool,
    pub rst: bool,
}

/// What the gate and the policy did with the packet.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Fate {
    /// It was let through.
    Passed,
    /// Its source is banned or limited.
    Banned,
    /// The policy does not let it in, for another reason than what it says.
    Refused,
    /// A signature was found in it.
    Signature,
}
