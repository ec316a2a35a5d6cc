//! The engine on live traffic: what the gate reports goes in, and what the engine decides goes into the kernel's maps.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use engine::{Class, Command, Direction, Fate, Grant, Observation, Scope, Segment, Testimony, Transport};
use gate::decode::{TCP, UDP};
use gate::layout::Event;
use gate::limit::Rate;
use gate::{Family, Reason, Verdict};
use host::gate::Sources;
use policy::Policy;
use policy::detection::Detection as Told;

use super::book;
use super::clock;
use super::reactions::Reactions;
use crate::detection::Detection;
use crate::exit::Exit;

/// How long a source counts as proven after the engine said so. It says so again when it does.
const PROVEN: Duration = Duration::from_secs(24 * 60 * 60);

/// The engine, and what it did.
#[derive(Debug)]
pub(crate) struct Live {
    detection: Detection,
    told: Told,
    /// What a limited stranger is still granted, and a limited source that is known.
    trickles: [Rate; 2],
    pub(crate) bans: u64,
    pub(crate) limits: u64,
    pub(crate) alerts: u64,
    /// Bans and limits for which the kernel had no room.
    pub(crate) refused: u64,
    /// Evidence that waits to be written.
    commands: Vec<Command>,
    /// When the event came to the gate that was looked at last, if an event was.
    came: Option<u64>,
    pub(crate) reactions: Reactions,
}

impl Live {
    /// An engine that knows nobody yet.
    pub(crate) fn new(policy: &Policy) -> Result<Self, Exit> {
        let [seed, _] = host::machine::random()?;
        let told = policy.detection().clone();
        let trickles = [false, true].map(|is_known| {
            let grant = Grant::new(&told.settings, is_known);
            Rate::new(grant.packets_a_minute, 60, grant.burst)
        });
        Ok(Self {
            detection: Detection::new(policy, seed),
            trickles,
            told,
            bans: 0,
            limits: 0,
            alerts: 0,
            refused: 0,
            commands: Vec::new(),
            came: None,
            reactions: Reactions::default(),
        })
    }

    /// Goes on under another policy: as it is if that says the same about detection and trust, else afresh. Whether that was
    /// so.
    pub(crate) fn follow(&mut self, policy: &Policy) -> Result<bool, Exit> {
        let next = Self::new(policy)?;
        let is_other = self.told != next.told || self.detection.trusted() != next.detection.trusted();
        if is_other {
            *self = next;
        }
        Ok(is_other)
    }

    /// The networks that the policy trusts.
    pub(crate) fn trusted_by_policy(&self) -> Vec<ledger::Net> {
        self.detection.trusted().iter().map(|(address, prefix)| ledger::Net::new(*address, *prefix)).collect()
    }

    /// What waits for [`Live::take`].
    pub(crate) fn decided(&self) -> &[Command] {
        &self.commands
    }

    /// Whether something waits for [`Live::take`].
    pub(crate) fn has_decided(&self) -> bool {
        !self.commands.is_empty()
    }

    /// Takes one event; what is to be done waits for [`Live::take`].
    pub(crate) fn see(&mut self, event: &Event, capture: &[u8], time: SystemTime) {
        self.came = Some(event.time);
        let Some(observation) = observation(event, capture) else { return };
        let is_tcp = event.protocol == TCP;
        let (local, remote) = match observation.direction {
            Direction::In => (event.destination_port, event.source_port),
            Direction::Out => (event.source_port, event.destination_port),
        };
        if self.detection.wants(is_tcp, local, remote) {
            let commands = &mut self.commands;
            self.detection.see(&observation, since_epoch(time), |command| commands.push(command));
        }
    }

    /// Takes a message that somebody else saw.
    pub(crate) fn see_copy(&mut self, observation: &Observation<'_>) {
        self.came = None;
        let commands = &mut self.commands;
        self.detection.see(observation, since_epoch(clock::now()), |command| commands.push(command));
    }

    /// Who talks in the clear.
    pub(crate) fn privacy(&self) -> engine::Report {
        self.detection.privacy()
    }

    /// Ports with TLS.
    pub(crate) fn encrypted_ports(&self) -> impl Iterator<Item = u16> {
        self.detection.encrypted_ports()
    }

    /// Time passes.
    pub(crate) fn tick(&mut self, time: SystemTime) {
        self.came = None;
        let commands = &mut self.commands;
        self.detection.tick(since_epoch(time), |command| commands.push(command));
    }

    /// What is to be done since the last call.
    pub(crate) fn take(&mut self) -> Vec<Command> {
        std::mem::take(&mut self.commands)
    }

