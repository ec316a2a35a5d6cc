//! Addresses that somebody else forges: never banned.

use std::net::SocketAddr;

use engine::{Class, Direction, Fate, Kind, Transport};

use super::wire::{Ask, World};

/// The carrier, which is proven and busy.
const CARRIER: &str = "192.0.2.200:5060";

fn carrier_calls(world: &mut World, id: &str) {
    let ask = Ask::new("INVITE", "+4917000", "+4989123", id);
    let reply = world.ask(CARRIER, &ask).expect("an answer");
    let mut ack = Ask { method: "ACK", to_tag: Some(reply.tag), ..ask };
    ack.branch += "k";
    world.ask(CARRIER, &ack);
}

#[test]
fn floods_in_the_name_of_a_carrier_and_of_strangers() {
    let mut world = World::new();
    world.carriers.insert("192.0.2.200".parse().expect("an address"));
    carrier_calls(&mut world, "c0");
    for packet in 0..20_000_u32 {
        // The forger does not see answers, so it sends nothing that holds one.
        let peer =
            if packet % 2 == 0 { CARRIER.to_owned() } else { format!("192.0.2.{}:5060", packet % 200) };
        let mut ask = Ask::new("REGISTER", "100", &(1000 + packet).to_string(), &format!("f{packet}"));
        match packet % 5 {
            0 => ask.tag = "636230303731303531336334013233373833313932313131".to_owned(),
            1 => ask.from = "<sip:1'or'1'='1@x>".to_owned(),
            2 => ask = Ask::new("INVITE", "1", &format!("{packet}46500729221"), &format!("g{packet}")),
            3 => ask.credentials = Some(("1000".into(), "invented-nonce".into(), packet.to_string())),
            _ => ask.extra = "Date: now\r\n".to_owned(),
        }
        world.ask(&peer, &ask);
    }
    world.nobody_is_banned();
}

#[test]
fn a_flood_in_a_carriers_name_does_not_silence_it() {
    let mut world = World::new();
    world.carriers.insert("192.0.2.200".parse().expect("an address"));
    carrier_calls(&mut world, "c0");
    for packet in 0..3_000_u32 {
        world.ask(CARRIER, &Ask::new("INVITE", "1", &packet.to_string(), &format!("f{packet}")));
    }
    assert!(world.limits().iter().any(|(_, kind)| *kind == engine::Kind::Flood), "{:?}", world.limits());
    world.wait(std::time::Duration::from_secs(10));
    (0..50).for_each(|call| carrier_calls(&mut world, &format!("after{call}")));
    world.nobody_is_banned();
}

#[test]
fn tags_that_were_never_sent_prove_nothing() {
    let mut world = World::new();
    for packet in 0..200 {
        let mut ask = Ask::new("INVITE", "1", &format!("{packet}46500729221"), &format!("g{packet}"));
        world.ask("192.0.2.7:5060", &ask);
        ask.method = "ACK";
        ask.to_tag = Some(format!("as{packet:08x}zz"));
        world.ask("192.0.2.7:5060", &ask);
    }
    world.nobody_is_banned();
    assert!(world.limits().iter().all(|(source, _)| source == "192.0.2.7"));
}

/// Calls abroad in a victim's name, each acknowledged with a tag that the forger knows.
fn dial_with_a_tag(world: &mut World, tag: &str) {
    for packet in 0..100 {
        let mut ask = Ask::new("INVITE", "1", &format!("{packet}46500729221"), &format!("h{packet}"));
        ask.agent = "friendly-scanner".to_owned();
        world.ask(VICTIM, &ask);
        (ask.method, ask.to_tag) = ("ACK", Some(tag.to_owned()));
        world.arrive(VICTIM, &ask);
    }
}

const VICTIM: &str = "192.0.2.7:5060";

