//! A packet to bytes.

use std::net::{IpAddr, SocketAddr};

use crate::{CHUNK_HEAD, Error, HEAD, MAGIC, Packet, Payload, kind};

/// `AF_INET` and `AF_INET6` of Linux.
const FAMILY_V4: u8 = 2;
const FAMILY_V6: u8 = 10;

impl Packet<'_> {
    /// Appends the packet to `out`. What it skipped when it was read is not in it.
    ///
    /// # Errors
    /// [`Error::TooLong`] and [`Error::MixedFamilies`]; `out` is as it was then.
    pub fn write(&self, out: &mut Vec<u8>) -> Result<(), Error> {
        let begin = out.len();
        let mut writer = Writer { out };
        let written = writer.packet(self);
        let length = u16::try_from(out.len() - begin);
        match (written, length) {
            (Ok(()), Ok(length)) => {
                let place = out.get_mut(begin + MAGIC.len()..begin + HEAD).unwrap_or_default();
                for (to, from) in place.iter_mut().zip(length.to_be_bytes()) {
                    *to = from;
                }
                Ok(())
            }
            (Err(error), _) => {
                out.truncate(begin);
                Err(error)
            }
            (Ok(()), Err(_)) => {
                out.truncate(begin);
                Err(Error::TooLong)
            }
        }
    }
}

struct Writer<'o> {
    out: &'o mut Vec<u8>,
}

impl Writer<'_> {
    fn packet(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        self.out.extend(MAGIC);
        self.out.extend([0, 0]);
        self.addresses(packet)?;
        if let Some(protocol) = packet.ip_protocol {
            self.chunk(kind::IP_PROTOCOL, &[protocol])?;
        }
        if let Some(time) = packet.time {
            // 2106 is the end of this field.
            let seconds = u32::try_from(time.as_secs()).unwrap_or(u32::MAX);
            self.chunk(kind::SECONDS, &seconds.to_be_bytes())?;
            self.chunk(kind::MICROSECONDS, &time.subsec_micros().to_be_bytes())?;
        }
        self.chunk(kind::CONTENT, &[packet.content.0])?;
        if let Some(id) = packet.capture_id {
            self.chunk(kind::CAPTURE_ID, &id.to_be_bytes())?;
        }
        if let Some(seconds) = packet.keep_alive {
            self.chunk(kind::KEEP_ALIVE, &seconds.to_be_bytes())?;
        }
        if let Some(vlan) = packet.vlan {
            self.chunk(kind::VLAN, &vlan.to_be_bytes())?;
        }
        let texts = [
            (kind::AUTH_KEY, packet.auth_key),
            (kind::CORRELATION, packet.correlation),
            (kind::CAPTURE_NAME, packet.capture_name),
        ];
        for (kind, text) in texts {
            if let Some(text) = text {
                self.chunk(kind, text)?;
            }
        }
        match packet.payload {
            Payload::None => Ok(()),
            Payload::Plain(bytes) => self.chunk(kind::PAYLOAD, bytes),
            Payload::Compressed(bytes) => self.chunk(kind::COMPRESSED, bytes),
        }
    }

    fn addresses(&mut self, packet: &Packet<'_>) -> Result<(), Error> {
        let (source, destination) = match (packet.source, packet.destination) {
            (Some(source), Some(destination)) => (source, destination),
            (None, None) => return Ok(()),
            (Some(_), None) | (None, Some(_)) => return Err(Error::MixedFamilies),
        };
        match (source.ip(), destination.ip()) {
            (IpAddr::V4(from), IpAddr::V4(to)) => {
                self.chunk(kind::FAMILY, &[FAMILY_V4])?;
                self.chunk(kind::SOURCE_V4, &from.octets())?;
                self.chunk(kind::DESTINATION_V4, &to.octets())?;
            }
            (IpAddr::V6(from), IpAddr::V6(to)) => {
                self.chunk(kind::FAMILY, &[FAMILY_V6])?;
                self.chunk(kind::SOURCE_V6, &from.octets())?;
                self.chunk(kind::DESTINATION_V6, &to.octets())?;
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => {
                return Err(Error::MixedFamilies);
            }
        }
        let port = |socket: SocketAddr| socket.port().to_be_bytes();
        self.chunk(kind::SOURCE_PORT, &port(source))?;
        self.chunk(kind::DESTINATION_PORT, &port(destination))
    }

    fn chunk(&mut self, kind: u16, value: &[u8]) -> Result<(), Error> {
        let length = value.len().checked_add(CHUNK_HEAD).and_then(|length| u16::try_from(length).ok());
        let length = length.ok_or(Error::TooLong)?;
        self.out.extend([0, 0]);
        self.out.extend(kind.to_be_bytes());
        self.out.extend(length.to_be_bytes());
        self.out.extend(value);
        Ok(())
    }
}
