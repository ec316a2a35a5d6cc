use super::*;

fn view(text: &str) -> View<'_> {
    View::parse(text.as_bytes(), Carrier::Datagram).expect("SIP")
}

#[test]
fn headers_are_found_in_every_spelling() {
    let view = view(
        "\r\n\r\nINVITE sip:a@b SIP/2.0\r\nv : SIP/2.0/UDP one\r\nVIA:two\r\nTO :\r\n sip:x@y\r\n ;tag=1\r\nX-Odd: 5\r\nl: 4\r\n\r\nbody",
    );
    let vias: Vec<&[u8]> = view.all(HeaderName::Via).collect();
    assert_eq!(vias, [b"SIP/2.0/UDP one".as_slice(), b"two"]);
    assert_eq!(view.get(HeaderName::To), Some(b"sip:x@y\r\n ;tag=1".as_slice()));
    assert_eq!(view.get_other("x-odd"), Some(b"5".as_slice()));
    assert_eq!(view.get(HeaderName::From), None);
    assert_eq!(view.body(), b"body");
    assert!(view.anomalies().is_empty(), "{}", view.anomalies());
    assert_eq!(view.headers().count(), 5);
}

#[test]
fn a_message_may_end_anywhere() {
    let text = "INVITE sip:a@b SIP/2.0\r\nVia: x\r\nTo: y\r\n\r\nbody";
    for end in 0..text.len() {
        let _ = View::parse(&text.as_bytes()[..end], Carrier::Datagram);
    }
    assert!(view("ACK sip:a SIP/2.0\r\nVia: x").anomalies().contains(Anomaly::HeadersUnterminated));
    assert!(view("ACK sip:a SIP/2.0").anomalies().contains(Anomaly::HeadersUnterminated));
}

#[test]
fn line_ends_are_judged() {
    let odd = view("ACK sip:a SIP/2.0\nVia: x\nTo: a\rb\n\n");
    assert_eq!(odd.anomalies().to_string(), "bare-cr, line-end-without-cr");
    assert_eq!(odd.get(HeaderName::To), Some(b"a\rb".as_slice()));
    // Where nothing follows it may be half of a line end, wherever a block of 64 bytes ends.
    for filling in 0..130 {
        let text = format!("ACK sip:a SIP/2.0\r\nSubject: {}\r", "x".repeat(filling));
        assert_eq!(view(&text).anomalies().to_string(), "headers-unterminated", "{filling}");
        let text = format!("ACK sip:a SIP/2.0\r\nSubject: {}\rx\r\n\r\n", "x".repeat(filling));
        assert_eq!(view(&text).anomalies().to_string(), "bare-cr", "{filling}");
        let text = format!("ACK sip:a SIP/2.0\r\nSubject: {}\r\n\r\n\rx\0\n", "x".repeat(filling));
        assert_eq!(view(&text).anomalies().to_string(), "", "{filling}");
    }
    assert_eq!(view("ACK sip:a SIP/2.0\r\nTo: a\0b\r\n\r\n").anomalies().to_string(), "nul-byte");
    assert_eq!(view("ACK sip:a SIP/2.0\r\n folded\r\n\r\n").anomalies().to_string(), "fold-without-header");
    assert_eq!(view("ACK sip:a SIP/2.0\r\nnonsense\r\n\r\n").anomalies().to_string(), "header-without-colon");
    assert_eq!(
        view("ACK sip:a SIP/2.0\r\na b: 1\r\n: 2\r\n\r\n").anomalies().to_string(),
        "header-name-invalid"
    );
}

#[test]
fn odd_bytes_are_seen_long_before_the_headers_end() {
    for filling in [0, 64, 300, 3000] {
        let after = "x".repeat(filling);
        let text = format!("ACK sip:a SIP/2.0\r\nTo: a\0b\r\nSubject: {after}\r\n\r\n");
        assert_eq!(view(&text).anomalies().to_string(), "nul-byte", "{filling}");
        let bytes = text.replace('\0', "#").into_bytes();
        let bytes: Vec<u8> = bytes.into_iter().map(|byte| if byte == b'#' { 0xff } else { byte }).collect();
        let view = View::parse(&bytes, Carrier::Datagram).unwrap();
        assert_eq!(view.anomalies().to_string(), "invalid-utf8", "{filling}");
    }
}

#[test]
fn a_fold_belongs_to_the_line_before_it() {
    let lost = view("ACK sip:a SIP/2.0\r\nTo: <sip:a@b>\r\nno colon\r\n ;tag=1\r\n\r\n");
    assert_eq!(lost.get(HeaderName::To), Some(b"<sip:a@b>".as_slice()));
    let padding = "Q: 1\r\n".repeat(MAX_MORE);
    let text = format!("ACK sip:a SIP/2.0\r\n{padding}To: <sip:a@b>\r\nX-Other: b\r\n ;tag=1\r\n\r\n");
    assert_eq!(view(&text).get(HeaderName::To), Some(b"<sip:a@b>".as_slice()));
}

