//! Filters at work on lines.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod memory;

use std::time::{Duration, Instant};

use filters::{Failure, Filter, Host, MAX_LINE, Matcher, Outcome};
use jiff::tz::TimeZone;
use memory::Memory;

/// 2026-11-28 12:00:00 UTC
const NOW: Duration = Duration::from_secs(1_795_867_200);

fn filter(definition: &str) -> Filter {
    Memory::new(&[("f/a.conf", &format!("[Definition]\n{definition}\n"))]).load("a").unwrap()
}

fn line(matcher: &mut Matcher, line: &str) -> Outcome {
    matcher.line(line.as_bytes(), NOW, &TimeZone::UTC)
}

fn one(definition: &str, text: &str) -> Failure {
    let mut outcome = line(&mut Matcher::new(&filter(definition)), text);
    assert_eq!(outcome.failures.len(), 1, "{text}");
    outcome.failures.remove(0)
}

fn hosts(definition: &str, lines: &[&str]) -> Vec<String> {
    let mut matcher = Matcher::new(&filter(definition));
    let failures = lines.iter().flat_map(|text| line(&mut matcher, text).failures);
    failures.map(|failure| failure.host.to_string()).collect()
}

#[test]
fn the_date_is_cut_out_and_the_rest_is_matched() {
    let failure = one(
        "failregex = ^\\[\\] bad <F-USER>\\S*</F-USER> from <HOST>$",
        "[2026-11-28 10:20:30] bad joe from 203.0.113.9\r\n",
    );
    assert_eq!(failure.host, Host::Addr([203, 0, 113, 9].into()));
    assert_eq!(failure.time, NOW - Duration::from_secs(3600 + 39 * 60 + 30));
    assert_eq!((failure.user.as_deref(), failure.regex, failure.other), (Some("joe"), 0, None));
    assert_eq!(failure.lines, ["[2026-11-28 10:20:30] bad joe from 203.0.113.9"]);
}

#[test]
fn hosts_are_addresses_networks_names_or_something_else() {
    for (regex, text, host) in [
        ("^<HOST>$", "2001:DB8::1", "2001:db8::1"),
        ("^<HOST>$", "[2001:db8::1]", "2001:db8::1"),
        ("^<HOST>$", "::ffff:192.0.2.1", "192.0.2.1"),
        ("^<HOST>$", "mail.example.com", "mail.example.com"),
        ("^<SUBNET>$", "192.0.2.77/24", "192.0.2.0/24"),
        ("^<ADDR>/<CIDR>$", "2001:db8::7/64", "2001:db8::/64"),
        ("^<F-ID>\\S+</F-ID>$", "session-17", "session-17"),
        ("^<F-ID>\\S+</F-ID>$", "192.0.2.1", "192.0.2.1"),
    ] {
        assert_eq!(one(&format!("failregex = {regex}"), text).host.to_string(), host, "{regex}");
    }
    let failure = one("failregex = ^<F-ID>\\S+</F-ID> <IP4>$", "17 192.0.2.1");
    assert_eq!((failure.host.to_string().as_str(), failure.id.as_deref()), ("192.0.2.1", Some("17")));
    assert_eq!(hosts("failregex = ^<HOST>$\nusedns = no", &["mail.example.com", "192.0.2.1"]), ["192.0.2.1"]);
}

#[test]
fn what_is_to_be_ignored_is_no_failure() {
    let mut matcher = Matcher::new(&filter("failregex = ^bad <HOST>\nignoreregex = 192\\.0\\.2\\."));
    assert!(line(&mut matcher, "bad 192.0.2.1").ignored);
    assert_eq!(line(&mut matcher, "bad 203.0.113.1").failures.len(), 1);
}

#[test]
fn a_prefix_says_what_is_searched() {
    let definition = "prefregex = ^prog: <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^bad <HOST>$";
    assert_eq!(
        hosts(definition, &["bad 192.0.2.1", "prog: bad 192.0.2.2", "prog: bad 192.0.2.3!"]),
        ["192.0.2.2"]
    );
}

#[test]
fn an_expression_spans_lines_and_skips_some() {
    let definition = "maxlines = 4\nfailregex = ^open (?P<c>\\d+) <HOST>$<SKIPLINES>^fail (?P=c)$";
    let lines = ["open 1 192.0.2.1", "open 2 192.0.2.2", "fail 2", "other", "fail 1", "fail 1"];
    assert_eq!(hosts(definition, &lines), ["192.0.2.2", "192.0.2.1"]);
    let too_far = ["open 1 192.0.2.1", "a", "b", "c", "fail 1"];
    assert_eq!(hosts(definition, &too_far), [""; 0]);
}