/// An answer repeats the tag that the request had (RFC 3261 section 8.2.6.2).
#[test]
fn a_tag_that_the_forger_wrote_itself_proves_nothing() {
    for method in ["BYE", "INVITE", "SUBSCRIBE", "OPTIONS", "MESSAGE"] {
        let mut world = World::new();
        let mut ask = Ask::new(method, "1", "2", "claims");
        ask.to_tag = Some("chosen-by-me".to_owned());
        world.arrive(VICTIM, &ask);
        let Ask { branch, from, tag, to, call, cseq, .. } = &ask;
        let answer = format!(
            "SIP/2.0 481 Call/Transaction Does Not Exist\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch={branch}\r\n\
             From: {from};tag={tag}\r\nTo: {to};tag=chosen-by-me\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\n\
             Content-Length: 0\r\n\r\n"
        );
        world.observe(address(VICTIM), Direction::Out, answer.as_bytes(), Transport::Udp, Fate::Passed);
        dial_with_a_tag(&mut world, "chosen-by-me");
        world.nobody_is_banned();
    }
}

/// A proxy passes on what somebody else wrote: the tag is known to who made it up.
#[test]
fn a_tag_that_was_passed_on_proves_nothing() {
    for via in [
        "Via: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKours\r\nVia: SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKa\r\n",
        "v: SIP/2.0/UDP 192.0.2.10;branch=z9hG4bKours, SIP/2.0/UDP 203.0.113.9;branch=z9hG4bKa\r\n",
    ] {
        let mut world = World::new();
        let passed_on = format!(
            "MESSAGE sip:2@192.0.2.7 SIP/2.0\r\n{via}Max-Forwards: 69\r\nFrom: <sip:9@203.0.113.9>;tag=chosen-by-me\r\n\
             To: <sip:2@192.0.2.7>\r\nCall-ID: relayed\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"
        );
        world.observe(address(VICTIM), Direction::Out, passed_on.as_bytes(), Transport::Udp, Fate::Passed);
        dial_with_a_tag(&mut world, "chosen-by-me");
        world.nobody_is_banned();
    }
}

/// The other way round: who acknowledges with a tag that only we can have told is known to be there.
#[test]
fn a_tag_of_ours_proves_and_is_kept_where_it_can_come_back() {
    for (method, proves) in [("INVITE", true), ("SUBSCRIBE", true), ("OPTIONS", false)] {
        let mut world = World::new();
        let ask = Ask::new(method, "1", "2", "first");
        world.arrive(VICTIM, &ask);
        let Ask { branch, from, tag, to, call, cseq, .. } = &ask;
        let answer = format!(
            "SIP/2.0 486 Busy Here\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch={branch}\r\nFrom: {from};tag={tag}\r\n\
             To: {to};tag=made-up-by-us\r\nCall-ID: {call}\r\nCSeq: {cseq} {method}\r\nContent-Length: 0\r\n\r\n"
        );
        world.observe(address(VICTIM), Direction::Out, answer.as_bytes(), Transport::Udp, Fate::Passed);
        dial_with_a_tag(&mut world, "made-up-by-us");
        assert_eq!(!world.bans().is_empty(), proves, "{method}");
    }
}

/// A provisional answer tells the tag, too; and with any method a request within the dialog may bring it.
#[test]
fn the_tag_of_a_call_that_rings_proves_its_sender() {
    for method in ["UPDATE", "MESSAGE", "OPTIONS"] {
        let mut world = World::new();
        let call = Ask::new("INVITE", "1", "2", "ringing");
        world.arrive(VICTIM, &call);
        let (tag, _) = world.reply(VICTIM, &call, 180);
        let next = Ask {
            to_tag: Some(tag),
            branch: "z9hG4bKnext".to_owned(),
            ..Ask::new(method, "1", "2", "ringing")
        };
        world.arrive(VICTIM, &next);
        assert_eq!(world.engine.class(address(VICTIM).ip(), world.now), Class::Proven, "{method}");
    }
}

