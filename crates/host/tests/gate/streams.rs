//! TCP connections: the same schedule of segments for the kernel's gate, for ours, and for a server that loses some of what
//! reaches it and keeps what comes early. Whatever an attacker sends, the server never reads a signature.

use std::collections::BTreeMap;

use gate::{Link, Reason};
use policy::Policy;
use policy::plan::Plan;
use policy::plan::nft::{Mode, Tag};

use super::frames::{Random, segment};
use super::{Hook, Pair, lawful_tables, share_of};

/// Schedules a policy and hook.
const SCHEDULES: usize = 4_000;

const TEXTS: &str = "*filter\n:INPUT ACCEPT [0:0]\n\
    -A INPUT -p tcp -m tcp --dport 5060 -m string --string \"friendly-scanner\" --algo bm -j DROP\n\
    -A INPUT -p tcp -m tcp --dport 5060 -m string --string \"sipvicious\" --algo bm -j DROP\nCOMMIT\n";

/// A header's signature has no longest text, so the automaton never starts anew.
const HEADERS: &str = "[unproven]\n[services]\nsip = { tcp = [5060], inspect = true }\n[[signatures]]\nname = \"one\"\n\
    header = \"User-Agent\"\ntext = \"friendly-scanner\"\n[[signatures]]\nname = \"two\"\nheader = \"User-Agent\"\n\
    text = \"sipvicious\"\n";

