//! What the daemon answers to commands.

/// What the ledger knows, as JSON.
mod rows;
/// Whom the operator trusts.
mod trust;

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use gate::Reason;
use ledger::{Ban, By, Change, Cursor, Kind, MAX_PAGE, Net, Reader, Scope, Time, Unban, Which};
use serde_json::{Value, json};
use tokio::io::unix::AsyncFd;

use self::rows::{ban_json, evidence_json, past_json};
use super::drift::Look;
use super::feeds::Step;
use super::force::Events;
use super::logs::Batch;
use super::report::timestamp;
use super::server::Waiting;
use super::{Daemon, book, clock, confirm, privacy, status};
use crate::exit::Exit;
use crate::request::{self, Request};

/// Bans in one answer.
const PAGE: usize = 2000;
/// Letters of the name that another program bans by.
const MAX_NAME: usize = 100;
/// Bans that are lifted in the kernel before anything else gets a turn.
const LIFTED: usize = 20_000;

/// Something that went on elsewhere and is to be finished here.
#[derive(Debug)]
pub(crate) enum Task {
    /// Bans were lifted in the ledger: what is left of each.
    Lifted { left: Vec<(Net, Left)>, note: Lifted, waiting: Option<Waiting> },
    /// The addresses of a trusted name.
    Resolved { name: String, nets: Vec<Net>, waiting: Option<Waiting> },
    /// Kernel and ledger were compared. `settled` says that whatever was in the kernel then has reached the ledger since.
    Looked { look: Result<Look, Exit>, settled: bool, waiting: Option<Waiting> },
    /// The nftables table was read, as it was to be when that began.
    Read { table: status::Table, expected: (SystemTime, Option<[u8; 32]>), wanted: Wanted, waiting: Waiting },
    /// Something about a block list.
    Feed(Step),
    /// What was found in a log.
    Log(Batch),
}

/// What is to be told when the nftables table was read.
#[derive(Debug)]
pub(crate) enum Wanted {
    Status,
    Top,
    /// The status, with what a comparison found.
    Verified(Look),
}

/// The ban that is left on a source when one was lifted: until when, and on which ports.
pub(crate) type Left = Option<(Option<Time>, Scope)>;

/// What lifting was about, for the answer.
#[derive(Clone, Debug)]
pub(crate) struct Lifted {
    target: Option<Net>,
    grace: Option<Duration>,
    /// Only those by somebody, or for some reason; other bans on the same source stay.
    some: bool,
    /// What a detector decided is lifted, too, so that the engine is to forget it.
    of_detectors: bool,
    failed: Option<String>,
}

impl Lifted {
    /// Nobody waits, and the engine has nothing to do with it.
    pub(crate) fn quietly() -> Self {
        Self { target: None, grace: None, some: true, of_detectors: false, failed: None }
    }
}

impl Daemon {
    /// Answers one request, or has it answered; whether it was the last one.
    pub(super) async fn answer(
        &mut self,
        request: Request,
        waiting: Waiting,
        events: &mut AsyncFd<Events>,
    ) -> Result<bool, Exit> {
        match request {
            Request::Status { verify: false } => self.tell(Wanted::Status, waiting),
            Request::Status { verify: true } => self.compare(Some(waiting)),
            Request::Top {} => self.tell(Wanted::Top, waiting),
            Request::Reload { confirm } => waiting.reply(self.reload(confirm, events).await?),
            Request::RollBack { token } => waiting.reply(self.roll_back(&token, events).await?),
            Request::Stop { clean } => {
                self.clean = clean;
                waiting.last_reply(json!({ "ok": true, "pid": std::process::id() })).await;
                return Ok(true);
            }
            Request::Ban(ban) => self.ban(&ban, waiting)?,
            Request::Unban(unban) => self.unban(&unban, waiting),
            Request::Bans(bans) => self.bans(bans, waiting),
            Request::Why { address } => self.why(address, waiting)?,
            Request::Trust { what, note } => self.trust(what.as_deref(), note, waiting)?,
            Request::Untrust { what } => self.untrust(&what, waiting)?,
            Request::Confirm {} => {
                let message = if confirm::confirm(&self.args.daemon.run_dir)? {
                    json!({ "ok": true, "message": "confirmed: it stays" })
                } else {
                    json!({ "ok": false, "message": "nothing waits to be confirmed" })
                };
                waiting.reply(message);
            }
        }
        Ok(false)
    }

