use super::*;

const START: Duration = Duration::from_secs(1_700_000_000);

fn at(seconds: f64) -> Duration {
    START + Duration::from_secs_f64(seconds)
}

/// A datagram from 192.0.2.`from` to 192.0.2.`to`, without transport checksum.
fn v4(from: u8, to: u8, number: u8, payload: &[u8]) -> Vec<u8> {
    let len = u16::try_from(20 + payload.len()).unwrap().to_be_bytes();
    let mut bytes =
        vec![0x45, 0, len[0], len[1], 0, 0, 0, 0, 64, number, 0, 0, 192, 0, 2, from, 192, 0, 2, to];
    bytes.extend(payload);
    bytes
}

fn udp(from: u8, to: u8, source: u16, destination: u16) -> Vec<u8> {
    let mut payload = Vec::new();
    payload.extend(source.to_be_bytes());
    payload.extend(destination.to_be_bytes());
    payload.extend([0, 8, 0, 0]);
    v4(from, to, protocol::UDP, &payload)
}

fn icmp(from: u8, to: u8, kind: u8, id: u8, rest: &[u8]) -> Vec<u8> {
    let mut payload = vec![kind, 0, 0, 0, 0, id, 0, 1];
    payload.extend(rest);
    v4(from, to, protocol::ICMP, &payload)
}

fn lax() -> Conntrack {
    Conntrack::new(Settings { checksums: false, ..Settings::default() })
}

/// Tracks and accepts.
fn accept(conntrack: &mut Conntrack, bytes: &[u8], now: Duration) -> State {
    let packet = Packet::parse(bytes, bytes.len()).unwrap();
    let tracked = conntrack.track(&packet, Hook::Prerouting, now).unwrap();
    let state = tracked.state;
    conntrack.confirm(tracked, now);
    state
}

/// Tracks, and a rule drops it.
fn refuse(conntrack: &mut Conntrack, bytes: &[u8], now: Duration) -> State {
    let packet = Packet::parse(bytes, bytes.len()).unwrap();
    conntrack.track(&packet, Hook::Prerouting, now).unwrap().state
}

#[test]
fn udp_is_new_until_answered() {
    let mut conntrack = lax();
    assert_eq!(accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(0.0)), State::New);
    assert_eq!(accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(1.0)), State::New);
    assert_eq!(accept(&mut conntrack, &udp(2, 1, 5060, 1000), at(2.0)), State::Established);
    assert_eq!(accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(3.0)), State::Established);
    assert_eq!(accept(&mut conntrack, &udp(2, 1, 5061, 1000), at(3.0)), State::New);
    assert_eq!(conntrack.len(), 2);
}

#[test]
fn a_dropped_packet_opens_nothing_but_renews_what_is_open() {
    let mut conntrack = lax();
    assert_eq!(refuse(&mut conntrack, &udp(1, 2, 1000, 5060), at(0.0)), State::New);
    assert!(conntrack.is_empty());
    accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(0.0));
    refuse(&mut conntrack, &udp(1, 2, 1000, 5060), at(25.0));
    assert_eq!(accept(&mut conntrack, &udp(2, 1, 5060, 1000), at(50.0)), State::Established);
}

#[test]
fn unanswered_udp_lasts_thirty_seconds() {
    let mut conntrack = lax();
    accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(0.0));
    assert_eq!(accept(&mut conntrack, &udp(2, 1, 5060, 1000), at(29.9)), State::Established);
    accept(&mut conntrack, &udp(1, 2, 1001, 5060), at(30.0));
    assert_eq!(accept(&mut conntrack, &udp(2, 1, 5060, 1001), at(60.0)), State::New);
}

#[test]
fn a_stream_lasts_two_minutes_once_it_is_older_than_two_seconds() {
    let mut conntrack = lax();
    for second in [0.0, 1.0, 1.5] {
        accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(second));
        accept(&mut conntrack, &udp(2, 1, 5060, 1000), at(second));
    }
    assert_eq!(
        accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(31.6)),
        State::New,
        "a short exchange is no stream"
    );
    for second in [40.0, 45.0] {
        accept(&mut conntrack, &udp(2, 1, 5060, 1000), at(second));
        accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(second));
    }
    assert_eq!(accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(164.9)), State::Established);
    assert_eq!(accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(285.0)), State::New);
}

#[test]
fn lying_udp_lengths_are_invalid() {
    let mut conntrack = lax();
    for len in [0, 7, 9] {
        let mut bytes = udp(1, 2, 1000, 5060);
        bytes[25] = len;
        assert_eq!(accept(&mut conntrack, &bytes, at(0.0)), State::Invalid, "length {len}");
    }
}

