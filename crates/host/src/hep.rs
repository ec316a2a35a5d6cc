//! Copies of SIP messages: received from others, and sent to others.
//!
//! Whoever may send copies can testify against anybody, so they are taken only from the senders that the policy names, and only
//! with its password if it has one. Everything else is counted, and the last of it can be seen in `Status`.

mod exporter;
mod receiver;

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use policy::ruleset::Network;
use policy::sensor::Hep;
use tokio::net::{TcpListener, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub use self::exporter::{Exported, Exporter};
use crate::{Error, secret};

/// Where to listen, and to whom. Two are equal if the password is, too.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Config {
    pub listen: Vec<SocketAddr>,
    pub udp: bool,
    pub tcp: bool,
    pub senders: Vec<Network>,
    pub password: Option<Password>,
}

/// What each copy has to have. It is shown to nobody.
#[derive(Clone, Eq, PartialEq)]
pub struct Password(String);

impl Password {
    pub fn new(text: String) -> Self {
        Self(text)
    }
}

impl std::fmt::Debug for Password {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Password(…)")
    }
}

impl Config {
    /// What a policy says, with the file that it names.
    ///
    /// # Errors
    /// When the password cannot be read.
    pub fn load(hep: &Hep) -> Result<Self, Error> {
        let password = hep.password.as_ref().map(secret::read).transpose()?.map(Password);
        let Hep { listen, udp, tcp, senders, .. } = hep.clone();
        Ok(Self { listen, udp, tcp, senders, password })
    }
}

/// A SIP message that somebody else saw.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Copied {
    /// Who sent the copy.
    pub sender: IpAddr,
    /// By whom it was captured, in the sender's own numbers.
    pub capture_id: Option<u32>,
    /// 6 for TCP (TLS and WebSocket too), 17 for UDP.
    pub ip_protocol: u8,
    pub source: SocketAddr,
    pub destination: SocketAddr,
    /// Since 1970, by the sender's clock.
    pub time: Option<Duration>,
    /// The message, inflated if it came compressed.
    pub payload: Vec<u8>,
}

/// What came, by what became of it.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    /// Passed on.
    pub taken: u64,
    /// Not passed on, as nobody took them in time.
    pub lost: u64,
    /// From addresses that are no sender's: datagrams and connections.
    pub foreign: u64,
    /// Without the password, or with a wrong one.
    pub wrong_key: u64,
    /// No HEP version 3, or not in order.
    pub broken: u64,
    /// No SIP: RTCP, logs and the like.
    pub other: u64,
    /// Connections beyond those that there is room for.
    pub turned_away: u64,
}

impl Counts {
    /// Each with its name, for whoever shows them.
    pub const fn named(&self) -> [(&'static str, u64); 7] {
        [
            ("taken", self.taken),
            ("lost", self.lost),
            ("foreign", self.foreign),
            ("wrong-key", self.wrong_key),
            ("broken", self.broken),
            ("other", self.other),
            ("turned-away", self.turned_away),
        ]
    }
}

/// What came, and what was wrong with the last that was not taken.
#[derive(Clone, Debug, Default)]
pub struct Status {
    pub counts: Counts,
    pub last_trouble: Option<(IpAddr, String)>,
    /// TCP connections there are.
    pub connections: usize,
}

/// Listens as long as this lives.
#[derive(Debug)]
pub struct Receiver {
    config: Config,
    status: Arc<Mutex<Status>>,
    tasks: Vec<JoinHandle<()>>,
    listening: Vec<SocketAddr>,
}

impl Receiver {
    pub fn status(&self) -> Status {
        self.status.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Where it listens: UDP first, then TCP, each in the order of the policy.
    pub fn listening(&self) -> &[SocketAddr] {
        &self.listening
    }
}

impl Receiver {
    /// Whether it is as this would make it. The policy may be what it was, and the file of the password another.
    pub fn follows(&self, config: &Config) -> bool {
        self.config == *config
    }

    /// Ends it, and returns when its addresses are free.
    pub async fn close(mut self) {
        for task in std::mem::take(&mut self.tasks) {
            task.abort();
            // That it was ended is no news.
            drop(task.await);
        }
    }
}

impl Drop for Receiver {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Listens on the runtime that calls. What is copied goes into `copies` without ever waiting for room in it.
///
/// # Errors
/// When an address cannot be listened at.
pub async fn spawn(config: &Config, copies: mpsc::Sender<Copied>) -> Result<Receiver, Error> {
    let status = Arc::new(Mutex::new(Status::default()));
    let taker = Arc::new(receiver::Taker {
        senders: config.senders.clone(),
        password: config.password.clone(),
        copies,
        status: Arc::clone(&status),
    });
    let (config, tasks, listening) = (config.clone(), Vec::new(), Vec::new());
    let mut receiver = Receiver { config, status, tasks, listening };
    for address in receiver.config.listen.iter().filter(|_| receiver.config.udp) {
        let socket = udp(address).await.map_err(Error::io("listen at", address.to_string()))?;
        receiver.listening.push(socket.local_addr().unwrap_or(*address));
        receiver.tasks.push(tokio::spawn(receiver::datagrams(socket, Arc::clone(&taker))));
    }
    for address in receiver.config.listen.iter().filter(|_| receiver.config.tcp) {
        let listener =
            TcpListener::bind(address).await.map_err(Error::io("listen at", address.to_string()))?;
        receiver.listening.push(listener.local_addr().unwrap_or(*address));
        receiver.tasks.push(tokio::spawn(receiver::connections(listener, Arc::clone(&taker))));
    }
    Ok(receiver)
}

async fn udp(address: &SocketAddr) -> io::Result<UdpSocket> {
    let socket = UdpSocket::bind(address).await?;
    // Best effort: the kernel's usual buffer holds some hundred messages.
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 1 << 20).ok();
    Ok(socket)
}

#[cfg(test)]
mod tests;
