//! The fragments of one datagram.

use std::collections::BTreeMap;
use std::time::Duration;

use super::{Datagram, Refusal};
use crate::packet::{Fragment, Packet, V6_HEADER_LEN, checksum};

/// Waiting fragments that share a key.
#[derive(Debug)]
pub(super) struct Queue<T> {
    deadline: (Duration, u64),
    /// Data by its offset; never overlapping.
    parts: BTreeMap<usize, Vec<u8>>,
    /// Begin and end of what came in one piece. As in the kernel a run only grows at the datagram's far end, so that a
    /// repeated fragment which spans two neighbours counts as overlap.
    runs: BTreeMap<usize, usize>,
    /// The header of the fragment with offset 0, ready for the whole.
    head: Option<Vec<u8>>,
    /// Bytes of data so far.
    received: usize,
    /// Highest end seen; final once `has_last`.
    len: usize,
    has_last: bool,
    has_gaps: bool,
    /// One bit for each of the four ECN code points seen.
    ecn: u8,
    /// Largest fragment, and largest with "don't fragment" set (IPv4).
    largest: usize,
    largest_unfragmentable: usize,
    tags: Vec<T>,
}

/// Why a fragment did not enter; it hands the tag back.
pub(super) enum Refused<T> {
    /// This one is thrown away, the others wait on.
    Fragment(Refusal, T),
    /// All of them are thrown away.
    Queue(Refusal, T),
    /// All others are thrown away, this one goes on as it is.
    Unaligned(T),
}

/// What a datagram may have from its network header on (IPv4), or after its fixed header (IPv6).
const MAX_LEN: usize = 65_535;

impl<T> Queue<T> {
    pub(super) fn new(deadline: (Duration, u64)) -> Self {
        Self {
            deadline,
            parts: BTreeMap::new(),
            runs: BTreeMap::new(),
            head: None,
            received: 0,
            len: 0,
            has_last: false,
            has_gaps: false,
            ecn: 0,
            largest: 0,
            largest_unfragmentable: 0,
            tags: Vec::new(),
        }
    }

    pub(super) fn deadline(&self) -> (Duration, u64) {
        self.deadline
    }

    pub(super) fn is_empty(&self) -> bool {
        self.parts.is_empty()
    }

    pub(super) fn memory(&self, overhead: usize) -> usize {
        self.received + self.parts.len() * overhead
    }

    pub(super) fn into_tags(self) -> Vec<T> {
        self.tags
    }

    /// Puts a fragment in; `true` when the datagram is whole.
    pub(super) fn add(
        &mut self,
        packet: &Packet<'_>,
        fragment: Fragment,
        tag: T,
    ) -> Result<bool, Refused<T>> {
        let v4 = packet.is_ipv4();
        let header_len = packet.fragment_header().map_or(packet.transport_offset(), |header| header.at + 8);
        let start = fragment.offset;
        let mut end = start + packet.total_len().saturating_sub(header_len);
        if !v4 && end > MAX_LEN {
            return Err(Refused::Fragment(Refusal::Oversize, tag));
        }
        if fragment.more && !end.is_multiple_of(8) {
            if !v4 {
                return Err(Refused::Unaligned(tag));
            }
            end -= end % 8;
        }
        let beyond_end = self.has_last && if fragment.more { end > self.len } else { end != self.len };
        if beyond_end || (!fragment.more && end < self.len) || end <= start {
            // IPv6 keeps the queue, IPv4 gives it up (`goto err` against `goto discard_qp`).
            let refused = if v4 { Refused::Queue } else { Refused::Fragment };
            return Err(refused(Refusal::Inconsistent, tag));
        }
        match self.place(start, end) {
            None => {}
            Some(Refusal::Duplicate) => return Err(Refused::Fragment(Refusal::Duplicate, tag)),
            Some(reason) => return Err(Refused::Queue(reason, tag)),
        }
        self.has_last |= !fragment.more;
        self.len = self.len.max(end);
        self.received += end - start;
        self.tags.push(tag);
        self.keep(packet, header_len, start, end);
        Ok(self.has_last && self.head.is_some() && self.received == self.len)
    }

    /// `inet_frag_queue_insert`: where `start..end` stands among what is there.
    fn place(&mut self, start: usize, end: usize) -> Option<Refusal> {
        let Some(mut tail) = self.runs.last_entry() else {
            self.runs.insert(start, end);
            return None;
        };
        let tail_end = *tail.get();
        if tail_end < end {
            if start < tail_end {
                return Some(Refusal::Overlap);
            }
            if start == tail_end {
                tail.insert(end);
            } else {
                self.runs.insert(start, end);
            }
            return None;
        }
        let (_, last_end_before) = self.runs.range(..=start).next_back().unwrap_or((&0, &0));
        let first_start_after = self.runs.range(start + 1..).next().map_or(usize::MAX, |(&at, _)| at);
        if *last_end_before <= start && end <= first_start_after {
            self.runs.insert(start, end);
            return None;
        }
        Some(if end <= *last_end_before { Refusal::Duplicate } else { Refusal::Overlap })
    }

