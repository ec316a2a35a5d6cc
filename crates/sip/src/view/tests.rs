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
