//! Senders that are believed, and others.

use std::io::Write as _;
use std::net::TcpStream;
use std::time::Instant;

use ::hep::{Content, Packet, Payload};

use super::*;

const SENT: &[u8] = b"OPTIONS sip:100@198.51.100.10 SIP/2.0\r\n\r\n";

fn packet() -> Packet<'static> {
    Packet {
        ip_protocol: Some(17),
        source: Some("203.0.113.9:5071".parse().unwrap()),
        destination: Some("198.51.100.10:5060".parse().unwrap()),
        time: Some(Duration::from_secs(1_795_877_967)),
        content: Content::SIP,
        auth_key: Some(b"s3cret"),
        payload: Payload::Plain(SENT),
        ..Packet::default()
    }
}

fn written(packet: &Packet<'_>) -> Vec<u8> {
    let mut bytes = Vec::new();
    packet.write(&mut bytes).unwrap();
    bytes
}

fn config(senders: Vec<Network>) -> Config {
    let password = Some(Password::new("s3cret".to_owned()));
    Config { listen: vec!["127.0.0.1:0".parse().unwrap()], udp: true, tcp: true, senders, password }
}

async fn until(receiver: &Receiver, is_so: impl Fn(&Counts) -> bool) -> Counts {
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let status = receiver.status();
        if is_so(&status.counts) {
            return status.counts;
        }
        assert!(Instant::now() < deadline, "{status:?}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

fn send(to: SocketAddr, bytes: &[u8]) {
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(bytes, to).unwrap();
}

#[tokio::test]
async fn copies_come_over_both_transports() {
    let (sender, mut copies) = mpsc::channel(10);
    let receiver = spawn(&config(Network::LOOPBACK.to_vec()), sender).await.unwrap();
    let &[udp, tcp] = receiver.listening() else { panic!("{:?}", receiver.listening()) };
    let password = Some(Password::new("s3cret".to_owned()));
    let mut exporter = Exporter::open(udp, 7, password).unwrap();
    exporter.send(&packet());
    let copy = copies.recv().await.unwrap();
    assert_eq!(copy.payload, SENT);
    assert_eq!((copy.capture_id, copy.ip_protocol), (Some(7), 17));
    assert_eq!((copy.source, copy.destination), (packet().source.unwrap(), packet().destination.unwrap()));
    assert_eq!((copy.time, copy.sender), (packet().time, "127.0.0.1".parse().unwrap()));
    let mut stream = TcpStream::connect(tcp).unwrap();
    let twice = [written(&packet()), written(&packet())].concat();
    let (first, second) = twice.split_at(100);
    stream.write_all(first).unwrap();
    tokio::time::sleep(Duration::from_millis(20)).await;
    stream.write_all(second).unwrap();
    assert_eq!(copies.recv().await.unwrap().payload, SENT);
    assert_eq!(copies.recv().await.unwrap().capture_id, None);
    assert_eq!(receiver.status().connections, 1);
    drop(stream);
    while receiver.status().connections > 0 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(receiver.status().counts, Counts { taken: 3, ..Counts::default() });
    let again = config(Network::LOOPBACK.to_vec());
    let taken = Config { listen: vec![tcp], udp: false, ..again };
    let error = spawn(&taken, mpsc::channel(1).0).await.unwrap_err().to_string();
    assert!(error.starts_with(&format!("cannot listen at {tcp}")), "{error}");
    receiver.close().await;
    let again = spawn(&taken, mpsc::channel(1).0).await.unwrap();
    assert_eq!(again.listening(), [tcp]);
}

#[tokio::test]
async fn what_is_not_believed_is_counted() {
    let (sender, mut copies) = mpsc::channel(10);
    let receiver = spawn(&config(Network::LOOPBACK.to_vec()), sender).await.unwrap();
    let &[udp, tcp] = receiver.listening() else { panic!("{:?}", receiver.listening()) };
    send(udp, &written(&Packet { auth_key: None, ..packet() }));
    send(udp, &written(&Packet { auth_key: Some(b"S3cret"), ..packet() }));
    until(&receiver, |counts| counts.wrong_key == 2).await;
    send(udp, &written(&Packet { content: Content::RTCP, ..packet() }));
    until(&receiver, |counts| counts.other == 1).await;
    send(udp, &written(&Packet { source: None, destination: None, ..packet() }));
    send(udp, &written(&Packet { payload: Payload::Compressed(b"x"), ..packet() }));
    send(udp, &[2, 28, 2, 17]);
    let mut stream = TcpStream::connect(tcp).unwrap();
    stream.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    until(&receiver, |counts| counts.broken == 4).await;
    let (_, what) = receiver.status().last_trouble.unwrap();
    assert!(what.contains("HEP"), "{what}");
    assert!(copies.try_recv().is_err());
}

#[tokio::test]
async fn only_senders_are_heard() {
    let (sender, mut copies) = mpsc::channel(10);
    let network = Network { address: "10.0.0.0".parse().unwrap(), mask: "255.0.0.0".parse().unwrap() };
    let receiver = spawn(&config(vec![network]), sender).await.unwrap();
    let &[udp, tcp] = receiver.listening() else { panic!("{:?}", receiver.listening()) };
    send(udp, &written(&packet()));
    let mut stream = TcpStream::connect(tcp).unwrap();
    // It is closed at once, so this may fail.
    stream.write_all(&written(&packet())).ok();
    let counts = until(&receiver, |counts| counts.foreign == 2).await;
    assert_eq!(counts, Counts { foreign: 2, ..Counts::default() });
    assert_eq!(receiver.status().last_trouble.unwrap().1, "is none of `senders`");
    assert!(copies.try_recv().is_err());
}

#[tokio::test]
async fn a_flood_is_counted_and_connections_are_bounded() {
    let (sender, mut copies) = mpsc::channel(5);
    let receiver = spawn(&config(Network::LOOPBACK.to_vec()), sender).await.unwrap();
    let &[_, tcp] = receiver.listening() else { panic!("{:?}", receiver.listening()) };
    let mut stream = TcpStream::connect(tcp).unwrap();
    let bytes = written(&packet()).repeat(2000);
    std::thread::spawn(move || {
        stream.write_all(&bytes).unwrap();
        std::thread::sleep(Duration::from_secs(10));
    });
    let counts = until(&receiver, |counts| counts.taken + counts.lost == 2000).await;
    assert_eq!((counts.taken, counts.lost), (5, 1995));
    assert!(copies.recv().await.is_some());
    let streams: Vec<TcpStream> = (0..40).map(|_| TcpStream::connect(tcp).unwrap()).collect();
    until(&receiver, |counts| counts.turned_away == 9).await;
    assert_eq!(receiver.status().connections, 32);
    drop(streams);
    while receiver.status().connections > 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

#[tokio::test]
async fn an_exporter_counts_what_does_not_go_out() {
    let mut exporter = Exporter::open("127.0.0.1:9".parse().unwrap(), 1, None).unwrap();
    let long = vec![b'x'; 65_000];
    exporter.send(&Packet { payload: Payload::Plain(&long), ..packet() });
    exporter.send(&Packet { payload: Payload::Plain(&vec![b'x'; 70_000]), ..packet() });
    assert_eq!(exporter.exported(), Exported { sent: 1, lost: 1 });
    let none = Hep {
        listen: Vec::new(),
        udp: true,
        tcp: false,
        senders: Vec::new(),
        password: None,
        export_to: None,
        capture_id: 1,
    };
    assert!(Exporter::load(&none).unwrap().is_none());
    let some = Hep { export_to: Some("127.0.0.1:9".parse().unwrap()), ..none };
    assert!(Exporter::load(&some).unwrap().is_some());
}
