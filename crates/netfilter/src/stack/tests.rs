mod short_way;

use policy::iptables;

use super::*;

const START: Duration = Duration::from_secs(1_700_000_000);

/// A host with these rules.
fn host(rules: &str) -> Stack<u32> {
    let file = iptables::parse("test", &format!("*filter\n{rules}\nCOMMIT\n")).expect("rules");
    let settings = Settings {
        conntrack: conntrack::Settings { checksums: false, ..conntrack::Settings::default() },
        ..Settings::default()
    };
    Stack::new(file.ipv4.iter().chain(&file.ipv6), settings)
}

/// From 192.0.2.`from` to 192.0.2.`to`, with a right header checksum.
fn v4(from: u8, to: u8, protocol: u8, fragment: u16, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let bits = fragment.to_be_bytes();
    let mut bytes = vec![
        0x45, 0, len[0], len[1], 0, 7, bits[0], bits[1], 64, protocol, 0, 0, 192, 0, 2, from, 192, 0, 2, to,
    ];
    let sum = !crate::packet::checksum::sum(&bytes);
    bytes[10..12].copy_from_slice(&sum.to_be_bytes());
    bytes.extend(payload);
    bytes
}

fn udp(source: u16, destination: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(8 + data.len()).unwrap();
    let mut bytes = [source, destination, len, 0].map(u16::to_be_bytes).concat();
    bytes.extend(data);
    bytes
}

fn push(host: &mut Stack<u32>, bytes: &[u8], way: Way, tag: u32) -> Vec<Judged<u32>> {
    host.push(&Packet::parse(bytes, bytes.len()).unwrap(), way, tag, START);
    std::iter::from_fn(|| host.judged()).collect()
}

fn verdict(host: &mut Stack<u32>, bytes: &[u8], way: Way) -> (Verdict, Option<State>) {
    let judged = push(host, bytes, way, 0);
    let [Judged { fate, .. }] = judged.as_slice() else { panic!("{judged:?}") };
    (fate.verdict, fate.state)
}

const STATEFUL: &str = ":INPUT DROP [0:0]\n:FORWARD DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n\
    -A INPUT -m state --state ESTABLISHED,RELATED -j ACCEPT\n\
    -A INPUT -p tcp -j REJECT --reject-with tcp-reset\n\
    -A OUTPUT -m state --state INVALID -j DROP";

#[test]
fn what_this_host_asks_for_may_come_back() {
    let mut host = host(STATEFUL);
    let answer = v4(2, 1, 17, 0, &udp(53, 1000, b""));
    assert_eq!(verdict(&mut host, &answer, Way::Input), (Verdict::Drop, Some(State::New)));
    let query = v4(1, 2, 17, 0, &udp(1000, 53, b""));
    assert_eq!(verdict(&mut host, &query, Way::Output), (Verdict::Accept, Some(State::New)));
    assert_eq!(verdict(&mut host, &answer, Way::Input), (Verdict::Accept, Some(State::Established)));
}

/// Whether the packet goes the short way, `after` seconds.
fn again(host: &mut Stack<u32>, bytes: &[u8], way: Way, interface: &str, after: u64) -> bool {
    let mut packet = Packet::parse(bytes, bytes.len()).unwrap();
    packet.set_interfaces(Some(interface), Some(interface));
    let flow = Flow::of(&packet, way, &Settings::default()).expect("a whole datagram");
    host.accepts_again(&flow, packet.total_len(), START + Duration::from_secs(after))
}

