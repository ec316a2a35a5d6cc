//! Banned means banned: what a source still has open when its ban begins is ended, on a thread of its own.

use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use host::sever::{Peer, Severed, sockets, tracked};
use ledger::{Net, Scope};
use policy::detection::SipPorts;
use serde_json::{Value, json};

use super::book;
use crate::exit::Exit;

/// Bans that may wait. Of those beyond, connections end by their own timers.
const MAX_WAITING: usize = 1 << 16;
/// Between two looks at all connections of the machine, at least; what is banned meanwhile is looked for together.
const PAUSE: Duration = Duration::from_millis(50);
/// How many times as long as a look the pause is: where a flood fills the table of tracked connections, looks take a tenth of a processor.
const REST: u32 = 9;
/// But no longer: the gate drops what comes of these connections anyway.
const MAX_PAUSE: Duration = Duration::from_secs(5);
const TCP: u8 = 6;
const UDP: u8 = 17;

/// See the module.
#[derive(Debug)]
pub(crate) struct Severer {
    orders: SyncSender<Order>,
    tally: Arc<Tally>,
}

#[derive(Debug)]
enum Order {
    Ban(Net, Scope),
    Unban(Net),
}

#[derive(Debug, Default)]
struct Tally {
    sockets: AtomicU64,
    tracked: AtomicU64,
    missed: AtomicU64,
    last_error: Mutex<Option<String>>,
    /// Those that a ban of SIP ports covers.
    ports: Mutex<SipPorts>,
}

impl Severer {
    /// Waits for bans. The thread begins with `begin`, and ends with the last sender.
    pub(crate) fn spawn(begin: impl FnOnce() + Send + 'static) -> Result<Self, Exit> {
        let (orders, receiver) = sync_channel(MAX_WAITING);
        let tally = Arc::new(Tally::default());
        let told = Arc::clone(&tally);
        std::thread::Builder::new()
            .name("sever".to_owned())
            .spawn(move || {
                // Before it is confined, as it may not do that later.
                host::machine::let_others_go_first();
                begin();
                work(&receiver, &told);
            })
            .map_err(|error| Exit::System(format!("cannot start a thread: {error}")))?;
        Ok(Self { orders, tally })
    }

    /// The ports that a ban of SIP ports covers.
    pub(crate) fn guard(&self, ports: &SipPorts) {
        self.tally.ports.lock().unwrap_or_else(PoisonError::into_inner).clone_from(ports);
    }

