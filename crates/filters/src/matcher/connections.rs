use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::groups::{Fields, Key};
use crate::{MAX_CONNECTION_AGE, MAX_CONNECTIONS, MAX_TOLD};

/// Bytes of a name, of a user or of a line that are remembered.
const MAX_KEPT: usize = 512;

/// Connections of which several lines tell, by what `<F-MLFID>` finds.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    known: HashMap<String, Connection>,
    /// Which began first. Some may have ended.
    order: VecDeque<String>,
}

#[derive(Clone, Debug, Default)]
struct Connection {
    fields: Fields,
    users: BTreeSet<String>,
    /// A failure of which the host is not known yet.
    pending: bool,
    /// Lines of failures, and lines that are none by themselves.
    lines: Vec<String>,
    quiet: Vec<String>,
    until: Duration,
}

/// All that is known of a failure.
#[derive(Clone, Debug)]
pub(super) struct Merged {
    pub(super) fields: Fields,
    pub(super) lines: Vec<String>,
    pub(super) users: BTreeSet<String>,
}

impl Connection {
    fn merged(&self) -> Merged {
        Merged { fields: self.fields.clone(), lines: self.lines.clone(), users: self.users.clone() }
    }
}

impl Connections {
    /// Adds what a line says to what its connection said before: all fields, and the lines. `None` if it is no failure (yet).
    pub(super) fn merge(&mut self, mut fields: Fields, told: Vec<String>, now: Duration) -> Option<Merged> {
        let Some(id) = fields.get(Key::Connection).map(|id| shortened(id).to_owned()) else {
            return Some(Merged { fields, lines: told, users: BTreeSet::new() });
        };
        let mut gained = fields.has(Key::Gained);
        if gained && !fields.has(Key::NoFail) {
            let text = fields.get(Key::Gained).map(str::to_owned);
            fields.set(Key::NoFail, text.as_deref());
        }
        let mut quiet = gained || fields.has(Key::NoFail);
        let forget = fields.take(Key::Forget).is_some_and(|text| !text.is_empty());
        let user =
            fields.get(Key::User).filter(|user| !user.is_empty()).map(|user| shortened(user).to_owned());
        let known = self.take(&id, now);
        let is_known = known.is_some();
        let until = now.saturating_add(Duration::from_secs(MAX_CONNECTION_AGE));
        let mut connection = known.unwrap_or_else(|| Connection { until, ..Connection::default() });
        if (is_known || !forget) && connection.users.len() < MAX_TOLD {
            connection.users.extend(user);
        }
        if is_known {
            let was_quiet = connection.fields.take(Key::NoFail).is_some_and(|text| !text.is_empty());
            let was_gained = connection.fields.take(Key::Gained).is_some_and(|text| !text.is_empty());
            connection.pending &= !gained;
            // Those were told already.
            if !was_quiet && !was_gained && !connection.pending {
                connection.lines.clear();
            }
        }
        connection.fields.update(fields);
        // Who failed before, or tried several names, has not logged in by what comes last.
        if std::mem::take(&mut connection.pending) || connection.users.len() > 1 {
            connection.fields.take(Key::NoFail);
            connection.fields.take(Key::Gained);
            (gained, quiet) = (false, false);
        }
        let told = told.iter().map(|line| shortened(line).to_owned());
        if !quiet {
            let mut lines = std::mem::take(&mut connection.quiet);
            lines.append(&mut connection.lines);
            if !gained {
                lines.extend(told);
            }
            lines.truncate(MAX_TOLD);
            connection.lines = lines;
        } else if !forget {
            connection.quiet.extend(told);
            connection.quiet.truncate(MAX_TOLD);
        }
        let is_quiet = connection.fields.has(Key::NoFail);
        connection.pending = !is_quiet && connection.fields.host().is_none();
        let result = (!is_quiet && !connection.pending).then(|| connection.merged());
        if !forget {
            self.put(id, connection, !is_known);
        }
        result
    }

    fn take(&mut self, id: &str, now: Duration) -> Option<Connection> {
        self.known.remove(id).filter(|connection| connection.until > now)
    }

    fn put(&mut self, id: String, connection: Connection, new: bool) {
        if new {
            self.order.push_back(id.clone());
            while self.known.len() >= MAX_CONNECTIONS || self.order.len() > 2 * MAX_CONNECTIONS {
                let Some(first) = self.order.pop_front() else { break };
                self.known.remove(&first);
            }
        }
        self.known.insert(id, connection);
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=MAX_KEPT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}
