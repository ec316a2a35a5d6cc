//! `tests/asterisk22` is what an Asterisk 22 wrote, byte for byte, after the login: `sip.txt` about registrations over every
//! transport, `manager.txt` about logins to the manager and a password guesser, `written-into.txt` about senders who wrote line
//! ends into their names, `with-settings.txt` with everything that settings put into events.

use std::time::Duration;

use super::*;
use crate::event::{Event, Kind, Service, Transport};
use crate::session::{Counts, Server, Session};

const SIP: &[u8] = include_bytes!("../../tests/asterisk22/sip.txt");
const MANAGER: &[u8] = include_bytes!("../../tests/asterisk22/manager.txt");
const WRITTEN_INTO: &[u8] = include_bytes!("../../tests/asterisk22/written-into.txt");
const WITH_SETTINGS: &[u8] = include_bytes!("../../tests/asterisk22/with-settings.txt");
const BANNER_LINE: &[u8] = b"Asterisk Call Manager/11.0.0\r\n";
const NOW: Duration = Duration::from_secs(1000);

fn login() -> Login {
    let (user, secret) = ("ringfence".to_owned(), "s3cret".to_owned());
    Login { server: Server::Asterisk, user, secret, is_private: false }
}

fn sent(session: &mut Session) -> String {
    let mut text = String::new();
    while let Some(output) = session.next_output() {
        if let Output::Send(bytes) = output {
            text.push_str(std::str::from_utf8(&bytes).unwrap());
        }
    }
    text
}

/// A session whose login was accepted.
fn logged_in() -> Session {
    let mut session = Session::new(login(), NOW).unwrap();
    session.receive(BANNER_LINE, NOW).unwrap();
    session
        .receive(b"Response: Success\r\nActionID: ringfence-1\r\nChallenge: 200249119\r\n\r\n", NOW)
        .unwrap();
    session
        .receive(
            b"Response: Success\r\nActionID: ringfence-2\r\nMessage: Authentication accepted\r\n\r\n",
            NOW,
        )
        .unwrap();
    sent(&mut session);
    session
}

fn told(bytes: &[u8], piece: usize) -> (Vec<Event>, Counts) {
    let mut session = logged_in();
    let mut events = Vec::new();
    for piece in bytes.chunks(piece) {
        session.receive(piece, NOW).unwrap();
        while let Some(output) = session.next_output() {
            if let Output::Event(event) = output {
                events.push(*event);
            }
        }
    }
    (events, session.counts())
}

fn summary(events: &[Event]) -> Vec<String> {
    let line = |event: &Event| {
        format!(
            "{} {} {} {} {}",
            event.kind.as_str(),
            event.service.as_str(),
            event.account.as_deref().unwrap_or("-"),
            event.transport.map_or("-", Transport::as_str),
            event.remote.map_or("-".to_owned(), |remote| remote.to_string()),
        )
    };
    events.iter().map(line).collect()
}

#[test]
fn the_secret_stays_here() {
    let mut session = Session::new(login(), NOW).unwrap();
    assert_eq!(session.next_output(), None, "the server speaks first");
    session.receive(BANNER_LINE, NOW).unwrap();
    assert_eq!(sent(&mut session), "Action: Challenge\r\nActionID: ringfence-1\r\nAuthType: MD5\r\n\r\n");
    session
        .receive(b"Response: Success\r\nActionID: ringfence-1\r\nChallenge: 200249119\r\n\r\n", NOW)
        .unwrap();
    let sent = sent(&mut session);
    // As computed by another program: md5("200249119s3cret").
    assert!(sent.contains("\r\nKey: ") && sent.contains("\r\nEvents: security,system\r\n"), "{sent}");
    assert!(sent.contains("Username: ringfence\r\n") && !sent.contains("s3cret"), "{sent}");
    assert_eq!(md5(&["abc"]), "900150983cd24fb0d6963f7d28e17f72", "RFC 1321, A.5");
    assert!(!format!("{:?}", login()).contains("s3cret"));
}