#[test]
fn blank_folds_add_nothing() {
    let folded = view("ACK sip:a SIP/2.0\r\nTo:\r\n \r\n\t<sip:a@b>\r\n \r\n ;tag=1 \r\n  \r\n\r\n");
    assert_eq!(folded.get(HeaderName::To), Some(b"<sip:a@b>\r\n \r\n ;tag=1".as_slice()));
    let empty = view("ACK sip:a SIP/2.0\r\nTo:\r\n \r\n\t\r\n\r\n");
    assert_eq!(empty.get(HeaderName::To), Some(b"".as_slice()));
}

#[test]
fn content_length_bounds_the_body() {
    let anomalies = |length: &str, body: &str| {
        let text = format!("ACK sip:a SIP/2.0\r\nContent-Length: {length}\r\n\r\n{body}");
        view(&text).anomalies().to_string()
    };
    assert_eq!(anomalies("4", "body"), "");
    assert_eq!(anomalies("5", "body"), "content-length-too-large");
    assert_eq!(anomalies("99999999999999999999", ""), "content-length-too-large");
    assert_eq!(anomalies("-9", "body"), "content-length-negative");
    assert_eq!(anomalies("x", "body"), "content-length-invalid");
    assert_eq!(anomalies("2", "body"), "content-length-too-small");
    assert_eq!(anomalies("0", "ACK sip:b SIP/2.0\r\n\r\n"), "content-length-too-small, several-messages");
}

#[test]
fn junk_before_the_start_line_is_skipped() {
    for junk in ["\u{0}\u{1}", "junk\r\n", "a\r\nb\r\n", "\u{ff}\u{fe}"] {
        let text = format!("{junk}INVITE sip:a@b SIP/2.0\r\nTo: x\r\n\r\n");
        let view = view(&text);
        assert_eq!(view.anomalies().to_string(), "junk-before-start-line", "{junk:?}");
        assert_eq!(view.get(HeaderName::To), Some(b"x".as_slice()));
    }
    assert!(View::parse("x\r\n".repeat(2000).as_bytes(), Carrier::Datagram).is_err());
}

#[test]
fn padding_hides_no_known_header() {
    let text = format!("ACK sip:a SIP/2.0\r\n{}To: here\r\n\r\n", "X-A: 1\r\nx: 2\r\n".repeat(200));
    let view = view(&text);
    assert_eq!(view.get(HeaderName::To), Some(b"here".as_slice()));
    assert_eq!(view.anomalies().to_string(), "too-many-headers");
    let text = format!("ACK sip:a SIP/2.0\r\n{}\r\n", "Via: 1\r\n".repeat(200));
    assert_eq!(
        super::View::parse(text.as_bytes(), Carrier::Datagram).unwrap().headers().count(),
        MAX_MORE + 1
    );
}

#[test]
fn other_protocols_are_no_sip() {
    for text in ["GET / HTTP/1.1\r\n\r\n", "", "\r\n", "hello world", "\u{16}\u{3}\u{1}\u{2}"] {
        assert!(View::parse(text.as_bytes(), Carrier::Datagram).is_err(), "{text:?}");
    }
}

/// More line ends than are told at once, and then the empty line, wherever a block ends: what is behind it is no header.
#[test]
fn the_empty_line_is_found_behind_any_number_of_lines() {
    let lines = "x:y\n".repeat(70);
    for padding in 0..70 {
        let padding = "p".repeat(padding);
        for empty in ["\r\n\r\n", "\n\n", "\r\n\n"] {
            let text =
                format!("ACK sip:a SIP/2.0\r\nS: {padding}\r\n{lines}To: a{empty}From: <sip:x@y>\r\n\r\n");
            let view = view(&text);
            assert_eq!(view.get(HeaderName::To), Some(b"a".as_slice()), "{padding}");
            assert_eq!(view.get(HeaderName::From), None, "{padding}");
            assert_eq!(view.body(), b"From: <sip:x@y>\r\n\r\n");
            // The first is a Session-Expires.
            assert_eq!(view.headers().filter(|header| header.value == b"y").count(), 1 + MAX_MORE);
        }
    }
}

