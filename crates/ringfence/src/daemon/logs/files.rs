//! From files to what a filter finds in them.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use filters::Matcher;
use host::follow::{Follower, Place, Watch, is_packed, is_rotated};
use jiff::tz::TimeZone;
use policy::jail::Logs as From;

use super::{Batch, Found, Ready, Work, note};
use crate::zone;

/// Bytes that are read of one file before the others get a turn.
const TURN: usize = 256 * 1024;
/// Bytes before the place that are read again, so that what counted before a restart counts after it.
const HISTORY: u64 = 4 << 20;
/// How often a file is looked at when the kernel says nothing about it.
const IDLE: Duration = Duration::from_millis(500);
/// How often patterns are looked at for new files, and how often a position is told that led to nothing.
const OFTEN: Duration = Duration::from_secs(1);
/// Files of one pattern.
const MAX_FILES: usize = 256;

/// One file, as one jail reads it.
#[derive(Debug)]
struct Reading {
    jail: usize,
    name: String,
    /// What its position is kept under.
    log: String,
    follower: Follower,
    matcher: Matcher,
    told: Option<Place>,
    told_at: Instant,
    failed: Option<String>,
}

/// Reads until it is told to stop.
pub(super) fn run(jails: Vec<Ready>, positions: &HashMap<String, String>, work: &Work) {
    let zone = zone::local();
    let mut watch = match Watch::new() {
        Ok(watch) => Some(watch),
        Err(error) => {
            let news = format!(
                "warning: the kernel tells nothing about logs, they are looked at twice a second: {error}"
            );
            work.send(Batch { run: work.run, jail: 0, found: Vec::new(), position: None, news: vec![news] });
            None
        }
    };
    let mut readings: Vec<Reading> = Vec::new();
    let mut look_at = Instant::now();
    while !work.is_over() {
        if look_at <= Instant::now() {
            look_at = Instant::now() + OFTEN;
            for ready in &jails {
                find(ready, &mut readings, positions, watch.as_mut());
            }
        }
        let mut has_more = false;
        for reading in &mut readings {
            match reading.turn(&zone, work) {
                Some(more) => has_more |= more,
                None => return,
            }
        }
        if !has_more {
            match &mut watch {
                Some(watch) => drop(watch.wait(IDLE)),
                None => std::thread::sleep(IDLE),
            }
        }
    }
}

/// Begins to read what a jail's patterns stand for now.
fn find(
    ready: &Ready,
    readings: &mut Vec<Reading>,
    positions: &HashMap<String, String>,
    mut watch: Option<&mut Watch>,
) {
    let From::Files(patterns) = &ready.jail.logs else { return };
    for pattern in patterns {
        if let (Some(watch), Some(folder)) = (watch.as_deref_mut(), pattern.parent()) {
            watch.add(folder);
        }
        for path in expand(pattern) {
            if readings.iter().any(|known| known.jail == ready.index && known.follower.path() == path) {
                continue;
            }
            let log = format!("{} {}", ready.jail.rule.name, path.display());
            let before = positions.get(&log).and_then(|place| place.parse().ok());
            readings.push(Reading {
                jail: ready.index,
                name: ready.jail.rule.name.clone(),
                follower: Follower::new(&path, before, HISTORY),
                matcher: Matcher::new(&ready.filter),
                log,
                told: before,
                told_at: Instant::now(),
                failed: None,
            });
        }
    }
}