#[test]
fn who_knows_no_challenge_is_told_the_secret_only_in_private() {
    let refusal = b"Response: Error\r\nActionID: ringfence-1\r\nMessage: Must specify AuthType\r\n\r\n";
    let mut session = Session::new(login(), NOW).unwrap();
    session.receive(BANNER_LINE, NOW).unwrap();
    assert!(matches!(session.receive(refusal, NOW), Err(Error::AsteriskRefused { .. })));
    let mut session = Session::new(Login { is_private: true, ..login() }, NOW).unwrap();
    session.receive(BANNER_LINE, NOW).unwrap();
    session.receive(refusal, NOW).unwrap();
    assert!(sent(&mut session).contains("\r\nSecret: s3cret\r\n"));
}

#[test]
fn a_wrong_secret_says_what_to_look_at() {
    let mut session = Session::new(login(), NOW).unwrap();
    session.receive(BANNER_LINE, NOW).unwrap();
    session.receive(b"Response: Success\r\nActionID: ringfence-1\r\nChallenge: 1\r\n\r\n", NOW).unwrap();
    let error = session
        .receive(b"Response: Error\r\nActionID: ringfence-2\r\nMessage: Authentication failed\r\n\r\n", NOW)
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "asterisk refused the login of `ringfence` (`Authentication failed`): see that manager.conf has the section \
         `[ringfence]` with this `secret`, and that its `permit`, `deny` and `acl` let this host in; then \
         `asterisk -rx 'manager reload'`"
    );
    assert!(error.is_lasting());
}

#[test]
fn who_is_shown_no_security_events_is_told_so() {
    let mut session = logged_in();
    session.receive(b"Event: FullyBooted\r\nPrivilege: system,all\r\n\r\n", NOW).unwrap();
    assert_eq!(session.next_output(), None, "not ready yet");
    let error = session.handle_timeout(session.poll_timeout()).unwrap_err();
    assert_eq!(error, Error::NoSecurityEvents { user: "ringfence".to_owned() });
    assert!(error.to_string().contains("`read = security`"), "{error}");
}

#[test]
fn what_is_no_manager_is_named() {
    for (said, shown) in [
        (b"SSH-2.0-OpenSSH_9.2p1 Debian-2\r\n".as_slice(), "SSH-2.0-OpenSSH_9.2p1 Debian-2"),
        (b"HTTP/1.1 400 Bad Request", "HTTP/1.1 400 Bad Request"),
        (b"\x15\x03\x01\x00\x02", "\u{fffd}\u{fffd}\u{fffd}\u{fffd}\u{fffd}"),
        (b"Asterisk Call Manager\r\n", "Asterisk Call Manager"),
    ] {
        let mut session = Session::new(login(), NOW).unwrap();
        let error = session.receive(said, NOW).unwrap_err();
        assert_eq!(error, Error::NotAsterisk { said: shown.to_owned() });
    }
    let mut session = Session::new(login(), NOW).unwrap();
    session.receive(b"Asterisk Call", NOW).unwrap();
    assert_eq!(session.handle_timeout(NOW), Ok(()));
    assert_eq!(session.handle_timeout(NOW + STEP), Err(Error::Silent { seconds: 10 }));
}

#[test]
fn a_server_that_answers_no_ping_is_given_up() {
    let mut session = logged_in();
    session.receive(MANAGER, NOW).unwrap();
    sent(&mut session);
    let at = session.poll_timeout();
    assert_eq!(at, NOW + PING);
    session.handle_timeout(at).unwrap();
    assert_eq!(sent(&mut session), "Action: Ping\r\nActionID: ringfence-3\r\n\r\n");
    session.receive(b"Response: Success\r\nActionID: ringfence-3\r\nPing: Pong\r\n\r\n", at).unwrap();
    let at = session.poll_timeout();
    session.handle_timeout(at).unwrap();
    // Whatever else it says.
    session.receive(MANAGER, at).unwrap();
    assert_eq!(session.handle_timeout(at + PING), Err(Error::NoPing { seconds: 30 }));
}

