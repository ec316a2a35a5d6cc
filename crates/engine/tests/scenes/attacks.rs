//! Those who must be stopped, and within how many packets.

use std::time::Duration;

use engine::Kind;

use super::wire::{Ask, Reply, World};

const ATTACKER: &str = "203.0.113.9:5071";

#[test]
fn guesses_with_a_forged_agent_end_before_the_tenth() {
    let mut world = World::new();
    world.account("1000", "9999");
    let reached = (0..100)
        .filter(|guess| world.guess(ATTACKER, "1000", &guess.to_string(), &format!("g{guess}")))
        .count();
    assert!(reached < 10, "{reached}");
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::PasswordGuessing)]);
}

#[test]
fn guesses_over_one_connection_and_over_ipv6() {
    let mut world = World::new();
    world.account("1000", "9999");
    let peer = "[2001:db8:5::9]:5071";
    let reached =
        (0..100).filter(|guess| world.guess(peer, "1000", &guess.to_string(), &format!("g{guess}"))).count();
    assert!(reached < 10, "{reached}");
    assert_eq!(world.bans(), [("2001:db8:5::/64".to_owned(), Kind::PasswordGuessing)]);

    let mut world = World::new();
    world.account("1000", "9999");
    world.connect(ATTACKER);
    let mut reached = 0;
    for guess in 0..100 {
        let ask = Ask::register("1000", &format!("g{guess}"));
        let Some(Reply { nonce: Some(nonce), .. }) = world.ask_tcp(ATTACKER, &ask) else { break };
        reached += usize::from(world.ask_tcp(ATTACKER, &ask.with_credentials(&nonce, "1000", "x")).is_some());
    }
    assert!(reached < 10, "{reached}");
}

#[test]
fn guesses_on_one_nonce() {
    // svcrack --reusenonce
    let mut world = World::new();
    world.account("1000", "9999");
    let ask = Ask::register("1000", "n");
    let nonce = world.ask(ATTACKER, &ask).and_then(|reply| reply.nonce).expect("a challenge");
    let reached = (0..100)
        .filter(|guess| {
            let mut again = ask.with_credentials(&nonce, "1000", &format!("p{guess}"));
            again.branch += &guess.to_string();
            again.cseq += guess;
            world.ask(ATTACKER, &again).is_some()
        })
        .count();
    assert!(reached < 10, "{reached}");
}

#[test]
fn one_guess_every_three_seconds_and_one_an_hour() {
    for (pause, at_most) in [(3, 10), (3600, 25)] {
        let mut world = World::new();
        world.account("1000", "9999");
        let mut reached = 0;
        for guess in 0..200 {
            reached += u32::from(world.guess(ATTACKER, "1000", &guess.to_string(), &format!("g{guess}")));
            if !world.bans().is_empty() {
                break;
            }
            world.wait(Duration::from_secs(pause));
        }
        assert!(reached <= at_most, "{reached} at one in {pause} seconds");
        assert_eq!(world.bans().len(), 1);
    }
}

#[test]
fn extensions_that_are_walked_through_are_a_trickle_soon() {
    for method in ["REGISTER", "INVITE", "OPTIONS", "SUBSCRIBE"] {
        for tells_missing in [true, false] {
            let mut world = World::new();
            world.account("1042", "x");
            world.tells_missing = tells_missing;
            let reached = (0..500)
                .filter(|extension| {
                    let user = (1000 + extension).to_string();
                    world.wait(Duration::from_millis(10));
                    world.ask(ATTACKER, &Ask::new(method, &user, &user, &format!("e{extension}"))).is_some()
                })
                .count();
            assert!(reached < 20, "{method}: {reached}");
            assert!(world.limits().contains(&("203.0.113.9".to_owned(), Kind::Enumeration)), "{method}");
            world.nobody_is_banned();
        }
    }
}

#[test]
fn names_of_callers_that_are_walked_through_are_a_trickle_soon() {
    for method in ["INVITE", "SUBSCRIBE", "MESSAGE"] {
        let mut world = World::new();
        let reached = (0..200)
            .filter(|extension| {
                let user = (1000 + extension).to_string();
                world.wait(Duration::from_millis(10));
                world.ask(ATTACKER, &Ask::new(method, &user, "600", &format!("e{extension}"))).is_some()
            })
            .count();
        assert!(reached < 20, "{method}: {reached}");
        assert!(world.limits().contains(&("203.0.113.9".to_owned(), Kind::Enumeration)), "{method}");
        world.nobody_is_banned();
    }
}

