//! What reading a message costs: `cargo xtask bench sip`.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench talks to people")]

use std::hint::black_box;
use std::time::{Duration, Instant};

use sip::{Anomalies, Carrier, HeaderName, Message, View};

/// Messages a measurement.
const REPEAT: u32 = 20_000;
/// Measurements, of which the median is told.
const ROUNDS: usize = 21;

fn main() {
    let invite = invite();
    let register = register();
    println!("median and best of {ROUNDS} times {REPEAT}; nanoseconds a message\n");
    let view = measure(&format!("view of an INVITE of {} bytes", invite.len()), || {
        let view = View::parse(black_box(&invite), Carrier::Datagram).expect("SIP");
        black_box(view.get(HeaderName::CallId));
        black_box(&view);
    });
    let full = measure("the same, with meaning", || {
        let view = View::parse(black_box(&invite), Carrier::Datagram).expect("SIP");
        black_box(Message::read(&view));
    });
    measure("the same, with its session description", || {
        let view = View::parse(black_box(&invite), Carrier::Datagram).expect("SIP");
        let message = Message::read(&view);
        black_box(message.sdp(&mut Anomalies::default()));
    });
    measure(&format!("REGISTER of {} bytes with credentials, meaning", register.len()), || {
        let view = View::parse(black_box(&register), Carrier::Datagram).expect("SIP");
        black_box(Message::read(&view));
    });
    if std::env::args().any(|arg| arg == "--ours") {
        return;
    }
    let rsip = measure("the same INVITE by rsip, untyped headers", || {
        black_box(rsip::SipMessage::try_from(black_box(invite.as_slice())).expect("SIP"));
    });
    let rsip_typed = measure("the same by rsip, From, To, Via, CSeq, Contact typed", || {
        use rsip::headers::ToTypedHeader as _;
        use rsip::prelude::HeadersExt as _;
        let message = rsip::Request::try_from(black_box(invite.as_slice())).expect("SIP");
        let _ = black_box(message.from_header().expect("From").clone().into_typed());
        let _ = black_box(message.to_header().expect("To").clone().into_typed());
        let _ = black_box(message.via_header().expect("Via").clone().into_typed());
        let _ = black_box(message.cseq_header().expect("CSeq").clone().into_typed());
        let _ = black_box(message.contact_header().expect("Contact").clone().into_typed());
    });
    println!(
        "\nview: {:.1} times as fast as rsip; with meaning: {:.1} times",
        rsip / view,
        rsip_typed / full
    );
}

fn measure(name: &str, mut run: impl FnMut()) -> f64 {
    let mut times: Vec<Duration> = (0..ROUNDS)
        .map(|_| {
            let start = Instant::now();
            (0..REPEAT).for_each(|_| run());
            start.elapsed()
        })
        .collect();
    times.sort_unstable();
    let nanoseconds =
        |time: Option<&Duration>| time.map_or(0.0, |time| time.as_secs_f64() * 1e9 / f64::from(REPEAT));
    let median = nanoseconds(times.get(ROUNDS / 2));
    println!("{name:<60} {median:>8.0} {:>8.0}", nanoseconds(times.first()));
    median
}

/// As a phone sends it, of 900 bytes.
fn invite() -> Vec<u8> {
    let body = "v=0\r\no=- 3776 3776 IN IP4 192.0.2.10\r\ns=call\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\n\
        m=audio 11784 RTP/AVP 9 8 0 101\r\na=rtpmap:9 G722/8000\r\na=rtpmap:8 PCMA/8000\r\na=rtpmap:0 PCMU/8000\r\n\
        a=rtpmap:101 telephone-event/8000\r\na=fmtp:101 0-15\r\na=ptime:20\r\na=sendrecv\r\n";
    let text = format!(
        "INVITE sip:2000@pbx.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1---8f2a;rport\r\n\
         Max-Forwards: 70\r\nContact: <sip:1000@192.0.2.10:5060>\r\nTo: <sip:2000@pbx.example.com>\r\n\
         From: \"Desk 1000\" <sip:1000@pbx.example.com>;tag=7f4a2c11\r\nCall-ID: 84290NTk2YzE0ZDZkZjE5@192.0.2.10\r\n\
         CSeq: 2 INVITE\r\nAllow: INVITE, ACK, CANCEL, BYE, NOTIFY, REFER, MESSAGE, OPTIONS, INFO, SUBSCRIBE\r\n\
         Content-Type: application/sdp\r\nSupported: replaces, timer\r\nUser-Agent: Acme Phone 5.2\r\n\
         Content-Length: {}\r\nX-Filling: ",
        body.len()
    );
    let fill = 900 - 4 - text.len() - body.len();
    [text.as_bytes(), &vec![b'.'; fill], b"\r\n\r\n", body.as_bytes()].concat()
}

fn register() -> Vec<u8> {
    b"REGISTER sip:pbx.example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1---8f2b;rport\r\n\
      Max-Forwards: 70\r\nContact: <sip:1000@192.0.2.10:5060>;expires=300\r\nTo: <sip:1000@pbx.example.com>\r\n\
      From: <sip:1000@pbx.example.com>;tag=7f4a2c12\r\nCall-ID: 84291NTk2YzE0ZDZkZjE5\r\nCSeq: 2 REGISTER\r\n\
      User-Agent: Acme Phone 5.2\r\nAuthorization: Digest username=\"1000\",realm=\"asterisk\",\
      nonce=\"1700000000/f4a1e3a6a9b2c4d5e6f708192a3b4c5d\",uri=\"sip:pbx.example.com\",\
      response=\"8b1a9953c4611296a827abf8c47804d7\",algorithm=MD5,cnonce=\"0a4f113b\",qop=auth,nc=00000001\r\n\
      Expires: 300\r\nContent-Length: 0\r\n\r\n"
        .to_vec()
}
