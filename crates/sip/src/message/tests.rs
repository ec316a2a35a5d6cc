use super::*;
use crate::view::Carrier;

fn read(text: &str) -> Message<'_> {
    Message::read(&View::parse(text.as_bytes(), Carrier::Datagram).expect("SIP"))
}

const REGISTER: &str = "REGISTER sip:example.com SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bKx;rport\r\n\
    Max-Forwards: 70\r\nFrom: <sip:1000@example.com>;tag=f1\r\nTo: <sip:1000@example.com>\r\nCall-ID: c1@h\r\n\
    CSeq: 2 REGISTER\r\nContact: <sip:1000@192.0.2.1>;expires=60\r\nUser-Agent: Phone 1.0\r\nExpires: 60\r\n\
    Authorization: Digest username=\"1000\", realm=\"a\", nonce=\"n\", uri=\"sip:example.com\", response=\"r\"\r\n\
    Content-Length: 0\r\n\r\n";

#[test]
fn a_register_is_understood() {
    let message = read(REGISTER);
    assert_eq!(message.method(), Method::Register);
    assert_eq!(message.status(), None);
    assert_eq!(message.uri.unwrap().host, b"example.com");
    assert_eq!(message.from.unwrap().tag, Some(b"f1".as_slice()));
    assert_eq!(message.to.unwrap().account(), Some(b"1000".as_slice()));
    assert_eq!(message.via.unwrap().branch, Some(b"z9hG4bKx".as_slice()));
    assert_eq!(message.cseq.unwrap().number, 2);
    assert_eq!(message.credentials.unwrap().nonce, Some(b"n".as_slice()));
    assert_eq!((message.expires, message.max_forwards), (Some(60), Some(70)));
    assert_eq!(message.user_agent, Some(b"Phone 1.0".as_slice()));
    assert!(message.anomalies.is_empty(), "{}", message.anomalies);
}

#[test]
fn a_challenge_is_understood() {
    let message = read(
        "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nFrom: <sip:a@b>;tag=1\r\n\
         To: <sip:a@b>;tag=2\r\nCall-ID: c\r\nCSeq: 1 REGISTER\r\n\
         WWW-Authenticate: Digest realm=\"a\",nonce=\"n2\",stale=true\r\n\r\n",
    );
    assert_eq!((message.status(), message.method()), (Some(401), Method::Register));
    let challenge = message.challenge.unwrap();
    assert_eq!((challenge.nonce, challenge.stale), (Some(b"n2".as_slice()), true));
    assert!(message.anomalies.is_empty());
}

#[test]
fn mistakes_are_named() {
    let changed = |from: &str, to: &str| {
        assert!(REGISTER.contains(from));
        read(&REGISTER.replace(from, to)).anomalies.to_string()
    };
    for (from, to, expected) in [
        ("2 REGISTER", "2 INVITE", "cseq-method-mismatch"),
        ("2 REGISTER", "2147483648 REGISTER", "cseq-number-too-large"),
        ("2 REGISTER", "-2 REGISTER", "cseq-number-negative"),
        ("2 REGISTER", "REGISTER", "cseq-invalid"),
        ("CSeq: 2 REGISTER\r\n", "", "cseq-missing"),
        ("Max-Forwards: 70", "Max-Forwards: 300", "max-forwards-too-large"),
        ("Max-Forwards: 70", "Max-Forwards: x", "max-forwards-invalid"),
        ("Expires: 60", "Expires: 99999999999", "expires-too-large"),
        ("Expires: 60", "Expires: soon", "expires-invalid"),
        ("Call-ID: c1@h", "Call-ID:", "call-id-empty"),
        ("Expires: 60", "Date: Fri, 01 Jan 2010 16:00:00 EST", "date-not-gmt"),
        ("Phone 1.0", "%s%s%s%n", "format-string"),
        ("sip:example.com SIP", "sip:example.com?x=y SIP", "request-uri-with-headers"),
        ("sip:example.com SIP", "example SIP", "request-uri-invalid"),
        ("Expires: 60", "Proxy-Require: timer, nothing", "proxy-require-unknown"),
    ] {
        assert_eq!(changed(from, to), expected, "{from} -> {to}");
    }
    assert_eq!(changed("Phone 1.0", &"A".repeat(500)), "header-flood");
    let body = read("MESSAGE sip:a@b SIP/2.0\r\n\r\nhello").anomalies;
    assert!(body.contains(Anomaly::BodyWithoutContentType));
}

