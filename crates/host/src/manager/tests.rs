//! Servers that behave, and servers that do not.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicU32, Ordering};

use ::manager::{Kind, Server};

use super::*;

const EVENT: &str = "Event: InvalidPassword\r\nPrivilege: security,all\r\nEventTV: 2026-11-28T14:59:27.286+0000\r\n\
    Severity: Error\r\nService: PJSIP\r\nEventVersion: 1\r\nAccountID: 100\r\nSessionID: a\r\n\
    LocalAddress: IPV4/TLS/198.51.100.10/5061\r\nRemoteAddress: IPV4/TLS/203.0.113.9/40000\r\n\r\n";

/// A server that does this with each connection, on a thread that ends with the test's process.
fn server(with_each: impl Fn(TcpStream) + Send + 'static) -> Config {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            with_each(stream.unwrap());
        }
    });
    config(address)
}

fn config(address: SocketAddr) -> Config {
    let (user, secret) = ("ringfence".to_owned(), "s3cret".to_owned());
    let login = Login { server: Server::Asterisk, user, secret, is_private: true };
    Config { name: "pbx".to_owned(), address, login, tls: None }
}

fn read_action(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    let mut byte = [0];
    while !text.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        text.extend(byte);
    }
    String::from_utf8(text).unwrap()
}

fn let_in(stream: &mut TcpStream) {
    stream.write_all(b"Asterisk Call Manager/11.0.0\r\n").unwrap();
    for more in ["Challenge: 1\r\n", ""] {
        let action = read_action(stream);
        let id = action.lines().find(|line| line.starts_with("ActionID: ")).unwrap();
        stream.write_all(format!("Response: Success\r\n{id}\r\n{more}\r\n").as_bytes()).unwrap();
    }
    stream.write_all(EVENT.as_bytes()).unwrap();
}

async fn next(news: &mut mpsc::Receiver<News>) -> What {
    let next = tokio::time::timeout(Duration::from_secs(10), news.recv()).await;
    next.expect("something is told").expect("the link lives").what
}

fn state(what: What) -> State {
    match what {
        What::State(state) => state,
        What::Event(event) => panic!("{event:?}"),
    }
}

#[tokio::test]
async fn a_link_tells_and_is_made_again() {
    let config = server(|mut stream| let_in(&mut stream));
    let (sender, mut news) = mpsc::channel(100);
    let link = spawn(config, sender);
    for _ in 0..2 {
        assert_eq!(state(next(&mut news).await), State::Connected { version: "11.0.0".to_owned() });
        let What::Event(event) = next(&mut news).await else { panic!("no event") };
        assert_eq!((event.kind, event.account.as_deref()), (Kind::RefusedCredentials, Some("100")));
        assert_eq!(state(next(&mut news).await), State::Lost("the server closed the connection".to_owned()));
    }
    let status = link.status();
    assert_eq!((status.events, status.lost, status.logins), (2, 0, 2));
    assert!(status.last_event.is_some() && matches!(status.state, State::Lost(_)));
}

#[tokio::test]
async fn trouble_that_lasts_is_told_once() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let (sender, mut news) = mpsc::channel(100);
    let link = spawn(config(address), sender);
    let State::Lost(why) = state(next(&mut news).await) else { panic!("{:?}", link.status()) };
    assert!(why.starts_with(&format!("nobody listens at {address}")), "{why}");
    // It is tried again after one second, and after two more.
    tokio::time::sleep(Duration::from_millis(3500)).await;
    assert!(news.try_recv().is_err());
    assert_eq!(link.status().logins, 0);
}

#[tokio::test]
async fn who_is_no_manager_is_refused() {
    let config = server(|mut stream| {
        stream.write_all(b"SSH-2.0-OpenSSH_9.2p1\r\n").unwrap();
        std::thread::sleep(Duration::from_secs(1));
    });
    let (sender, mut news) = mpsc::channel(100);
    let _link = spawn(config, sender);
    let State::Refused(why) = state(next(&mut news).await) else { panic!("not refused") };
    assert!(why.contains("it said `SSH-2.0-OpenSSH_9.2p1`"), "{why}");
}

