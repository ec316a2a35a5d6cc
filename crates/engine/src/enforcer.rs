//! Bans and limits applied in memory: what the gate's maps do in the kernel, for replay and tests.

use std::collections::HashMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::command::{Command, Source};
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
    packets_a_minute: u32,
    burst: u32,
}

#[derive(Clone, Copy, Debug)]
struct Trickle {
    until: Duration,
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
            packets_a_minute: settings.get(None, "limit-packets"),
            burst: settings.get(None, "limit-burst"),
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
            Command::Limit { time, source, until, .. } => {
                if self.limits.len() >= self.capacity {
                    self.limits.retain(|_, trickle| trickle.until > *time);
                }
                if let Some(trickle) = self.limits.get_mut(source) {
                    trickle.until = *until;
                } else if self.limits.len() < self.capacity {
                    let trickle = Trickle { until: *until, left: f64::from(self.burst), at: *time };
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
        let refilled = now.saturating_sub(trickle.at).as_secs_f64() * f64::from(self.packets_a_minute) / 60.0;
        trickle.left = (trickle.left + refilled).min(f64::from(self.burst));
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
