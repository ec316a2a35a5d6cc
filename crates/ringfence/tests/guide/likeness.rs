//! Whether an output is what a page shows, numbers and times aside.

use std::net::Ipv4Addr;

const LEFT_OUT: &str = "…";
const UNITS: [&str; 6] = ["d", "h", "min", "s", "ms", "µs"];

/// Whether `real` is like `shown`. Where it is not `over`, more may follow.
pub(crate) fn is_like(shown: &[String], real: &str, over: bool) -> bool {
    let real: Vec<String> = real.lines().map(plain).collect();
    let shown: Vec<String> = shown.iter().map(|line| plain(line)).collect();
    let mut rest = real.as_slice();
    let mut chunks = shown.split(|line| line == LEFT_OUT).peekable();
    let mut first = true;
    while let Some(chunk) = chunks.next() {
        let last = chunks.peek().is_none();
        let anchored_end = last && over && !chunk.is_empty();
        let place = (0..=rest.len().saturating_sub(chunk.len())).filter(|at| !first || *at == 0).find(|at| {
            rest.get(*at..at + chunk.len())
                .is_some_and(|lines| lines.iter().zip(chunk).all(|(real, shown)| is_like_line(shown, real)))
                && (!anchored_end || at + chunk.len() == rest.len())
        });
        let Some(place) = place else { return false };
        rest = rest.get(place + chunk.len()..).unwrap_or_default();
        if first && last && over && !rest.is_empty() {
            return false;
        }
        first = false;
    }
    true
}

/// Whether two plain lines are the same; `…` in what is shown stands for anything.
fn is_like_line(shown: &str, real: &str) -> bool {
    let mut pieces = shown.split(LEFT_OUT);
    let Some(mut rest) = pieces.next().and_then(|begin| real.strip_prefix(begin)) else { return false };
    let mut last = None;
    for piece in pieces {
        let Some(at) = rest.find(piece) else { return false };
        rest = rest.get(at + piece.len()..).unwrap_or_default();
        last = Some(piece);
    }
    rest.is_empty() || last.is_some_and(|end| rest.ends_with(end))
}

/// A line without what differs from one time to the next.
fn plain(line: &str) -> String {
    let mut words: Vec<String> = Vec::new();
    for word in line.split_whitespace() {
        let word = numberless(word);
        let unit = word.trim_end_matches([')', ',', ';', ':', '.']);
        if words.last().is_some_and(|last| last == "#" || last == "<time>") && UNITS.contains(&unit) {
            words.pop();
            // `59 min 37 s` is as long as `1 h`.
            if words.last().is_some_and(|last| last == "<time>") {
                words.pop();
            }
            words.push(format!("<time>{}", word.strip_prefix(unit).unwrap_or_default()));
        } else if words.last().is_some_and(|last| last == "#") {
            // `1 packet`, `2 packets`.
            words.push(word.trim_end_matches('s').to_owned());
        } else {
            words.push(word);
        }
    }
    words.join(" ")
}

/// A word with `#` for each number; addresses of IPv4 stay, their ports do not.
fn numberless(word: &str) -> String {
    let mut text = String::new();
    let mut rest = word;
    while let Some(first) = rest.chars().next() {
        let length = rest.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(rest.len());
        let (number, after) = rest.split_at(length);
        let dots = number.len() - number.trim_end_matches('.').len();
        let (number, dots) = number.split_at(number.len() - dots);
        if !first.is_ascii_digit() {
            text.push(first);
            rest = rest.split_at(first.len_utf8()).1;
            continue;
        }
        text.push_str(if number.parse::<Ipv4Addr>().is_ok() { number } else { "#" });
        text.push_str(dots);
        rest = after;
    }
    text
}

#[test]
fn numbers_and_times_are_alike() {
    assert_eq!(
        plain("until  2026-11-28T12:41:52.2Z (in 59 min 37 s), 1 packet"),
        plain("until 2027-01-02T01:02:03.45Z (in 1 h), 22 packets")
    );
    assert_eq!(plain("203.0.113.66:5060 > 198.51.100.10:5060"), "203.0.113.66:# > 198.51.100.10:#");
    assert_ne!(plain("203.0.113.66"), plain("203.0.113.67"));
    assert_ne!(plain("enforced yes"), plain("enforced no"));
}

#[test]
fn what_is_left_out_may_be_anything() {
    let shown = |lines: &[&str]| -> Vec<String> { lines.iter().map(|line| (*line).to_owned()).collect() };
    assert!(is_like(&shown(&["a", "…", "d"]), "a\nb\nc\nd\n", true));
    assert!(is_like(&shown(&["…", "c", "…"]), "a\nb\nc\nd\n", true));
    assert!(is_like(&shown(&["a … d", "b …", "… c"]), "a b c d\nb x\nx c\n", true));
    assert!(is_like(&shown(&[]), "", true));
    assert!(is_like(&shown(&["a"]), "a\nb\n", false));
    assert!(is_like(&shown(&["a", "…", "a"]), "a\na\na\n", true));
    for (lines, real) in [
        (&["a"] as &[&str], "a\nb\n"),
        (&["b"], "a\nb\n"),
        (&["a", "…", "c"], "a\nb\nc\nd\n"),
        (&["b", "…", "a", "…"], "a\nb\n"),
        (&[], "a\n"),
        (&["a … d"], "a b c\n"),
    ] {
        assert!(!is_like(&shown(lines), real, true), "{lines:?} {real:?}");
    }
}
