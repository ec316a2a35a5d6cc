//! Processes of ours that do one thing each, started before the daemon gives up what they need, or never had what it keeps. They end
//! when the daemon does: then their socket is closed.

use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::Error;
use crate::confine::{Confinement, Entered, Role};

/// How long one may take to begin.
const BEGIN: Duration = Duration::from_secs(20);
/// What one says of itself is no longer.
const MAX_WORD: usize = 16 * 1024;

/// One that runs.
#[derive(Debug)]
pub(crate) struct Helper {
    pub(crate) socket: UnixStream,
    /// What it said of its own confinement.
    pub(crate) confined: Value,
}

/// Starts this program with a hidden command, and waits until it is ready. `free` leaves it what it has.
pub(crate) fn start(command: &'static str, free: bool) -> Result<Helper, Error> {
    let failed = |operation| Error::io(operation, command);
    let (socket, its) = UnixStream::pair().map_err(failed("start"))?;
    let program = std::env::current_exe().map_err(failed("start"))?;
    Command::new(program)
        .arg(command)
        .args(free.then_some("--no-confine"))
        .stdin(OwnedFd::from(its))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        // What ends the daemon's group ends this one soon enough.
        .process_group(0)
        .spawn()
        .map_err(failed("start"))?;
    let word = line(&socket, MAX_WORD, BEGIN).map_err(failed("wait for"))?;
    let confined = serde_json::from_str(&word).map_err(|error| failed("understand")(error.into()))?;
    Ok(Helper { socket, confined })
}

/// In the helper: confines the process, and says so.
pub(crate) fn begin(role: Role, free: bool, socket: &UnixStream) -> io::Result<()> {
    // The daemon may be in a hurry (`Nice=` of its unit), and so is who is logged in, for which a ban waits. Lists are not.
    if role != Role::Sessions {
        crate::machine::let_others_go_first();
    }
    let entered = if free {
        Entered { missing: vec!["--no-confine".to_owned()], ..Entered::default() }
    } else {
        Confinement::new(role, Vec::new()).enter()
    };
    let mut socket = socket;
    socket.write_all(format!("{}\n", entered.json()).as_bytes())
}

/// In the helper: the socket to the daemon.
pub(crate) fn socket() -> io::Result<UnixStream> {
    use std::os::fd::AsFd as _;
    Ok(UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?))
}

/// A line of bounded length within `patience`, a byte at a time: what follows it is somebody else's to read.
pub(crate) fn line(mut socket: &UnixStream, most: usize, patience: Duration) -> io::Result<String> {
    let mut text = Vec::new();
    let mut byte = [0];
    let end = Instant::now() + patience;
    while text.len() < most {
        let left = end.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        socket.set_read_timeout(Some(left))?;
        socket.read_exact(&mut byte)?;
        match byte {
            [b'\n'] => return String::from_utf8(text).map_err(io::Error::other),
            [other] => text.push(other),
        }
    }
    Err(io::Error::other("it says too much"))
}
