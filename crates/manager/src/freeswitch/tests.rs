use std::time::Duration;

use super::*;
use crate::event::{Event, Kind, Transport};
use crate::session::{Server, Session};

const NOW: Duration = Duration::from_secs(1000);

fn session(user: &str) -> Session {
    let (user, secret) = (user.to_owned(), "ClueCon".to_owned());
    Session::new(Login { server: Server::Freeswitch, user, secret, is_private: true }, NOW).unwrap()
}

fn sent(session: &mut Session) -> String {
    match session.next_output() {
        Some(Output::Send(bytes)) => String::from_utf8(bytes).unwrap(),
        other => panic!("{other:?}"),
    }
}

fn ready() -> Session {
    let mut session = session("");
    session.receive(b"Content-Type: auth/request\n\n", NOW).unwrap();
    assert_eq!(sent(&mut session), "auth ClueCon\n\n");
    session.receive(b"Content-Type: command/reply\nReply-Text: +OK accepted\n\n", NOW).unwrap();
    assert!(sent(&mut session).starts_with("event plain CUSTOM sofia::register "));
    session
        .receive(b"Content-Type: command/reply\nReply-Text: +OK event listener enabled plain\n\n", NOW)
        .unwrap();
    assert!(matches!(session.next_output(), Some(Output::Ready { .. })));
    session
}

fn event(lines: &str) -> String {
    let body = format!("{lines}\n\n");
    format!("Content-Length: {}\nContent-Type: text/event-plain\n\n{body}", body.len())
}

fn told(text: &str, size: usize) -> Vec<Event> {
    let mut session = ready();
    for piece in text.as_bytes().chunks(size) {
        session.receive(piece, NOW).unwrap();
    }
    std::iter::from_fn(|| session.next_output())
        .filter_map(|output| if let Output::Event(event) = output { Some(*event) } else { None })
        .collect()
}

const FAILURE: &str = "Event-Name: CUSTOM\nEvent-Date-Timestamp: 1795877967286123\nEvent-Subclass: sofia%3A%3Aregister_failure\n\
    profile-name: internal\nto-user: 1000\nto-host: 198.51.100.10\nnetwork-ip: 203.0.113.66\nuser-agent: x%0Anetwork-ip%3A%209.9.9.9\n\
    network-port: 5061\nregistration-type: REGISTER";

#[test]
fn registrations_are_read() {
    let text = [
        event(FAILURE),
        event(
            "Event-Subclass: sofia%3A%3Aregister\nprofile-name: internal\nfrom-user: 1001\ncall-id: abc%40phone\n\
             contact: %22%22%20%3Csip%3A1001%40192.0.2.20%3E\nstatus: Registered(TLS-NAT)\nto-user: 1001\n\
             network-ip: 192.0.2.20\nnetwork-port: 40000\nusername: 1001",
        ),
        event("Event-Subclass: sofia%3A%3Aregister_attempt\nusername: 1002\nnetwork-ip: 2001%3Adb8%3A%3A9\nnetwork-port: 5060\nauth-result: SUCCESS"),
        event("Event-Subclass: sofia%3A%3Aregister_attempt\nusername: 1002\nauth-result: FORBIDDEN"),
        event("Event-Subclass: sofia%3A%3Aexpire\nuser: 1001\ncall-id: abc%40phone"),
        event("Event-Name: HEARTBEAT"),
    ]
    .concat();
    let events = told(&text, text.len());
    let kinds: Vec<Kind> = events.iter().map(|event| event.kind).collect();
    assert_eq!(kinds, [Kind::RefusedCredentials, Kind::Registered, Kind::Authenticated, Kind::Unregistered]);
    let failure = &events[0];
    assert_eq!(failure.remote, Some("203.0.113.66:5061".parse().unwrap()));
    assert_eq!((failure.account.as_deref(), failure.detail.as_deref()), (Some("1000"), Some("internal")));
    assert_eq!(failure.time, Some(Duration::from_micros(1_795_877_967_286_123)));
    assert_eq!(events[1].transport, Some(Transport::Tls));
    assert_eq!(events[1].session.as_deref(), Some("abc@phone"));
    assert_eq!(events[1].contact.as_deref(), Some("\"\" <sip:1001@192.0.2.20>"));
    assert_eq!(events[2].remote, Some("[2001:db8::9]:5060".parse().unwrap()));
    for size in [1, 3, 50] {
        assert_eq!(told(&text, size), events);
    }
}

#[test]
fn a_wrong_password_says_what_to_look_at() {
    let mut session = session("me@example.net");
    session.receive(b"Content-Type: auth/request\n\n", NOW).unwrap();
    assert_eq!(sent(&mut session), "userauth me@example.net:ClueCon\n\n");
    let error =
        session.receive(b"Content-Type: command/reply\nReply-Text: -ERR invalid\n\n", NOW).unwrap_err();
    assert_eq!(error, Error::FreeswitchRefused { said: "-ERR invalid".to_owned() });
    assert!(error.to_string().contains("event_socket.conf.xml") && error.is_lasting());
}

#[test]
fn refusals_and_farewells_are_told() {
    let rude = b"Content-Type: text/rude-rejection\nContent-Length: 24\n\nAccess Denied, go away.\n";
    assert_eq!(
        session("").receive(rude, NOW),
        Err(Error::FreeswitchAcl { said: "Access Denied, go away.".to_owned() })
    );
    let bye = b"Content-Type: text/disconnect-notice\nContent-Length: 13\n\nDisconnected\n";
    let error = ready().receive(bye, NOW).unwrap_err();
    assert_eq!(error, Error::Closed { said: Some("Disconnected".to_owned()) });
    for other in [b"SSH-2.0-OpenSSH_9.2p1\r\n".as_slice(), b"\n\nAsterisk", b"HTTP/1.1 400"] {
        let error = session("").receive(other, NOW).unwrap_err();
        assert!(matches!(error, Error::NotFreeswitch { .. }), "{error}");
    }
}

#[test]
fn long_bodies_are_skipped() {
    let long = format!(
        "Content-Length: {}\nContent-Type: text/event-plain\n\n{}",
        MAX_BODY + 1,
        "x".repeat(usize::try_from(MAX_BODY).unwrap() + 1)
    );
    let mut session = ready();
    for piece in [long.as_bytes(), event(FAILURE).as_bytes()].concat().chunks(1000) {
        session.receive(piece, NOW).unwrap();
    }
    assert_eq!(session.counts().cut, 1);
    assert!(matches!(session.next_output(), Some(Output::Event(_))));
    // One that never comes takes no room.
    session.receive(b"Content-Length: 18446744073709551615\n\n", NOW).unwrap();
    session.receive(&[b'x'; 10_000], NOW).unwrap();
}

#[test]
fn a_ping_is_answered_or_the_server_is_given_up() {
    let mut session = ready();
    let at = session.poll_timeout();
    session.handle_timeout(at).unwrap();
    assert_eq!(sent(&mut session), "api uptime\n\n");
    session.receive(b"Content-Type: api/response\nContent-Length: 3\n\n-1\n", at).unwrap();
    let at = session.poll_timeout();
    session.handle_timeout(at).unwrap();
    assert_eq!(session.handle_timeout(at + PING), Err(Error::NoPing { seconds: 30 }));
}