#[test]
fn registrations_over_every_transport_are_read() {
    let (events, counts) = told(SIP, SIP.len());
    assert_eq!(counts, Counts::default());
    let lines = summary(&events);
    for wanted in [
        "challenged pjsip 100 tls 127.0.0.1:37264",
        "refused-credentials pjsip 100 tls 127.0.0.1:37264",
        "authenticated pjsip 100 tls 127.0.0.1:37264",
        "unknown-account pjsip nobody tls 127.0.0.1:37264",
        "refused-credentials pjsip - tls 127.0.0.1:37264",
        "refused-credentials pjsip 100 tcp 127.0.0.1:59966",
        "refused-by-acl pjsip 200 tcp 127.0.0.1:59966",
        "authenticated pjsip 100 udp 127.0.0.1:37713",
        "refused-credentials pjsip 100 ws 127.0.0.1:37376",
        "refused-credentials manager ringfence tls 127.0.0.1:46380",
        "registered pjsip 100 - -",
        "unregistered pjsip 100 - -",
        "contact-reachable pjsip 100 - -",
        "contact-unreachable pjsip 100 - -",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted}\n{}", lines.join("\n"));
    }
    let refused = events.iter().find(|event| event.kind == Kind::RefusedCredentials).unwrap();
    assert_eq!(refused.session.as_deref(), Some("e869de92e8ee"), "the Call-ID");
    assert_eq!(refused.nonce.as_deref(), Some("1795878060/2c7b84fff0826d56ed5dee9ef977cc10"));
    assert_eq!(refused.response.as_deref(), Some("c2bb20790e2f0701be53216f1ca347f4"));
    assert_eq!(refused.local, Some("127.0.0.1:5061".parse().unwrap()));
    assert_eq!(refused.time, Some(Duration::from_millis(1_795_878_060_837)));
    assert!(!refused.is_forgeable() && !refused.is_doubtful);
    assert_eq!(refused.to_string(), "refused-credentials for 100 from 127.0.0.1:37264 by pjsip over tls");
    let acl = events.iter().find(|event| event.kind == Kind::RefusedByAcl).unwrap();
    assert_eq!(acl.detail.as_deref(), Some("not_match_endpoint_acl"));
    let contact = events.iter().find(|event| event.kind == Kind::Registered).unwrap();
    assert_eq!(contact.contact.as_deref(), Some("sip:100@127.0.0.1:7000;transport=tls"));
}

#[test]
fn what_settings_put_into_events_is_no_stranger() {
    let (events, counts) = told(WITH_SETTINGS, 5000);
    assert_eq!(counts, Counts::default());
    assert_eq!(
        summary(&events),
        ["refused-credentials pjsip 100 udp [::1]:39253", "session-limit manager - tcp 127.0.0.1:53838"]
    );
    assert_eq!(events[0].time, Some(Duration::from_millis(1_795_880_941_997)));
}

#[test]
fn a_user_that_is_logged_in_already_is_told_so() {
    let mut session = Session::new(login(), NOW).unwrap();
    session.receive(BANNER_LINE, NOW).unwrap();
    session.receive(b"Response: Success\r\nActionID: ringfence-1\r\nChallenge: 1\r\n\r\n", NOW).unwrap();
    let answer = b"Response: Error\r\nActionID: ringfence-2\r\nMessage: Login Already In Use\r\n\r\n";
    let error = session.receive(answer, NOW).unwrap_err();
    assert!(matches!(error, Error::AsteriskInUse { .. }) && !error.is_lasting(), "{error}");
}

#[test]
fn pieces_change_nothing() {
    for bytes in [SIP, MANAGER, WRITTEN_INTO, WITH_SETTINGS] {
        let whole = told(bytes, bytes.len());
        for size in [1, 2, 7, 100, 1000] {
            assert_eq!(told(bytes, size), whole);
        }
    }
}

