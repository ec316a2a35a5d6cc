//! The main job, on a real PBX: scanners see nothing, honest people notice nothing, and nothing is left afterwards. What the
//! same attacks achieve without Ringfence is in the lab's own `unguarded` tests. Root only.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "helpers of tests fail as tests do")]

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use lab::asterisk::PHONE;
use lab::attack;
use lab::phone::{Answer, ECHO, Phone, Transport};
use lab::probe::{self, IcmpError, Listener, TcpProbe, UdpProbe};
use lab::{Asterisk, AsteriskOptions, Guard, Lab, Node, guard, skip};

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
const HONEST: IpAddr = IpAddr::V4(Node::Phone.v4());
const SIP: SocketAddr = SocketAddr::new(PBX, 5060);
const LIMIT: Duration = Duration::from_secs(2);
const TOOLS: &[&str] = &["bpftool", "debootstrap", "nft", "nmap", "ping", "sipp", "sipsak", "svmap"];

/// The program under test: `RINGFENCE_BIN` where the task runner built one, else the one that cargo built with this test.
fn binary() -> PathBuf {
    let built = PathBuf::from(env!("CARGO_BIN_EXE_ringfence"));
    std::env::var_os("RINGFENCE_BIN").map_or(built, PathBuf::from)
}

fn workspace() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn sample() -> PathBuf {
    workspace().join("samples/asterisk.rules")
}

fn tcp(lab: &Lab, port: u16) -> TcpProbe {
    probe::tcp(lab, Node::Attacker, (PBX, port).into(), LIMIT).unwrap()
}

fn udp(lab: &Lab, port: u16, payload: &[u8]) -> UdpProbe {
    probe::udp(lab, Node::Attacker, (PBX, port).into(), payload, LIMIT).unwrap()
}

fn seen_from_attacker(asterisk: &Asterisk) -> usize {
    asterisk.settle().unwrap();
    asterisk.seen_from(ATTACKER)
}

/// An OPTIONS request with a header of filling, and a user agent after it, so that a long filling puts the user agent into a
/// later IP fragment. No two are retransmissions of each other.
fn options(user_agent: &str, filling: usize) -> Vec<u8> {
    static SERIAL: AtomicUsize = AtomicUsize::new(1);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    format!(
        "OPTIONS sip:600@{PBX} SIP/2.0\r\n\
         Via: SIP/2.0/UDP {ATTACKER}:5060;branch=z9hG4bK-guarded-{serial};rport\r\n\
         From: <sip:caller@{PBX}>;tag={serial}\r\nTo: <sip:600@{PBX}>\r\n\
         Call-ID: guarded-{serial}\r\nCSeq: 1 OPTIONS\r\nMax-Forwards: 70\r\n\
         X-Filling: {}\r\nUser-Agent: {user_agent}\r\nContent-Length: 0\r\n\r\n",
        "x".repeat(filling),
    )
    .into_bytes()
}

fn scanners_find_nothing(lab: &Lab, asterisk: &Asterisk) {
    let before = seen_from_attacker(asterisk);
    assert_eq!(attack::svmap(lab, Node::Attacker, PBX).unwrap(), []);
    assert_eq!(attack::svwar(lab, Node::Attacker, PBX, "100,1000", "INVITE").unwrap(), []);
    assert_eq!(attack::sipsak(lab, Node::Attacker, SIP, ECHO).unwrap(), None);
    assert_eq!(seen_from_attacker(asterisk), before, "nothing of it reached asterisk");
}

fn honest_people_are_served(lab: &Lab, asterisk: &Asterisk) {
    let stranger = Phone::new(lab, Node::Attacker, PHONE, Transport::Udp);
    let before = seen_from_attacker(asterisk);
    assert_eq!(stranger.options(SIP).unwrap(), Answer::Done, "an address is not its user agent");
    assert_eq!(seen_from_attacker(asterisk), before + 1);
    let phone = Phone::new(lab, Node::Phone, PHONE, Transport::Udp);
    assert_eq!(phone.register(SIP).unwrap(), Answer::Done);
    let call = phone.call(SIP, ECHO).unwrap();
    assert!(call.audio_both_ways(), "{call:?}");
    for from in [Node::Attacker, Node::Phone] {
        assert!(probe::ping(lab, from, PBX).unwrap());
    }
}

