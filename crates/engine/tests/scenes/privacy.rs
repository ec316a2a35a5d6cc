//! Who talks in the clear, and who need not.

use std::net::IpAddr;

use engine::{Fact, Tally, Transport};

use super::wire::{Ask, World};

const PHONE: &str = "198.51.100.40:5060";
const OTHER: &str = "198.51.100.41:5060";
const STRANGER: &str = "203.0.113.9:5071";

const PLAIN: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
    m=audio 10000 RTP/AVP 0\r\nm=video 0 RTP/AVP 31\r\n";
const SDES: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
    m=audio 10000 RTP/SAVP 0\r\na=crypto:1 AES_CM_128_HMAC_SHA1_80 inline:x\r\n";
const DTLS: &str = "v=0\r\no=- 1 1 IN IP4 198.51.100.1\r\ns=-\r\nc=IN IP4 198.51.100.1\r\nt=0 0\r\n\
    m=audio 10000 UDP/TLS/RTP/SAVPF 0\r\na=fingerprint:sha-256 00\r\n";

fn ip(peer: &str) -> IpAddr {
    peer.parse::<std::net::SocketAddr>().expect("an address").ip()
}

fn seen(world: &World, peer: &str) -> (Tally, Tally, bool) {
    let report = world.engine.privacy();
    let found = report.peers.iter().find(|(address, _)| *address == ip(peer)).expect("a peer");
    (found.1.in_clear, found.1.encrypted, found.1.could_do_better())
}

/// A call with this offer, and this answer of the PBX.
fn call(world: &mut World, peer: &str, id: &str, offer: &str, answer: &str) {
    world.media = answer.to_owned();
    let mut ask = Ask::new("INVITE", "200", "300", id);
    ask.body = offer.to_owned();
    let nonce = world.ask(peer, &ask).and_then(|reply| reply.nonce).expect("a challenge");
    let again = ask.with_credentials(&nonce, "200", "secret");
    assert_eq!(world.ask(peer, &again).expect("an answer").status, 200);
    // A retransmission is no second call.
    world.ask(peer, &again);
}

fn world() -> World {
    let mut world = World::new();
    world.account("200", "secret");
    world
}

#[test]
fn what_is_accepted_in_the_clear_is_counted_once() {
    let mut world = world();
    assert!(world.phone_registers(PHONE, "200", "a"));
    call(&mut world, PHONE, "b", PLAIN, PLAIN);
    let (in_clear, encrypted, better) = seen(&world, PHONE);
    // The video stream is refused: its port is 0.
    assert_eq!(in_clear, Tally { registrations: 1, calls: 1, streams: 1, ..Tally::default() });
    assert_eq!((encrypted, better), (Tally::default(), false));
}

#[test]
fn nobody_who_was_refused_is_remembered() {
    let mut world = world();
    for number in 0..20 {
        world.ask(STRANGER, &Ask::register("200", &format!("x{number}")));
        world.ask(STRANGER, &Ask::new("INVITE", "200", "900", &format!("y{number}")));
    }
    assert!(world.engine.privacy().peers.is_empty());
}

#[test]
fn keys_in_a_message_are_as_private_as_the_message() {
    let mut world = world();
    call(&mut world, PHONE, "a", SDES, SDES);
    call(&mut world, OTHER, "b", DTLS, DTLS);
    let streams =
        |(in_clear, encrypted, better): (Tally, Tally, bool)| (in_clear.streams, encrypted.streams, better);
    assert_eq!(streams(seen(&world, PHONE)), (1, 0, true), "whoever reads the message has the keys");
    assert_eq!(streams(seen(&world, OTHER)), (0, 1, false));
}

#[test]
fn who_could_do_better_comes_first() {
    let mut world = world();
    for number in 0..5 {
        call(&mut world, OTHER, &format!("o{number}"), PLAIN, PLAIN);
    }
    call(&mut world, PHONE, "p", SDES, PLAIN);
    let order: Vec<IpAddr> = world.engine.privacy().peers.iter().map(|(address, _)| *address).collect();
    assert_eq!(order, [ip(PHONE), ip(OTHER)], "one offered SRTP and was answered without");
}

#[test]
fn what_only_the_pbx_saw_was_encrypted() {
    let mut world = world();
    world.testify(PHONE, true, "200", Fact::Accepted { is_encrypted: true });
    world.testify(OTHER, true, "200", Fact::Accepted { is_encrypted: false });
    world.testify(OTHER, true, "admin", Fact::LoggedIn { is_encrypted: false });
    assert_eq!(seen(&world, PHONE).1.accepted, 1);
    assert_eq!(
        seen(&world, OTHER).0,
        Tally { logins: 1, ..Tally::default() },
        "the wire shows what it accepts"
    );
    // Copies of messages that nobody can read on the wire.
    world.copies = Some(Transport::Copy { is_connection: true });
    assert!(world.phone_registers(PHONE, "200", "a"));
    assert_eq!(seen(&world, PHONE).1.registrations, 1);
    // On a port where somebody was read they tell of what others could read, too.
    world.copies = None;
    assert!(world.phone_registers(OTHER, "200", "b"));
    world.copies = Some(Transport::Copy { is_connection: false });
    assert!(world.phone_registers(STRANGER, "200", "c"));
    assert_eq!(seen(&world, STRANGER).0.registrations, 1);
}

#[test]
fn peers_have_a_bound() {
    let mut world = world();
    for number in 0..5000_u32 {
        let peer = format!("10.{}.{}.1:5060", number / 250, number % 250);
        world.testify(&peer, true, "200", Fact::LoggedIn { is_encrypted: false });
    }
    let report = world.engine.privacy();
    assert_eq!((report.peers.len(), report.in_clear.logins), (4096, 5000));
}
