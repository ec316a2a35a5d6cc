//! Offices with what offices have: phones that nobody took down, that were here before us, that are made of odd parts.

use std::time::Duration;

use engine::Kind;

use super::wire::{Ask, World};

const OFFICE: &str = "203.0.113.40";

fn peer(phone: u32) -> String {
    format!("{OFFICE}:{}", 20_000 + phone)
}

#[test]
fn a_few_phones_that_nobody_took_down() {
    for dead in [2, 5] {
        for status in [401, 403] {
            let mut world = World::new();
            (dead..40).for_each(|phone| world.account(&(1000 + phone).to_string(), "pw"));
            for minute in 0..12 * 60 {
                if minute % 30 == 0 {
                    (dead..40).for_each(|phone| {
                        let name = (1000 + phone).to_string();
                        world.phone_registers(&peer(phone), &name, &format!("m{minute}p{phone}"));
                    });
                }
                for phone in 0..dead {
                    let ask = Ask::register(&(1000 + phone).to_string(), &format!("d{minute}p{phone}"));
                    let nonce = world.exchange(&peer(phone), &ask, 401).expect("it gets through");
                    let name = (1000 + phone).to_string();
                    world.exchange(&peer(phone), &ask.with_credentials(&nonce, &name, "old"), status);
                }
                world.wait(Duration::from_secs(60));
            }
            world.nobody_is_banned();
            assert_eq!(world.limits(), []);
        }
    }
}

/// Phones use a nonce again that the PBX gave them before both were started anew.
#[test]
fn nonces_from_before_a_restart() {
    for over_tcp in [false, true] {
        let mut world = World::new();
        for phone in 0..60 {
            let (peer, name) = (peer(phone), (1000 + phone).to_string());
            if over_tcp {
                world.connect(&peer);
            }
            let ask = Ask::register(&name, &format!("o{phone}")).with_credentials("before", &name, "pw");
            let nonce = world.exchange(&peer, &ask, 401).expect("it gets through");
            world.wait(Duration::from_millis(30));
            // The first ones learn late that the PBX has their passwords still to read.
            let status = if phone < 8 { 500 } else { 200 };
            world.exchange(&peer, &ask.with_credentials(&nonce, &name, "pw"), status);
        }
        world.nobody_is_banned();
        assert_eq!(world.limits(), []);
    }
}

#[test]
fn forty_phones_that_dial_different_numbers_at_the_same_moment() {
    for over_tcp in [false, true] {
        let mut world = World::new();
        let asks: Vec<Ask> = (0..40)
            .map(|phone| {
                let name = (1000 + phone).to_string();
                Ask::new("INVITE", &name, &format!("0891234{phone:04}"), &format!("c{phone}"))
            })
            .collect();
        if over_tcp {
            (0..40).for_each(|phone| world.connect(&peer(phone)));
        }
        let nonces: Vec<Option<String>> =
            (0..).zip(&asks).map(|(phone, ask)| world.exchange(&peer(phone), ask, 401)).collect();
        world.wait(Duration::from_millis(50));
        for (phone, (ask, nonce)) in (0..).zip(asks.iter().zip(nonces)) {
            let Some(nonce) = nonce else { continue };
            world.exchange(&peer(phone), &ask.with_credentials(&nonce, "x", "pw"), 200);
        }
        world.wait(Duration::from_secs(60));
        world.nobody_is_banned();
    }
}

#[test]
fn a_softphone_made_of_a_dialling_programs_parts() {
    let mut world = World::new();
    world.account("1000", "pw");
    assert!(world.phone_registers(&peer(0), "1000", "p"));
    for call in 0..12 {
        let mut ask = Ask::new("INVITE", "1000", "600", &format!("c{call}"));
        ask.body = "v=0\r\no=- 1 1 IN IP4 192.0.2.10\r\ns=portsip.com\r\nc=IN IP4 192.0.2.10\r\nt=0 0\r\nm=audio 4000 RTP/AVP 0\r\n".into();
        let nonce = world.ask(&peer(0), &ask).and_then(|reply| reply.nonce).expect("a challenge");
        world.ask(&peer(0), &ask.with_credentials(&nonce, "1000", "pw"));
        world.wait(Duration::from_secs(30));
    }
    world.nobody_is_banned();
    assert!(!world.evidence(Kind::ToolFingerprint).is_empty());
}

/// With OPTIONS to the server, which nobody answers with a challenge.
#[test]
fn phones_that_keep_their_way_open() {
    let mut world = World::new();
    for round in 0..20 {
        for phone in 0..60 {
            let name = (1000 + phone).to_string();
            let mut ask = Ask::new("OPTIONS", &name, &name, &format!("o{round}p{phone}"));
            ask.uri = "sip:pbx.example.com".to_owned();
            world.exchange(&peer(phone), &ask, 200);
        }
        world.wait(Duration::from_secs(30));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}
