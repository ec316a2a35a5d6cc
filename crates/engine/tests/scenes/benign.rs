//! Those who must never be banned.

use std::time::Duration;

use engine::Kind;

use super::wire::{Ask, Reply, World};

const OFFICE: &str = "203.0.113.40";

fn office(world: &mut World, phones: u32) {
    for phone in 0..phones {
        world.account(&(1000 + phone).to_string(), &format!("pw{phone}"));
    }
}

#[test]
fn an_office_of_sixty_phones_behind_one_address() {
    let mut world = World::new();
    office(&mut world, 60);
    for round in 0..48 {
        for phone in 0..60 {
            let peer = format!("{OFFICE}:{}", 20_000 + phone);
            world.phone_registers(&peer, &(1000 + phone).to_string(), &format!("r{round}p{phone}"));
        }
        world.wait(Duration::from_secs(1800));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

#[test]
fn phones_that_start_all_at_once_are_back_within_seconds() {
    // All ask before the first is answered: it could be a list being walked, so the address may be limited, but never banned,
    // and the first success lifts it.
    let mut world = World::new();
    office(&mut world, 60);
    let asks: Vec<Ask> =
        (0..60).map(|phone| Ask::register(&(1000 + phone).to_string(), &format!("s{phone}"))).collect();
    let mut waiting: Vec<usize> = (0..60).collect();
    for _ in 0..6 {
        let replies: Vec<(usize, Option<Reply>)> = waiting
            .iter()
            .map(|&phone| (phone, world.ask(&format!("{OFFICE}:{}", 20_000 + phone), &asks[phone])))
            .collect();
        for (phone, reply) in replies {
            let Some(Reply { nonce: Some(nonce), .. }) = reply else { continue };
            let ask =
                asks[phone].with_credentials(&nonce, &(1000 + phone).to_string(), &format!("pw{phone}"));
            if world
                .ask(&format!("{OFFICE}:{}", 20_000 + phone), &ask)
                .is_some_and(|reply| reply.status == 200)
            {
                waiting.retain(|&other| other != phone);
            }
        }
        world.wait(Duration::from_millis(500));
    }
    world.nobody_is_banned();
    assert_eq!(waiting, [0; 0], "{:?}", world.limits());
}

#[test]
fn a_storm_of_registrations_after_an_outage() {
    let mut world = World::new();
    office(&mut world, 500);
    for phone in 0..500 {
        world.phone_registers(
            &format!("{OFFICE}:{}", 20_000 + phone),
            &(1000 + phone).to_string(),
            &format!("a{phone}"),
        );
        world.wait(Duration::from_millis(100));
    }
    world.wait(Duration::from_secs(7200));
    let asks: Vec<Ask> =
        (0..500).map(|phone| Ask::register(&(1000 + phone).to_string(), &format!("b{phone}"))).collect();
    let replies: Vec<Option<Reply>> = asks
        .iter()
        .enumerate()
        .map(|(phone, ask)| world.ask(&format!("{OFFICE}:{}", 20_000 + phone), ask))
        .collect();
    world.wait(Duration::from_secs(1));
    for (phone, (ask, reply)) in asks.iter().zip(replies).enumerate() {
        let nonce = reply.and_then(|reply| reply.nonce).expect("a challenge");
        let again = ask.with_credentials(&nonce, &(1000 + phone).to_string(), &format!("pw{phone}"));
        assert_eq!(
            world.ask(&format!("{OFFICE}:{}", 20_000 + phone), &again).map(|reply| reply.status),
            Some(200)
        );
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

#[test]
fn the_same_storm_over_tcp() {
    let mut world = World::new();
    office(&mut world, 100);
    let peers: Vec<String> = (0..100).map(|phone| format!("{OFFICE}:{}", 20_000 + phone)).collect();
    let asks: Vec<Ask> =
        (0..100).map(|phone| Ask::register(&(1000 + phone).to_string(), &format!("b{phone}"))).collect();
    peers.iter().for_each(|peer| world.connect(peer));
    let replies: Vec<Option<Reply>> =
        peers.iter().zip(&asks).map(|(peer, ask)| world.ask_tcp(peer, ask)).collect();
    for (phone, (peer, (ask, reply))) in peers.iter().zip(asks.iter().zip(replies)).enumerate() {
        let Some(nonce) = reply.and_then(|reply| reply.nonce) else { continue };
        world
            .ask_tcp(peer, &ask.with_credentials(&nonce, &(1000 + phone).to_string(), &format!("pw{phone}")));
    }
    world.wait(Duration::from_secs(60));
    world.nobody_is_banned();
}

#[test]
fn a_call_centre_with_eighty_calls_a_minute() {
    let mut world = World::new();
    world.account("agent", "pw");
    for call in 0..800 {
        let number = format!("4989{:07}", call * 7919 % 10_000_000);
        let ask = Ask::new("INVITE", "agent", &number, &format!("k{call}"));
        let peer = "203.0.113.50:5060";
        let Some(Reply { nonce: Some(nonce), tag, .. }) = world.ask(peer, &ask) else { panic!("refused") };
        let ack = Ask { method: "ACK", to_tag: Some(tag), ..ask.clone() };
        world.ask(peer, &ack);
        assert_eq!(
            world.ask(peer, &ask.with_credentials(&nonce, "agent", "pw")).map(|reply| reply.status),
            Some(200)
        );
        world.wait(Duration::from_millis(750));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

#[test]
fn names_with_apostrophes_and_foreign_letters() {
    let mut world = World::new();
    for (index, (user, name)) in [
        ("o'brien", "\"Pat O'Brien\""),
        ("j%C3%B6rg", "J\u{f6}rg M\u{fc}ller"),
        ("iwar", "\"Iwar Union-Select\""),
        ("+15551234567;npdi;rn=+15557654321", "\"\u{738b}\u{5c0f}\u{660e}\""),
        ("d'or", "\"'--\""),
        ("select", "\"union select\""),
    ]
    .into_iter()
    .enumerate()
    {
        for round in 0..20 {
            let mut ask = Ask::new("INVITE", user, user, &format!("n{index}r{round}"));
            ask.from = format!("{name} <sip:{user}@union-select.example.com>");
            ask.body = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=-\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n".into();
            world.ask(&format!("203.0.113.{}:5060", 60 + index), &ask);
            world.wait(Duration::from_secs(30));
        }
    }
    world.nobody_is_banned();
    assert_eq!(world.evidence(Kind::Injection), [""; 0]);
    assert_eq!(world.evidence(Kind::Malformed), [""; 0]);
}

#[test]
fn keep_alives_and_stun() {
    let mut world = World::new();
    let stun = [0, 1, 0, 0, 0x21, 0x12, 0xa4, 0x42, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12];
    for _ in 0..10_000 {
        for bytes in [b"\r\n\r\n".as_slice(), b"\0\0\0\0", b"", &stun, b"hello", b"\r\n"] {
            world.say("203.0.113.70:5060", bytes);
        }
    }
    assert_eq!(world.commands, []);
}

#[test]
fn a_wrong_password_once() {
    let mut world = World::new();
    world.account("1000", "right");
    world.guess("203.0.113.71:5060", "1000", "wrong", "w1");
    world.wait(Duration::from_secs(20));
    assert!(world.phone_registers("203.0.113.71:5060", "1000", "w2"));
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

#[test]
fn one_old_password_does_not_take_the_office_down() {
    let mut world = World::new();
    office(&mut world, 10);
    for minute in 0..24 * 60 {
        if minute % 30 == 0 {
            for phone in 0..9 {
                let peer = format!("{OFFICE}:{}", 20_000 + phone);
                assert!(world.phone_registers(
                    &peer,
                    &(1000 + phone).to_string(),
                    &format!("m{minute}p{phone}")
                ));
            }
        }
        // The phone tries twice at once, every minute, all day.
        for again in 0..2 {
            world.guess(&format!("{OFFICE}:20009"), "1009", "old", &format!("o{minute}-{again}"));
        }
        world.wait(Duration::from_secs(60));
    }
    world.nobody_is_banned();
}

#[test]
fn a_carrier_whose_pings_are_answered_404_for_days() {
    let mut world = World::new();
    for ping in 0..3 * 24 * 120 {
        let mut ask = Ask::new("OPTIONS", "ping", "trunk", &format!("o{ping}"));
        ask.agent = "Carrier SBC".to_owned();
        assert_eq!(world.ask("192.0.2.200:5060", &ask).map(|reply| reply.status), Some(404));
        world.wait(Duration::from_secs(30));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

#[test]
fn a_carrier_that_calls_many_numbers() {
    let mut world = World::new();
    world.carriers.insert("192.0.2.200".parse().expect("an address"));
    for call in 0..500 {
        let ask = Ask::new(
            "INVITE",
            &format!("+4917{call:07}"),
            &format!("+49891234{:02}", call % 100),
            &format!("i{call}"),
        );
        let reply = world.ask("192.0.2.200:5060", &ask).expect("an answer");
        let mut ack = Ask { method: "ACK", to_tag: Some(reply.tag), ..ask };
        ack.branch += "k";
        world.ask("192.0.2.200:5060", &ack);
        world.wait(Duration::from_secs(2));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

/// The trunk has no identify section: each call is challenged, and a carrier has no password.
#[test]
fn a_carrier_that_is_challenged_by_mistake() {
    let mut world = World::new();
    for call in 0..200_u32 {
        let ask = Ask::new("INVITE", &format!("+4930{:07}", call * 7919), "499876543", &format!("m{call}"));
        let reply = world.ask("203.0.113.30:5060", &ask).expect("an answer");
        world.ask("203.0.113.30:5060", &Ask { method: "ACK", to_tag: Some(reply.tag), ..ask });
        world.wait(Duration::from_secs(20));
    }
    world.nobody_is_banned();
    assert_eq!(world.evidence(engine::Kind::Enumeration), [""; 0]);
}

/// The engine has just started and knows none of them.
#[test]
fn phones_that_all_dial_at_the_same_moment() {
    for over_tcp in [false, true] {
        dial_at_once(over_tcp, "INVITE");
        dial_at_once(over_tcp, "SUBSCRIBE");
    }
}

/// Twelve phones behind one address; all are challenged before the first has answered.
fn dial_at_once(over_tcp: bool, method: &'static str) {
    let mut world = World::new();
    let peer = |phone: usize| format!("203.0.113.72:{}", 5060 + phone);
    if over_tcp {
        (0..60).for_each(|phone| world.connect(&peer(phone)));
    }
    let say = |world: &mut World, phone: usize, ask: &Ask| {
        if over_tcp { world.ask_tcp(&peer(phone), ask) } else { world.ask(&peer(phone), ask) }
    };
    let calls: Vec<_> = (0..60)
        .map(|phone| {
            let name = format!("{}", 1000 + phone);
            world.account(&name, "pw");
            let call = Ask::new(method, &name, "600", &format!("s{phone}"));
            (name, call)
        })
        .collect();
    for (burst, phones) in calls.chunks(12).enumerate() {
        let challenges: Vec<_> = phones
            .iter()
            .enumerate()
            .filter_map(|(phone, (name, call))| {
                let reply = say(&mut world, burst * 12 + phone, call)?;
                if method == "INVITE" {
                    let ack = Ask { method: "ACK", to_tag: Some(reply.tag), ..call.clone() };
                    say(&mut world, burst * 12 + phone, &ack);
                }
                Some((phone, name, call, reply.nonce?))
            })
            .collect();
        // What is on its way to the PBX and back.
        world.wait(Duration::from_millis(50));
        for (phone, name, call, nonce) in challenges {
            say(&mut world, burst * 12 + phone, &call.with_credentials(&nonce, name, "pw"));
        }
    }
    world.nobody_is_banned();
}

#[test]
fn presence_of_a_hundred_extensions() {
    let mut world = World::new();
    world.account("1000", "pw");
    assert!(world.phone_registers("203.0.113.72:5060", "1000", "p0"));
    for extension in 0..100 {
        let ask = Ask::new("SUBSCRIBE", "1000", &(2000 + extension).to_string(), &format!("b{extension}"));
        let nonce = world.ask("203.0.113.72:5060", &ask).and_then(|reply| reply.nonce).expect("a challenge");
        world.ask("203.0.113.72:5060", &ask.with_credentials(&nonce, "1000", "pw"));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

#[test]
fn a_gateway_that_registers_its_ports_over_one_connection() {
    let mut world = World::new();
    office(&mut world, 24);
    let peer = "203.0.113.80:40000";
    world.connect(peer);
    let asks: Vec<Ask> =
        (0..24).map(|port| Ask::register(&(1000 + port).to_string(), &format!("g{port}"))).collect();
    let replies: Vec<Option<Reply>> = asks.iter().map(|ask| world.ask_tcp(peer, ask)).collect();
    for (port, (ask, reply)) in asks.iter().zip(replies).enumerate() {
        let Some(nonce) = reply.and_then(|reply| reply.nonce) else { continue };
        world.ask_tcp(peer, &ask.with_credentials(&nonce, &(1000 + port).to_string(), &format!("pw{port}")));
    }
    world.wait(Duration::from_secs(60));
    world.nobody_is_banned();
}