    /// Answers when the nftables table was read, which takes a while.
    pub(super) fn tell(&self, wanted: Wanted, waiting: Waiting) {
        let (tasks, expected) = (self.tasks.clone(), self.force.table());
        tokio::task::spawn_blocking(move || {
            let table = status::Table::read();
            drop(tasks.blocking_send(Task::Read { table, expected, wanted, waiting }));
        });
    }

    fn status(&mut self, table: status::Table) -> Value {
        // Whoever asks has perhaps just confirmed.
        self.keep_what_is_confirmed();
        let drifts = status::Drifts { found: self.drifts, compared: self.compared };
        let mut status = status::status(
            table,
            &mut self.force,
            &self.live,
            &self.reporter,
            &self.book,
            drifts,
            &self.args,
        );
        if let Some(object) = status.as_object_mut() {
            if let Some(policy) = object.get_mut("policy").and_then(Value::as_object_mut) {
                policy.insert("standing".to_owned(), json!(self.standing.as_str()));
            }
            object.insert("confined".to_owned(), self.confined.json(&self.helpers));
            object.insert("feeds".to_owned(), self.feeds.json());
            object.insert("jails".to_owned(), self.logs.json());
            object.insert("witnesses".to_owned(), self.witnesses.json());
            object.insert("privacy".to_owned(), privacy::json(&self.live.privacy(), &self.visitors));
            object.insert("silent".to_owned(), json!(self.witnesses.silent()));
            object.insert("by_detector".to_owned(), self.recent.by_detector());
            object.insert("started_at".to_owned(), json!(timestamp(self.started)));
        }
        status
    }

    fn top(&mut self, table: status::Table) -> Value {
        const SHOWN: usize = 50;
        let mut status = self.status(table);
        let (decisions, detectors) = self.recent.json();
        let talkers: Vec<Value> = self
            .talkers
            .loudest(SHOWN)
            .into_iter()
            .map(|(address, count)| {
                let reason = Reason::from_u8(count.reason).map_or("", Reason::as_str);
                json!({ "source": address.to_string(), "packets": count.packets, "reason": reason })
            })
            .collect();
        if let Some(object) = status.as_object_mut() {
            object.insert("decisions".to_owned(), decisions);
            object.insert("detectors".to_owned(), detectors);
            object.insert("talkers".to_owned(), json!(talkers));
        }
        status
    }

    /// Bans in the kernel, then in the ledger, and answers when both have it.
    pub(super) fn ban(&mut self, request: &request::Ban, waiting: Waiting) -> Result<(), Exit> {
        let now = clock::now();
        let until = request.period.and_then(|period| now.checked_add(period));
        let scope = if request.all_ports { Scope::AllPorts } else { Scope::SipPorts };
        let (since, until) = (Time::from(now), until.map(Time::from));
        let by = match banned_by(request.by.as_deref()) {
            Ok(by) => by,
            Err(message) => {
                waiting.reply(no(message));
                return Ok(());
            }
        };
        let is_operator = by == By::Operator;
        if is_operator {
            self.book.shelter.look_now();
        }
        let reason = if let By::Feed(name) = &by { name.clone() } else { by.to_string() };
        let mut refused = Vec::new();
        let mut changes = Vec::new();
        {
            let mut sources = self.force.gate_mut().sources()?;
            for target in &request.targets {
                let net: Net = match target.trim().parse() {
                    Ok(net) => net,
                    Err(error) => {
                        refused.push(json!({ "target": target, "why": format!("{error}") }));
                        continue;
                    }
                };
                if is_operator {
                    let ended = self.book.shelter.end_grace(net);
                    changes.extend(ended.into_iter().map(|source| Change::EndGrace { source }));
                }
                if let Some(why) = self.book.shelter.covers(net) {
                    refused.push(json!({ "target": target, "why": format!("{net} is not banned: {why}") }));
                    continue;
                }
                if !book::extend(&mut sources, net, until, scope)? {
                    refused.push(json!({ "target": target, "why": "the kernel's table of bans is full" }));
                    continue;
                }
                if book::is_one_source(net) && is_operator {
                    self.live.forget(net.address());
                }
                changes.push(Change::Ban(Ban {
                    source: net,
                    by: by.clone(),
                    reason: reason.clone(),
                    detail: request.reason.clone(),
                    since,
                    until,
                    first_seen: since,
                    last_seen: since,
                    level: 1,
                    scope,
                    dropped: 0,
                    evidence: 0,
                }));
            }
        }
        let banned = changes.iter().filter(|change| matches!(change, Change::Ban(_))).count();
        if let Some(Change::Ban(ban)) = changes.last() {
            self.recent.note(format!("ban {} by {}: {}", ban.source, ban.by, ban.detail));
        }
        let (writer, again) = (self.book.writer(), changes.clone());
        self.book.write_then(changes, move |written| {
            if written.is_err() {
                // They are in force, so they are to be written when that is possible again.
                let _ = writer.post(again);
            }
            waiting.reply(match written {
                Ok(()) => json!({ "ok": true, "banned": banned, "refused": refused }),
                Err(error) => json!({
                    "ok": false, "system": true, "banned": banned, "refused": refused,
                    "message": format!(
                        "{banned} bans are in force, but not in the ledger yet, which is tried again and again: {error}"
                    ),
                }),
            });
        });
        Ok(())
    }

