//! Asterisk's manager interface, client side.
//!
//! ```text
//! banner ─► Action: Challenge ─► Action: Login, with the MD5 of challenge and secret ─► our own SuccessfulAuth ─► ready
//! ```
//!
//! Asterisk has no way to ask which events a user is shown. But it tells everybody who may see security events of each login,
//! so of ours, too: who does not hear of it is not shown any.

mod meaning;
mod shape;

use std::fmt::Write as _;
use std::time::Duration;

use md5::{Digest as _, Md5};

use self::shape::{Framer, Part};
use crate::error::Error;
use crate::lines::{End, Line, Lines};
use crate::message::{Message, harmless};
use crate::session::{Clock, Login, Outbox, Output, PING, STEP};

/// How the banner begins. The protocol's version follows.
const BANNER: &[u8] = b"Asterisk Call Manager/";

#[derive(Debug)]
pub(crate) struct Asterisk {
    login: Login,
    version: String,
    state: State,
    clock: Clock,
    /// Of the last action.
    serial: u64,
    lines: Lines,
    framer: Framer,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    Banner,
    Challenge,
    Login,
    /// Logged in; our own login is not told yet.
    Proof,
    Ready,
}

impl Asterisk {
    pub(crate) fn new(login: Login, now: Duration) -> Self {
        Self {
            login,
            version: String::new(),
            state: State::Banner,
            clock: Clock::step(now),
            serial: 0,
            lines: Lines::new(End::CrLf),
            framer: Framer::default(),
        }
    }

    pub(crate) fn receive(
        &mut self,
        mut bytes: &[u8],
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        while let Some(line) = self.lines.take(&mut bytes) {
            if self.state == State::Banner {
                self.banner(&line, now, outbox)?;
                continue;
            }
            match self.framer.push(&line) {
                Some(Part::Message(message)) => self.message(&message, now, outbox)?,
                Some(Part::Stray) => outbox.counts.stray += 1,
                None => {}
            }
        }
        if self.state == State::Banner {
            self.maybe_banner()?;
        }
        Ok(())
    }

    pub(crate) fn timeout(&self) -> Duration {
        self.clock.until()
    }

    pub(crate) fn handle_timeout(&mut self, now: Duration, outbox: &mut Outbox) -> Result<(), Error> {
        if now < self.clock.until() {
            return Ok(());
        }
        match (self.clock, self.state) {
            (Clock::Quiet { .. }, _) => {
                self.clock = Clock::ping(now);
                self.action("Ping", &[], outbox);
                Ok(())
            }
            (Clock::Awaiting { .. }, State::Ready) => Err(Error::NoPing { seconds: PING.as_secs() }),
            (Clock::Awaiting { .. }, State::Proof) => {
                Err(Error::NoSecurityEvents { user: self.login.user.clone() })
            }
            (Clock::Awaiting { patience, .. }, State::Banner | State::Challenge | State::Login) => {
                Err(Error::Silent { seconds: patience.as_secs() })
            }
        }
    }

    /// Whether what has come of the first line can still become the banner.
    fn maybe_banner(&self) -> Result<(), Error> {
        let begun = self.lines.begun();
        if begun.iter().zip(BANNER).any(|(one, other)| one != other) {
            return Err(not_asterisk(begun));
        }
        Ok(())
    }

    fn banner(&mut self, line: &Line, now: Duration, outbox: &mut Outbox) -> Result<(), Error> {
        let Some(version) = line.bytes.strip_prefix(BANNER) else { return Err(not_asterisk(&line.bytes)) };
        self.version = harmless(&String::from_utf8_lossy(version));
        self.state = State::Challenge;
        self.clock = Clock::step(now);
        self.action("Challenge", &[("AuthType", "MD5")], outbox);
        Ok(())
    }

    fn message(&mut self, message: &Message, now: Duration, outbox: &mut Outbox) -> Result<(), Error> {
        outbox.counts.cut += u64::from(message.cut);
        if message.key(0).is_some_and(|key| key == "Response") {
            return self.response(message, now, outbox);
        }
        // Before the login nobody is shown anything.
        if !matches!(self.state, State::Proof | State::Ready) {
            return Ok(());
        }
        if self.state == State::Proof && shape::is_security(message) {
            self.state = State::Ready;
            self.clock = Clock::quiet(now);
            outbox.push(Output::Ready { version: self.version.clone() });
        }
        if let Some(event) = meaning::read(message) {
            outbox.event(event);
        }
        Ok(())
    }

    fn response(&mut self, message: &Message, now: Duration, outbox: &mut Outbox) -> Result<(), Error> {
        // Of something that nobody waits for any more.
        if message.first("ActionID") != Some(self.action_id().as_str()) {
            return Ok(());
        }
        let is_success =
            message.first("Response").is_some_and(|answer| answer.eq_ignore_ascii_case("Success"));
        match self.state {
            State::Challenge => match message.first("Challenge").filter(|_| is_success) {
                Some(challenge) => self.log_in(Some(challenge), now, outbox),
                // One who cannot do MD5 is told the secret only where nobody reads along.
                None if self.login.is_private => self.log_in(None, now, outbox),
                None => return Err(self.refused(message)),
            },
            State::Login if is_success => {
                self.state = State::Proof;
                self.clock = Clock::Awaiting { until: now + STEP / 2, patience: STEP / 2 };
            }
            State::Login => return Err(self.refused(message)),
            State::Ready => self.clock = Clock::quiet(now),
            State::Banner | State::Proof => {}
        }
        Ok(())
    }

    fn log_in(&mut self, challenge: Option<&str>, now: Duration, outbox: &mut Outbox) {
        self.state = State::Login;
        self.clock = Clock::step(now);
        let Login { user, secret, .. } = self.login.clone();
        let events = ("Events", "security,system");
        match challenge {
            Some(challenge) => {
                let key = md5(&[challenge, &secret]);
                self.action(
                    "Login",
                    &[("AuthType", "MD5"), ("Username", &user), ("Key", &key), events],
                    outbox,
                );
            }
            None => self.action("Login", &[("Username", &user), ("Secret", &secret), events], outbox),
        }
    }

    fn refused(&self, message: &Message) -> Error {
        let said = harmless(message.first("Message").unwrap_or("no reason"));
        let user = self.login.user.clone();
        match said.as_str() {
            "Login Already In Use" => Error::AsteriskInUse { user, said },
            _ => Error::AsteriskRefused { user, said },
        }
    }

    fn action(&mut self, name: &str, headers: &[(&str, &str)], outbox: &mut Outbox) {
        self.serial += 1;
        let mut text = format!("Action: {name}\r\nActionID: {}\r\n", self.action_id());
        for (key, value) in headers {
            // Writing to a string cannot fail.
            write!(text, "{key}: {value}\r\n").ok();
        }
        text.push_str("\r\n");
        outbox.send(text);
    }

    fn action_id(&self) -> String {
        format!("ringfence-{}", self.serial)
    }
}

fn not_asterisk(said: &[u8]) -> Error {
    let said: String = harmless(&String::from_utf8_lossy(said)).chars().take(60).collect();
    Error::NotAsterisk { said }
}

fn md5(parts: &[&str]) -> String {
    let mut hash = Md5::new();
    for part in parts {
        hash.update(part.as_bytes());
    }
    hash.finalize().iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").ok();
        text
    })
}

#[cfg(test)]
mod tests;
