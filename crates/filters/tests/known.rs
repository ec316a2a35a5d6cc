//! What is remembered of lines says of others what would be found in them.

mod memory;

use std::time::Duration;

use filters::{Filter, Matcher, Outcome};
use jiff::tz::TimeZone;
use memory::Memory;
use proptest::prelude::*;

/// 2026-11-28 12:00:00 UTC
const NOW: Duration = Duration::from_secs(1_795_867_200);

/// `None` for what is no filter.
fn filter(prefix: &str, expressions: &[String]) -> Option<Filter> {
    let text = format!("[Definition]\n{prefix}failregex = {}\n", expressions.join("\n            "));
    Memory::new(&[("f/a.conf", &text)]).load("a").ok()
}

fn line(matcher: &mut Matcher, line: &str) -> Outcome {
    matcher.line(line.as_bytes(), NOW, &TimeZone::UTC)
}

/// Who has seen all lines finds in each what somebody finds who has seen none.
fn find_the_same(filter: &Filter, lines: &[String]) {
    let fresh = Matcher::new(filter);
    let mut matcher = fresh.clone();
    for text in lines {
        let found = line(&mut matcher, text);
        assert_eq!(found, line(&mut fresh.clone(), text), "{text:?} and {:?}", filter.fail_regexes());
        matcher.take_back(found);
    }
}

