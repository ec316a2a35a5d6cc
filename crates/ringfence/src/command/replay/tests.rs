use capture::{Direction, Frame};
use policy::Policy;

use super::*;

const START: Duration = Duration::from_secs(1_777_629_600);

/// The local host.
const HOST: [u8; 4] = [198, 51, 100, 1];
const PEER: [u8; 4] = [203, 0, 113, 9];

fn policy(rules: &str) -> Policy {
    Policy::parse("test", format!("*filter\n{rules}\nCOMMIT\n").into_bytes()).expect("a good policy")
}

/// A raw IPv4 datagram with UDP and no transport checksum.
fn udp(source: ([u8; 4], u16), destination: ([u8; 4], u16), data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(28 + data.len()).unwrap();
    let mut bytes = vec![0x45, 0];
    bytes.extend(len.to_be_bytes());
    bytes.extend([0, 1, 0, 0, 64, 17, 0, 0]);
    bytes.extend(source.0);
    bytes.extend(destination.0);
    let sum: u32 = bytes.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(source.1.to_be_bytes());
    bytes.extend(destination.1.to_be_bytes());
    bytes.extend((len - 20).to_be_bytes());
    bytes.extend([0, 0]);
    bytes.extend(data);
    bytes
}

fn frame(number: u64, data: &[u8]) -> Frame<'_> {
    Frame {
        number,
        time: START + Duration::from_millis(number),
        interface: None,
        direction: None,
        link: 101,
        data,
        original_len: data.len(),
    }
}

fn prepared(frame: Frame<'_>) -> ahead::Prepared<'_> {
    prepared_for(frame, &Locals::given(&[]))
}

fn prepared_for<'a>(frame: Frame<'a>, locals: &Locals) -> ahead::Prepared<'a> {
    ahead::Prepared::of(frame, locals, None)
}

