//! The engine at work: observations go in and commands come out, the same for `replay` and for `run`.

/// The lines that tell of them.
pub(crate) mod told;

use std::net::IpAddr;
use std::time::Duration;

use engine::{Command, Engine, Limits, Observation, Reading, Scope, Testimony};
use policy::Policy;
use policy::detection::SipPorts;

/// Where SIP peers listen that this host calls.
pub(crate) const SIP: u16 = 5060;

/// The engine with what a policy says to it.
#[derive(Debug)]
pub(crate) struct Detection {
    engine: Engine,
    ports: SipPorts,
    /// The networks that the policy trusts.
    trusted: Vec<(IpAddr, u8)>,
}

impl Detection {
    /// `seed` is random where attackers may want to fill tables, and fixed where two runs are to be the same.
    pub(crate) fn new(policy: &Policy, seed: u64) -> Self {
        let told = policy.detection();
        let trusted = policy.networks().trusted.iter();
        let trusted: Vec<_> =
            trusted.filter_map(|network| Some((network.address, network.prefix()?))).collect();
        Self {
            engine: Engine::new(&told.settings, Limits::default(), trusted.clone(), seed),
            ports: told.ports.clone(),
            trusted,
        }
    }

    /// Whether a port of this host is one of the policy's SIP ports, whose packets bans and limits are about.
    pub(crate) fn guards(&self, is_tcp: bool, local: u16) -> bool {
        if is_tcp { self.ports.has_tcp(local) } else { self.ports.has_udp(local) }
    }

    /// Whether the engine wants to see a packet between these ports: of a guarded one, or to the server of a peer.
    pub(crate) fn wants(&self, is_tcp: bool, local: u16, remote: u16) -> bool {
        remote == SIP || self.guards(is_tcp, local)
    }

    /// Takes one packet, seen `now`; `apply` gets what is to be done about it.
    pub(crate) fn see(&mut self, observation: &Observation<'_>, now: Duration, apply: impl FnMut(Command)) {
        self.engine.handle_packet(observation, now);
        self.drain(apply);
    }

    /// A packet of or to that peer will be seen soon.
    pub(crate) fn expect(&self, peer: IpAddr) {
        self.engine.expect(peer);
    }

    /// Takes a datagram whose bytes were read before.
    pub(crate) fn see_reading(
        &mut self,
        observation: &Observation<'_>,
        reading: Reading<'_, '_>,
        now: Duration,
        apply: impl FnMut(Command),
    ) {
        self.engine.handle_reading(observation, reading, now);
        self.drain(apply);
    }

    /// Time passed; to be called every second.
    pub(crate) fn tick(&mut self, now: Duration, apply: impl FnMut(Command)) {
        self.engine.handle_timeout(now);
        self.drain(apply);
    }

    /// An operator spoke about an address.
    pub(crate) fn forget(&mut self, address: IpAddr) {
        self.engine.forget(address);
    }

    /// Logs are read again.
    pub(crate) fn recount(&mut self) {
        self.engine.recount();
    }

    /// A ledger knows a ban.
    pub(crate) fn remember(
        &mut self,
        address: IpAddr,
        level: u32,
        (until, scope): (Duration, Scope),
        now: Duration,
    ) {
        self.engine.remember(address, level, (until, scope), now);
    }

    /// Takes what somebody else saw, heard `now`.
    pub(crate) fn hear(&mut self, testimony: &Testimony<'_>, now: Duration, apply: impl FnMut(Command)) {
        self.engine.handle_testimony(testimony, now);
        self.drain(apply);
    }

    /// How far an address is believed.
    pub(crate) fn class(&self, address: IpAddr, now: Duration) -> engine::Class {
        self.engine.class(address, now)
    }

    /// Trusts more than the policy does.
    pub(crate) fn trust(&mut self, more: impl Iterator<Item = (IpAddr, u8)>) {
        self.engine.trust(self.trusted.iter().copied().chain(more).collect());
    }

    /// The networks that the policy trusts.
    pub(crate) fn trusted(&self) -> &[(IpAddr, u8)] {
        &self.trusted
    }

    /// Who talks in the clear.
    pub(crate) fn privacy(&self) -> engine::Report {
        self.engine.privacy()
    }

    /// Ports with TLS.
    pub(crate) fn encrypted_ports(&self) -> impl Iterator<Item = u16> {
        self.engine.encrypted_ports()
    }

    /// How full each table is: name, entries, bound.
    pub(crate) fn fills(&self) -> Vec<(&'static str, usize, usize)> {
        self.engine.fills().iter().map(|fill| (fill.table, fill.used, fill.limit)).collect()
    }

    fn drain(&mut self, mut apply: impl FnMut(Command)) {
        while let Some(command) = self.engine.next_command() {
            apply(command);
        }
    }
}
