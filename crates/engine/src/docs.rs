//! `docs/detectors.md`, from the registry.

use std::fmt::Write as _;

use sip::Anomaly;

use crate::detectors::REGISTRY;
use crate::settings::{DECISION, Setting};

const HEAD: &str = "\
# Detectors

<!-- Written by `UPDATE_GOLDEN=1 cargo test -p engine --test docs`; do not edit. -->

What the engine looks for, when it acts, and every number that decides. All of them are keys of the policy:

```toml
[detect]
enforce = true                 # false: evidence and alerts are told, nobody is banned or limited
domains = [\"pbx.example.com\"]   # what requests must be addressed to; see bare-ip
ban-seconds = 3600

[detect.password-guessing]
action = \"ban\"                 # \"alert\": it only tells; \"off\": it does not look
points = 20
```

A detector gives points for what it sees. Points of one source (an IPv4 address, an IPv6 /64) add up and fade. What nobody can
forge, because it came over a TCP connection or holds what was sent to that very address (a nonce in credentials, our tag in an
ACK), counts towards a **ban**. All other evidence may be somebody else's who forges the address, so it leads to a **limit** at most: a
trickle, until a phone behind the address authenticates. A source that authenticated, or whose calls the PBX takes, is limited for
floods only.

| class | who |
|---|---|
| unproven | anybody: the address may be forged |
| proven | echoed what only the owner of the address can have received, or completed a TCP handshake |
| credited | credentials were accepted within `credit-hours`; twice the points ban it |
| trusted | in the policy's `[trust]`: never banned, limited when it floods |

";

/// The document.
#[must_use]
pub fn markdown() -> String {
    let mut text = HEAD.to_owned();
    text += "## Decision\n\nKeys of `[detect]`.\n\n";
    settings(&mut text, DECISION);
    for detector in REGISTRY {
        let _ = write!(
            text,
            "\n## {}\n\n*{}.* {}\n",
            detector.kind.as_str(),
            capitalised(detector.summary),
            words(detector.description)
        );
        if !detector.settings.is_empty() {
            text.push('\n');
            settings(&mut text, detector.settings);
        }
    }
    text += "\n## Anomalies\n\nWhat `malformed` calls the things that it finds. *Odd* ones are lawful or common and never told; sections are \
        of RFC 3261 unless another document is named.\n\n| name | severity | section | |\n|---|---|---|---|\n";
    for anomaly in Anomaly::ALL {
        let _ = writeln!(
            text,
            "| `{}` | {} | {} | {} |",
            anomaly.as_str(),
            anomaly.severity().as_str(),
            anomaly.section(),
            anomaly.meaning()
        );
    }
    text
}

fn settings(text: &mut String, settings: &[Setting]) {
    *text += "| key | default | from | to | counts | why |\n|---|---|---|---|---|---|\n";
    for Setting { key, default, min, max, unit, reason } in settings {
        let _ = writeln!(text, "| `{key}` | {default} | {min} | {max} | {unit} | {reason} |");
    }
}

fn capitalised(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map(|first| first.to_uppercase().chain(letters).collect()).unwrap_or_default()
}

/// Without the blanks of continued lines in the source.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