/// What is printed about these frames, with all packets.
fn printed(rules: &str, locals: &str, format: crate::cli::Format, frames: &[Frame<'_>]) -> String {
    let policy = policy(rules);
    let locals = Locals::given(&[locals.parse().expect("a network")]);
    let mut judge = Judge::new(&policy, stack::Settings::default(), &locals, true);
    let mut summary = record::Summary::default();
    let mut bytes = Vec::new();
    let mut out = Writer::new(&mut bytes, format);
    judge.begin("a.pcap");
    for frame in frames {
        judge.see(&prepared_for(*frame, &locals), None);
    }
    judge.end();
    out.packets(&mut judge, &mut summary).expect("written");
    out.summary(&summary).expect("written");
    let problems = judge.take_problems();
    let text = String::from_utf8(bytes).expect("text");
    problems.into_iter().fold(text, |text, problem| text + "problem: " + &problem + "\n")
}

fn json(rules: &str, frames: &[Frame<'_>]) -> Vec<String> {
    printed(rules, "198.51.100.1", crate::cli::Format::Json, frames).lines().map(str::to_owned).collect()
}

const RULES: &str = ":INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:BAD - [0:0]\n\
    -A INPUT -p udp --dport 5060 -m string --string friendly-scanner --algo bm --to 65535 -j BAD\n\
    -A INPUT -p udp --dport 5060 -j ACCEPT\n\
    -A INPUT -p udp --dport 53 -j REJECT\n\
    -A BAD -j LOG --log-prefix \"iptables-badsip: \" --log-level 6\n-A BAD -j DROP";

#[test]
fn json_is_as_the_contract_says() {
    let scan = udp((PEER, 5071), (HOST, 5060), b"User-Agent: friendly-scanner");
    let clean = udp((PEER, 5071), (HOST, 5060), b"User-Agent: phone");
    let lines = json(RULES, &[frame(1, &scan), frame(2, &clean)]);
    let expected = [
        r#"{"type":"packet","capture":"a.pcap","frame":1,"time":"2026-05-01T10:00:00.001000Z","proto":"udp","src":"203.0.113.9:5071","dst":"198.51.100.1:5060","verdict":"drop","reason":"signature","rule":"friendly-scanner","log":"iptables-badsip: "}"#,
        r#"{"type":"packet","capture":"a.pcap","frame":2,"time":"2026-05-01T10:00:00.002000Z","proto":"udp","src":"203.0.113.9:5071","dst":"198.51.100.1:5060","verdict":"accept","reason":"rule","rule":"INPUT:6"}"#,
        r#"{"type":"summary","packets":2,"accept":1,"drop":1,"reject":0,"bans":0,"by_reason":{"signature":1}}"#,
    ];
    assert_eq!(lines, expected);
}

#[test]
fn text_is_for_people() {
    let scan = udp((PEER, 5071), (HOST, 5060), b"friendly-scanner");
    let asked = udp((PEER, 5071), (HOST, 53), b"");
    let text =
        printed(RULES, "198.51.100.0/24", crate::cli::Format::Text, &[frame(1, &scan), frame(2, &asked)]);
    let expected = "\
a.pcap:1 2026-05-01T10:00:00.001000Z DROP   udp 203.0.113.9:5071 > 198.51.100.1:5060 signature friendly-scanner log \"iptables-badsip:\"
a.pcap:2 2026-05-01T10:00:00.002000Z REJECT udp 203.0.113.9:5071 > 198.51.100.1:53 rule INPUT:7
2 packets: 0 accepted, 1 dropped, 1 rejected (rule 1, signature 1)
";
    assert_eq!(text, expected);
}

/// Verdict and reason of each frame.
fn fates(rules: &str, frames: &[Frame<'_>]) -> Vec<String> {
    let lines = json(rules, frames);
    lines
        .iter()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|line| line["type"] == "packet")
        .map(|line| format!("{} {} {}", line["frame"], line["verdict"], line["reason"]).replace('"', ""))
        .collect()
}

#[test]
fn each_way_has_its_chain() {
    let rules = ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT DROP [0:0]\n\
        -A INPUT -s 203.0.113.9 -j ACCEPT\n-A OUTPUT -d 203.0.113.9 -j ACCEPT\n-A FORWARD -d 192.0.2.1 -j ACCEPT";
    let packets = [
        udp((PEER, 1), (HOST, 2), b""),
        udp((HOST, 1), (PEER, 2), b""),
        udp((PEER, 1), ([192, 0, 2, 1], 2), b""),
        udp((PEER, 1), ([192, 0, 2, 2], 2), b""),
        udp((PEER, 1), ([224, 0, 1, 75], 5060), b""),
        udp(([127, 0, 0, 1], 1), ([127, 0, 0, 1], 2), b""),
    ];
    let frames: Vec<Frame<'_>> = (1..).zip(&packets).map(|(number, packet)| frame(number, packet)).collect();
    let expected = [
        "1 accept rule",
        "2 accept rule",
        "3 accept rule",
        "4 drop policy",
        "5 accept rule",
        "6 drop policy",
    ];
    assert_eq!(fates(rules, &frames), expected);
}

#[test]
fn the_loopback_interface_is_known_by_its_addresses() {
    let rules = ":INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -i lo -j ACCEPT";
    let own = udp((HOST, 1), (HOST, 2), b"");
    let other = udp((PEER, 1), (HOST, 2), b"");
    assert_eq!(fates(rules, &[frame(1, &own), frame(2, &other)]), ["1 accept rule", "2 drop policy"]);
}

#[test]
fn both_copies_of_a_packet_to_itself_are_one_packet() {
    let rules = ":INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A INPUT -m state --state NEW -m limit --limit 1/hour \
        --limit-burst 1 -j ACCEPT";
    let own = udp((HOST, 1), (HOST, 2), b"");
    let copy = |number: u64, direction| Frame { direction: Some(direction), ..frame(number, &own) };
    // Cooked frames say that they went through the loopback interface.
    let cooked = |kind: u8| [&[0, kind, 3, 4, 0, 6, 0, 0, 0, 0, 0, 0, 0, 0, 8, 0], own.as_slice()].concat();
    let (sent, received) = (cooked(4), cooked(0));
    let frames = [
        Frame { link: 113, data: &sent, ..copy(1, Direction::Outgoing) },
        Frame { link: 113, data: &received, ..copy(2, Direction::Incoming) },
    ];
    assert_eq!(fates(rules, &frames), ["1 accept rule", "2 accept rule"]);
}

#[test]
fn what_is_not_ip_is_accepted_and_counted() {
    let arp = [[0xff; 12].as_slice(), &[8, 6, 0, 1]].concat();
    let lines = json(RULES, &[Frame { link: 1, ..frame(1, &arp) }]);
    assert!(lines[0].contains(r#""proto":"arp","src":"ff:ff:ff:ff:ff:ff""#), "{}", lines[0]);
    assert_eq!(fates(RULES, &[Frame { link: 1, ..frame(1, &arp) }]), ["1 accept not-ip"]);
}

#[test]
fn broken_packets_are_dropped_and_cut_ones_are_told() {
    let mut bad = udp((PEER, 1), (HOST, 5060), b"");
    bad[10] ^= 1;
    let mut long = udp((PEER, 1), (HOST, 5060), b"");
    long[3] += 1;
    assert_eq!(fates(RULES, &[frame(1, &bad), frame(2, &long)]), ["1 drop malformed", "2 drop malformed"]);
    let whole = udp((PEER, 1), (HOST, 5060), &[b'x'; 100]);
    let cut = Frame { original_len: whole.len(), data: &whole[..40], ..frame(1, &whole) };
    let lines = json(RULES, &[cut]);
    let told = "problem: a.pcap: frame 1: the capture kept only part of it, and a rule looks beyond";
    assert_eq!(lines.last().map(String::as_str), Some(told));
    let lines = json(RULES, &[Frame { link: 105, ..frame(1, &whole) }]);
    assert_eq!(lines[1], "problem: a.pcap: link type 105 is not supported; 1 frames were not judged");
}

#[test]
fn fragments_get_the_verdict_of_their_datagram() {
    let mut head = udp((PEER, 1), (HOST, 5060), b"friendly-scanner");
    let mut tail = head.split_off(36);
    let set = |bytes: &mut Vec<u8>, bits: u16| {
        let len = u16::try_from(bytes.len()).unwrap();
        bytes[2..4].copy_from_slice(&len.to_be_bytes());
        bytes[6..8].copy_from_slice(&bits.to_be_bytes());
        bytes[10..12].fill(0);
        let sum: u32 =
            bytes[..20].chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
        let sum = !u16::try_from((sum & 0xffff) + (sum >> 16)).unwrap();
        bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    };
    tail.splice(0..0, head[..20].to_vec());
    set(&mut head, 0x2000);
    set(&mut tail, 2);
    let frames = [frame(1, &head), frame(2, &tail)];
    assert_eq!(fates(RULES, &frames), ["1 drop signature", "2 drop signature"]);
    assert_eq!(fates(RULES, &frames[..1]), ["1 drop fragment-timeout"]);
}

#[test]
fn the_guarded_host_is_whoever_is_asked_for_sip() {
    let register = b"REGISTER sip:example.org SIP/2.0\r\n";
    let invite = b"INVITE sip:1@example.org SIP/2.0\r\n";
    let packets = [
        udp((PEER, 5060), (HOST, 5060), register),
        udp((HOST, 5060), (PEER, 5060), b"SIP/2.0 200 OK\r\n"),
        udp(([203, 0, 113, 10], 5060), (HOST, 5060), register),
        udp((HOST, 5060), (PEER, 5060), invite),
        udp((HOST, 5060), (PEER, 5060), invite),
    ];
    let mut survey = Survey::default();
    for packet in &packets {
        survey.see(&prepared(frame(1, packet)));
    }
    assert_eq!(survey.locals().addresses(), ["198.51.100.1"]);
    assert!(!survey.locals().are_certain());
    let text = survey.locals().to_string();
    assert_eq!(
        text,
        "guarded host taken to be 198.51.100.1 (asked for SIP); say otherwise with --local ADDR"
    );
}

#[test]
fn a_scan_of_a_network_shows_all_its_hosts() {
    let mut survey = Survey::default();
    for host in 1..5 {
        let packet =
            udp((PEER, 5060), ([198, 51, 100, host], 5060), b"OPTIONS sip:100@198.51.100.1 SIP/2.0\r\n");
        survey.see(&prepared(frame(1, &packet)));
    }
    assert_eq!(survey.locals().addresses().len(), 4);
}

#[test]
fn a_capture_that_knows_its_directions_tells_the_host() {
    let mut survey = Survey::default();
    let request = udp((HOST, 5060), (PEER, 5060), b"OPTIONS sip:a SIP/2.0\r\n");
    survey.see(&prepared(Frame { direction: Some(Direction::Outgoing), ..frame(1, &request) }));
    assert_eq!(survey.locals().addresses(), ["198.51.100.1"]);
    assert!(survey.locals().are_certain());
}

#[test]
fn local_networks_are_checked() {
    let parse = |text: &str| text.parse::<LocalNetwork>().map(|_| ());
    assert_eq!(parse("198.51.100.1"), Ok(()));
    assert_eq!(parse("2001:db8::/32"), Ok(()));
    assert_eq!(parse("1.2.3.4/33"), Err("`33` is not a prefix length from 0 to 32".to_owned()));
    assert_eq!(parse("pbx"), Err("`pbx` is not an IPv4 or IPv6 address".to_owned()));
    let all = Locals::given(&["0.0.0.0/0".parse().unwrap()]);
    assert!(all.contains("8.8.8.8".parse().unwrap()) && !all.contains("2001:db8::1".parse().unwrap()));
}

#[test]
fn an_interface_must_be_known_where_rules_ask() {
    let named = |rules: &str| named_interfaces(policy(rules).sets());
    let args = |interface: Option<&str>| ReplayArgs {
        policy: "p".into(),
        local: Vec::new(),
        interface: interface.map(str::to_owned),
        checksums: Checksums::Auto,
        format: crate::cli::Format::Text,
        all: false,
        captures: Vec::new(),
    };
    let mut survey = Survey::default();
    let packet = udp((PEER, 1), (HOST, 2), b"");
    survey.see(&prepared(frame(1, &packet)));
    let assume = |interface, rules: &str| assumed_interface(&args(interface), &survey, &named(rules));
    assert_eq!(assume(None, ":INPUT DROP [0:0]\n-A INPUT -i lo -j ACCEPT").unwrap(), None);
    assert_eq!(
        assume(None, ":INPUT DROP [0:0]\n-A INPUT -i eth+ -j ACCEPT").unwrap().as_deref(),
        Some("eth0")
    );
    let two = ":INPUT DROP [0:0]\n-A INPUT -i eth0 -j ACCEPT\n-A INPUT -i eth1 -j DROP";
    assert_eq!(assume(Some("eth1"), two).unwrap().as_deref(), Some("eth1"));
    let Err(Exit::No(text)) = assume(None, two) else { panic!("assumed") };
    assert!(text.contains("`eth0`, `eth1`") && text.ends_with("--interface NAME"), "{text}");
}

#[test]
fn times_have_the_digits_that_the_capture_has() {
    assert_eq!(rfc3339(Duration::new(1_777_629_600, 123_456_000)), "2026-05-01T10:00:00.123456Z");
    assert_eq!(rfc3339(Duration::new(1_777_629_600, 1)), "2026-05-01T10:00:00.000000001Z");
    assert_eq!(rfc3339(Duration::MAX), "9999-12-31T23:59:59.999999Z");
}
