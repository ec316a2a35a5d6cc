//! A real Asterisk 22 testifies: over its manager, and by HEP. Root only.

#![expect(clippy::unwrap_used, clippy::panic, reason = "helpers of tests fail as tests do")]

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use ::manager::{Event, Kind, Login, Server, Service, Transport};
use host::hep::{Copied, Exporter, Password, Status};
use host::manager::{Client, Config, Link, News, State, What};
use lab::asterisk::{
    Account, BLIND, HEP_PASSWORD, HEP_PORT, MANAGER, MANAGER_PORT, MANAGER_TLS_PORT, PHONE, SIPS_PORT, WEAK,
};
use lab::phone::{Answer, Phone};
use lab::{AsteriskOptions, Lab, Node, attack, skip, tls};
use policy::ruleset::Network;
use policy::sensor::Tls;
use tokio::sync::{mpsc, oneshot};

const PBX: IpAddr = IpAddr::V4(Node::Pbx.v4());
const ATTACKER: IpAddr = IpAddr::V4(Node::Attacker.v4());
const SIP: SocketAddr = SocketAddr::new(PBX, 5060);
const SIPS: SocketAddr = SocketAddr::new(PBX, SIPS_PORT);
const HERE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const TOOLS: &[&str] = &["debootstrap", "nft", "openssl", "sipp", "svmap"];
const PATIENCE: Duration = Duration::from_secs(15);

#[test]
fn asterisk_tells_over_its_manager_who_guesses() {
    if !skip::ready("asterisk_tells_over_its_manager_who_guesses", TOOLS) {
        return;
    }
    let lab = Lab::up("manager").unwrap();
    let asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let listener = Listener::start(&lab, config(MANAGER, MANAGER_PORT, None));
    listener.until("it is connected", |heard| heard.states.iter().any(is_connected));

    assert_eq!(tls::register(&lab, Node::Attacker, SIPS, WEAK.user, &["1", "2", "3"]).unwrap(), [401; 4]);
    assert_eq!(tls::register(&lab, Node::Attacker, SIPS, "4711", &["1"]).unwrap(), [401; 2]);
    assert_eq!(tls::register(&lab, Node::Phone, SIPS, PHONE.user, &[PHONE.password]).unwrap(), [401, 200]);
    // It gives up, as every extension answers alike; but it asked for one that is not there.
    assert_eq!(attack::svwar(&lab, Node::Attacker, PBX, "100-101", "REGISTER").unwrap(), []);
    assert_eq!(attack::svcrack(&lab, Node::Attacker, PBX, WEAK.user, "100-105").unwrap(), None);
    let phone = Phone::new(&lab, Node::Phone, PHONE, lab::phone::Transport::Tcp);
    assert_eq!(phone.register(SIP).unwrap(), Answer::Done);

    let is_tls = |event: &&Event| event.transport == Some(Transport::Tls);
    let from_attacker = |event: &&Event| event.remote.is_some_and(|remote| remote.ip() == ATTACKER);
    let heard = listener.until("all of it is told", |heard| {
        let guesses = heard.of(Kind::RefusedCredentials).filter(from_attacker);
        guesses.count() >= 3 + 1 + 6
            && heard.of(Kind::Authenticated).filter(|event| event.service == Service::Pjsip).count() >= 2
            && heard.of(Kind::Registered).next().is_some()
    });
    let guesses: Vec<&Event> = heard.of(Kind::RefusedCredentials).filter(from_attacker).collect();
    let over_tls: Vec<&&Event> = guesses.iter().filter(|event| is_tls(event)).collect();
    assert_eq!(over_tls.len(), 4, "{guesses:#?}");
    assert!(over_tls.iter().all(|event| !event.is_forgeable() && event.local == Some(SIPS)));
    assert_eq!(over_tls.iter().filter(|event| event.account.as_deref() == Some(WEAK.user)).count(), 3);
    let by_udp: Vec<_> = guesses.iter().filter(|event| event.transport == Some(Transport::Udp)).collect();
    assert!(by_udp.len() >= 6, "{by_udp:#?}");
    assert!(
        by_udp.iter().all(|event| event.is_forgeable() && event.nonce.is_some() && event.session.is_some())
    );
    assert!(heard.of(Kind::UnknownAccount).any(|event| event.account.as_deref() == Some("4711")));
    assert!(heard.of(Kind::Challenged).any(|event| from_attacker(&event)));
    let phones: Vec<_> =
        heard.of(Kind::Authenticated).filter(|event| event.service == Service::Pjsip).collect();
    let is_phone =
        |event: &&&Event| event.remote.is_some_and(|remote| remote.ip() == IpAddr::V4(Node::Phone.v4()));
    assert!(phones.iter().all(|event| is_phone(&event) && event.account.as_deref() == Some(PHONE.user)));
    assert!(phones.iter().all(|event| event.using_password == Some(true)), "{phones:#?}");
    let contact = heard.of(Kind::Registered).next().unwrap();
    assert!(contact.contact.as_ref().unwrap().starts_with("sip:1000@192.0.2.20:"), "{contact:?}");
    let age = heard.of(Kind::Challenged).next().unwrap().time.unwrap();
    assert!(age.as_secs() > 1_700_000_000, "{age:?}");
    let status = listener.link(Link::status);
    assert_eq!((status.lost, status.logins, status.counts), (0, 1, ::manager::Counts::default()));
    drop(asterisk);
}