#[tokio::test]
async fn somebody_who_mended_something_need_not_wait() {
    let asked = Arc::new(AtomicU32::new(0));
    let counter = Arc::clone(&asked);
    let config = server(move |mut stream| {
        stream.write_all(b"220 mail.example.net ESMTP\r\n").unwrap();
        counter.fetch_add(1, Ordering::Relaxed);
    });
    let (sender, mut news) = mpsc::channel(100);
    let link = spawn(config.clone(), sender);
    let began = Instant::now();
    // Refused, it waits for a minute.
    while asked.load(Ordering::Relaxed) < 3 {
        tokio::time::sleep(Duration::from_millis(50)).await;
        link.hurry();
        assert!(began.elapsed() < Duration::from_secs(10), "{:?}", link.status());
    }
    assert!(matches!(state(next(&mut news).await), State::Refused(_)));
    assert!(news.try_recv().is_err(), "told once");
    assert!(link.follows(&config));
    let mut other = config;
    other.login.secret = "another".to_owned();
    assert!(!link.follows(&other), "a secret that was changed");
}

#[tokio::test]
async fn a_flood_blocks_nobody_and_what_does_not_fit_is_counted() {
    const EVENTS: u64 = 20_000;
    let config = server(|mut stream| {
        let_in(&mut stream);
        for _ in 1..EVENTS {
            stream.write_all(EVENT.as_bytes()).unwrap();
        }
        std::thread::sleep(Duration::from_secs(20));
    });
    let (sender, mut news) = mpsc::channel(10);
    let link = spawn(config, sender);
    // Nobody listens while it comes, and others still have their turns.
    let mut longest = Duration::ZERO;
    let began = Instant::now();
    while link.status().events + link.status().lost < EVENTS {
        let before = Instant::now();
        tokio::task::yield_now().await;
        longest = longest.max(before.elapsed());
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(began.elapsed() < Duration::from_secs(15), "{:?}", link.status());
    }
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    let status = link.status();
    // One place went to the news that it is connected.
    assert_eq!((status.events, status.lost), (9, EVENTS - 9));
    assert!(matches!(status.state, State::Connected { .. }));
    assert!(matches!(next(&mut news).await, What::State(_)));
}

#[tokio::test]
async fn an_endless_line_takes_no_memory_and_a_dropped_link_ends() {
    let (closed, is_closed) = std::sync::mpsc::channel();
    let config = server(move |mut stream| {
        let_in(&mut stream);
        while stream.write_all(&[b'x'; 65_536]).is_ok() {}
        closed.send(()).unwrap();
    });
    let (sender, mut news) = mpsc::channel(10);
    let link = spawn(config, sender);
    assert!(matches!(next(&mut news).await, What::State(_)));
    assert!(matches!(next(&mut news).await, What::Event(_)));
    tokio::time::sleep(Duration::from_millis(300)).await;
    assert!(matches!(link.status().state, State::Connected { .. }));
    drop(link);
    tokio::time::sleep(Duration::from_millis(100)).await;
    is_closed.recv_timeout(Duration::from_secs(5)).expect("the connection is closed");
    assert!(news.recv().await.is_none());
}

#[test]
fn a_policy_names_files_that_have_to_be_there() {
    let mut manager = Manager {
        name: "pbx".to_owned(),
        kind: Server::Asterisk,
        address: "127.0.0.1:5038".parse().unwrap(),
        user: "ringfence".to_owned(),
        secret: policy::sensor::Secret::Text("s3cret".to_owned()),
        tls: None,
    };
    assert!(Config::load(&manager).unwrap().login.is_private);
    manager.address = "192.0.2.1:5038".parse().unwrap();
    assert!(!Config::load(&manager).unwrap().login.is_private);
    manager.tls = Some(policy::sensor::Tls::default());
    let config = Config::load(&manager).unwrap();
    assert!(config.login.is_private && !format!("{config:?}").contains("s3cret"));
    for (content, words) in [
        ("", "it has no certificate"),
        ("-----BEGIN CERTIFICATE-----\n?\n-----END CERTIFICATE-----\n", "it is no PEM"),
    ] {
        let path = std::env::temp_dir().join(format!("ringfence-ca-{}", std::process::id()));
        std::fs::write(&path, content).unwrap();
        manager.tls = Some(policy::sensor::Tls { ca_file: Some(path.clone()), name: None });
        let error = Config::load(&manager).unwrap_err().to_string();
        assert!(error.contains(words) && error.contains(&path.display().to_string()), "{error}");
        std::fs::remove_file(&path).unwrap();
        assert!(Config::load(&manager).unwrap_err().to_string().starts_with("cannot read "));
    }
    manager.secret = policy::sensor::Secret::File("/nowhere/manager.secret".into());
    assert!(Config::load(&manager).is_err());
}
