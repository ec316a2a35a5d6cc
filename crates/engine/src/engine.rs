//! The engine: what is told, what is remembered, what is to be done.

mod answers;
mod decide;
mod echoes;
mod expect;
mod messages;
mod packets;
mod testify;

use std::collections::{BTreeSet, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use crate::command::{Class, Command, Scope, Source as Address};
use crate::connection::Connections;
use crate::detectors::jail::Jails;
use crate::detectors::{Detectors, Findings};
use crate::hash::Salt;
use crate::observation::{Observation, Reading};
use crate::privacy::{Privacy, Report};
use crate::proof::Tokens;
use crate::settings::Settings;
use crate::source::Source;
use crate::table::{Bounded, Fill, Sets};
use crate::time::{Clock, Tick};
use crate::transaction::Transactions;

/// Bounds of what grows with traffic; what does not is named in its constructor.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Sources that are remembered, 300 bytes each; strangers without evidence make room first.
    pub sources: usize,
    /// TCP connections, 400 bytes each and up to 32 MiB of incomplete messages for all of them.
    pub connections: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { sources: 1 << 20, connections: 1 << 14 }
    }
}

/// Sees attackers.
#[derive(Debug)]
pub struct Engine {
    salt: Salt,
    clock: Clock,
    /// The time of the latest observation.
    now: Duration,
    rules: decide::Rules,
    trusted: Vec<(IpAddr, u8)>,
    sources: Bounded<Source>,
    /// How many sources of a /24 or /48 were banned not long ago.
    guilty: Sets<u8>,
    tokens: Tokens,
    transactions: Transactions,
    connections: Connections,
    detectors: Detectors,
    jails: Jails,
    /// Ports on which TLS was seen.
    encrypted: BTreeSet<u16>,
    privacy: Privacy,
    findings: Findings,
    commands: VecDeque<Command>,
}

/// Networks with a banned source that are remembered.
const GUILTY: usize = 1 << 12;

impl Engine {
    /// `seed` keys the tables' hashes: random where attackers may want to fill them, fixed where runs are compared. `trusted`
    /// networks (address and prefix length) are never banned.
    #[must_use]
    pub fn new(settings: &Settings, limits: Limits, trusted: Vec<(IpAddr, u8)>, seed: u64) -> Self {
        let salt = Salt::new(seed);
        Self {
            salt,
            clock: Clock::default(),
            now: Duration::ZERO,
            rules: decide::Rules::new(settings),
            trusted,
            sources: Bounded::new(limits.sources, salt),
            guilty: Sets::new(GUILTY),
            tokens: Tokens::new(),
            transactions: Transactions::new(),
            connections: Connections::new(limits.connections, salt),
            detectors: Detectors::new(settings),
            jails: Jails::new(settings, salt),
            encrypted: BTreeSet::new(),
            privacy: Privacy::default(),
            findings: Findings::default(),
            commands: VecDeque::new(),
        }
    }

    /// Takes one packet, seen `now` (since the Unix epoch; it never goes back). Ask [`Engine::next_command`] until it has nothing
    /// more, after every packet.
    pub fn handle_packet(&mut self, observation: &Observation<'_>, now: Duration) {
        self.now = self.now.max(now);
        let now = self.clock.advance(now);
        self.expire(now);
        self.packet(observation, None, now);
    }

    /// The same for a datagram whose bytes were read already.
    pub fn handle_reading(&mut self, observation: &Observation<'_>, reading: Reading<'_, '_>, now: Duration) {
        self.now = self.now.max(now);
        let now = self.clock.advance(now);
        self.expire(now);
        self.packet(observation, Some(reading), now);
    }

    /// A packet of or to that peer will be shown soon. Memory is asked for what is remembered of the peer, which changes nothing.
    pub fn expect(&self, peer: IpAddr) {
        self.sources.expect(Address::of(peer).number());
    }

    /// Time passes without a packet.
    pub fn handle_timeout(&mut self, now: Duration) {
        self.now = self.now.max(now);
        let now = self.clock.advance(now);
        self.expire(now);
    }