#[test]
fn lines_of_a_connection_belong_together() {
    let definition = "failregex = ^<F-MLFID>\\[\\d+\\]</F-MLFID> <F-NOFAIL>from</F-NOFAIL> <HOST>$\n  ^<F-MLFID>\\[\\d+\\]</F-MLFID> bad <F-USER>\\S+</F-USER>$\n  ^<F-MLFID>\\[\\d+\\]</F-MLFID> <F-MLFGAINED>good</F-MLFGAINED> <F-USER>\\S+</F-USER>$\n  ^<F-MLFID>\\[\\d+\\]</F-MLFID> <F-MLFFORGET><F-NOFAIL>bye</F-NOFAIL></F-MLFFORGET>$";
    assert_eq!(
        hosts(definition, &["[1] from 192.0.2.1", "[2] from 192.0.2.2", "[1] bad joe"]),
        ["192.0.2.1"]
    );
    assert_eq!(hosts(definition, &["[1] from 192.0.2.1", "[1] good joe"]), [""; 0]);
    assert_eq!(hosts(definition, &["[1] from 192.0.2.1", "[1] bye", "[1] bad joe"]), [""; 0], "forgotten");
    let mut matcher = Matcher::new(&filter(definition));
    let lines = ["[1] from 192.0.2.1", "[1] bad joe", "[1] bad jim", "[1] good ann"];
    let last = lines.iter().map(|text| line(&mut matcher, text)).last().unwrap();
    assert_eq!(
        last.failures[0].users,
        ["ann", "jim", "joe"],
        "who tried several names has not logged in by the last"
    );
    let later = NOW + Duration::from_secs(filters::MAX_CONNECTION_AGE);
    assert_eq!(matcher.line(b"[1] bad joe", later, &TimeZone::UTC).failures, []);
}

#[test]
fn connections_do_not_pile_up() {
    let mut matcher = Matcher::new(&filter(
        "failregex = ^<F-MLFID>\\S+</F-MLFID> <F-NOFAIL>from</F-NOFAIL> <HOST>$\n ^<F-MLFID>\\S+</F-MLFID> bad",
    ));
    for number in 0..filters::MAX_CONNECTIONS + 10 {
        line(&mut matcher, &format!("c{number} from 192.0.2.1"));
    }
    assert_eq!(line(&mut matcher, "c5 bad").failures, [], "the first made room");
    assert_eq!(line(&mut matcher, "c20 bad").failures.len(), 1);
}

#[test]
fn a_line_without_a_date_has_the_last_one_or_now() {
    let mut matcher = Matcher::new(&filter("failregex = ^\\s*bad <HOST>"));
    let time = |matcher: &mut Matcher, text: &str| line(matcher, text).failures[0].time;
    assert_eq!(time(&mut matcher, "bad 192.0.2.1"), NOW);
    line(&mut matcher, "2026-11-28 11:59:30 something else");
    assert_eq!(time(&mut matcher, "bad 192.0.2.1"), NOW - Duration::from_secs(30));
    line(&mut matcher, "2026-11-28 11:50:00 something old");
    assert_eq!(time(&mut matcher, "bad 192.0.2.1"), NOW);
}

#[test]
fn a_second_host_in_the_line_is_told() {
    let definition = "failregex = ^login of .* failed from <HOST>\\b";
    let honest = "login of joe failed from 203.0.113.9";
    assert_eq!(one(definition, honest).other, None);
    assert_eq!(
        one(definition, "login of joe 1.2.3.4 failed from 203.0.113.9").other,
        None,
        "not where a host is looked for"
    );
    let forged = one(definition, "login of joe failed from 198.51.100.1 failed from 203.0.113.9");
    assert_eq!(
        (forged.host.to_string(), forged.other.unwrap().to_string()),
        ("203.0.113.9".into(), "198.51.100.1".into())
    );
    let in_prefix = "prefregex = client <HOST>: <F-CONTENT>.+</F-CONTENT>$\nfailregex = ^bad";
    assert_eq!(one(in_prefix, "client 203.0.113.9: bad x").other, None);
    let forged = one(in_prefix, "client 203.0.113.9: bad client 198.51.100.1: bad").other;
    assert_eq!(forged.unwrap().to_string(), "198.51.100.1", "also where the prefix finds the host");
    let anchored = "failregex = ^login of .* failed from <HOST>$";
    assert_eq!(
        one(anchored, "login of joe failed from 198.51.100.1 failed from 203.0.113.9").other,
        None,
        "the end is the program's"
    );
}

