//! What spares the innocent must not shelter an attacker.

use std::time::Duration;

use engine::{Class, Kind};

use super::wire::{Ask, World};

const PEER: &str = "203.0.113.9:5071";

fn world(over_tcp: bool) -> World {
    let mut world = World::new();
    if over_tcp {
        world.connect(PEER);
    }
    world
}

/// How many of the requests came through; each is answered with `status`.
fn answered(world: &mut World, count: u32, pause: Duration, status: u16, ask: impl Fn(u32) -> Ask) -> usize {
    let mut reached = 0;
    for number in 0..count {
        reached += usize::from(world.exchange(PEER, &ask(number), status).is_some());
        world.wait(pause);
    }
    reached
}

fn abroad(number: u32) -> String {
    format!("00972{:09}", number * 7_919_013 % 1_000_000_000)
}

#[test]
fn a_nonce_that_nobody_gave_is_no_free_guess() {
    let guess = |number: u32| {
        let ask = Ask::register("1000", &format!("g{number}"));
        ask.with_credentials("made-up-nonce-123", "1000", &number.to_string())
    };
    for pause in [Duration::from_millis(200), Duration::from_secs(61), Duration::from_secs(400)] {
        let mut world = world(true);
        let reached = answered(&mut world, 400, pause, 401, guess);
        assert!(reached < 60 && !world.bans().is_empty(), "{pause:?}: {reached}");
    }
    // Over UDP they may be somebody else's, so they limit.
    let mut world = world(false);
    answered(&mut world, 400, Duration::from_secs(61), 401, guess);
    assert!(!world.limits().is_empty() && world.bans().is_empty());
}

#[test]
fn the_challenge_of_a_registration_shelters_no_walk_of_prefixes() {
    const PREFIXES: [&str; 10] = ["00", "011", "9", "900", "9011", "0021", "007", "760", "824", "825"];
    for (over_tcp, status) in [(false, 603), (false, 484), (true, 503), (true, 404)] {
        let mut world = world(over_tcp);
        let nonce = world.exchange(PEER, &Ask::register("77", "n"), 401).expect("a nonce");
        let reached = answered(&mut world, 60, Duration::from_millis(500), status, |number| {
            let number_dialled = format!("{}46500729221", PREFIXES[number as usize % PREFIXES.len()]);
            let ask = Ask::new("INVITE", "100", &number_dialled, &format!("d{number}"));
            ask.with_credentials(&nonce, "100", "x")
        });
        assert!(reached < 10, "{over_tcp} {status}: {reached}");
    }
}

#[test]
fn a_challenge_to_another_name_earns_no_credit() {
    let mut world = world(false);
    let nonce = world.exchange(PEER, &Ask::new("INVITE", "100", "600", "a"), 401).expect("a nonce");
    let guest = Ask::new("INVITE", "guest", "600", "b").with_credentials(&nonce, "guest", "x");
    world.exchange(PEER, &guest, 200);
    assert_eq!(world.engine.class("203.0.113.9".parse().expect("an address"), world.now), Class::Proven);
    let reached = answered(&mut world, 100, Duration::from_millis(500), 404, |number| {
        Ask::new("INVITE", "guest", &abroad(number), &format!("d{number}"))
    });
    assert!(reached < 10, "{reached}");
}

#[test]
fn three_prefixes_do_not_hide_what_comes_after() {
    for over_tcp in [false, true] {
        let mut world = world(over_tcp);
        for prefix in ["00", "011", "9"] {
            let number = format!("{prefix}46500729221");
            world.exchange(PEER, &Ask::new("INVITE", "+15551234567", &number, prefix), 401);
            world.wait(Duration::from_secs(60));
        }
        world.wait(Duration::from_secs(3600));
        let reached = answered(&mut world, 40, Duration::from_secs(5), 401, |number| {
            Ask::new("INVITE", "+15551234567", &abroad(number), &format!("d{number}"))
        });
        assert!(reached < 10, "{over_tcp}: {reached}");
        assert!(world.bans().iter().any(|(_, kind)| *kind == Kind::TollFraud), "{:?}", world.bans());
    }
}

#[test]
fn what_was_forged_over_udp_is_not_proven_by_its_owners_connection() {
    for (method, status) in [("REGISTER", 401), ("OPTIONS", 404), ("INVITE", 401)] {
        let mut world = world(false);
        for number in 0..30 {
            let target = if method == "INVITE" { abroad(number) } else { (1000 + number).to_string() };
            let ask = Ask::new(method, "x", &target, &format!("f{number}"));
            if world.arrive("203.0.113.9:9999", &ask) {
                world.reply("203.0.113.9:9999", &ask, status);
            }
            world.wait(Duration::from_millis(100));
        }
        world.wait(Duration::from_secs(25));
        world.connect("203.0.113.9:40000");
        world.arrive("203.0.113.9:40000", &Ask::register("2000", "own"));
        world.nobody_is_banned();
    }
}

#[test]
fn acknowledged_challenges_of_long_ago_prove_no_forged_calls() {
    let mut world = world(false);
    // A trunk with a password, whose calls are all busy.
    for call in 0..20 {
        let ask = Ask::new("INVITE", "trunk7", &format!("0049891234{call:03}"), &format!("c{call}"));
        let nonce = world.exchange(PEER, &ask, 401).expect("a nonce");
        world.exchange(PEER, &ask.with_credentials(&nonce, "trunk7", "pw"), 486);
        world.wait(Duration::from_secs(3600));
    }
    for number in 0..9 {
        let ask = Ask::new("INVITE", "x", &abroad(number), &format!("f{number}"));
        if world.arrive(PEER, &ask) {
            world.reply(PEER, &ask, 401);
        }
        world.wait(if number == 7 { Duration::from_millis(3500) } else { Duration::from_millis(20) });
    }
    world.nobody_is_banned();
}

#[test]
fn calls_that_come_with_credentials_prove_no_forged_ones() {
    let mut world = world(true);
    let forged = |world: &mut World, number: u32| {
        let ask = Ask::new("INVITE", "x", &abroad(number), &format!("f{number}"));
        if world.arrive("203.0.113.9:9999", &ask) {
            world.reply("203.0.113.9:9999", &ask, 401);
        }
    };
    // A trunk with a password dials, and all its calls are busy; within the same moment somebody dials in its name.
    for call in 0..9 {
        let ask = Ask::new("INVITE", "trunk7", &format!("0049891234{call:03}"), &format!("c{call}"));
        let nonce = world.exchange(PEER, &ask, 401).expect("a nonce");
        world.exchange(PEER, &ask.with_credentials(&nonce, "trunk7", "pw"), 486);
        forged(&mut world, call);
        world.wait(Duration::from_millis(20));
    }
    world.wait(Duration::from_millis(3500));
    forged(&mut world, 100);
    world.nobody_is_banned();
}

#[test]
fn one_success_shelters_no_guesses_on_two_other_accounts() {
    let mut world = world(false);
    let nonce = world.exchange(PEER, &Ask::register("77", "own"), 401).expect("a nonce");
    world.exchange(PEER, &Ask::register("77", "own2").with_credentials(&nonce, "77", "right"), 200);
    for guess in 0..300 {
        let account = ["500", "501"][guess % 2];
        let Some(nonce) = world.exchange(PEER, &Ask::register(account, &format!("n{guess}")), 401) else {
            break;
        };
        let ask = Ask::register(account, &format!("g{guess}"));
        world.exchange(PEER, &ask.with_credentials(&nonce, account, &guess.to_string()), 401);
        world.wait(Duration::from_secs(4));
    }
    assert!(!world.bans().is_empty());
}
