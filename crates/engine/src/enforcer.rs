//! Bans and limits applied in memory: what the gate's maps do in the kernel, for replay and tests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::command::{Command, Source};
use crate::detectors::Kind;
use crate::settings::Settings;

/// Why a packet does not pass.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Stop {
    /// Its source is banned.
    Banned,
    /// Its source is limited, and the trickle is used up.
    Limited,
}

/// What is in force.
#[derive(Debug)]
pub struct Enforcer {
    bans: HashMap<Source, Duration>,
    limits: HashMap<Source, Trickle>,
    capacity: usize,
    stranger: Grant,
    known: Grant,
}

/// What a limited source is still granted.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Grant {
    pub packets_a_minute: u32,
    /// Packets that may come at once.
    pub burst: u32,
}

impl Grant {
    /// Of a source that is known, or of a stranger.
    #[must_use]
    pub fn new(settings: &Settings, is_known: bool) -> Self {
        if is_known {
            let flood = |key: &'static str| settings.get(Some(Kind::Flood), key);
            return Self { packets_a_minute: flood("rate").saturating_mul(60), burst: flood("burst") };
        }
        let get = |key: &'static str| settings.get(None, key);
        Self { packets_a_minute: get("limit-packets"), burst: get("limit-burst") }
    }
}

#[derive(Clone, Copy, Debug)]
struct Trickle {
    until: Duration,
    grant: Grant,
    /// Packets that may pass, and since when that is so.
    left: f64,
    at: Duration,
}

impl Enforcer {
    /// At most `capacity` bans and as many limits; those that are over make room, then new ones are refused.
    #[must_use]
    pub fn new(settings: &Settings, capacity: usize) -> Self {
        Self {
            bans: HashMap::new(),
            limits: HashMap::new(),
            capacity,
            stranger: Grant::new(settings, false),
            known: Grant::new(settings, true),
        }
    }

    /// Puts a command in force.
    pub fn apply(&mut self, command: &Command) {
        match command {
            Command::Ban { time, source, until, .. } => {
                if self.bans.len() >= self.capacity {
                    self.bans.retain(|_, until| *until > *time);
                }
                if self.bans.len() < self.capacity {
                    self.bans.insert(*source, *until);
                }
            }
            Command::Limit { time, source, until, is_known, .. } => {
                let grant = if *is_known { self.known } else { self.stranger };
                if self.limits.len() >= self.capacity {
                    self.limits.retain(|_, trickle| trickle.until > *time);
                }
                if let Some(trickle) = self.limits.get_mut(source) {
                    trickle.until = *until;
                    trickle.grant = grant;
                } else if self.limits.len() < self.capacity {
                    let trickle = Trickle { until: *until, grant, left: f64::from(grant.burst), at: *time };
                    self.limits.insert(*source, trickle);
                }
            }
            Command::Unlimit { source, .. } => {
                self.limits.remove(source);
            }
            Command::Alert { .. } | Command::Evidence { .. } | Command::Trust { .. } => {}
        }
    }

    /// Whether a packet from `source` to a SIP port is stopped; takes one of the trickle if it is limited.
    pub fn judge(&mut self, source: IpAddr, now: Duration) -> Option<Stop> {
        if self.bans.is_empty() && self.limits.is_empty() {
            return None;
        }
        let source = Source::of(source);
        if self.bans.get(&source).is_some_and(|&until| until > now) {
            return Some(Stop::Banned);
        }
        let trickle = self.limits.get_mut(&source).filter(|trickle| trickle.until > now)?;
        let Grant { packets_a_minute, burst } = trickle.grant;
        let refilled = now.saturating_sub(trickle.at).as_secs_f64() * f64::from(packets_a_minute) / 60.0;
        trickle.left = (trickle.left + refilled).min(f64::from(burst));
        trickle.at = now;
        if trickle.left < 1.0 {
            return Some(Stop::Limited);
        }
        trickle.left -= 1.0;
        None
    }

    /// Bans in force or over.
    #[must_use]
    pub fn bans(&self) -> usize {
        self.bans.len()
    }
}
