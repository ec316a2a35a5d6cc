//! Which witnesses are silent, and which ports nobody sees into.

use std::collections::BTreeMap;

use engine::{Command, Kind};
use host::manager::State;

use super::Daemon;

/// Tries that the wire saw since a witness last spoke, until its silence is worth an alarm.
const TRIES: u64 = 20;

/// Who was heard when.
#[derive(Debug, Default)]
pub(super) struct Heard {
    /// Tries that the wire saw, in all.
    pub(super) tries: u64,
    /// The same, when each witness last spoke.
    at: BTreeMap<String, u64>,
    /// What is wrong now.
    pub(super) told: Vec<String>,
}

impl Heard {
    pub(super) fn speaks(&mut self, who: &str) {
        match self.at.get_mut(who) {
            Some(at) => *at = self.tries,
            None => drop(self.at.insert(who.to_owned(), self.tries)),
        }
    }

    /// What the wire saw since then; a witness that never spoke begins when it is first asked about.
    fn since(&mut self, who: &str) -> u64 {
        let at = *self.at.entry(who.to_owned()).or_insert(self.tries);
        self.tries.saturating_sub(at)
    }
}

impl Daemon {
    /// Counts what a PBX and its log have to tell of as well.
    pub(in crate::daemon) fn count_tries(&mut self) {
        let is_try = |command: &&Command| {
            matches!(command, Command::Evidence { detector: Kind::PasswordGuessing, .. })
        };
        let tries = self.live.decided().iter().filter(is_try).count();
        self.witnesses.heard.tries += u64::try_from(tries).unwrap_or(u64::MAX);
    }

    /// What is wrong with those who should testify.
    pub(super) fn silences(&mut self) -> Vec<String> {
        let mut silent = Vec::new();
        if let Some(why) = self.book.shelter.blind() {
            silent.push(format!(
                "nobody sees who is logged in over SSH ({why}): whoever was is sheltered, new sessions are not; restart the daemon"
            ));
        }
        let mut speaks = false;
        let links: Vec<(String, bool)> = self
            .witnesses
            .managers
            .iter()
            .map(|(manager, link)| {
                (manager.name.clone(), matches!(link.status().state, State::Connected { .. }))
            })
            .collect();
        for (name, is_connected) in links {
            speaks |= is_connected;
            let since = self.witnesses.heard.since(&format!("manager {name}"));
            if is_connected && since >= TRIES {
                silent.push(format!(
                    "the manager {name} is silent, while the wire saw {since} refused credentials: has its user the class \
                     `security`?"
                ));
            }
        }
        for (name, spoke) in self.logs.states.about_sip() {
            let who = format!("jail {name}");
            if spoke {
                self.witnesses.heard.speaks(&who);
            }
            let since = self.witnesses.heard.since(&who);
            speaks |= spoke || since < TRIES;
            if since >= TRIES {
                silent.push(format!(
                    "the log of the jail {name} is silent, while the wire saw {since} refused credentials: is it the right \
                     file, and does the PBX write to it?"
                ));
            }
        }
        speaks |= self.witnesses.heard.at.contains_key("hep");
        if !speaks {
            for port in self.live.encrypted_ports() {
                silent.push(format!(
                    "port {port} carries TLS that nobody sees into: let the PBX testify by [managers], by a jail on its \
                     log, or by [hep]"
                ));
            }
        }
        silent
    }
}
