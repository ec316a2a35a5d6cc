//! What a PBX without Ringfence goes through: the attackers get what they came for, and a phone can call. Everything that
//! the guarded tests find missing must be found here, or they would prove nothing. Root only.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use lab::asterisk::{Account, Log, PHONE, WEAK};
use lab::attack::{self, FoundDevice};
use lab::phone::{Answer, ECHO, Phone, Transport};
use lab::probe::{self, TcpProbe};
use lab::{AsteriskOptions, Lab, Node, skip};

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const SIP: SocketAddr = SocketAddr::new(PBX, 5060);
const LIMIT: Duration = Duration::from_secs(2);

#[test]
fn attackers_find_walk_and_crack_an_open_pbx() {
    let test = "attackers_find_walk_and_crack_an_open_pbx";
    if !skip::ready(test, &["debootstrap", "svmap", "sipsak", "nmap"]) {
        return;
    }
    let lab = Lab::up("open").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions { guests: true }).unwrap();
    let attacker = IpAddr::V4(Node::Attacker.v4());

    let found = attack::svmap(&lab, Node::Attacker, PBX).unwrap();
    let [FoundDevice { address, user_agent }] = found.as_slice() else { panic!("{found:?}") };
    assert_eq!(address, "198.51.100.10:5060");
    assert!(user_agent.starts_with("Asterisk PBX 22."), "{user_agent}");
    asterisk.settle().unwrap();
    assert!(asterisk.seen_from(attacker) > 0);
    assert!(asterisk.log(Log::Full).contains("friendly-scanner"));

    let walked = attack::svwar(&lab, Node::Attacker, PBX, "100-102,999-1001", "INVITE").unwrap();
    let names: Vec<&str> = walked.iter().map(|found| found.extension.as_str()).collect();
    assert_eq!(names, ["100", "1000", "1001"]);

    let cracked = attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "100-110").unwrap();
    assert_eq!(cracked.as_deref(), Some(WEAK.password));
    let strong = attack::svcrack(&lab, Node::Attacker, PBX, PHONE.user, "100-110").unwrap();
    assert_eq!(strong, None);

    assert_eq!(attack::sipsak(&lab, Node::Attacker, SIP, ECHO).unwrap(), Some(200));

    let tcp = attack::nmap_tcp(&lab, Node::Attacker, PBX, "22,5060").unwrap();
    let seen: Vec<_> =
        tcp.iter().map(|port| (port.port, port.state.as_str(), port.reason.as_str())).collect();
    assert_eq!(seen, [(22, "closed", "reset"), (5060, "open", "syn-ack")]);
    let udp = attack::nmap_udp(&lab, Node::Attacker, PBX, "4569").unwrap();
    assert_eq!(udp[0].reason, "port-unreach");
    assert_eq!(probe::tcp(&lab, Node::Attacker, (PBX, 22).into(), LIMIT).unwrap(), TcpProbe::RefusedRst);
}

#[test]
fn a_phone_registers_and_calls_with_audio_both_ways() {
    let test = "a_phone_registers_and_calls_with_audio_both_ways";
    if !skip::ready(test, &["debootstrap", "sipp", "nft"]) {
        return;
    }
    let lab = Lab::up("calls").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions::default()).unwrap();
    for transport in [Transport::Udp, Transport::Tcp] {
        let phone = Phone::new(&lab, Node::Phone, PHONE, transport);
        assert_eq!(phone.options(SIP).unwrap(), Answer::Done);
        assert_eq!(phone.register(SIP).unwrap(), Answer::Done);
        let call = phone.call(SIP, ECHO).unwrap();
        assert!(call.audio_both_ways(), "{call:?}");
        let call = phone.call(SIP, "999").unwrap();
        assert_eq!((call.answer, call.rtp_received), (Answer::Refused(404), 0));
    }
    assert!(asterisk.cli("pjsip show contacts").unwrap().contains("1000/sip:1000@192.0.2.20"));

    let wrong = Account { password: "nonsense", ..PHONE };
    let thief = Phone::new(&lab, Node::Attacker, wrong, Transport::Udp);
    assert_eq!(thief.register(SIP).unwrap(), Answer::Refused(401));
    asterisk.settle().unwrap();
    assert!(asterisk.log(Log::Security).contains("SecurityEvent=\"ChallengeResponseFailed\""));
    let nobody = SocketAddr::new(IpAddr::V4(Node::Phone.v4()), 5060);
    assert_eq!(thief.options(nobody).unwrap(), Answer::Nothing);
}

#[test]
fn two_labs_do_not_meet() {
    if !skip::ready("two_labs_do_not_meet", &["debootstrap"]) {
        return;
    }
    let (one, two) = (Lab::up("one").unwrap(), Lab::up("two").unwrap());
    let first = one.asterisk(&AsteriskOptions::default()).unwrap();
    let second = two.asterisk(&AsteriskOptions::default()).unwrap();
    let phone = Phone::new(&two, Node::Phone, PHONE, Transport::Udp);
    assert_eq!(phone.options(SIP).unwrap(), Answer::Done);
    let source = IpAddr::V4(Node::Phone.v4());
    for asterisk in [&first, &second] {
        asterisk.settle().unwrap();
    }
    assert_eq!((first.seen_from(source), second.seen_from(source)), (0, 1));
}