    /// A ban is in force.
    pub(crate) fn banned(&self, source: Net, scope: Scope) {
        if self.orders.try_send(Order::Ban(source, scope)).is_err() {
            self.tally.missed.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// A ban was lifted: what it has not ended yet may go on.
    pub(crate) fn unbanned(&self, source: Net) {
        // Behind a full queue it comes too late; a peer then opens its connections again.
        let _ = self.orders.try_send(Order::Unban(source));
    }

    /// For `status`.
    pub(crate) fn json(&self) -> Value {
        let count = |number: &AtomicU64| number.load(Ordering::Relaxed);
        json!({
            "sockets": count(&self.tally.sockets),
            "tracked": count(&self.tally.tracked),
            "missed": count(&self.tally.missed),
            "error": *self.tally.last_error.lock().unwrap_or_else(PoisonError::into_inner),
        })
    }
}

/// Bans whose connections are looked for together.
#[derive(Debug, Default)]
struct Bans {
    ports: SipPorts,
    sources: HashMap<Net, Scope>,
    networks: Vec<(Net, Scope)>,
}

impl Bans {
    fn take(&mut self, order: Order) {
        match order {
            Order::Ban(net, scope) if book::is_one_source(net) => {
                let known = self.sources.entry(net).or_insert(scope);
                *known = scope.max(*known);
            }
            Order::Ban(net, scope) => self.networks.push((net, scope)),
            Order::Unban(net) => {
                self.sources.remove(&net);
                self.networks.retain(|(banned, _)| *banned != net);
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.sources.is_empty() && self.networks.is_empty()
    }

    fn cover(&self, peer: &Peer) -> bool {
        let scope = self.scope(peer.address);
        match scope {
            None => false,
            Some(Scope::AllPorts) => true,
            // What our host began to someone's SIP port is not what a ban of our ports is about.
            Some(Scope::SipPorts) if peer.is_ours => false,
            Some(Scope::SipPorts) => match peer.protocol {
                TCP => self.ports.has_tcp(peer.local_port),
                UDP => self.ports.has_udp(peer.local_port),
                _ => false,
            },
        }
    }

    fn scope(&self, address: IpAddr) -> Option<Scope> {
        let source = Net::new(address, 128);
        let networks = self.networks.iter().filter(|(net, _)| net.contains(&source)).map(|(_, scope)| *scope);
        networks.chain(self.sources.get(&source).copied()).max()
    }
}

fn work(orders: &Receiver<Order>, tally: &Tally) {
    let mut bans = Bans::default();
    while let Ok(first) = orders.recv() {
        bans.take(first);
        orders.try_iter().for_each(|order| bans.take(order));
        if bans.is_empty() {
            continue;
        }
        bans.ports.clone_from(&tally.ports.lock().unwrap_or_else(PoisonError::into_inner));
        let begun = Instant::now();
        let error = match sever(&bans) {
            Ok(Severed { sockets, tracked }) => {
                let add = |to: &AtomicU64, count: usize| {
                    to.fetch_add(u64::try_from(count).unwrap_or(u64::MAX), Ordering::Relaxed)
                };
                add(&tally.sockets, sockets);
                add(&tally.tracked, tracked);
                None
            }
            Err(error) => Some(format!("cannot end connections of banned sources: {error}")),
        };
        *tally.last_error.lock().unwrap_or_else(PoisonError::into_inner) = error;
        bans.sources.clear();
        bans.networks.clear();
        std::thread::sleep(begun.elapsed().saturating_mul(REST).clamp(PAUSE, MAX_PAUSE));
    }
}

fn sever(bans: &Bans) -> io::Result<Severed> {
    let sockets = sockets(|peer| bans.cover(peer));
    let tracked = tracked(|peer| bans.cover(peer));
    Ok(Severed { sockets: sockets?, tracked: tracked? })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ban_covers_what_its_scope_says() {
        let mut bans =
            Bans { ports: SipPorts { tcp: vec![5060..=5061], udp: vec![5060..=5060] }, ..Bans::default() };
        let net = |text: &str| text.parse::<Net>().unwrap();
        bans.take(Order::Ban(net("203.0.113.9"), Scope::SipPorts));
        bans.take(Order::Ban(net("198.51.100.0/24"), Scope::AllPorts));
        bans.take(Order::Ban(net("2001:db8:5::9"), Scope::SipPorts));
        let covers = |address: &str, protocol, local_port, is_ours| {
            bans.cover(&Peer { address: address.parse().unwrap(), local_port, protocol, is_ours })
        };
        assert!(covers("203.0.113.9", TCP, 5061, false));
        assert!(covers("2001:db8:5::77", UDP, 5060, false), "of the same /64");
        assert!(covers("198.51.100.200", TCP, 22, false) && covers("198.51.100.1", 1, 0, true));
        assert!(!covers("203.0.113.9", TCP, 22, false));
        assert!(!covers("203.0.113.9", UDP, 5061, false));
        assert!(!covers("203.0.113.9", TCP, 5060, true));
        assert!(!covers("203.0.113.8", TCP, 5060, false));
    }

    #[test]
    fn what_is_lifted_before_its_turn_ends_nothing() {
        let mut bans = Bans::default();
        for net in ["203.0.113.9", "2001:db8:5::9", "198.51.100.0/24"] {
            let net: Net = net.parse().unwrap();
            bans.take(Order::Ban(net, Scope::AllPorts));
            assert!(!bans.is_empty());
            bans.take(Order::Unban(net));
            assert!(bans.is_empty(), "{net}");
        }
    }
}