    /// Lifts in the ledger, on a thread of its own; the kernel follows with [`Task::Lifted`].
    pub(super) fn unban(&self, request: &request::Unban, waiting: Waiting) {
        let which = match which(request.target.as_deref(), request.by.as_deref(), request.reason.as_deref()) {
            Ok(which) => which,
            Err(message) => return waiting.reply(json!({ "ok": false, "message": message })),
        };
        let note = Lifted {
            target: which.within,
            grace: request.grace,
            some: which.kind.is_some() || which.reason.is_some(),
            of_detectors: which.kind.is_none_or(|kind| kind == Kind::Detector),
            failed: None,
        };
        self.lift(which, "by hand", note, Some(waiting));
    }

    pub(super) fn lift(&self, which: Which, note: &str, lifted: Lifted, waiting: Option<Waiting>) {
        let reader = self.book.reader();
        let tasks = self.tasks.clone();
        let now = Time::from(clock::now());
        let unban =
            Unban { which: which.clone(), who: "operator".to_owned(), note: note.to_owned(), at: now };
        let (sender, receiver) = std::sync::mpsc::channel();
        let barrier = self.book.barrier();
        let writer = self.book.writer();
        tokio::task::spawn_blocking(move || {
            // What was banned just now is to be found.
            barrier();
            let mut lifted = lifted;
            let ask = || reader.lock().unwrap_or_else(PoisonError::into_inner);
            let sources = match all_of(&ask(), &which, now) {
                Ok(sources) => sources,
                Err(error) => {
                    lifted.failed = Some(error.to_string());
                    Vec::new()
                }
            };
            if !sources.is_empty() {
                let _ = writer.send(vec![Change::Unban(unban)], move |done| drop(sender.send(done)));
                match receiver.recv() {
                    Ok(Ok(())) => {}
                    Ok(Err(error)) => lifted.failed = Some(error.to_string()),
                    Err(_) => lifted.failed = Some("the ledger's queue is full".to_owned()),
                }
            }
            let left = if lifted.failed.is_some() {
                Vec::new()
            } else {
                let ask = ask();
                sources.into_iter().map(|source| (source, left_of(&ask, source, now))).collect()
            };
            drop(tasks.blocking_send(Task::Lifted { left, note: lifted, waiting }));
        });
    }

    /// Shows a page of the bans in force.
    pub(super) fn bans(&self, request: request::Bans, waiting: Waiting) {
        let reader = self.book.reader();
        let barrier = self.book.barrier();
        tokio::task::spawn_blocking(move || {
            barrier();
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            waiting.reply(page(&reader, &request).unwrap_or_else(no));
        });
    }

