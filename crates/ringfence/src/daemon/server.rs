//! The control socket's server: each connection is one request; a slow or mad client delays nobody but itself.

use std::fs::{self, Permissions};
use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::UnixListener as StdListener;
use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;

use super::control::MAX_REQUEST;
use crate::exit::Exit;

/// How long a client may take for its request, and for taking its answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// One request, and where its answer goes.
#[derive(Debug)]
pub(crate) struct Request {
    pub(crate) body: Value,
    reply: oneshot::Sender<(Value, oneshot::Sender<()>)>,
}

impl Request {
    /// Sends the answer and waits until it is on its way, so that a daemon that stops has said so.
    pub(crate) async fn answer(self, answer: Value) {
        let (done, written) = oneshot::channel();
        if self.reply.send((answer, done)).is_ok() {
            let _ = timeout(PATIENCE, written).await;
        }
    }
}

/// Opens the socket for root alone. What a dead daemon left is replaced; the caller holds the instance's lock.
pub(crate) fn listen(path: &Path) -> Result<StdListener, Exit> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(Exit::io("replace", path)(error));
        }
        Ok(()) | Err(_) => {}
    }
    let listener = StdListener::bind(path).map_err(Exit::io("listen on", path))?;
    fs::set_permissions(path, Permissions::from_mode(0o600)).map_err(Exit::io("protect", path))?;
    listener.set_nonblocking(true).map_err(Exit::io("listen on", path))?;
    Ok(listener)
}

/// Takes connections until the daemon ends.
pub(crate) async fn serve(listener: StdListener, requests: mpsc::Sender<Request>) {
    let Ok(listener) = UnixListener::from_std(listener) else { return };
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                tokio::spawn(connection(stream, requests.clone()));
            }
            // Out of descriptors, most likely: wait instead of turning in circles.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(mut stream: UnixStream, requests: mpsc::Sender<Request>) {
    let Ok(body) = timeout(PATIENCE, read(&mut stream)).await else { return };
    let (answer, done) = match body {
        Ok(body) => ask(body, &requests).await,
        Err(error) => {
            (json!({ "ok": false, "message": format!("the request cannot be read: {error}") }), None)
        }
    };
    let _ = timeout(PATIENCE, stream.write_all(format!("{answer}\n").as_bytes())).await;
    if let Some(done) = done {
        let _ = done.send(());
    }
}

async fn ask(body: Value, requests: &mpsc::Sender<Request>) -> (Value, Option<oneshot::Sender<()>>) {
    let (reply, answer) = oneshot::channel();
    if requests.send(Request { body, reply }).await.is_ok()
        && let Ok((answer, done)) = answer.await
    {
        return (answer, Some(done));
    }
    (json!({ "ok": false, "message": "the daemon is ending" }), None)
}

async fn read(stream: &mut UnixStream) -> io::Result<Value> {
    let mut line = String::new();
    BufReader::new(stream.take(MAX_REQUEST as u64)).read_line(&mut line).await?;
    Ok(serde_json::from_str(&line)?)
}
