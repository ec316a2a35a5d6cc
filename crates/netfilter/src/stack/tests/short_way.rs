//! The short way and the long one say the same.

use policy::ruleset::ChainId;

use super::*;
use crate::packet::checksum;
use crate::rules::Counter;

/// A sequence that is the same in every run.
#[derive(Debug)]
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, bound: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(self.0 >> 33).unwrap() % bound
    }
}

fn parsed(bytes: &[u8]) -> Packet<'_> {
    Packet::parse(bytes, bytes.len()).unwrap()
}

/// The verdict by the short way where that is open, else by the long one.
fn shortest(host: &mut Stack<u32>, bytes: &[u8], way: Way, now: Duration, short: &mut u32) -> Verdict {
    let packet = parsed(bytes);
    let flow = Flow::of(&packet, way, &Settings::default()).expect("a whole datagram");
    host.expire(now);
    if host.accepts_again(&flow, packet.total_len(), now) {
        *short += 1;
        return Verdict::Accept;
    }
    longest(host, bytes, way, now)
}

fn longest(host: &mut Stack<u32>, bytes: &[u8], way: Way, now: Duration) -> Verdict {
    host.expire(now);
    host.alone(&parsed(bytes), way, now).expect("no fragment").verdict
}

/// The fate by rules that remember nothing of the flow, as each packet comes through another interface.
fn anew(host: &mut Stack<u32>, packet: &Packet<'_>, way: Way, now: Duration, count: u64) -> Fate {
    let name = format!("eth{count}");
    host.expire(now);
    host.alone(&packet.with_interfaces(Some(&name), Some(&name)), way, now).expect("no fragment")
}

fn counters(host: &Stack<u32>, chains: usize) -> Vec<Counter> {
    let rules = host.rules();
    let of_rules = (0..chains).flat_map(|chain| rules.counters(Family::Ipv4, ChainId(chain)));
    let of_policies = [Hook::Input, Hook::Output].map(|hook| rules.policy_counter(Family::Ipv4, hook));
    of_rules.chain(of_policies).collect()
}

/// Calls one chain twice, so that a rule counts a packet twice; searches some for headers.
const RULES: &str = ":INPUT DROP [0:0]\n:OUTPUT ACCEPT [0:0]\n:MEDIA - [0:0]\n:SEEN - [0:0]\n\
    -A INPUT -m state --state INVALID -j DROP\n\
    -A INPUT -j SEEN\n\
    -A INPUT -p udp -m udp --dport 10000:20000 -j MEDIA\n\
    -A INPUT -p udp -m udp --dport 53 -m limit --limit 1/sec -j ACCEPT\n\
    -A INPUT -m state --state ESTABLISHED -j ACCEPT\n\
    -A OUTPUT -p udp -m udp --dport 53 -m length --length 60:65535 -j DROP\n\
    -A MEDIA -j SEEN\n\
    -A MEDIA -m state --state NEW,ESTABLISHED -j ACCEPT\n\
    -A SEEN -p udp";

#[test]
fn verdicts_and_counters_are_those_of_the_long_way() {
    let (mut one, mut other) = (host(RULES), host(RULES));
    let mut numbers = Numbers(1);
    let (mut now, mut short) = (START, 0);
    for count in 0..20_000 {
        // Mostly soon, sometimes to the very second or nanosecond in which a connection ends.
        let later =
            [0, 1_000_000, 20_000_000, 2_000_000_000, 30_000_000_000, 120_000_000_000, 29_999_999_999];
        let at = if numbers.below(40) == 0 { 2 + numbers.below(5) } else { numbers.below(3) };
        now += Duration::from_nanos(later[at]);
        let (peer, way) = (2 + u8::try_from(numbers.below(3)).unwrap(), numbers.below(2));
        let port = [10_000, 20_001, 53, 5060][numbers.below(4)];
        let data = vec![0; [4, 40][numbers.below(2)]];
        let (bytes, way) = match way {
            0 => (v4(peer, 1, 17, 0, &udp(4000, port, &data)), Way::Input),
            _ => (v4(1, peer, 17, 0, &udp(port, 4000, &data)), Way::Output),
        };
        let expected = anew(&mut other, &parsed(&bytes), way, now, count).verdict;
        assert_eq!(shortest(&mut one, &bytes, way, now, &mut short), expected);
    }
    assert!(short > 5_000, "{short}");
    assert_eq!(other.rules().went_again(), 0);
    assert_eq!(counters(&one, 5), counters(&other, 5));
}

