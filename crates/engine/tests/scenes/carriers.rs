//! Carriers and trunks that the engine does not know yet: it has just started, or the PBX has.

use std::time::Duration;

use engine::{Direction, Fate, Transport};

use super::wire::{Ask, World};

const CARRIER: &str = "192.0.2.200:5060";

/// A call from anywhere to one of a hundred numbers of ours.
fn call(index: u32) -> Ask {
    let caller = format!("+4917{:07}", index * 7919);
    Ask::new("INVITE", &caller, &format!("+49891234{:03}", index * 37 % 100), &format!("k{index}"))
}

/// A world with a carrier in it, by datagrams or over a connection.
fn with_carrier(over_tcp: bool) -> World {
    let mut world = World::new();
    if over_tcp {
        world.connect(CARRIER);
    }
    world
}

/// One call a second; each rings for some seconds before `status` says what became of it.
fn calls_that_ring(world: &mut World, count: u32, rings: bool, status: impl Fn(u32) -> u16) {
    const RINGING: u32 = 8;
    for second in 0..count + RINGING {
        if let Some(index) = second.checked_sub(RINGING) {
            let (ask, status) = (call(index), status(index));
            let (tag, _) = world.reply(CARRIER, &ask, status);
            world.acknowledge(CARRIER, &ask, status, tag);
        }
        if second < count {
            assert!(world.arrive(CARRIER, &call(second)), "call {second} {:#?}", world.commands);
            if rings {
                world.reply(CARRIER, &call(second), 180);
            }
        }
        world.wait(Duration::from_secs(1));
    }
}

#[test]
fn calls_that_ring_before_the_first_is_taken() {
    for over_tcp in [false, true] {
        let mut world = with_carrier(over_tcp);
        calls_that_ring(&mut world, 60, true, |_| 200);
        world.nobody_is_banned();
        assert_eq!(world.limits(), []);
    }
}

#[test]
fn calls_that_are_busy_or_that_nobody_answers() {
    for over_tcp in [false, true] {
        for rings in [false, true] {
            let mut world = with_carrier(over_tcp);
            calls_that_ring(&mut world, 60, rings, |index| [486, 480, 487][index as usize % 3]);
            world.nobody_is_banned();
            assert_eq!(world.limits(), []);
        }
    }
}

/// It says so with 503, or has not read yet which numbers it has.
#[test]
fn a_pbx_that_is_still_starting() {
    for over_tcp in [false, true] {
        for starting in [503, 500, 488, 404, 484] {
            let mut world = with_carrier(over_tcp);
            let mut taken = 0;
            for index in 0..120 {
                let ask = call(index);
                if world.arrive(CARRIER, &ask) {
                    let status = if index < 40 { starting } else { 200 };
                    let (tag, _) = world.reply(CARRIER, &ask, status);
                    world.acknowledge(CARRIER, &ask, status, tag);
                    taken += u32::from(status == 200);
                }
                world.wait(Duration::from_secs(2));
            }
            world.nobody_is_banned();
            assert!(taken > 60, "{taken} calls were taken after {starting}");
            assert!(starting < 488 || world.limits().is_empty(), "{:?}", world.limits());
        }
    }
}

#[test]
fn numbers_that_are_challenged_by_mistake() {
    for over_tcp in [false, true] {
        for withheld in [false, true] {
            let mut world = with_carrier(over_tcp);
            for index in 0..200 {
                let mut ask = call(index);
                if withheld {
                    ask.from = "\"Anonymous\" <sip:anonymous@anonymous.invalid>".to_owned();
                }
                world.exchange(CARRIER, &ask, 401);
                world.wait(Duration::from_secs(7));
            }
            world.nobody_is_banned();
        }
    }
}

