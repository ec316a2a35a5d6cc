use std::time::Duration;

use super::{Merged, Told, Who, shortened};
use crate::MAX_TOLD;
use crate::matcher::groups::{self, Fields, KEYS, Key};

/// Bytes of text, beyond which what no longer counts is looked for and thrown away.
const MUCH_TEXT: usize = 16 << 10;

/// What the lines of a connection said. It lies in few places, which are used again for the next one: who floods a log makes a
/// connection of each line.
#[derive(Clone, Debug, Default)]
pub(super) struct Connection {
    /// All texts, one after another; not all still count.
    text: String,
    fields: [Option<Span>; KEYS.len()],
    users: Vec<Span>,
    /// Lines of failures, and lines that are none by themselves.
    lines: Vec<Span>,
    quiet: Vec<Span>,
    /// A failure of which the host is not known yet.
    pending: bool,
    much: usize,
    pub(super) until: Duration,
}

/// A piece of the text.
#[derive(Clone, Copy, Debug)]
struct Span {
    from: usize,
    to: usize,
}

impl Connection {
    /// Forgets all there was.
    pub(super) fn begin(&mut self, until: Duration) {
        self.text.clear();
        // Nobody keeps the memory of a connection that told very much.
        self.text.shrink_to(4 * MUCH_TEXT);
        self.fields = [None; KEYS.len()];
        self.users.clear();
        self.lines.clear();
        self.quiet.clear();
        self.pending = false;
        self.much = MUCH_TEXT;
        self.until = until;
    }

    /// Adds a line, to a connection that is known, or that is to be forgotten with it.
    pub(super) fn add(
        &mut self,
        fields: &mut Fields<'_>,
        host: Option<Who>,
        lines: &[&str],
        (is_known, forget): (bool, bool),
        told: Told<'_>,
    ) -> Merged {
        let mut gained = fields.has(Key::Gained);
        if gained && !fields.has(Key::NoFail) {
            fields.copy(Key::Gained, Key::NoFail);
        }
        let mut quiet = gained || fields.has(Key::NoFail);
        let user = fields.get(Key::User).filter(|user| !user.is_empty()).map(shortened);
        if let Some(user) = user.filter(|user| self.users.iter().all(|span| self.at(*span) != *user))
            && (is_known || !forget)
            && self.users.len() < MAX_TOLD
        {
            let user = self.put(user);
            self.users.push(user);
        }
        if is_known {
            let was_quiet = self.take(Key::NoFail);
            let was_gained = self.take(Key::Gained);
            self.pending &= !gained;
            // Those were told already.
            if !was_quiet && !was_gained && !self.pending {
                self.lines.clear();
            }
        }
        self.keep(fields);
        // Who failed before, or tried several names, has not logged in by what comes last.
        if std::mem::take(&mut self.pending) || self.users.len() > 1 {
            self.take(Key::NoFail);
            self.take(Key::Gained);
            (gained, quiet) = (false, false);
        }
        if !quiet {
            self.quiet.append(&mut self.lines);
            std::mem::swap(&mut self.quiet, &mut self.lines);
            if !gained {
                self.tell(lines, false);
            }
            self.lines.truncate(MAX_TOLD);
        } else if !forget {
            self.tell(lines, true);
        }
        // Nobody but this line said who it was.
        let merged = self.merged(if is_known { None } else { host }, told);
        self.throw_away();
        merged
    }

    fn tell(&mut self, told: &[&str], quiet: bool) {
        for line in told {
            let lines = if quiet { &self.quiet } else { &self.lines };
            if lines.len() >= MAX_TOLD {
                return;
            }
            let line = self.put(shortened(line));
            if quiet { &mut self.quiet } else { &mut self.lines }.push(line);
        }
    }

    fn merged(&mut self, host: Option<Who>, mut told: Told<'_>) -> Merged {
        if self.field(Key::NoFail).is_some_and(|text| !text.is_empty()) {
            return Merged::Quiet;
        }
        let Some(who) = host.or_else(|| groups::host(|key| self.field(key))) else {
            self.pending = true;
            return Merged::Quiet;
        };
        let mut users: Vec<String> = self.users.iter().map(|span| self.at(*span).to_owned()).collect();
        users.sort_unstable();
        told.write(who, self.field(Key::User), users, self.lines.iter().map(|span| self.at(*span)))
    }

    /// Takes over what a line says.
    fn keep(&mut self, fields: &Fields<'_>) {
        for (place, key) in KEYS.into_iter().enumerate() {
            let Some(text) = fields.get(key) else { continue };
            if self.field(key) == Some(text) {
                continue;
            }
            let span = self.put(text);
            if let Some(place) = self.fields.get_mut(place) {
                *place = Some(span);
            }
        }
    }

    fn field(&self, key: Key) -> Option<&str> {
        let span = self.fields.get(key as usize).copied().flatten()?;
        Some(self.at(span))
    }

    /// Forgets a field, and says whether it said something.
    fn take(&mut self, key: Key) -> bool {
        let taken = self.fields.get_mut(key as usize).and_then(Option::take);
        taken.is_some_and(|span| span.from < span.to)
    }

    fn at(&self, span: Span) -> &str {
        self.text.get(span.from..span.to).unwrap_or_default()
    }

    fn put(&mut self, text: &str) -> Span {
        let from = self.text.len();
        self.text.push_str(text);
        Span { from, to: self.text.len() }
    }

    /// Keeps of the text what still counts, if there is much of it.
    fn throw_away(&mut self) {
        if self.text.len() <= self.much {
            return;
        }
        let text = std::mem::take(&mut self.text);
        let spans = self.fields.iter_mut().flatten();
        let spans = spans.chain(&mut self.users).chain(&mut self.lines).chain(&mut self.quiet);
        for span in spans {
            let from = self.text.len();
            self.text.push_str(text.get(span.from..span.to).unwrap_or_default());
            *span = Span { from, to: self.text.len() };
        }
        self.much = (2 * self.text.len()).max(MUCH_TEXT);
        self.text.shrink_to(self.much);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matcher::memory::Memory;

    #[test]
    fn text_that_no_longer_counts_is_thrown_away() {
        let mut connection = Connection::default();
        connection.begin(Duration::from_secs(300));
        let mut memory = Memory::default();
        let mut failure = memory.failures().remove(0);
        for number in 0..1000 {
            let (line, user) = (format!("{number} {}", "x".repeat(400)), format!("user{}", number % 40));
            let mut fields = Fields::default();
            fields.put(Key::Ip4, Some("192.0.2.1"));
            fields.put(Key::User, Some(&user));
            let told = Told { failure: &mut failure, memory: &mut memory };
            let merged = connection.add(&mut fields, None, &[&line], (number > 0, false), told);
            assert_eq!(merged, Merged::Failure);
            assert_eq!((failure.user.as_deref(), &failure.lines), (Some(user.as_str()), &vec![line]));
            assert_eq!(failure.users.len(), MAX_TOLD.min(number + 1));
            assert!(failure.users.is_sorted());
            assert!(connection.text.len() < 3 * MUCH_TEXT);
        }
    }
}
