//! What the daemon does about the commands that are about bans and trust.

use std::net::IpAddr;
use std::sync::PoisonError;
use std::time::{Duration, SystemTime};

use ledger::{Ban, BanRow, By, Change, Cursor, MAX_PAGE, Net, Reader, Scope, Time, Trust, Unban, Which};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::Daemon;
use super::book;
use super::clock;
use super::drift::Look;
use super::report::timestamp;
use super::server::Waiting;
use crate::exit::Exit;
use crate::request;

/// Bans in one answer.
const PAGE: usize = 2000;
/// How long a name may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(5);
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
}

/// The ban that is left on a source when one was lifted: until when, and on which ports.
pub(crate) type Left = Option<(Option<Time>, Scope)>;

/// What lifting was about, for the answer.
#[derive(Clone, Debug)]
pub(crate) struct Lifted {
    target: Option<Net>,
    grace: Option<Duration>,
    failed: Option<String>,
}

impl Daemon {
    /// Bans in the kernel, then in the ledger, and answers when both have it.
    pub(super) fn ban(&mut self, request: &request::Ban, waiting: Waiting) -> Result<(), Exit> {
        let now = clock::now();
        let until = request.period.and_then(|period| now.checked_add(period));
        let scope = if request.all_ports { Scope::AllPorts } else { Scope::SipPorts };
        let (since, until) = (Time::from(now), until.map(Time::from));
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
                self.book.shelter.end_grace(net);
                if let Some(why) = self.book.shelter.covers(net) {
                    refused.push(json!({ "target": target, "why": format!("{net} is not banned: {why}") }));
                    continue;
                }
                if !book::put(&mut sources, net, until, scope)? {
                    refused.push(json!({ "target": target, "why": "the kernel's table of bans is full" }));
                    continue;
                }
                if book::is_one_source(net) {
                    self.live.forget(net.address());
                }
                changes.push(Change::Ban(Ban {
                    source: net,
                    by: By::Operator,
                    reason: "operator".to_owned(),
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
        let banned = changes.len();
        if let Some(Change::Ban(ban)) = changes.last() {
            self.recent.note(format!("ban {} by the operator: {}", ban.source, ban.detail));
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
        let note = Lifted { target: which.within, grace: request.grace, failed: None };
        self.lift(which, "by hand", note, Some(waiting));
    }

    fn lift(&self, which: Which, note: &str, lifted: Lifted, waiting: Option<Waiting>) {
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

    /// Trusts, or shows what is trusted.
    pub(super) fn trust(&self, what: Option<&str>, note: String, waiting: Waiting) -> Result<(), Exit> {
        let Some(what) = what.map(|what| what.trim().to_ascii_lowercase()) else {
            let all = self.book.read(Reader::trusted)?;
            let rows: Vec<Value> = all.iter().map(|trust| self.trust_json(trust)).collect();
            waiting.reply(json!({ "ok": true, "trusted": rows }));
            return Ok(());
        };
        let nets: Option<Vec<Net>> = what.parse().ok().map(|net: Net| vec![net]);
        if nets.is_none() && !is_name(&what) {
            let wrong: Result<Net, _> = what.parse();
            waiting.reply(no(match wrong {
                Err(error) => format!("{error}, or a DNS name"),
                Ok(_) => String::new(),
            }));
            return Ok(());
        }
        let trust = Trust { what: what.clone(), note, since: Time::from(clock::now()) };
        // In the ledger first: a trust that is lost bans somebody.
        let tasks = self.tasks.clone();
        let handle = tokio::runtime::Handle::current();
        self.book.write_then(vec![Change::Trust(trust)], move |written| match written {
            Err(error) => waiting.reply(json!({ "ok": false, "system": true, "message": error.to_string() })),
            Ok(()) => resolve(&handle, tasks, what, nets, Some(waiting)),
        });
        Ok(())
    }

    /// Trusts it no more.
    pub(super) fn untrust(&mut self, what: &str, waiting: Waiting) -> Result<(), Exit> {
        let what = what.trim().to_ascii_lowercase();
        let is_known = self.book.read(Reader::trusted)?.iter().any(|trust| trust.what == what);
        if !is_known {
            waiting.reply(no(format!("`{what}` is not trusted; `ringfence trust` shows what is")));
            return Ok(());
        }
        for net in self.book.shelter.distrust(&what).unwrap_or_default() {
            self.restore_after_trust(net)?;
        }
        self.live.trust(self.book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()));
        self.book.write_then(vec![Change::Untrust { what: what.clone() }], move |written| {
            waiting.reply(match written {
                Ok(()) => json!({ "ok": true, "message": format!("{what} is no longer trusted") }),
                Err(error) => json!({ "ok": false, "system": true, "message": error.to_string() }),
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
        }
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
                }
                Some((until, scope)) => {
                    still += 1;
                    book::lift(&mut sources, *net)?;
                    book::put(&mut sources, *net, *until, *scope)?;
                }
            }
            if book::is_one_source(*net) {
                self.live.forget(net.address());
            }
            if let Some(grace) = note.grace {
                self.book.shelter.grace(*net, grace);
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
            && note.failed.is_none()
        {
            only_kernel = book::is_one_source(target) && book::lift(&mut sources, target)?;
            self.live.forget(target.address());
            if let Some(grace) = note.grace {
                self.book.shelter.grace(target, grace);
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

    fn resolved(&mut self, name: String, nets: Vec<Net>, waiting: Option<Waiting>) -> Result<(), Exit> {
        let before: Vec<Net> = self
            .book
            .shelter
            .trusted()
            .find(|(what, _)| *what == name)
            .map_or(Vec::new(), |(_, nets)| nets.into());
        // A name that does not resolve now keeps the addresses that it had.
        let nets = if nets.is_empty() { before.clone() } else { nets };
        let is_new = self.book.shelter.trust(&name, nets.clone());
        if is_new {
            for gone in before.iter().filter(|net| !nets.contains(net)) {
                self.restore_after_trust(*gone)?;
            }
            let mut sources = self.force.gate_mut().sources()?;
            for net in &nets {
                book::let_through(&mut sources, *net)?;
            }
            self.live.trust(self.book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()));
            // Whoever is trusted is not banned at the same time.
            for net in &nets {
                let which = Which { within: Some(*net), ..Which::default() };
                let lifted = Lifted { target: None, grace: None, failed: None };
                self.lift(which, &format!("{name} is trusted now"), lifted, None);
            }
            if waiting.is_none() && !before.is_empty() {
                super::say(&format!("trusted {name} is now {}\n", join(&nets)));
            }
        }
        if let Some(waiting) = waiting {
            let message = match nets.as_slice() {
                [] => {
                    format!("{name} is trusted, but has no address now; it is looked up again every minute")
                }
                [net] if net.to_string() == name => format!("{name} is trusted"),
                nets => format!("{name} is trusted: {}", join(nets)),
            };
            waiting.reply(json!({ "ok": true, "message": message }));
        }
        Ok(())
    }

    /// Looks every trusted name up again.
    pub(super) fn follow_names(&self) {
        let handle = tokio::runtime::Handle::current();
        for (what, _) in self.book.shelter.trusted() {
            if what.parse::<Net>().is_err() {
                resolve(&handle, self.tasks.clone(), what.to_owned(), None, None);
            }
        }
    }

    /// What was trusted may be banned as part of a network.
    fn restore_after_trust(&mut self, net: Net) -> Result<(), Exit> {
        let mut sources = self.force.gate_mut().sources()?;
        sources.remove_network(net.address(), net.prefix());
        if let Some((until, scope)) =
            self.book.read(|reader| Ok(left_of(reader, net, Time::from(clock::now()))))?
        {
            book::put(&mut sources, net, until, scope)?;
        }
        Ok(())
    }

    /// Somebody else let a network through: not while a trusted name is without addresses, which may be these.
    pub(super) fn distrust_alien(&mut self, net: Net) -> Result<bool, Exit> {
        let mut trusted = self.book.shelter.trusted();
        if trusted.any(|(_, nets)| nets.is_empty() || nets.contains(&net)) {
            return Ok(false);
        }
        drop(trusted);
        self.restore_after_trust(net)?;
        Ok(true)
    }

    fn trust_json(&self, trust: &Trust) -> Value {
        let nets = self.book.shelter.trusted().find(|(what, _)| *what == trust.what).map(|(_, nets)| nets);
        let nets: Vec<String> = nets.unwrap_or_default().iter().map(Net::to_string).collect();
        json!({ "what": trust.what, "note": trust.note, "since": time(trust.since), "addresses": nets })
    }
}

/// Looks a name up, unless its networks are known, and hands them over.
fn resolve(
    handle: &tokio::runtime::Handle,
    tasks: mpsc::Sender<Task>,
    name: String,
    nets: Option<Vec<Net>>,
    waiting: Option<Waiting>,
) {
    handle.spawn(async move {
        let nets = match nets {
            Some(nets) => nets,
            None => {
                let looked = tokio::time::timeout(LOOK_UP, tokio::net::lookup_host((name.as_str(), 0))).await;
                let found = looked.ok().and_then(Result::ok);
                let mut nets: Vec<Net> =
                    found.into_iter().flatten().map(|address| Net::new(address.ip(), 128)).collect();
                nets.sort();
                nets.dedup();
                nets
            }
        };
        drop(tasks.send(Task::Resolved { name, nets, waiting }).await);
    });
}

fn join(nets: &[Net]) -> String {
    nets.iter().map(Net::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a text may be a DNS name (RFC 1123 section 2.1, with the underscore that SRV names have).
fn is_name(text: &str) -> bool {
    let is_label = |label: &str| {
        (1..=63).contains(&label.len())
            && label.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
            && !label.starts_with('-')
    };
    let last_is_number = text
        .trim_end_matches('.')
        .rsplit('.')
        .next()
        .is_some_and(|label| label.bytes().all(|byte| byte.is_ascii_digit()));
    text.len() <= 253 && !last_is_number && text.trim_end_matches('.').split('.').all(is_label)
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

/// A ban as `bans --format json` has it.
fn ban_json(row: &BanRow) -> Value {
    let ban = &row.ban;
    json!({
        "type": "ban",
        "source": ban.source.to_string(),
        "reason": ban.reason,
        "since": time(ban.since),
        "until": ban.until.map(time),
        "by": ban.by.to_string(),
        "scope": scope(ban.scope),
        "dropped": ban.dropped,
        "detail": ban.detail,
        "level": ban.level,
        "evidence": ban.evidence,
        "first_seen": time(ban.first_seen),
        "last_seen": time(ban.last_seen),
        "rules": row.rules,
    })
}

fn past_json(past: &ledger::Past) -> Value {
    let ban = &past.ban;
    let why = match &past.why {
        ledger::Ended::Expire => json!("expired"),
        ledger::Ended::Unban { who, note } => json!({ "who": who, "note": note }),
    };
    json!({
        "reason": ban.reason, "by": ban.by.to_string(), "since": time(ban.since), "until": ban.until.map(time),
        "ended": time(past.ended), "why": why, "detail": ban.detail, "dropped": ban.dropped, "source": ban.source.to_string(),
    })
}

fn evidence_json(evidence: &ledger::Evidence) -> Value {
    json!({
        "time": time(evidence.time), "detector": evidence.detector, "detail": evidence.detail, "line": evidence.line,
    })
}

fn scope(scope: Scope) -> &'static str {
    match scope {
        Scope::SipPorts => "sip",
        Scope::AllPorts => "all",
    }
}

fn time(time: Time) -> String {
    let micros = Duration::from_micros(time.0.unsigned_abs());
    let time = if time.0 < 0 { SystemTime::UNIX_EPOCH - micros } else { SystemTime::UNIX_EPOCH + micros };
    timestamp(clock::shown(time))
}

fn no(message: impl Into<String>) -> Value {
    json!({ "ok": false, "message": message.into() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_told_from_wrong_addresses() {
        for name in ["sip.example.net", "carrier", "_sip._udp.example.net.", "a1.b2"] {
            assert!(is_name(name), "{name}");
        }
        for wrong in
            ["", "203.0.113.300", "203.0.113", "a..b", "-a.example", "a b", "exämple.net", "203.0.113.0/33"]
        {
            assert!(!is_name(wrong), "{wrong}");
        }
    }

    #[test]
    fn filters_say_what_is_wrong_with_them() {
        assert_eq!(which(None, Some("feed:drop"), None).map(|which| which.feed), Ok(Some("drop".to_owned())));
        assert!(which(Some("nonsense"), None, None).is_err());
        assert!(which(None, Some("me"), None).is_err());
        assert!(cursor("203.0.113.9 operator").is_ok());
        assert!(cursor("203.0.113.9").is_err());
    }
}
