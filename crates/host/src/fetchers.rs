//! Processes without privilege that ask servers. What a server says goes through TLS and HTTP, much code that reads what strangers
//! wrote: it runs as `nobody`, one process for one question, and the daemon takes from it bytes of bounded number, and a few words.
//!
//! The daemon cannot make itself anybody else, so it starts a process that has given up everything before it does so itself. That
//! one is handed a socket for each question, starts another process with it, and never reads a byte of it.

use std::io::{self, IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd as _, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage,
    SendFlags, recvmsg, sendmsg,
};
use rustix::process::{Resource, Rlimit, setrlimit};
use serde_json::{Value, json};

use crate::certificate::certificates;
use crate::confine::{Confinement, Role, become_nobody};
use crate::error::{Error, chain};
use crate::fetch::{self, Answer, Mark, PATIENCE};
use crate::helper;

/// What starts those that ask.
pub const COMMAND: &str = "fetchers";
/// What asks.
pub const ONE: &str = "fetch";
/// Questions at a time.
const MOST: usize = 16;
/// How much longer than the exchange everything may take.
const GRACE: Duration = Duration::from_secs(10);
/// Memory of one, in bytes: the longest list several times over, and what threads reserve.
const MEMORY: u64 = 512 << 20;
/// Seconds of work of one.
const WORK: u64 = 30;
/// Descriptors of one.
const DESCRIPTORS: u64 = 64;
/// A question or the head of an answer is no longer.
const MAX_HEAD: u32 = 64 * 1024;
/// A certificate is no longer.
const MAX_CERTIFICATE: u32 = 1 << 20;
/// What went wrong is told in no more letters.
const MAX_WORDS: usize = 300;

/// What starts those that ask.
#[derive(Debug)]
pub struct Fetchers {
    socket: UnixStream,
    confined: Value,
}

impl Fetchers {
    /// Starts it. `free` leaves it what it has.
    ///
    /// # Errors
    /// It cannot be started, or does not begin.
    pub fn start(free: bool) -> Result<Self, Error> {
        let helper = helper::start(COMMAND, free)?;
        Ok(Self { socket: helper.socket, confined: helper.confined })
    }

    /// What it said of its own confinement.
    pub fn confined(&self) -> &Value {
        &self.confined
    }

    /// As [`fetch::url`], in a process of its own. `authorities` is a file of certificates in PEM.
    ///
    /// # Errors
    /// As [`fetch::url`].
    pub fn url(
        &self,
        url: &str,
        authorities: Option<&Path>,
        mark: &Mark,
        most: usize,
    ) -> Result<Answer, fetch::Error> {
        // Read each time: it may have been renewed. Only we may be able to.
        let believed = authorities.map(certificates).transpose();
        let believed = believed.map_err(|error| fetch::Error::Certificates(chain(&error)))?;
        let failed =
            |error: io::Error| fetch::Error::Server(format!("cannot be asked: no process for that: {error}"));
        let mut socket = self.hand_over().map_err(failed)?;
        let question = json!({
            "url": url,
            "etag": mark.etag,
            "modified": mark.modified,
            "most": most,
            "authorities": believed.as_ref().map(Vec::len),
        });
        let deadline = Instant::now() + PATIENCE + GRACE;
        socket.set_write_timeout(Some(GRACE)).map_err(failed)?;
        write(&mut socket, question.to_string().as_bytes()).map_err(failed)?;
        for certificate in believed.iter().flatten() {
            write(&mut socket, certificate).map_err(failed)?;
        }
        answer(&mut Until { socket, deadline }, most).map_err(failed)?
    }

    /// One end of a new socket is handed over; the other one.
    fn hand_over(&self) -> io::Result<UnixStream> {
        let (ours, its) = UnixStream::pair()?;
        let descriptors = [its.as_fd()];
        let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
        let mut control = SendAncillaryBuffer::new(&mut space);
        control.push(SendAncillaryMessage::ScmRights(&descriptors));
        sendmsg(&self.socket, &[IoSlice::new(b"?")], &mut control, SendFlags::NOSIGNAL)?;
        Ok(ours)
    }
}

