//! Who talks in the clear, for `status` and `top`: what the engine saw of SIP, and who visits services for administrators that
//! have no encryption.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, SocketAddr};

use engine::{Peer, Report, Tally};
use serde_json::{Value, json};

/// Services without encryption, by their usual ports.
const SERVICES: [(u16, &str); 4] =
    [(80, "web"), (5038, "manager"), (8021, "event-socket"), (8088, "pbx-web")];
/// Peers that are shown.
const SHOWN: usize = 50;
/// Visitors that are counted; later ones are not while these are there.
const MAX_VISITORS: usize = 256;

/// Who visited services without encryption since the daemon started.
#[derive(Debug, Default)]
pub(crate) struct Visitors {
    /// When it was last looked.
    there: BTreeSet<(SocketAddr, u16)>,
    counts: BTreeMap<(IpAddr, u16), u64>,
}

impl Visitors {
    /// Looks who is there; to be called every half minute.
    pub(crate) fn look(&mut self) {
        let ports = SERVICES.map(|(port, _)| port);
        // What cannot be read now can be read next time.
        let Ok(there) = host::machine::visitors(&ports) else { return };
        for (peer, port) in there.difference(&self.there) {
            let key = (peer.ip(), *port);
            if self.counts.len() < MAX_VISITORS || self.counts.contains_key(&key) {
                *self.counts.entry(key).or_default() += 1;
            }
        }
        self.there = there;
    }

    fn json(&self) -> Value {
        let of_service = |(port, service): (u16, &str)| {
            let visits = self.counts.iter().filter(|((_, of), _)| *of == port);
            let peers: Vec<String> = visits.clone().map(|((peer, _), _)| peer.to_string()).collect();
            let connections: u64 = visits.map(|(_, count)| count).sum();
            (connections > 0).then(
                || json!({ "service": service, "port": port, "connections": connections, "peers": peers }),
            )
        };
        SERVICES.into_iter().filter_map(of_service).collect()
    }
}

/// All of it.
pub(crate) fn json(report: &Report, visitors: &Visitors) -> Value {
    let is_clear = |peer: &Peer| peer.in_clear != Tally::default();
    let peers: Vec<Value> = report
        .peers
        .iter()
        .take(SHOWN)
        .map(|(address, peer)| {
            json!({
                "peer": address.to_string(),
                "in_clear": tally(&peer.in_clear),
                "encrypted": tally(&peer.encrypted),
                "could_do_better": peer.could_do_better(),
                "offers_srtp": peer.offers_srtp,
                "speaks_tls": peer.speaks_tls,
            })
        })
        .collect();
    json!({
        "in_clear": tally(&report.in_clear),
        "encrypted": tally(&report.encrypted),
        "peers_in_clear": report.peers.iter().filter(|(_, peer)| is_clear(peer)).count(),
        "peers_encrypted": report.peers.iter().filter(|(_, peer)| peer.encrypted != Tally::default()).count(),
        "peers": peers,
        "visitors": visitors.json(),
    })
}

fn tally(tally: &Tally) -> Value {
    json!({
        "registrations": tally.registrations,
        "calls": tally.calls,
        "streams": tally.streams,
        "logins": tally.logins,
        "accepted": tally.accepted,
    })
}