#[test]
fn a_wrong_checksum_matters_only_on_arrival_and_when_asked() {
    let mut bytes = udp(1, 2, 1000, 5060);
    bytes[27] = 1;
    let packet = Packet::parse(&bytes, bytes.len()).unwrap();
    let mut strict = Conntrack::new(Settings::default());
    assert_eq!(strict.track(&packet, Hook::Prerouting, START).unwrap().state, State::Invalid);
    assert_eq!(strict.track(&packet, Hook::Output, START).unwrap().state, State::New);
    assert_eq!(lax().track(&packet, Hook::Prerouting, START).unwrap().state, State::New);
}

#[test]
fn echo_replies_need_a_request() {
    let mut conntrack = lax();
    assert_eq!(accept(&mut conntrack, &icmp(2, 1, 0, 7, &[]), at(0.0)), State::Invalid);
    assert_eq!(accept(&mut conntrack, &icmp(1, 2, 8, 7, &[]), at(0.0)), State::New);
    assert_eq!(accept(&mut conntrack, &icmp(2, 1, 0, 8, &[]), at(0.0)), State::Invalid);
    assert_eq!(accept(&mut conntrack, &icmp(2, 1, 0, 7, &[]), at(0.0)), State::Established);
    assert_eq!(accept(&mut conntrack, &icmp(1, 2, 8, 7, &[]), at(29.0)), State::Established);
    assert_eq!(accept(&mut conntrack, &icmp(1, 2, 8, 7, &[]), at(59.0)), State::New);
    assert_eq!(accept(&mut conntrack, &icmp(1, 2, 19, 7, &[]), at(0.0)), State::Invalid, "an unknown type");
    assert_eq!(
        accept(&mut conntrack, &icmp(1, 2, 10, 7, &[]), at(0.0)),
        State::Invalid,
        "not a query of conntrack"
    );
}

#[test]
fn errors_belong_to_the_connection_that_they_quote() {
    let mut conntrack = lax();
    let request = udp(1, 2, 1000, 5060);
    let error = |quoted: &[u8]| icmp(9, 1, 3, 0, quoted);
    assert_eq!(accept(&mut conntrack, &error(&request), at(0.0)), State::Invalid);
    accept(&mut conntrack, &request, at(0.0));
    assert_eq!(accept(&mut conntrack, &error(&request), at(0.0)), State::Related);
    assert_eq!(accept(&mut conntrack, &error(&request[..24]), at(0.0)), State::Related, "ports suffice");
    assert_eq!(accept(&mut conntrack, &error(&request[..23]), at(0.0)), State::Invalid);
    assert_eq!(
        accept(&mut conntrack, &icmp(9, 3, 3, 0, &request), at(0.0)),
        State::Invalid,
        "to somebody else"
    );
    assert_eq!(
        accept(&mut conntrack, &icmp(9, 1, 3, 0, &error(&request)), at(0.0)),
        State::Invalid,
        "error on error"
    );
    assert_eq!(accept(&mut conntrack, &error(&request), at(31.0)), State::Invalid, "an error renews nothing");
}

#[test]
fn an_error_about_a_reply_is_related_too() {
    let mut conntrack = lax();
    accept(&mut conntrack, &udp(1, 2, 1000, 5060), at(0.0));
    let reply = udp(2, 1, 5060, 1000);
    assert_eq!(accept(&mut conntrack, &icmp(9, 2, 11, 0, &reply), at(0.0)), State::Related);
}

#[test]
fn other_protocols_have_ten_minutes() {
    let mut conntrack = lax();
    assert_eq!(accept(&mut conntrack, &v4(1, 2, 50, &[0; 8]), at(0.0)), State::New);
    assert_eq!(accept(&mut conntrack, &v4(2, 1, 50, &[]), at(599.0)), State::Established);
    assert_eq!(accept(&mut conntrack, &v4(2, 1, 50, &[]), at(1199.5)), State::New);
}

fn v6(number: u8, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![0x60, 0, 0, 0, 0, u8::try_from(payload.len()).unwrap(), number, 255];
    bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
    bytes.extend([0xfe, 0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 2]);
    bytes.extend(payload);
    bytes
}

#[test]
fn neighbour_discovery_is_untracked() {
    let mut conntrack = lax();
    for kind in [130, 131, 132, 133, 134, 135, 136, 143] {
        assert_eq!(
            accept(&mut conntrack, &v6(58, &[kind, 0, 0, 0, 0, 0, 0, 0]), START),
            State::Untracked,
            "{kind}"
        );
    }
    assert_eq!(accept(&mut conntrack, &v6(58, &[137, 0, 0, 0, 0, 0, 0, 0]), START), State::Invalid);
    assert_eq!(accept(&mut conntrack, &v6(58, &[128, 0, 0, 0, 0, 0, 0, 0]), START), State::New);
    assert_eq!(accept(&mut conntrack, &v6(59, &[]), START), State::Invalid);
    assert_eq!(accept(&mut conntrack, &v6(1, &[8, 0, 0, 0, 0, 0, 0, 0]), START), State::Invalid);
}