fn expression() -> impl Strategy<Value = String> {
    let pieces = vec![
        "a",
        "b1",
        "[ab]+",
        "\\d+",
        "\\d{1,2}",
        "[^:]*",
        ".*",
        ".*?",
        "\\S+",
        ":",
        " ",
        "(?:a|b|ab)",
        "(?:ab )?",
        "\\b",
        "(?!1)",
        "(?=a)",
        "(a)?(?(1)b|c)",
        "([ab])\\1",
        "<F-USER>\\w*</F-USER>",
        "<F-ALT_USER>[ab]+</F-ALT_USER>",
        "é?",
        "(?i:A)",
        "[x-z]",
        "([xyz])\\1",
        "(?:(?!abcde1).)+?",
        "(?:(?!abcde1).){1,3}",
        "(?=ab1ab1)",
        "[^1]+",
        "<F-TUPLE_USER>[a-z]</F-TUPLE_USER>",
    ];
    let pieces = prop::collection::vec(prop::sample::select(pieces), 0..5);
    let host = prop::sample::select(vec!["<HOST>", "<ADDR>", "<F-ID>\\w+</F-ID>", "<F-ID>[^ ]+</F-ID>"]);
    let end = prop::sample::select(vec!["$", "", ":", " a"]);
    (prop::bool::ANY, pieces.clone(), host, pieces, end).prop_map(|(bound, before, host, behind, end)| {
        format!("{}{} {host}{}{end}", if bound { "^" } else { "" }, before.concat(), behind.concat())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn lines_of_one_shape_say_the_same(
        prefix in prop::sample::select(vec![
            "",
            "prefregex = ^<F-MLFID>[ab]*</F-MLFID>:? <F-CONTENT>.+</F-CONTENT>$\n",
            "prefregex = ^\\S* ?<F-CONTENT>.*</F-CONTENT>$\n",
            "prefregex = ^[^:]*:<F-CONTENT>[^1]+</F-CONTENT>\n",
            "prefregex = ^(?:a+ )*<F-CONTENT>.+</F-CONTENT>$\n",
            "prefregex = ^([xyz])?(?(1)\\1|)<F-CONTENT>.+</F-CONTENT>$\n",
            "ignoreregex = b1\n",
        ]),
        expressions in prop::collection::vec(expression(), 1..4),
        lines in prop::collection::vec("[ab1xyz~+: é]{0,6} (192\\.0\\.2\\.[1-9]{1,2}|a\\.b|::1|[xyz]{3})( abcde[1xz])?[ab1x~: \\x01]{0,4}", 1..8),
        others in prop::collection::vec(("[12abx~z]", "[789céyx+]"), 1..4),
    ) {
        // A connection is more than a line.
        let prefix = prefix.replace("MLFID", "USER");
        let Some(filter) = filter(&prefix, &expressions) else { return Ok(()) };
        let mut all = lines.clone();
        for (from, to) in &others {
            all.extend(lines.iter().map(|text| text.replace(from.as_str(), to)));
        }
        all.extend(lines.iter().map(|text| format!("{text}1")));
        find_the_same(&filter, &all);
    }
}

#[test]
fn lines_that_are_seldom_alike_are_found_as_well() {
    let prefix = "prefregex = ^ p\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$\n";
    let expressions = [
        "^bad <F-USER>\\S+</F-USER> from <HOST>$",
        "^worse (?:<F-ALT_USER>\\S*</F-ALT_USER> )?from <ADDR> \\d+$",
    ];
    let filter = filter(prefix, &expressions.map(str::to_owned)).unwrap();
    let name = |number: u64| -> String {
        let letters = (0..8).map(|at| number.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> (at * 5) & 31);
        letters.map(|letter| char::from(b'!' + 3 * letter as u8)).collect()
    };
    // None is like another, then all are, then none again: they are passed over, and looked at again.
    let lines: Vec<String> = (0..36_000_u64)
        .map(|number| match number {
            18_500..30_000 => format!(" p[{}]: bad root from 192.0.2.{}", number % 90 + 10, number % 9 + 1),
            _ => format!(" p[1]: bad {} from 192.0.2.1", name(number)),
        })
        .collect();
    let mut matcher = Matcher::new(&filter);
    for (number, text) in (0_u64..).zip(&lines) {
        let found = line(&mut matcher, text);
        let [failure] = found.failures.as_slice() else { panic!("a failure, not {found:?}") };
        let (user, host) = match number {
            18_500..30_000 => ("root".to_owned(), format!("192.0.2.{}", number % 9 + 1)),
            _ => (name(number), "192.0.2.1".to_owned()),
        };
        assert_eq!((failure.user.as_ref(), failure.host.to_string()), (Some(&user), host), "{text}");
        matcher.take_back(found);
    }
}

#[test]
fn what_is_remembered_after_a_while_is_of_that_line_alone() {
    let expressions = ["^bad <F-USER>\\S+</F-USER> <HOST>$", "^worse <HOST>$"];
    let filter = filter("", &expressions.map(str::to_owned)).unwrap();
    for pause in 1024..1027_u64 {
        let mut matcher = Matcher::new(&filter);
        // Each of another length; then none is looked at, and the next after that says less than the last that was.
        for number in 0..pause + 16 * 1024 {
            let name = if number < pause { "x".repeat(1 + number as usize % 700) } else { "y".to_owned() };
            line(&mut matcher, &format!("bad {name}{number} 192.0.2.1"));
        }
        for _ in 0..3 {
            let found = line(&mut matcher, "worse 192.0.2.2");
            assert_eq!(found.failures[0].user, None, "after {pause}");
        }
    }
}

/// Each line, and others that look like it to those who did not look at all of it.
#[test]
fn what_was_compared_was_looked_at() {
    let found = |text: &str, expression: &str| {
        let Some(filter) = filter(text, &[expression.to_owned()]) else { panic!("{text} {expression}") };
        filter
    };
    for (prefix, expression, lines) in [
        // What a run must not go beyond, within its least number of letters.
        ("", "^<HOST> (?:(?!abcdefghij).)+?", ["1.2.3.4 abcdefghiX", "1.2.3.4 abcdefghij"].as_slice()),
        ("", "^<HOST> (?:(?!abcdefghij).){1,2}?", &["1.2.3.4 abcdefghiX", "1.2.3.4 abcdefghij"]),
        (
            "prefregex = ^srv\\[\\d+\\]: <F-CONTENT>.+</F-CONTENT>$\n",
            "^<ADDR> (?:(?! for admin).)+?",
            &["srv[1]: 10.0.0.1  for admi!", "srv[2]: 10.0.0.2  for admin"],
        ),
        // The line end is nobody's name, and what is masked away is not the end of a line.
        (
            "",
            "^who <F-ID>[^ ]+</F-ID>(?: ok)?$",
            &["who abc", "who ++++abcd", "who ++++ is no failure", "who ++++ ok", "who abc ok"],
        ),
        (
            "prefregex = ^p: <F-CONTENT>[^\"]+</F-CONTENT>\n",
            "^user <F-ID>[^ ]+</F-ID>$",
            &["p: user abcd", "p: user abc"],
        ),
        (
            "prefregex = ^p: <F-CONTENT>[^é]+</F-CONTENT>\n",
            "^<F-ID>[^ ]*</F-ID>$",
            &["p: abcdé tail", "p: é", "p: abcé"],
        ),
        // A letter that must come again, in the expression and in the prefix.
        ("", "^([xyz])\\1 <HOST>$", &["xx 1.2.3.4", "xy 1.2.3.4", "yy 1.2.3.4"]),
        (
            "prefregex = ^([xyz])\\1 <F-CONTENT>.+</F-CONTENT>$\n",
            "^<HOST>$",
            &["xx 1.2.3.4", "xy 1.2.3.4", "yy 1.2.3.4"],
        ),
        // Fields that are in no place as a whole.
        (
            "",
            "^<F-USER>\\w+</F-USER>@<F-TUPLE_USER>\\w+</F-TUPLE_USER> <HOST>$",
            &["x@y 1.2.3.4", "z@y 1.2.3.4", "x@z 1.2.3.5"],
        ),
        // What the ignored lines say is behind what the prefix leaves.
        (
            "ignoreregex = tail x\nprefregex = ^p: <F-CONTENT>[^\"]+</F-CONTENT>\n",
            "^bad <HOST> $",
            &["p: bad 1.2.3.4 \"tail x", "p: bad 1.2.3.4 \"tail y", "p: bad 1.2.3.5 \"tail x"],
        ),
    ] {
        let filter = found(prefix, expression);
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        find_the_same(&filter, &lines);
        find_the_same(&filter, &lines.iter().rev().cloned().collect::<Vec<_>>());
    }
}

/// Several expressions of which the first ones say no behind what tells who can match.
#[test]
fn each_expression_that_was_asked_tells_letters_apart() {
    // All of them may match, as far as can be told without looking round.
    let expressions = ["^bad <HOST> (?=.[12]).", "^bad <HOST> (?!.[78]).", "^bad <HOST> ."];
    let filter = filter("", &expressions.map(str::to_owned)).unwrap();
    let lines: Vec<String> = (0..10).chain(0..10).map(|digit| format!("bad 1.2.3.4 x{digit}")).collect();
    find_the_same(&filter, &lines);
    let found: Vec<usize> =
        lines.iter().map(|text| line(&mut Matcher::new(&filter), text).failures[0].regex).collect();
    assert_eq!(found[..10], [1, 0, 0, 1, 1, 1, 1, 2, 2, 1]);
}

/// That an expression gives up is told of each line on which it does.
#[test]
fn what_gave_up_is_not_remembered() {
    let filter = filter("", &["^(?:(?=a)a+)+(?!x)(?<!a)y*<HOST>".to_owned()]).unwrap();
    let mut matcher = Matcher::new(&filter);
    let text = format!("{}! 192.0.2.1", "a".repeat(500));
    assert_eq!([1, 1, 1].map(|_| line(&mut matcher, &text).gave_up), [1, 1, 1]);
}
