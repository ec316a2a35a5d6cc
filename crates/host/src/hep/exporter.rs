//! Copies of what the gate saw, for Homer and the like.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

use ::hep::Packet;
use policy::sensor::Hep;

use super::Password;
use crate::{Error, secret};

/// Sends copies by UDP. It never waits: what the kernel does not take at once is counted and gone.
#[derive(Debug)]
pub struct Exporter {
    socket: UdpSocket,
    capture_id: u32,
    password: Option<Password>,
    bytes: Vec<u8>,
    exported: Exported,
}

/// What became of the copies.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Exported {
    pub sent: u64,
    /// Too long for a datagram, or the kernel had no room, or nobody is there.
    pub lost: u64,
}

impl Exporter {
    /// What a policy asks for; `None` if it asks for nothing to be exported.
    ///
    /// # Errors
    /// When the password cannot be read, or there is no way to the receiver.
    pub fn load(hep: &Hep) -> Result<Option<Self>, Error> {
        let Some(to) = hep.export_to else { return Ok(None) };
        let password = hep.password.as_ref().map(secret::read).transpose()?.map(Password);
        Self::open(to, hep.capture_id, password).map(Some)
    }

    /// # Errors
    /// When there is no way to `to`.
    pub fn open(to: SocketAddr, capture_id: u32, password: Option<Password>) -> Result<Self, Error> {
        let any: IpAddr = match to {
            SocketAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
        };
        let failed = || Error::io("send to", to.to_string());
        let socket = UdpSocket::bind((any, 0)).map_err(failed())?;
        socket.set_nonblocking(true).map_err(failed())?;
        socket.connect(to).map_err(failed())?;
        Ok(Self { socket, capture_id, password, bytes: Vec::new(), exported: Exported::default() })
    }

    /// Sends a copy. Who we are and the password are filled in.
    pub fn send(&mut self, packet: &Packet<'_>) {
        self.bytes.clear();
        let auth_key = self.password.as_ref().map(|password| password.0.as_bytes());
        let packet = Packet { capture_id: Some(self.capture_id), auth_key, ..*packet };
        let sent = packet.write(&mut self.bytes).is_ok() && self.socket.send(&self.bytes).is_ok();
        self.exported.sent += u64::from(sent);
        self.exported.lost += u64::from(!sent);
    }

    pub fn exported(&self) -> Exported {
        self.exported
    }
}