#[test]
fn a_connection_ends_at_the_very_time() {
    let (out, back) = (v4(1, 2, 17, 0, &udp(1000, 53, b"")), v4(2, 1, 17, 0, &udp(53, 1000, b"")));
    for (later, lives) in [(29_999_999_999, true), (30_000_000_000, false), (30_000_000_001, false)] {
        let (mut one, mut other) = (host(STATEFUL), host(STATEFUL));
        let mut short = 0;
        for host in [&mut one, &mut other] {
            for (bytes, way) in [(&out, Way::Output), (&back, Way::Input), (&back, Way::Input)] {
                assert_eq!(longest(host, bytes, way, START), Verdict::Accept);
            }
        }
        let now = START + Duration::from_nanos(later);
        let expected = if lives { Verdict::Accept } else { Verdict::Drop };
        assert_eq!(longest(&mut other, &back, Way::Input, now), expected);
        assert_eq!(shortest(&mut one, &back, Way::Input, now, &mut short), expected);
        assert_eq!(short, u32::from(lives));
    }
}

/// One that goes on for more than two seconds is spared when the table is full.
#[test]
fn what_is_renewed_becomes_assured() {
    let settings = conntrack::Settings { checksums: false, max: 1, ..conntrack::Settings::default() };
    let file = iptables::parse("test", &format!("*filter\n{STATEFUL}\nCOMMIT\n")).expect("rules");
    let (out, back) = (v4(1, 2, 17, 0, &udp(1000, 53, b"")), v4(2, 1, 17, 0, &udp(53, 1000, b"")));
    let another = v4(1, 3, 17, 0, &udp(1000, 53, b""));
    for (seconds, fits) in [(2, true), (3, false)] {
        let mut host = Stack::new(&file.ipv4, Settings { conntrack: settings, ..Settings::default() });
        for (bytes, way) in [(&out, Way::Output), (&back, Way::Input), (&back, Way::Input)] {
            assert_eq!(longest(&mut host, bytes, way, START), Verdict::Accept);
        }
        let now = START + Duration::from_secs(seconds);
        let mut short = 0;
        assert_eq!(shortest(&mut host, &back, Way::Input, now, &mut short), Verdict::Accept);
        assert_eq!(short, 1);
        let why = host.alone(&parsed(&another), Way::Output, now).unwrap().why;
        assert_eq!(why != Why::ConntrackFull, fits, "after {seconds} seconds: {why:?}");
    }
}

/// A connection that was thrown out and opened anew is found again, though the flow remembers the old one.
#[test]
fn a_flow_finds_the_connection_that_took_the_place_of_its_own() {
    let mut host = host(STATEFUL);
    let back = v4(2, 1, 17, 0, &udp(53, 1000, b""));
    let packet = parsed(&back);
    let flow = Flow::of(&packet, Way::Input, &Settings::default()).unwrap();
    let mut now = START;
    for _ in 0..3 {
        let out = v4(1, 2, 17, 0, &udp(1000, 53, b""));
        assert_eq!(longest(&mut host, &out, Way::Output, now), Verdict::Accept);
        assert!(!host.accepts_again(&flow, 28, now), "the rules saw no answer yet");
        assert_eq!(longest(&mut host, &back, Way::Input, now), Verdict::Accept);
        assert!(host.accepts_again(&flow, 28, now));
        now += Duration::from_secs(1000);
        assert!(!host.accepts_again(&flow, 28, now));
    }
}

