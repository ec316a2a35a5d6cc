//! Bytes to a packet.

use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use crate::{CHUNK_HEAD, Content, Error, HEAD, MAGIC, MAX_INFLATED, Packet, Payload, kind};

/// Vendor 0: the types that everybody knows.
const GENERIC: u16 = 0;

impl<'a> Packet<'a> {
    /// Reads a packet. Everything in it has to add up, and nothing may follow.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(bytes: &'a [u8]) -> Result<Self, Error> {
        let claimed = claimed_length(bytes)?.ok_or(Error::NotHep)?;
        if claimed != bytes.len() {
            return Err(Error::Length { claimed, length: bytes.len() });
        }
        let mut reader = Reader { rest: bytes.get(HEAD..).unwrap_or_default() };
        let mut found = Found::default();
        while let Some(chunk) = reader.chunk()? {
            found.take(chunk)?;
        }
        found.finish()
    }
}

/// How long a packet says it is. `None`: that is not known yet.
pub(crate) fn claimed_length(bytes: &[u8]) -> Result<Option<usize>, Error> {
    if bytes.iter().zip(MAGIC).any(|(one, other)| *one != other) {
        return Err(match bytes.first() {
            Some(&version @ (1 | 2)) => Error::OldVersion(version),
            Some(_) | None => Error::NotHep,
        });
    }
    let Some(&[_, _, _, _, high, low]) = bytes.first_chunk::<HEAD>() else { return Ok(None) };
    let claimed = usize::from(u16::from_be_bytes([high, low]));
    if claimed < HEAD {
        return Err(Error::Length { claimed, length: bytes.len() });
    }
    Ok(Some(claimed))
}

/// At most [`MAX_INFLATED`] bytes, and one more to see that there are more.
pub(crate) fn inflate(bytes: &[u8]) -> Result<Vec<u8>, Error> {
    let mut inflated = Vec::new();
    let most = MAX_INFLATED as u64 + 1;
    let read = match bytes {
        [0x1f, 0x8b, ..] => flate2::read::GzDecoder::new(bytes).take(most).read_to_end(&mut inflated),
        _ => flate2::read::ZlibDecoder::new(bytes).take(most).read_to_end(&mut inflated),
    };
    if inflated.len() > MAX_INFLATED {
        return Err(Error::Inflated);
    }
    match read {
        Ok(_) => Ok(inflated),
        Err(_) => Err(Error::Inflate),
    }
}

#[derive(Clone, Copy, Debug)]
struct Chunk<'a> {
    vendor: u16,
    kind: u16,
    value: &'a [u8],
}

impl Chunk<'_> {
    fn array<const N: usize>(&self) -> Result<[u8; N], Error> {
        let wrong = Error::ChunkSize { kind: self.kind, length: self.value.len() };
        self.value.first_chunk::<N>().filter(|_| self.value.len() == N).copied().ok_or(wrong)
    }
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// The next chunk; `None` at the end.
    fn chunk(&mut self) -> Result<Option<Chunk<'a>>, Error> {
        if self.rest.is_empty() {
            return Ok(None);
        }
        let room = self.rest.len();
        let Some(&[a, b, c, d, e, f]) = self.rest.first_chunk::<CHUNK_HEAD>() else {
            return Err(Error::ChunkLength { kind: 0, claimed: CHUNK_HEAD, room });
        };
        let kind = u16::from_be_bytes([c, d]);
        let claimed = usize::from(u16::from_be_bytes([e, f]));
        let wrong = Error::ChunkLength { kind, claimed, room };
        let (chunk, rest) = self.rest.split_at_checked(claimed).ok_or(wrong)?;
        let value = chunk.get(CHUNK_HEAD..).ok_or(wrong)?;
        self.rest = rest;
        Ok(Some(Chunk { vendor: u16::from_be_bytes([a, b]), kind, value }))
    }
}

/// What the chunks have said so far.
#[derive(Default)]
struct Found<'a> {
    packet: Packet<'a>,
    /// A bit for each type that was there.
    seen: u32,
    v4: [Option<Ipv4Addr>; 2],
    v6: [Option<Ipv6Addr>; 2],
    ports: [Option<u16>; 2],
    seconds: Option<u32>,
    micros: Option<u32>,
}

