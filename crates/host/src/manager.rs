//! Connections to PBXs that tell who tries to get in.
//!
//! `spawn` makes a task that connects, logs in and passes on what it is told. It never waits for who listens: what does not
//! fit into the channel is counted and gone. When the connection ends it is made again, after a second at first and after a
//! minute at most; what may be wrong is said once, not with each attempt.

mod session;
mod tls;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use ::manager::{Counts, Event, Login};
use policy::sensor::Manager;
use tokio::sync::{Notify, mpsc};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

pub use self::tls::Client;
use crate::{Error, secret};

/// Between two attempts.
const SHORTEST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(60);
/// A connection that held so long was a good one.
const GOOD: Duration = Duration::from_secs(60);

/// Whom to talk to. Two are equal if the secret and the certificates are, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    /// As the policy calls it.
    pub name: String,
    pub address: SocketAddr,
    pub login: Login,
    pub tls: Option<Client>,
}

impl Config {
    /// What a policy says, with the files that it names.
    ///
    /// # Errors
    /// When the secret or the certificates cannot be read.
    pub fn load(manager: &Manager) -> Result<Self, Error> {
        let tls = manager.tls.as_ref().map(|tls| Client::new(tls, manager.address.ip())).transpose()?;
        let login = Login {
            server: manager.kind,
            user: manager.user.clone(),
            secret: secret::read(&manager.secret)?,
            is_private: tls.is_some() || manager.address.ip().is_loopback(),
        };
        Ok(Self { name: manager.name.clone(), address: manager.address, login, tls })
    }
}

/// What a connection tells.
#[derive(Clone, Debug)]
pub struct News {
    /// The name of [`Config`].
    pub manager: Arc<str>,
    pub what: What,
}

/// See [`News`].
#[derive(Clone, Debug)]
pub enum What {
    Event(Box<Event>),
    /// It is another than before.
    State(State),
}

/// How it stands.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Logged in; events come.
    Connected { version: String },
    /// The first attempt.
    Connecting,
    /// There is no connection just now. It is tried again.
    Lost(String),
    /// The server does not let us in, or is none. It is tried again, but somebody has to change something.
    Refused(String),
}

impl State {
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Connected { .. } => "connected",
            Self::Connecting => "connecting",
            Self::Lost(_) => "lost",
            Self::Refused(_) => "refused",
        }
    }

    /// Why there is no connection.
    pub fn trouble(&self) -> Option<&str> {
        match self {
            Self::Connected { .. } | Self::Connecting => None,
            Self::Lost(why) | Self::Refused(why) => Some(why),
        }
    }
}

/// How it stands and what it was.
#[derive(Clone, Debug)]
pub struct Status {
    pub state: State,
    pub since: SystemTime,
    /// Events that were passed on.
    pub events: u64,
    /// When the last one was.
    pub last_event: Option<SystemTime>,
    /// Events that were not, as nobody took them in time.
    pub lost: u64,
    /// Logins that were accepted.
    pub logins: u64,
    pub counts: Counts,
}

/// A connection that is kept up as long as this lives.
#[derive(Debug)]
pub struct Link {
    config: Arc<Config>,
    status: Arc<Mutex<Status>>,
    hurry: Arc<Notify>,
    task: JoinHandle<()>,
}

impl Link {
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether it is as this would make it. The policy may be what it was, and a file that it names another.
    pub fn follows(&self, config: &Config) -> bool {
        *self.config == *config
    }

    /// Does not wait for the next attempt any longer: somebody may have mended what was wrong.
    pub fn hurry(&self) {
        self.hurry.notify_waiters();
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Keeps a connection up on the runtime that calls, until the [`Link`] is dropped or nobody listens any more.
pub fn spawn(config: Config, news: mpsc::Sender<News>) -> Link {
    let status = Arc::new(Mutex::new(Status {
        state: State::Connecting,
        since: SystemTime::now(),
        events: 0,
        last_event: None,
        lost: 0,
        logins: 0,
        counts: Counts::default(),
    }));
    let teller = Teller { manager: config.name.as_str().into(), news, status: Arc::clone(&status) };
    let (config, hurry) = (Arc::new(config), Arc::new(Notify::new()));
    let task = tokio::spawn(keep_up(Arc::clone(&config), teller, Arc::clone(&hurry)));
    Link { config, status, hurry, task }
}

async fn keep_up(config: Arc<Config>, teller: Teller, hurry: Arc<Notify>) {
    let mut wait = SHORTEST_WAIT;
    while !teller.news.is_closed() {
        let began = Instant::now();
        let end = session::run(&config, &teller).await;
        if began.elapsed() > GOOD {
            wait = SHORTEST_WAIT;
        }
        // Each refusal is a failed login in the server's own log: whoever watches that log would ban this host.
        wait = if end.is_lasting { LONGEST_WAIT } else { wait };
        teller.state(if end.is_lasting { State::Refused(end.reason) } else { State::Lost(end.reason) });
        let hurried = timeout(wait, hurry.notified()).await.is_ok();
        wait = if hurried { SHORTEST_WAIT } else { (wait * 2).min(LONGEST_WAIT) };
    }
}

/// Why a connection ended.
#[derive(Debug)]
struct End {
    is_lasting: bool,
    reason: String,
}

/// Passes on what happens, without ever waiting.
#[derive(Debug)]
struct Teller {
    manager: Arc<str>,
    news: mpsc::Sender<News>,
    status: Arc<Mutex<Status>>,
}

impl Teller {
    fn change<T>(&self, change: impl FnOnce(&mut Status) -> T) -> T {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn event(&self, event: Box<Event>) {
        let passed = self.send(What::Event(event));
        self.change(|status| {
            status.events += u64::from(passed);
            status.lost += u64::from(!passed);
            status.last_event = Some(SystemTime::now());
        });
    }

    fn state(&self, state: State) {
        let is_news = self.change(|status| {
            status.logins += u64::from(matches!(state, State::Connected { .. }));
            let is_news = status.state != state;
            if is_news {
                (status.state, status.since) = (state.clone(), SystemTime::now());
            }
            is_news
        });
        if is_news {
            self.send(What::State(state));
        }
    }

    /// Whether there was room.
    fn send(&self, what: What) -> bool {
        self.news.try_send(News { manager: Arc::clone(&self.manager), what }).is_ok()
    }
}

#[cfg(test)]
mod tests;
