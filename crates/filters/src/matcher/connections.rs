/// What is remembered of one connection.
mod connection;

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use foldhash::fast::RandomState;

use super::groups::{Fields, Key};
use super::memory::Memory;
use crate::{Failure, Host, MAX_CONNECTION_AGE, MAX_CONNECTIONS};
use connection::Connection;

/// Bytes of a name, of a user or of a line that are remembered.
const MAX_KEPT: usize = 512;
/// Connections that have ended, of which the memory is used again.
const MAX_SPARE: usize = 16;

/// Connections of which several lines tell, by what `<F-MLFID>` finds.
#[derive(Clone, Debug, Default)]
pub(super) struct Connections {
    known: HashMap<String, Box<Connection>, RandomState>,
    /// Which began first. Some may have ended.
    order: VecDeque<String>,
    spare: Vec<(String, Box<Connection>)>,
}

/// Who it was, and what else a filter tells it apart by.
pub(super) type Who = (Host, Option<String>);

/// What a line leads to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Merged {
    /// No failure, or not yet.
    Quiet,
    /// A failure of which nobody is known.
    Nobody,
    /// Who failed, and all that is known of it, was written.
    Failure,
}

/// Where a failure is written: all but its time, its expression, and who else it could be.
pub(super) struct Told<'m> {
    pub(super) failure: &'m mut Failure,
    pub(super) memory: &'m mut Memory,
}

impl Told<'_> {
    fn write<'t>(
        &mut self,
        (host, id): Who,
        user: Option<&str>,
        users: Vec<String>,
        lines: impl Iterator<Item = &'t str>,
    ) -> Merged {
        let Self { failure, memory } = self;
        (failure.host, failure.id, failure.users) = (host, id, users);
        memory.write_user(&mut failure.user, user);
        memory.write_lines(&mut failure.lines, lines);
        Merged::Failure
    }
}

impl Connections {
    /// Adds what a line says to what its connection said before: all fields, and the lines. `host` is who the line says it was.
    pub(super) fn merge(
        &mut self,
        fields: &mut Fields<'_>,
        host: Option<Who>,
        (lines, now): (&[&str], Duration),
        mut told: Told<'_>,
    ) -> Merged {
        let Some(id) = fields.take(Key::Connection) else {
            return match host {
                _ if fields.has(Key::NoFail) => Merged::Quiet,
                None => Merged::Nobody,
                Some(who) => told.write(who, fields.get(Key::User), Vec::new(), lines.iter().copied()),
            };
        };
        let id = shortened(&id);
        let forget = fields.take(Key::Forget).is_some_and(|text| !text.is_empty());
        if let Some(connection) = self.known.get_mut(id) {
            if connection.until > now {
                let merged = connection.add(fields, host, lines, (true, forget), told);
                if forget {
                    self.remove(id);
                }
                return merged;
            }
            self.remove(id);
        }
        let until = now.saturating_add(Duration::from_secs(MAX_CONNECTION_AGE));
        if forget {
            let (name, mut connection) = self.spare.pop().unwrap_or_default();
            connection.begin(until);
            let merged = connection.add(fields, host, lines, (false, forget), told);
            self.spare.push((name, connection));
            return merged;
        }
        self.make_room(id);
        let (mut name, mut connection) = self.spare.pop().unwrap_or_default();
        connection.begin(until);
        let merged = connection.add(fields, host, lines, (false, forget), told);
        name.clear();
        name.push_str(id);
        self.known.insert(name, connection);
        merged
    }

    fn remove(&mut self, id: &str) {
        if let Some(removed) = self.known.remove_entry(id)
            && self.spare.len() < MAX_SPARE
        {
            self.spare.push(removed);
        }
    }

    /// Puts a new one behind the others, of which the first go if there are too many.
    fn make_room(&mut self, id: &str) {
        let mut new = Some(String::new());
        self.order.push_back(String::new());
        while self.known.len() >= MAX_CONNECTIONS || self.order.len() > 2 * MAX_CONNECTIONS {
            let Some(first) = self.order.pop_front() else { break };
            self.remove(&first);
            new = Some(first);
        }
        if let (Some(place), Some(mut name)) = (self.order.back_mut(), new.take()) {
            name.clear();
            name.push_str(id);
            *place = name;
        }
    }
}

fn shortened(text: &str) -> &str {
    let end = (0..=MAX_KEPT.min(text.len())).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
    text.get(..end).unwrap_or(text)
}
