//! What a datagram on a SIP port is: most are keep-alives, and no error.

/// Keep-alives of RFC 5626 and of devices that invent their own.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum KeepAlive {
    /// CR and LF only: a ping is two pairs, a pong one (RFC 5626 section 3.5.1).
    Crlf,
    /// No byte at all.
    Empty,
    /// A STUN message (RFC 5389 section 6; RFC 5626 section 3.5.2).
    Stun,
    /// Zeros, blanks or a few letters without a line, as phones send to keep a NAT binding.
    Filler,
}

/// What bytes are before anybody parses them.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Payload<'a> {
    KeepAlive(KeepAlive),
    /// Perhaps a message, without the line ends before it (RFC 3261 section 7.5).
    Message(&'a [u8]),
}

const STUN_COOKIE: [u8; 4] = [0x21, 0x12, 0xa4, 0x42];
/// Shorter than any request line.
const SHORTEST_MESSAGE: usize = 8;

/// Tells keep-alives from messages.
#[must_use]
pub fn classify(bytes: &[u8]) -> Payload<'_> {
    let is_line_end = |byte: u8| byte == b'\r' || byte == b'\n';
    let message = match bytes.first() {
        Some(&first) if is_line_end(first) => {
            let lines = bytes.iter().take_while(|&&byte| is_line_end(byte)).count();
            bytes.get(lines..).unwrap_or_default()
        }
        Some(_) => bytes,
        None => return Payload::KeepAlive(KeepAlive::Empty),
    };
    match message {
        [] => Payload::KeepAlive(KeepAlive::Crlf),
        [first, ..] if *first < 0x40 && is_stun(message) => Payload::KeepAlive(KeepAlive::Stun),
        [first, ..] if is_filler(*first) && message.iter().all(|&byte| is_filler(byte)) => {
            Payload::KeepAlive(KeepAlive::Filler)
        }
        short if short.len() < SHORTEST_MESSAGE && !short.contains(&b' ') && !short.contains(&b'/') => {
            Payload::KeepAlive(KeepAlive::Filler)
        }
        message => Payload::Message(message),
    }
}

fn is_filler(byte: u8) -> bool {
    matches!(byte, 0 | b' ' | b'\t' | b'\r' | b'\n' | 0xff)
}

/// Two zero bits, a length that fits, and the cookie; RFC 3489, which had no cookie, is told by its types.
fn is_stun(bytes: &[u8]) -> bool {
    let Some(&[kind0, kind1, len0, len1, cookie @ ..]) = bytes.first_chunk::<8>() else { return false };
    let length = usize::from(u16::from_be_bytes([len0, len1]));
    let fits = bytes.len() == length + 20;
    let classic = matches!([kind0, kind1], [0 | 1, 1 | 2] | [1, 0x11]);
    fits && (cookie == STUN_COOKIE || classic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keep_alives_are_known() {
        let kinds = [
            (b"\r\n\r\n".as_slice(), KeepAlive::Crlf),
            (b"\r\n", KeepAlive::Crlf),
            (b"", KeepAlive::Empty),
            (&[0, 0, 0, 0], KeepAlive::Filler),
            (b"\0", KeepAlive::Filler),
            (b"jaK", KeepAlive::Filler),
            (b"hello", KeepAlive::Filler),
            (&[0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], KeepAlive::Stun),
        ];
        for (bytes, kind) in kinds {
            assert_eq!(classify(bytes), Payload::KeepAlive(kind), "{bytes:?}");
        }
    }

    #[test]
    fn messages_lose_the_lines_before_them() {
        assert_eq!(classify(b"\r\n\r\nACK sip:a SIP/2.0\r\n"), Payload::Message(b"ACK sip:a SIP/2.0\r\n"));
    }
}