    /// When to call [`Engine::handle_timeout`] if no packet comes before.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Duration> {
        self.connections.next_due().map(|due| self.clock.time_of(due))
    }

    /// The next thing to do.
    pub fn next_command(&mut self) -> Option<Command> {
        self.commands.pop_front()
    }

    /// From now on these networks (address and prefix length) are trusted, and no others.
    pub fn trust(&mut self, networks: Vec<(IpAddr, u8)>) {
        self.trusted = networks;
    }

    /// An operator lifted the ban of an address, or made one: what counted against it is forgotten.
    pub fn forget(&mut self, address: IpAddr) {
        if let Some(source) = self.sources.get_mut(Address::of(address).number()) {
            source.certain.clear();
            source.forgeable.clear();
            source.banned_until = Tick(0);
            source.limited_until = Tick(0);
            source.banned_scope = Scope::default();
        }
        self.jails.forget(Address::of(address), self.salt);
    }

    /// What was counted in logs is forgotten, as they are about to be read again.
    pub fn recount(&mut self) {
        self.jails.reset(self.salt);
    }

    /// A source that was banned `level` times and is until `until`, from a ledger.
    pub fn remember(
        &mut self,
        address: IpAddr,
        level: u32,
        (until, scope): (Duration, Scope),
        now: Duration,
    ) {
        let now = self.clock.advance(now);
        let until = until.saturating_sub(self.clock.time_of(now)).as_millis() / 100;
        let source = self.sources.entry(Address::of(address).number());
        source.bans = source.bans.max(u8::try_from(level).unwrap_or(u8::MAX));
        let until = now.plus(Tick(u32::try_from(until).unwrap_or(u32::MAX)));
        source.banned_until = source.banned_until.max(until);
        source.banned_scope = source.banned_scope.max(scope);
    }

    /// How far an address is believed at present.
    #[must_use]
    pub fn class(&self, address: IpAddr, now: Duration) -> Class {
        let mut clock = self.clock;
        let source = self.sources.get(Address::of(address).number());
        let trusted = self.is_trusted(address);
        source.map_or(if trusted { Class::Trusted } else { Class::Unproven }, |source| {
            source.class(clock.advance(now), trusted)
        })
    }

    /// Ports of this host on which TLS was seen: what is said there, only others can tell.
    pub fn encrypted_ports(&self) -> impl Iterator<Item = u16> {
        self.encrypted.iter().copied()
    }

    /// Who talks in the clear, and what was encrypted.
    #[must_use]
    pub fn privacy(&self) -> Report {
        self.privacy.report()
    }

    /// How full each table is.
    #[must_use]
    pub fn fills(&self) -> Vec<Fill> {
        let mut fills =
            vec![self.sources.fill("sources"), self.tokens.fill(), self.guilty.fill("guilty-networks")];
        fills.extend(self.transactions.fill());
        fills.extend(self.connections.fills());
        fills.extend(self.detectors.password_guessing.iter().flat_map(|detector| detector.fill()));
        fills.extend(self.detectors.invite_replay.iter().map(|detector| detector.fill()));
        fills.extend(self.detectors.account_change.iter().map(|detector| detector.fill()));
        fills.extend(self.detectors.refusal.iter().map(|detector| detector.fill()));
        fills.push(self.jails.fill());
        fills.push(self.privacy.fill());
        fills
    }

    /// Sources that were forgotten to make room.
    #[must_use]
    pub fn evicted(&self) -> u64 {
        self.sources.evicted()
    }

    fn is_trusted(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|&(network, prefix)| contains(network, prefix, address))
    }
}

fn contains(network: IpAddr, prefix: u8, address: IpAddr) -> bool {
    match (network, address) {
        (IpAddr::V4(network), IpAddr::V4(address)) => {
            let shift = 32_u32.saturating_sub(u32::from(prefix));
            (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V6(network), IpAddr::V6(address)) => {
            let shift = 128_u32.saturating_sub(u32::from(prefix));
            (network.to_bits() ^ address.to_bits()).checked_shr(shift).unwrap_or(0) == 0
        }
        (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
    }
}