fn ports_are_as_the_rules_say(lab: &Lab) {
    let prohibited = IcmpError::HostProhibited;
    let _doors = [22, 80].map(|port| Listener::tcp(lab, Node::Pbx, port).unwrap());
    let _audio = [10_000, 20_000].map(|port| Listener::udp_echo(lab, Node::Pbx, port).unwrap());
    assert_eq!((tcp(lab, 22), tcp(lab, 80)), (TcpProbe::Open, TcpProbe::Open));
    let banner = probe::read_banner(lab, Node::Phone, (PBX, 80).into(), LIMIT).unwrap();
    assert_eq!(banner, "hello\n", "the answers pass too");
    for closed in [23, 443, 5060, 5061] {
        assert_eq!(tcp(lab, closed), TcpProbe::Icmp(prohibited), "TCP {closed}");
    }
    for closed in [53, 5061, 9_999, 20_001] {
        assert_eq!(udp(lab, closed, b"hello"), UdpProbe::Icmp(prohibited), "UDP {closed}");
    }
    for open in [10_000, 20_000] {
        assert_eq!(udp(lab, open, b"hello"), UdpProbe::Reply(b"hello".to_vec()), "UDP {open}");
    }
    // Accepted, and nobody listens: the host itself says so.
    assert_eq!(udp(lab, 4_569, b"hello"), UdpProbe::Icmp(IcmpError::PortUnreachable));
    // The signatures are about port 5060 only.
    let word = b"friendly-scanner".to_vec();
    assert_eq!(udp(lab, 10_000, &word), UdpProbe::Reply(word.clone()));
    let ports = attack::nmap_tcp(lab, Node::Attacker, PBX, "22,443").unwrap();
    let reasons: Vec<&str> = ports.iter().map(|port| port.reason.as_str()).collect();
    assert_eq!(reasons, ["syn-ack", "host-prohibited"]);
}

#[test]
fn rule_files_guard_a_real_pbx() {
    if !skip::ready("rule_files_guard_a_real_pbx", TOOLS) {
        return;
    }
    let article = workspace().join("../shared/data/article/iptables");
    let mut policies = vec![sample()];
    if article.exists() {
        policies.push(article);
    } else {
        lab::skip::note("rule_files_guard_a_real_pbx", "the article's own file is not here");
    }
    for policy in policies {
        let lab = Lab::up("guarded").unwrap();
        let asterisk = lab.asterisk(&AsteriskOptions { guests: true }).unwrap();
        let guard = Guard::start(&lab, &binary(), &policy).unwrap();
        assert!(guard.ready().contains(Node::INTERFACE), "{}", guard.ready());
        scanners_find_nothing(&lab, &asterisk);
        honest_people_are_served(&lab, &asterisk);
        ports_are_as_the_rules_say(&lab);

        let status = guard.command(&["status", "--format", "json"]).unwrap();
        let status: serde_json::Value = serde_json::from_str(&status.stdout).expect(&status.stdout);
        assert_eq!(status["enforced"], true, "{status}");
        assert_eq!(status["interfaces"][0]["name"], Node::INTERFACE, "{status}");
        // Nothing of this PBX's is encrypted, and it is said of whom.
        let privacy = &status["privacy"];
        let phone = privacy["peers"]
            .as_array()
            .unwrap()
            .iter()
            .find(|peer| peer["peer"] == HONEST.to_string())
            .unwrap();
        for what in ["registrations", "calls", "streams"] {
            assert!(phone["in_clear"][what].as_u64().unwrap() > 0, "{what}: {privacy:#}");
            assert_eq!(privacy["encrypted"][what], 0, "{privacy:#}");
        }
        let text = guard.command(&["status"]).unwrap().stdout;
        assert!(text.contains("in clear    ") && text.contains(&format!("{HONEST}: ")), "{text}");
        println!("{text}");
        assert_drops_are_logged(&guard);
        let event = scanner_event(&guard);
        assert_eq!(
            (&event["verdict"], &event["log"]),
            (&"drop".into(), &"iptables-badsip: ".into()),
            "{event}"
        );
        let stopped = guard.command(&["stop", "--clean"]).unwrap();
        assert!(stopped.status.success(), "{}", stopped.text());
        assert_eq!(guard::remains(&lab).unwrap(), [""; 0]);
    }
}

