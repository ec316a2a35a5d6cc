//! Whom the operator trusts: addresses, networks, and names whose addresses are followed.

use std::time::Duration;

use ledger::{Change, Net, Reader, Time, Trust, Which};
use serde_json::{Value, json};
use tokio::sync::mpsc;

use super::rows::time;
use super::{Lifted, Task, left_of, no};
use crate::daemon::server::Waiting;
use crate::daemon::{Daemon, book, clock, say};
use crate::exit::Exit;

/// How long a name may take to be looked up.
const LOOK_UP: Duration = Duration::from_secs(5);

impl Daemon {
    /// Trusts, or shows what is trusted.
    pub(in crate::daemon) fn trust(
        &self,
        what: Option<&str>,
        note: String,
        waiting: Waiting,
    ) -> Result<(), Exit> {
        let Some(what) = what.map(|what| what.trim().to_ascii_lowercase()) else {
            let all = self.book.read(Reader::trusted)?;
            let of_policy = self.book.shelter.names().iter();
            let rows: Vec<Value> = of_policy
                .filter(|name| all.iter().all(|trust| trust.what != **name))
                .map(|name| json!({ "what": name, "note": "in the policy", "addresses": self.addresses(name) }))
                .chain(all.iter().map(|trust| self.trust_json(trust)))
                .collect();
            waiting.reply(json!({ "ok": true, "trusted": rows }));
            return Ok(());
        };
        let nets: Option<Vec<Net>> = what.parse().ok().map(|net: Net| vec![net]);
        if nets.is_none() && !policy::is_dns_name(&what) {
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
    pub(in crate::daemon) fn untrust(&mut self, what: &str, waiting: Waiting) -> Result<(), Exit> {
        let what = what.trim().to_ascii_lowercase();
        let is_known = self.book.read(Reader::trusted)?.iter().any(|trust| trust.what == what);
        if !is_known {
            waiting.reply(no(match self.book.shelter.names().contains(&what) {
                true => format!(
                    "the policy trusts {what}; take it out of `[trust]` there, then `ringfence reload`"
                ),
                false => format!("`{what}` is not trusted; `ringfence trust` shows what is"),
            }));
            return Ok(());
        }
        if !self.book.shelter.names().contains(&what) {
            self.forget(&what)?;
        }
        self.book.write_then(vec![Change::Untrust { what: what.clone() }], move |written| {
            waiting.reply(match written {
                Ok(()) => json!({ "ok": true, "message": format!("{what} is no longer trusted") }),
                Err(error) => json!({ "ok": false, "system": true, "message": error.to_string() }),
            });
        });
        Ok(())
    }

    /// Lets go what it stood for.
    fn forget(&mut self, what: &str) -> Result<(), Exit> {
        for net in self.book.shelter.distrust(what).unwrap_or_default() {
            self.restore_after_trust(net)?;
        }
        self.live.trust(self.book.shelter.trusted().flat_map(|(_, nets)| nets.iter().copied()));
        Ok(())
    }

    /// Trusts the names of another policy: new ones are looked up, and those that are gone are let go unless the operator
    /// trusts them.
    pub(in crate::daemon) fn trust_names(&mut self, names: &[String]) -> Result<(), Exit> {
        let gone = self.book.shelter.follow_names(names);
        if !gone.is_empty() {
            let of_operator = self.book.read(Reader::trusted)?;
            for name in gone.iter().filter(|name| of_operator.iter().all(|trust| trust.what != **name)) {
                self.forget(name)?;
            }
        }
        self.follow_names();
        Ok(())
    }

    pub(in crate::daemon) fn resolved(
        &mut self,
        name: String,
        nets: Vec<Net>,
        waiting: Option<Waiting>,
    ) -> Result<(), Exit> {
        let known = self.book.shelter.trusted().find(|(what, _)| *what == name).map(|(_, nets)| nets.into());
        if known.is_none() && waiting.is_none() {
            // Somebody stopped trusting it while it was looked up.
            return Ok(());
        }
        let before: Vec<Net> = known.unwrap_or_default();
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
                let lifted = Lifted { some: false, of_detectors: true, ..Lifted::quietly() };
                self.lift(which, &format!("{name} is trusted now"), lifted, None);
            }
            if waiting.is_none() && !before.is_empty() {
                say(&format!("trusted {name} is now {}\n", join(&nets)));
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
    pub(in crate::daemon) fn follow_names(&self) {
        let handle = tokio::runtime::Handle::current();
        for (what, _) in self.book.shelter.trusted() {
            if what.parse::<Net>().is_err() {
                resolve(&handle, self.tasks.clone(), what.to_owned(), None, None);
            }
        }
    }

    /// What was trusted may be banned as part of a network.
    pub(in crate::daemon) fn restore_after_trust(&mut self, net: Net) -> Result<(), Exit> {
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
    pub(in crate::daemon) fn distrust_alien(&mut self, net: Net) -> Result<bool, Exit> {
        let mut trusted = self.book.shelter.trusted();
        if trusted.any(|(_, nets)| nets.is_empty() || nets.contains(&net)) {
            return Ok(false);
        }
        drop(trusted);
        self.restore_after_trust(net)?;
        Ok(true)
    }

    pub(in crate::daemon) fn trust_json(&self, trust: &Trust) -> Value {
        let addresses = self.addresses(&trust.what);
        json!({ "what": trust.what, "note": trust.note, "since": time(trust.since), "addresses": addresses })
    }

    fn addresses(&self, what: &str) -> Vec<String> {
        let nets = self.book.shelter.trusted().find(|(known, _)| *known == what).map(|(_, nets)| nets);
        nets.unwrap_or_default().iter().map(Net::to_string).collect()
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
