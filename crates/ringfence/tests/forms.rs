//! The forms in which one message can come: whole, in IP fragments, in two TCP segments, under VLAN tags, over IPv4 and IPv6.
//! In each the real program keeps a scanner's message from the server, and lets the same message of a phone through. That the
//! scanner's would arrive is seen first, without Ringfence. Root only.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "helpers of tests fail as tests do"
)]

use std::io::{Read as _, Write as _};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use lab::probe::{self, UdpProbe};
use lab::{Guard, Lab, Node, skip};
use serde_json::Value;

use self::server::Server;
use self::tagged::Tagged;

#[path = "forms/server.rs"]
mod server;
#[path = "forms/tagged.rs"]
mod tagged;

const TOOLS: &[&str] = &["nft"];
const LIMIT: Duration = Duration::from_millis(1500);
const V4: IpAddr = IpAddr::V4(Node::Pbx.v4());
const V6: IpAddr = IpAddr::V6(Node::Pbx.v6());
const SCANNER: &str = "friendly-scanner";
const PHONE: &str = "Acme Phone 5.2";
/// How much of a datagram the first fragment holds on links of 1500 bytes: less the headers, in units of 8.
const FIRST_V4: usize = 1500 - 20 - 8;
const FIRST_V6: usize = (1500 - 40 - 8) / 8 * 8 - 8;

#[test]
fn a_text_divided_between_ipv4_fragments_does_not_reach_the_server() {
    let Some(form) = Form::new("ipv4-fragments") else { return };
    let send = |agent: &str| form.udp(V4, &straddling("OPTIONS", agent, FIRST_V4));
    form.holds(&sample(), Drops::Once, send);
    form.holds(&shipped(&form.lab), Drops::Once, send);
    assert!(form.fragments("snmp", "FragCreates") >= 16, "two for each message");
}

#[test]
fn ipv4_registrations_of_scanners_do_not_reach_the_server() {
    let Some(form) = Form::new("ipv4-udp") else { return };
    let send = |agent: &str| form.udp(V4, &request("REGISTER", agent, 0));
    form.holds(&sample(), Drops::Once, send);
    form.holds(&shipped(&form.lab), Drops::Once, send);
}

#[test]
fn a_text_divided_between_ipv4_tcp_segments_does_not_reach_the_server() {
    let Some(form) = Form::new("ipv4-tcp") else { return };
    let policy = shipped(&form.lab);
    form.holds(&policy, Drops::AndRepetitions, |agent| {
        form.tcp(V4, &request("OPTIONS", agent, 0), agent.len() / 2)
    });
}

#[test]
fn ipv6_messages_of_scanners_do_not_reach_the_server() {
    let Some(form) = Form::new("ipv6-udp") else { return };
    let policy = shipped(&form.lab);
    for method in ["REGISTER", "OPTIONS"] {
        form.holds(&policy, Drops::Once, |agent| form.udp(V6, &request(method, agent, 0)));
    }
}

#[test]
fn a_text_in_or_between_ipv6_fragments_does_not_reach_the_server() {
    let Some(form) = Form::new("ipv6-fragments") else { return };
    let policy = shipped(&form.lab);
    form.holds(&policy, Drops::Once, |agent| form.udp(V6, &straddling("OPTIONS", agent, FIRST_V6)));
    // Whole in the second and in the third.
    for filling in [2_000, 3_000] {
        form.holds(&policy, Drops::Once, |agent| form.udp(V6, &request("REGISTER", agent, filling)));
    }
    assert!(form.fragments("snmp6", "Ip6FragCreates") >= 4 * (2 + 2 + 3));
}

#[test]
fn a_text_divided_between_ipv6_tcp_segments_does_not_reach_the_server() {
    let Some(form) = Form::new("ipv6-tcp") else { return };
    let policy = shipped(&form.lab);
    form.holds(&policy, Drops::AndRepetitions, |agent| {
        form.tcp(V6, &request("REGISTER", agent, 0), agent.len() / 2)
    });
}