/// The same assertions, with the kernel's own iptables in Ringfence's place: what they demand is what the file means.
#[test]
fn iptables_itself_meets_the_same_expectations() {
    let test = "iptables_itself_meets_the_same_expectations";
    if !skip::ready(test, TOOLS) || !skip::ready(test, &["iptables-legacy-restore"]) {
        return;
    }
    let lab = Lab::up("oracle").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions { guests: true }).unwrap();
    lab.must(Node::Pbx, ["iptables-legacy-restore", &sample().display().to_string()]).unwrap();
    scanners_find_nothing(&lab, &asterisk);
    honest_people_are_served(&lab, &asterisk);
    ports_are_as_the_rules_say(&lab);
    signatures_in_later_fragments_are_found(&lab, &asterisk);
}

/// Dropped scanners reach the system's log as the article's LOG rule would write them, at level 6.
fn assert_drops_are_logged(guard: &Guard<'_>) {
    let wanted = format!("iptables-badsip: SRC={ATTACKER} DST={PBX} PROTO=UDP SPT=");
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let log = guard.system_log();
        if let Some(line) = log.iter().find(|line| line.contains(&wanted)) {
            assert!(line.contains(" DPT=5060 SIG="), "{line}");
            let priority = line.strip_prefix('<').and_then(|rest| rest.split('>').next()).unwrap();
            assert_eq!(priority.parse::<u8>().unwrap() % 8, 6, "{line}");
            return;
        }
        assert!(Instant::now() < deadline, "no drop in the log: {log:#?}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The first JSON event about a scanner's packet, once there is one.
fn scanner_event(guard: &Guard<'_>) -> serde_json::Value {
    let path = guard.state_dir().join("events.jsonl");
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let text = std::fs::read_to_string(&path).unwrap_or_default();
        let mut events = text.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        if let Some(event) = events.find(|event| event["reason"] == "signature") {
            assert_eq!((&event["type"], &event["proto"]), (&"packet".into(), &"udp".into()), "{event}");
            assert_eq!(event["dst"], SIP.to_string(), "{event}");
            assert!(event["src"].as_str().unwrap().starts_with(&format!("{ATTACKER}:")), "{event}");
            return event;
        }
        assert!(Instant::now() < deadline, "no event about a scanner in `{}`:\n{text}", path.display());
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_signature_in_a_later_fragment_is_found_too() {
    if !skip::ready("a_signature_in_a_later_fragment_is_found_too", TOOLS) {
        return;
    }
    let lab = Lab::up("fragments").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions { guests: true }).unwrap();
    for filling in FILLINGS {
        assert!(is_answered(&lab, "sipvicious", filling), "the request itself is fine");
    }
    let _guard = Guard::start(&lab, &binary(), &sample()).unwrap();
    signatures_in_later_fragments_are_found(&lab, &asterisk);
}

/// Bytes of filling for requests in one, two and three IP packets.
const FILLINGS: [usize; 3] = [10, 2_000, 3_000];

fn signatures_in_later_fragments_are_found(lab: &Lab, asterisk: &Asterisk) {
    let before = seen_from_attacker(asterisk);
    for filling in FILLINGS {
        assert!(is_answered(lab, "Some phone", filling), "{filling}");
        assert!(!is_answered(lab, "sipvicious", filling), "{filling}");
    }
    assert_eq!(seen_from_attacker(asterisk), before + FILLINGS.len());
}

fn is_answered(lab: &Lab, user_agent: &str, filling: usize) -> bool {
    let outcome = udp(lab, 5060, &options(user_agent, filling));
    let reply = if let UdpProbe::Reply(reply) = &outcome { reply.as_slice() } else { &[] };
    assert!(!matches!(outcome, UdpProbe::Icmp(_)), "a scanner gets no answer of any kind: {outcome:?}");
    reply.starts_with(b"SIP/2.0 200")
}

#[test]
fn enforcement_outlives_a_killed_daemon_and_is_adopted_without_a_gap() {
    let test = "enforcement_outlives_a_killed_daemon_and_is_adopted_without_a_gap";
    if !skip::ready(test, TOOLS) {
        return;
    }
    let lab = Lab::up("adopt").unwrap();
    let asterisk = lab.asterisk(&AsteriskOptions { guests: true }).unwrap();
    let mut first = Guard::start(&lab, &binary(), &sample()).unwrap();
    first.process().kill();
    scanners_find_nothing(&lab, &asterisk);
    assert_eq!(tcp(&lab, 443), TcpProbe::Icmp(IcmpError::HostProhibited));
    honest_people_are_served(&lab, &asterisk);

    let before = seen_from_attacker(&asterisk);
    let over = AtomicBool::new(false);
    let (second, sent) = std::thread::scope(|scope| {
        let flood = scope.spawn(|| flood(&lab, &over));
        let second = Guard::start(&lab, &binary(), &sample());
        over.store(true, Ordering::Relaxed);
        (second.unwrap(), flood.join().unwrap())
    });
    assert!(sent > 10, "only {sent} packets were sent while the daemon started");
    assert_eq!(seen_from_attacker(&asterisk), before, "none of {sent} packets came through");
    scanners_find_nothing(&lab, &asterisk);

    let stopped = second.command(&["stop", "--clean"]).unwrap();
    assert!(stopped.status.success(), "{}", stopped.text());
    assert_eq!(guard::remains(&lab).unwrap(), [""; 0]);
    assert_eq!(attack::svmap(&lab, Node::Attacker, PBX).unwrap().len(), 1, "the machine is as it was");
    assert_eq!(tcp(&lab, 443), TcpProbe::RefusedRst);
}

/// Sends a scanner's request every millisecond or two and returns how many.
fn flood(lab: &Lab, over: &AtomicBool) -> usize {
    lab.inside(Node::Attacker, || {
        let socket = std::net::UdpSocket::bind("0.0.0.0:0").unwrap();
        let request = options("friendly-scanner", 0);
        let mut sent = 0;
        while !over.load(Ordering::Relaxed) {
            socket.send_to(&request, SIP).unwrap();
            sent += 1;
            std::thread::sleep(Duration::from_millis(1));
        }
        sent
    })
    .unwrap()
}

#[test]
fn stop_clean_works_after_a_killed_daemon_and_spares_foreign_tables() {
    let test = "stop_clean_works_after_a_killed_daemon_and_spares_foreign_tables";
    if !skip::ready(test, TOOLS) {
        return;
    }
    let lab = Lab::up("foreign").unwrap();
    let foreign = "add table inet mine; add chain inet mine c { type filter hook input priority 5; }";
    lab.must(Node::Pbx, ["nft", foreign]).unwrap();
    let mut guard = Guard::start(&lab, &binary(), &sample()).unwrap();
    assert!(guard::remains(&lab).unwrap().len() > 2, "a table, a program and pins");
    guard.process().kill();
    let stopped = guard.command(&["stop", "--clean"]).unwrap();
    assert!(stopped.status.success(), "{}", stopped.text());
    assert_eq!(guard::remains(&lab).unwrap(), ["nft: table inet mine"]);
}

#[test]
fn observing_drops_nothing() {
    if !skip::ready("observing_drops_nothing", TOOLS) {
        return;
    }
    let lab = Lab::up("observe").unwrap();
    let _asterisk = lab.asterisk(&AsteriskOptions { guests: true }).unwrap();
    let guard = Guard::start_with(&lab, &binary(), &sample(), &["--observe"]).unwrap();
    assert_eq!(attack::svmap(&lab, Node::Attacker, PBX).unwrap().len(), 1);
    assert_eq!(tcp(&lab, 443), TcpProbe::RefusedRst);
    assert_eq!(scanner_event(&guard)["verdict"], "accept", "it is judged all the same");
    let stopped = guard.command(&["stop", "--clean"]).unwrap();
    assert!(stopped.status.success(), "{}", stopped.text());
    assert_eq!(guard::remains(&lab).unwrap(), [""; 0]);
}

#[test]
fn a_reload_is_whole_or_not_at_all() {
    if !skip::ready("a_reload_is_whole_or_not_at_all", TOOLS) {
        return;
    }
    let lab = Lab::up("reload").unwrap();
    let policy = lab.dir().join("policy.rules");
    let rules = std::fs::read_to_string(sample()).unwrap();
    std::fs::write(&policy, &rules).unwrap();
    let guard = Guard::start(&lab, &binary(), &policy).unwrap();
    let prohibited = TcpProbe::Icmp(IcmpError::HostProhibited);
    assert_eq!(tcp(&lab, 443), prohibited);

    let refusal = "-A INPUT -j REJECT";
    let opened = rules.replace(refusal, &format!("-A INPUT -p tcp --dport 443 -j ACCEPT\n{refusal}"));
    std::fs::write(&policy, &opened).unwrap();
    let reloaded = guard.command(&["reload"]).unwrap();
    assert!(reloaded.status.success(), "{}", reloaded.text());
    assert_eq!(tcp(&lab, 443), TcpProbe::RefusedRst, "accepted, and nobody listens");

    std::fs::write(&policy, rules.replace(refusal, "-A INPUT --no-such-option -j REJECT")).unwrap();
    let reloaded = guard.command(&["reload"]).unwrap();
    assert_eq!(reloaded.status.code(), Some(1), "{}", reloaded.text());
    assert!(reloaded.text().contains("--no-such-option"), "{}", reloaded.text());
    assert_eq!(tcp(&lab, 443), TcpProbe::RefusedRst, "the last good policy stays");
}

#[test]
fn a_failed_start_leaves_the_machine_as_it_was() {
    if !skip::ready("a_failed_start_leaves_the_machine_as_it_was", TOOLS) {
        return;
    }
    let lab = Lab::up("refused").unwrap();
    let bad = lab.dir().join("bad.rules");
    std::fs::write(&bad, "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT -m time --weekdays Mo -j DROP\nCOMMIT\n")
        .unwrap();
    let bad = bad.display().to_string();
    for (policy, interface, code, word) in
        [("/no/such/file", "eth0", 1, "/no/such/file"), (bad.as_str(), "eth0", 1, "time")]
    {
        let mut command = lab.command(Node::Pbx, &binary().display().to_string());
        command.args(["run", "--policy", policy, "--interface", interface]);
        command.arg("--state-dir").arg(lab.dir().join("state"));
        command.arg("--run-dir").arg(lab.dir().join("run"));
        command.arg("--pin-dir").arg(lab.bpffs().join("ringfence"));
        let output = lab::run(command, Duration::from_secs(20)).unwrap();
        assert_eq!(output.status.code(), Some(code), "{}", output.text());
        assert!(output.stderr.contains(word), "{}", output.stderr);
        assert_eq!(guard::remains(&lab).unwrap(), [""; 0], "after `{word}`");
    }
}
