use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::anomaly::Anomalies;
use crate::auth::{Challenge, Credentials};
use crate::scan::Scan;
use crate::signs::Signs;
use crate::{Carrier, Message, View};

/// Fields that are plain, of which the tests change pieces.
const PLAIN: [&str; 10] = [
    "sip:1000@pbx.example.com:5061;transport=udp",
    "sip:pbx.example.com",
    "<sip:1000@pbx.example.com>;tag=7f4a2c11",
    "\"Desk, 1000\" <sip:+1555@192.0.2.10:5060;ob>;expires=300;+sip.instance=x",
    "\"\"<sip:a@b>",
    "SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287-1---8f2b;rport",
    "SIP/2.0/TCP pbx.example.com;branch=z9hG4bKx;received=2001:db8::1;rport=5062",
    "Digest username=\"1000\",realm=\"a b, c\",nonce=\"17/f4==\",uri=\"sip:pbx\",response=\"00ff\"",
    "Digest username=\"1\", realm=\"a\", nonce=\"n\", uri=\"sip:a;b\", response=\"1\", algorithm=MD5, qop=auth, nc=1",
    "Digest realm=\"asterisk\",nonce=\"1/2\",opaque=\"\",algorithm=md5,qop=\"auth\",stale=true",
];
const BEGINNINGS: [&str; 7] = [
    "sip:a",
    "<sip:a@b>",
    "<sip:a",
    "SIP/2.0/UDP h;branch=z9hG4bK1",
    "SIP/2.0/UDP h",
    "Digest realm=\"a\"",
    "Digest nonce=",
];
const PIECES: [&str; 34] = [
    "", " ", "\t", "\r\n ", "\"", "\\", "<", ">", ";", ",", "=", ":", "@", "?", "[", "]", "/", "%", "*", "a",
    "0", "5060", "65536", "sip:", "SIP:", "tag", ";tag=1", "branch", "z9hG4bK", "Digest ", "nonce", "é",
    "\0", "\u{1}",
];

/// `None` where an empty line ends the headers, so that it can be no field.
fn signs(text: &str) -> Option<Signs> {
    let (mut scan, mut signs) = (Scan::new(), Signs::new());
    scan.go_on(text.as_bytes(), &mut signs);
    while !scan.ends().is_empty() {
        scan.go_on(text.as_bytes(), &mut signs);
    }
    scan.body_at().is_none().then_some(signs)
}

/// What is read here is what the rules say, and the rules find nothing odd in it; how many of the four were read here.
fn agree(text: &str) -> usize {
    let bytes = text.as_bytes();
    let Some(signs) = signs(text) else { return 0 };
    let walk = || signs.walk(bytes, 0).unwrap();
    let mut anomalies = Anomalies::NONE;
    let (uri, address, via) = (uri(walk()), name_addr(walk()), via(walk()));
    let (credentials, challenge) = (Credentials::plain(walk()), Challenge::plain(walk()));
    if uri.is_some() {
        assert_eq!(uri, Uri::parse(bytes), "{text:?}");
    }
    if let Some(address) = address {
        assert_eq!(address, NameAddr::parse(bytes, &mut anomalies), "{text:?}");
        assert_eq!(address, NameAddr::parse_first(bytes, &mut anomalies).0, "{text:?}");
    }
    if via.is_some() {
        assert_eq!(via, Via::parse(bytes, &mut anomalies), "{text:?}");
    }
    if let Some(credentials) = credentials {
        assert_eq!(credentials, Credentials::parse(bytes, &mut anomalies), "{text:?}");
    }
    if let Some(challenge) = challenge {
        assert_eq!(challenge, Challenge::parse(bytes), "{text:?}");
    }
    assert!(anomalies.is_empty(), "{text:?}: {anomalies}");
    [uri.is_some(), address.is_some(), via.is_some(), challenge.is_some()]
        .into_iter()
        .filter(|read| *read)
        .count()
}

#[test]
fn what_nearly_all_write_is_read_here() {
    for text in PLAIN {
        assert_eq!(agree(text), 1, "{text}");
    }
}

#[test]
fn the_first_of_two_parameters_counts() {
    for text in [
        "SIP/2.0/UDP h;branch=z9hG4bK1;BRANCH=q",
        "SIP/2.0/UDP h;rport=1;branch=z9hG4bK1;rport=2",
        "SIP/2.0/UDP h;received=1;branch=z9hG4bK1;Received=2",
    ] {
        assert_eq!(agree(text), 1, "{text}");
    }
    assert_eq!(agree("<sip:a@b>;tag=1;tag=2"), 0);
}

#[test]
fn a_sign_without_its_place_is_none() {
    assert_eq!(agree("sip:pbx.example.com="), 0);
    assert_eq!(agree("sip:pbx.example.com:5060=x"), 0);
}

/// A message whose field begins or ends around the last byte whose signs are kept.
#[test]
fn fields_beyond_what_is_kept_are_left_to_the_rules() {
    let fields = [
        "From: <sip:1000@pbx.example.com>;tag=7f4a2c11;x",
        "Via: SIP/2.0/UDP 192.0.2.10:5060;branch=z9hG4bK-524287;rport",
        "Authorization: Digest username=\"1\",realm=\"a\",nonce=\"n\",uri=\"sip:a\",response=\"1\",nc=1",
        "WWW-Authenticate: Digest realm=\"a\",nonce=\"n\",stale=true",
        "Contact: \"A\" <sip:1000@192.0.2.10>;expires=300",
    ];
    let fixed = "ACK sip:a@b SIP/2.0\r\nZ: \r\n".len();
    for field in fields {
        let (name, value) = field.split_once(": ").unwrap();
        for filling in 2048 - fixed - field.len() - 2..2048 - fixed + 2 {
            let text = format!("ACK sip:a@b SIP/2.0\r\nZ: {}\r\n{field}\r\n\r\n", "z".repeat(filling));
            let message = Message::read(&View::parse(text.as_bytes(), Carrier::Datagram).unwrap());
            let (value, mut anomalies) = (value.as_bytes(), Anomalies::NONE);
            match name {
                "From" => assert_eq!(message.from, Some(NameAddr::parse(value, &mut anomalies)), "{filling}"),
                "Via" => assert_eq!(message.via, Via::parse(value, &mut anomalies), "{filling}"),
                "Contact" => {
                    assert_eq!(message.contact, Some(NameAddr::parse(value, &mut anomalies)), "{filling}")
                }
                "Authorization" => {
                    assert_eq!(
                        message.credentials,
                        Some(Credentials::parse(value, &mut anomalies)),
                        "{filling}"
                    );
                }
                _ => assert_eq!(message.challenge, Some(Challenge::parse(value)), "{filling}"),
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(20_000))]

    #[test]
    fn changed_fields_mean_what_the_rules_say(
        text in select(&PLAIN[..]),
        changes in vec((any::<prop::sample::Index>(), select(&PIECES[..]), 0..4_usize), 0..4),
    ) {
        let mut text = text.to_owned();
        for (at, piece, taken) in changes {
            let places: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let at = at.index(places.len());
            let end = (at + taken).min(places.len() - 1);
            text.replace_range(places[at]..places[end], piece);
        }
        agree(&text);
    }

    #[test]
    fn fields_of_pieces_mean_what_the_rules_say(
        begin in select(&BEGINNINGS[..]),
        pieces in vec(select(&PIECES[..]), 0..7),
    ) {
        agree(&(begin.to_owned() + &pieces.concat()));
    }
}