/// Tags of the VLAN 0 only set a priority: Linux takes such frames in without any VLAN device.
#[test]
fn a_scanner_under_priority_tags_does_not_reach_the_server() {
    let Some(form) = Form::new("tagged") else { return };
    for tags in [&[0x8100][..], &[0x88a8, 0x8100], &[0x8100, 0x8100]] {
        let wire = Tagged::open(&form.lab, tags);
        form.holds(&sample(), Drops::Once, |agent| {
            let message = request("OPTIONS", agent, 0);
            wire.send(&message);
            form.server.hears(&message, LIMIT)
        });
    }
}

/// Linux takes off as many tags as there are; nobody can hide a text behind more of them than the gate reads.
#[test]
fn nothing_under_three_tags_or_more_reaches_the_server() {
    let Some(form) = Form::new("deep-tags") else { return };
    let served = |tags: &[u16]| {
        let message = request("OPTIONS", SCANNER, 0);
        Tagged::open(&form.lab, tags).send(&message);
        form.server.hears(&message, LIMIT)
    };
    let depths: [&[u16]; 3] = [&[0x8100; 3], &[0x88a8, 0x8100, 0x8100], &[0x8100; 6]];
    assert!(depths.iter().all(|tags| served(tags)), "without Ringfence they are served");
    let guard = Guard::start(&form.lab, &binary(), &sample()).unwrap();
    assert!(!depths.iter().any(|tags| served(tags)));
    let stopped = guard.command(&["stop", "--clean"]).unwrap();
    assert!(stopped.status.success(), "{}", stopped.text());
}

/// How the kernel's side counts what it drops of one message.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Drops {
    /// As one packet.
    Once,
    /// With what TCP sends again.
    AndRepetitions,
}

/// A lab with a server, for one form.
struct Form {
    lab: Lab,
    server: Server,
}

impl Form {
    /// `None` where it cannot run.
    fn new(name: &str) -> Option<Self> {
        if !skip::ready(name, TOOLS) {
            return None;
        }
        let lab = Lab::up(name).unwrap();
        let server = Server::start(&lab);
        Some(Self { lab, server })
    }

    /// Sends a scanner's message without Ringfence, and then with it, between two of a phone. `send` says whether it was
    /// served.
    fn holds(&self, policy: &Path, drops: Drops, send: impl Fn(&str) -> bool) {
        assert!(send(SCANNER), "without Ringfence it is served");
        self.server.forget();
        let guard = Guard::start(&self.lab, &binary(), policy).unwrap();
        assert!(send(PHONE), "a phone is served");
        assert!(!send(SCANNER), "a scanner is not");
        assert!(!self.server.heard(SCANNER.as_bytes()), "nor does the server see its name");
        assert!(send(PHONE), "the same address is served as before");
        let dropped = signatures(&guard);
        assert!(dropped == 1 || drops == Drops::AndRepetitions && dropped > 1, "{dropped} packets");
        let stopped = guard.command(&["stop", "--clean"]).unwrap();
        assert!(stopped.status.success(), "{}", stopped.text());
    }

    /// Whether the server got the datagram and its answer came back.
    fn udp(&self, to: IpAddr, message: &[u8]) -> bool {
        match probe::udp(&self.lab, Node::Attacker, (to, 5060).into(), message, LIMIT).unwrap() {
            UdpProbe::Reply(answer) => {
                assert!(self.server.heard(message));
                answer.starts_with(b"SIP/2.0 200")
            }
            UdpProbe::Silent => self.server.heard(message),
            UdpProbe::Icmp(error) => panic!("a scanner gets no answer of any kind: {error:?}"),
        }
    }