/// Reads until a moment.
struct Until {
    socket: UnixStream,
    deadline: Instant,
}

impl Read for Until {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let left = self.deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(io::ErrorKind::TimedOut.into());
        }
        self.socket.set_read_timeout(Some(left))?;
        self.socket.read(buffer)
    }
}

/// Takes the answer of a process that may be anybody's by now.
fn answer(from: &mut impl Read, most: usize) -> io::Result<Result<Answer, fetch::Error>> {
    let head: Value = serde_json::from_slice(&read(from, MAX_HEAD)?)?;
    let text = |name: &str| head.get(name).and_then(Value::as_str);
    if let Some(why) = text("error") {
        let why = why.chars().filter(|letter| !letter.is_control()).take(MAX_WORDS).collect();
        return Ok(Err(fetch::Error::Server(why)));
    }
    if head.get("unchanged") == Some(&Value::Bool(true)) {
        return Ok(Ok(Answer::Unchanged));
    }
    let number = |name: &str| head.get(name).and_then(Value::as_u64);
    let status = number("status").and_then(|status| u16::try_from(status).ok());
    let length = number("length").filter(|length| *length <= fetch::bound(most));
    let (Some(status), Some(length)) = (status, length) else {
        return Err(io::Error::other("it gives no answer that there is"));
    };
    let mut bytes = Vec::new();
    from.take(length).read_to_end(&mut bytes)?;
    if u64::try_from(bytes.len()) != Ok(length) {
        // What is not there is not to be taken for what was struck off the list.
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let mark = |name: &str| text(name).filter(|mark| mark.len() <= fetch::MAX_MARK).map(str::to_owned);
    Ok(Ok(Answer::Body {
        status,
        bytes,
        mark: Mark { etag: mark("etag"), modified: mark("modified"), file: None },
    }))
}

fn write(to: &mut impl Write, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.write_all(&length.to_be_bytes())?;
    to.write_all(bytes)
}

fn read(from: &mut impl Read, most: u32) -> io::Result<Vec<u8>> {
    let mut length = [0; 4];
    from.read_exact(&mut length)?;
    let length = u32::from_be_bytes(length);
    if length > most {
        return Err(io::Error::other("it says too much"));
    }
    let mut bytes = vec![0; usize::try_from(length).map_err(io::Error::other)?];
    from.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// What the process that starts others does until the daemon has gone.
///
/// # Errors
/// The daemon is not there.
pub fn serve(free: bool) -> io::Result<()> {
    let socket = helper::socket()?;
    if !free {
        // Whoever may not stays root without a capability, which is told.
        let _ = become_nobody();
        for (resource, most) in [
            (Resource::As, MEMORY),
            (Resource::Nofile, DESCRIPTORS),
            (Resource::Fsize, 0),
            (Resource::Core, 0),
        ] {
            setrlimit(resource, Rlimit { current: Some(most), maximum: Some(most) })?;
        }
    }
    helper::begin(Role::Fetchers, free, &socket)?;
    // So that the dead are buried.
    socket.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut children: Vec<(Child, Instant)> = Vec::new();
    loop {
        let handed = match take(&socket) {
            Ok(handed) => handed,
            Err(error) if matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {
                None
            }
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(()),
            Err(error) => return Err(error),
        };
        children.retain_mut(|(child, begin)| {
            if begin.elapsed() > PATIENCE + GRACE {
                let _ = child.kill();
            }
            matches!(child.try_wait(), Ok(None))
        });
        // Who gets no process sees its socket closed.
        if let Some(handed) = handed
            && children.len() < MOST
            && let Ok(child) = ask(handed, free)
        {
            children.push((child, Instant::now()));
        }
    }
}

/// The socket that is handed over.
fn take(socket: &UnixStream) -> io::Result<Option<OwnedFd>> {
    let mut byte = [0];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let taken = recvmsg(socket, &mut [IoSliceMut::new(&mut byte)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    if taken.bytes == 0 {
        return Err(io::ErrorKind::UnexpectedEof.into());
    }
    let descriptors = control.drain().filter_map(|message| {
        if let RecvAncillaryMessage::ScmRights(descriptors) = message { Some(descriptors) } else { None }
    });
    Ok(descriptors.flatten().next())
}

fn ask(socket: OwnedFd, free: bool) -> io::Result<Child> {
    // By its name it may be in a folder that nobody may look into.
    Command::new("/proc/self/exe")
        .arg(ONE)
        .args(free.then_some("--no-confine"))
        .stdin(socket)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .env_clear()
        .spawn()
}

/// What a process does that asks one server.
///
/// # Errors
/// The daemon is not there.
pub fn serve_one(free: bool) -> io::Result<()> {
    let mut socket = helper::socket()?;
    if !free {
        let most = Rlimit { current: Some(WORK), maximum: Some(WORK) };
        setrlimit(Resource::Cpu, most)?;
        let entered = Confinement::new(Role::Fetch, Vec::new()).enter();
        if let Some(why) = entered.missing.iter().find(|why| !why.starts_with("landlock")) {
            return write(
                &mut socket,
                json!({ "error": format!("cannot be asked: {why}") }).to_string().as_bytes(),
            );
        }
    }
    let question: Value = serde_json::from_slice(&read(&mut socket, MAX_HEAD)?)?;
    let text = |name: &str| question.get(name).and_then(Value::as_str).map(str::to_owned);
    let number = |name: &str| usize::try_from(question.get(name)?.as_u64()?).ok();
    let (Some(url), Some(most)) = (text("url"), number("most")) else { return Ok(()) };
    let mark = Mark { etag: text("etag"), modified: text("modified"), file: None };
    let believed = number("authorities")
        .map(|count| (0..count).map(|_| read(&mut socket, MAX_CERTIFICATE)).collect::<io::Result<Vec<_>>>())
        .transpose()?;
    let (head, body) = match fetch::url(&url, believed.as_deref(), &mark, most) {
        Ok(Answer::Unchanged) => (json!({ "unchanged": true }), Vec::new()),
        Ok(Answer::Body { status, bytes, mark }) => {
            let head = json!({
                "status": status,
                "length": bytes.len(),
                "etag": mark.etag,
                "modified": mark.modified,
            });
            (head, bytes)
        }
        Err(fetch::Error::Server(why) | fetch::Error::Certificates(why)) => {
            (json!({ "error": why }), Vec::new())
        }
        Err(error @ fetch::Error::File { .. }) => (json!({ "error": error.to_string() }), Vec::new()),
    };
    write(&mut socket, head.to_string().as_bytes())?;
    socket.write_all(&body)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// An answer as a process would give it.
    fn answered(head: &str, body: &[u8]) -> io::Result<Result<Answer, fetch::Error>> {
        let mut bytes = Vec::new();
        write(&mut bytes, head.as_bytes()).unwrap();
        bytes.extend(body);
        answer(&mut bytes.as_slice(), 4)
    }

    #[test]
    fn an_answer_is_taken_whole_or_not_at_all() {
        let whole = answered(r#"{"status":200,"length":3,"etag":"a"}"#, b"abc").unwrap().unwrap();
        let Answer::Body { status: 200, bytes, mark } = whole else { panic!("{whole:?}") };
        assert_eq!((bytes.as_slice(), mark.etag.as_deref()), (b"abc".as_slice(), Some("a")));
        assert!(answered(r#"{"status":200,"length":3}"#, b"ab").is_err(), "a list that was cut off");
        assert!(answered(r#"{"status":200,"length":6}"#, b"abcdef").is_err(), "more than was asked for");
        assert!(answered("nonsense", b"").is_err());
        assert!(answered("{}", b"").is_err());
        assert!(answer(&mut [0xff, 0xff, 0xff, 0xff].as_slice(), 4).is_err());
    }

    #[test]
    fn words_are_few_and_harmless() {
        let said = format!(r#"{{"error":"a\u001b[2J\n{}"}}"#, "x".repeat(10_000));
        let error = answered(&said, b"").unwrap().unwrap_err().to_string();
        assert!(error.starts_with("the server a[2Jxxx") && error.len() < 320, "{error}");
    }
}
