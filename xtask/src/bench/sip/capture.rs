//! The captures that are read: phones of a PBX at 198.51.100.1, as raw IP.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;

use anyhow::{Context as _, Result};

/// What a capture holds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Traffic {
    /// A question, the challenge, the answer, the success.
    pub(super) registrations: u32,
    /// Ten messages each: the challenge, the call with credentials and descriptions of its session, its end.
    pub(super) calls: u32,
    /// Packets of RTP of each call.
    pub(super) media: u32,
}

/// Phones take turns.
const PHONES: u32 = 5000;
const PBX: [u8; 4] = [198, 51, 100, 1];

/// Writes a capture; how many packets and bytes it has.
pub(super) fn write(path: &Path, traffic: Traffic) -> Result<(u32, u64)> {
    let file = File::create(path).with_context(|| format!("cannot write `{}`", path.display()))?;
    let mut out = Out { file: BufWriter::new(file), packets: 0, bytes: 24 };
    // pcap of microseconds, link type 101: raw IP.
    out.file
        .write_all(&[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 4, 0, 101, 0, 0, 0])?;
    for number in 0..traffic.registrations {
        for step in REGISTRATION {
            out.message(number, &step)?;
        }
    }
    for number in 0..traffic.calls {
        for step in CALL {
            if step.method == "BYE" && step.to_pbx {
                (0..traffic.media).try_for_each(|packet| out.media(number, packet))?;
            }
            out.message(number, &step)?;
        }
    }
    out.file.flush()?;
    Ok((out.packets, out.bytes))
}

const CHALLENGE: &str = "Authenticate: Digest realm=\"asterisk\",nonce=\"1777629600/#\",algorithm=MD5\r\n";
const CREDENTIALS: &str = "Authorization: Digest username=\"1000\",realm=\"asterisk\",nonce=\"1777629600/#\",uri=\"sip:pbx.example.com\",\
    response=\"8b1a9953c4611296a827abf8#\",algorithm=MD5\r\n";

/// A message of a conversation.
#[derive(Clone, Copy, Debug)]
struct Step {
    /// Of CSeq.
    sequence: u32,
    method: &'static str,
    line: &'static str,
    to_pbx: bool,
    extra: &'static [&'static str],
    is_described: bool,
}

const fn ask(
    sequence: u32,
    method: &'static str,
    line: &'static str,
    extra: &'static [&'static str],
) -> Step {
    Step { sequence, method, line, to_pbx: true, extra, is_described: false }
}

const fn answer(
    sequence: u32,
    method: &'static str,
    line: &'static str,
    extra: &'static [&'static str],
) -> Step {
    Step { to_pbx: false, ..ask(sequence, method, line, extra) }
}

const fn described(step: Step) -> Step {
    Step { is_described: true, ..step }
}

const REGISTRATION: [Step; 4] = [
    ask(1, "REGISTER", REGISTER, &[]),
    answer(1, "REGISTER", "SIP/2.0 401 Unauthorized", &["WWW-", CHALLENGE]),
    ask(2, "REGISTER", REGISTER, &[CREDENTIALS]),
    answer(2, "REGISTER", "SIP/2.0 200 OK", &[]),
];

const REGISTER: &str = "REGISTER sip:pbx.example.com SIP/2.0";
const INVITE: &str = "INVITE sip:2000@pbx.example.com SIP/2.0";
const ACK: &str = "ACK sip:2000@pbx.example.com SIP/2.0";

const CALL: [Step; 10] = [
    described(ask(1, "INVITE", INVITE, &[])),
    answer(1, "INVITE", "SIP/2.0 407 Proxy Authentication Required", &["Proxy-", CHALLENGE]),
    ask(1, "ACK", ACK, &[]),
    described(ask(2, "INVITE", INVITE, &["Proxy-", CREDENTIALS])),
    answer(2, "INVITE", "SIP/2.0 100 Trying", &[]),
    answer(2, "INVITE", "SIP/2.0 180 Ringing", &[]),
    described(answer(2, "INVITE", "SIP/2.0 200 OK", &[])),
    ask(2, "ACK", ACK, &[]),
    ask(3, "BYE", "BYE sip:2000@pbx.example.com SIP/2.0", &[]),
    answer(3, "BYE", "SIP/2.0 200 OK", &[]),
];

