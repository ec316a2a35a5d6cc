//! Who else testifies: PBXs over their manager interfaces, and copies of messages in HEP. What they say becomes the engine's
//! evidence; what they do not say, while the wire is busy, becomes an alarm.

/// From a PBX's events to what the engine hears.
mod events;
/// Which witnesses are silent, and which ports nobody sees into.
mod silence;

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

use engine::{Direction, Fate, Observation, Transport};
use hep::{Content, Packet, Payload};
use host::hep::{Config as HepConfig, Copied, Exporter, Receiver};
use host::manager::{Config, Link, News, State, What};
use policy::Policy;
use policy::sensor::{Manager, Secret};
use serde_json::{Map, Value, json};
use tokio::sync::mpsc;

use self::silence::Heard;
use super::report::timestamp;
use super::{Daemon, book, say};
use crate::exit::Exit;

/// Events of PBXs and copies of messages that may wait.
const MAX_NEWS: usize = 1024;
const MAX_COPIES: usize = 4096;
/// Copies that are taken before anything else gets a turn.
const TURN: usize = 256;
const TCP: u8 = 6;

/// All witnesses of the policy in force.
#[derive(Debug)]
pub(crate) struct Witnesses {
    managers: Vec<(Manager, Link)>,
    receiver: Option<Receiver>,
    exporter: Option<Exporter>,
    news: mpsc::Sender<News>,
    copies: mpsc::Sender<Copied>,
    /// Copies whose direction cannot be told: none of their ends is this host or the sender.
    strange: u64,
    heard: Heard,
    /// What is said of each manager's state.
    told: BTreeMap<String, String>,
}

/// The ends at which they are heard.
#[derive(Debug)]
pub(crate) struct Ears {
    pub(super) news: mpsc::Receiver<News>,
    pub(super) copies: mpsc::Receiver<Copied>,
}

/// What a policy asks for, with the files that it names.
#[derive(Debug, Default)]
pub(crate) struct Ready {
    managers: Vec<(Manager, Config)>,
    hep: Option<(HepConfig, Option<Exporter>)>,
    warnings: Vec<String>,
}

/// Reads what is needed of every witness.
///
/// # Errors
///
/// A secret or a certificate cannot be read: [`Exit::No`].
pub(crate) fn prepare(policy: &Policy) -> Result<Ready, Exit> {
    let managers = policy.managers().iter().map(|manager| {
        let config = Config::load(manager).map_err(|error| {
            Exit::No(format!("the manager `{}`: {}", manager.name, host::error::chain(&error)))
        })?;
        Ok((manager.clone(), config))
    });
    let failed = |error: host::Error| Exit::No(format!("`[hep]`: {}", host::error::chain(&error)));
    let hep = policy.hep().map(|hep| {
        let config = HepConfig::load(hep).map_err(failed)?;
        let exporter = Exporter::load(hep).map_err(failed)?;
        Ok::<_, Exit>((config, exporter))
    });
    let secrets = policy.managers().iter().map(|manager| &manager.secret);
    let exposed =
        secrets.chain(policy.hep().and_then(|hep| hep.password.as_ref())).filter_map(|secret| match secret {
            Secret::File(path) if host::secret::is_exposed(path) => {
                let path = path.display();
                Some(format!("{path} can be read by others than root; `chmod 600 {path}` mends it"))
            }
            Secret::File(_) | Secret::Text(_) => None,
        });
    let warnings = exposed.collect();
    Ok(Ready { managers: managers.collect::<Result<_, Exit>>()?, hep: hep.transpose()?, warnings })
}

impl Witnesses {
    /// Nobody is listened to yet.
    pub(crate) fn new() -> (Self, Ears) {
        let (news, news_ear) = mpsc::channel(MAX_NEWS);
        let (copies, copies_ear) = mpsc::channel(MAX_COPIES);
        let witnesses = Self {
            managers: Vec::new(),
            receiver: None,
            exporter: None,
            news,
            copies,
            strange: 0,
            heard: Heard::default(),
            told: BTreeMap::new(),
        };
        (witnesses, Ears { news: news_ear, copies: copies_ear })
    }

    /// Listens to these, and to no others any more. Connections that stay as they are go on.
    pub(crate) async fn follow(&mut self, ready: Ready) -> Vec<String> {
        let mut before = std::mem::take(&mut self.managers);
        for (manager, config) in ready.managers {
            let same = before.iter().position(|(_, link)| link.follows(&config));
            let link = match same {
                Some(place) => before.swap_remove(place).1,
                None => host::manager::spawn(config, self.news.clone()),
            };
            // Whoever reloads may have mended what kept it away.
            link.hurry();
            self.managers.push((manager, link));
        }
        drop(before);
        let mut failed = Vec::new();
        let (config, exporter) = ready.hep.unzip();
        self.exporter = exporter.flatten();
        let is_same = |receiver: &Receiver| config.as_ref().is_some_and(|config| receiver.follows(config));
        if !self.receiver.as_ref().is_some_and(is_same) {
            // The old one gives its addresses back first.
            if let Some(before) = self.receiver.take() {
                before.close().await;
            }
            if let Some(config) = config.filter(|config| !config.listen.is_empty()) {
                match host::hep::spawn(&config, self.copies.clone()).await {
                    Ok(receiver) => self.receiver = Some(receiver),
                    Err(error) => {
                        failed.push(format!("copies are not received: {}", host::error::chain(&error)));
                    }
                }
            }
        }
        failed
    }

