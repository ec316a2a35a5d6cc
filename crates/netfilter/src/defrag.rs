//! Reassembly of IPv4 and IPv6 fragments as Linux does it before connection tracking (`nf_defrag_ipv4`, `nf_defrag_ipv6`):
//! `ip_frag_queue` in `net/ipv4/ip_fragment.c`, `nf_ct_frag6_queue` in `net/ipv6/netfilter/nf_conntrack_reasm.c`.
//!
//! A fragment has no fate of its own: it shares that of its datagram. Callers hand in a tag with each fragment (a frame
//! number, say) and get all tags of a datagram back when it is whole, refused or out of time.
//!
//! Not modelled: `ipfrag_max_dist` (a queue is dropped when 64 other fragments of that source came in between).

mod queue;

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use crate::packet::{Fragment, Packet, V6_HEADER_LEN, protocol};
use queue::{Queue, Refused};

/// Bounds of [`Defrag`].
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Bytes that all waiting fragments of one family may take; beyond it every further fragment is refused until time-outs
    /// make room (`ipfrag_high_thresh`, `nf_conntrack_frag6_high_thresh`).
    pub memory: usize,
    /// From the first fragment of a datagram to the last (`ipfrag_time`).
    pub timeout_v4: Duration,
    /// The same for IPv6 (`nf_conntrack_frag6_timeout`).
    pub timeout_v6: Duration,
}

impl Default for Limits {
    /// Linux' own: 4 MiB, 30 s, 60 s.
    fn default() -> Self {
        Self {
            memory: 4 * 1024 * 1024,
            timeout_v4: Duration::from_secs(30),
            timeout_v6: Duration::from_secs(60),
        }
    }
}

/// What became of a packet.
#[derive(Debug, Eq, PartialEq)]
pub enum Outcome<T> {
    /// Not a fragment, or one that Linux leaves as it is (IPv6: without its upper-layer header, or a length that is not a
    /// multiple of 8): its own tag. `lost` are the tags of the datagram that it spoiled.
    Pass { tags: Vec<T>, lost: Vec<T> },
    /// Waits for the rest of its datagram.
    Queued,
    /// The datagram of `tags` can never become whole, or this fragment is not wanted.
    Refused { reason: Refusal, tags: Vec<T> },
    /// The datagram is whole.
    Whole(Datagram<T>),
}

/// A reassembled datagram.
#[derive(Debug, Eq, PartialEq)]
pub struct Datagram<T> {
    /// From the network header on; parse it with [`Packet::parse`].
    pub bytes: Vec<u8>,
    /// Where each fragment's data begins in `bytes`, the first excepted. The kernel keeps the fragments apart.
    pub seams: Vec<usize>,
    /// Of every fragment in it, in the order of arrival.
    pub tags: Vec<T>,
    /// The capture had cut a fragment; zeros stand for what is missing.
    pub has_gaps: bool,
}

/// Why fragments are thrown away.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub enum Refusal {
    /// Nothing new in it; the queue lives on.
    Duplicate,
    /// Fragments with and without ECN in one datagram (RFC 3168 section 5.3).
    Ecn,
    /// No data, or beyond the end that the last fragment gave, or two ends.
    Inconsistent,
    /// The bound on memory.
    Memory,
    /// It shares bytes with another fragment (RFC 5722; Linux does the same for IPv4).
    Overlap,
    /// More than 65,535 bytes in all.
    Oversize,
    /// The rest did not come in time.
    Timeout,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Duplicate => "duplicate fragment",
            Self::Ecn => "fragments with and without ecn",
            Self::Inconsistent => "fragments contradict each other",
            Self::Memory => "too many fragments are waiting",
            Self::Overlap => "overlapping fragments",
            Self::Oversize => "fragments add up to more than 65535 bytes",
            Self::Timeout => "the other fragments did not come in time",
        })
    }
}

/// Datagrams that wait for fragments. Time is capture time since the Unix epoch and must not go back.
#[derive(Debug)]
pub struct Defrag<T> {
    limits: Limits,
    queues: HashMap<Key, Queue<T>>,
    /// By deadline, then by order of creation.
    deadlines: BTreeMap<(Duration, u64), Key>,
    created: u64,
    memory_v4: usize,
    memory_v6: usize,
}

/// What fragments of one datagram share (RFC 791 section 3.2, RFC 8200 section 4.5).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
struct Key {
    source: IpAddr,
    destination: IpAddr,
    /// 0 for IPv6, where the protocol is not part of the key.
    protocol: u8,
    id: u32,
}

/// What the kernel's bookkeeping of one waiting fragment costs beside its data (`truesize`, roughly).
const OVERHEAD: usize = 768;