/// Each challenge of an answer may be answered, not only the first.
#[test]
fn the_second_challenge_of_an_answer_proves_as_the_first_does() {
    // Challenged for, answered with, and what a success then shows.
    for (asked, answers, class) in [
        ("REGISTER", "REGISTER", Class::Credited),
        ("INVITE", "INVITE", Class::Credited),
        ("REGISTER", "INVITE", Class::Proven),
    ] {
        let mut world = World::new();
        let ask = Ask::new(asked, "1", "1", "twice");
        world.arrive(VICTIM, &ask);
        let Ask { branch, from, tag, to, call, cseq, .. } = &ask;
        let answer = format!(
            "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP 192.0.2.7:5060;branch={branch}\r\nFrom: {from};tag={tag}\r\n\
             To: {to};tag=made-up-by-us\r\nCall-ID: {call}\r\nCSeq: {cseq} {asked}\r\n\
             WWW-Authenticate: Digest realm=\"a\",nonce=\"for-sha-256\",algorithm=SHA-256\r\n\
             WWW-Authenticate: Digest realm=\"a\",nonce=\"for-md5\",algorithm=MD5\r\nContent-Length: 0\r\n\r\n"
        );
        world.observe(address(VICTIM), Direction::Out, answer.as_bytes(), Transport::Udp, Fate::Passed);
        let again = Ask::new(answers, "1", "1", "again").with_credentials("for-md5", "1", "x");
        world.exchange(VICTIM, &again, 200);
        assert_eq!(world.engine.class(address(VICTIM).ip(), world.now), class, "{asked}, {answers}");
    }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

#[test]
fn a_nonce_of_ones_own_proves_nothing_for_another_address() {
    let mut world = World::new();
    world.account("1000", "pw");
    let ask = Ask::register("1000", "own");
    let nonce = world.ask("203.0.113.9:5071", &ask).and_then(|reply| reply.nonce).expect("a challenge");
    for guess in 0..100 {
        let mut forged = ask.with_credentials(&nonce, "1000", &guess.to_string());
        forged.branch += &guess.to_string();
        forged.call += &guess.to_string();
        world.ask(CARRIER, &forged);
    }
    world.nobody_is_banned();
}

#[test]
fn segments_without_a_handshake_prove_nothing() {
    use engine::{Engine, Limits, Observation, Segment, Settings};
    let mut engine = Engine::new(&Settings::default(), Limits::default(), Vec::new(), 1);
    for packet in 0..500_u32 {
        let bytes = Ask::register(&packet.to_string(), &format!("x{packet}")).bytes();
        let segment = Segment {
            sequence: packet * 2000,
            acknowledgment: 7,
            syn: false,
            ack: true,
            fin: false,
            rst: false,
        };
        let observation = Observation {
            source: CARRIER.parse().expect("an address"),
            destination: super::wire::PBX.parse().expect("an address"),
            direction: Direction::In,
            transport: Transport::Tcp(segment),
            bytes: &bytes,
            fate: Fate::Passed,
            frame: 0,
            is_cut: false,
        };
        engine.handle_packet(&observation, std::time::Duration::from_millis(u64::from(packet)));
    }
    while let Some(command) = engine.next_command() {
        assert!(!matches!(command, engine::Command::Ban { .. }), "{command:?}");
    }
}

#[test]
fn a_flood_of_addresses_does_not_hide_an_attacker() {
    let mut world = World::new();
    world.account("1000", "9999");
    let mut reached = 0;
    for round in 0..40_u32 {
        for packet in 0..2500_u32 {
            let n = round * 2500 + packet;
            let peer = format!("10.{}.{}.{}:5060", n >> 16 & 255, n >> 8 & 255, n & 255);
            world.say(&peer, &Ask::register(&n.to_string(), &format!("q{n}")).bytes());
        }
        reached +=
            u32::from(world.guess("203.0.113.9:5071", "1000", &round.to_string(), &format!("a{round}")));
    }
    assert!(reached < 10, "{reached}");
    assert_eq!(world.bans(), [("203.0.113.9".to_owned(), Kind::PasswordGuessing)]);
}
