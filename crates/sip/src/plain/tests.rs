use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use crate::anomaly::Anomalies;
use crate::auth::{Challenge, Credentials};
use crate::signs::{Block, Signs};

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
const PIECES: [&str; 34] = [
    "", " ", "\t", "\r\n ", "\"", "\\", "<", ">", ";", ",", "=", ":", "@", "?", "[", "]", "/", "%", "*", "a",
    "0", "5060", "65536", "sip:", "SIP:", "tag", ";tag=1", "branch", "z9hG4bK", "Digest ", "nonce", "é",
    "\0", "\u{1}",
];

fn signs(text: &str) -> Signs {
    let mut signs = Signs::new();
    (0..text.len().div_ceil(64))
        .for_each(|number| signs.keep(number, Block::of(text.as_bytes(), number).signs));
    signs
}

/// What is read here is what the rules say, and the rules find nothing odd in it; how many of the four were read here.
fn agree(text: &str) -> usize {
    let bytes = text.as_bytes();
    let signs = signs(text);
    let walk = || signs.walk(bytes, 0);
    let mut anomalies = Anomalies::NONE;
    let (uri, address, via) = (uri(walk(), 0), name_addr(walk(), 0), via(walk(), 0));
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
    let is_digest = digest(walk(), 0, |_, _, _| {}).is_some();
    let (mut found, mut expected) = (Anomalies::NONE, Anomalies::NONE);
    assert_eq!(
        Credentials::read(walk(), 0, &mut found),
        Credentials::parse(bytes, &mut expected),
        "{text:?}"
    );
    assert_eq!(found, expected, "{text:?}");
    assert_eq!(Challenge::read(walk(), 0), Challenge::parse(bytes), "{text:?}");
    assert!(anomalies.is_empty(), "{text:?}: {anomalies}");
    [uri.is_some(), address.is_some(), via.is_some(), is_digest].into_iter().filter(|read| *read).count()
}

#[test]
fn what_nearly_all_write_is_read_here() {
    for text in PLAIN {
        assert_eq!(agree(text), 1, "{text}");
    }
}

#[test]
fn what_is_far_behind_is_left_to_the_rules() {
    let text = format!("{}sip:a@b", " ".repeat(3000));
    let signs = signs(&text);
    assert_eq!(uri(signs.walk(text.as_bytes(), 3000), 3000), None);
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
    fn fields_of_pieces_mean_what_the_rules_say(pieces in vec(select(&PIECES[..]), 0..12)) {
        agree(&pieces.concat());
    }
}