#[test]
fn a_flow_is_accepted_again_as_long_as_nothing_has_changed() {
    let mut host = host(STATEFUL);
    let (out, back) = (v4(1, 2, 17, 0, &udp(1000, 53, b"")), v4(2, 1, 17, 0, &udp(53, 1000, b"longer")));
    assert!(!again(&mut host, &out, Way::Output, "", 0), "no connection");
    assert_eq!(verdict(&mut host, &out, Way::Output), (Verdict::Accept, Some(State::New)));
    assert!(!again(&mut host, &out, Way::Output, "", 0), "the rules saw the packet that opened it only");
    assert_eq!(verdict(&mut host, &out, Way::Output), (Verdict::Accept, Some(State::New)));
    assert!(again(&mut host, &out, Way::Output, "", 1));
    assert!(!again(&mut host, &out, Way::Output, "eth0", 1), "another interface");
    assert!(!again(&mut host, &back, Way::Input, "", 1), "the other direction");
    assert_eq!(verdict(&mut host, &back, Way::Input), (Verdict::Accept, Some(State::Established)));
    assert!(again(&mut host, &back, Way::Input, "", 1));
    assert!(!again(&mut host, &out, Way::Output, "", 1), "another state");
    let rule = host.rules().counters(Family::Ipv4, policy::ruleset::ChainId(0));
    assert_eq!(rule.first().map(|rule| (rule.packets, rule.bytes)), Some((2, 68)));
    assert!(again(&mut host, &back, Way::Input, "", 30), "renewed a second ago, for thirty");
    assert!(!again(&mut host, &back, Way::Input, "", 300), "expired");
}

#[test]
fn what_takes_more_than_the_flow_to_tell_goes_no_short_way() {
    let rules = ":INPUT ACCEPT [0:0]\n-A INPUT -m length --length 100:200 -j DROP\n\
        -A INPUT -m state --state INVALID -j DROP";
    let mut host = host(rules);
    let packet = v4(2, 1, 17, 0, &udp(53, 1000, b""));
    for _ in 0..3 {
        assert_eq!(verdict(&mut host, &packet, Way::Input).0, Verdict::Accept);
    }
    assert!(!again(&mut host, &packet, Way::Input, "", 0));
    let whole = |bytes: &[u8]| {
        let packet = Packet::parse(bytes, bytes.len()).unwrap();
        Flow::of(&packet, Way::Input, &Settings::default()).is_some()
    };
    let mut broken = packet.clone();
    broken[8] = 1;
    assert!(!whole(&broken), "a wrong checksum");
    assert!(!whole(&v4(2, 1, 17, 0x2000, &udp(53, 1000, b""))), "a fragment");
    assert!(!whole(&v4(2, 1, 6, 0, &[0; 20])), "no UDP");
}

#[test]
fn the_answer_to_a_rejected_packet_is_related() {
    let mut host = host(STATEFUL);
    let tcp = |source: u8, destination: u8, flags: u8| {
        let mut header =
            vec![0, source, 0, destination, 0, 0, 0, 1, 0, 0, 0, 0, 0x50, flags, 1, 0, 0, 0, 0, 0];
        header[16] = 0;
        header
    };
    let syn = v4(2, 1, 6, 0, &tcp(9, 80, 2));
    let reset = v4(1, 2, 6, 0, &tcp(80, 9, 0x14));
    assert_eq!(verdict(&mut host, &reset, Way::Output), (Verdict::Drop, Some(State::Invalid)));
    assert!(matches!(verdict(&mut host, &syn, Way::Input), (Verdict::Reject(_), Some(State::New))));
    assert_eq!(verdict(&mut host, &reset, Way::Output), (Verdict::Accept, Some(State::Related)));
}

#[test]
fn fragments_share_the_fate_of_their_datagram() {
    let mut host = host(":INPUT ACCEPT [0:0]\n-A INPUT -m string --algo bm --string needle -j DROP");
    let whole = udp(1, 2, b"some need" as &[u8]);
    let first = [whole.as_slice(), b"\0\0\0\0\0\0\0"].concat();
    let first = v4(2, 1, 17, 0x2000, &first[..16]);
    assert_eq!(push(&mut host, &first, Way::Input, 1), []);
    let judged = push(&mut host, &v4(2, 1, 17, 2, b"needle"), Way::Input, 2);
    assert_eq!(judged.len(), 1);
    assert_eq!((judged[0].tags.as_slice(), judged[0].fate.verdict), ([1, 2].as_slice(), Verdict::Drop));
}

