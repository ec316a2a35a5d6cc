//! Block lists: asked for in turn, and what is in them is banned, a little at a time, so that nobody waits for a long list.

/// One look at a list.
pub(crate) mod fetch;

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use host::fetch::Mark;
use host::gate::Sources;
use ledger::{Ban, By, Change, MAX_QUEUE, Net, QueueFull, Scope, Time, Which};
use policy::feed::Feed;
use serde_json::{Value, json};

use self::fetch::{Found, Known};
use super::Daemon;
use super::answers::{Lifted, Task};
use super::book::{self, LEDGER};
use super::report::timestamp;
use super::shelter::Shelter;
use crate::exit::Exit;

/// After so long everything else gets a turn.
const SLICE: Duration = Duration::from_millis(20);
/// Bans that go to the ledger at once.
const BATCH: usize = 2_000;
/// How long it waits for room in the ledger's queue.
const WAIT: Duration = Duration::from_millis(200);
/// How long it waits after a first failure; twice as long after each further one, and never longer than until the next turn.
const RETRY: Duration = Duration::from_secs(60);
/// Spared entries that are shown.
const MAX_SHOWN: usize = 5;

/// All lists of the policy in force.
#[derive(Debug)]
pub(crate) struct Feeds {
    all: Vec<Running>,
    /// So that what was asked for under another policy is told from what is asked for now.
    last_id: u64,
    /// Lists whose bans may have to be lifted.
    gone: BTreeSet<String>,
    /// The ledger is to be searched for more of them.
    is_new: bool,
}

/// What was done elsewhere about a list.
#[derive(Debug)]
pub(crate) enum Step {
    /// It was looked at.
    Looked { id: u64, found: Result<Found, String> },
    /// What was banned last is in the ledger, or why it is not.
    Written { id: u64, written: Result<(), String> },
}

/// A list, and how it goes.
#[derive(Debug)]
struct Running {
    feed: Feed,
    id: u64,
    mark: Mark,
    /// What was in the list when it was last seen.
    nets: Arc<[Net]>,
    state: State,
    next: Instant,
    /// Looks in a row that failed.
    failures: u32,
    last_success: Option<SystemTime>,
    last_error: Option<String>,
    /// What was last said of the list itself.
    told: String,
    tally: Tally,
    done: Done,
}

/// What is counted of a list.
#[derive(Clone, Debug, Default)]
struct Tally {
    format: &'static str,
    unread: u64,
    samples: Vec<String>,
    refused: u64,
    beyond: u64,
}

/// What became of its entries.
#[derive(Clone, Debug, Default)]
struct Done {
    banned: u64,
    /// Whom nobody may ban.
    spared: u64,
    examples: Vec<String>,
    /// Banned by the operator, whose word stays as it is.
    operator: u64,
    no_room: u64,
}

#[derive(Debug)]
enum State {
    Idle,
    Looking,
    Banning(Banning),
}

/// A list on its way into the kernel and the ledger.
#[derive(Debug)]
struct Banning {
    known: HashMap<Net, Known>,
    /// How many of the entries are done.
    at: usize,
    since: Time,
    until: Time,
    /// In the kernel, but the ledger's queue had no room for them.
    held: Vec<Change>,
    done: Done,
}

impl Feeds {
    pub(crate) fn new(feeds: &[Feed]) -> Self {
        let mut all = Self { all: Vec::new(), last_id: 0, gone: BTreeSet::new(), is_new: true };
        all.follow(feeds);
        all
    }

    /// The lists of another policy. Each is asked for at once.
    pub(crate) fn follow(&mut self, feeds: &[Feed]) {
        let mut before = std::mem::take(&mut self.all);
        self.gone.extend(before.iter().map(|running| running.feed.name.clone()));
        self.is_new = true;
        for feed in feeds {
            let same = before.iter().position(|running| running.feed == *feed);
            let mut running = same.map_or_else(|| self.start(feed), |index| before.swap_remove(index));
            running.next = Instant::now();
            self.gone.remove(&feed.name);
            self.all.push(running);
        }
    }