    /// Puts one command into the kernel's maps; `false` if there was no room.
    pub(crate) fn obey(&mut self, command: &Command, sources: &mut Sources<'_>) -> Result<bool, Exit> {
        let monotonic = |until: Duration| {
            let left = until.saturating_sub(since_epoch(clock::now()));
            host::machine::monotonic().saturating_add(u64::try_from(left.as_nanos()).unwrap_or(u64::MAX))
        };
        let has_room = match command {
            Command::Ban { source, until, scope, .. } => {
                self.bans += 1;
                // What somebody else decided may last longer, or cover more.
                let source = ledger::Net::new(source.address(), 128);
                let has_room = book::extend(sources, source, Some(book::at(*until)), book::scope(*scope))?;
                if has_room && let Some(came) = self.came {
                    self.reactions.add(host::machine::monotonic().saturating_sub(came));
                }
                has_room
            }
            Command::Limit { source, until, is_known, .. } => {
                self.limits += 1;
                let [stranger, known] = self.trickles;
                sources.limit(
                    source.address(),
                    monotonic(*until),
                    if *is_known { known } else { stranger },
                )?
            }
            Command::Unlimit { source, .. } => {
                sources.unlimit(source.address());
                true
            }
            Command::Trust { source, class, .. } => match class {
                Class::Unproven => {
                    sources.disprove(source.address());
                    true
                }
                Class::Proven | Class::Credited | Class::Trusted => {
                    let until = since_epoch(clock::now()).saturating_add(PROVEN);
                    sources.prove(source.address(), monotonic(until))?
                }
            },
            Command::Alert { .. } => {
                self.alerts += 1;
                true
            }
            Command::Evidence { .. } => true,
        };
        self.refused += u64::from(!has_room);
        Ok(has_room)
    }

    /// An operator spoke about an address: what counted against it is forgotten.
    pub(crate) fn forget(&mut self, address: IpAddr) {
        self.detection.forget(address);
    }

    /// Logs are read again.
    pub(crate) fn recount(&mut self) {
        self.detection.recount();
    }

    /// A source that was banned `level` times, and is until `until`.
    pub(crate) fn remember(&mut self, address: IpAddr, level: u32, until: Duration, scope: ledger::Scope) {
        let scope = match scope {
            ledger::Scope::SipPorts => Scope::SipPorts,
            ledger::Scope::AllPorts => Scope::AllPorts,
        };
        self.detection.remember(address, level, (until, scope), since_epoch(clock::now()));
    }

    /// Something to tell that no detector saw.
    pub(crate) fn tell(&mut self, command: Command) {
        self.commands.push(command);
    }

    /// Takes what somebody else saw; what is to be done waits for [`Live::take`].
    pub(crate) fn hear(&mut self, testimony: &Testimony<'_>) {
        self.came = None;
        let commands = &mut self.commands;
        self.detection.hear(testimony, since_epoch(clock::now()), |command| commands.push(command));
    }

    /// How far an address is believed.
    pub(crate) fn class(&self, address: IpAddr, time: SystemTime) -> &'static str {
        self.detection.class(address, since_epoch(time)).as_str()
    }

    /// Trusts these networks, and what the policy trusts.
    pub(crate) fn trust(&mut self, networks: impl Iterator<Item = ledger::Net>) {
        self.detection.trust(networks.map(|net| (net.address(), net.prefix())));
    }

    /// How full each of the engine's tables is: name, entries, bound.
    pub(crate) fn fills(&self) -> Vec<(&'static str, usize, usize)> {
        self.detection.fills()
    }
}

fn since_epoch(time: SystemTime) -> Duration {
    time.duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// The packet of an event, as the engine sees packets; `None` for what is neither UDP nor TCP.
fn observation<'a>(event: &Event, bytes: &'a [u8]) -> Option<Observation<'a>> {
    const FIN: u8 = 0x01;
    const SYN: u8 = 0x02;
    const RST: u8 = 0x04;
    const ACK: u8 = 0x10;
    let family = if event.family == 6 { Family::Ipv6 } else { Family::Ipv4 };
    let transport = match event.protocol {
        TCP => Transport::Tcp(Segment {
            sequence: event.sequence,
            acknowledgment: event.acknowledgment,
            syn: event.tcp_flags & SYN != 0,
            ack: event.tcp_flags & ACK != 0,
            fin: event.tcp_flags & FIN != 0,
            rst: event.tcp_flags & RST != 0,
        }),
        UDP => Transport::Udp,
        _ => return None,
    };
    let reason = Reason::from_u8(event.reason)?;
    let fate = if event.observed != 0 || reason.verdict() == Verdict::Pass {
        Fate::Passed
    } else if reason == Reason::Signature {
        Fate::Signature
    } else if reason == Reason::Banned {
        Fate::Banned
    } else {
        Fate::Refused
    };
    Some(Observation {
        source: SocketAddr::new(event.source.to_ip(family), event.source_port),
        destination: SocketAddr::new(event.destination.to_ip(family), event.destination_port),
        direction: if event.outgoing == 0 { Direction::In } else { Direction::Out },
        transport,
        bytes,
        is_cut: event.captured < event.payload,
        fate,
        frame: 0,
    })
}