#[test]
fn a_full_table_gives_up_what_is_not_assured() {
    let mut conntrack = Conntrack::new(Settings { max: 2, checksums: false, ..Settings::default() });
    accept(&mut conntrack, &udp(1, 2, 1, 5060), at(0.0));
    accept(&mut conntrack, &udp(1, 2, 2, 5060), at(0.0));
    accept(&mut conntrack, &udp(1, 2, 3, 5060), at(0.0));
    assert_eq!(conntrack.len(), 2);
    assert_eq!(refuse(&mut conntrack, &udp(2, 1, 5060, 3), at(0.0)), State::Established);
    assert_eq!(refuse(&mut conntrack, &udp(2, 1, 5060, 1), at(0.0)), State::New);
}

#[test]
fn a_table_full_of_assured_connections_refuses() {
    let mut conntrack = Conntrack::new(Settings { max: 1, checksums: false, ..Settings::default() });
    for second in [0.0, 3.0] {
        accept(&mut conntrack, &udp(1, 2, 1, 5060), at(second));
        accept(&mut conntrack, &udp(2, 1, 5060, 1), at(second));
    }
    accept(&mut conntrack, &udp(1, 2, 1, 5060), at(4.0));
    let other = udp(1, 2, 2, 5060);
    let packet = Packet::parse(&other, other.len()).unwrap();
    assert_eq!(conntrack.track(&packet, Hook::Prerouting, at(5.0)).map(|_| ()), Err(TableFull));
    assert!(conntrack.track(&packet, Hook::Prerouting, at(200.0)).is_ok(), "expired connections make room");
}

/// Of a connection from 192.0.2.1 port 9 to 192.0.2.2 port 80; whatever is not acknowledged is number 1.
fn segment(from_client: bool, flags: u8, sequence: u8, acknowledgement: u8) -> Vec<u8> {
    let (from, to, source, destination) = if from_client { (1, 2, 9, 80) } else { (2, 1, 80, 9) };
    let mut payload = vec![0, source, 0, destination, 0, 0, 0, sequence, 0, 0, 0, acknowledgement];
    payload.extend([0x50, flags, 1, 0, 0, 0, 0, 0]);
    v4(from, to, protocol::TCP, &payload)
}

/// Tracks, and a rule rejects it.
fn reject(conntrack: &mut Conntrack, bytes: &[u8], answer: Answer, now: Duration) -> State {
    let packet = Packet::parse(bytes, bytes.len()).unwrap();
    let tracked = conntrack.track(&packet, Hook::Prerouting, now).unwrap();
    let state = tracked.state;
    conntrack.rejected(tracked, &packet, answer, now);
    state
}

/// Tracks what this host sends.
fn send(conntrack: &mut Conntrack, bytes: &[u8], now: Duration) -> State {
    let packet = Packet::parse(bytes, bytes.len()).unwrap();
    let tracked = conntrack.track(&packet, Hook::Output, now).unwrap();
    let state = tracked.state;
    conntrack.confirm(tracked, now);
    state
}

const FIN: u8 = tcp_flags::FIN;
const SYN: u8 = tcp_flags::SYN;
const RST: u8 = tcp_flags::RST;
const ACK: u8 = tcp_flags::ACK;

/// The life of a connection: SYN_SENT, SYN_RECV, ESTABLISHED, FIN_WAIT, CLOSE_WAIT, LAST_ACK.
fn life() -> Vec<Vec<u8>> {
    vec![
        segment(true, SYN, 9, 0),
        segment(false, SYN | ACK, 49, 10),
        segment(true, ACK, 10, 50),
        segment(true, FIN | ACK, 10, 50),
        segment(false, ACK, 50, 11),
        segment(false, FIN | ACK, 50, 11),
    ]
}

/// Whether the connection is still known after the time that a closed one has.
fn outlives_closing(conntrack: &mut Conntrack) -> bool {
    refuse(conntrack, &segment(false, ACK, 50, 10), at(11.0)) != State::New
}

