//! Another dissector's opinion: field by field, for every SIP message of the captures at hand.

#![expect(clippy::expect_used, clippy::print_stderr, reason = "a test says what it skips, and fails loudly")]

use std::path::{Path, PathBuf};
use std::process::Command;

use sip::{Carrier, HeaderName, Message, NameAddr, StartLine, View};

/// Fields of tshark's `sip` dissector, and ours of the same meaning.
type Ours = fn(&View<'_>, &Message<'_>) -> Option<String>;

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn user(address: Option<NameAddr<'_>>) -> Option<String> {
    address.and_then(|address| address.uri).and_then(|uri| uri.user).map(text)
}

const FIELDS: [(&str, Ours); 20] = [
    ("sip.Method", |_, message| match message.start {
        StartLine::Request { name, .. } => Some(text(name)),
        StartLine::Status { .. } => None,
    }),
    ("sip.r-uri", |_, message| message.raw_uri().map(text)),
    ("sip.r-uri.user", |_, message| message.uri.and_then(|uri| uri.user).map(text)),
    ("sip.Status-Code", |_, message| message.status().map(|status| status.to_string())),
    ("sip.Call-ID", |_, message| message.call_id.map(text)),
    ("sip.CSeq.seq", |_, message| message.cseq.map(|cseq| cseq.number.to_string())),
    ("sip.CSeq.method", |_, message| message.cseq.map(|cseq| text(cseq.name))),
    ("sip.from.tag", |_, message| message.from.and_then(|from| from.tag).map(text)),
    ("sip.to.tag", |_, message| message.to.and_then(|to| to.tag).map(text)),
    ("sip.from.user", |_, message| user(message.from)),
    ("sip.to.user", |_, message| user(message.to)),
    ("sip.contact.user", |_, message| user(message.contact)),
    ("sip.Via.branch", |_, message| message.via.and_then(|via| via.branch).map(text)),
    ("sip.Via.transport", |_, message| message.via.map(|via| text(via.transport))),
    ("sip.User-Agent", |view, _| view.get(HeaderName::UserAgent).map(text)),
    ("sip.Max-Forwards", |_, message| message.max_forwards.map(|hops| hops.to_string())),
    ("sip.Content-Length", |view, _| view.get(HeaderName::ContentLength).map(text)),
    ("sip.auth.username", |_, message| {
        message.credentials.and_then(|credentials| credentials.username).map(text)
    }),
    ("sip.auth.digest.response", |_, message| {
        message.credentials.and_then(|credentials| credentials.response).map(text)
    }),
    ("sip.auth.nonce", |_, message| {
        let ours = message.credentials.and_then(|credentials| credentials.nonce);
        ours.or(message.challenge.and_then(|challenge| challenge.nonce)).map(text)
    }),
];

fn captures() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folders = [here.join("../../samples"), here.join("../../../shared/data/captures")];
    let mut all = Vec::new();
    for folder in folders {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            eprintln!("skipped: {} is not here", folder.display());
            continue;
        };
        all.extend(
            entries
                .flatten()
                .map(|entry| entry.path())
                .filter(|path| path.extension().is_some_and(|e| e == "pcap")),
        );
    }
    all.sort();
    all
}

/// What tshark says of each SIP message over UDP: the payload, and the first value of each field.
fn tshark(capture: &Path) -> Option<Vec<(Vec<u8>, Vec<String>)>> {
    let mut command = Command::new("tshark");
    command.args(["-n", "-r"]).arg(capture).args([
        "-Y",
        "sip && udp",
        "-T",
        "fields",
        "-E",
        "separator=/t",
        "-E",
        "occurrence=f",
    ]);
    command.args(["-e", "udp.payload"]);
    for (field, _) in FIELDS {
        command.args(["-e", field]);
    }
    let output = match command.output() {
        Ok(output) => output,
        Err(error) => {
            assert!(std::env::var_os("RINGFENCE_NO_SKIP").is_none(), "tshark: {error}");
            eprintln!("skipped: tshark: {error}");
            return None;
        }
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8_lossy(&output.stdout).into_owned();
    let rows = lines.lines().map(|line| {
        let mut columns = line.split('\t');
        let hex = columns.next().unwrap_or_default().replace(':', "");
        let byte = |at: usize| {
            let digits = hex.get(at..at + 2).expect("an even number of digits");
            u8::from_str_radix(digits, 16).expect("hexadecimal")
        };
        ((0..hex.len()).step_by(2).map(byte).collect(), columns.map(str::to_owned).collect())
    });
    Some(rows.collect())
}

#[test]
fn fields_agree_with_tshark() {
    let mut messages = 0;
    for capture in captures() {
        let Some(rows) = tshark(&capture) else { return };
        for (number, (payload, theirs)) in rows.iter().enumerate() {
            let Ok(view) = View::parse(payload, Carrier::Datagram) else {
                panic!("{}: message {number} is SIP for tshark", capture.display());
            };
            let message = Message::read(&view);
            messages += 1;
            for ((field, ours), theirs) in FIELDS.iter().zip(theirs) {
                let ours = ours(&view, &message).unwrap_or_default();
                // Quotes are a matter of taste.
                let theirs = theirs.trim_matches('"');
                assert_eq!(
                    ours,
                    theirs,
                    "{}: message {number}, {field}\n{}",
                    capture.display(),
                    text(payload)
                );
            }
        }
    }
    eprintln!("{messages} messages agree");
}
