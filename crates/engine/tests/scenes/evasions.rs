//! What an attacker adds to look like somebody else.

use std::time::Duration;

use engine::{Class, Kind, Segment, Transport};

use super::wire::{Ask, World};

const ATTACKER: &str = "203.0.113.9:5071";

fn limited(kind: Kind) -> (String, Kind) {
    ("203.0.113.9".to_owned(), kind)
}

/// Numbers 1000 and up, one by one; how many got through.
fn walk(
    world: &mut World,
    count: u32,
    pause: Duration,
    status: u16,
    disguise: impl Fn(u32, &str) -> Ask,
) -> usize {
    (0..count)
        .filter(|index| {
            world.wait(pause);
            world.exchange(ATTACKER, &disguise(*index, &(1000 + index).to_string()), status).is_some()
        })
        .count()
}

/// Whoever has none writes some: a PBX that is open to guests does not look at them.
#[test]
fn made_up_credentials_hide_no_walk() {
    for (method, status) in [
        ("OPTIONS", 404),
        ("OPTIONS", 200),
        ("INVITE", 404),
        ("INVITE", 603),
        ("REGISTER", 404),
        ("SUBSCRIBE", 404),
    ] {
        let mut world = World::new();
        let reached = walk(&mut world, 60, Duration::from_millis(50), status, |index, user| {
            Ask::new(method, "100", user, &format!("w{index}")).with_credentials("made-up", "100", "x")
        });
        assert!(reached < 30, "{method} {status}: {reached}");
        assert_eq!(world.limits().first(), Some(&limited(Kind::Enumeration)), "{method} {status}");
    }
}

/// Nor does a challenge that was given for something else.
#[test]
fn a_challenge_that_is_answered_again_and_again_hides_no_walk() {
    for method in ["OPTIONS", "INVITE", "SUBSCRIBE"] {
        let mut world = World::new();
        let nonce = world.exchange(ATTACKER, &Ask::register("77", "n"), 401).expect("a challenge");
        let reached = walk(&mut world, 100, Duration::from_millis(50), 404, |index, user| {
            Ask::new(method, "100", user, &format!("w{index}")).with_credentials(&nonce, "100", "x")
        });
        assert!(reached < 60, "{method}: {reached}");
    }
}

#[test]
fn a_guests_call_with_made_up_credentials_earns_nothing() {
    let mut world = World::new();
    let nonce = world.exchange(ATTACKER, &Ask::register("77", "n"), 401).expect("a challenge");
    for nonce in ["made-up", &nonce] {
        let call = Ask::new("INVITE", "x", "600", nonce).with_credentials(nonce, "x", "x");
        world.exchange(ATTACKER, &call, 200);
    }
    assert!(class(&world) < Class::Credited);
}

#[test]
fn calls_that_are_taken_exempt_nobody_from_everything() {
    // A guest who has heard the echo test dials on.
    for status in [401, 404] {
        let mut world = World::new();
        for call in 0..3 {
            world.exchange(ATTACKER, &Ask::new("INVITE", "100", "600", &format!("a{call}")), 200);
        }
        let mut tries = 0;
        for prefix in ["", "00", "011", "9", "900", "9011", "0021", "007", "760", "824", "825", "826"] {
            tries += u32::from(world.bans().is_empty());
            let ask = Ask::new("INVITE", "100", &format!("{prefix}46500729221"), &format!("w{prefix}"));
            world.exchange(ATTACKER, &ask, status);
            world.wait(Duration::from_secs(35));
        }
        assert!(!world.bans().is_empty(), "{status}");
        assert!(tries < 9, "{tries}");

        let mut world = World::new();
        for call in 0..3 {
            world.exchange(ATTACKER, &Ask::new("INVITE", "100", "600", &format!("a{call}")), 200);
        }
        let reached = walk(&mut world, 100, Duration::from_millis(100), status, |index, user| {
            Ask::new("INVITE", "100", user, &format!("w{index}"))
        });
        assert!(reached < 40, "{status}: {reached}");
    }
}