#[test]
fn a_manager_that_does_not_let_us_in_says_what_to_look_at() {
    if !skip::ready("a_manager_that_does_not_let_us_in_says_what_to_look_at", TOOLS) {
        return;
    }
    let lab = Lab::up("logins").unwrap();
    let asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let wrong = Account { password: "wrong", ..MANAGER };
    let stranger = Account { user: "stranger", ..MANAGER };
    let own = Some(asterisk.certificate());
    let own = own.as_deref();
    let refusals = [
        (
            config(wrong, MANAGER_PORT, None),
            "`Authentication failed`): see that manager.conf has the section `[ringfence]`",
        ),
        (config(stranger, MANAGER_PORT, None), "see that manager.conf has the section `[stranger]`"),
        (config(wrong, MANAGER_TLS_PORT, own), "see that manager.conf has the section `[ringfence]`"),
        (
            config(BLIND, MANAGER_PORT, None),
            "shows no security events: write `read = security` into `[blind]`",
        ),
        (
            config(MANAGER, MANAGER_TLS_PORT, Some(&other_certificate(&lab))),
            "TLS with 127.0.0.1:5039: invalid peer certificate",
        ),
        (config(MANAGER, MANAGER_PORT, own), "TLS with 127.0.0.1:5038: "),
    ];
    for (config, words) in refusals {
        let shown = format!("{config:?}");
        assert!(!shown.contains(&config.login.secret), "no secret is shown: {shown}");
        let listener = Listener::start(&lab, config);
        listener.until(words, |heard| {
            heard.states.iter().any(|state| matches!(state, State::Refused(why) if why.contains(words)))
        });
    }
    let listener = Listener::start(&lab, config(MANAGER, MANAGER_TLS_PORT, own));
    listener.until("TLS with the server's own certificate", |heard| heard.states.iter().any(is_connected));
    assert_eq!(tls::register(&lab, Node::Attacker, SIPS, WEAK.user, &["1"]).unwrap(), [401; 2]);
    listener.until("events come over TLS", |heard| heard.of(Kind::RefusedCredentials).next().is_some());
}

#[test]
fn a_manager_that_comes_back_is_listened_to_again() {
    if !skip::ready("a_manager_that_comes_back_is_listened_to_again", TOOLS) {
        return;
    }
    let lab = Lab::up("reconnect").unwrap();
    let asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let listener = Listener::start(&lab, config(MANAGER, MANAGER_PORT, None));
    listener.until("it is connected", |heard| heard.states.iter().any(is_connected));
    // As `kill -9`.
    drop(asterisk);
    listener.until("it is lost", |heard| matches!(heard.states.last(), Some(State::Lost(_))));
    let _asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let heard =
        listener.until("it is connected again", |heard| heard.states.last().is_some_and(is_connected));
    // The end of the connection, and that nobody listens: once each, however often it was tried.
    assert!(heard.states.len() <= 4, "{:?}", heard.states);
    assert_eq!(listener.link(Link::status).logins, 2);
    assert_eq!(tls::register(&lab, Node::Attacker, SIPS, WEAK.user, &["1"]).unwrap(), [401; 2]);
    listener.until("it tells", |heard| heard.of(Kind::RefusedCredentials).next().is_some());
}