    /// Sends `message` over TCP in two segments, of which the second begins `within` bytes into the name of its user agent.
    fn tcp(&self, to: IpAddr, message: &[u8], within: usize) -> bool {
        let at = position(message, b"User-Agent: ") + "User-Agent: ".len() + within;
        let (first, second) = message.split_at(at);
        let to = SocketAddr::new(to, 5060);
        let answer = self.lab.inside(Node::Attacker, || {
            let mut stream = TcpStream::connect_timeout(&to, LIMIT).unwrap();
            stream.set_nodelay(true).unwrap();
            stream.set_read_timeout(Some(LIMIT)).unwrap();
            stream.write_all(first).unwrap();
            std::thread::sleep(Duration::from_millis(100));
            stream.write_all(second).unwrap();
            let mut answer = [0; 11];
            stream.read_exact(&mut answer).is_ok().then_some(answer)
        });
        assert!(self.server.heard(first), "the first segment is innocent");
        answer.unwrap().map_or_else(|| self.server.heard(message), |answer| answer == *b"SIP/2.0 200")
    }

    /// A counter of the attacker's kernel.
    fn fragments(&self, file: &str, name: &str) -> u64 {
        let path = format!("/proc/thread-self/net/{file}");
        let text = self.lab.inside(Node::Attacker, || std::fs::read_to_string(path)).unwrap().unwrap();
        let value = if file == "snmp6" {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok())
        } else {
            let mut lines = text.lines().filter(|line| line.starts_with("Ip: "));
            let (names, values) = (lines.next().unwrap(), lines.next().unwrap());
            let mut pairs = names.split(' ').zip(values.split(' '));
            pairs.find(|(one, _)| *one == name).and_then(|(_, value)| value.parse().ok())
        };
        value.unwrap()
    }
}

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sample() -> PathBuf {
    workspace().join("samples/asterisk.rules")
}

/// The shipped policy without bans, so that each message is stopped for what is in it and not for who sent the one before.
fn shipped(lab: &Lab) -> PathBuf {
    let text = std::fs::read_to_string(workspace().join("packaging/policy.toml")).unwrap();
    let (bans, none) = ("\nenforce = true\n", "\nenforce = false\n");
    assert!(text.contains(bans));
    let path = lab.dir().join("policy.toml");
    std::fs::write(&path, text.replace(bans, none)).unwrap();
    path
}

/// How many packets were dropped for a signature.
fn signatures(guard: &Guard<'_>) -> u64 {
    let output = guard.command(&["status", "--format", "json"]).unwrap();
    let status: Value = serde_json::from_str(&output.stdout).expect(&output.stdout);
    assert_eq!(status["enforced"], true, "{status}");
    status["packets"]["by_reason"]["signature"].as_u64().unwrap_or(0)
}

/// A request with a header of filling before its user agent. No two are retransmissions of each other.
fn request(method: &str, user_agent: &str, filling: usize) -> Vec<u8> {
    static SERIAL: AtomicUsize = AtomicUsize::new(100_000);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    format!(
        "{method} sip:pbx.example.com SIP/2.0\r\n\
         Via: SIP/2.0/UDP client.example.com:5060;branch=z9hG4bK-forms-{serial};rport\r\n\
         From: <sip:1000@pbx.example.com>;tag={serial}\r\nTo: <sip:1000@pbx.example.com>\r\n\
         Call-ID: forms-{serial}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n\
         Contact: <sip:1000@client.example.com>\r\nX-Filling: {}\r\nUser-Agent: {user_agent}\r\n\
         Content-Length: 0\r\n\r\n",
        "x".repeat(filling),
    )
    .into_bytes()
}

/// A request whose user agent begins in the first fragment, which holds `first` bytes of it, and ends in the second.
fn straddling(method: &str, user_agent: &str, first: usize) -> Vec<u8> {
    let agent = |message: &[u8]| position(message, user_agent.as_bytes());
    let filling = first - user_agent.len() / 2 - agent(&request(method, user_agent, 0));
    let message = request(method, user_agent, filling);
    assert_eq!(agent(&message) + user_agent.len() / 2, first);
    message
}

fn position(message: &[u8], text: &[u8]) -> usize {
    message.windows(text.len()).position(|window| window == text).unwrap()
}