/// Judges SIP in one connection by remembered paths and by none: some packets with a signature, some cut, from the one of number
/// `odd_from` on. Tells how many went a remembered path.
fn inspected(policy: &str, odd_from: u64) -> u64 {
    let policy = policy::Policy::parse("test", policy.as_bytes().to_vec()).expect("a policy");
    let settings = conntrack::Settings { checksums: false, ..conntrack::Settings::default() };
    let settings = Settings { conntrack: settings, ..Settings::default() };
    let (mut one, mut fresh): (Stack<u32>, Stack<u32>) =
        (Stack::new(policy.sets(), settings), Stack::new(policy.sets(), settings));
    let texts: [&[u8]; 4] = [
        b"OPTIONS sip:a SIP/2.0\r\nUser-Agent: phone\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nUser-Agent: scanner\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\nSubject: attack\r\n\r\n",
        b"OPTIONS sip:a SIP/2.0\r\n\r\n",
    ];
    let mut numbers = Numbers(7);
    let (mut dropped, mut uncertain) = (0, 0);
    for count in 0..2000_u64 {
        let now = START + Duration::from_millis(count * 20);
        let may_be_odd = count >= odd_from;
        let data = texts[if may_be_odd && numbers.below(4) == 0 { numbers.below(4) } else { 0 }];
        let (bytes, way) = match numbers.below(4) {
            0 => (v4(1, 2, 17, 0, &udp(5060, 5060, data)), Way::Output),
            _ => (v4(2, 1, 17, 0, &udp(5060, 5060, data)), Way::Input),
        };
        let is_cut = may_be_odd && numbers.below(20) == 0;
        let packet = Packet::parse(&bytes[..bytes.len() - if is_cut { 3 } else { 0 }], bytes.len()).unwrap();
        if way == Way::Input {
            let flow = Flow::of(&packet, way, &settings).expect("a whole datagram");
            assert!(!one.accepts_again(&flow, packet.total_len(), now), "it takes a look at the packet");
        }
        let expected = anew(&mut fresh, &packet, way, now, count);
        let fate = one.alone(&packet, way, now).unwrap();
        dropped += u32::from(fate.verdict == Verdict::Drop);
        uncertain += u32::from(fate.uncertain);
        assert_eq!(fate, expected, "packet {count}");
    }
    assert!(dropped > 50 && uncertain > 50, "{dropped} {uncertain}");
    assert_eq!(fresh.rules().went_again(), 0);
    for set in policy.sets().iter().filter(|set| set.family == Family::Ipv4) {
        assert_eq!(counters(&one, set.chains.len()), counters(&fresh, set.chains.len()));
    }
    one.rules().went_again()
}

const SIP: &str = "[services]\nsip = { udp = [5060], inspect = true }\n";
const NO_LOG: &str = "[log]\nsignatures = \"\"\n";
const ONE: &str = "[[signatures]]\nname = \"one\"\nheader = \"User-Agent\"\ntext = \"scanner\"\n";
const TWO: &str = "[[signatures]]\nname = \"two\"\nheader = \"Subject\"\ntext = \"attack\"\n";

/// With signatures on two headers, which one search tells.
#[test]
fn a_packet_without_signature_goes_the_path_of_the_one_before() {
    for log in ["", NO_LOG] {
        // In the one case the first of each state is clean, in the other it may have a signature.
        for odd_from in [20, 0] {
            let again = inspected(&[SIP, log, ONE, TWO].concat(), odd_from);
            assert!(again > 1500, "{again}: an odd packet ends nothing");
        }
    }
}

/// There is no search that tells the same of all packets.
#[test]
fn with_one_signature_inspected_packets_go_the_long_way() {
    for odd_from in [20, 0] {
        let sent = inspected(&[SIP, NO_LOG, ONE].concat(), odd_from);
        assert!(sent < 700, "{sent}: only what goes out");
    }
}