#[test]
fn odd_methods_walk_through_extensions_as_others_do() {
    for method in ["REFER", "INFO", "UPDATE", "PRACK", "BYE"] {
        let mut world = World::new();
        for extension in 0..40 {
            let user = (1000 + extension).to_string();
            world.wait(Duration::from_millis(10));
            world.ask(ATTACKER, &Ask::new(method, "100", &user, &format!("e{extension}")));
        }
        assert!(world.limits().contains(&("203.0.113.9".to_owned(), Kind::Enumeration)), "{method}");
    }
}

#[test]
fn extensions_over_tcp_are_a_trickle_soon_and_then_a_ban() {
    let mut world = World::new();
    world.connect(ATTACKER);
    for extension in 0..50 {
        let user = (1000 + extension).to_string();
        world.ask_tcp(ATTACKER, &Ask::register(&user, &format!("e{extension}")));
        world.wait(Duration::from_secs(1));
    }
    assert_eq!(world.limits()[0], ("203.0.113.9".to_owned(), Kind::Enumeration));
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::Enumeration)]);
}

#[test]
fn accounts_an_hour_apart_are_seen() {
    let mut world = World::new();
    for extension in 0..60 {
        let user = (1000 + extension).to_string();
        world.ask(ATTACKER, &Ask::register(&user, &format!("e{extension}")));
        world.wait(Duration::from_secs(3600));
    }
    assert!(!world.evidence(Kind::LowAndSlow).is_empty());
}

/// A prefix walk as it is seen in the wild: one number, one try in 35 seconds.
#[test]
fn a_slow_prefix_walk() {
    let mut world = World::new();
    let mut tries = 0;
    for prefix in ["00", "000", "011", "9", "900", "9011", "+", "0021", "007", "760", "824", "825", "826"] {
        tries += 1;
        let ask = Ask::new("INVITE", "100", &format!("{prefix}46500729221"), &format!("w{prefix}"));
        let Some(reply) = world.ask(ATTACKER, &ask) else { break };
        let ack = Ask { method: "ACK", to_tag: Some(reply.tag), ..ask };
        world.ask(ATTACKER, &ack);
        if !world.bans().is_empty() {
            break;
        }
        world.wait(Duration::from_secs(35));
    }
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::TollFraud)]);
    assert!(tries <= 5, "{tries}");
}

#[test]
fn numbers_without_credentials() {
    let mut world = World::new();
    for call in 0..40 {
        let ask = Ask::new("INVITE", "100", &format!("97259{:07}", call * 7919), &format!("n{call}"));
        let Some(reply) = world.ask(ATTACKER, &ask) else { break };
        world.ask(ATTACKER, &Ask { method: "ACK", to_tag: Some(reply.tag), ..ask });
        world.wait(Duration::from_secs(5));
    }
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::TollFraud)]);
}

#[test]
fn statements_in_the_user_part() {
    let mut world = World::new();
    let mut ask = Ask::new("INVITE", "x", "100", "sql");
    ask.from = "<sip:hi'or'x'='x@198.51.100.1>".to_owned();
    world.ask(ATTACKER, &ask);
    assert_eq!(world.evidence(Kind::Injection).len(), 1);
    assert_eq!(world.limits(), [("203.0.113.9".to_owned(), Kind::Injection)]);
    world.nobody_is_banned();
}

#[test]
fn a_sweep_over_ports_and_a_list_of_methods() {
    let mut world = World::new();
    for (index, method) in [
        "REGISTER",
        "OPTIONS",
        "INVITE",
        "SUBSCRIBE",
        "NOTIFY",
        "PUBLISH",
        "MESSAGE",
        "INFO",
        "REFER",
        "UPDATE",
    ]
    .into_iter()
    .enumerate()
    {
        world.ask(ATTACKER, &Ask::new(method, "100", "100", &format!("m{index}")));
    }
    assert!(!world.evidence(Kind::Scanning).is_empty());
    assert_eq!(world.limits(), [("203.0.113.9".to_owned(), Kind::Scanning)]);
}

#[test]
fn a_flood_is_limited_and_ended() {
    let mut world = World::new();
    let reached = (0..5000)
        .filter(|request| {
            world.ask(ATTACKER, &Ask::new("INVITE", "100", "100", &format!("f{request}"))).is_some()
        })
        .count();
    assert!(reached < 800, "{reached}");
    assert_eq!(world.limits()[0], ("203.0.113.9".to_owned(), Kind::Flood));
}

#[test]
fn connections_that_say_nothing() {
    let mut world = World::new();
    (0..10).for_each(|port| world.connect(&format!("203.0.113.9:{}", 6000 + port)));
    world.wait(Duration::from_secs(61));
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::SilentConnection)]);
}