#[test]
fn a_name_with_line_ends_testifies_against_nobody() {
    if !skip::ready("a_name_with_line_ends_testifies_against_nobody", TOOLS) {
        return;
    }
    let lab = Lab::up("names").unwrap();
    let _asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let listener = Listener::start(&lab, config(MANAGER, MANAGER_PORT, None));
    listener.until("it is connected", |heard| heard.states.iter().any(is_connected));
    let names = [
        "x%0D%0ARemoteAddress%3A%20IPV4%2FTLS%2F192.0.2.20%2F1",
        "%0D%0A%0D%0AEvent%3A%20SuccessfulAuth",
        "%0D%0A%0D%0AResponse%3A%20Goodbye",
    ];
    lab.inside(Node::Attacker, || {
        let socket = std::net::UdpSocket::bind((ATTACKER, 5071)).unwrap();
        for name in names {
            let request = format!(
                "REGISTER sip:{PBX} SIP/2.0\r\nVia: SIP/2.0/UDP {ATTACKER}:5071;branch=z9hG4bK{name}\r\nMax-Forwards: 70\r\n\
                 From: <sip:{name}@{PBX}>;tag=a\r\nTo: <sip:{name}@{PBX}>\r\nCall-ID: {}\r\nCSeq: 1 REGISTER\r\n\
                 Contact: <sip:a@{ATTACKER}:5071>\r\nContent-Length: 0\r\n\r\n",
                name.len(),
            );
            socket.send_to(request.as_bytes(), SIP).unwrap();
        }
    })
    .unwrap();
    let heard = listener.until("each is told", |heard| heard.of(Kind::UnknownAccount).count() == names.len());
    let told: Vec<&Event> = heard.of(Kind::UnknownAccount).collect();
    assert!(told.iter().all(|event| event.remote == Some((ATTACKER, 5071).into())), "{told:#?}");
    assert!(told.iter().all(|event| event.is_doubtful), "an Asterisk that writes no line ends: {told:#?}");
    assert_eq!(heard.of(Kind::Authenticated).filter(|event| event.service == Service::Pjsip).count(), 0);
    assert_eq!(listener.link(Link::status).counts.doubtful, 3);
    assert!(is_connected(&listener.link(Link::status).state));
}

#[test]
fn asterisk_sends_what_came_over_tls_in_clear() {
    if !skip::ready("asterisk_sends_what_came_over_tls_in_clear", TOOLS) {
        return;
    }
    let lab = Lab::up("copies").unwrap();
    let _asterisk = lab.asterisk_that_testifies(&AsteriskOptions::default()).unwrap();
    let (copies, status) = received(&lab, HEP_PASSWORD, || {
        assert_eq!(tls::register(&lab, Node::Attacker, SIPS, WEAK.user, &["1", "2"]).unwrap(), [401; 3]);
        let phone = Phone::new(&lab, Node::Phone, PHONE, lab::phone::Transport::Udp);
        assert_eq!(phone.register(SIP).unwrap(), Answer::Done);
    });
    assert_eq!(
        (status.counts.broken, status.counts.foreign, status.counts.wrong_key),
        (0, 0, 0),
        "{status:?}"
    );
    assert!(copies.iter().all(|copy| copy.sender == HERE && copy.capture_id == Some(7)));
    let text = |copy: &Copied| String::from_utf8(copy.payload.clone()).unwrap();
    let asked: Vec<&Copied> = copies.iter().filter(|copy| copy.source.ip() == ATTACKER).collect();
    assert_eq!(asked.len(), 3, "{asked:?}");
    assert!(asked.iter().all(|copy| copy.destination == SIPS && copy.ip_protocol == 6));
    assert!(asked.iter().all(|copy| text(copy).starts_with("REGISTER sip:198.51.100.10 SIP/2.0\r\n")));
    assert!(text(asked[1]).contains("Authorization: Digest username=\"100\""));
    let answers = copies.iter().filter(|copy| copy.destination.ip() == ATTACKER);
    assert!(
        answers.clone().count() == 3 && answers.clone().all(|copy| text(copy).starts_with("SIP/2.0 401 "))
    );
    assert!(copies.iter().any(|copy| copy.ip_protocol == 17 && copy.destination == SIP));

    // With another password, it is nobody's word.
    let (copies, status) = received(&lab, "other", || {
        assert_eq!(tls::register(&lab, Node::Attacker, SIPS, WEAK.user, &[]).unwrap(), [401]);
    });
    assert!(copies.is_empty() && status.counts.wrong_key >= 2, "{status:?}");
    let (from, what) = status.last_trouble.unwrap();
    assert_eq!((from, what.as_str()), (HERE, "has not the password"));
}