    /// Tells the story of an address.
    pub(super) fn why(&mut self, address: IpAddr, waiting: Waiting) -> Result<(), Exit> {
        let source = Net::new(address, 128);
        let in_kernel = self.force.gate_mut().sources()?.find(source.address())?;
        let now = host::machine::monotonic();
        let in_kernel = in_kernel.is_some_and(|ban| ban.until > now);
        let class = self.live.class(address, clock::now());
        let shelter = self.book.shelter.covers(source).map(|why| why.to_string());
        let reader = self.book.reader();
        let barrier = self.book.barrier();
        tokio::task::spawn_blocking(move || {
            barrier();
            let reader = reader.lock().unwrap_or_else(PoisonError::into_inner);
            let now = Time::from(clock::now());
            waiting.reply(match reader.story(source, now) {
                Ok(story) => json!({
                    "ok": true, "type": "story", "source": source.to_string(), "class": class, "in_kernel": in_kernel,
                    "sheltered": shelter,
                    "active": story.active.iter().map(ban_json).collect::<Vec<_>>(),
                    "past": story.past.iter().map(past_json).collect::<Vec<_>>(),
                    "evidence": story.evidence.iter().map(evidence_json).collect::<Vec<_>>(),
                    "trust": story.trust.as_ref().map(|trust| json!({ "what": trust.what, "note": trust.note })),
                }),
                Err(error) => no(error.to_string()),
            });
        });
        Ok(())
    }

    /// Finishes what went on elsewhere.
    pub(super) fn finish(&mut self, task: Task) -> Result<(), Exit> {
        match task {
            Task::Lifted { left, note, waiting } => self.lifted(left, note, waiting),
            Task::Resolved { name, nets, waiting } => self.resolved(name, nets, waiting),
            Task::Looked { look, settled, waiting } => self.looked(look, settled, waiting),
            Task::Read { expected, wanted, waiting, .. } if expected != self.force.table() => {
                // A reload came between.
                self.tell(wanted, waiting);
                Ok(())
            }
            Task::Read { table, wanted, waiting, .. } => {
                waiting.reply(match wanted {
                    Wanted::Status => self.status(table),
                    Wanted::Top => self.top(table),
                    Wanted::Verified(look) => self.verified(table, &look),
                });
                Ok(())
            }
            Task::Feed(step) => self.feed(step),
            Task::Log(batch) => self.read_log(batch),
        }
    }

    fn verified(&mut self, table: status::Table, look: &Look) -> Value {
        let mut status = self.status(table);
        if let Some(object) = status.as_object_mut() {
            object.insert("repaired".to_owned(), json!(look.told));
            object.insert("repairs".to_owned(), json!(look.repaired));
            object.insert("agree".to_owned(), json!(look.agree));
        }
        status
    }

    fn lifted(
        &mut self,
        mut left: Vec<(Net, Left)>,
        note: Lifted,
        waiting: Option<Waiting>,
    ) -> Result<(), Exit> {
        let count = left.len();
        let rest = left.split_off(left.len().min(LIFTED));
        let mut sources = self.force.gate_mut().sources()?;
        let mut still = 0;
        for (net, left) in &left {
            match left {
                None => {
                    book::lift(&mut sources, *net)?;
                    self.book.severer.unbanned(*net);
                }
                Some((until, scope)) => {
                    still += 1;
                    book::lift(&mut sources, *net)?;
                    book::put(&mut sources, *net, *until, *scope)?;
                }
            }
            if book::is_one_source(*net) && note.of_detectors {
                self.live.forget(net.address());
            }
            if let Some(grace) = note.grace {
                self.book.grace(*net, grace);
            }
        }
        if !rest.is_empty() {
            let tasks = self.tasks.clone();
            let rest = Task::Lifted { left: rest, note, waiting };
            tokio::spawn(async move { drop(tasks.send(rest).await) });
            return Ok(());
        }
        // A ban that only the kernel knows goes, too.
        let mut only_kernel = false;
        if let Some(target) = note.target
            && count == 0
            && !note.some
            && note.failed.is_none()
        {
            only_kernel = book::is_one_source(target) && book::lift(&mut sources, target)?;
            self.live.forget(target.address());
            if let Some(grace) = note.grace {
                self.book.grace(target, grace);
            }
        }
        if let Some(target) = note.target
            && (count > 0 || only_kernel)
        {
            self.recent.note(format!("unban {target} by the operator"));
        }
        let Some(waiting) = waiting else { return Ok(()) };
        if let Some(error) = note.failed {
            waiting.reply(
                json!({ "ok": false, "system": true, "message": format!("nothing was lifted: {error}") }),
            );
            return Ok(());
        }
        let count = count + usize::from(only_kernel);
        let wider = note.target.and_then(|target| {
            let story = self.book.read(|reader| reader.story(target, Time::from(clock::now()))).ok()?;
            story.active.first().map(|row| row.ban.source.to_string())
        });
        waiting.reply(json!({ "ok": true, "lifted": count, "still": still, "wider": wider }));
        Ok(())
    }
}