    fn start(&mut self, feed: &Feed) -> Running {
        self.last_id += 1;
        Running {
            feed: feed.clone(),
            id: self.last_id,
            mark: Mark::default(),
            nets: Arc::from([]),
            state: State::Idle,
            next: Instant::now(),
            failures: 0,
            last_success: None,
            last_error: None,
            told: String::new(),
            tally: Tally::default(),
            done: Done::default(),
        }
    }

    fn by_id(&mut self, id: u64) -> Option<&mut Running> {
        self.all.iter_mut().find(|running| running.id == id)
    }

    /// For `status`.
    pub(crate) fn json(&self) -> Value {
        self.all.iter().map(Running::json).collect()
    }
}

impl Running {
    fn json(&self) -> Value {
        let (tally, done) = (&self.tally, &self.done);
        let state = match self.state {
            State::Idle => "waiting",
            State::Looking => "looking",
            State::Banning(_) => "banning",
        };
        let left = self.next.saturating_duration_since(Instant::now());
        json!({
            "name": self.feed.name,
            "state": state,
            "format": tally.format,
            "entries": self.nets.len(),
            "refused": tally.refused,
            "unread": tally.unread,
            "unread_lines": tally.samples,
            "beyond": tally.beyond,
            "banned": done.banned,
            "spared": done.spared,
            "spared_because": done.examples,
            "by_operator": done.operator,
            "no_room": done.no_room,
            "last_success": self.last_success.map(timestamp),
            "failures": self.failures,
            "last_error": self.last_error,
            "next": matches!(self.state, State::Idle).then(|| timestamp(SystemTime::now() + left)),
        })
    }

    /// Takes what a look brought; what is to be told, if anything.
    fn looked(&mut self, found: Found, now: SystemTime) -> Option<String> {
        if let Some(news) = found.news {
            self.nets = news.nets.into();
            self.mark = news.mark;
            self.tally = Tally {
                format: news.format.as_str(),
                unread: news.unread,
                samples: news.samples,
                refused: news.refused,
                beyond: news.beyond,
            };
            if news.cut {
                self.tally.beyond += 1;
            }
        }
        let since = Time::from(now);
        let time = i64::try_from(self.feed.time.as_micros()).unwrap_or(i64::MAX);
        self.state = State::Banning(Banning {
            known: found.known,
            at: 0,
            since,
            until: Time(since.0.saturating_add(time)),
            held: Vec::new(),
            done: Done::default(),
        });
        let beyond = self.tally.beyond;
        let text = if beyond == 0 {
            String::new()
        } else {
            format!("feed {}: the list is too long, {beyond} or more entries were not taken", self.feed.name)
        };
        self.say_once(text)
    }

    /// Ends the turn with a failure; what is to be told, if it is the first.
    fn fail(&mut self, why: &str) -> Option<String> {
        let pause = RETRY.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX));
        self.next = Instant::now() + pause.min(self.feed.every);
        self.failures = self.failures.saturating_add(1).min(20);
        self.state = State::Idle;
        self.last_error = Some(why.to_owned());
        (self.failures == 1)
            .then(|| format!("feed {}: {why}; its bans stay until their time is over", self.feed.name))
    }

    /// Ends the turn; what is to be told.
    fn succeed(&mut self, done: Done) -> Option<String> {
        self.next = Instant::now() + self.feed.every;
        self.failures = 0;
        self.state = State::Idle;
        self.last_success = Some(SystemTime::now());
        self.last_error = None;
        let no_room = done.no_room;
        self.done = done;
        if no_room == 0 {
            return None;
        }
        self.say_once(format!("feed {}: the kernel has no room for {no_room} of its bans", self.feed.name))
    }

    fn say_once(&mut self, text: String) -> Option<String> {
        let is_new = !text.is_empty() && text != self.told;
        self.told.clone_from(&text);
        is_new.then_some(text)
    }
}

