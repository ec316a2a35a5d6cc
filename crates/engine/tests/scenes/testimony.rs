//! What logs and the PBX say, alone and beside the wire.

use std::time::Duration;

use engine::{Command, Direction, Fact, Failure, Jail, Kind, Scope, Settings, Transport};

use super::wire::{Ask, World};

const ATTACKER: &str = "203.0.113.9:5071";
const PHONE: &str = "198.51.100.40:5060";

fn jail(name: &str, is_sip: bool) -> Jail {
    Jail {
        name: name.to_owned(),
        max_failures: 5,
        within: Duration::from_secs(600),
        ban: Some(Duration::from_secs(7200)),
        scope: Scope::AllPorts,
        is_sip,
    }
}

fn jailed() -> World {
    let jails = vec![jail("sshd", false), jail("asterisk", true)];
    let mut settings = Settings::default();
    settings.jails = jails;
    World::with(&settings)
}

fn failure(world: &mut World, peer: &str, jail: usize, account: &str) {
    let fact = Fact::Failure(Failure { jail, age: Duration::ZERO, is_old: false });
    world.testify(peer, false, account, fact);
}

fn bans_of(world: &World) -> Vec<(String, Option<String>, Scope, u64)> {
    let ban = |command: &Command| {
        let Command::Ban { time, source, until, scope, jail, .. } = command else { return None };
        let name = jail.as_ref().map(|name| name.to_string());
        Some((source.to_string(), name, *scope, (*until - *time).as_secs()))
    };
    world.commands.iter().filter_map(ban).collect()
}

#[test]
fn a_jail_bans_at_its_own_count_for_its_own_time() {
    let mut world = jailed();
    for _ in 0..4 {
        failure(&mut world, ATTACKER, 0, "root");
        world.wait(Duration::from_secs(60));
    }
    world.nobody_is_banned();
    failure(&mut world, ATTACKER, 0, "root");
    assert_eq!(bans_of(&world), [("203.0.113.9".into(), Some("sshd".into()), Scope::AllPorts, 7200)]);
    assert!(world.evidence(Kind::Jail)[4].starts_with("failure 5 of 5 within 10 min in jail sshd"));
}

#[test]
fn failures_that_are_far_apart_do_not_add_up() {
    let mut world = jailed();
    for _ in 0..40 {
        failure(&mut world, ATTACKER, 0, "root");
        world.wait(Duration::from_secs(180));
    }
    world.nobody_is_banned();
}

#[test]
fn late_lines_count_where_they_belong_and_old_ones_ban_nobody() {
    let mut world = jailed();
    for age in [900, 800, 700, 650, 601] {
        let fact = Fact::Failure(Failure { jail: 0, age: Duration::from_secs(age), is_old: false });
        world.testify(ATTACKER, false, "", fact);
    }
    world.nobody_is_banned();
    for _ in 0..8 {
        let fact = Fact::Failure(Failure { jail: 0, age: Duration::from_secs(10), is_old: true });
        world.testify(ATTACKER, false, "", fact);
    }
    world.nobody_is_banned();
    assert_eq!(world.evidence(Kind::Jail), [] as [&str; 0], "what was read before is told once");
    failure(&mut world, ATTACKER, 0, "");
    assert_eq!(world.bans().len(), 1, "but it counts");
}

#[test]
fn a_log_about_sip_bans_no_address_that_may_be_forged() {
    let mut world = jailed();
    for _ in 0..20 {
        failure(&mut world, ATTACKER, 1, "100");
    }
    world.nobody_is_banned();
    assert_eq!(world.limits(), [("203.0.113.9".to_owned(), Kind::Jail)]);
}

#[test]
fn a_log_about_sip_bans_whoever_made_a_connection() {
    let mut world = jailed();
    world.connect(ATTACKER);
    // Nothing that we could read is said on it: it is encrypted.
    world.say_tcp(ATTACKER, &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
    for _ in 0..5 {
        failure(&mut world, ATTACKER, 1, "100");
    }
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::Jail)]);
}

#[test]
fn nobody_has_a_proven_source_banned_by_a_log_about_datagrams_in_its_name() {
    let mut world = jailed();
    world.connect(PHONE);
    world.say_tcp(PHONE, &[0x16, 3, 1, 0, 5, 1, 0, 0, 1, 3]);
    for number in 0..40 {
        // Forged; the PBX writes each of them down.
        world.ask(PHONE, &Ask::register("100", &format!("f{number}")));
        failure(&mut world, PHONE, 1, "100");
    }
    world.nobody_is_banned();
    // Over its own connection it can be banned when no datagram explains the line.
    world.wait(Duration::from_secs(900));
    for _ in 0..5 {
        failure(&mut world, PHONE, 1, "100");
    }
    assert_eq!(world.bans(), [("198.51.100.40".to_owned(), Kind::Jail)]);
}

