//! What other tools fell into.

use std::time::Duration;

use engine::Kind;

use super::wire::{Ask, World};

const ATTACKER: &str = "203.0.113.9:5071";

type Disguise = fn(Vec<u8>) -> Vec<u8>;

/// Each attack message in a shape that some parser skips whole.
fn disguises() -> Vec<(&'static str, Disguise)> {
    fn replace(bytes: Vec<u8>, from: &str, to: &[u8]) -> Vec<u8> {
        let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect("it is there");
        [&bytes[..at], to, &bytes[at + from.len()..]].concat()
    }
    vec![
        ("bytes that are no UTF-8", |bytes| replace(bytes, "Acme Phone", b"\xff\xfe\x80")),
        ("a leading CRLF", |bytes| [b"\r\n\r\n".as_slice(), &bytes].concat()),
        ("scheme and version in capitals", |bytes| {
            let bytes = replace(bytes, "sip:pbx.example.com SIP/2.0", b"SIP:pbx.example.com sip/2.0");
            replace(bytes, "<sip:", b"<SIP:")
        }),
        ("compact headers", |bytes| {
            let bytes = replace(bytes, "From:", b"f:");
            let bytes = replace(bytes, "Call-ID:", b"I :");
            let bytes = replace(bytes, "Via:", b"v:");
            replace(bytes, "To:", b"t:")
        }),
        ("folded headers", |bytes| {
            let bytes = replace(bytes, "From: ", b"From:\r\n ");
            replace(bytes, ";tag=", b"\r\n\t;tag=")
        }),
        ("line feeds only", |bytes| {
            String::from_utf8(bytes).expect("text").replace("\r\n", "\n").into_bytes()
        }),
        ("an agent of three kilobytes", |bytes| {
            replace(bytes, "Acme", "Phone with a long name ".repeat(130).as_bytes())
        }),
        ("a hundred headers before the rest", |bytes| {
            replace(bytes, "Via:", [b"X-Padding: 1\r\n".repeat(100).as_slice(), b"Via:"].concat().as_slice())
        }),
        ("junk before the start line", |bytes| [b"\x01\x02\xff".as_slice(), &bytes].concat()),
        ("a body with 0xFF", |bytes| {
            replace(
                bytes,
                "Content-Length: 0\r\n\r\n",
                b"Content-Type: a/b\r\nContent-Length: 2\r\n\r\n\xff\xff",
            )
        }),
    ]
}

#[test]
fn guesses_are_seen_in_every_disguise() {
    for (name, disguise) in disguises() {
        let mut world = World::new();
        world.account("1000", "9999");
        let mut reached = 0;
        for guess in 0..40 {
            let ask = Ask::register("1000", &format!("g{guess}"));
            let Some(nonce) = world.say(ATTACKER, &disguise(ask.bytes())).and_then(|reply| reply.nonce)
            else {
                break;
            };
            let again = ask.with_credentials(&nonce, "1000", &guess.to_string());
            reached += u32::from(world.say(ATTACKER, &disguise(again.bytes())).is_some());
        }
        assert!(reached < 10, "{name}: {reached}");
        assert_eq!(world.bans().len(), 1, "{name}");
    }
}

/// The PBX takes the credentials that answer its own challenge; others before them hide nothing.
#[test]
fn credentials_before_the_ones_that_count() {
    for decoy in [
        "Authorization: Basic eDp5\r\n",
        "Proxy-Authorization: Digest username=\"x\",realm=\"y\",nonce=\"zzzzzzzzzz\",uri=\"sip:z\",response=\"0\"\r\n",
        "Authorization: Digest username=\"x\",realm=\"y\",nonce=\"zzzzzzzzzz\",uri=\"sip:z\",response=\"0\"\r\n",
    ] {
        let mut world = World::new();
        let mut reached = 0;
        for guess in 0..40 {
            let ask = Ask::register("1000", &format!("g{guess}"));
            let Some(nonce) = world.exchange(ATTACKER, &ask, 401) else { break };
            let mut again = ask.with_credentials(&nonce, "1000", &guess.to_string());
            again.agent += &format!("\r\n{}", decoy.trim_end());
            reached += u32::from(world.exchange(ATTACKER, &again, 401).is_some());
            world.wait(Duration::from_secs(1));
        }
        assert!(reached < 10, "{decoy}: {reached}");
        assert_eq!(world.bans().len(), 1, "{decoy}");
    }
}

