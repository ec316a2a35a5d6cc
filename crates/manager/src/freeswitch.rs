//! FreeSWITCH's event socket, client side.
//!
//! ```text
//! auth/request ─► auth SECRET ─► event plain CUSTOM sofia::register … ─► ready
//! ```
//!
//! Values in an event are URL-encoded and bodies have a length, so strangers cannot write into its form.

mod meaning;

use std::time::Duration;

use crate::error::Error;
use crate::lines::{End, Lines};
use crate::message::{Message, harmless};
use crate::session::{Clock, Login, Outbox, Output, PING};

/// Bytes of a body that are read; longer ones are skipped.
const MAX_BODY: u64 = 64 * 1024;
/// What is asked for: `register_attempt` has the successes, `register_failure` the rest.
const WANTED: &str = "event plain CUSTOM sofia::register sofia::register_attempt sofia::register_failure \
                      sofia::unregister sofia::expire\n\n";

#[derive(Debug)]
pub(crate) struct Freeswitch {
    login: Login,
    state: State,
    clock: Clock,
    lines: Lines,
    head: Message,
    /// The body that is being read.
    body: Option<Body>,
}

#[derive(Debug)]
struct Body {
    head: Message,
    bytes: Vec<u8>,
    missing: u64,
    /// It is too long to be kept.
    skip: bool,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Nothing has come yet.
    Greeting,
    Auth,
    Wanted,
    Ready,
}

impl Freeswitch {
    pub(crate) fn new(login: Login, now: Duration) -> Self {
        Self {
            login,
            state: State::Greeting,
            clock: Clock::step(now),
            lines: Lines::new(End::Lf),
            head: Message::default(),
            body: None,
        }
    }

    pub(crate) fn receive(
        &mut self,
        mut bytes: &[u8],
        now: Duration,
        outbox: &mut Outbox,
    ) -> Result<(), Error> {
        while !bytes.is_empty() {
            if let Some(body) = &mut self.body {
                if !body.take(&mut bytes) {
                    break;
                }
            } else {
                let Some(line) = self.lines.take(&mut bytes) else { break };
                if !line.bytes.is_empty() {
                    self.head.push(&line);
                    self.must_be_freeswitch(&line.bytes)?;
                    continue;
                }
                if self.head.is_empty() {
                    continue;
                }
                self.body = Some(Body::of(std::mem::take(&mut self.head)));
            }
            if self.body.as_ref().is_some_and(|body| body.missing == 0)
                && let Some(body) = self.body.take()
            {
                self.message(&body, now, outbox)?;
            }
        }
        if self.state == State::Greeting {
            self.must_be_freeswitch(self.lines.begun())?;
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
        match self.clock {
            Clock::Quiet { .. } => {
                self.clock = Clock::ping(now);
                // A user without the right to it gets an answer, too.
                outbox.send("api uptime\n\n".to_owned());
                Ok(())
            }
            Clock::Awaiting { .. } if self.state == State::Ready => {
                Err(Error::NoPing { seconds: PING.as_secs() })
            }
            Clock::Awaiting { patience, .. } => Err(Error::Silent { seconds: patience.as_secs() }),
        }
    }

    /// Whether the first line can be the one that FreeSWITCH begins with.
    fn must_be_freeswitch(&self, begun: &[u8]) -> Result<(), Error> {
        const FIRST: &[u8] = b"Content-Type: ";
        if self.state == State::Greeting
            && self.head.lines().len() <= 1
            && begun.iter().zip(FIRST).any(|(one, other)| !one.eq_ignore_ascii_case(other))
        {
            let said: String = harmless(&String::from_utf8_lossy(begun)).chars().take(60).collect();
            return Err(Error::NotFreeswitch { said });
        }
        Ok(())
    }

    fn message(&mut self, body: &Body, now: Duration, outbox: &mut Outbox) -> Result<(), Error> {
        outbox.counts.cut += u64::from(body.head.cut || body.skip);
        let said = || {
            let text = String::from_utf8_lossy(&body.bytes);
            harmless(body.head.first("Reply-Text").unwrap_or_else(|| text.trim()))
        };
        match body.head.first("Content-Type").unwrap_or_default() {
            "auth/request" if self.state == State::Greeting => {
                self.state = State::Auth;
                self.clock = Clock::step(now);
                let Login { user, secret, .. } = &self.login;
                outbox.send(match user.as_str() {
                    "" => format!("auth {secret}\n\n"),
                    user => format!("userauth {user}:{secret}\n\n"),
                });
            }
            "command/reply" => self.reply(&said(), now, outbox)?,
            "api/response" if self.state == State::Ready => self.clock = Clock::quiet(now),
            "text/event-plain" if self.state == State::Ready && !body.skip => {
                if let Some(event) = meaning::read(&meaning::message(&body.bytes)) {
                    outbox.event(event);
                }
            }
            "text/rude-rejection" => return Err(Error::FreeswitchAcl { said: said() }),
            "text/disconnect-notice" => {
                let said = said();
                return Err(Error::Closed { said: Some(said).filter(|said| !said.is_empty()) });
            }
            _ => {}
        }
        Ok(())
    }

    fn reply(&mut self, said: &str, now: Duration, outbox: &mut Outbox) -> Result<(), Error> {
        let is_good = said.starts_with("+OK");
        let said = said.to_owned();
        match self.state {
            State::Auth if is_good => {
                self.state = State::Wanted;
                self.clock = Clock::step(now);
                outbox.send(WANTED.to_owned());
            }
            State::Auth => return Err(Error::FreeswitchRefused { said }),
            State::Wanted if is_good => {
                self.state = State::Ready;
                self.clock = Clock::quiet(now);
                outbox.push(Output::Ready { version: "event socket".to_owned() });
            }
            State::Wanted => return Err(Error::FreeswitchNoEvents { said }),
            State::Ready => self.clock = Clock::quiet(now),
            State::Greeting => {}
        }
        Ok(())
    }
}

impl Body {
    fn of(head: Message) -> Self {
        let length = head.first("Content-Length").and_then(|text| text.parse().ok()).unwrap_or(0);
        Self { head, bytes: Vec::new(), missing: length, skip: length > MAX_BODY }
    }

    /// Takes what is there; whether the body is whole.
    fn take(&mut self, input: &mut &[u8]) -> bool {
        let count = usize::try_from(self.missing).map_or(input.len(), |missing| missing.min(input.len()));
        let (taken, rest) = input.split_at_checked(count).unwrap_or((input, &[]));
        if !self.skip {
            self.bytes.extend(taken);
        }
        self.missing = self.missing.saturating_sub(count as u64);
        *input = rest;
        self.missing == 0
    }
}

#[cfg(test)]
mod tests;