fn policies() -> [(&'static str, Vec<u8>); 2] {
    [("texts.rules", TEXTS.into()), ("headers.toml", HEADERS.into())]
}

fn pair(name: &str, text: &[u8]) -> Pair {
    let policy = Policy::parse(name, text.to_vec()).unwrap();
    let plan = Plan::new(&policy, Mode::Enforce, Tag::default()).unwrap();
    Pair::new(&lawful_tables(plan.gate.tables), Link::Ethernet)
}

fn message(agent: &str) -> Vec<u8> {
    format!(
        "OPTIONS sip:100@198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.9\r\nUser-Agent: {agent}\r\n\r\n"
    )
    .into_bytes()
}

#[test]
fn a_signature_divided_at_any_byte_is_found_and_ends_the_connection() {
    if !lab::skip::ready("a_signature_divided_at_any_byte", &[]) {
        return;
    }
    for (name, text) in policies() {
        let mut pair = pair(name, &text);
        let evil = message("friendly-scanner");
        let good = message("friendly-skanner");
        for hook in [Hook::Xdp, Hook::Tc] {
            let base = if matches!(hook, Hook::Xdp) { 1000 } else { 30_000 };
            for cut in 1..evil.len() {
                let port = base + cut as u16;
                let [first, second] = [&evil[..cut], &evil[cut..]];
                let mut send = |sequence: usize, bytes: &[u8]| {
                    pair.compare(hook, &segment(port, 7 + sequence as u32, 0x18, bytes), name).unwrap()
                };
                let one = send(0, first);
                let other = send(cut, second);
                let whole = [one, other].contains(&Reason::Signature);
                assert!(whole, "{name}, cut at {cut}: {one:?}, {other:?}");
                assert_eq!(send(evil.len(), b"BYE"), Reason::EndedConnection);
                // A new connection may use the port again.
                pair.compare(hook, &segment(port, 99, 0x02, b""), name);
                let mut send = |sequence: usize, bytes: &[u8]| {
                    pair.compare(hook, &segment(port, 100 + sequence as u32, 0x18, bytes), name).unwrap()
                };
                assert_eq!([send(0, &good[..cut]), send(cut, &good[cut..])], [Reason::Clean; 2]);
                // Said again, whole or in part, it is the same.
                assert_eq!(send(0, &good), Reason::Clean);
                assert_eq!(send(cut / 2, &good[cut / 2..]), Reason::Clean);
                // Another version is none.
                let mut other = good.clone();
                other[cut] ^= 1;
                assert_eq!(send(0, &other), Reason::RewrittenSegment);
                assert_eq!(send(good.len() + 1, b"early"), Reason::OutOfOrderSegment);
            }
        }
    }
}

/// Who knows only the ports of somebody else's connection can neither end it nor take its place.
#[test]
fn forged_segments_do_a_connection_no_harm() {
    if !lab::skip::ready("forged_segments_do_a_connection_no_harm", &[]) {
        return;
    }
    for (name, text) in policies() {
        let mut pair = pair(name, &text);
        let evil = message("friendly-scanner");
        let good = message("Acme Phone");
        for (port, hook) in [(2000, Hook::Xdp), (2001, Hook::Tc)] {
            let mut send = |sequence: u32, flags: u8, bytes: &[u8]| {
                pair.compare(hook, &segment(port, sequence, flags, bytes), name).unwrap()
            };
            send(999, 0x02, b"");
            // Before the first data, and after it.
            for next in [1000, 1000 + good.len() as u32] {
                assert_eq!(send(77_777, 0x18, b"anything"), Reason::OutOfOrderSegment);
                assert_eq!(send(77_777, 0x18, &evil), Reason::OutOfOrderSegment);
                assert_eq!(send(77_777, 0x14, &evil), Reason::Signature, "{name}: a reset with text in it");
                assert_eq!(send(next, 0x18, &good), Reason::Clean, "{name}");
            }
        }
    }
}

#[test]
fn no_schedule_of_segments_brings_a_signature_to_the_server() {
    if !lab::skip::ready("no_schedule_of_segments", &[]) {
        return;
    }
    let mut reasons = BTreeMap::new();
    for (name, text) in policies() {
        let mut random = Random(0xf10c);
        let mut pair = pair(name, &text);
        for round in 0..share_of(SCHEDULES) {
            let hook = if round % 2 == 0 { Hook::Xdp } else { Hook::Tc };
            // Two versions of each byte: together they hold the signature, apart they need not.
            let evil = [message("friendly-scanner"), message("sipvicious")].concat();
            let mut other = evil.clone();
            for _ in 0..random.below(12) {
                let at = random.below(other.len());
                other[at] = b'.';
            }
            let port = 1024 + (round % 60_000) as u16;
            let begin = u32::MAX - random.below(400) as u32;
            let mut server = Server::default();
            pair.compare(hook, &segment(port, begin.wrapping_sub(1), 0x02, b""), name);
            for _ in 0..40 {
                let version = if random.below(3) == 0 { &evil } else { &other };
                // Mostly what comes next, so that something gets through at all.
                let from = match random.below(3) {
                    0 => random.below(version.len()),
                    _ => server.next(),
                };
                let to = (from + 1 + random.below(90)).min(version.len());
                let bytes = version.get(from..to).unwrap_or_default();
                let frame = segment(port, begin.wrapping_add(from as u32), 0x18, bytes);
                let Some(reason) = pair.compare(hook, &frame, name) else { continue };
                *reasons.entry(reason.as_str()).or_insert(0) += 1;
                // What passes may still be lost: a wrong checksum, a full buffer.
                if reason.verdict() == gate::Verdict::Pass && random.below(4) != 0 {
                    server.take(from, bytes);
                }
                let read = server.read();
                let before = if name.ends_with("toml") { "\r\nUser-Agent: " } else { "" };
                let holds = |text: &str| {
                    let text = format!("{before}{text}").into_bytes();
                    read.windows(text.len()).any(|window| window == text)
                };
                assert!(
                    !holds("friendly-scanner") && !holds("sipvicious"),
                    "{name}, round {round}: the server reads {:?}",
                    String::from_utf8_lossy(&read)
                );
            }
        }
    }
    println!("{reasons:?}");
    for reason in ["clean", "signature", "ended-connection", "out-of-order-segment", "rewritten-segment"] {
        assert!(reasons.get(reason).is_some_and(|count| *count > share_of(100)), "{reason}: {reasons:?}");
    }
}

/// What a server has of a connection: like Linux, it keeps the first version of a byte.
#[derive(Default)]
struct Server {
    bytes: BTreeMap<usize, u8>,
}

impl Server {
    fn take(&mut self, from: usize, bytes: &[u8]) {
        for (at, byte) in (from..).zip(bytes) {
            self.bytes.entry(at).or_insert(*byte);
        }
    }

    fn next(&self) -> usize {
        (0..).find(|at| !self.bytes.contains_key(at)).unwrap()
    }

    fn read(&self) -> Vec<u8> {
        self.bytes.range(..self.next()).map(|(_, byte)| *byte).collect()
    }
}
