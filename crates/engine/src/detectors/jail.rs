//! Failures that a filter found in a log.

use std::collections::VecDeque;

use super::{Detector, Kind};
use crate::command::Source as Address;
use crate::hash::Salt;
use crate::settings::Settings;
use crate::source::Distinct;
use crate::table::{Bounded, Fill, Worth};
use crate::time::Tick;

pub(crate) const DETECTOR: Detector = Detector {
    kind: Kind::Jail,
    summary: "failures in a log, counted by a jail of the policy",
    description: "Counts the lines that a fail2ban filter finds in a log, of each source on its own, and bans it when a jail's \
        `max-failures` came within its time. Each jail has its own numbers (`[jails.NAME]`, docs/jails.md). In a log about SIP the \
        address of a datagram may be forged, so a source that the wire did not prove is limited instead; and where others \
        authenticate, twice as many failures are needed, of more than one account. A line in which an attacker may have written \
        another's address bans nobody.",
    settings: &[],
};

/// Sources with failures that are counted at a time, of all jails.
const ROWS: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Jails {
    rules: Vec<crate::Jail>,
    rows: Bounded<Row>,
}

/// One source in one jail.
#[derive(Clone, Debug, Default)]
pub(crate) struct Row {
    /// When each failure was, oldest first.
    times: VecDeque<Tick>,
    /// Whose they were.
    accounts: Distinct,
    last: Tick,
}

impl Worth for Row {
    fn worth(&self) -> (u8, Tick) {
        (u8::try_from(self.times.len()).unwrap_or(u8::MAX), self.last)
    }
}

impl Jails {
    /// 65,536 sources, each with at most twice its jail's `max-failures` times; those with the fewest failures make room.
    pub(crate) fn new(settings: &Settings, salt: Salt) -> Self {
        let rows = if settings.jails.is_empty() { 1 } else { ROWS };
        Self { rules: settings.jails.clone(), rows: Bounded::new(rows, salt) }
    }

    pub(crate) fn rule(&self, jail: usize) -> Option<&crate::Jail> {
        self.rules.get(jail)
    }

    pub(crate) fn fill(&self) -> Fill {
        self.rows.fill("jailed")
    }

    /// One more failure, `age` ago; how many there are within the time, and of how many accounts.
    pub(crate) fn count(
        &mut self,
        (jail, source): (usize, Address),
        account: u64,
        age: Tick,
        now: Tick,
        salt: Salt,
    ) -> (usize, u32) {
        let Some(rule) = self.rules.get(jail) else { return (0, 0) };
        let within = Tick::seconds(u32::try_from(rule.within.as_secs()).unwrap_or(u32::MAX));
        let row = self.rows.entry(key(jail, source, salt));
        row.last = now;
        if age <= within {
            // Lines of several files do not come in their order; late ones stand where they belong.
            let at = Tick(now.0.saturating_sub(age.0));
            let place = row.times.partition_point(|&time| time <= at);
            row.times.insert(place, at);
        }
        while row.times.front().is_some_and(|&first| now.since(first) > within)
            || row.times.len() > 2 * usize::from(rule.max_failures)
        {
            row.times.pop_front();
        }
        if row.times.len() <= 1 {
            row.accounts = Distinct::default();
        }
        row.accounts.insert(account);
        (row.times.len(), row.accounts.count())
    }

    /// What was counted is forgotten.
    pub(crate) fn clear(&mut self, jail: usize, source: Address, salt: Salt) {
        if let Some(row) = self.rows.get_mut(key(jail, source, salt)) {
            *row = Row::default();
        }
    }

    /// All that was counted is forgotten: the logs are read again.
    pub(crate) fn reset(&mut self, salt: Salt) {
        let rows = if self.rules.is_empty() { 1 } else { ROWS };
        self.rows = Bounded::new(rows, salt);
    }

    /// In every jail.
    pub(crate) fn forget(&mut self, source: Address, salt: Salt) {
        for jail in 0..self.rules.len() {
            self.clear(jail, source, salt);
        }
    }
}

fn key(jail: usize, source: Address, salt: Salt) -> u64 {
    salt.of(&[&jail.to_le_bytes(), &source.number().to_le_bytes()])
}