#[test]
fn who_writes_lines_cannot_make_us_work() {
    let evil = "failregex = ^(a+)+$ <HOST>\n  ^(?:a|a)*(?=b) <HOST>\n  (x+x+)+y<HOST>";
    let mut matcher = Matcher::new(&filter(evil));
    let began = Instant::now();
    for length in [30, 1000, MAX_LINE] {
        for letter in ["a", "x", "é"] {
            line(&mut matcher, &letter.repeat(length));
            line(&mut matcher, &format!("{} 192.0.2.1", letter.repeat(length / letter.len())));
        }
    }
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn an_expression_that_goes_round_and_round_gives_up() {
    let mut matcher = Matcher::new(&filter("failregex = ^(?:(?=a)a+)+(?!x)(?<!a)y*<HOST>"));
    let outcome = line(&mut matcher, &format!("{}! 192.0.2.1", "a".repeat(500)));
    assert_eq!((outcome.gave_up, outcome.failures.len()), (1, 0));
}

#[test]
fn a_line_of_megabytes_is_cut() {
    let mut matcher = Matcher::new(&filter("failregex = ^bad .*<HOST>"));
    let text = format!("bad 192.0.2.1 {}", "z".repeat(4 << 20));
    let outcome = line(&mut matcher, &text);
    assert!(outcome.cut);
    let outcome =
        matcher.line(&[b"bad 192.0.2.1 \xff\xfe".as_slice(), &[0x80; 100]].concat(), NOW, &TimeZone::UTC);
    assert_eq!((outcome.cut, outcome.failures.len()), (false, 1), "what is no UTF-8 is a sign");
}

#[test]
fn an_entry_of_the_journal_has_its_own_time() {
    let mut matcher = Matcher::new(&filter("failregex = ^host prog\\[\\d+\\]: bad <HOST>$"));
    let then = NOW - Duration::from_secs(86_400);
    let outcome = matcher.entry("host prog[1]: bad 192.0.2.1\nhost prog[1]: bad 192.0.2.2", then, NOW);
    assert_eq!(outcome.failures, [], "what a message holds is on one line");
    assert_eq!(matcher.entry("host prog[1]: bad 192.0.2.1", then, NOW).failures[0].time, then);
}

#[test]
fn the_corpus_is_read() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/filters_line");
    let files: Vec<_> = std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect();
    assert!(files.len() >= 4, "a corpus");
    files.iter().for_each(|path| filters::fuzzing::line(&std::fs::read(path).unwrap()));
}

#[test]
fn no_line_makes_a_date_of_what_is_none() {
    let days = filter(
        "failregex = ^ bad from <HOST>$\ndatepattern = ^(?P<Y>\\d{4})-(?P<m>\\d\\d)-(?P<d>\\d\\d) %%H:%%M:%%S",
    );
    let mut matcher = Matcher::new(&days);
    for (date, dated) in [
        ("2026-02-01", true),
        ("2026-02-01", true),
        ("2026-02-01", true),
        ("2026-01-33", false),
        ("2026-01-05", true),
        ("2026-01-05", true),
        ("2025-17-05", false),
        ("2026-01-00", false),
    ] {
        let found = line(&mut matcher, &format!("{date} 10:00:00 bad from 192.0.2.1"));
        assert_eq!((found.dated, found.failures.len()), (dated, 1), "{date}");
    }
}

#[test]
fn a_date_may_have_long_texts_around_it() {
    let fill = "x".repeat(254);
    let long = filter(&format!(
        "failregex = ^ <F-USER>\\S+</F-USER> from <HOST>$\ndatepattern = ^%%Y-%%m-%%d %%H:%%M:%%S{fill}"
    ));
    let mut matcher = Matcher::new(&long);
    for _ in 0..4 {
        let found = line(&mut matcher, &format!("2026-02-01 10:00:00{fill} y from 192.0.2.1"));
        assert!(found.dated);
        assert_eq!(found.failures[0].user.as_deref(), Some("y"));
    }
}

#[test]
fn what_is_given_back_leaves_nothing_in_the_next_failure() {
    let definition = "failregex = ^ (?:<F-USER>\\S+</F-USER> is )?bad(?: at <F-ID>\\S+</F-ID>)? from <ADDR>$\nmaxlines = 1";
    let (mut giver, mut keeper) = (Matcher::new(&filter(definition)), Matcher::new(&filter(definition)));
    for text in [
        "2026-11-28 10:20:30 somebody-with-a-long-name is bad at session-1234567890 from 2001:db8::1",
        "2026-11-28 10:20:31 bad from 192.0.2.1",
        "2026-11-28 10:20:32 al is bad from 192.0.2.2",
        "2026-11-28 10:20:33 nothing",
        "2026-11-28 10:20:34 bad at s from 192.0.2.3",
    ] {
        let (given, kept) = (line(&mut giver, text), line(&mut keeper, text));
        assert_eq!(given, kept, "{text}");
        giver.take_back(given);
    }
}