impl Banning {
    /// Bans a few; what is to be written.
    fn go_on(
        &mut self,
        (feed, nets): (&Feed, &[Net]),
        sources: &mut Sources<'_>,
        shelter: &mut Shelter,
    ) -> Result<Vec<Change>, Exit> {
        let begin = Instant::now();
        let mut changes = std::mem::take(&mut self.held);
        let scope = if feed.all_ports { Scope::AllPorts } else { Scope::SipPorts };
        while let Some(net) = nets.get(self.at)
            && changes.len() < BATCH
            && begin.elapsed() < SLICE
        {
            self.at += 1;
            if let Some(why) = shelter.covers(*net) {
                self.done.spared += 1;
                if self.done.examples.len() < MAX_SHOWN {
                    self.done.examples.push(format!("{net}: {why}"));
                }
                continue;
            }
            let known = self.known.get(net);
            if known.is_some_and(|known| known.by_operator) {
                self.done.operator += 1;
                continue;
            }
            // What comes out of all bans on it: the latest end, the widest scope.
            let until =
                known.map_or(Some(self.until), |known| known.until.map(|until| until.max(self.until)));
            let widest = known.map_or(scope, |known| known.scope.max(scope));
            if !book::extend(sources, *net, until, widest)? {
                self.done.no_room += 1;
                continue;
            }
            self.done.banned += 1;
            changes.push(Change::Ban(Ban {
                source: *net,
                by: By::Feed(feed.name.clone()),
                reason: feed.reason.clone().unwrap_or_else(|| feed.name.clone()),
                detail: format!("on the list {}", feed.name),
                since: self.since,
                until: Some(self.until),
                first_seen: self.since,
                last_seen: self.since,
                level: 1,
                scope,
                dropped: 0,
                evidence: 0,
            }));
        }
        Ok(changes)
    }
}

impl Daemon {
    /// Asks for the lists whose turn it is.
    pub(super) fn ask_for_feeds(&mut self) -> Result<(), Exit> {
        if std::mem::take(&mut self.feeds.is_new) {
            self.lift_gone_feeds()?;
        }
        let now = Instant::now();
        let ledger = self.args.state_dir.join(LEDGER);
        for running in &mut self.feeds.all {
            if !matches!(running.state, State::Idle) || running.next > now {
                continue;
            }
            running.state = State::Looking;
            let (feed, id, mark, nets) =
                (running.feed.clone(), running.id, running.mark.clone(), Arc::clone(&running.nets));
            let (barrier, tasks, ledger) = (self.book.barrier(), self.tasks.clone(), ledger.clone());
            let fetchers = Arc::clone(&self.helpers.fetchers);
            // Not one of the event loop's own threads: a daemon that stops would wait for them, and a server may be slow.
            let spawned = std::thread::Builder::new().name("feed".to_owned()).spawn(move || {
                barrier();
                let found = fetch::look(&feed, &mark, &nets, (&ledger, &fetchers));
                drop(tasks.blocking_send(Task::Feed(Step::Looked { id, found })));
            });
            if let Err(error) = spawned {
                let text = running.fail(&format!("there can be no more threads: {error}"));
                text.into_iter().for_each(|text| self.reporter.alarm(&text));
            }
        }
        Ok(())
    }

    /// Lifts the bans of lists that the policy no longer has.
    fn lift_gone_feeds(&mut self) -> Result<(), Exit> {
        let mut gone = std::mem::take(&mut self.feeds.gone);
        let counts = self.book.read(|reader| reader.counts(Time::from(SystemTime::now())))?;
        gone.extend(counts.by.into_keys().filter_map(|by| match by {
            // With a dot in its name it is another program's.
            By::Feed(name) => (!name.contains('.')).then_some(name),
            By::Operator | By::Detector => None,
        }));
        for name in gone {
            if self.feeds.all.iter().any(|running| running.feed.name == name) {
                continue;
            }
            self.recent.note(format!("feed {name} is not in the policy any more: its bans are lifted"));
            let which = Which { kind: Some(ledger::Kind::Feed), feed: Some(name), ..Which::default() };
            self.lift(which, "the feed is not in the policy any more", Lifted::quietly(), None);
        }
        Ok(())
    }

