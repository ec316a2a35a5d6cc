//! From systemd's journal, which `journalctl` reads: the format of its files is systemd's own business.

use std::time::{Duration, Instant, SystemTime};

use filters::Matcher;
use host::journal::{Entry, Journal};

use super::{Batch, Found, Ready, Work, note};

/// Entries that are looked at before what they led to is told.
const TURN: usize = 1000;
/// How long it waits for the next entry.
const IDLE: Duration = Duration::from_millis(500);
const OFTEN: Duration = Duration::from_secs(1);
/// After `journalctl` ended, doubled each time.
const RETRY: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What its position is kept under.
pub(super) fn log(ready: &Ready) -> String {
    format!("{} journal", ready.jail.rule.name)
}

/// Reads until it is told to stop.
pub(super) fn run(ready: Ready, place: Option<&str>, work: &Work) {
    let mut matcher = Matcher::new(&ready.filter);
    let mut place: Option<Cursor> = place.and_then(Cursor::read);
    let mut pause = RETRY.0;
    let mut is_first = true;
    while !work.is_over() {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let window = now.saturating_sub(ready.jail.rule.within);
        let since = place.as_ref().map_or(window, |place| place.time.min(window));
        let error = match Journal::open(ready.filter.journal_matches(), since) {
            Ok(mut journal) => {
                let before = place.clone();
                let end = follow(&mut journal, &ready, &mut matcher, (before, &mut place, is_first), work);
                is_first = false;
                match end {
                    Some(error) => error,
                    None => return,
                }
            }
            Err(error) => error.to_string(),
        };
        work.states.fail(ready.index, Some(error.clone()));
        let news = format!("warning: jail {}: cannot read the journal: {error}", ready.jail.rule.name);
        let batch =
            Batch { run: work.run, jail: ready.index, found: Vec::new(), position: None, news: vec![news] };
        if !work.send(batch) {
            return;
        }
        let until = Instant::now() + pause;
        while Instant::now() < until && !work.is_over() {
            std::thread::sleep(Duration::from_millis(200));
        }
        pause = (pause * 2).min(RETRY.1);
    }
}

/// How far it was read.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Cursor {
    time: Duration,
    cursor: String,
}

impl Cursor {
    fn read(text: &str) -> Option<Self> {
        let (time, cursor) = text.split_once(' ')?;
        Some(Self { time: Duration::from_micros(time.parse().ok()?), cursor: cursor.to_owned() })
    }

    fn text(&self) -> String {
        format!("{} {}", self.time.as_micros(), self.cursor)
    }
}

/// Reads one journal until it ends, and why it did; `None` when nobody wants more.
fn follow(
    journal: &mut Journal,
    ready: &Ready,
    matcher: &mut Matcher,
    (before, place, is_first): (Option<Cursor>, &mut Option<Cursor>, bool),
    work: &Work,
) -> Option<String> {
    let mut told_at = Instant::now();
    let mut told = place.clone();
    // Everything up to the place was read by an earlier run.
    let mut is_behind = before.is_none();
    while !work.is_over() {
        let mut found: Vec<Found> = Vec::new();
        let mut failed = None;
        for turn in 0..TURN {
            let entry = match journal.next(if turn == 0 { IDLE } else { Duration::ZERO }) {
                Ok(Some(entry)) => entry,
                Ok(None) => break,
                Err(error) => {
                    failed = Some(error.to_string());
                    break;
                }
            };
            work.states.fail(ready.index, None);
            let Entry { cursor, time, line } = entry;
            let is_old = !is_behind && before.as_ref().is_some_and(|before| time <= before.time);
            is_behind |= before.as_ref().is_some_and(|before| before.cursor == cursor || time > before.time);
            let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
            let outcome = matcher.entry(&line, time, now);
            // What this run read before `journalctl` ended was counted then.
            if is_first || !is_old {
                note((ready.index, &work.states), (outcome, false), is_old, &mut found);
            }
            if !is_old {
                *place = Some(Cursor { time, cursor });
            }
        }
        let is_time = told_at.elapsed() >= OFTEN;
        if !found.is_empty() || is_time && told != *place {
            (told, told_at) = (place.clone(), Instant::now());
            let position = place.as_ref().map(|place| (log(ready), place.text()));
            let batch = Batch { run: work.run, jail: ready.index, found, position, news: Vec::new() };
            if !work.send(batch) {
                return None;
            }
        }
        if failed.is_some() {
            return failed;
        }
    }
    None
}
