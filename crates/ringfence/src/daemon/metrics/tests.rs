use std::net::Ipv4Addr;

use policy::ruleset::Network;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use super::*;

/// A server on a port of its own, whose daemon counts how often it was asked.
struct Served {
    exposition: Exposition,
    address: SocketAddr,
    asked: mpsc::Receiver<()>,
}

fn config(address: SocketAddr, allow: &str) -> Metrics {
    let network: Network = Network::LOOPBACK[0];
    let other = Network { address: "192.0.2.1".parse().unwrap(), ..network };
    Metrics { listen: address, allow: vec![if allow == "loopback" { network } else { other }] }
}

/// A port that nobody has.
fn free() -> SocketAddr {
    StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap()
}

async fn served(allow: &str) -> Served {
    let (requests, mut queue) = mpsc::channel::<(Request, Waiting)>(16);
    let (sender, asked) = mpsc::channel(1000);
    tokio::spawn(async move {
        while let Some((_, waiting)) = queue.recv().await {
            sender.send(()).await.unwrap();
            waiting.reply(json!({ "enforced": true }));
        }
    });
    let address = free();
    let mut exposition = Exposition::default();
    let next = Exposition::prepare(Some(&config(address, allow)), None).unwrap();
    exposition.follow(next, &requests).await;
    Served { exposition, address, asked }
}

async fn exchange(address: SocketAddr, request: &[u8]) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    // Whoever is turned away may not take it all.
    let _ = stream.write_all(request).await;
    let mut answer = Vec::new();
    let _ = timeout(Duration::from_secs(10), stream.read_to_end(&mut answer)).await.expect("an end");
    String::from_utf8(answer).unwrap()
}

async fn get(address: SocketAddr) -> String {
    exchange(address, b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n").await
}

#[tokio::test]
async fn metrics_are_served_and_nothing_else() {
    let served = served("loopback").await;
    let answer = get(served.address).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\ncontent-type: text/plain; version=0.0.4"), "{answer}");
    assert!(
        answer.contains("\nringfence_enforced 1\n") && answer.contains("ringfence_collection_seconds 0.")
    );
    for (request, expected) in [
        ("GET / HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("GET /metrics/../etc HTTP/1.1\r\n\r\n", "404 Not Found"),
        ("POST /metrics HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", "405 Method Not Allowed"),
        ("HEAD /metrics HTTP/1.1\r\n\r\n", "405 Method Not Allowed"),
        ("GET /metrics?x=1 HTTP/1.0\r\n\r\n", "200 OK"),
        ("\0\0\0\r\n\r\n", "400 Bad Request"),
    ] {
        let answer = exchange(served.address, request.as_bytes()).await;
        assert!(answer.lines().next().unwrap_or_default().contains(expected), "{request}: {answer}");
    }
    let long = format!("GET /metrics HTTP/1.1\r\nX: {}\r\n\r\n", "x".repeat(1 << 20));
    let answer = exchange(served.address, long.as_bytes()).await;
    assert!(!answer.contains("200 OK"), "{answer}");
}

#[tokio::test]
async fn the_daemon_is_asked_at_most_once_a_second() {
    let mut served = served("loopback").await;
    let begin = Instant::now();
    let all: Vec<_> = (0..50).map(|_| tokio::spawn(get(served.address))).collect();
    for one in all {
        assert!(one.await.unwrap().contains("ringfence_enforced 1"));
    }
    let took = begin.elapsed();
    let mut asked = 0;
    while served.asked.try_recv().is_ok() {
        asked += 1;
    }
    assert!((1..=1 + took.as_secs()).contains(&asked), "asked {asked} times in {took:?}");
}

#[tokio::test]
async fn who_is_slow_or_not_allowed_keeps_nobody_out() {
    let not_allowed = served("others").await;
    assert_eq!(get(not_allowed.address).await, "");
    let served = served("loopback").await;
    let mut slow = Vec::new();
    for _ in 0..MAX_CLIENTS {
        let mut stream = TcpStream::connect(served.address).await.unwrap();
        stream.write_all(b"GET /metr").await.unwrap();
        slow.push(stream);
    }
    let begin = Instant::now();
    assert!(get(served.address).await.contains("ringfence_enforced 1"));
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn a_reload_goes_where_the_policy_says_and_stays_where_that_cannot_be() {
    let mut served = served("loopback").await;
    let taken = StdListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let wanted = config(taken.local_addr().unwrap(), "loopback");
    let error = Exposition::prepare(Some(&wanted), served.exposition.config()).unwrap_err();
    let Exit::System(text) = error else { panic!("{error:?}") };
    assert!(
        text.contains("cannot serve metrics at 127.0.0.1:") && text.contains("another program"),
        "{text}"
    );
    assert!(get(served.address).await.contains("200 OK"));
    let same = Exposition::prepare(served.exposition.config(), served.exposition.config()).unwrap();
    assert!(matches!(same, Next::Same));
    served.exposition.change(same).await;
    assert!(get(served.address).await.contains("200 OK"));
    // The same port, and more addresses.
    let everywhere = SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), served.address.port());
    let next =
        Exposition::prepare(Some(&config(everywhere, "loopback")), served.exposition.config()).unwrap();
    served.exposition.change(next).await;
    assert!(get(served.address).await.contains("200 OK"));
    served.exposition.change(Next::Nowhere).await;
    assert!(TcpStream::connect(served.address).await.is_err());
}
