//! What the fuzz target and the replay of its corpus run: any filter on any log.

use std::io;
use std::path::Path;
use std::time::Duration;

use jiff::tz::TimeZone;

use crate::{Files, Filter, Host, Kind, MAX_TOLD, Matcher, Outcome};

/// One file.
struct Only<'a>(&'a str);

impl Files for Only<'_> {
    fn read(&self, path: &Path) -> io::Result<String> {
        if path == Path::new("a.conf") { Ok(self.0.to_owned()) } else { Err(io::ErrorKind::NotFound.into()) }
    }
}

/// A filter, a line `%%`, and a log. Both matchers must say the same, and nothing beyond the bounds.
pub fn line(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (filter, log) = text.split_once("\n%%\n").unwrap_or((&text, ""));
    let Ok(filter) = Filter::load("a.conf", Kind::File, &[], &Only(filter)) else { return };
    let mut matchers = [Matcher::new(&filter), Matcher::new(&filter)];
    let now = Duration::from_secs(1_795_867_200);
    // Nothing but the line decides what it says, so that who has seen none before says the same.
    let alone = (filter.max_lines() == 1 && !text.contains("F-MLFID")).then(|| Matcher::new(&filter));
    for line in log.split('\n').take(50) {
        let [one, other] =
            matchers.each_mut().map(|matcher| matcher.line(line.as_bytes(), now, &TimeZone::UTC));
        assert_eq!(one, other, "the same lines give the same failures");
        if let Some(mut fresh) = alone.clone() {
            let fresh = fresh.line(line.as_bytes(), now, &TimeZone::UTC);
            // Which engine is asked, and so who gives up, depends on the lines before.
            if one.gave_up + fresh.gave_up == 0 {
                assert_eq!(timeless(&one), timeless(&fresh), "what is remembered of other lines");
            }
        }
        for failure in &one.failures {
            assert!(failure.regex < filter.fail_regexes().len(), "an expression of the filter");
            assert!(failure.lines.len() <= MAX_TOLD && failure.users.len() <= MAX_TOLD, "a bound is a bound");
            assert_ne!(failure.other.as_ref(), Some(&failure.host), "somebody else");
            if let Host::Net { addr, prefix } = failure.host {
                assert!(prefix < if addr.is_ipv4() { 32 } else { 128 }, "a network");
            }
        }
        // The other has to do without that memory.
        let [first, _] = &mut matchers;
        first.take_back(one);
    }
}

/// Without times: a line that has none takes that of the one before.
fn timeless(outcome: &Outcome) -> Outcome {
    let mut outcome = outcome.clone();
    outcome.failures.iter_mut().for_each(|failure| failure.time = Duration::ZERO);
    outcome
}
