//! From what others saw to findings.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use super::Engine;
use super::decide::Terms;
use crate::command::{Class, Command, Source as Address};
use crate::detectors::{Kind, Scene, shown};
use crate::proof::Token;
use crate::source::KNOWN_CALLS;
use crate::testimony::{Fact, Failure, Testimony};
use crate::time::Tick;

/// A line of a log tells of a request at most so long after it.
const DATAGRAM_MEMORY: Tick = Tick::seconds(120);
/// Where it was heard, nobody said.
const SOMEWHERE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Engine {
    /// Takes one statement, heard `now`. Ask [`Engine::next_command`] until it has nothing more, after every one.
    pub fn handle_testimony(&mut self, testimony: &Testimony<'_>, now: Duration) {
        self.now = self.now.max(now);
        let now = self.clock.advance(now);
        self.expire(now);
        let ip = testimony.peer.ip();
        // The host itself is nobody's attacker.
        if ip.is_loopback() || ip.is_unspecified() || ip.is_multicast() {
            return;
        }
        if let Fact::Failure(failure) = testimony.fact {
            self.failure(testimony, failure, now);
        } else {
            self.statement(testimony, now);
        }
    }

    /// What the PBX says.
    fn statement(&mut self, testimony: &Testimony<'_>, now: Tick) {
        let address = Address::of(testimony.peer.ip());
        let trusted = self.is_trusted(testimony.peer.ip());
        let is_echo = testimony.nonce.is_some_and(|nonce| {
            let token = Token::Nonce(nonce.as_bytes());
            self.tokens.proves(token.key(testimony.peer.ip(), self.salt), now)
        });
        let source = self.sources.entry(address.number());
        source.last = now;
        source.proven |= testimony.is_proof || is_echo;
        if source.is_banned(now) && self.rules.enforce {
            return;
        }
        let is_proof = testimony.is_proof || is_echo;
        let scene = Scene {
            now,
            class: source.class(now, trusted),
            peer: testimony.peer,
            local: SOMEWHERE,
            over_tcp: testimony.is_proof,
            salt: self.salt,
        };
        let (account, findings) = (testimony.account, &mut self.findings);
        match testimony.fact {
            Fact::LoggedIn { is_encrypted } => {
                self.privacy.log_in(testimony.peer.ip(), is_encrypted);
                return;
            }
            Fact::Accepted { is_encrypted } => {
                if is_encrypted {
                    self.privacy.accept_unseen(testimony.peer.ip());
                }
                source.proven = true;
                source.credit_until = now.plus(self.rules.credit);
                source.succeeded.insert(scene.salt.of(&[account.as_bytes()]));
                if let Some(detector) = &mut self.detectors.password_guessing {
                    detector.accepted(&scene, account.as_bytes());
                }
                if source.limited_until > now {
                    source.limited_until = Tick(0);
                    source.forgeable.clear();
                    let time = self.now;
                    self.commands.push_back(Command::Unlimit { time, source: address });
                }
            }
            Fact::Denied { what, call } => {
                if let Some(detector) = &mut self.detectors.refusal {
                    detector.denied(&scene, is_proof, (what, call, account), source, findings);
                }
            }
            Fact::Refused { call } => {
                if let Some(detector) = &mut self.detectors.password_guessing {
                    let call = scene.salt.of(&[call.as_bytes()]);
                    detector.told(&scene, (account.as_bytes(), call, is_proof), source, findings);
                }
            }
            Fact::Unknown => {
                if let Some(detector) = &self.detectors.enumeration {
                    detector.told(&scene, account.as_bytes(), is_proof, source, findings);
                }
            }
            Fact::Failure(_) => {}
        }
        self.decide(&scene, 0);
        self.tell_class(address, trusted, now);
    }

    /// What a jail counts.
    fn failure(&mut self, testimony: &Testimony<'_>, failure: Failure, now: Tick) {
        let Failure { jail, age, is_old } = failure;
        let Some(rule) = self.jails.rule(jail).cloned() else { return };
        let address = Address::of(testimony.peer.ip());
        let trusted = self.is_trusted(testimony.peer.ip());
        let account = testimony.account;
        let age = Tick(u32::try_from(age.as_millis() / 100).unwrap_or(u32::MAX));
        let hash = self.salt.of(&[account.as_bytes()]);
        let (count, accounts) = self.jails.count((jail, address), hash, age, now, self.salt);
        let source = self.sources.entry(address.number());
        source.last = now;
        let accepted = source.accepted;
        let covers = source.is_banned(now) && source.banned_scope >= rule.scope;
        if is_old || count == 0 || covers && self.rules.enforce {
            return;
        }
        // What was no datagram came over the connection that proved the source.
        let is_connection =
            source.proven && (source.datagram == Tick(0) || now.since(source.datagram) > DATAGRAM_MEMORY);
        let is_proof = !rule.is_sip || testimony.is_proof || is_connection;
        let class = source.class(now, trusted);
        let is_spared = rule.is_sip && class == Class::Credited;
        let most = usize::from(rule.max_failures) * if is_spared { 2 } else { 1 };
        let whose = if account.is_empty() {
            String::new()
        } else {
            format!(", of account {}", shown(account.as_bytes()))
        };
        let detail =
            format!("failure {count} of {most} within {} in jail {}{whose}", span(rule.within), rule.name);
        let time = self.now;
        self.commands.push_back(Command::Evidence {
            time,
            source: address,
            detector: Kind::Jail,
            frame: 0,
            detail,
        });
        let alert_only = self.detectors.is_alert_only(Kind::Jail) || !self.rules.enforce;
        if count < most || class == Class::Trusted || alert_only {
            return;
        }
        self.jails.clear(jail, address, self.salt);
        if is_spared && accounts < 2 {
            let detail = format!(
                "would be banned by jail {}, but others authenticate from there and one account alone fails",
                rule.name
            );
            self.commands.push_back(Command::Alert { time, source: address, detector: Kind::Jail, detail });
        } else if is_proof {
            let terms = Terms {
                first: rule.ban.map(|ban| u32::try_from(ban.as_secs()).unwrap_or(u32::MAX)),
                scope: rule.scope,
                jail: Some(rule.name.as_str().into()),
            };
            self.ban_as(address, Kind::Jail, now, terms);
        } else if class < Class::Credited && accepted < KNOWN_CALLS {
            // Nobody may have a customer limited by forging its address.
            self.limit(address, Kind::Jail, now, false);
        }
    }
}

/// A time as people say it.
fn span(time: Duration) -> String {
    let seconds = time.as_secs();
    let units = [(86_400, "d"), (3600, "h"), (60, "min")];
    units
        .into_iter()
        .find(|(unit, _)| seconds >= *unit && seconds.is_multiple_of(*unit))
        .map_or_else(|| format!("{seconds} s"), |(unit, name)| format!("{} {name}", seconds / unit))
}
