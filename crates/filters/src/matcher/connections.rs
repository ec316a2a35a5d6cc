use std::collections::{BTreeSet, HashMap, VecDeque};
use std::time::Duration;

use super::groups::{Fields, Key};
use crate::{Host, MAX_CONNECTION_AGE, MAX_CONNECTIONS, MAX_TOLD};

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
    fields: Fields<'static>,
    users: BTreeSet<String>,
    /// A failure of which the host is not known yet.
    pending: bool,
    /// Lines of failures, and lines that are none by themselves.
    lines: Vec<String>,
    quiet: Vec<String>,
    until: Duration,
}

/// What a line leads to.
#[derive(Debug)]
pub(super) enum Merged {
    /// No failure, or not yet.
    Quiet,
    /// A failure of which nobody is known.
    Nobody,
    Failure(Told),
}

/// All that is known of a failure.
#[derive(Debug)]
pub(super) struct Told {
    pub(super) host: Host,
    pub(super) id: Option<String>,
    pub(super) user: Option<String>,
    pub(super) users: Vec<String>,
    pub(super) lines: Vec<String>,
}

impl Connections {
    /// Adds what a line says to what its connection said before: all fields, and the lines. `host` is who the line says it was.
    pub(super) fn merge(
        &mut self,
        mut fields: Fields<'_>,
        host: Option<(Host, Option<String>)>,
        told: Vec<String>,
        now: Duration,
    ) -> Merged {
        let Some(id) = fields.take(Key::Connection) else {
            return match host {
                _ if fields.has(Key::NoFail) => Merged::Quiet,
                None => Merged::Nobody,
                Some((host, id)) => {
                    let user = fields.get(Key::User).map(str::to_owned);
                    Merged::Failure(Told { host, id, user, users: Vec::new(), lines: told })
                }
            };
        };
        let id = shortened(&id);
        let forget = fields.take(Key::Forget).is_some_and(|text| !text.is_empty());
        if self.known.get(id).is_some_and(|connection| connection.until <= now) {
            self.known.remove(id);
        }
        if let Some(connection) = self.known.get_mut(id) {
            let merged = connection.add(fields, told, (true, forget));
            if forget {
                self.known.remove(id);
            }
            return merged;
        }
        let until = now.saturating_add(Duration::from_secs(MAX_CONNECTION_AGE));
        let mut connection = Connection { until, ..Connection::default() };
        let merged = connection.add(fields, told, (false, forget));
        if !forget {
            self.put(id.to_owned(), connection);
        }
        merged
    }

    fn put(&mut self, id: String, connection: Connection) {
        self.order.push_back(id.clone());
        while self.known.len() >= MAX_CONNECTIONS || self.order.len() > 2 * MAX_CONNECTIONS {
            let Some(first) = self.order.pop_front() else { break };
            self.known.remove(&first);
        }
        self.known.insert(id, connection);
    }
}

impl Connection {
    /// Adds a line, to a connection that is known, or that is to be forgotten with it.
    fn add(&mut self, mut fields: Fields<'_>, told: Vec<String>, (is_known, forget): (bool, bool)) -> Merged {
        let mut gained = fields.has(Key::Gained);
        if gained && !fields.has(Key::NoFail) {
            let text = fields.get(Key::Gained).map(|text| text.to_owned().into());
            fields.set(Key::NoFail, text);
        }
        let mut quiet = gained || fields.has(Key::NoFail);
        let user = fields.get(Key::User).filter(|user| !user.is_empty()).map(shortened);
        if let Some(user) = user.filter(|user| !self.users.contains(*user))
            && (is_known || !forget)
            && self.users.len() < MAX_TOLD
        {
            self.users.insert(user.to_owned());
        }
        if is_known {
            let was_quiet = self.fields.take(Key::NoFail).is_some_and(|text| !text.is_empty());
            let was_gained = self.fields.take(Key::Gained).is_some_and(|text| !text.is_empty());
            self.pending &= !gained;
            // Those were told already.
            if !was_quiet && !was_gained && !self.pending {
                self.lines.clear();
            }
        }
        self.fields.keep(&fields);
        // Who failed before, or tried several names, has not logged in by what comes last.
        if std::mem::take(&mut self.pending) || self.users.len() > 1 {
            self.fields.take(Key::NoFail);
            self.fields.take(Key::Gained);
            (gained, quiet) = (false, false);
        }
        let told = told.into_iter().map(|line| {
            let short = shortened(&line);
            if short.len() == line.len() { line } else { short.to_owned() }
        });
        if !quiet {
            let mut lines = std::mem::take(&mut self.quiet);
            lines.append(&mut self.lines);
            if !gained {
                lines.extend(told);
            }
            lines.truncate(MAX_TOLD);
            self.lines = lines;
        } else if !forget {
            self.quiet.extend(told);
            self.quiet.truncate(MAX_TOLD);
        }
        if self.fields.has(Key::NoFail) {
            return Merged::Quiet;
        }
        let Some((host, id)) = self.fields.host() else {
            self.pending = true;
            return Merged::Quiet;
        };
        let user = self.fields.get(Key::User).map(str::to_owned);
        let users = self.users.iter().cloned().collect();
        Merged::Failure(Told { host, id, user, users, lines: self.lines.clone() })
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=MAX_KEPT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}
