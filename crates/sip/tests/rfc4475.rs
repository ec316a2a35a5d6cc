//! The torture messages of RFC 4475: no valid one is called malformed, every invalid one is, by the right name.

#![expect(clippy::panic, clippy::print_stderr, reason = "a test says what it skips, and fails loudly")]

use std::path::PathBuf;

use sip::{Carrier, Message, View};

/// Invalid, and what they must be called.
const INVALID: [(&str, &str); 21] = [
    ("badaspec", "addr-spec-with-whitespace"),
    ("badbranch", "branch-empty"),
    ("baddate", "date-not-gmt"),
    ("baddn", "display-name-not-quoted"),
    ("badinv01", "extraneous-separators"),
    ("badvers", "version-unknown"),
    ("bigcode", "status-code-invalid"),
    ("clerr", "content-length-too-large"),
    ("escruri", "request-uri-with-headers"),
    ("ltgtruri", "request-uri-in-brackets"),
    ("lwsruri", "request-uri-with-whitespace"),
    ("lwsstart", "request-line-extra-whitespace"),
    ("mismatch01", "cseq-method-mismatch"),
    ("mismatch02", "cseq-method-mismatch"),
    ("ncl", "content-length-negative"),
    ("quotbal", "unterminated-quote"),
    ("regbadct", "addr-spec-needs-brackets"),
    ("scalar02", "cseq-number-too-large"),
    ("scalar02", "max-forwards-too-large"),
    ("scalarlg", "cseq-number-too-large"),
    ("trws", "request-line-trailing-whitespace"),
];

/// Valid, unusual or of the old style: odd at most.
const NOT_MALFORMED: [&str; 29] = [
    "wsinv",
    "intmeth",
    "esc01",
    "escnull",
    "esc02",
    "lwsdisp",
    "longreq",
    "dblreq",
    "semiuri",
    "transports",
    "mpart01",
    "unreason",
    "noreason",
    "insuf",
    "unkscm",
    "novelsc",
    "unksm2",
    "bext01",
    "invut",
    "regaut01",
    "multi01",
    "mcl01",
    "bcast",
    "zeromf",
    "cparam01",
    "cparam02",
    "regescrt",
    "sdp01",
    "inv2543",
];

fn message(name: &str) -> Option<String> {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rfc4475");
    let Ok(bytes) = std::fs::read(directory.join(format!("{name}.dat"))) else {
        eprintln!("skipped: {} is not here", directory.display());
        return None;
    };
    let view = View::parse(&bytes, Carrier::Datagram).unwrap_or_else(|_| panic!("{name} is SIP"));
    let anomalies = Message::read(&view).anomalies;
    Some(if anomalies.is_malformed() { format!("malformed: {anomalies}") } else { anomalies.to_string() })
}

#[test]
fn invalid_messages_are_reported_by_name() {
    for (name, anomaly) in INVALID {
        let Some(found) = message(name) else { return };
        assert!(found.starts_with("malformed") && found.contains(anomaly), "{name}: {found}");
    }
}

#[test]
fn valid_messages_are_not_malformed() {
    for name in NOT_MALFORMED {
        let Some(found) = message(name) else { return };
        assert!(!found.starts_with("malformed"), "{name}: {found}");
    }
}

#[test]
fn the_tortuous_invite_is_understood_in_full() {
    let directory = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rfc4475");
    let Ok(bytes) = std::fs::read(directory.join("wsinv.dat")) else {
        eprintln!("skipped: {} is not here", directory.display());
        return;
    };
    let view = View::parse(&bytes, Carrier::Datagram).unwrap();
    let message = Message::read(&view);
    assert_eq!(message.to.unwrap().tag, Some(b"1918181833n".as_slice()));
    assert_eq!(message.from.unwrap().tag, Some(b"98asjd8".as_slice()));
    assert_eq!(message.from.unwrap().display_name, b"\"J Rosenberg \\\\\\\"\"");
    assert_eq!(message.max_forwards, Some(68));
    assert_eq!(message.cseq.unwrap().number, 9);
    assert_eq!(message.via.unwrap().branch, Some(b"390skdjuw".as_slice()));
    assert_eq!(message.contact.unwrap().params.get("newparam"), Some(b"newvalue".as_slice()));
    assert_eq!(message.contact.unwrap().params.get("q"), Some(b"0.33".as_slice()));
}