/// What comes by HEP while `work` is done, and shortly after.
fn received(lab: &Lab, password: &str, work: impl FnOnce()) -> (Vec<Copied>, Status) {
    let config = host::hep::Config {
        listen: vec![(HERE, HEP_PORT).into()],
        udp: true,
        tcp: true,
        senders: Network::LOOPBACK.to_vec(),
        password: Some(Password::new(password.to_owned())),
    };
    let (done, is_done) = oneshot::channel::<()>();
    let (ready, is_ready) = std::sync::mpsc::channel();
    let receive = async move {
        let (sender, mut copies) = mpsc::channel(1000);
        let receiver = host::hep::spawn(&config, sender).await.unwrap();
        ready.send(()).unwrap();
        is_done.await.ok();
        tokio::time::sleep(Duration::from_millis(500)).await;
        (std::iter::from_fn(|| copies.try_recv().ok()).collect(), receiver.status())
    };
    std::thread::scope(|scope| {
        let receiving = scope.spawn(|| lab.inside(Node::Pbx, || runtime().block_on(receive)).unwrap());
        is_ready.recv().unwrap();
        work();
        done.send(()).unwrap();
        receiving.join().unwrap()
    })
}

fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
}

#[test]
fn what_is_exported_is_what_sngrep_reads() {
    if !skip::ready("what_is_exported_is_what_sngrep_reads", &["sngrep", "tshark"]) {
        return;
    }
    let lab = Lab::up("export").unwrap();
    let file = lab.dir().join("seen.pcap");
    let mut sngrep = lab.command(Node::Pbx, "sngrep");
    sngrep.env("TERM", "xterm").args(["-N", "-q", "-L", "udp:127.0.0.1:9060", "-O"]).arg(&file);
    let _sngrep = lab.spawn("sngrep", sngrep).unwrap();
    let mut exporter = lab
        .inside(Node::Pbx, || {
            let key = Some(Password::new("homer".to_owned()));
            Exporter::open((HERE, HEP_PORT).into(), 2001, key).unwrap()
        })
        .unwrap();
    let packet = hep::Packet {
        ip_protocol: Some(17),
        source: Some("203.0.113.66:5071".parse().unwrap()),
        destination: Some("198.51.100.10:5060".parse().unwrap()),
        time: Some(Duration::from_micros(1_795_877_967_286_123)),
        content: hep::Content::SIP,
        payload: hep::Payload::Plain(
            b"OPTIONS sip:100@198.51.100.10 SIP/2.0\r\nVia: SIP/2.0/UDP 203.0.113.66:5071;branch=z9hG4bKa\r\n\
              From: <sip:a@203.0.113.66>;tag=a\r\nTo: <sip:100@198.51.100.10>\r\nCall-ID: abc\r\n\
              CSeq: 1 OPTIONS\r\nContent-Length: 0\r\n\r\n",
        ),
        ..hep::Packet::default()
    };
    // It does not say when it listens.
    let deadline = Instant::now() + PATIENCE;
    let fields =
        ["frame.time_epoch", "ip.src", "udp.srcport", "ip.dst", "udp.dstport", "sip.Method", "sip.Call-ID"];
    loop {
        exporter.send(&packet);
        std::thread::sleep(Duration::from_millis(200));
        let mut tshark = std::process::Command::new("tshark");
        tshark.arg("-r").arg(&file).args(["-T", "fields"]);
        tshark.args(fields.iter().flat_map(|field| ["-e", field]));
        let read = lab::run(tshark, PATIENCE).unwrap().stdout;
        if let Some(line) = read.lines().next() {
            let wanted = "1795877967.286123000 203.0.113.66 5071 198.51.100.10 5060 OPTIONS abc";
            assert_eq!(line.split_whitespace().collect::<Vec<_>>().join(" "), wanted);
            break;
        }
        assert!(Instant::now() < deadline, "nothing was seen: {:?}", exporter.exported());
    }
}