impl Reading {
    /// Reads on a little; whether there is more. `None`: nobody listens any more.
    fn turn(&mut self, zone: &TimeZone, work: &Work) -> Option<bool> {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let mut found: Vec<Found> = Vec::new();
        let (jail, matcher, states) = (self.jail, &mut self.matcher, &work.states);
        let read = self.follower.read(TURN, |line| {
            let outcome = matcher.line(line.bytes, now, zone);
            note((jail, states), (outcome, line.is_cut), line.is_old, &mut found);
        });
        let mut news: Vec<String> = self.follower.news();
        for text in &mut news {
            *text = format!("jail {}: {}: {text}", self.name, self.follower.path().display());
        }
        let failed = read.as_ref().err().map(ToString::to_string);
        if failed != self.failed {
            if let Some(error) = &failed {
                let path = self.follower.path().display();
                news.push(format!("warning: jail {}: cannot read {path}: {error}", self.name));
            }
            self.failed.clone_from(&failed);
        }
        let unread = self.follower.unread();
        states.see(self.jail, self.follower.path(), self.follower.is_open().then_some(unread), failed);
        let place = self.follower.place().filter(|place| self.told != Some(*place));
        let is_time = self.told_at.elapsed() >= OFTEN;
        let position = place.filter(|_| is_time || !found.is_empty());
        if position.is_some() || !news.is_empty() || !found.is_empty() {
            if position.is_some() {
                (self.told, self.told_at) = (position, Instant::now());
            }
            let position = position.map(|place| (self.log.clone(), place.to_string()));
            let batch = Batch { run: work.run, jail: self.jail, found, position, news };
            if !work.send(batch) {
                return None;
            }
        }
        Some(read.is_ok_and(|progress| progress.has_more))
    }
}

/// The files that a pattern stands for; a plain path stands for itself, whether it exists or not.
fn expand(pattern: &Path) -> Vec<PathBuf> {
    let (Some(folder), Some(name)) = (pattern.parent(), pattern.file_name().and_then(|name| name.to_str()))
    else {
        return vec![pattern.to_owned()];
    };
    if !name.contains(['*', '?']) {
        return vec![pattern.to_owned()];
    }
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries
        .filter_map(Result::ok)
        .filter(|entry| fits(name.as_bytes(), entry.file_name().as_encoded_bytes()))
        .map(|entry| entry.path())
        .filter(|path| path.is_file() && !is_packed(path))
        .collect();
    paths.sort();
    // What was rotated is read as what it was.
    let names: Vec<_> = paths.iter().filter_map(|path| path.file_name().map(ToOwned::to_owned)).collect();
    let is_rotated = |path: &PathBuf| {
        path.file_name().is_some_and(|other| names.iter().any(|name| is_rotated(name, other)))
    };
    paths.retain(|path| !is_rotated(path));
    paths.truncate(MAX_FILES);
    paths
}

/// `*` is any text, `?` one byte. In time proportional to the product of the lengths.
fn fits(pattern: &[u8], name: &[u8]) -> bool {
    // Which beginnings of the pattern fit what was seen of the name.
    let mut states = vec![false; pattern.len() + 1];
    let begin = |states: &mut Vec<bool>| {
        for (at, byte) in pattern.iter().enumerate() {
            if *byte == b'*'
                && states.get(at).copied().unwrap_or(false)
                && let Some(next) = states.get_mut(at + 1)
            {
                *next = true;
            }
        }
    };
    if let Some(first) = states.first_mut() {
        *first = true;
    }
    begin(&mut states);
    for byte in name {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate() {
            if !states.get(at).copied().unwrap_or(false) {
                continue;
            }
            let to = if *wanted == b'*' { at } else { at + 1 };
            if (matches!(wanted, b'*' | b'?') || wanted == byte)
                && let Some(next) = next.get_mut(to)
            {
                *next = true;
            }
        }
        begin(&mut next);
        states = next;
    }
    states.last().copied().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns_are_those_of_a_shell() {
        for (pattern, name, is_fit) in [
            ("*.log", "access.log", true),
            ("*.log", "access.log.1", false),
            ("access*", "access", true),
            ("a?c*e", "abcdde", true),
            ("a?c", "ac", false),
            ("**", "", true),
            ("", "a", false),
        ] {
            assert_eq!(fits(pattern.as_bytes(), name.as_bytes()), is_fit, "{pattern} {name}");
        }
        let (pattern, name) = ("*a".repeat(50), "a".repeat(2000) + "b");
        assert!(!fits(pattern.as_bytes(), name.as_bytes()), "in no time");
    }
}