#[test]
fn what_the_server_asks_for_counts_before_what_the_proxy_does() {
    let credentials = |name: &str, user: &str| {
        format!(
            "{name}: Digest username=\"{user}\",realm=\"a\",nonce=\"{user}\",uri=\"sip:a\",response=\"r\"\r\n"
        )
    };
    let both = credentials("Proxy-Authorization", "proxy") + &credentials("Authorization", "server");
    let text = format!("INVITE sip:a@b SIP/2.0\r\n{both}\r\n");
    assert_eq!(read(&text).credentials.unwrap().username, Some(b"server".as_slice()));
    let text = format!("INVITE sip:a@b SIP/2.0\r\n{}\r\n", credentials("Proxy-Authorization", "proxy"));
    assert_eq!(read(&text).credentials.unwrap().username, Some(b"proxy".as_slice()));
    let text = "SIP/2.0 401 x\r\nProxy-Authenticate: Digest nonce=\"proxy\"\r\n\
        WWW-Authenticate: Digest nonce=\"server\"\r\n\r\n";
    assert_eq!(read(text).challenge.unwrap().nonce, Some(b"server".as_slice()));
}

/// A view and a message serve for one after the other: nothing of what was read before is left.
#[test]
fn what_was_read_before_leaves_nothing() {
    let answer = "SIP/2.0 401 Unauthorized\r\nVia: SIP/2.0/UDP h;branch=z9hG4bKx\r\nTo: <sip:a@b>;tag=2\r\n\
        WWW-Authenticate: Digest realm=\"a\",nonce=\"n2\"\r\nServer: S\r\nContent-Type: text/plain\r\n\r\nbody";
    let long =
        format!("OPTIONS sip:a@b SIP/2.0\r\nSubject: {}\r\nCSeq: 1 OPTIONS\r\n\r\n", "a;b=\"c,".repeat(400));
    // Its start line is read twice, as it is not plain; the second time, as many lines were looked at as are told at once.
    let odd =
        format!("OPTIONS sip:a@b SIP/2.0\n{}{}", "a:b\n".repeat(130), REGISTER.split_once("\r\n").unwrap().1);
    let texts = [REGISTER, answer, &long, &odd, "no SIP at all", "OPTIONS sip:a SIP/2.0\r\n\r\n", "\r\n\r\n"];
    for before in texts {
        for text in texts {
            let (mut view, mut message) = (View::new(), Message::new());
            if view.read(before.as_bytes(), Carrier::Datagram).is_ok() {
                message.fill(&view);
            }
            let Ok(fresh) = View::parse(text.as_bytes(), Carrier::Datagram) else {
                assert!(view.read(text.as_bytes(), Carrier::Datagram).is_err());
                continue;
            };
            view.read(text.as_bytes(), Carrier::Datagram).unwrap();
            message.fill(&view);
            assert_eq!(format!("{view:?}"), format!("{fresh:?}"));
            assert_eq!(format!("{message:?}"), format!("{:?}", Message::read(&fresh)));
        }
    }
    let message = read(&odd);
    assert_eq!(message.from.unwrap().tag, Some(b"f1".as_slice()));
    assert_eq!(message.credentials.unwrap().response, Some(b"r".as_slice()));
    assert_eq!(message.via.unwrap().branch, Some(b"z9hG4bKx".as_slice()));
}

/// What is looked up early is what is looked up later.
#[test]
fn the_first_half_of_a_message_is_final() {
    let view = View::parse(REGISTER.as_bytes(), Carrier::Datagram).unwrap();
    let (mut message, whole) = (Message::new(), Message::read(&view));
    message.begin(&view);
    assert_eq!((message.method(), message.status()), (whole.method(), whole.status()));
    assert_eq!(
        (message.call_id, message.cseq, message.credentials),
        (whole.call_id, whole.cseq, whole.credentials)
    );
    let text = |message: &Message<'_>| {
        format!("{:?}{:?}{:?}{:?}", message.from, message.to, message.via, message.challenge)
    };
    assert_eq!(text(&message), text(&whole));
    message.complete(&view);
    assert_eq!(format!("{message:?}"), format!("{whole:?}"));
}
