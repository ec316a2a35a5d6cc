//! The control socket's server: each connection is one request; a slow or mad client delays nobody but itself.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::timeout;

use super::control::MAX_REQUEST;
use crate::exit::Exit;
use crate::request::Request;

/// How long a client may take for its request, and for taking its answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Clients at a time. Each may hold a request of [`MAX_REQUEST`].
const MAX_CLIENTS: usize = 16;
/// How long a daemon that stops waits for whoever stopped it to take the answer.
const FAREWELL: Duration = Duration::from_secs(2);

/// A client that waits for its answer.
#[derive(Debug)]
pub(crate) struct Waiting(oneshot::Sender<(Value, oneshot::Sender<()>)>);

impl Waiting {
    /// Hands the answer to the client's connection, which a slow client holds up alone.
    pub(crate) fn reply(self, answer: Value) {
        let (done, _) = oneshot::channel();
        // Whoever has gone needs no answer.
        let _ = self.0.send((answer, done));
    }

    /// The same from a daemon that stops: it waits until the answer is on its way, as the connection ends with it.
    pub(crate) async fn last_reply(self, answer: Value) {
        let (done, written) = oneshot::channel();
        if self.0.send((answer, done)).is_ok() {
            let _ = timeout(FAREWELL, written).await;
        }
    }
}

/// Opens the socket for root alone, or for a group as well. What a dead daemon left is replaced; the caller holds the
/// instance's lock.
pub(crate) fn listen(path: &Path, group: Option<u32>) -> Result<StdListener, Exit> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Exit::io("replace", path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let listener = StdListener::bind(path).map_err(Exit::io("listen on", path))?;
    let mode = if group.is_some() { 0o660 } else { 0o600 };
    if group.is_some() {
        // A service manager may have taken the very call away.
        std::os::unix::fs::chown(path, None, group).map_err(Exit::io("protect", path))?;
    }
    fs::set_permissions(path, Permissions::from_mode(mode)).map_err(Exit::io("protect", path))?;
    listener.set_nonblocking(true).map_err(Exit::io("listen on", path))?;
    Ok(listener)
}

/// Takes connections until the daemon ends.
pub(crate) async fn serve(listener: StdListener, requests: mpsc::Sender<(Request, Waiting)>) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    let places = Arc::new(Semaphore::new(MAX_CLIENTS));
    loop {
        // More wait outside.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let served = connection(stream, requests.clone());
                tokio::spawn(async move {
                    served.await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: wait instead of turning in circles.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(mut stream: UnixStream, requests: mpsc::Sender<(Request, Waiting)>) {
    let Ok(body) = timeout(PATIENCE, read(&mut stream)).await else { return };
    let (answer, done) = match body {
        Ok(body) => ask(body, &requests).await,
        Err(error) => {
            (json!({ "ok": false, "message": format!("the request cannot be read: {error}") }), None)
        }
    };
    let text = format!("{answer}\n");
    // It takes many times the room of the text.
    drop(answer);
    let _ = timeout(PATIENCE, stream.write_all(text.as_bytes())).await;
    if let Some(done) = done {
        let _ = done.send(());
    }
}

/// Asks the daemon, from within; what is to be told when the answer is on its way, if anybody waits for that.
pub(super) async fn ask(
    request: Request,
    requests: &mpsc::Sender<(Request, Waiting)>,
) -> (Value, Option<oneshot::Sender<()>>) {
    let (reply, answer) = oneshot::channel();
    if requests.send((request, Waiting(reply))).await.is_ok()
        && let Ok((answer, done)) = answer.await
    {
        return (answer, Some(done));
    }
    let message =
        "the daemon is ending, or too many changes wait for the disk; nothing was confirmed, try again";
    (json!({ "ok": false, "system": true, "message": message }), None)
}

async fn read(stream: &mut UnixStream) -> io::Result<Request> {
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST as u64)).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

    /// Sends `command`, answers with more than a socket holds, and reads nothing until the daemon went on. How long that
    /// took, and the length of what the client could read then.
    async fn slow_client(command: &Request) -> (Duration, usize) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("control.sock");
        let (sender, mut requests) = mpsc::channel(16);
        let server = tokio::spawn(serve(listen(&path, None).unwrap(), sender));
        let mut client = UnixStream::connect(&path).await.unwrap();
        let line = serde_json::to_string(command).unwrap();
        client.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        let (request, waiting) = requests.recv().await.unwrap();
        let start = Instant::now();
        let answer = json!("x".repeat(4 << 20));
        if matches!(request, Request::Stop { .. }) {
            waiting.last_reply(answer).await;
        } else {
            waiting.reply(answer);
        }
        let waited = start.elapsed();
        let mut text = String::new();
        BufReader::new(client).read_line(&mut text).await.unwrap();
        server.abort();
        (waited, text.len())
    }

    #[tokio::test]
    async fn a_client_that_does_not_read_delays_nobody() {
        let (waited, read) = slow_client(&Request::Status { verify: false }).await;
        assert!(waited < Duration::from_millis(500), "the daemon waited {waited:?}");
        assert_eq!(read, (4 << 20) + 3, "the client gets its answer all the same");
    }

    #[tokio::test]
    async fn a_daemon_that_stops_waits_a_little() {
        let (waited, read) = slow_client(&Request::Stop { clean: false }).await;
        assert!((FAREWELL..PATIENCE).contains(&waited), "the daemon waited {waited:?}");
        assert_eq!(read, (4 << 20) + 3);
    }
}
