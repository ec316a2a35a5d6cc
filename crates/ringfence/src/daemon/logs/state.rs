//! What became of each jail's logs so far.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use policy::jail::Logs as From;
use serde_json::{Value, json};

use super::Ready;

/// Of all jails; threads write, `status` reads.
#[derive(Debug, Default)]
pub(crate) struct States(Mutex<Vec<State>>);

#[derive(Debug, Default)]
struct State {
    name: String,
    filter: String,
    is_journal: bool,
    is_sip: bool,
    files: BTreeMap<PathBuf, File>,
    /// Lines that were read for the first time.
    lines: u64,
    failures: u64,
    /// Lines that were too long, expressions that gave up, names and other things that are not one source, and lines that may
    /// be about somebody else.
    cut: u64,
    gave_up: u64,
    names: u64,
    ambiguous: u64,
    last: Option<Instant>,
    /// Since the last look.
    spoke: bool,
    error: Option<String>,
}

#[derive(Debug, Default)]
struct File {
    /// Bytes that are there and were not read yet; `None` if it is not open.
    unread: Option<u64>,
    error: Option<String>,
}

impl States {
    pub(super) fn begin(&self, jails: &[Ready]) {
        let state = |ready: &Ready| State {
            name: ready.jail.rule.name.clone(),
            filter: ready.jail.filter.clone(),
            is_journal: ready.jail.logs == From::Journal,
            is_sip: ready.jail.rule.is_sip,
            ..State::default()
        };
        *self.lock() = jails.iter().map(state).collect();
    }

    /// A line was looked at.
    pub(super) fn count(&self, jail: usize, outcome: &filters::Outcome, is_cut: bool, is_old: bool) {
        let mut states = self.lock();
        let Some(state) = states.get_mut(jail) else { return };
        state.last = Some(Instant::now());
        state.spoke = true;
        if is_old {
            return;
        }
        state.lines += 1;
        state.cut += u64::from(outcome.cut || is_cut);
        state.gave_up += u64::try_from(outcome.gave_up).unwrap_or(u64::MAX);
        for failure in &outcome.failures {
            state.failures += 1;
            state.ambiguous += u64::from(failure.other.is_some());
            state.names += u64::from(super::one_source(&failure.host).is_none());
        }
    }

    /// A file was looked at; `unread` as in [`File`].
    pub(super) fn see(&self, jail: usize, path: &Path, unread: Option<u64>, error: Option<String>) {
        let mut states = self.lock();
        let Some(state) = states.get_mut(jail) else { return };
        match state.files.get_mut(path) {
            Some(file) => (file.unread, file.error) = (unread, error),
            None => drop(state.files.insert(path.to_owned(), File { unread, error })),
        }
    }

    /// Whether the journal can be read, or why not.
    pub(super) fn fail(&self, jail: usize, error: Option<String>) {
        if let Some(state) = self.lock().get_mut(jail) {
            state.error = error;
        }
    }

    /// Jails about SIP, and whether their logs said something since the last call.
    pub(crate) fn about_sip(&self) -> Vec<(String, bool)> {
        let mut states = self.lock();
        let sip = states.iter_mut().filter(|state| state.is_sip);
        sip.map(|state| (state.name.clone(), std::mem::take(&mut state.spoke))).collect()
    }

    pub(super) fn json(&self) -> Value {
        let jail = |state: &State| {
            let files: Vec<Value> = state
                .files
                .iter()
                .map(|(path, file)| {
                    json!({ "path": path.display().to_string(), "open": file.unread.is_some(), "error": file.error })
                })
                .collect();
            json!({
                "name": state.name,
                "filter": state.filter,
                "journal": state.is_journal,
                "files": files,
                "unread": state.files.values().filter_map(|file| file.unread).sum::<u64>(),
                "lines": state.lines,
                "failures": state.failures,
                "cut": state.cut,
                "gave_up": state.gave_up,
                "names": state.names,
                "ambiguous": state.ambiguous,
                "seconds_since_last_line": state.last.map(|last| last.elapsed().as_secs()),
                "error": state.error,
            })
        };
        self.lock().iter().map(jail).collect()
    }

    fn lock(&self) -> MutexGuard<'_, Vec<State>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