    fn keep(&mut self, packet: &Packet<'_>, header_len: usize, start: usize, end: usize) {
        let bytes = packet.bytes();
        let mut data =
            bytes.get(header_len..bytes.len().min(header_len + end - start)).unwrap_or_default().to_vec();
        self.has_gaps |= data.len() < end - start || packet.has_gaps();
        data.resize(end - start, 0);
        self.parts.insert(start, data);
        if start == 0 {
            self.head = Some(head_of(packet, header_len));
        }
        self.ecn |= 1 << ecn_of(packet);
        if packet.is_ipv4() {
            let unfragmentable = bytes.get(6).is_some_and(|flags| flags & 0x40 != 0);
            self.largest = self.largest.max(packet.total_len());
            if unfragmentable {
                self.largest_unfragmentable = self.largest_unfragmentable.max(packet.total_len());
            }
        }
    }

    /// `ip_frag_reasm`, `nf_ct_frag6_reasm`: the first fragment's header before all data.
    pub(super) fn reassemble(self) -> Result<Datagram<T>, (Refusal, Vec<T>)> {
        let not_ect_and_others = self.ecn & 1 != 0 && self.ecn != 1;
        if not_ect_and_others {
            return Err((Refusal::Ecn, self.tags));
        }
        let mut bytes = self.head.unwrap_or_default();
        let v4 = bytes.first().is_some_and(|first| first >> 4 == 4);
        let total = bytes.len() + self.len;
        let declared = if v4 { total } else { total.saturating_sub(V6_HEADER_LEN) };
        let Some(declared) = u16::try_from(declared).ok() else { return Err((Refusal::Oversize, self.tags)) };
        let congested = self.ecn & (1 << ECN_CE) != 0;
        if v4 {
            let unfragmentable = self.largest_unfragmentable == self.largest;
            finish_v4(&mut bytes, declared, congested, unfragmentable);
        } else {
            finish_v6(&mut bytes, declared, congested);
        }
        let mut seams = Vec::new();
        for (&start, part) in &self.parts {
            if start > 0 {
                seams.push(bytes.len());
            }
            bytes.extend_from_slice(part);
        }
        Ok(Datagram { bytes, seams, tags: self.tags, has_gaps: self.has_gaps })
    }
}

/// "Congestion experienced" among the four ECN code points (RFC 3168 section 5).
const ECN_CE: u8 = 3;

fn ecn_of(packet: &Packet<'_>) -> u8 {
    match packet.bytes() {
        [_, tos, ..] if packet.is_ipv4() => tos & 3,
        [_, flow, ..] => flow >> 4 & 3,
        _ => 0,
    }
}

/// The header that the whole will have; IPv6 loses its fragment header.
fn head_of(packet: &Packet<'_>, header_len: usize) -> Vec<u8> {
    let mut head = packet.bytes().get(..header_len).unwrap_or_default().to_vec();
    if let Some(fragment) = packet.fragment_header() {
        let next = head.get(fragment.at).copied().unwrap_or_default();
        if let Some(byte) = head.get_mut(fragment.named_at) {
            *byte = next;
        }
        head.truncate(fragment.at);
    }
    head
}

fn finish_v4(head: &mut [u8], total_len: u16, congested: bool, unfragmentable: bool) {
    if let Some([_, tos, len0, len1, _, _, frag0, frag1, _, _, sum0, sum1]) = head.first_chunk_mut::<12>() {
        *tos |= if congested { ECN_CE } else { 0 };
        [*len0, *len1] = total_len.to_be_bytes();
        [*frag0, *frag1] = [if unfragmentable { 0x40 } else { 0 }, 0];
        [*sum0, *sum1] = [0, 0];
    }
    let sum = !checksum::sum(head);
    if let Some(field) = head.get_mut(10..12) {
        field.copy_from_slice(&sum.to_be_bytes());
    }
}

fn finish_v6(head: &mut [u8], payload_len: u16, congested: bool) {
    if let Some([_, flow, _, _, len0, len1]) = head.first_chunk_mut::<6>() {
        *flow |= if congested { ECN_CE << 4 } else { 0 };
        [*len0, *len1] = payload_len.to_be_bytes();
    }
}
