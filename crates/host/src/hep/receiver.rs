//! Datagrams and connections, and who may send what.

use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use ::hep::{Content, Packet, Stream};
use policy::ruleset::Network;
use tokio::io::AsyncReadExt as _;
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::{Copied, Counts, Password, Status};

/// Connections at a time.
const MOST_CONNECTIONS: usize = 32;
/// A connection that says nothing for so long is closed; senders make another.
const IDLE: Duration = Duration::from_secs(15 * 60);
/// The longest datagram there is.
const DATAGRAM: usize = 65_535;
/// Bytes of a connection that are read at once.
const PIECE: usize = 16 * 1024;

/// Decides what is passed on.
#[derive(Debug)]
pub(super) struct Taker {
    pub(super) senders: Vec<Network>,
    pub(super) password: Option<Password>,
    pub(super) copies: mpsc::Sender<Copied>,
    pub(super) status: Arc<Mutex<Status>>,
}

pub(super) async fn datagrams(socket: UdpSocket, taker: Arc<Taker>) {
    let mut buffer = vec![0; DATAGRAM];
    while !taker.copies.is_closed() {
        match socket.recv_from(&mut buffer).await {
            Ok((length, from)) => {
                let from = from.ip().to_canonical();
                if taker.is_sender(from) {
                    taker.packet(from, buffer.get(..length).unwrap_or_default());
                }
            }
            // Nothing that lasts; but if it does, it must not take all time there is.
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
        tokio::task::yield_now().await;
    }
}

pub(super) async fn connections(listener: TcpListener, taker: Arc<Taker>) {
    let mut open = JoinSet::new();
    while !taker.copies.is_closed() {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = open.join_next() => {
                taker.change(|status| status.connections = open.len());
                continue;
            }
        };
        match accepted {
            Ok((stream, from)) => {
                let from = from.ip().to_canonical();
                if !taker.is_sender(from) {
                    continue;
                }
                if open.len() >= MOST_CONNECTIONS {
                    taker.trouble(from, "has too many connections", |counts| &mut counts.turned_away);
                    continue;
                }
                open.spawn(connection(stream, from, Arc::clone(&taker)));
                taker.change(|status| status.connections = open.len());
            }
            Err(_) => sleep(Duration::from_millis(100)).await,
        }
    }
}

async fn connection(mut stream: TcpStream, from: IpAddr, taker: Arc<Taker>) {
    let mut piece = vec![0; PIECE];
    let mut packets = Stream::default();
    while let Ok(Ok(length @ 1..)) = timeout(IDLE, stream.read(&mut piece)).await {
        let mut bytes = piece.get(..length).unwrap_or_default();
        loop {
            match packets.take(&mut bytes) {
                Ok(Some(packet)) => taker.packet(from, &packet),
                Ok(None) => break,
                // It is not known where the next packet begins.
                Err(error) => {
                    taker.trouble(from, &error.to_string(), |counts| &mut counts.broken);
                    return;
                }
            }
        }
        tokio::task::yield_now().await;
    }
}

impl Taker {
    pub(super) fn change(&self, change: impl FnOnce(&mut Status)) {
        change(&mut self.status.lock().unwrap_or_else(PoisonError::into_inner));
    }

    fn trouble(&self, from: IpAddr, what: &str, count: impl FnOnce(&mut Counts) -> &mut u64) {
        self.change(|status| {
            *count(&mut status.counts) += 1;
            status.last_trouble = Some((from, what.to_owned()));
        });
    }

    fn is_sender(&self, from: IpAddr) -> bool {
        let is_sender = self.senders.iter().any(|network| network.contains(from));
        if !is_sender {
            self.trouble(from, "is none of `senders`", |counts| &mut counts.foreign);
        }
        is_sender
    }

    fn packet(&self, from: IpAddr, bytes: &[u8]) {
        let packet = match Packet::parse(bytes) {
            Ok(packet) => packet,
            Err(error) => return self.trouble(from, &error.to_string(), |counts| &mut counts.broken),
        };
        if self.password.as_ref().is_some_and(|password| !packet.has_key(password.0.as_bytes())) {
            return self.trouble(from, "has not the password", |counts| &mut counts.wrong_key);
        }
        if packet.content != Content::SIP {
            return self.change(|status| status.counts.other += 1);
        }
        let (Some(source), Some(destination)) = (packet.source, packet.destination) else {
            return self.trouble(from, "sends SIP without addresses", |counts| &mut counts.broken);
        };
        let payload = match packet.payload.bytes() {
            Ok(payload) => payload.into_owned(),
            Err(error) => return self.trouble(from, &error.to_string(), |counts| &mut counts.broken),
        };
        let passed = self.copies.try_send(Copied {
            sender: from,
            capture_id: packet.capture_id,
            ip_protocol: packet.ip_protocol.unwrap_or_default(),
            source,
            destination,
            time: packet.time,
            payload,
        });
        self.change(|status| match passed {
            Ok(()) => status.counts.taken += 1,
            Err(_) => status.counts.lost += 1,
        });
    }
}