#[test]
fn bans_grow() {
    let mut world = World::new();
    world.account("1000", "9999");
    let mut lengths = Vec::new();
    for round in 0..4 {
        for guess in 0..20 {
            world.guess(ATTACKER, "1000", &guess.to_string(), &format!("r{round}g{guess}"));
        }
        if let Some(engine::Command::Ban { time, until, .. }) =
            world.commands.iter().rev().find(|command| matches!(command, engine::Command::Ban { .. }))
        {
            lengths.push((*until - *time).as_secs());
            world.now = *until + Duration::from_secs(1);
        }
    }
    assert_eq!(lengths, [3600, 14_400, 57_600, 230_400]);
}

#[test]
fn a_domain_that_is_not_asked_for() {
    let mut settings = engine::Settings::default();
    settings.domains.push("pbx.example.com".to_owned());
    let mut world = World::with(&settings);
    for call in 0..5 {
        let mut ask = Ask::register("100", &format!("d{call}"));
        ask.uri = "sip:198.51.100.1".to_owned();
        world.ask(ATTACKER, &ask);
    }
    assert_eq!(world.limits(), [("203.0.113.9".to_owned(), Kind::BareIp)]);
}

#[test]
fn an_account_that_suddenly_calls_abroad() {
    let mut world = World::new();
    world.account("1000", "pw");
    for call in 0..40 {
        let number = if call < 39 { format!("+4989{call:07}") } else { "+53123456789".to_owned() };
        let ask = Ask::new("INVITE", "1000", &number, &format!("k{call}"));
        let nonce = world.ask("203.0.113.72:5060", &ask).and_then(|reply| reply.nonce).expect("a challenge");
        world.ask("203.0.113.72:5060", &ask.with_credentials(&nonce, "1000", "pw"));
        world.wait(Duration::from_secs(600));
    }
    assert_eq!(
        world.alerts(),
        ["account `1000` called country code `53` for the first time: `+53123456789`"]
    );
    world.nobody_is_banned();
}

#[test]
fn a_copied_call() {
    let mut world = World::new();
    world.account("1000", "pw");
    let ask = Ask::new("INVITE", "1000", "+498912345", "own");
    let nonce = world.ask("203.0.113.72:5060", &ask).and_then(|reply| reply.nonce).expect("a challenge");
    let call = ask.with_credentials(&nonce, "1000", "pw");
    world.ask("203.0.113.72:5060", &call);
    world.ask(ATTACKER, &call);
    assert_eq!(
        world.evidence(Kind::InviteReplay),
        ["credentials of `1000` were copied from another address"]
    );
    assert_eq!(world.limits(), [("203.0.113.9".to_owned(), Kind::InviteReplay)]);
}

#[test]
fn messages_that_break_buffers() {
    let mut world = World::new();
    for packet in 0..3 {
        let mut ask = Ask::new("INVITE", "1", "100", &format!("x{packet}"));
        ask.body = format!("v=0\r\nm=audio {} RTP/AVP 0\r\n", "A".repeat(400));
        world.ask(ATTACKER, &ask);
    }
    assert!(world.evidence(Kind::Malformed)[0].contains("sdp-media-too-long"));
    assert_eq!(world.limits(), [("203.0.113.9".to_owned(), Kind::Malformed)]);
}

#[test]
fn networks_that_are_trusted_are_never_banned() {
    use engine::{Direction, Engine, Fate, Limits, Observation, Settings, Transport};
    let trusted = vec![("203.0.113.0".parse().expect("an address"), 24)];
    let mut engine = Engine::new(&Settings::default(), Limits::default(), trusted, 1);
    let mut limits = Vec::new();
    for packet in 0..6000 {
        let mut ask =
            Ask::new("INVITE", "1'or'1'='1", &format!("{packet}46500729221"), &format!("t{packet}"));
        ask.tag = "3206210844".to_owned();
        let bytes = ask.bytes();
        let observation = Observation {
            source: ATTACKER.parse().expect("an address"),
            destination: super::wire::PBX.parse().expect("an address"),
            direction: Direction::In,
            transport: Transport::Udp,
            bytes: &bytes,
            is_cut: false,
            fate: Fate::Passed,
            frame: 0,
        };
        engine.handle_packet(&observation, Duration::from_millis(packet));
        while let Some(command) = engine.next_command() {
            assert!(!matches!(command, engine::Command::Ban { .. }), "{command:?}");
            if let engine::Command::Limit { reason, .. } = command {
                limits.push(reason);
            }
        }
    }
    assert_eq!(limits, [Kind::Flood]);
}