#[test]
fn logins_to_the_manager_are_read() {
    let (events, counts) = told(MANAGER, MANAGER.len());
    assert_eq!(counts, Counts::default());
    let lines = summary(&events);
    for wanted in [
        "refused-credentials manager ringfence tcp 127.0.0.1:43504",
        "unknown-account manager nobody tcp 127.0.0.1:43508",
        "refused-by-acl manager denied tcp 127.0.0.1:48110",
        "authenticated manager nosec tcp 127.0.0.1:48118",
        "refused-credentials manager - tcp 127.0.0.1:48122",
        "not-allowed manager - tcp 127.0.0.1:48136",
        "malformed manager - tcp 127.0.0.1:48148",
    ] {
        assert!(lines.iter().any(|line| line == wanted), "{wanted}\n{}", lines.join("\n"));
    }
    let guesses = events.iter().filter(|event| {
        event.kind == Kind::RefusedCredentials && event.service == Service::Pjsip && event.is_forgeable()
    });
    assert_eq!(guesses.count(), 8, "svcrack's wrong ones; the ninth was right");
    // The answer that was expected is as good as the secret.
    assert!(!format!("{events:?}").contains("2634deedad675c83322693a13c720d8d"));
}

#[test]
fn nobody_can_write_a_foreign_address_into_an_event() {
    let (events, counts) = told(WRITTEN_INTO, WRITTEN_INTO.len());
    let lines = summary(&events);
    assert!(!lines.iter().any(|line| line.contains("9.9.9.9")), "{}", lines.join("\n"));
    assert_eq!(events.iter().filter(|event| event.kind == Kind::RefusedCredentials).count(), 2);
    let doubtful: Vec<_> = events.iter().filter(|event| event.is_doubtful).collect();
    assert_eq!((doubtful.len(), counts.doubtful), (3, 3), "{doubtful:#?}");
    assert_eq!(counts.stray, 1, "what a stranger wrote behind an event over HTTP");
    // They are still told, with the address that is Asterisk's own.
    let all_known = doubtful.iter().all(|event| event.remote.is_some_and(|remote| remote.ip().is_loopback()));
    assert!(all_known, "{doubtful:#?}");
}

#[test]
fn two_groups_of_places_are_believed_neither() {
    let places = |ip: &str| {
        format!(
            "SessionID: x\r\nLocalAddress: IPV4/UDP/10.0.0.1/5060\r\nRemoteAddress: IPV4/UDP/{ip}/5060\r\n"
        )
    };
    let text = format!(
        "Event: InvalidAccountID\r\nPrivilege: security,all\r\nEventTV: 2026-11-28T15:01:00.835+0000\r\nSeverity: Error\r\n\
         Service: PJSIP\r\nEventVersion: 1\r\nAccountID: x\r\n{}{}\r\n",
        places("192.0.2.1"),
        places("203.0.113.9"),
    );
    let (events, _) = told(text.as_bytes(), 5000);
    assert_eq!((events.len(), events[0].remote, events[0].is_doubtful), (1, None, true));
}

#[test]
fn what_does_not_begin_as_asterisk_begins_is_nobodys_event() {
    let (events, counts) = told(
        b"Event: SuccessfulAuth\r\nSessionID: a\r\nLocalAddress: IPV4/UDP/10.0.0.1/5060\r\n\
          RemoteAddress: IPV4/UDP/203.0.113.9/5060\r\n\r\n\
          Event: SuccessfulAuth\r\nPrivilege: security,all\r\nService: PJSIP\r\nSessionID: a\r\n\
          LocalAddress: IPV4/UDP/10.0.0.1/5060\r\nRemoteAddress: IPV4/UDP/203.0.113.9/5060\r\n\r\n\
          SessionTV: 1970-01-01T00:00:00.000+0000\r\n\r\n",
        5000,
    );
    assert_eq!(events, []);
    assert_eq!(counts.stray, 2);
}

