//! Metrics for Prometheus: where they are served, and what a scrape costs. The status is collected at most once a second, by the
//! way of every other request, so whoever scrapes more often reads the same again.

/// One connection.
mod http;

use std::io;
use std::net::{SocketAddr, TcpListener as StdListener};
use std::sync::Arc;
use std::time::{Duration, Instant};

use ::metrics::Format;
use policy::watch::Metrics;
use rustix::net::{AddressFamily, SocketFlags, SocketType, sockopt};
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::{Mutex, Semaphore, mpsc};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::server::{self, Waiting};
use crate::exit::Exit;
use crate::request::Request;

/// Clients at a time.
const MAX_CLIENTS: usize = 8;
/// Clients that wait for one of these to go.
const BACKLOG: i32 = 16;
/// How long what was collected is served.
const FRESH: Duration = Duration::from_secs(1);
/// How long the daemon may take to collect: a little less than Prometheus waits.
const PATIENCE: Duration = Duration::from_secs(9);

/// What asks the daemon.
pub(super) type Requests = mpsc::Sender<(Request, Waiting)>;

/// Where metrics are served now.
#[derive(Debug, Default)]
pub(super) struct Exposition {
    served: Option<(Metrics, JoinHandle<()>)>,
    requests: Option<Requests>,
}

/// Where they are to be served next.
#[derive(Debug, Default)]
pub(super) enum Next {
    #[default]
    Nowhere,
    /// As before.
    Same,
    There(Metrics, StdListener),
}

impl Exposition {
    /// Takes the address that a policy asks for, beside the one that is served now.
    ///
    /// # Errors
    ///
    /// [`Exit::System`] if it cannot be had.
    pub(super) fn prepare(wanted: Option<&Metrics>, now: Option<&Metrics>) -> Result<Next, Exit> {
        let Some(wanted) = wanted else { return Ok(Next::Nowhere) };
        if now == Some(wanted) {
            return Ok(Next::Same);
        }
        let listener = listen(wanted.listen).map_err(|error| {
            let is = |kind: io::ErrorKind| error.kind() == kind;
            let help = if is(io::ErrorKind::AddrInUse) {
                ": another program has this port; write another one as `listen` in `[metrics]`"
            } else if is(io::ErrorKind::AddrNotAvailable) {
                ": this host has no such address"
            } else if is(io::ErrorKind::PermissionDenied) {
                ": ports below 1024 are not for the daemon"
            } else {
                ""
            };
            Exit::System(format!("cannot serve metrics at {}: {error}{help}", wanted.listen))
        })?;
        Ok(Next::There(wanted.clone(), listener))
    }

    /// What is served now.
    pub(super) fn config(&self) -> Option<&Metrics> {
        self.served.as_ref().map(|(config, _)| config)
    }

    /// Serves for the first time.
    pub(super) async fn follow(&mut self, next: Next, requests: &Requests) {
        self.requests = Some(requests.clone());
        self.change(next).await;
    }

    /// Serves there, and nowhere else any more.
    pub(super) async fn change(&mut self, next: Next) {
        if matches!(next, Next::Same) {
            return;
        }
        if let Some((_, before)) = self.served.take() {
            before.abort();
            // It gives its address back first.
            let _ = before.await;
        }
        if let (Next::There(config, listener), Some(requests)) = (next, &self.requests) {
            let served = tokio::spawn(serve(listener, config.clone(), Source::new(requests.clone())));
            self.served = Some((config, served));
        }
    }
}

/// A socket that another of ours may stand beside: a reload takes the new address before it gives the old one back, and the new
/// one may be the old one with more interfaces.
fn listen(address: SocketAddr) -> io::Result<StdListener> {
    let family = if address.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(family, SocketType::STREAM, flags, None)?;
    sockopt::set_socket_reuseaddr(&socket, true)?;
    sockopt::set_socket_reuseport(&socket, true)?;
    rustix::net::bind(&socket, &address)?;
    rustix::net::listen(&socket, BACKLOG)?;
    Ok(socket.into())
}

async fn serve(listener: StdListener, config: Metrics, source: Source) {
    let Ok(listener) = TcpListener::from_std(listener) else { return };
    let (places, source) = (Arc::new(Semaphore::new(MAX_CLIENTS)), Arc::new(source));
    loop {
        // More wait outside.
        let Ok(place) = Arc::clone(&places).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, peer)) => {
                let peer = peer.ip().to_canonical();
                if !config.allow.iter().any(|network| network.contains(peer)) {
                    continue;
                }
                let source = Arc::clone(&source);
                tokio::spawn(async move {
                    http::connection(stream, source).await;
                    drop(place);
                });
            }
            // Out of descriptors, most likely: wait instead of turning in circles.
            Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
        }
    }
}

/// Where the metrics come from.
#[derive(Debug)]
struct Source {
    requests: Requests,
    /// What was collected last. Whoever comes while it is being collected waits for it.
    last: Mutex<Option<(Instant, Value)>>,
}

impl Source {
    fn new(requests: Requests) -> Self {
        Self { requests, last: Mutex::new(None) }
    }

    /// The metrics as text; `None` if the daemon has no answer.
    async fn text(&self, format: Format) -> Option<String> {
        let mut last = self.last.lock().await;
        if let Some((_, status)) = last.as_ref().filter(|(time, _)| time.elapsed() < FRESH) {
            return Some(::metrics::text(status, format));
        }
        // What is old is not told again.
        *last = None;
        let begin = Instant::now();
        let request = Request::Status { verify: false };
        let (mut status, _) = timeout(PATIENCE, server::ask(request, &self.requests)).await.ok()?;
        if status.get("ok") == Some(&Value::Bool(false)) {
            return None;
        }
        if let Some(object) = status.as_object_mut() {
            object.insert("collected_in".to_owned(), json!(begin.elapsed().as_secs_f64()));
        }
        let text = ::metrics::text(&status, format);
        *last = Some((begin, status));
        Some(text)
    }
}

#[cfg(test)]
mod tests;
