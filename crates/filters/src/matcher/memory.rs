use std::time::Duration;

use crate::{Failure, Host, MAX_TOLD};

/// Texts that are kept beside those of a failure, and bytes of the largest that is.
const MAX_TEXTS: usize = 8;
const MAX_KEPT: usize = 4096;

/// Memory of failures that were told, for those that come: who floods a log makes one of each line.
#[derive(Clone, Debug, Default)]
pub(super) struct Memory {
    /// One, or none. What it says is of no account.
    failures: Vec<Failure>,
    texts: Vec<String>,
}

impl Memory {
    pub(super) fn take_back(&mut self, mut failures: Vec<Failure>) {
        failures.truncate(1);
        if let Some(failure) = failures.first_mut() {
            failure.lines.truncate(MAX_TOLD);
            failure.lines.retain(is_small);
            failure.user.take_if(|text| !is_small(text));
        }
        self.failures = failures;
    }

    /// A failure of which all is still to be said.
    pub(super) fn failures(&mut self) -> Vec<Failure> {
        let mut failures = std::mem::take(&mut self.failures);
        if failures.is_empty() {
            failures.push(Failure {
                host: Host::Id(String::new()),
                time: Duration::ZERO,
                user: None,
                users: Vec::new(),
                id: None,
                regex: 0,
                lines: Vec::new(),
                other: None,
            });
        }
        failures
    }

    /// Writes a name where perhaps another stood.
    pub(super) fn write_user(&mut self, place: &mut Option<String>, user: Option<&str>) {
        match (&mut *place, user) {
            (Some(copy), Some(user)) => write(copy, user),
            (None, Some(user)) => *place = Some(self.text(user)),
            (Some(_), None) => place.take().into_iter().for_each(|text| self.keep(text)),
            (None, None) => {}
        }
    }

    /// Writes lines where perhaps others stood.
    pub(super) fn write_lines<'t>(
        &mut self,
        lines: &mut Vec<String>,
        mut texts: impl Iterator<Item = &'t str>,
    ) {
        let mut written = 0;
        for (line, text) in lines.iter_mut().zip(&mut texts) {
            write(line, text);
            written += 1;
        }
        // Of both, lines are asked first: no text is lost.
        lines.drain(written..).for_each(|text| self.keep(text));
        lines.extend(texts.map(|text| self.text(text)));
    }

    fn text(&mut self, text: &str) -> String {
        let mut copy = self.texts.pop().unwrap_or_default();
        write(&mut copy, text);
        copy
    }

    fn keep(&mut self, text: String) {
        if self.texts.len() < MAX_TEXTS && is_small(&text) {
            self.texts.push(text);
        }
    }
}

fn write(copy: &mut String, text: &str) {
    copy.clear();
    copy.push_str(text);
}

fn is_small(text: &String) -> bool {
    text.capacity() <= MAX_KEPT
}