#[test]
fn headers_that_no_grammar_allows() {
    for over_tcp in [false, true] {
        let mut world = with_carrier(over_tcp);
        for index in 0..300 {
            let ask = Ask { extra: "Date: Mon, 01 Jan 2026 00:00:00 CET\r\n".to_owned(), ..call(index) };
            world.arrive(CARRIER, &ask);
            let (tag, _) = world.reply(CARRIER, &ask, 200);
            world.acknowledge(CARRIER, &ask, 200, tag.clone());
            world.wait(Duration::from_secs(1));
            world.arrive(CARRIER, &Ask { method: "BYE", to_tag: Some(tag), cseq: 2, ..ask });
        }
        world.nobody_is_banned();
        assert_eq!(world.limits(), []);
    }
}

/// We only call out through it.
#[test]
fn odd_answers_to_our_own_calls() {
    let mut world = World::new();
    let carrier = CARRIER.parse().expect("an address");
    for index in 0..300 {
        let headers = format!(
            "Via: SIP/2.0/UDP 198.51.100.1:5060;branch=z9hG4bKout{index}\r\nFrom: <sip:1000@pbx.example.com>;tag=o{index}xyz\r\n\
             To: <sip:+4930{index:07}@carrier.example>;tag=c{index}\r\nCall-ID: out{index}\r\nCSeq: 1 INVITE\r\n"
        );
        let ask = format!("INVITE sip:+4930{index:07}@carrier.example SIP/2.0\r\n{headers}\r\n");
        world.observe(carrier, Direction::Out, ask.as_bytes(), Transport::Udp, Fate::Passed);
        for status in [183, 200] {
            let answer = format!("SIP/2.0 {status} x\r\n{headers}Date: now\r\nContent-Length: 0\r\n\r\n");
            world.observe(carrier, Direction::In, answer.as_bytes(), Transport::Udp, Fate::Passed);
        }
        world.wait(Duration::from_secs(2));
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), []);
}

/// A program that dials twenty numbers at a time through a trunk with a password, and hardly anybody answers.
#[test]
fn a_dialling_program_whose_calls_are_not_answered() {
    for over_tcp in [false, true] {
        for caller in ["trunk7", "+498912345"] {
            let mut world = with_carrier(over_tcp);
            for burst in 0..10 {
                let asks: Vec<Ask> = (0..20)
                    .map(|line| {
                        let number = format!("0049{:09}", (burst * 20 + line) * 7919);
                        Ask::new("INVITE", caller, &number, &format!("d{burst}-{line}"))
                    })
                    .collect();
                // What is lost is sent again.
                let mut lines: Vec<(Ask, u16)> = asks.into_iter().map(|ask| (ask, 407)).collect();
                for _ in 0..6 {
                    let sent: Vec<_> =
                        lines.iter().map(|(ask, status)| world.exchange(CARRIER, ask, *status)).collect();
                    world.wait(Duration::from_millis(60));
                    let result = [486, 480, 404, 503][burst as usize % 4];
                    let next = lines.into_iter().zip(sent).filter_map(|(line, nonce)| match (line, nonce) {
                        (line, None) => Some(line),
                        ((ask, 407), Some(nonce)) => {
                            Some((ask.with_credentials(&nonce, "trunk7", "pw"), result))
                        }
                        (_, Some(_)) => None,
                    });
                    lines = next.collect();
                }
                world.wait(Duration::from_secs(20));
            }
            world.nobody_is_banned();
        }
    }
}

#[test]
fn a_gateway_with_forty_eight_ports() {
    let mut world = World::new();
    let peer = "203.0.113.80:40000";
    world.connect(peer);
    let asks: Vec<Ask> =
        (0..48).map(|port| Ask::register(&(1000 + port).to_string(), &format!("g{port}"))).collect();
    asks.iter().for_each(|ask| {
        world.arrive(peer, ask);
    });
    world.wait(Duration::from_millis(300));
    for ask in &asks {
        let (_, nonce) = world.reply(peer, ask, 401);
        world.exchange(peer, &ask.with_credentials(&nonce, "1000", "pw"), 200);
    }
    world.wait(Duration::from_secs(60));
    world.nobody_is_banned();
}
