//! Messages a second and bytes of memory: `cargo xtask bench sip`.

#![expect(clippy::print_stdout, clippy::expect_used, reason = "a bench talks to people")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use engine::{Direction, Engine, Fate, Limits, Observation, Settings, Transport};

const SOURCES: u32 = 1_000_000;
/// Messages that are made beforehand; sources take turns with them.
const TEXTS: usize = 512;

fn main() {
    println!("{:<66} {:>12} {:>8} {:>8}", "traffic", "messages/s", "ns each", "MiB");
    let base = resident();
    let mut ask = texts(|number| request("REGISTER", number, ""));
    // A virtual machine has to ask its host for pages that nobody has used yet, which costs as much as a message.
    let mut first = engine();
    let mut now = Duration::from_secs(1_777_629_600);
    report("REGISTER of 1,000,000 sources, while the machine finds memory", base, || {
        for source in 0..SOURCES {
            now += Duration::from_micros(1);
            show(&mut first, source, &mut ask, Direction::In, now);
        }
        u64::from(SOURCES)
    });
    drop(first);
    let mut engine = engine();
    let mut challenge = texts(|number| response(401, number));
    let mut credentials = texts(|number| request("REGISTER", number, CREDENTIALS));
    let mut accepted = texts(|number| response(200, number));
    let mut again = texts(|number| request("REGISTER", number, ""));
    let turns = [
        ("REGISTER of 1,000,000 sources, one each", &mut ask, Direction::In),
        ("the challenges to them", &mut challenge, Direction::Out),
        ("REGISTER with credentials of the same", &mut credentials, Direction::In),
        ("200 OK to them", &mut accepted, Direction::Out),
        ("REGISTER again", &mut again, Direction::In),
    ];
    for (name, texts, direction) in turns {
        report(name, base, || {
            for source in 0..SOURCES {
                now += Duration::from_micros(1);
                show(&mut engine, source, texts, direction, now);
            }
            u64::from(SOURCES)
        });
    }
    report("conversations of four messages, 100,000 phones in turn", base, || {
        for source in 0..100_000 {
            now += Duration::from_micros(200);
            show(&mut engine, source, &mut ask, Direction::In, now);
            show(&mut engine, source, &mut challenge, Direction::Out, now);
            show(&mut engine, source, &mut credentials, Direction::In, now);
            show(&mut engine, source, &mut accepted, Direction::Out, now);
        }
        400_000
    });
    let mut invites = texts(|number| request("INVITE", number, ""));
    report("a flood of INVITEs with forged addresses, 2,000,000 new ones", base, || {
        for source in SOURCES..SOURCES + 2_000_000 {
            now += Duration::from_micros(1);
            show(&mut engine, source, &mut invites, Direction::In, now);
        }
        2_000_000
    });
    let mut ping = [Text { bytes: b"\r\n\r\n".to_vec(), marks: Vec::new(), of: None }];
    report("keep-alives", base, || {
        for source in 0..SOURCES {
            show(&mut engine, source, &mut ping, Direction::In, now);
        }
        u64::from(SOURCES)
    });
    println!();
    for fill in engine.fills() {
        println!("{:<24} {:>10} of {:>10}", fill.table, fill.used, fill.limit);
    }
}

fn engine() -> Engine {
    Engine::new(&Settings::default(), Limits::default(), Vec::new(), 1)
}

fn report(name: &str, base: u64, run: impl FnOnce() -> u64) {
    let start = Instant::now();
    let messages = run();
    let seconds = start.elapsed().as_secs_f64();
    #[expect(clippy::cast_precision_loss, reason = "a rounded figure")]
    let rate = messages as f64 / seconds;
    let memory = resident().saturating_sub(base) / 1024;
    println!("{name:<66} {rate:>12.0} {:>8.0} {memory:>8}", 1e9 / rate);
}