#[test]
fn a_rule_that_resets_closes_the_connection_in_every_state() {
    for steps in 1..=life().len() {
        for (answer, stays) in [(Answer::TcpReset, false), (Answer::IcmpError, true)] {
            let mut conntrack = lax();
            for step in &life()[..steps] {
                assert_ne!(accept(&mut conntrack, step, at(0.0)), State::Invalid);
            }
            let last = life()[steps - 1].clone();
            assert_ne!(reject(&mut conntrack, &last, answer, at(0.5)), State::Invalid);
            assert_eq!(outlives_closing(&mut conntrack), stays, "{answer:?} after {steps}");
        }
    }
}

#[test]
fn closing_again_does_not_prolong() {
    let mut conntrack = lax();
    accept(&mut conntrack, &segment(true, ACK, 10, 50), at(0.0));
    reject(&mut conntrack, &segment(true, SYN, 9, 0), Answer::TcpReset, at(0.0));
    // Let through in CLOSE, which renews nothing either.
    reject(&mut conntrack, &segment(true, SYN, 9, 0), Answer::TcpReset, at(9.0));
    assert!(!outlives_closing(&mut conntrack));
}

#[test]
fn a_rule_resets_no_reset_and_no_invalid_packet() {
    let open = || {
        let mut conntrack = lax();
        for step in &life()[..3] {
            accept(&mut conntrack, step, at(0.0));
        }
        conntrack
    };
    let mut conntrack = open();
    // Not quite the expected number, so that it is challenged and the connection stays (RFC 5961 section 3.2).
    let reset = segment(true, RST, 15, 0);
    assert_eq!(reject(&mut conntrack, &reset, Answer::TcpReset, at(1.0)), State::Established);
    let answer = segment(false, RST, 49, 0);
    assert_eq!(
        send(&mut conntrack, &answer, at(1.0)),
        State::Invalid,
        "it is no answer, and out of the window"
    );
    let mut conntrack = open();
    let outside = segment(true, ACK | tcp_flags::PSH, 10, 255);
    assert_eq!(reject(&mut conntrack, &outside, Answer::TcpReset, at(1.0)), State::Invalid);
    assert!(outlives_closing(&mut conntrack));
    assert_eq!(send(&mut conntrack, &segment(false, RST, 50, 0), at(12.0)), State::Established, "followed");
    let gone = refuse(&mut conntrack, &segment(true, ACK, 10, 50), at(23.0));
    assert_eq!(gone, State::New, "it closed the connection");
}

#[test]
fn a_rejected_packet_is_answered_once() {
    let mut conntrack = lax();
    let (syn, reset) = (segment(true, SYN, 9, 0), segment(false, RST | ACK, 0, 10));
    for _ in 0..2 {
        assert_eq!(reject(&mut conntrack, &syn, Answer::TcpReset, at(0.0)), State::New);
    }
    assert_eq!(send(&mut conntrack, &reset, at(0.0)), State::Related);
    assert_eq!(send(&mut conntrack, &reset, at(0.0)), State::Related);
    assert_eq!(send(&mut conntrack, &reset, at(0.0)), State::Invalid, "nobody waits for it any more");
    // Now the host itself refuses the connection, which therefore ends.
    assert_eq!(accept(&mut conntrack, &syn, at(0.1)), State::New);
    assert_eq!(send(&mut conntrack, &reset, at(0.1)), State::Established);
    assert!(conntrack.is_empty() || !outlives_closing(&mut conntrack));
}

#[test]
fn another_kind_of_answer_is_not_the_answer() {
    let mut conntrack = lax();
    let syn = segment(true, SYN, 9, 0);
    reject(&mut conntrack, &syn, Answer::IcmpError, at(0.0));
    assert_eq!(send(&mut conntrack, &segment(false, RST | ACK, 0, 10), at(0.0)), State::Invalid);
    assert_eq!(send(&mut conntrack, &icmp(2, 1, 3, 0, &syn), at(0.0)), State::Related);
    assert_eq!(send(&mut conntrack, &icmp(2, 1, 3, 0, &syn), at(0.0)), State::Invalid);
}

proptest::proptest! {
    /// Nothing that can be read as a datagram makes the tracker panic.
    #[test]
    fn hostile_datagrams_are_judged(packets in proptest::collection::vec(proptest::collection::vec(0u8.., 0..120), 1..40)) {
        let mut conntrack = lax();
        for (second, mut bytes) in packets.into_iter().enumerate() {
            if let Some(first) = bytes.first_mut() {
                *first = if *first & 1 == 0 { 0x45 } else { 0x60 };
            }
            let wire_len = bytes.len() + 65_535;
            if let Ok(packet) = Packet::parse(&bytes, wire_len) {
                let now = START + Duration::from_secs(second as u64);
                if let Ok(tracked) = conntrack.track(&packet, Hook::Prerouting, now) {
                    conntrack.confirm(tracked, now);
                }
            }
        }
    }
}