    /// Whoever asked for copies of what the gate sees gets one.
    pub(crate) fn export(
        &mut self,
        ends: [SocketAddr; 2],
        is_tcp: bool,
        time: std::time::Duration,
        bytes: &[u8],
    ) {
        let Some(exporter) = &mut self.exporter else { return };
        if bytes.is_empty() {
            return;
        }
        let [source, destination] = ends;
        exporter.send(&Packet {
            ip_protocol: Some(if is_tcp { TCP } else { 17 }),
            source: Some(source),
            destination: Some(destination),
            time: Some(time),
            content: Content::SIP,
            payload: Payload::Plain(bytes),
            ..Packet::default()
        });
    }

    /// What is wrong with them, as of the last look.
    pub(crate) fn silent(&self) -> &[String] {
        &self.heard.told
    }

    /// For `status`.
    pub(crate) fn json(&self) -> Value {
        let managers: Vec<Value> = self
            .managers
            .iter()
            .map(|(manager, link)| {
                let status = link.status();
                json!({
                    "name": manager.name,
                    "address": manager.address.to_string(),
                    "tls": manager.tls.is_some(),
                    "state": status.state.as_str(),
                    "version": version(&status.state),
                    "trouble": status.state.trouble(),
                    "since": timestamp(status.since),
                    "events": status.events,
                    "last_event": status.last_event.map(timestamp),
                    "lost": status.lost,
                    "logins": status.logins,
                    "doubtful": status.counts.doubtful,
                })
            })
            .collect();
        let mut hep = Map::new();
        if let Some(receiver) = &self.receiver {
            let listening: Vec<String> = receiver.listening().iter().map(ToString::to_string).collect();
            let status = receiver.status();
            hep.insert("listening".to_owned(), json!(listening));
            for (name, count) in status.counts.named() {
                hep.insert(name.to_owned(), json!(count));
            }
            hep.insert("unknown-direction".to_owned(), json!(self.strange));
            let trouble = status.last_trouble.map(|(from, what)| format!("{from}: {what}"));
            hep.insert("last_trouble".to_owned(), json!(trouble));
        }
        let exported = self.exporter.as_ref().map(|exporter| {
            let exported = exporter.exported();
            json!({ "sent": exported.sent, "lost": exported.lost })
        });
        hep.insert("exported".to_owned(), json!(exported));
        json!({ "managers": managers, "hep": hep })
    }
}

fn version(state: &State) -> Option<&str> {
    match state {
        State::Connected { version } => Some(version),
        State::Connecting | State::Lost(_) | State::Refused(_) => None,
    }
}

impl Daemon {
    /// Listens to the witnesses of a policy.
    pub(super) async fn listen_to(&mut self, ready: Ready) {
        for warning in &ready.warnings {
            say(&format!("warning: {warning}\n"));
        }
        for failure in self.witnesses.follow(ready).await {
            say(&format!("warning: {failure}\n"));
            self.reporter.alarm(&failure);
        }
    }

    /// What a PBX said.
    pub(super) fn hear(&mut self, news: &News) -> Result<(), Exit> {
        match &news.what {
            What::State(state) => {
                let text = match state {
                    State::Connected { version } => {
                        format!("manager {}: connected ({version})", news.manager)
                    }
                    State::Connecting => return Ok(()),
                    State::Lost(why) => format!("warning: manager {}: {why}", news.manager),
                    State::Refused(why) => format!("warning: manager {}: refused: {why}", news.manager),
                };
                // A server that is restarted again and again is told once a state.
                if self.witnesses.told.insert(news.manager.to_string(), text.clone()).as_ref() != Some(&text)
                {
                    say(&format!("{text}\n"));
                }
                Ok(())
            }
            What::Event(event) => {
                self.witnesses.heard.speaks(&format!("manager {}", news.manager));
                let Some((testimony, line)) = events::testimony(event) else { return Ok(()) };
                self.live.hear(&testimony);
                self.obey(Some(&line))
            }
        }
    }

    /// A message that somebody else saw, and those that wait behind it.
    pub(super) fn take_copies(
        &mut self,
        first: Copied,
        more: &mut mpsc::Receiver<Copied>,
    ) -> Result<(), Exit> {
        let mut next = Some(first);
        for _ in 0..TURN {
            let Some(copied) = next.take() else { break };
            self.copy(&copied)?;
            next = more.try_recv().ok();
        }
        match next {
            Some(copied) => self.copy(&copied),
            None => Ok(()),
        }
    }

    fn copy(&mut self, copied: &Copied) -> Result<(), Exit> {
        self.witnesses.heard.speaks("hep");
        let shelter = &mut self.book.shelter;
        let mut is_ours =
            |address: IpAddr| address.is_unspecified() || address == copied.sender || shelter.is_own(address);
        let direction = match (is_ours(copied.destination.ip()), is_ours(copied.source.ip())) {
            (true, _) => Direction::In,
            (false, true) => Direction::Out,
            (false, false) => {
                self.witnesses.strange += 1;
                return Ok(());
            }
        };
        self.live.see_copy(&Observation {
            source: copied.source,
            destination: copied.destination,
            direction,
            transport: Transport::Copy { is_connection: copied.ip_protocol == TCP },
            bytes: &copied.payload,
            is_cut: false,
            fate: Fate::Passed,
            frame: 0,
        });
        let line = self.live.has_decided().then(|| book::sip_line(&copied.payload)).flatten();
        self.obey(line.as_deref())
    }

    /// Says which witnesses are silent and which ports are dark, once.
    pub(super) fn listen_for_silence(&mut self) {
        let silent = self.silences();
        for text in silent.iter().filter(|text| !self.witnesses.heard.told.contains(*text)) {
            say(&format!("warning: {text}\n"));
            self.reporter.alarm(text);
        }
        self.witnesses.heard.told = silent;
    }
}
