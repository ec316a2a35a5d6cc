//! One connection to a PBX, from the first byte to the last.

use std::collections::VecDeque;
use std::fmt;
use std::time::Duration;

use crate::asterisk::Asterisk;
use crate::error::Error;
use crate::event::Event;
use crate::freeswitch::Freeswitch;

/// How long each step of the login may take.
pub(crate) const STEP: Duration = Duration::from_secs(10);
/// How often the server is asked whether it is there, and how long the answer may take.
pub(crate) const PING: Duration = Duration::from_secs(30);

/// Which protocol.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub enum Server {
    /// The manager interface.
    Asterisk,
    /// The event socket.
    Freeswitch,
}

impl Server {
    pub const ALL: [Self; 2] = [Self::Asterisk, Self::Freeswitch];

    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Asterisk => "asterisk",
            Self::Freeswitch => "freeswitch",
        }
    }

    /// The port, unless the server is told another.
    pub const fn port(self) -> u16 {
        match self {
            Self::Asterisk => 5038,
            Self::Freeswitch => 8021,
        }
    }
}

/// Who we are to the server.
#[derive(Clone, Eq, PartialEq)]
pub struct Login {
    pub server: Server,
    /// The section of manager.conf; `user@domain` of FreeSWITCH's directory, or empty for the event socket's own password.
    pub user: String,
    pub secret: String,
    /// Nobody can read along: the connection is encrypted, or does not leave the host.
    pub is_private: bool,
}

impl fmt::Debug for Login {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Login")
            .field("server", &self.server)
            .field("user", &self.user)
            .finish_non_exhaustive()
    }
}

impl Login {
    /// Line ends in it would be commands to the server.
    fn is_sendable(&self) -> bool {
        let is_plain = |text: &str| !text.contains(char::is_control);
        let named = self.server == Server::Freeswitch || !self.user.is_empty();
        named && !self.secret.is_empty() && is_plain(&self.user) && is_plain(&self.secret)
    }
}

/// What is to be done, and what was told, in this order.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Output {
    Event(Box<Event>),
    /// The login is done, and events come.
    Ready {
        /// As the server calls itself.
        version: String,
    },
    Send(Vec<u8>),
}

/// What was not taken as it came.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Messages of which something was too long.
    pub cut: u64,
    /// Events with lines in them that are not the server's.
    pub doubtful: u64,
    /// Pieces that are no message: what is left of one into which somebody wrote the end.
    pub stray: u64,
}

/// A connection. After each call, [`Session::next_output`] is to be asked until it has nothing more.
#[derive(Debug)]
pub struct Session {
    protocol: Protocol,
    outbox: Outbox,
}

#[derive(Debug)]
enum Protocol {
    Asterisk(Asterisk),
    Freeswitch(Freeswitch),
}

#[derive(Debug, Default)]
pub(crate) struct Outbox {
    waiting: VecDeque<Output>,
    pub(crate) counts: Counts,
}

impl Outbox {
    pub(crate) fn push(&mut self, output: Output) {
        self.waiting.push_back(output);
    }

    pub(crate) fn send(&mut self, text: String) {
        self.push(Output::Send(text.into_bytes()));
    }

    pub(crate) fn event(&mut self, event: Event) {
        self.counts.doubtful += u64::from(event.is_doubtful);
        self.push(Output::Event(Box::new(event)));
    }
}

impl Session {
    /// A connection that was made just now. `now` is of any clock that does not go back, here and everywhere.
    ///
    /// # Errors
    /// [`Error::UnsendableLogin`].
    pub fn new(login: Login, now: Duration) -> Result<Self, Error> {
        if !login.is_sendable() {
            return Err(Error::UnsendableLogin);
        }
        let protocol = match login.server {
            Server::Asterisk => Protocol::Asterisk(Asterisk::new(login, now)),
            Server::Freeswitch => Protocol::Freeswitch(Freeswitch::new(login, now)),
        };
        Ok(Self { protocol, outbox: Outbox::default() })
    }

    /// Takes in what came, however it was cut into pieces. What it leads to is kept until it is asked for, so a piece is to be
    /// of moderate size.
    ///
    /// # Errors
    /// The session is over. What was told before still waits in [`Session::next_output`].
    pub fn receive(&mut self, bytes: &[u8], now: Duration) -> Result<(), Error> {
        match &mut self.protocol {
            Protocol::Asterisk(asterisk) => asterisk.receive(bytes, now, &mut self.outbox),
            Protocol::Freeswitch(freeswitch) => freeswitch.receive(bytes, now, &mut self.outbox),
        }
    }

    /// To be called at [`Session::poll_timeout`], or later.
    ///
    /// # Errors
    /// The session is over: the other end does not answer.
    pub fn handle_timeout(&mut self, now: Duration) -> Result<(), Error> {
        match &mut self.protocol {
            Protocol::Asterisk(asterisk) => asterisk.handle_timeout(now, &mut self.outbox),
            Protocol::Freeswitch(freeswitch) => freeswitch.handle_timeout(now, &mut self.outbox),
        }
    }

    /// When [`Session::handle_timeout`] is wanted.
    pub fn poll_timeout(&self) -> Duration {
        match &self.protocol {
            Protocol::Asterisk(asterisk) => asterisk.timeout(),
            Protocol::Freeswitch(freeswitch) => freeswitch.timeout(),
        }
    }

    pub fn next_output(&mut self) -> Option<Output> {
        self.outbox.waiting.pop_front()
    }

    pub fn counts(&self) -> Counts {
        self.outbox.counts
    }
}

/// When the server is asked whether it is there, and until when it must answer what it was asked.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Clock {
    /// Something is awaited.
    Awaiting { until: Duration, patience: Duration },
    /// All is well.
    Quiet { until: Duration },
}

impl Clock {
    pub(crate) fn step(now: Duration) -> Self {
        Self::Awaiting { until: now + STEP, patience: STEP }
    }

    pub(crate) fn quiet(now: Duration) -> Self {
        Self::Quiet { until: now + PING }
    }

    pub(crate) fn ping(now: Duration) -> Self {
        Self::Awaiting { until: now + PING, patience: PING }
    }

    pub(crate) fn until(self) -> Duration {
        match self {
            Self::Awaiting { until, .. } | Self::Quiet { until } => until,
        }
    }
}