#[test]
fn whatever_is_too_long_is_cut_and_the_next_event_is_whole() {
    let long =
        format!("Event: ContactStatus\r\nURI: {}\r\nContactStatus: Removed\r\n\r\n", "x".repeat(100_000));
    let many = format!("Event: ContactStatus\r\n{}\r\n", "Key: value\r\n".repeat(10_000));
    let text = [long.as_bytes(), many.as_bytes(), SIP].concat();
    let (events, counts) = told(&text, 1000);
    assert_eq!(counts.cut, 2);
    assert_eq!(events[0].contact.as_ref().map(String::len), Some(256));
    assert_eq!(events[1..], told(SIP, 1000).0);
    // One that is never whole ends when there is no more room for it.
    let head = "Event: X\r\nPrivilege: security,all\r\nEventTV: 1\r\nSeverity: Error\r\nService: AMI\r\nEventVersion: 1\r\n";
    let open = format!("{head}{}", "a\r\n\r\n".repeat(MAX_OPEN));
    let (events, _) = told(&[open.as_bytes(), SIP].concat(), 1000);
    assert!(events.len() > 10, "{}", events.len());
}

/// More lines than a message has room for.
const MAX_OPEN: usize = crate::MAX_LINES;

#[test]
fn peers_of_the_old_channels_are_read() {
    let (events, _) = told(
        b"Event: PeerStatus\r\nPrivilege: system,all\r\nChannelType: SIP\r\nPeer: SIP/200\r\nPeerStatus: Registered\r\n\
          Address: 203.0.113.9:5060\r\n\r\n\
          Event: PeerStatus\r\nPrivilege: system,all\r\nChannelType: IAX2\r\nPeer: IAX2/trunk\r\nPeerStatus: Unregistered\r\n\
          Address: 203.0.113.10\r\nPort: 4569\r\n\r\n",
        5000,
    );
    assert_eq!(
        summary(&events),
        ["registered sip 200 - 203.0.113.9:5060", "unregistered iax2 trunk - 203.0.113.10:4569"]
    );
}

#[test]
fn every_kind_of_security_event_has_its_meaning() {
    let kinds = [
        ("FailedACL", Kind::RefusedByAcl),
        ("InvalidAccountID", Kind::UnknownAccount),
        ("SessionLimit", Kind::SessionLimit),
        ("MemoryLimit", Kind::MemoryLimit),
        ("LoadAverageLimit", Kind::LoadLimit),
        ("RequestNotSupported", Kind::NotSupported),
        ("RequestNotAllowed", Kind::NotAllowed),
        ("AuthMethodNotAllowed", Kind::MethodRefused),
        ("RequestBadFormat", Kind::Malformed),
        ("SuccessfulAuth", Kind::Authenticated),
        ("UnexpectedAddress", Kind::UnexpectedAddress),
        ("ChallengeResponseFailed", Kind::RefusedCredentials),
        ("InvalidPassword", Kind::RefusedCredentials),
        ("ChallengeSent", Kind::Challenged),
        ("InvalidTransport", Kind::WrongTransport),
    ];
    for (name, kind) in kinds {
        let text = format!(
            "Event: {name}\r\nPrivilege: security,all\r\nEventTV: 2026-11-28T15:01:00.835+0000\r\nSeverity: Error\r\n\
             Service: IAX2\r\nEventVersion: 1\r\nAccountID: me\r\nSessionID: 0x1\r\n\
             LocalAddress: IPV6/UDP/2001:db8::1/4569\r\nRemoteAddress: IPV6/UDP/2001:db8::9/4569\r\n\
             ExpectedAddress: IPV4/UDP/10.0.0.1/1\r\n\r\n"
        );
        let (events, _) = told(text.as_bytes(), 5000);
        assert_eq!(events.len(), 1, "{name}");
        assert_eq!((events[0].kind, &events[0].service), (kind, &Service::Iax2));
        assert_eq!(events[0].remote, Some("[2001:db8::9]:4569".parse().unwrap()));
        assert!(!events[0].is_doubtful);
    }
}

#[test]
fn a_login_that_would_be_more_than_a_login_is_none() {
    for (user, secret) in [("a\r\nb", "c"), ("a", "b\nAction: Originate"), ("", "a"), ("a", "")] {
        let login = Login {
            user: user.to_owned(),
            secret: secret.to_owned(),
            server: Server::Asterisk,
            is_private: true,
        };
        assert_eq!(Session::new(login, NOW).err(), Some(Error::UnsendableLogin));
    }
}