#[test]
fn no_line_is_lost_among_many() {
    for before in 0..300 {
        let thin = "a:\r\n".repeat(before);
        let text = format!("ACK sip:a SIP/2.0\r\n{thin}Via: z\r\nTo: q\r\nFrom: r\r\n\r\n");
        let view = view(&text);
        for (name, value) in [(HeaderName::Via, b"z"), (HeaderName::To, b"q"), (HeaderName::From, b"r")] {
            assert_eq!(view.get(name), Some(value.as_slice()), "{before}");
        }
    }
    let many: String = (0..200).map(|line| format!("To: {line}\r\n")).collect();
    let text = format!("ACK sip:a SIP/2.0\r\n{many}\r\n");
    let values: Vec<String> =
        view(&text).all(HeaderName::To).map(|value| value.escape_ascii().to_string()).collect();
    assert_eq!(values, (0..=MAX_MORE).map(|line| line.to_string()).collect::<Vec<_>>());
    assert!(view(&text).anomalies().contains(Anomaly::ToRepeated));
}

#[test]
fn odd_bytes_are_not_forgotten_behind_many_lines() {
    let lines = "x:y\r\n".repeat(200);
    for odd in ["\0", "%n%n"] {
        let text = format!("ACK sip:a SIP/2.0\r\nS: {odd}\r\n{lines}To: a\r\n\r\n");
        let anomalies = crate::Message::read(&view(&text)).anomalies;
        let expected = if odd == "\0" { Anomaly::NulByte } else { Anomaly::FormatString };
        assert!(anomalies.contains(expected), "{anomalies}");
    }
}

#[test]
fn a_view_is_read_again_as_if_it_were_new() {
    let mut again = View::new();
    let signs = ";".repeat(500);
    let long = format!(
        "INVITE sip:a@b SIP/2.0\r\nVia: x\r\nTo: <sip:a;b@c>;tag=1\r\nnonsense\r\nl: 3\r\nS: %s\r\n\r\nabcd{signs}"
    );
    let name = "a".repeat(90);
    let short = format!("ACK sip:a SIP/2.0\r\nFrom: {name}\r\n\r\n");
    for text in [&long, &short, &long] {
        again.read(text.as_bytes(), Carrier::Datagram).expect("SIP");
        let fresh = view(text);
        assert_eq!(again.anomalies(), fresh.anomalies());
        assert_eq!(again.headers().collect::<Vec<_>>(), fresh.headers().collect::<Vec<_>>());
        assert_eq!((again.start(), again.body(), again.head()), (fresh.start(), fresh.body(), fresh.head()));
        let mut message = crate::Message::read(&view(&long));
        message.fill(&again);
        assert_eq!(format!("{message:?}"), format!("{:?}", crate::Message::read(&fresh)));
    }
}

#[test]
fn what_is_behind_the_longest_message_is_not_looked_at() {
    for len in [65_534, 65_535, 65_536, 65_537, 70_000] {
        let mut text = "ACK sip:a SIP/2.0\r\nTo: x\r\nS: ".to_owned();
        text += &"x".repeat(len - text.len() - 6);
        text += "\r\nz:\r\n";
        let view = view(&text);
        assert_eq!((view.bytes().len(), view.head().len()), (len.min(MAX_MESSAGE), len.min(MAX_MESSAGE)));
        assert!(view.anomalies().contains(Anomaly::HeadersUnterminated));
    }
}

#[test]
fn a_start_line_may_end_without_a_return() {
    let odd = view("SIP/2.0 200 OK\nTo: a\r\n\r\n");
    assert_eq!(odd.anomalies().to_string(), "line-end-without-cr");
    assert_eq!(*odd.start(), StartLine::Status { code: 200, reason: b"OK" });
}

#[test]
fn the_last_line_may_have_no_end() {
    for end in ["", "\r"] {
        let text = format!("ACK sip:a SIP/2.0\r\nVia: v\r\nTo: t{end}");
        assert_eq!(view(&text).get(HeaderName::To), Some(b"t".as_slice()));
    }
    let folded = view("ACK sip:a SIP/2.0\r\nVia: v\r\n ;x");
    assert_eq!(folded.get(HeaderName::Via), Some(b"v\r\n ;x".as_slice()));
    assert_eq!(view("ACK sip:a SIP/2.0\r\nVia: v\r\n\r").anomalies().to_string(), "headers-unterminated");
}

/// Of what was looked at in vain before the start line was found, nothing is kept, nor of the message before.
#[test]
fn signs_are_those_of_the_message() {
    let message =
        format!("OPTIONS sip:a@b SIP/2.0\r\nSubject: {}\r\nTo: <sip:a@b>;tag=1\r\n\r\n", "a;b, ".repeat(60));
    let expected = format!("{:?}", view(&message).signs);
    let behind_junk = format!("what is this\r\n{message}");
    assert_eq!(format!("{:?}", view(&behind_junk).signs), expected);
    for before in ["ACK sip:a SIP/2.0\r\nVia: x\r\n\r\n", "no SIP at all", &behind_junk] {
        let mut view = View::new();
        let _ = view.read(before.as_bytes(), Carrier::Datagram);
        view.read(message.as_bytes(), Carrier::Datagram).unwrap();
        assert_eq!(format!("{:?}", view.signs), expected);
    }
}