#[test]
fn one_stale_phone_does_not_ban_its_office_and_a_guesser_there_is_banned() {
    let mut world = jailed();
    world.account("200", "secret");
    assert!(world.phone_registers(PHONE, "200", "p"));
    // What fails later comes over TLS: no datagram explains it.
    world.wait(Duration::from_secs(200));
    for _ in 0..60 {
        failure(&mut world, PHONE, 1, "201");
    }
    world.nobody_is_banned();
    assert!(world.alerts()[0].contains("others authenticate from there"), "{:?}", world.alerts());
    for account in 0..20 {
        failure(&mut world, PHONE, 1, &account.to_string());
    }
    assert_eq!(world.bans(), [("198.51.100.40".to_owned(), Kind::Jail)]);
}

#[test]
fn a_ban_of_all_ports_follows_one_of_sip_ports() {
    let mut world = jailed();
    world.account("1000", "9999");
    for guess in 0..20 {
        world.guess(ATTACKER, "1000", &guess.to_string(), &format!("g{guess}"));
    }
    assert_eq!(world.bans().len(), 1);
    for _ in 0..5 {
        failure(&mut world, ATTACKER, 0, "root");
    }
    let bans = bans_of(&world);
    assert_eq!(bans.len(), 2, "{bans:?}");
    assert_eq!((bans[0].2, bans[1].2), (Scope::SipPorts, Scope::AllPorts));
}

#[test]
fn the_pbx_alone_is_enough() {
    let mut world = World::new();
    let mut told = 0;
    while world.bans().is_empty() && told < 50 {
        told += 1;
        world.testify(ATTACKER, true, "100", Fact::Refused { call: &format!("call{told}") });
    }
    assert_eq!(told, 5);
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::PasswordGuessing)]);

    let mut world = World::new();
    (0..40).for_each(|account| world.testify(ATTACKER, true, &format!("9{account}"), Fact::Unknown));
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::Enumeration)]);

    let mut world = World::new();
    for call in 0..5 {
        let fact = Fact::Denied { what: "its address by an access list", call: &call.to_string() };
        world.testify(ATTACKER, true, "100", fact);
        world.testify(ATTACKER, true, "100", fact);
    }
    assert_eq!(world.evidence(Kind::Refusal).len(), 5, "each try once");
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::Refusal)]);
}

#[test]
fn a_try_that_the_wire_and_the_pbx_saw_counts_once() {
    for pbx_first in [false, true] {
        let mut world = World::new();
        world.account("1000", "9999");
        let mut reached = 0;
        while world.bans().is_empty() && reached < 50 {
            let call = format!("g{reached}");
            if pbx_first {
                world.testify(ATTACKER, false, "1000", Fact::Refused { call: &call });
            }
            world.guess(ATTACKER, "1000", &reached.to_string(), &call);
            if !pbx_first {
                world.testify(ATTACKER, false, "1000", Fact::Refused { call: &call });
            }
            reached += 1;
        }
        assert_eq!(reached, 5, "pbx first: {pbx_first}");
        assert_eq!(world.evidence(Kind::PasswordGuessing).len(), reached);
    }
}

#[test]
fn what_the_pbx_accepts_gives_credit() {
    let mut world = World::new();
    world.testify(PHONE, true, "200", Fact::Accepted { is_encrypted: true });
    for _ in 0..4 {
        world.testify(PHONE, true, "201", Fact::Refused { call: "one phone" });
        world.wait(Duration::from_secs(30));
    }
    world.nobody_is_banned();
}

#[test]
fn copies_of_encrypted_messages_are_evidence_and_copies_of_others_are_none() {
    let mut world = World::new();
    world.account("1000", "9999");
    world.copies = Some(Transport::Copy { is_connection: true });
    let reached = (0..40)
        .filter(|guess| world.guess(ATTACKER, "1000", &guess.to_string(), &format!("g{guess}")))
        .count();
    assert!(reached < 10, "{reached}");
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::PasswordGuessing)]);

    // Each packet on the wire, and again as a copy of it.
    let mut world = World::new();
    let mut once = World::new();
    for number in 0..30 {
        let ask = Ask::new("OPTIONS", "x", "100", &format!("o{number}"));
        world.ask(PHONE, &ask);
        world.tell_copy(PHONE, Direction::In, &ask.bytes());
        once.ask(PHONE, &ask);
        world.wait(Duration::from_millis(500));
        once.wait(Duration::from_millis(500));
    }
    let kinds = |world: &World| world.commands.len();
    assert_eq!(kinds(&world), kinds(&once), "{:#?}", world.commands);
}

#[test]
fn the_host_itself_is_nobodys_attacker() {
    let mut world = jailed();
    for peer in ["127.0.0.1:0", "[::1]:0", "0.0.0.0:0"] {
        (0..20).for_each(|_| failure(&mut world, peer, 0, "root"));
    }
    world.nobody_is_banned();
    assert_eq!(world.evidence(Kind::Jail), [] as [&str; 0]);
}
