//! Who is logged in, looked for by a process of its own: it takes `CAP_SYS_PTRACE`, and a daemon that listens to the internet is not
//! to have that.

use std::collections::BTreeSet;
use std::io::{self, BufRead as _, BufReader, Write as _};
use std::net::IpAddr;
use std::os::unix::net::UnixStream;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};

use super::{Session, ssh_sessions};
use crate::confine::Role;
use crate::error::{Error, chain};
use crate::helper;

/// What starts it.
pub const COMMAND: &str = "sessions";
/// How long it may look.
const PATIENCE: Duration = Duration::from_secs(5);
/// More sessions are not told.
const MOST: usize = 1000;
/// An answer is no longer.
const MAX_ANSWER: usize = 256 * 1024;

/// The process that looks.
#[derive(Debug)]
pub struct Sessions {
    confined: Value,
    asked: Mutex<Asked>,
}

#[derive(Debug)]
struct Asked {
    socket: UnixStream,
    /// So that an answer that came too late is told from the one that is waited for.
    number: u64,
}

impl Sessions {
    /// Starts it. `free` leaves it what it has.
    ///
    /// # Errors
    /// It cannot be started, or does not begin.
    pub fn start(free: bool) -> Result<Self, Error> {
        let helper = helper::start(COMMAND, free)?;
        let asked = Asked { socket: helper.socket, number: 0 };
        Ok(Self { confined: helper.confined, asked: Mutex::new(asked) })
    }

    /// What it said of its own confinement.
    pub fn confined(&self) -> &Value {
        &self.confined
    }

    /// The SSH sessions of this host, as [`ssh_sessions`].
    ///
    /// # Errors
    /// It could not look, or has ended.
    pub fn all(&self) -> Result<Vec<Session>, Error> {
        let failed = |error| Error::io("see who is logged in:", COMMAND)(error);
        let mut asked = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let answer = asked.ask().map_err(failed)?;
        if let Some(error) = answer.get("error").and_then(Value::as_str) {
            return Err(failed(io::Error::other(error.to_owned())));
        }
        let sessions = answer.get("sessions").and_then(Value::as_array).into_iter().flatten();
        Ok(sessions.filter_map(session).collect())
    }

    /// Where the SSH sessions of this host come from.
    ///
    /// # Errors
    /// As [`Sessions::all`].
    pub fn peers(&self) -> Result<BTreeSet<IpAddr>, Error> {
        Ok(self.all()?.into_iter().map(|session| session.peer).collect())
    }
}

impl Asked {
    fn ask(&mut self) -> io::Result<Value> {
        self.number += 1;
        self.socket.write_all(format!("{}\n", self.number).as_bytes())?;
        loop {
            let answer: Value = serde_json::from_str(&helper::line(&self.socket, MAX_ANSWER, PATIENCE)?)?;
            if answer.get("number").and_then(Value::as_u64) == Some(self.number) {
                return Ok(answer);
            }
        }
    }
}

fn session(value: &Value) -> Option<Session> {
    let address = |name: &str| value.get(name)?.as_str()?.parse::<IpAddr>().ok();
    Some(Session {
        peer: address("peer")?,
        local: address("local")?,
        port: u16::try_from(value.get("port")?.as_u64()?).ok()?,
        interface: value.get("interface").and_then(Value::as_str).map(str::to_owned),
    })
}

/// What the process does until the daemon has gone.
///
/// # Errors
/// The daemon is not there.
pub fn serve(free: bool) -> io::Result<()> {
    let mut socket = helper::socket()?;
    helper::begin(Role::Sessions, free, &socket)?;
    let questions = BufReader::new(socket.try_clone()?);
    for number in questions.lines() {
        let number: u64 = number?.parse().map_err(io::Error::other)?;
        let answer = match ssh_sessions() {
            Ok(all) => {
                let told = all.iter().take(MOST).map(|one| {
                    json!({ "peer": one.peer, "local": one.local, "port": one.port, "interface": one.interface })
                });
                json!({ "number": number, "sessions": told.collect::<Vec<_>>() })
            }
            Err(error) => json!({ "number": number, "error": chain(&error) }),
        };
        socket.write_all(format!("{answer}\n").as_bytes())?;
    }
    Ok(())
}
