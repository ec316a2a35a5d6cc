//! What this host is about to send because a rule rejected a packet.

use std::collections::VecDeque;
use std::time::Duration;

use super::icmp::{self, About};
use super::tuple::Tuple;
use crate::packet::{Packet, Transport, tcp_flags};

/// How a rule that rejects a packet has it answered.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Answer {
    /// An ICMP or ICMPv6 error that quotes it.
    IcmpError,
    /// A TCP reset, in the name of where it was going.
    TcpReset,
}

/// Answers that were not sent yet, the oldest first.
#[derive(Debug)]
pub(super) struct Answers {
    pending: VecDeque<Pending>,
}

#[derive(Debug)]
struct Pending {
    until: Duration,
    answer: Answer,
    rejected: Tuple,
}

/// Answers waited for at most; the oldest makes room.
const MAX_PENDING: usize = 1024;

/// How long an answer may take; the kernel makes it at once, or (its limit on ICMP errors) not at all.
const PENDING_FOR: Duration = Duration::from_secs(1);

impl Answers {
    /// Waits for at most [`MAX_PENDING`] answers, each for [`PENDING_FOR`].
    pub(super) fn new() -> Self {
        Self { pending: VecDeque::new() }
    }

    /// The packet of this tuple was rejected.
    pub(super) fn expect(&mut self, rejected: Tuple, answer: Answer, now: Duration) {
        if self.pending.len() >= MAX_PENDING {
            self.pending.pop_front();
        }
        self.pending.push_back(Pending { until: now + PENDING_FOR, answer, rejected });
    }

    /// Whether `packet` is one of the answers. Each comes once: what this host sends after it has other reasons.
    pub(super) fn take(&mut self, packet: &Packet<'_>, now: Duration) -> bool {
        while self.pending.front().is_some_and(|pending| pending.until < now) {
            self.pending.pop_front();
        }
        if self.pending.is_empty() {
            return false;
        }
        let (answer, rejected) = match (icmp::about(packet), packet.transport()) {
            (About::Connection(quoted), _) => (Answer::IcmpError, Some(quoted)),
            (_, Transport::Tcp(tcp)) if tcp.flags & tcp_flags::RST != 0 => {
                (Answer::TcpReset, Tuple::of(packet).and_then(|tuple| tuple.inverse()))
            }
            _ => return false,
        };
        let found = self
            .pending
            .iter()
            .position(|pending| pending.answer == answer && Some(pending.rejected) == rejected);
        found.is_some_and(|at| self.pending.remove(at).is_some())
    }
}
