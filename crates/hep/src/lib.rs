//! HEP version 3 (EEP), the encapsulation that SIP servers send copies of their messages in.
//!
//! A packet is `HEP3`, a length, and chunks: vendor, type, length, value. [`Packet::parse`] borrows from the bytes and checks
//! every length; what other vendors add is skipped. [`Packet::write`] is the way back, [`Stream`] cuts TCP into packets.
//! [`Payload::bytes`] inflates what came compressed, up to a bound.
//!
//! Nothing in a packet is proved: whoever may send one may claim any address. Whoever receives has to know the sender.
#![forbid(unsafe_code)]

mod decode;
mod encode;
mod error;
pub mod fuzzing;
mod stream;

use std::borrow::Cow;
use std::net::SocketAddr;
use std::time::Duration;

pub use error::Error;
pub use stream::Stream;

/// How a packet begins.
const MAGIC: [u8; 4] = *b"HEP3";
/// With the length of the whole.
const HEAD: usize = 6;
/// Of a chunk: vendor, type, length.
const CHUNK_HEAD: usize = 6;
/// Bytes of an inflated payload. A SIP message over TCP may be as long.
pub const MAX_INFLATED: usize = 64 * 1024;
/// The port that receivers listen on, unless told another.
pub const PORT: u16 = 9060;

/// Chunk types of vendor 0.
mod kind {
    pub(crate) const FAMILY: u16 = 0x01;
    pub(crate) const IP_PROTOCOL: u16 = 0x02;
    pub(crate) const SOURCE_V4: u16 = 0x03;
    pub(crate) const DESTINATION_V4: u16 = 0x04;
    pub(crate) const SOURCE_V6: u16 = 0x05;
    pub(crate) const DESTINATION_V6: u16 = 0x06;
    pub(crate) const SOURCE_PORT: u16 = 0x07;
    pub(crate) const DESTINATION_PORT: u16 = 0x08;
    pub(crate) const SECONDS: u16 = 0x09;
    pub(crate) const MICROSECONDS: u16 = 0x0a;
    pub(crate) const CONTENT: u16 = 0x0b;
    pub(crate) const CAPTURE_ID: u16 = 0x0c;
    pub(crate) const KEEP_ALIVE: u16 = 0x0d;
    pub(crate) const AUTH_KEY: u16 = 0x0e;
    pub(crate) const PAYLOAD: u16 = 0x0f;
    pub(crate) const COMPRESSED: u16 = 0x10;
    pub(crate) const CORRELATION: u16 = 0x11;
    pub(crate) const VLAN: u16 = 0x12;
    pub(crate) const CAPTURE_NAME: u16 = 0x13;
}

/// What a packet carries.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Content(pub u8);

impl Content {
    pub const SIP: Self = Self(1);
    pub const SDP: Self = Self(3);
    pub const RTP: Self = Self(4);
    pub const RTCP: Self = Self(5);
    pub const LOG: Self = Self(100);
}

/// A copy of something that was sent.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Packet<'a> {
    /// As IP numbers them: 6 is TCP (TLS and WebSocket too), 17 UDP.
    pub ip_protocol: Option<u8>,
    pub source: Option<SocketAddr>,
    pub destination: Option<SocketAddr>,
    /// Since 1970, by the sender's clock.
    pub time: Option<Duration>,
    pub content: Content,
    /// Which agent captured it.
    pub capture_id: Option<u32>,
    /// Seconds.
    pub keep_alive: Option<u16>,
    /// A password, in clear.
    pub auth_key: Option<&'a [u8]>,
    pub payload: Payload<'a>,
    /// What packets of one call share: the Call-ID, mostly.
    pub correlation: Option<&'a [u8]>,
    pub vlan: Option<u16>,
    pub capture_name: Option<&'a [u8]>,
    /// Chunks of other vendors, and of types that are not known.
    pub skipped: u16,
}

/// What was copied.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum Payload<'a> {
    #[default]
    None,
    Plain(&'a [u8]),
    /// By zlib or gzip.
    Compressed(&'a [u8]),
}

impl<'a> Payload<'a> {
    /// The payload, inflated if need be: at most [`MAX_INFLATED`] bytes.
    ///
    /// # Errors
    /// [`Error::Inflate`] and [`Error::Inflated`].
    pub fn bytes(&self) -> Result<Cow<'a, [u8]>, Error> {
        match *self {
            Self::None => Ok(Cow::Borrowed(&[])),
            Self::Plain(bytes) => Ok(Cow::Borrowed(bytes)),
            Self::Compressed(bytes) => decode::inflate(bytes).map(Cow::Owned),
        }
    }
}

impl Packet<'_> {
    /// Whether it has this password. How long the answer takes does not tell how much of it was right.
    pub fn has_key(&self, key: &[u8]) -> bool {
        let Some(written) = self.auth_key else { return false };
        // Asterisk sends the letters, others a zero behind them.
        let written = written.strip_suffix(&[0]).unwrap_or(written);
        let differ = written.iter().zip(key).fold(0, |differ, (one, other)| differ | (one ^ other));
        written.len() == key.len() && differ == 0
    }
}

#[cfg(test)]
mod tests;