/// Spammers dial all over the world; a carrier's calls go to the numbers of one subscriber.
#[test]
fn callers_that_say_they_are_telephone_numbers() {
    for caller in ["+15551234567", "anonymous"] {
        for status in [401, 404, 603] {
            let mut world = World::new();
            let mut reached = 0;
            for index in 0..40_u32 {
                let number = format!("00972{:09}", index * 7_919_013 % 1_000_000_000);
                let ask = Ask::new("INVITE", caller, &number, &format!("d{index}"));
                reached += u32::from(world.exchange(ATTACKER, &ask, status).is_some());
                world.wait(Duration::from_secs(5));
            }
            assert!(reached < 12, "{caller} {status}: {reached}");
            assert_eq!(world.bans(), [limited(Kind::TollFraud)], "{caller} {status}");
        }
    }
}

/// What is doubtful of a call that may be a carrier's makes nothing else of it doubtful.
#[test]
fn a_statement_in_a_call_from_a_telephone_number() {
    let mut world = World::new();
    world.connect(ATTACKER);
    world.exchange(ATTACKER, &Ask::register("1000", "r"), 401);
    world.wait(Duration::from_secs(25));
    let ask = Ask {
        to: "<sip:1'or'1'='1@pbx.example.com>".to_owned(),
        ..Ask::new("INVITE", "+4917012345", "100", "s")
    };
    world.exchange(ATTACKER, &ask, 404);
    assert_eq!(world.bans(), [limited(Kind::Injection)]);
}

#[test]
fn notify_walks_through_extensions_as_others_do() {
    let mut world = World::new();
    walk(&mut world, 40, Duration::from_millis(50), 404, |index, user| {
        Ask::new("NOTIFY", "100", user, &format!("n{index}"))
    });
    assert_eq!(world.limits().first(), Some(&limited(Kind::Enumeration)));
}

/// Accounts may be telephone numbers; then callers' names are walked through like others.
#[test]
fn callers_that_are_telephone_numbers() {
    for method in ["INVITE", "MESSAGE", "SUBSCRIBE"] {
        let mut world = World::new();
        let reached = walk(&mut world, 100, Duration::from_millis(50), 401, |index, user| {
            Ask::new(method, &format!("+498912{user}"), "600", &format!("f{index}"))
        });
        assert!(reached < 40, "{method}: {reached}");
        assert_eq!(world.limits().first(), Some(&limited(Kind::Enumeration)), "{method}");
        world.nobody_is_banned();
    }
}

#[test]
fn a_list_of_accounts_that_do_not_exist() {
    let mut world = World::new();
    for guess in 0..40 {
        let ask = Ask::register(&(1000 + guess).to_string(), &format!("s{guess}"));
        let Some(nonce) = world.exchange(ATTACKER, &ask, 401) else { break };
        world.exchange(ATTACKER, &ask.with_credentials(&nonce, "x", "1234"), 404);
        world.wait(Duration::from_millis(500));
    }
    assert_eq!(world.bans(), [limited(Kind::Enumeration)]);
}

#[test]
fn a_flood_of_acknowledgements() {
    let mut world = World::new();
    for packet in 0..2000 {
        world.arrive(ATTACKER, &Ask::new("ACK", "1", "100", &format!("a{packet}")));
    }
    assert_eq!(world.limits().first(), Some(&limited(Kind::Flood)));
}

/// One account is tried on by all that an attacker who has a password knows; an office has as many phones that fail at most.
#[test]
fn a_success_spares_no_list() {
    let mut world = World::new();
    world.account("2000", "mine");
    assert!(world.phone_registers(ATTACKER, "2000", "s"));
    let mut reached = 0;
    for guess in 0..200 {
        reached +=
            u32::from(world.guess(ATTACKER, &(3000 + guess % 8).to_string(), "1", &format!("g{guess}")));
        world.wait(Duration::from_secs(35));
    }
    assert!(reached < 60, "{reached}");
}