    /// Goes on with a list.
    pub(super) fn feed(&mut self, step: Step) -> Result<(), Exit> {
        let told = match step {
            Step::Looked { id, found } => {
                // It may be of a policy that is over.
                let Some(running) = self.feeds.by_id(id) else { return Ok(()) };
                match found {
                    Err(why) => running.fail(&why),
                    Ok(found) => {
                        let told = running.looked(found, SystemTime::now());
                        if self.force.observe {
                            running.succeed(Done::default());
                        } else {
                            self.ban_of_feed(id)?;
                        }
                        told
                    }
                }
            }
            Step::Written { id, written } => match written {
                Ok(()) => {
                    self.ban_of_feed(id)?;
                    None
                }
                Err(why) => self.feeds.by_id(id).and_then(|running| running.fail(&why)),
            },
        };
        if let Some(text) = told {
            self.tell_of_feed(&text);
        }
        Ok(())
    }

    fn tell_of_feed(&mut self, text: &str) {
        super::say(&format!("warning: {text}\n"));
        self.reporter.alarm(text);
        self.recent.note(text.to_owned());
    }

    /// Bans the next few of a list, and goes on when they are in the ledger.
    fn ban_of_feed(&mut self, id: u64) -> Result<(), Exit> {
        let Some(running) = self.feeds.by_id(id) else { return Ok(()) };
        let State::Banning(banning) = &mut running.state else { return Ok(()) };
        let tasks = self.tasks.clone();
        let handle = tokio::runtime::Handle::current();
        let later = move |pause: Duration, written| {
            handle.spawn(async move {
                tokio::time::sleep(pause).await;
                drop(tasks.send(Task::Feed(Step::Written { id, written })).await);
            });
        };
        // What is in the kernel and not even on its way to the ledger would be taken for a mistake.
        if MAX_QUEUE.saturating_sub(self.book.state().queued) < 2 * BATCH {
            later(WAIT, Ok(()));
            return Ok(());
        }
        let mut sources = self.force.gate_mut().sources()?;
        let nets = Arc::clone(&running.nets);
        let changes = banning.go_on((&running.feed, &nets), &mut sources, &mut self.book.shelter)?;
        if changes.is_empty() && banning.at >= nets.len() {
            let done = std::mem::take(&mut banning.done);
            self.recent.note(format!(
                "feed {}: {} entries, {} banned",
                running.feed.name,
                nets.len(),
                done.banned
            ));
            if let Some(text) = running.succeed(done) {
                self.tell_of_feed(&text);
            }
            return Ok(());
        }
        if changes.is_empty() {
            later(Duration::ZERO, Ok(()));
            return Ok(());
        }
        let written = {
            let later = later.clone();
            move |written: Result<(), ledger::Error>| {
                later(
                    Duration::ZERO,
                    written.map_err(|error| format!("the ledger cannot be written: {error}")),
                );
            }
        };
        if let Err(QueueFull(changes)) = self.book.writer().send(changes, written) {
            banning.held = changes;
            later(WAIT, Ok(()));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use policy::feed::FeedSource;

    use super::*;

    fn feed(name: &str) -> Feed {
        Feed {
            name: name.to_owned(),
            source: FeedSource::File("/nowhere".into()),
            ca_file: None,
            every: Duration::from_secs(600),
            time: Duration::from_secs(3600),
            most: 10,
            all_ports: false,
            reason: None,
            format: None,
        }
    }

    #[test]
    fn a_failure_is_told_once_and_tried_again_ever_later() {
        let mut feeds = Feeds::new(&[feed("drop")]);
        let running = feeds.by_id(1).unwrap();
        let mut pauses = Vec::new();
        for turn in 0..40 {
            assert_eq!(running.fail("no").is_some(), turn == 0);
            pauses.push((running.next - Instant::now()).as_secs_f64().round() as u64);
        }
        assert_eq!(pauses[..5], [60, 120, 240, 480, 600]);
        assert_eq!(pauses[39], 600);
        running.succeed(Done::default());
        assert!(running.fail("no").is_some(), "a new failure");
    }

    #[test]
    fn a_policy_keeps_what_is_the_same_and_forgets_what_is_gone() {
        let mut feeds = Feeds::new(&[feed("a"), feed("b"), feed("c")]);
        let mut other = feed("b");
        other.most = 11;
        feeds.follow(&[feed("a"), other]);
        assert!(feeds.by_id(1).is_some() && feeds.by_id(2).is_none() && feeds.by_id(4).is_some());
        assert_eq!(feeds.gone.iter().collect::<Vec<_>>(), ["c"]);
    }
}
