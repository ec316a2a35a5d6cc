//! Who talks in the clear: registrations, calls, media streams and logins that the server accepted, per peer. Nobody is judged by
//! it; it tells an administrator where encryption is missing, and with whom it would cost least to have it.

use std::cmp::Reverse;
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::num::NonZeroUsize;

use foldhash::fast::RandomState;
use lru::LruCache;
use sip::sdp::Sdp;
use sip::{Anomalies, Message, Method};

use crate::table::Fill;

/// Peers that are remembered. Only what the server accepted makes one.
const MAX_PEERS: NonZeroUsize = NonZeroUsize::new(4096).expect("not zero");
/// Ports of this host on which SIP was read.
const MAX_PORTS: usize = 64;
/// Answers of a peer that were counted lately; one that comes again is not.
const RECENT: usize = 8;

/// What was accepted.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// REGISTER requests, of either side, with a 2xx answer.
    pub registrations: u64,
    /// INVITE requests that began a call, of either side.
    pub calls: u64,
    /// Media lines of their answers that are not refused (RFC 8866 section 5.14).
    pub streams: u64,
    /// Logins to the manager interface or the web server, told by the PBX.
    pub logins: u64,
    /// Credentials that the PBX accepted, where the message itself was seen by nobody.
    pub accepted: u64,
}

impl Tally {
    fn sum(&self) -> u64 {
        self.registrations + self.calls + self.streams + self.logins + self.accepted
    }

    fn add(&mut self, other: &Self) {
        self.registrations += other.registrations;
        self.calls += other.calls;
        self.streams += other.streams;
        self.logins += other.logins;
        self.accepted += other.accepted;
    }
}

/// One peer.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer {
    pub in_clear: Tally,
    pub encrypted: Tally,
    /// It offered SRTP in a call whose media then went in the clear, or whose keys did.
    pub offers_srtp: bool,
    /// It speaks TLS to this host, too.
    pub speaks_tls: bool,
    recent: [u64; RECENT],
    next: u8,
}

impl Peer {
    /// It talks in the clear and has shown that it need not.
    #[must_use]
    pub fn could_do_better(&self) -> bool {
        self.in_clear.sum() > 0 && (self.offers_srtp || self.speaks_tls)
    }

    /// Whether this was not counted lately.
    fn is_new(&mut self, what: u64) -> bool {
        if self.recent.contains(&what) {
            return false;
        }
        if let Some(place) = self.recent.get_mut(usize::from(self.next) % RECENT) {
            *place = what;
        }
        self.next = self.next.wrapping_add(1);
        true
    }
}

/// All peers, and both sums.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// First those that could do better, then those with the most in the clear.
    pub peers: Vec<(IpAddr, Peer)>,
    pub in_clear: Tally,
    pub encrypted: Tally,
}

/// What an accepted message says.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Accepted<'a> {
    pub(crate) peer: IpAddr,
    /// The 2xx answer, of whichever side.
    pub(crate) answer: &'a Message<'a>,
    pub(crate) method: Method,
    pub(crate) is_initial: bool,
    pub(crate) is_encrypted: bool,
    /// The request offered SRTP.
    pub(crate) offered_srtp: bool,
    /// Names the answer, where it may come again; else 0.
    pub(crate) once: u64,
}

#[derive(Debug)]
pub(crate) struct Privacy {
    /// The one that was silent for longest makes room.
    peers: LruCache<IpAddr, Peer, RandomState>,
    /// Ports of this host on which somebody speaks SIP that can be read.
    clear_ports: BTreeSet<u16>,
    /// What those had who made room.
    gone: [Tally; 2],
}

impl Default for Privacy {
    fn default() -> Self {
        let peers = LruCache::with_hasher(MAX_PEERS, RandomState::default());
        Self { peers, clear_ports: BTreeSet::new(), gone: [Tally::default(); 2] }
    }
}

impl Privacy {
    pub(crate) fn fill(&self) -> Fill {
        Fill { table: "privacy-peers", used: self.peers.len(), limit: MAX_PEERS.get() }
    }

    /// SIP was read on the wire.
    pub(crate) fn read_at(&mut self, port: u16) {
        if self.clear_ports.len() < MAX_PORTS {
            self.clear_ports.insert(port);
        }
    }

    /// Whether SIP on this port can be read by whoever is on the way.
    pub(crate) fn is_clear(&self, port: u16) -> bool {
        self.clear_ports.contains(&port)
    }

    /// A request was accepted.
    pub(crate) fn accept(&mut self, what: &Accepted<'_>) {
        let begins_call = what.method == Method::Invite && what.is_initial;
        if !begins_call && what.method != Method::Register {
            return;
        }
        let peer = self.peer(what.peer);
        if what.once != 0 && !peer.is_new(what.once) {
            return;
        }
        let signalling = if what.is_encrypted { &mut peer.encrypted } else { &mut peer.in_clear };
        if what.method == Method::Register {
            signalling.registrations += 1;
            return;
        }
        signalling.calls += 1;
        let [plain, keyed, dtls] = streams(what.answer);
        // Keys that stand in a message are as private as the message (RFC 4568 section 1.3); those of DTLS never travel.
        let (in_clear, encrypted) =
            if what.is_encrypted { (plain, keyed + dtls) } else { (plain + keyed, dtls) };
        peer.in_clear.streams += in_clear;
        peer.encrypted.streams += encrypted;
        peer.offers_srtp |= in_clear > 0 && (what.offered_srtp || keyed > 0);
    }

