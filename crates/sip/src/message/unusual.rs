//! What few messages have.

use memchr::memmem;

use crate::anomaly::{Anomalies, Anomaly};
use crate::header::HeaderName;
use crate::number::Number;
use crate::start_line::number_at_start;
use crate::text::trim;
use crate::view::View;

/// One byte so often in a row is no text.
const FLOOD: usize = 400;

/// Headers that few messages have.
pub(super) fn rare(view: &View<'_>, anomalies: &mut Anomalies) {
    if let Some(date) = view.get(HeaderName::Date) {
        anomalies.note(!date.ends_with(b"GMT"), Anomaly::DateNotGmt);
    }
    if let Some(after) = view.get(HeaderName::RetryAfter) {
        let seconds = number_at_start(after);
        let large = matches!(seconds, Number::Huge | Number::Value(0x1_0000_0000..));
        anomalies.note(large, Anomaly::RetryAfterTooLarge);
    }
    if let Some(warning) = view.get(HeaderName::Warning) {
        let code = warning.iter().take_while(|byte| byte.is_ascii_digit()).count();
        anomalies.note(code != 3, Anomaly::WarnCodeInvalid);
    }
    if let Some(tags) = view.get(HeaderName::ProxyRequire) {
        let known =
            |tag: &[u8]| OPTION_TAGS.iter().any(|known| trim(tag).eq_ignore_ascii_case(known.as_bytes()));
        anomalies.note(!tags.split(|&byte| byte == b',').all(known), Anomaly::ProxyRequireUnknown);
    }
}

/// Registered option tags (IANA "SIP Option Tags") that a proxy can be asked for.
const OPTION_TAGS: [&str; 14] = [
    "100rel",
    "answermode",
    "early-session",
    "gruu",
    "histinfo",
    "join",
    "norefersub",
    "outbound",
    "path",
    "precondition",
    "privacy",
    "replaces",
    "sec-agree",
    "timer",
];

/// Shapes that only exploits have.
pub(super) fn exploits(view: &View<'_>, anomalies: &mut Anomalies) {
    let head = view.head();
    if view.may_have_percent() {
        let printf = [b"%s%s%s".as_slice(), b"%n%n", b"%x%x%x", b"%p%p%p", b"%d%d%d"];
        let found = printf.iter().any(|row| memmem::find(head, row).is_some());
        anomalies.note(found, Anomaly::FormatString);
    }
    if head.len() > FLOOD {
        // A row of `FLOOD` covers one such chunk whole.
        let mut chunks = head.chunks_exact(FLOOD / 2);
        let flooded =
            chunks.any(|chunk| chunk.first().is_some_and(|first| chunk.iter().all(|byte| byte == first)));
        anomalies.note(flooded, Anomaly::HeaderFlood);
    }
}