/// Sums of pairs, one after another, as RFC 1071 has it.
fn pairwise(data: &[u8]) -> u16 {
    let pair =
        |pair: &[u8]| u32::from(u16::from_be_bytes([pair[0], pair.get(1).copied().unwrap_or_default()]));
    let total = data.chunks(2).map(pair).fold(0_u32, |sum, word| {
        let sum = sum + word;
        (sum & 0xffff) + (sum >> 16)
    });
    u16::try_from(total).unwrap()
}

#[test]
fn wide_sums_are_those_of_pairs() {
    let mut numbers = Numbers(3);
    for round in 0..4000 {
        let data: Vec<u8> = (0..round % 131)
            .map(|_| if numbers.below(3) == 0 { 0xff } else { u8::try_from(numbers.below(256)).unwrap() })
            .collect();
        assert_eq!(checksum::sum(&data), pairwise(&data), "{data:?}");
        if let Some(header) = data.first_chunk::<20>() {
            let mut header = *header;
            header[10..12].fill(0);
            let sum = !pairwise(&header);
            header[10..12].copy_from_slice(&sum.to_be_bytes());
            assert!(checksum::is_right_v4(&header));
            header[numbers.below(20)] ^= 1 << numbers.below(8);
            assert_eq!(checksum::is_right_v4(&header), pairwise(&header) == 0xffff);
        }
    }
    assert!(!checksum::is_right_v4(&[0; 20]));
}

/// What is read in short is what a packet says, and nothing that it would refuse; most of what is plain is read so.
#[test]
fn plain_datagrams_are_packets() {
    let mut numbers = Numbers(5);
    let strict = Settings::default();
    let (mut read, mut refused) = (0, 0);
    for round in 0..60_000_u32 {
        let data: Vec<u8> = (0..numbers.below(40)).map(|byte| u8::try_from(byte).unwrap()).collect();
        let mut bytes = v4(2, 1, 17, 0, &udp(4000, 10_000, &data));
        if round % 3 == 0 {
            let sum = u64::from(pairwise(&bytes[12..20])) + 17 + u64::try_from(bytes.len() - 20).unwrap();
            let sum =
                pairwise(&[&bytes[20..], &u16::try_from(sum % 0xffff).unwrap().to_be_bytes()[..]].concat());
            // The data may end in the middle of a pair, and then this sum is a wrong one.
            bytes[26..28].copy_from_slice(&(!sum).to_be_bytes());
        }
        for _ in 0..numbers.below(3) {
            let at = numbers.below(bytes.len().min(28));
            bytes[at] = [0, 1, 0x20, 0x45, 0x46, 127, 224, 255][numbers.below(8)];
        }
        if numbers.below(2) == 0 {
            bytes[10..12].fill(0);
            let sum = !pairwise(&bytes[..20]);
            bytes[10..12].copy_from_slice(&sum.to_be_bytes());
        }
        bytes.extend(vec![0; numbers.below(3)]);
        bytes.truncate(bytes.len() - numbers.below(3));
        let packet = Packet::parse(&bytes, bytes.len());
        for way in [Way::Input, Way::Output] {
            let long =
                packet.ok().and_then(|packet| Flow::of(&packet, way, &strict).map(|flow| (packet, flow)));
            let plain = Plain::read(&bytes).filter(|plain| plain.is_sound(way, &strict));
            let short = plain.and_then(|plain| plain.flow(way, None).map(|flow| (plain, flow)));
            match (short, long) {
                (Some((plain, short)), Some((packet, long))) => {
                    assert_eq!(
                        (plain.len, short.tuple, short.hook),
                        (packet.total_len(), long.tuple, long.hook)
                    );
                    assert_eq!(short.near, long.near);
                    assert_eq!(packet.ports(), Some((plain.source_port, plain.destination_port)));
                    read += 1;
                }
                (Some((plain, _)), None) => panic!("{plain:?} of {bytes:?}"),
                (None, _) => refused += 1,
            }
        }
    }
    assert!(read > 20_000 && refused > 20_000, "{read} {refused}");
}