fn show(engine: &mut Engine, number: u32, texts: &mut [Text], direction: Direction, now: Duration) {
    let peer = SocketAddr::new(IpAddr::V4(Ipv4Addr::from(0x0b00_0000 + number)), 5060);
    let local = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 5060);
    let (source, destination) = if direction == Direction::In { (peer, local) } else { (local, peer) };
    // What comes from a socket was not written by the processor a moment ago.
    text_of(number + 1, texts);
    let bytes = text_of(number, texts);
    let observation = Observation {
        source,
        destination,
        direction,
        transport: Transport::Udp,
        bytes,
        is_cut: false,
        fate: Fate::Passed,
        frame: 0,
    };
    engine.handle_packet(&observation, now);
    while engine.next_command().is_some() {}
}

/// The message of that source.
fn text_of(number: u32, texts: &mut [Text]) -> &[u8] {
    let index = usize::try_from(number).expect("fits") % texts.len();
    let Text { bytes, marks, of } = texts.get_mut(index).expect("below their number");
    if of.replace(number) != Some(number) {
        for &mut at in marks {
            if let Some(room) = bytes.get_mut(at..at + 8) {
                for (to, shift) in room.iter_mut().zip((0..32).step_by(4)) {
                    *to = b"0123456789abcdef".get((number >> shift & 15) as usize).copied().unwrap_or(b'0');
                }
            }
        }
    }
    bytes
}

/// A message, and where each source writes something of its own: in the Call-ID and the nonce.
struct Text {
    bytes: Vec<u8>,
    marks: Vec<usize>,
    /// Whose it is now.
    of: Option<u32>,
}

fn texts(make: impl Fn(usize) -> String) -> Vec<Text> {
    let text = |number| {
        let text = make(number);
        let marks = text.match_indices("00000000").map(|(at, _)| at).collect();
        Text { bytes: text.into_bytes(), marks, of: None }
    };
    (0..TEXTS).map(text).collect()
}

const CREDENTIALS: &str = "Authorization: Digest username=\"1000\",realm=\"asterisk\",\
    nonce=\"1711111111-00000000/f4a1e3a6a9b2c4d5e6f708192a3b4c5d\",uri=\"sip:pbx.example.com\",\
    response=\"8b1a9953c4611296a827abf8c47804d7\",algorithm=MD5\r\n";

fn request(method: &str, number: usize, extra: &str) -> String {
    let sequence = 1 + usize::from(!extra.is_empty());
    format!(
        "{method} sip:{number}@pbx.example.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-{sequence}---9{number:07x};rport\r\nMax-Forwards: 70\r\n\
         From: <sip:{number}@pbx.example.com>;tag=7f{number:x}aaa\r\nTo: <sip:{number}@pbx.example.com>\r\n\
         Call-ID: call-00000000-{number}@192.0.2.10\r\nCSeq: {sequence} {method}\r\n\
         Contact: <sip:{number}@192.0.2.10:5060>\r\nUser-Agent: Acme Phone 5.2\r\n{extra}Content-Length: 0\r\n\r\n"
    )
}

fn response(status: u16, number: usize) -> String {
    let sequence = 1 + usize::from(status == 200);
    let challenge = "WWW-Authenticate: Digest realm=\"asterisk\",\
        nonce=\"1711111111-00000000/f4a1e3a6a9b2c4d5e6f708192a3b4c5d\",algorithm=MD5\r\n";
    let challenge = if status == 401 { challenge } else { "" };
    format!(
        "SIP/2.0 {status} x\r\n\
         Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-{sequence}---9{number:07x};rport=5060;received=11.0.0.1\r\n\
         From: <sip:{number}@pbx.example.com>;tag=7f{number:x}aaa\r\nTo: <sip:{number}@pbx.example.com>;tag=as{number:x}bbb\r\n\
         Call-ID: call-00000000-{number}@192.0.2.10\r\nCSeq: {sequence} REGISTER\r\n{challenge}Content-Length: 0\r\n\r\n"
    )
}

/// KiB of memory that the process holds.
fn resident() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()).and_then(|text| text.parse().ok()).unwrap_or(0)
}
