//! A thread that owns the ledger, so that nobody who has a change waits for the disk.
//!
//! What waits goes into one transaction: a commit costs a few milliseconds whether it is of one change or of a thousand. When
//! it fails, who asked gets the error at once, and what nobody waits for is kept and tried again.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime};

use crate::error::Error;
use crate::ledger::Ledger;
use crate::record::{Ban, By, Change, Evidence, Position, Time, Trust, Unban};
use crate::row::clip;

/// Changes that may wait. With the longest texts a change has some 6 KiB, a usual one some 300 bytes.
pub const MAX_QUEUE: usize = 65_536;

/// Changes after which a transaction takes no more of the queue. What was sent together stays together.
pub const MAX_GROUP: usize = 10_000;

/// How long it waits after a transaction that failed; twice as long after the next, up to the last.
const BACK_OFF: Duration = Duration::from_millis(100);
const MAX_BACK_OFF: Duration = Duration::from_secs(10);

/// Writes for everyone. Dropping it does as [`Writer::close`].
#[derive(Debug)]
pub struct Writer {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

/// How the writer is.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct State {
    /// Changes that are not yet on the disk.
    pub queued: usize,
    /// When the first of the transactions failed that failed up to now; `None` while all is well.
    pub failing_since: Option<Time>,
    /// Of the last transaction that failed, also when all is well again.
    pub last_error: Option<String>,
    /// Changes that nobody waited for and that will never be on the disk.
    pub lost: u64,
    /// Changes that were given back because the queue was full.
    pub refused: u64,
}

/// The queue has no room for these changes, which are given back.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[error("{MAX_QUEUE} changes already wait for the disk")]
pub struct QueueFull(pub Vec<Change>);

#[derive(Debug, Default)]
struct Shared {
    queue: Mutex<Queue>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Queue {
    jobs: VecDeque<Job>,
    /// Jobs of these that someone waits for.
    asked: usize,
    state: State,
    /// When to try again, and how long it waited for that.
    retry: Option<(Instant, Duration)>,
    closing: bool,
}

type Done = Box<dyn FnOnce(Result<(), Error>) + Send>;

/// What was sent together.
struct Job {
    changes: Vec<Change>,
    done: Option<Done>,
}

impl fmt::Debug for Job {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Job").field("changes", &self.changes).finish_non_exhaustive()
    }
}

impl Writer {
    /// Starts the thread.
    ///
    /// # Errors
    /// [`Error::Io`] when there can be no more threads.
    pub fn spawn(ledger: Ledger) -> Result<Self, Error> {
        Self::spawn_with(ledger, || {})
    }