const DESCRIPTION: &str = "v=0\r\no=- 3776 3776 IN IP4 @\r\ns=call\r\nc=IN IP4 @\r\nt=0 0\r\nm=audio # RTP/AVP 8 0 101\r\n\
    a=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=sendrecv\r\n";

fn phone(number: u32) -> [u8; 4] {
    let [_, b, c, d] = (number % PHONES).to_be_bytes();
    [10, b, c, d]
}

/// Both sides use the same.
fn media_port(number: u32) -> u32 {
    10_000 + number % PHONES * 2
}

#[derive(Debug)]
struct Out {
    file: BufWriter<File>,
    packets: u32,
    bytes: u64,
}

impl Out {
    fn message(&mut self, number: u32, step: &Step) -> Result<()> {
        let Step { sequence, method, line, to_pbx, extra, is_described } = *step;
        let phone = phone(number);
        let host = phone.map(|byte| byte.to_string()).join(".");
        let tag = if to_pbx && sequence == 1 { String::new() } else { format!(";tag=as{number:08x}") };
        let extra = extra.concat().replace('#', &format!("{number:08x}"));
        let sender = if to_pbx { &host } else { "198.51.100.1" };
        let body = DESCRIPTION.replace('@', sender).replace('#', &media_port(number).to_string());
        let body = if is_described { body.as_str() } else { "" };
        let kind = if body.is_empty() { "" } else { "Content-Type: application/sdp\r\n" };
        let text = format!(
            "{line}\r\nVia: SIP/2.0/UDP {host}:5060;branch=z9hG4bK{number:08x}{method}{sequence};rport\r\n\
             Max-Forwards: 70\r\nFrom: <sip:1000@pbx.example.com>;tag=f{number:08x}\r\n\
             To: <sip:1000@pbx.example.com>{tag}\r\nCall-ID: {number:08x}@phone\r\nCSeq: {sequence} {method}\r\n\
             Contact: <sip:1000@{host}:5060>\r\nUser-Agent: Acme Phone 5.2\r\n{kind}{extra}Content-Length: {}\r\n\r\n{body}",
            body.len()
        );
        let ends = if to_pbx { (phone, PBX) } else { (PBX, phone) };
        self.packet(&udp(ends, (5060, 5060), text.as_bytes()))
    }

    fn media(&mut self, number: u32, packet: u32) -> Result<()> {
        let mut rtp = vec![0x80, 0];
        rtp.extend(u16::try_from(packet)?.to_be_bytes());
        rtp.resize(172, 0xd5);
        let port = u16::try_from(media_port(number))?;
        let to_pbx = packet.is_multiple_of(2);
        let ends = if to_pbx { (phone(number), PBX) } else { (PBX, phone(number)) };
        self.packet(&udp(ends, (port, port), &rtp))
    }

    fn packet(&mut self, packet: &[u8]) -> Result<()> {
        let len = u32::try_from(packet.len())?;
        let time = self.packets;
        self.packets += 1;
        self.bytes += u64::from(len) + 16;
        for field in [1_777_629_600 + time / 10_000, time % 10_000 * 100, len, len] {
            self.file.write_all(&field.to_le_bytes())?;
        }
        Ok(self.file.write_all(packet)?)
    }
}

fn udp((source, destination): ([u8; 4], [u8; 4]), ports: (u16, u16), data: &[u8]) -> Vec<u8> {
    let length = |more: usize| u16::try_from(data.len() + more).unwrap_or(u16::MAX).to_be_bytes();
    let [high, low] = length(28);
    let mut packet = vec![0x45, 0, high, low, 0, 1, 0, 0, 64, 17, 0, 0];
    packet.extend(source);
    packet.extend(destination);
    let words = packet.chunks(2).map(|pair| match pair {
        &[high, low] => u32::from(u16::from_be_bytes([high, low])),
        _ => 0,
    });
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let checksum = !u16::try_from((folded & 0xffff) + (folded >> 16)).unwrap_or(0);
    packet.splice(10..12, checksum.to_be_bytes());
    packet.extend(ports.0.to_be_bytes());
    packet.extend(ports.1.to_be_bytes());
    packet.extend(length(8));
    packet.extend([0, 0]);
    packet.extend(data);
    packet
}
