//! Guesses over TLS, which the wire does not show: the PBX itself, its log and its copies each give the attacker away, and all
//! of them together count each guess once. Root only.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use lab::asterisk::{Asterisk, HEP_PASSWORD, HEP_PORT, Log, MANAGER, MANAGER_PORT, PHONE, SIPS_PORT, WEAK};
use lab::{AsteriskOptions, Guard, Lab, Node, skip, tls};
use serde_json::Value;

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
const SIPS: SocketAddr = SocketAddr::new(PBX, SIPS_PORT);
const TOOLS: &[&str] = &["bpftool", "debootstrap", "fail2ban-server", "nft", "openssl"];
/// More than any measure has room for.
const GUESSES: usize = 20;

fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

fn manager() -> String {
    format!(
        "[managers.pbx]\nkind = \"asterisk\"\naddress = \"127.0.0.1:{MANAGER_PORT}\"\nuser = \"{}\"\nsecret = \"{}\"\n",
        MANAGER.user, MANAGER.password
    )
}

fn jail(asterisk: &Asterisk) -> String {
    format!(
        "[jails.asterisk]\nfiles = [\"{}\"]\nmax-failures = 5\n",
        asterisk.log_path(Log::Security).display()
    )
}

fn hep() -> String {
    format!("[hep]\nlisten = [\"127.0.0.1:{HEP_PORT}\"]\npassword = \"{HEP_PASSWORD}\"\n")
}

fn json(guard: &Guard<'_>, args: &[&str]) -> Vec<Value> {
    let done = guard.command(args).unwrap();
    assert!(done.status.success(), "{args:?}: {}", done.text());
    done.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn status(guard: &Guard<'_>) -> Value {
    json(guard, &["status", "--format", "json"])[0].clone()
}

fn start<'lab>(lab: &'lab Lab, more: &str) -> Guard<'lab> {
    let policy = lab.dir().join("policy.toml");
    // Trusted is nobody, signatures are not what finds them.
    fs::write(&policy, format!("signatures = []\n{more}")).unwrap();
    let guard = Guard::start(lab, &binary(), &policy).unwrap();
    let deadline = Instant::now() + Duration::from_secs(20);
    let is_up = |status: &Value| {
        let managers = status["witnesses"]["managers"].as_array().unwrap();
        let jails = status["jails"].as_array().unwrap();
        managers.iter().all(|manager| manager["state"] == "connected")
            && jails.iter().all(|jail| jail["files"][0]["open"] == true)
    };
    while !is_up(&status(&guard)) {
        assert!(Instant::now() < deadline, "{:#}", status(&guard));
        std::thread::sleep(Duration::from_millis(50));
    }
    guard
}

/// Guesses one password after the other over TLS until nobody answers; how many were answered.
fn guess(lab: &Lab, guard: &Guard<'_>) -> usize {
    for guess in 0..GUESSES {
        let password = format!("guess-{guess}");
        if tls::register(lab, Node::Attacker, SIPS, WEAK.user, &[&password]).is_err() {
            return guess;
        }
        // What is told arrives a little later than what is answered.
        let deadline = Instant::now() + Duration::from_millis(300);
        while Instant::now() < deadline && json(guard, &["bans", "--format", "json"]).is_empty() {
            std::thread::sleep(Duration::from_millis(20));
        }
    }
    GUESSES
}

/// Whether the phone is answered.
fn is_served(lab: &Lab) -> bool {
    // Beyond the contacts that the account may have the second answer is 403.
    tls::register(lab, Node::Phone, SIPS, PHONE.user, &[PHONE.password])
        .is_ok_and(|answers| answers.len() == 2)
}

/// One lab with what a policy says; what the attacker was banned for, after how many guesses, and how often that was told.
fn banned(lab: &Lab, asterisk: &Asterisk, more: &str) -> (String, usize, usize) {
    // Of the guesses before, a log would tell as well.
    fs::OpenOptions::new().write(true).open(asterisk.log_path(Log::Security)).unwrap().set_len(0).unwrap();
    let guard = start(lab, more);
    assert!(is_served(lab));
    let guesses = guess(lab, &guard);
    let bans = json(&guard, &["bans", "--format", "json"]);
    let told = || guard.command(&["why", &ATTACKER.to_string()]).unwrap().text();
    assert_eq!(bans.len(), 1, "after {guesses} guesses: {}", told());
    assert_eq!(bans[0]["source"], ATTACKER.to_string());
    assert!(is_served(lab));
    let why = json(&guard, &["why", &ATTACKER.to_string(), "--format", "json"]);
    let is_refusal = |value: &&Value| value["detector"] == "password-guessing";
    let refusals = why[0]["evidence"].as_array().unwrap().iter().filter(is_refusal).count();
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
    fs::remove_dir_all(lab.dir().join("ringfence/state")).unwrap();
    (bans[0]["reason"].as_str().unwrap().to_owned(), guesses, refusals)
}