impl<T> Defrag<T> {
    /// Holds at most `limits.memory` bytes for each family; what exceeds it is refused, nothing is evicted before its time.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            queues: HashMap::new(),
            deadlines: BTreeMap::new(),
            created: 0,
            memory_v4: 0,
            memory_v6: 0,
        }
    }

    /// Takes one packet at `now`. Call [`Defrag::expire`] before, so that old fragments do not meet new ones.
    pub fn push(&mut self, packet: &Packet<'_>, tag: T, now: Duration) -> Outcome<T> {
        let Some(fragment) = Self::fragment_of(packet) else {
            return Outcome::Pass { tags: vec![tag], lost: Vec::new() };
        };
        if *self.memory(packet.is_ipv4()) > self.limits.memory {
            return Outcome::Refused { reason: Refusal::Memory, tags: vec![tag] };
        }
        let key = key_of(packet, fragment);
        let queue = match self.queues.entry(key) {
            std::collections::hash_map::Entry::Occupied(entry) => entry.into_mut(),
            std::collections::hash_map::Entry::Vacant(entry) => {
                let timeout = if packet.is_ipv4() { self.limits.timeout_v4 } else { self.limits.timeout_v6 };
                let deadline = (now + timeout, self.created);
                self.created += 1;
                self.deadlines.insert(deadline, key);
                entry.insert(Queue::new(deadline))
            }
        };
        let before = queue.memory(OVERHEAD);
        let result = queue.add(packet, fragment, tag);
        let after = queue.memory(OVERHEAD);
        *self.memory(packet.is_ipv4()) += after - before;
        match result {
            Ok(false) => Outcome::Queued,
            Ok(true) => match self.remove(key).map(Queue::reassemble) {
                Some(Ok(datagram)) => Outcome::Whole(datagram),
                Some(Err((reason, tags))) => Outcome::Refused { reason, tags },
                None => Outcome::Queued,
            },
            Err(Refused::Fragment(reason, tag)) => {
                self.forget_if_empty(key);
                Outcome::Refused { reason, tags: vec![tag] }
            }
            Err(Refused::Queue(reason, tag)) => {
                let mut tags = self.remove(key).map(Queue::into_tags).unwrap_or_default();
                tags.push(tag);
                Outcome::Refused { reason, tags }
            }
            Err(Refused::Unaligned(tag)) => {
                let lost = self.remove(key).map(Queue::into_tags).unwrap_or_default();
                Outcome::Pass { tags: vec![tag], lost }
            }
        }
    }

    /// The next datagram whose time is up at `now`: its tags. Call until `None`.
    pub fn expire(&mut self, now: Duration) -> Option<Vec<T>> {
        let (&(deadline, _), &key) = self.deadlines.first_key_value()?;
        if deadline > now { None } else { self.remove(key).map(Queue::into_tags) }
    }

    /// Datagrams that still wait, e.g. at the end of a capture; oldest first.
    pub fn drain(&mut self) -> Option<Vec<T>> {
        let (_, &key) = self.deadlines.first_key_value()?;
        self.remove(key).map(Queue::into_tags)
    }

    /// How many datagrams wait.
    pub fn len(&self) -> usize {
        self.queues.len()
    }

    pub fn is_empty(&self) -> bool {
        self.queues.is_empty()
    }

    /// Two kinds of IPv6 fragments are left alone, as `nf_ct_frag6_gather` does: those of a packet whose length field is 0,
    /// and first fragments that do not hold their upper-layer header (RFC 8200 section 4.5).
    fn fragment_of(packet: &Packet<'_>) -> Option<Fragment> {
        let fragment = packet.fragment()?;
        if packet.is_ipv4() {
            return Some(fragment);
        }
        let header_len = match packet.protocol() {
            Some(protocol::TCP) => 20,
            Some(protocol::UDP | protocol::ICMPV6) => 8,
            Some(_) => 1,
            None => 0,
        };
        let headless = fragment.offset == 0 && packet.total_len() < packet.transport_offset() + header_len;
        (!headless && packet.declared_len() > V6_HEADER_LEN).then_some(fragment)
    }

    fn memory(&mut self, v4: bool) -> &mut usize {
        if v4 { &mut self.memory_v4 } else { &mut self.memory_v6 }
    }

    fn remove(&mut self, key: Key) -> Option<Queue<T>> {
        let queue = self.queues.remove(&key)?;
        self.deadlines.remove(&queue.deadline());
        *self.memory(key.source.is_ipv4()) -= queue.memory(OVERHEAD);
        Some(queue)
    }

    /// A queue that its only fragment could not enter waits in the kernel too, but can be told from none by nothing.
    fn forget_if_empty(&mut self, key: Key) {
        if self.queues.get(&key).is_some_and(Queue::is_empty) {
            self.remove(key);
        }
    }
}

fn key_of(packet: &Packet<'_>, fragment: Fragment) -> Key {
    let protocol = if packet.is_ipv4() { packet.protocol().unwrap_or(0) } else { 0 };
    Key { source: packet.source(), destination: packet.destination(), protocol, id: fragment.id }
}

#[cfg(test)]
mod tests;