    /// The PBX accepted credentials that nobody else saw.
    pub(crate) fn accept_unseen(&mut self, peer: IpAddr) {
        let peer = self.peer(peer);
        peer.encrypted.accepted += 1;
        peer.speaks_tls = true;
    }

    /// Somebody logged in to a service for administrators.
    pub(crate) fn log_in(&mut self, peer: IpAddr, is_encrypted: bool) {
        let peer = self.peer(peer);
        let tally = if is_encrypted { &mut peer.encrypted } else { &mut peer.in_clear };
        tally.logins += 1;
    }

    /// A peer began to speak TLS. Who has not been accepted yet is not remembered for it.
    pub(crate) fn speaks_tls(&mut self, peer: IpAddr) {
        if let Some(peer) = self.peers.peek_mut(&peer) {
            peer.speaks_tls = true;
        }
    }

    pub(crate) fn report(&self) -> Report {
        let [in_clear, encrypted] = self.gone;
        let mut report = Report { peers: Vec::new(), in_clear, encrypted };
        for (address, peer) in &self.peers {
            report.in_clear.add(&peer.in_clear);
            report.encrypted.add(&peer.encrypted);
            report.peers.push((*address, *peer));
        }
        report
            .peers
            .sort_by_key(|(address, peer)| (!peer.could_do_better(), Reverse(peer.in_clear.sum()), *address));
        report
    }

    /// What is known of a peer that was just heard of.
    fn peer(&mut self, address: IpAddr) -> &mut Peer {
        if self.peers.len() >= MAX_PEERS.get()
            && !self.peers.contains(&address)
            && let Some((_, gone)) = self.peers.pop_lru()
        {
            let [in_clear, encrypted] = &mut self.gone;
            in_clear.add(&gone.in_clear);
            encrypted.add(&gone.encrypted);
        }
        self.peers.get_or_insert_mut(address, Peer::default)
    }
}

/// Whether a description offers SRTP in any way: as the protocol (RFC 3711, RFC 5764), or beside plain RTP (RFC 8643).
pub(crate) fn offers_srtp(body: &[u8]) -> bool {
    [b"SAVP".as_slice(), b"a=crypto:", b"a=fingerprint:"]
        .iter()
        .any(|mark| memchr::memmem::find(body, mark).is_some())
}

/// Media lines that are in use: plain RTP, SRTP with keys in the message, and SRTP with DTLS.
fn streams(message: &Message<'_>) -> [u64; 3] {
    let mut anomalies = Anomalies::NONE;
    let mut counts = [0; 3];
    if message.body.is_empty() {
        return counts;
    }
    for media in Sdp::parse(message.body, &mut anomalies).media().iter().filter(|media| media.port != 0) {
        let protocol = media.protocol.to_ascii_uppercase();
        let is = |word: &[u8]| protocol.split(|byte| *byte == b'/').any(|part| part.starts_with(word));
        let kind = match (is(b"SAVP"), is(b"TLS"), is(b"AVP")) {
            (true, true, _) => 2,
            (true, false, _) => 1,
            (false, _, true) => 0,
            // T.38 and others that are no RTP.
            (false, _, false) => continue,
        };
        if let Some(count) = counts.get_mut(kind) {
            *count += 1;
        }
    }
    counts
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn the_most_silent_peer_makes_room() {
        let mut privacy = Privacy::default();
        let mut model: BTreeMap<IpAddr, u32> = BTreeMap::new();
        let mut random = 7_u64;
        for step in 0..60_000_u32 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            let address =
                IpAddr::from(u32::try_from(random >> 33).unwrap_or(0).to_be_bytes().map(|byte| byte & 15));
            privacy.log_in(address, false);
            if model.len() >= MAX_PEERS.get() && !model.contains_key(&address) {
                let oldest = model.iter().min_by_key(|(_, last)| **last).map(|(address, _)| *address);
                oldest.and_then(|oldest| model.remove(&oldest));
            }
            model.insert(address, step);
        }
        let peers: BTreeSet<IpAddr> = privacy.report().peers.iter().map(|(address, _)| *address).collect();
        assert_eq!(model.into_keys().collect::<BTreeSet<_>>(), peers);
        assert_eq!(privacy.report().in_clear.logins, 60_000, "what those had who made room is kept");
    }

    #[test]
    fn who_only_speaks_tls_does_not_stay_for_it() {
        let mut privacy = Privacy::default();
        let peer = |number: u32| IpAddr::from(number.to_be_bytes());
        privacy.log_in(peer(0), true);
        (1..4096).for_each(|number| privacy.log_in(peer(number), false));
        privacy.speaks_tls(peer(0));
        privacy.log_in(peer(4096), false);
        let report = privacy.report();
        assert_eq!(report.peers.len(), 4096);
        assert!(report.peers.iter().all(|(address, _)| *address != peer(0)));
        assert_eq!((report.in_clear.logins, report.encrypted.logins), (4096, 1), "also of who is gone");
    }
}