#[test]
fn one_success_exempts_nobody() {
    let mut world = World::new();
    world.account("1000", "9999");
    world.account("2000", "mine");
    assert!(world.phone_registers(ATTACKER, "2000", "s"));
    let mut reached = 0;
    for guess in 0..300 {
        reached += u32::from(world.guess(ATTACKER, "1000", &guess.to_string(), &format!("g{guess}")));
    }
    assert!(reached < 40, "{reached}");
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::PasswordGuessing)]);
    // Different accounts are no phone with an old password either.
    let mut world = World::new();
    world.account("2000", "mine");
    assert!(world.phone_registers(ATTACKER, "2000", "s"));
    let mut reached = 0;
    for guess in 0..300 {
        reached +=
            u32::from(world.guess(ATTACKER, &(3000 + guess).to_string(), "1234", &format!("g{guess}")));
    }
    assert!(reached < 40, "{reached}");
}

#[test]
fn a_success_in_between_does_not_wash_guesses_away() {
    let mut world = World::new();
    world.account("1000", "9999");
    world.account("2000", "mine");
    let mut reached = 0;
    for guess in 0..200 {
        world.phone_registers(ATTACKER, "2000", &format!("s{guess}"));
        reached += u32::from(world.guess(ATTACKER, "1000", &guess.to_string(), &format!("g{guess}")));
        world.wait(Duration::from_secs(1));
    }
    assert!(reached < 60, "{reached}");
    assert_eq!(world.bans().len(), 1);
}

#[test]
fn a_list_that_many_sources_share() {
    let mut world = World::new();
    world.account("1000", "9999");
    for source in 1..60 {
        for guess in 0..2 {
            world.guess(
                &format!("203.0.{source}.9:5071"),
                "1000",
                &format!("{source}-{guess}"),
                &format!("l{source}-{guess}"),
            );
            world.wait(Duration::from_secs(20));
        }
    }
    assert!(world.alerts().iter().any(|alert| alert.contains("different sources")), "{:?}", world.alerts());
}

#[test]
fn a_challenge_is_no_failure() {
    let mut world = World::new();
    for call in 0..500 {
        // A phone that never gets our answers repeats one question.
        world.ask("203.0.113.77:5060", &Ask::register("1000", &format!("r{call}")));
        world.wait(Duration::from_secs(30));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

#[test]
fn retransmissions_are_one_request() {
    let mut world = World::new();
    world.account("1000", "9999");
    let ask = Ask::register("1000", "one");
    let nonce = world.ask("203.0.113.78:5060", &ask).and_then(|reply| reply.nonce).expect("a challenge");
    let wrong = ask.with_credentials(&nonce, "1000", "typo");
    for _ in 0..11 {
        world.ask("203.0.113.78:5060", &wrong);
        world.wait(Duration::from_secs(2));
    }
    assert_eq!(world.evidence(Kind::PasswordGuessing).len(), 1);
    world.nobody_is_banned();
}

#[test]
fn tools_are_known_with_forged_agents() {
    let tag = |data: &str| -> String {
        [data.as_bytes(), b"\x012378319211"].concat().iter().map(|byte| format!("{byte:02x}")).collect()
    };
    let svmap = Ask {
        tag: tag("c633640113c4"),
        call: "728364518273645182736451".into(),
        branch: "z9hG4bK-3827364512".into(),
        ..Ask::new("OPTIONS", "100", "100", "a")
    };
    let svwar = Ask { tag: tag("1000"), call: "3827364512".into(), ..Ask::register("1000", "b") };
    let sippts = Ask {
        branch: "abcdefghij0123456789abcdefghij0123456789abcdefghij0123456789abcdefghij0".into(),
        call: "0123456789abcdef0123456789abcdef".into(),
        tag: "0a1b2c3d".into(),
        ..Ask::new("OPTIONS", "100", "100", "c")
    };
    for (name, ask) in [("svmap", svmap), ("svwar", svwar), ("sippts", sippts)] {
        let mut world = World::new();
        world.ask(ATTACKER, &ask);
        assert_eq!(world.evidence(Kind::ToolFingerprint).len(), 1, "{name}");
        assert_eq!(world.limits(), [("203.0.113.9".to_owned(), Kind::ToolFingerprint)], "{name}");
        world.nobody_is_banned();
    }
}