/// By whom the command line bans. A feed's name has a dot in it there, which a policy's feeds have not: their bans end with
/// the policy.
fn banned_by(by: Option<&str>) -> Result<By, String> {
    const SHAPE: &str = "write `operator`, or `feed:PROGRAM.WHAT`, such as `feed:fail2ban.asterisk`";
    match by.map(str::parse) {
        None => Ok(By::Operator),
        Some(Ok(By::Operator)) => Ok(By::Operator),
        Some(Ok(By::Feed(name))) if name.contains('.') && name.len() <= MAX_NAME => Ok(By::Feed(name)),
        Some(Ok(By::Feed(name))) => {
            Err(format!("a feed of the name `{name}` is the policy's to have; {SHAPE}"))
        }
        Some(Ok(By::Detector)) => Err(format!("detectors ban by themselves; {SHAPE}")),
        Some(Err(error)) => Err(error.to_string()),
    }
}

/// What a filter of the command line asks for.
fn which(within: Option<&str>, by: Option<&str>, reason: Option<&str>) -> Result<Which, String> {
    let mut which = Which { reason: reason.map(str::to_owned), ..Which::default() };
    if let Some(within) = within {
        which.within = Some(within.parse().map_err(|error: ledger::NetError| error.to_string())?);
    }
    match by {
        None => {}
        Some("feed") => which.kind = Some(ledger::Kind::Feed),
        Some(by) => {
            let by: By = by.parse().map_err(|error: ledger::ByError| error.to_string())?;
            which.kind = Some(by.kind());
            if let By::Feed(name) = by {
                which.feed = Some(name);
            }
        }
    }
    Ok(which)
}

/// Every source with such a ban.
fn all_of(reader: &Reader, which: &Which, now: Time) -> Result<Vec<Net>, ledger::Error> {
    let mut all = Vec::new();
    let mut after: Option<Cursor> = None;
    loop {
        let page = reader.bans(which, after.as_ref(), MAX_PAGE, now)?;
        all.extend(page.rows.iter().map(|row| row.ban.source));
        match page.next {
            Some(next) => after = Some(next),
            None => break,
        }
    }
    all.dedup();
    Ok(all)
}

/// The ban that is left on exactly this source.
fn left_of(reader: &Reader, source: Net, now: Time) -> Left {
    let story = reader.story(source, now).ok()?;
    let row = story.active.into_iter().find(|row| row.ban.source == source)?;
    Some((row.until, row.scope))
}

fn page(reader: &Reader, request: &request::Bans) -> Result<Value, String> {
    let which = which(request.within.as_deref(), request.by.as_deref(), request.reason.as_deref())?;
    let after = request.after.as_deref().map(cursor).transpose()?;
    let limit = request.limit.clamp(1, PAGE);
    let now = Time::from(clock::now());
    let page = reader.bans(&which, after.as_ref(), limit, now).map_err(|error| error.to_string())?;
    let next = page.next.map(|next| format!("{} {}", next.source, next.by));
    Ok(json!({ "ok": true, "rows": page.rows.iter().map(ban_json).collect::<Vec<_>>(), "next": next }))
}

fn cursor(text: &str) -> Result<Cursor, String> {
    let (source, by) = text.split_once(' ').ok_or("no such place in the list")?;
    Ok(Cursor {
        source: source.parse().map_err(|error: ledger::NetError| error.to_string())?,
        by: by.parse().map_err(|error: ledger::ByError| error.to_string())?,
    })
}

fn no(message: impl Into<String>) -> Value {
    json!({ "ok": false, "message": message.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_say_what_is_wrong_with_them() {
        assert_eq!(which(None, Some("feed:drop"), None).map(|which| which.feed), Ok(Some("drop".to_owned())));
        assert!(which(Some("nonsense"), None, None).is_err());
        assert!(which(None, Some("me"), None).is_err());
        assert_eq!(banned_by(None), Ok(By::Operator));
        assert_eq!(banned_by(Some("feed:fail2ban.sshd")), Ok(By::Feed("fail2ban.sshd".to_owned())));
        for wrong in ["detector", "feed:drop", "feed:", "me"] {
            assert!(banned_by(Some(wrong)).is_err(), "{wrong}");
        }
        assert!(cursor("203.0.113.9 operator").is_ok());
        assert!(cursor("203.0.113.9").is_err());
    }
}