fn is_connected(state: &State) -> bool {
    matches!(state, State::Connected { version } if version.starts_with("11."))
}

fn config(account: Account, port: u16, certificate: Option<&Path>) -> Config {
    let tls = certificate.map(|path| Tls { ca_file: Some(path.to_owned()), name: None });
    let login = Login {
        server: Server::Asterisk,
        user: account.user.to_owned(),
        secret: account.password.to_owned(),
        is_private: true,
    };
    let tls = tls.map(|tls| Client::new(&tls, HERE).unwrap());
    Config { name: "pbx".to_owned(), address: (HERE, port).into(), login, tls }
}

/// Of somebody else.
fn other_certificate(lab: &Lab) -> std::path::PathBuf {
    let path = lab.dir().join("other.pem");
    let mut openssl = std::process::Command::new("openssl");
    openssl.args(["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"]);
    openssl.args(["-subj", "/CN=pbx", "-keyout", "/dev/null", "-out"]).arg(&path);
    assert!(lab::run(openssl, PATIENCE).unwrap().status.success());
    path
}

/// What was told so far.
#[derive(Clone, Debug, Default)]
struct Heard {
    events: Vec<Event>,
    states: Vec<State>,
}

impl Heard {
    fn of(&self, kind: Kind) -> impl Iterator<Item = &Event> {
        self.events.iter().filter(move |event| event.kind == kind)
    }
}

/// A connection to the manager, on a thread in the PBX's namespace.
struct Listener {
    heard: Arc<Mutex<Heard>>,
    link: Arc<Mutex<Option<Link>>>,
    /// Ends the thread when it is dropped.
    _end: oneshot::Sender<()>,
}

impl Listener {
    fn start(lab: &Lab, config: Config) -> Self {
        let (end, mut ended) = oneshot::channel::<()>();
        let (heard, link) = (Arc::new(Mutex::new(Heard::default())), Arc::new(Mutex::new(None)));
        let (told, linked) = (Arc::clone(&heard), Arc::clone(&link));
        let listen = async move {
            let (sender, mut news) = mpsc::channel(10_000);
            *linked.lock().unwrap() = Some(host::manager::spawn(config, sender));
            loop {
                tokio::select! {
                    Some(News { what, .. }) = news.recv() => match what {
                        What::Event(event) => told.lock().unwrap().events.push(*event),
                        What::State(state) => told.lock().unwrap().states.push(state),
                    },
                    _ = &mut ended => break,
                }
            }
        };
        // A thread begins in the namespace of the one that made it.
        lab.inside(Node::Pbx, || std::thread::spawn(|| runtime().block_on(listen))).unwrap();
        Self { heard, link, _end: end }
    }

    fn until(&self, what: &str, is_so: impl Fn(&Heard) -> bool) -> Heard {
        let deadline = Instant::now() + PATIENCE;
        loop {
            let heard = self.heard.lock().unwrap().clone();
            if is_so(&heard) {
                return heard;
            }
            assert!(Instant::now() < deadline, "{what}: {heard:#?}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn link<T>(&self, ask: impl FnOnce(&Link) -> T) -> T {
        let link = self.link.lock().unwrap();
        let Some(link) = link.as_ref() else { panic!("there is none yet") };
        ask(link)
    }
}