/// Each thing that a tool writes gives it away by itself, whatever agent it claims to be.
#[test]
fn what_tools_write_is_known_one_by_one() {
    let from = |from: &str| Ask { from: from.to_owned(), ..Ask::new("OPTIONS", "7", "8", "sign") };
    let to = |to: &str| Ask { to: to.to_owned(), ..Ask::new("OPTIONS", "7", "8", "sign") };
    let signs = [
        (from("<sip:100@1.1.1.1>"), "the address 1.1.1.1 that SIPVicious writes"),
        (to("<sip:123@1.1.1.1>"), "the address 1.1.1.1 that SIPVicious writes"),
        (from("\"sipvicious\"<sip:7@h.example>"), "a display name that SIPVicious or its kin writes"),
        (from("sipp <sip:7@h.example>"), "a display name that test tools and dialling programs write"),
        (from("Caller <sip:7@h.example>"), "a display name that test tools and dialling programs write"),
        (from("\"Caller\" <sip:7@h.example>"), "a display name that test tools and dialling programs write"),
        (from("\"MAYET\" <sip:7@h.example>"), "a display name that test tools and dialling programs write"),
        (
            from("\"Simple SIP\" <sip:7@h.example>"),
            "a display name that test tools and dialling programs write",
        ),
        (
            from("\"0123456789\" <sip:7@h.example>"),
            "a display name that test tools and dialling programs write",
        ),
        (from("<sip:voipgw@h.example>"), "a request as scanners write it"),
        (from("<sip:8888888888@h.example>"), "a request as scanners write it"),
        (from("<sip:trunk@h.example>"), "a request as scanners write it"),
    ];
    for (ask, expected) in signs {
        let mut world = World::new();
        world.ask("203.0.113.40:5060", &ask);
        assert_eq!(world.evidence(Kind::ToolFingerprint), [expected], "{} {}", ask.from, ask.to);
    }
    for ask in
        [from("<sip:100@1.1.1.2>"), to("<sip:124@1.1.1.1>"), from("\"Callers\" <sip:trunks@h.example>")]
    {
        let mut world = World::new();
        world.ask("203.0.113.40:5060", &ask);
        assert_eq!(world.evidence(Kind::ToolFingerprint), [""; 0], "{} {}", ask.from, ask.to);
    }
}

/// What stands before the credentials that count neither hides them nor makes a retransmission of the next guess.
#[test]
fn credentials_behind_others_count_one_by_one() {
    let other = "Digest username=\"x\", realm=\"r\", nonce=\"made-up\", uri=\"sip:x\", response=\"0\"";
    for first in [other, "Bearer nonce=\"NONCE\"", "Basic eDp4"] {
        let mut world = World::new();
        let ask = Ask::register("100", "g");
        let nonce = world.exchange(ATTACKER, &ask, 401).expect("a challenge");
        let first = first.replace("NONCE", &nonce);
        for guess in 0..40 {
            // The same transaction by its name.
            let extra = format!(
                "Authorization: {first}\r\n\
                 Proxy-Authorization: Digest username=\"100\", nonce=\"{nonce}\", response=\"{guess:032x}\"\r\n"
            );
            if world.exchange(ATTACKER, &Ask { extra, ..ask.clone() }, 401).is_none() {
                break;
            }
            world.wait(Duration::from_secs(1));
        }
        assert_eq!(world.bans(), [limited(Kind::PasswordGuessing)], "{first}");
    }
}

/// A call that is open to guests shows nothing of a password, even to who answers the challenge to his own registration.
#[test]
fn a_registrations_challenge_earns_nothing_in_a_call_of_the_same_user() {
    let mut world = World::new();
    let nonce = world.exchange(ATTACKER, &Ask::register("77", "n"), 401).expect("a challenge");
    let call = Ask::new("INVITE", "77", "600", "n2").with_credentials(&nonce, "77", "x");
    world.exchange(ATTACKER, &call, 200);
    assert_eq!(class(&world), Class::Proven);
}

fn class(world: &World) -> Class {
    world.engine.class("203.0.113.9".parse().expect("an address"), world.now)
}

/// Far outside of the window no TCP obeys it (RFC 5961 section 3), and what comes behind it is read.
#[test]
fn a_reset_that_nobody_obeys_hides_no_divided_message() {
    const PEER: &str = "203.0.113.200:4000";
    let mut world = World::new();
    world.connect(PEER);
    let reset =
        Segment { sequence: 0x7000_0000, acknowledgment: 5001, syn: false, ack: true, fin: false, rst: true };
    world.deliver(PEER.parse().unwrap(), b"", Transport::Tcp(reset));
    let ask = Ask { from: "<sip:100@1.1.1.1>".to_owned(), ..Ask::new("OPTIONS", "7", "8", "sign") };
    let bytes = ask.bytes();
    let (one, other) = bytes.split_at(50);
    world.say_tcp(PEER, one);
    world.say_tcp(PEER, other);
    assert!(!world.evidence(Kind::ToolFingerprint).is_empty());
}