impl<'a> Found<'a> {
    fn take(&mut self, chunk: Chunk<'a>) -> Result<(), Error> {
        if chunk.vendor != GENERIC || !(kind::FAMILY..=kind::CAPTURE_NAME).contains(&chunk.kind) {
            self.packet.skipped = self.packet.skipped.saturating_add(1);
            return Ok(());
        }
        let bit = 1_u32 << chunk.kind;
        if self.seen & bit != 0 {
            return Err(Error::ChunkTwice { kind: chunk.kind });
        }
        self.seen |= bit;
        let short = |chunk: Chunk<'_>| chunk.array().map(u16::from_be_bytes);
        let long = |chunk: Chunk<'_>| chunk.array().map(u32::from_be_bytes);
        let [source_v4, destination_v4] = &mut self.v4;
        let [source_v6, destination_v6] = &mut self.v6;
        let [source_port, destination_port] = &mut self.ports;
        let packet = &mut self.packet;
        match chunk.kind {
            // Systems number the families differently; the addresses say which it is.
            kind::FAMILY => {
                chunk.array::<1>()?;
            }
            kind::IP_PROTOCOL => packet.ip_protocol = Some(u8::from_be_bytes(chunk.array()?)),
            kind::SOURCE_V4 => *source_v4 = Some(Ipv4Addr::from(chunk.array::<4>()?)),
            kind::DESTINATION_V4 => *destination_v4 = Some(Ipv4Addr::from(chunk.array::<4>()?)),
            kind::SOURCE_V6 => *source_v6 = Some(Ipv6Addr::from(chunk.array::<16>()?)),
            kind::DESTINATION_V6 => *destination_v6 = Some(Ipv6Addr::from(chunk.array::<16>()?)),
            kind::SOURCE_PORT => *source_port = Some(short(chunk)?),
            kind::DESTINATION_PORT => *destination_port = Some(short(chunk)?),
            kind::SECONDS => self.seconds = Some(long(chunk)?),
            kind::MICROSECONDS => self.micros = Some(long(chunk)?),
            kind::CONTENT => packet.content = Content(u8::from_be_bytes(chunk.array()?)),
            kind::CAPTURE_ID => packet.capture_id = Some(long(chunk)?),
            kind::KEEP_ALIVE => packet.keep_alive = Some(short(chunk)?),
            kind::AUTH_KEY => packet.auth_key = Some(chunk.value),
            kind::PAYLOAD | kind::COMPRESSED if packet.payload != Payload::None => {
                return Err(Error::ChunkTwice { kind: chunk.kind });
            }
            kind::PAYLOAD => packet.payload = Payload::Plain(chunk.value),
            kind::COMPRESSED => packet.payload = Payload::Compressed(chunk.value),
            kind::CORRELATION => packet.correlation = Some(chunk.value),
            kind::VLAN => packet.vlan = Some(short(chunk)?),
            _ => packet.capture_name = Some(chunk.value),
        }
        Ok(())
    }

    fn finish(mut self) -> Result<Packet<'a>, Error> {
        let [source, destination] = match (self.v4, self.v6) {
            ([Some(source), Some(destination)], [None, None]) => {
                [source, destination].map(|address| Some(IpAddr::V4(address)))
            }
            ([None, None], [Some(source), Some(destination)]) => {
                [source, destination].map(|address| Some(address.to_canonical()))
            }
            ([None, None], [None, None]) => [None, None],
            _ => return Err(Error::MixedFamilies),
        };
        let [source_port, destination_port] = self.ports.map(Option::unwrap_or_default);
        self.packet.source = source.map(|address| SocketAddr::new(address, source_port));
        self.packet.destination = destination.map(|address| SocketAddr::new(address, destination_port));
        let micros = self.micros.unwrap_or(0).min(999_999);
        self.packet.time = self
            .seconds
            .map(|seconds| Duration::from_secs(seconds.into()) + Duration::from_micros(micros.into()));
        Ok(self.packet)
    }
}
