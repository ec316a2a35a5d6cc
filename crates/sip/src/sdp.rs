//! Session descriptions, as far as media addresses and fingerprints need them (RFC 8866).

use crate::anomaly::{Anomalies, Anomaly};
use crate::number::Number;
use crate::text::find;

/// Media lines that are kept, at most.
pub const MAX_MEDIA: usize = 8;
/// A media line longer than this without a blank is no description of anything.
const LONG_MEDIA: usize = 256;

/// What a description says.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Sdp<'a> {
    /// `o=`: the first word.
    pub origin_user: &'a [u8],
    /// `s=`
    pub session_name: &'a [u8],
    /// `c=` before the media lines: the address.
    pub connection: Option<&'a [u8]>,
    media: [Media<'a>; MAX_MEDIA],
    count: usize,
}

/// One `m=` line, with its own `c=` if it has one.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Media<'a> {
    /// `audio`, `video`, …
    pub kind: &'a [u8],
    /// 0 when the stream is refused.
    pub port: u16,
    pub protocol: &'a [u8],
    pub connection: Option<&'a [u8]>,
}

impl<'a> Sdp<'a> {
    /// Reads a description; lines that are none are skipped.
    #[must_use]
    pub fn parse(body: &'a [u8], anomalies: &mut Anomalies) -> Self {
        let mut read = Self::default();
        let mut begin = 0;
        for end in memchr::memchr_iter(b'\n', body).chain([body.len()]) {
            let line = body.get(begin..end).unwrap_or_default();
            begin = end + 1;
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            let &[kind, b'=', ref value @ ..] = line else {
                anomalies.note(!line.is_empty(), Anomaly::SdpInvalid);
                continue;
            };
            match kind {
                b'c' => read.set_connection(value, anomalies),
                b'm' => read.add_media(value, anomalies),
                b'o' => read.origin_user = first_word(value).0,
                b's' => read.session_name = value,
                _ => {}
            }
        }
        read
    }

    /// The media lines, in order, at most [`MAX_MEDIA`].
    #[must_use]
    pub fn media(&self) -> &[Media<'a>] {
        self.media.get(..self.count).unwrap_or_default()
    }

    /// `IN IP4 192.0.2.1/127`
    fn set_connection(&mut self, value: &'a [u8], anomalies: &mut Anomalies) {
        let address = first_word(first_word(first_word(value).1).1).0;
        let address = address.get(..find(b'/', address).unwrap_or(address.len())).unwrap_or(address);
        anomalies.note(address.is_empty(), Anomaly::SdpInvalid);
        let address = (!address.is_empty()).then_some(address);
        match self.count.checked_sub(1).and_then(|last| self.media.get_mut(last)) {
            Some(media) => media.connection = address,
            None => self.connection = address,
        }
    }

    /// `audio 49170/2 RTP/AVP 0 8`
    fn add_media(&mut self, value: &'a [u8], anomalies: &mut Anomalies) {
        let (kind, rest) = first_word(value);
        let (port, rest) = first_word(rest);
        let (protocol, _) = first_word(rest);
        let too_long = [kind, port, protocol].iter().any(|word| word.len() > LONG_MEDIA);
        anomalies.note(too_long, Anomaly::SdpMediaTooLong);
        let port = port.get(..find(b'/', port).unwrap_or(port.len())).unwrap_or(port);
        let number = Number::read(port).up_to(u64::from(u16::MAX)).and_then(|port| u16::try_from(port).ok());
        anomalies.note(number.is_none() || protocol.is_empty(), Anomaly::SdpInvalid);
        if let Some(slot) = self.media.get_mut(self.count) {
            *slot = Media { kind, port: number.unwrap_or(0), protocol, connection: None };
            self.count += 1;
        }
    }
}

fn first_word(text: &[u8]) -> (&[u8], &[u8]) {
    let end = find(b' ', text).unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end).unwrap_or((text, &[]));
    (word, rest.get(1..).unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn media_addresses_are_found() {
        let body = b"v=0\r\no=carol 1 1 IN IP4 a\r\ns=-\r\nc=IN IP4 192.0.2.4/127\r\nt=0 0\r\n\
            m=audio 49217/2 RTP/AVP 0 12\r\nm=video 0 RTP/AVP 31\r\nc=IN IP6 2001:db8::1\r\n";
        let mut anomalies = Anomalies::NONE;
        let sdp = Sdp::parse(body, &mut anomalies);
        assert_eq!((sdp.origin_user, sdp.session_name), (b"carol".as_slice(), b"-".as_slice()));
        assert_eq!(sdp.connection, Some(b"192.0.2.4".as_slice()));
        let [audio, video] = sdp.media() else { panic!("two media lines") };
        assert_eq!((audio.kind, audio.port, audio.connection), (b"audio".as_slice(), 49217, None));
        assert_eq!((video.port, video.connection), (0, Some(b"2001:db8::1".as_slice())));
        assert!(anomalies.is_empty());
    }

    #[test]
    fn an_overlong_media_line_is_an_attack() {
        let body = [b"m=audio ".as_slice(), &[b'a'; 300], b" RTP/AVP 0\r\n"].concat();
        let mut anomalies = Anomalies::NONE;
        let _ = Sdp::parse(&body, &mut anomalies);
        assert_eq!(anomalies.to_string(), "sdp-invalid, sdp-media-too-long");
    }
}