#[test]
fn each_witness_alone_and_all_together() {
    if !skip::ready("each_witness_alone_and_all_together", TOOLS) {
        return;
    }
    let lab = Lab::up("witness").unwrap();
    let asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let by_manager = banned(&lab, &asterisk, &manager());
    let by_log = banned(&lab, &asterisk, &jail(&asterisk));
    let by_copies = banned(&lab, &asterisk, &hep());
    let together = banned(&lab, &asterisk, &format!("{}{}{}", manager(), jail(&asterisk), hep()));
    println!("{by_manager:?} {by_log:?} {by_copies:?} {together:?}");
    assert_eq!(by_manager, ("password-guessing".to_owned(), 5, 5));
    assert_eq!((by_log.0.as_str(), by_log.2), ("jail:asterisk", 0));
    assert_eq!(by_copies, ("password-guessing".to_owned(), 5, 5));
    // Each guess once, whoever told of it.
    assert_eq!((together.1, together.2 <= 5), (5, true), "{together:?}");
}

#[test]
fn a_port_that_nobody_sees_into_is_told() {
    if !skip::ready("a_port_that_nobody_sees_into_is_told", TOOLS) {
        return;
    }
    let lab = Lab::up("dark").unwrap();
    let _asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let policy = lab.dir().join("policy.toml");
    fs::write(&policy, "signatures = []\n").unwrap();
    let often = &[("RINGFENCE_COMPARE_MS", "300")];
    let guard = Guard::start_before(&lab, &binary(), &policy, &[Node::INTERFACE], often).unwrap();
    assert_eq!(tls::register(&lab, Node::Phone, SIPS, PHONE.user, &[PHONE.password]).unwrap(), [401, 200]);
    let deadline = Instant::now() + Duration::from_secs(10);
    let dark = loop {
        let silent = status(&guard)["silent"].clone();
        if !silent.as_array().unwrap().is_empty() {
            break silent[0].as_str().unwrap().to_owned();
        }
        assert!(Instant::now() < deadline, "{:#}", status(&guard));
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(dark.starts_with("port 5061 carries TLS that nobody sees into"), "{dark}");
    // With a witness it is dark no more.
    fs::write(&policy, format!("signatures = []\n{}", manager())).unwrap();
    assert!(guard.command(&["reload"]).unwrap().status.success());
    while !status(&guard)["silent"].as_array().unwrap().is_empty() {
        assert!(Instant::now() < deadline + Duration::from_secs(10), "{:#}", status(&guard));
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

#[test]
fn a_log_that_says_nothing_while_the_wire_is_busy_is_told() {
    let test = "a_log_that_says_nothing_while_the_wire_is_busy_is_told";
    if !skip::ready(test, &["bpftool", "debootstrap", "fail2ban-server", "nft", "svmap"]) {
        return;
    }
    let lab = Lab::up("mute").unwrap();
    let _asterisk = lab.asterisk(&AsteriskOptions::default()).unwrap();
    let (policy, log) = (lab.dir().join("policy.toml"), lab.dir().join("other.log"));
    fs::write(&log, "not what the PBX writes to\n").unwrap();
    let jail = format!("[jails.asterisk]\nfiles = [\"{}\"]\n", log.display());
    fs::write(&policy, format!("signatures = []\n[detect]\nenforce = false\n{jail}")).unwrap();
    let often = &[("RINGFENCE_COMPARE_MS", "300")];
    let guard = Guard::start_before(&lab, &binary(), &policy, &[Node::INTERFACE], often).unwrap();
    std::thread::sleep(Duration::from_millis(700));
    assert_eq!(status(&guard)["silent"], serde_json::json!([]));
    lab::attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "200-240").unwrap();
    let deadline = Instant::now() + Duration::from_secs(10);
    while status(&guard)["silent"].as_array().unwrap().is_empty() {
        assert!(Instant::now() < deadline, "{:#}", status(&guard));
        std::thread::sleep(Duration::from_millis(50));
    }
    let told = status(&guard)["silent"][0].as_str().unwrap().to_owned();
    assert!(told.starts_with("the log of the jail asterisk is silent, while the wire saw "), "{told}");
    assert!(guard.system_log().iter().any(|line| line.contains("is silent")), "{:?}", guard.system_log());
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

#[test]
fn what_the_gate_sees_goes_to_whoever_asks_for_copies() {
    if !skip::ready("what_the_gate_sees_goes_to_whoever_asks_for_copies", &["bpftool", "nft"]) {
        return;
    }
    let lab = Lab::up("export").unwrap();
    let homer = lab.inside(Node::Pbx, || std::net::UdpSocket::bind("127.0.0.1:0").unwrap()).unwrap();
    homer.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    let _sip = lab::probe::Listener::udp_echo(&lab, Node::Pbx, 5060).unwrap();
    let policy = lab.dir().join("policy.toml");
    let to = homer.local_addr().unwrap();
    fs::write(&policy, format!("signatures = []\n[hep]\nexport-to = \"{to}\"\ncapture-id = 77\n")).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let request = format!("OPTIONS sip:600@{PBX} SIP/2.0\r\nCall-ID: copy\r\n\r\n");
    let limit = Duration::from_secs(2);
    lab::probe::udp(&lab, Node::Phone, SocketAddr::new(PBX, 5060), request.as_bytes(), limit).unwrap();
    let mut buffer = [0; 2000];
    let length = homer.recv(&mut buffer).unwrap();
    let packet = hep::Packet::parse(&buffer[..length]).unwrap();
    assert_eq!(packet.payload, hep::Payload::Plain(request.as_bytes()));
    assert_eq!((packet.capture_id, packet.ip_protocol), (Some(77), Some(17)));
    assert_eq!(packet.source.unwrap().ip(), IpAddr::V4(Node::Phone.v4()));
    assert_eq!(packet.destination, Some(SocketAddr::new(PBX, 5060)));
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}

/// As a URI's user part: every letter that means something is written as a number.
fn escaped(text: &str) -> String {
    let plain = |byte: &u8| byte.is_ascii_alphanumeric();
    text.bytes()
        .map(|byte| if plain(&byte) { char::from(byte).into() } else { format!("%{byte:02X}") })
        .collect()
}

#[test]
fn a_name_with_line_ends_in_it_accuses_nobody_else() {
    let test = "a_name_with_line_ends_in_it_accuses_nobody_else";
    if !skip::ready(test, TOOLS) {
        return;
    }
    let lab = Lab::up("lines").unwrap();
    let asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let jail = |log: Log| {
        let name = format!("asterisk-{log:?}").to_lowercase();
        format!("[jails.{name}]\nfilter = \"asterisk\"\nfiles = [\"{}\"]\n", asterisk.log_path(log).display())
    };
    let policy = format!("{}{}{}", manager(), jail(Log::Security), jail(Log::Messages));
    let guard = start(&lab, &policy);
    // Over TLS, so that the victim's address is proven and could be banned.
    assert!(is_served(&lab));
    let victim = Node::Phone.v4();
    let whole = format!(
        "\"\r\n[2026-11-28 16:00:00.000] SECURITY[1] res_security_log.c: SecurityEvent=\"ChallengeResponseFailed\",\
         RemoteAddress=\"IPV4/TLS/{victim}/5061\"\r\n"
    );
    let notice =
        format!("x\r\nNOTICE[1] x.c: Registration from 'x' failed for '{victim}:5060' - Wrong password\r\n");
    let short = "\"\r\nSecurityEvent=\"InvalidPassword\"";
    let call = format!("x\",RemoteAddress=\"IPV4/TLS/{victim}/5061\",Challenge=\"y");
    for (number, user) in [whole.as_str(), &notice, short].iter().cycle().take(30).enumerate() {
        let (user, serial) = (escaped(user), number / 3);
        let call = if number % 2 == 0 { format!("c{number}") } else { format!("{call}{number}") };
        let request = format!(
            "REGISTER sip:{PBX} SIP/2.0\r\nVia: SIP/2.0/UDP {ATTACKER}:5060;rport;branch=z9hG4bK{number}\r\nMax-Forwards: 70\r\n\
             From: <sip:{user}@{PBX}>;tag={serial}\r\nTo: <sip:{user}@{PBX}>\r\nCall-ID: {call}\r\nCSeq: 1 REGISTER\r\n\
             Contact: <sip:x@{ATTACKER}>\r\nContent-Length: 0\r\n\r\n"
        );
        let to = SocketAddr::new(PBX, 5060);
        lab::probe::udp(&lab, Node::Attacker, to, request.as_bytes(), Duration::from_millis(100)).unwrap();
    }
    std::thread::sleep(Duration::from_secs(1));
    let log = asterisk.log(Log::Security) + &asterisk.log(Log::Messages);
    assert!(log.contains("InvalidAccountID") && log.contains("failed for"), "{log}");
    assert!(is_served(&lab), "the victim is");
    let why = guard.command(&["why", &victim.to_string()]).unwrap().text();
    assert!(!why.contains("jail asterisk"), "nothing counts against it: {why}\n{log}");
    assert!(guard.command(&["stop", "--clean"]).unwrap().status.success());
}