    /// As [`Writer::spawn`]; the thread begins with `begin`.
    ///
    /// # Errors
    /// As [`Writer::spawn`].
    pub fn spawn_with(mut ledger: Ledger, begin: impl FnOnce() + Send + 'static) -> Result<Self, Error> {
        let shared = Arc::new(Shared::default());
        let path = ledger.read().path().to_owned();
        let run = {
            let shared = Arc::clone(&shared);
            move || {
                begin();
                while let Some(jobs) = shared.take() {
                    shared.write(&mut ledger, jobs);
                }
            }
        };
        let thread = std::thread::Builder::new().name("ledger".to_owned()).spawn(run);
        let thread = thread.map_err(Error::io("start a thread for", &path))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// All of these changes or none, after what was sent before. `done` is called in the writer's thread, once: with `Ok` when
    /// they are on the disk, else with the error, and they are then not tried again. It must be quick and not panic.
    ///
    /// # Errors
    /// [`QueueFull`]; `done` is then not called.
    pub fn send(
        &self,
        changes: Vec<Change>,
        done: impl FnOnce(Result<(), Error>) + Send + 'static,
    ) -> Result<(), QueueFull> {
        self.enqueue(Job { changes, done: Some(Box::new(done)) })
    }

    /// As [`Writer::send`], for changes that nobody waits for: they are tried again until they are on the disk, and only lost
    /// when the writer is closed before that, or when they are refused for what they are ([`Error::TrustFull`]).
    ///
    /// # Errors
    /// [`QueueFull`].
    pub fn post(&self, changes: Vec<Change>) -> Result<(), QueueFull> {
        self.enqueue(Job { changes, done: None })
    }

    /// How it is now.
    pub fn state(&self) -> State {
        self.shared.lock().state.clone()
    }

    /// Tries once more to write all that waits, and ends the thread. What cannot be written is counted as lost.
    pub fn close(mut self) -> State {
        self.finish();
        self.state()
    }

    fn enqueue(&self, mut job: Job) -> Result<(), QueueFull> {
        let mut queue = self.shared.lock();
        let queued = queue.state.queued.saturating_add(job.changes.len());
        if queued > MAX_QUEUE {
            queue.state.refused += job.changes.len() as u64;
            return Err(QueueFull(job.changes));
        }
        job.changes.iter_mut().for_each(cut);
        queue.state.queued = queued;
        queue.asked += usize::from(job.done.is_some());
        queue.jobs.push_back(job);
        self.shared.changed.notify_one();
        Ok(())
    }

    fn finish(&mut self) {
        self.shared.lock().closing = true;
        self.shared.changed.notify_one();
        if let Some(thread) = self.thread.take() {
            // It only fails when a `done` panicked, and that was shown then.
            thread.join().ok();
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.finish();
    }
}

impl Shared {
    /// A panic elsewhere leaves the queue whole: it is only changed in single steps.
    fn lock(&self) -> MutexGuard<'_, Queue> {
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for the jobs of the next transaction; `None` at the end.
    fn take(&self) -> Option<Vec<Job>> {
        let mut queue = self.lock();
        loop {
            if queue.jobs.is_empty() {
                if queue.closing {
                    return None;
                }
                queue = self.changed.wait(queue).unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            // Who asks gets an answer at once, so it is tried for him even when it failed just now.
            let pause = queue.retry.map(|(at, _)| at.saturating_duration_since(Instant::now()));
            match pause {
                Some(pause) if !pause.is_zero() && queue.asked == 0 && !queue.closing => {
                    let waited = self.changed.wait_timeout(queue, pause);
                    queue = waited.unwrap_or_else(PoisonError::into_inner).0;
                }
                Some(_) | None => return Some(queue.group()),
            }
        }
    }

    fn write(&self, ledger: &mut Ledger, jobs: Vec<Job>) {
        match ledger.run(jobs.iter().flat_map(|job| &job.changes)) {
            Ok(_) => {
                // A transaction of nothing, for whoever waits for those before, says nothing about the disk.
                if jobs.iter().any(|job| !job.changes.is_empty()) {
                    let mut queue = self.lock();
                    queue.retry = None;
                    queue.state.failing_since = None;
                }
                jobs.into_iter().for_each(|job| self.settle(job, Ok(())));
            }
            Err(error) if error.may_pass() => self.fail(jobs, &error),
            // It is about one of the jobs, and the others have nothing to do with it.
            Err(_) => self.write_singly(ledger, jobs),
        }
    }

    fn write_singly(&self, ledger: &mut Ledger, jobs: Vec<Job>) {
        let mut jobs = jobs.into_iter();
        while let Some(job) = jobs.next() {
            match ledger.run(job.changes.iter()) {
                Err(error) if error.may_pass() => {
                    return self.fail(std::iter::once(job).chain(jobs).collect(), &error);
                }
                result => self.settle(job, result.map(drop)),
            }
        }
    }

    /// Tells everyone who waits, and keeps the rest for later.
    fn fail(&self, jobs: Vec<Job>, error: &Error) {
        let mut queue = self.lock();
        queue.asked += jobs.iter().filter(|job| job.done.is_some()).count();
        let mut waiting: VecDeque<_> = jobs.into();
        waiting.append(&mut queue.jobs);
        let closing = queue.closing;
        let (over, kept): (VecDeque<_>, VecDeque<_>) =
            waiting.into_iter().partition(|job| closing || job.done.is_some());
        queue.jobs = kept;
        queue.asked = 0;
        let pause = queue.retry.map_or(BACK_OFF, |(_, pause)| (pause * 2).min(MAX_BACK_OFF));
        queue.retry = Some((Instant::now() + pause, pause));
        queue.state.failing_since.get_or_insert_with(|| SystemTime::now().into());
        queue.state.last_error = Some(error.to_string());
        drop(queue);
        over.into_iter().for_each(|job| self.settle(job, Err(error.clone())));
    }

    fn settle(&self, job: Job, result: Result<(), Error>) {
        let mut queue = self.lock();
        queue.state.queued -= job.changes.len();
        if let Err(error) = &result {
            queue.state.last_error = Some(error.to_string());
            if job.done.is_none() {
                queue.state.lost += job.changes.len() as u64;
            }
        }
        drop(queue);
        if let Some(done) = job.done {
            done(result);
        }
    }
}

/// Cuts long texts already here, so that the queue has a bound in bytes too.
fn cut(change: &mut Change) {
    let texts: [Option<&mut String>; 3] = match change {
        Change::Ban(Ban { reason, detail, by: By::Feed(name), .. }) => {
            [Some(reason), Some(detail), Some(name)]
        }
        Change::Ban(Ban { reason, detail, .. }) => [Some(reason), Some(detail), None],
        Change::Evidence(Evidence { detector, detail, line, .. }) => {
            [Some(detector), Some(detail), line.as_mut()]
        }
        Change::Trust(Trust { what, note, .. }) => [Some(what), Some(note), None],
        Change::Unban(Unban { who, note, .. }) => [Some(who), Some(note), None],
        Change::Position(Position { log, place, .. }) => [Some(log), Some(place), None],
        Change::Untrust { what } => [Some(what), None, None],
        Change::Dropped { .. } | Change::EndGrace { .. } | Change::Expire { .. } | Change::Grace { .. } => {
            [None, None, None]
        }
    };
    for text in texts.into_iter().flatten() {
        let end = clip(text).len();
        if end < text.len() {
            text.truncate(end);
            text.shrink_to_fit();
        }
    }
}

impl Queue {
    /// Takes the jobs of one transaction out.
    fn group(&mut self) -> Vec<Job> {
        let mut changes = 0;
        let mut count = 0;
        for job in &self.jobs {
            if count > 0 && changes + job.changes.len() > MAX_GROUP {
                break;
            }
            count += 1;
            changes += job.changes.len();
        }
        let group: Vec<_> = self.jobs.drain(..count).collect();
        self.asked -= group.iter().filter(|job| job.done.is_some()).count();
        group
    }
}
