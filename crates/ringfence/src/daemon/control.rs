//! The control socket: one JSON object in, one JSON object out.

use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;

use crate::exit::Exit;
use crate::request::Request;

/// Its name in the run directory.
pub(crate) const SOCKET: &str = "control.sock";
/// A longer request is nonsense.
pub(crate) const MAX_REQUEST: usize = 1 << 18;
/// A longer answer is nonsense, too.
const MAX_ANSWER: u64 = 16 << 20;
/// A daemon that says nothing for this long hangs.
const PATIENCE: Duration = Duration::from_secs(30);

/// Asks the daemon of `run_dir`.
pub(crate) fn ask(run_dir: &Path, request: &Request) -> Result<Value, Exit> {
    ask_within(run_dir, request, PATIENCE)
}

/// The same, but waits no longer than `patience`.
pub(crate) fn ask_within(run_dir: &Path, request: &Request, patience: Duration) -> Result<Value, Exit> {
    let path = run_dir.join(SOCKET);
    let stream = UnixStream::connect(&path).map_err(|error| {
        let nobody = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused);
        if nobody {
            Exit::System(format!(
                "no daemon answers at {}; start one with `ringfence run`, or name its `--run-dir`",
                path.display()
            ))
        } else {
            Exit::io("connect to", &path)(error)
        }
    })?;
    exchange(stream, request, patience).map_err(Exit::io("talk to the daemon at", &path))
}

fn exchange(mut stream: UnixStream, request: &Request, patience: Duration) -> io::Result<Value> {
    stream.set_read_timeout(Some(patience))?;
    stream.set_write_timeout(Some(patience))?;
    let mut line = serde_json::to_string(request)?;
    line.push('\n');
    stream.write_all(line.as_bytes())?;
    let mut line = String::new();
    BufReader::new(stream.take(MAX_ANSWER)).read_line(&mut line)?;
    Ok(serde_json::from_str(&line)?)
}

/// What to print of an answer, or why there is nothing: an answer says `"ok": false` with a message when the answer is no.
pub(crate) fn accepted(answer: Value) -> Result<Value, Exit> {
    let text = |key: &str| answer.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    if answer.get("ok") != Some(&Value::Bool(false)) {
        return Ok(answer);
    }
    let system = answer.get("system") == Some(&Value::Bool(true));
    Err(if system { Exit::System(text("message")) } else { Exit::No(text("message")) })
}