#[test]
fn forwarded_fragments_are_judged_as_they_are_unless_states_are_asked_for() {
    let fragment = v4(2, 3, 17, 0x2000, &[0; 16]);
    let mut stateless = host(":FORWARD DROP [0:0]");
    assert_eq!(push(&mut stateless, &fragment, Way::Forward, 1).len(), 1);
    let mut stateful = host(STATEFUL);
    assert_eq!(push(&mut stateful, &fragment, Way::Forward, 1).len(), 0);
    stateful.expire(START + Duration::from_secs(31));
    let late = stateful.judged().unwrap();
    assert_eq!((late.tags, late.fate.why), (vec![1], Why::Fragment(Refusal::Timeout)));
}

#[test]
fn loopback_passes_both_chains_as_one_packet() {
    let mut host = host(
        ":INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n-A OUTPUT -o lo -j LOG --log-prefix out\n\
         -A INPUT -i lo -m state --state NEW -j ACCEPT",
    );
    let bytes = v4(1, 1, 17, 0, &udp(1, 2, b""));
    let packet = Packet::parse(&bytes, bytes.len()).unwrap().with_interfaces(Some("lo"), Some("lo"));
    host.push(&packet, Way::Loopback, 1, START);
    let fate = host.judged().unwrap().fate;
    assert_eq!((fate.verdict, fate.logs.len()), (Verdict::Accept, 1));
    assert!(matches!(fate.why, Why::Rules { hook: Hook::Input, .. }));
}

#[test]
fn broken_headers_are_dropped_on_arrival_only() {
    let mut host = host(":INPUT ACCEPT [0:0]");
    let mut bytes = v4(2, 1, 17, 0, &udp(1, 2, b""));
    bytes[10] ^= 1;
    assert_eq!(verdict(&mut host, &bytes, Way::Input), (Verdict::Drop, None));
    assert_eq!(verdict(&mut host, &bytes, Way::Output), (Verdict::Accept, None));
}

#[test]
fn the_way_to_the_deciding_rule_is_told() {
    let mut host = host(
        ":INPUT ACCEPT [0:0]\n:A - [0:0]\n:B - [0:0]\n-A INPUT -j A\n-A INPUT -m string --algo bm --string x -g B\n\
         -A A -j RETURN\n-A B -j DROP",
    );
    let judged = push(&mut host, &v4(2, 1, 17, 0, &udp(1, 2, b"x")), Way::Input, 1);
    let Why::Rules { cause: Cause::Rule(at), via, .. } = &judged[0].fate.why else { panic!("{judged:?}") };
    assert_eq!(at.line.0, 8);
    assert_eq!(via.iter().map(|rule| rule.line.0).collect::<Vec<_>>(), [6]);
}

#[test]
fn forwarded_packets_lose_a_hop_before_the_rules() {
    let mut host =
        host(":FORWARD ACCEPT [0:0]\n-A FORWARD -m string --algo bm --hex-string \"|3f|\" --to 9 -j DROP");
    let bytes = v4(2, 3, 17, 0, &udp(1, 2, b""));
    assert_eq!(verdict(&mut host, &bytes, Way::Forward).0, Verdict::Drop);
    let packet = Packet::parse(&bytes, bytes.len()).unwrap();
    let routed = packet.routed().unwrap();
    assert_eq!(
        Packet::parse(&routed, routed.len()).unwrap().arrival_fault(false),
        None,
        "the checksum follows"
    );
    let mut last = bytes;
    last[8] = 1;
    let sum = crate::packet::checksum::sum(&[&last[..10], &[0, 0], &last[12..20]].concat());
    last[10..12].copy_from_slice(&(!sum).to_be_bytes());
    assert_eq!(push(&mut host, &last, Way::Forward, 1)[0].fate.why, Why::HopLimit);
}
