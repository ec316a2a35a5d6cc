use std::time::Duration;

use jiff::tz::TimeZone;

use super::civil::Calendar;
use super::*;
use crate::pattern::{Found, Layouts};

/// 2026-11-28 12:00:00 UTC
const NOW: Duration = Duration::from_secs(1_795_867_200);

fn zone() -> TimeZone {
    TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
}

/// What is cut out of a line, and the time that it says in UTC.
fn date(pattern: Option<&str>, line: &str) -> Option<(String, String)> {
    let mut detector = Detector::new(&Forms::new(pattern).unwrap());
    let seen = detector.find(line, NOW)?;
    let time = detector.time(line, seen, NOW, &zone());
    let shown = time.map_or("no time".to_owned(), |time| {
        jiff::Timestamp::from_duration(time.try_into().unwrap()).unwrap().to_string()
    });
    Some((line.get(seen.start..seen.end)?.to_owned(), shown))
}

#[test]
fn dates_are_found_in_the_forms_that_fail2ban_knows() {
    for (line, cut, time) in [
        ("2026-01-23T21:59:59.981746+02:00 x", "2026-01-23T21:59:59.981746+02:00", "2026-01-23T19:59:59Z"),
        ("[2026/07/23 21:59:59] x", "2026/07/23 21:59:59", "2026-07-23T19:59:59Z"),
        ("2026.12.21 06:43:20: x", "2026.12.21 06:43:20", "2026-12-21T05:43:20Z"),
        ("Jan 23 21:59:59 host x", "Jan 23 21:59:59", "2026-01-23T20:59:59Z"),
        ("Dec  5  1:02:03 host x", "Dec  5  1:02:03", "2025-12-05T00:02:03Z"),
        ("Nov 29 11:00:00 tomorrow is this year", "Nov 29 11:00:00", "2026-11-29T10:00:00Z"),
        ("Sun Jan 23 21:59:59.011 2005 x", "Sun Jan 23 21:59:59.011 2005", "2005-01-23T20:59:59Z"),
        ("sun jan 23 2005 21:59:59.011 x", "sun jan 23 2005 21:59:59.011", "2005-01-23T20:59:59Z"),
        ("23/01/05 21:59:59 x", "23/01/05 21:59:59", "2005-01-23T20:59:59Z"),
        ("1.2.3.4 - - [31/Oct/2006:09:22:55 -0000] x", "31/Oct/2006:09:22:55 -0000", "2006-10-31T09:22:55Z"),
        ("05/20/2008:01:57:39 x", "05/20/2008:01:57:39", "2008-05-19T23:57:39Z"),
        ("01-27-2012 16:22:44.252 x", "01-27-2012 16:22:44.252", "2012-01-27T15:22:44Z"),
        ("1106513999.123 x", "1106513999.123", "2005-01-23T20:59:59.123Z"),
        ("audit(1106513999.123:1) x", "1106513999.123", "2005-01-23T20:59:59.123Z"),
        ("10:20:30 x", "10:20:30", "2026-11-28T09:20:30Z"),
        ("23:20:30 was yesterday", "23:20:30", "2026-11-27T22:20:30Z"),
        ("<09/16/08@05:03:30> x", "<09/16/08@05:03:30>", "2008-09-16T03:03:30Z"),
        ("130322 11:46:11 x", "130322 11:46:11", "2013-03-22T10:46:11Z"),
        ("Jan 23, 2005 9:59:59 PM x", "Jan 23, 2005 9:59:59 PM", "2005-01-23T20:59:59Z"),
        ("Apr-27-13 02:33:06 x", "Apr-27-13 02:33:06", "2013-04-27T00:33:06Z"),
        ("20050123T215959 x", "20050123T215959", "2005-01-23T20:59:59Z"),
        ("20050123-21:59:59 x", "20050123-21:59:59", "2005-01-23T20:59:59Z"),
        ("@4000000050f7d2c40a8e1b6c x", "@4000000050f7d2c40a8e1b6c", "2013-01-17T10:30:28Z"),
        ("2026-02-30 10:00:00 is no day", "2026-02-30 10:00:00", "no time"),
    ] {
        assert_eq!(date(None, line), Some((cut.to_owned(), time.to_owned())), "{line}");
    }
    assert_eq!(date(None, "no date here, 12:3"), None);
    assert_eq!(date(None, "not within words: a2026-01-23 21:59:59"), None);
}

#[test]
fn a_filter_may_say_which_form_it_wants() {
    for (pattern, line, cut, time) in [
        (
            "^t=%Y-%m-%dT%H:%M:%S%z",
            "t=2026-01-02T03:04:05+0000 x",
            "t=2026-01-02T03:04:05+0000",
            "2026-01-02T03:04:05Z",
        ),
        ("{^LN-BEG}", "[2026-01-02 03:04:05] x", "2026-01-02 03:04:05", "2026-01-02T02:04:05Z"),
        (
            r"^[^\[]*\[({DATE})",
            "1.2.3.4 [02/Jan/2026:03:04:05 +0000] x",
            "02/Jan/2026:03:04:05 +0000",
            "2026-01-02T03:04:05Z",
        ),
        ("Epoch", "1106513999 x", "1106513999", "2005-01-23T20:59:59Z"),
        ("LEPOCH", "1106513999123 x", "1106513999123", "2005-01-23T20:59:59.123Z"),
        (r"^at=({EPOCH})", "at=1106513999 x", "1106513999", "2005-01-23T20:59:59Z"),
        ("^%y%j", "05023 x", "05023", "2005-01-22T23:00:00Z"),
        ("%Y week %W, %a", "2005 week 03, sun", "2005 week 03, sun", "2005-01-22T23:00:00Z"),
        ("{UNB}%Exd%Exm", "x0102x", "0102", "2026-01-31T23:00:00Z"),
        ("%H:%M %Exz", "10:20 PST x", "10:20 PST", "2026-11-27T18:20:00Z"),
    ] {
        assert_eq!(date(Some(pattern), line), Some((cut.to_owned(), time.to_owned())), "{pattern}");
    }
    assert_eq!(date(Some("{^LN-BEG}"), "x y z 2026-01-02 03:04:05"), None);
    assert_eq!(date(Some("{NONE}"), "2026-01-02 03:04:05 x").map(|(cut, _)| cut).as_deref(), Some(""));
}

#[test]
fn the_form_that_was_found_is_tried_first_where_it_was() {
    let mut detector = Detector::new(&Forms::new(None).unwrap());
    let lines = [
        "2026-01-02 03:04:05 a",
        "2026-01-02 03:04:06 said Jan  2 03:04:05",
        "Jan  2 03:04:05 b",
        "none",
        "2026-01-02 03:04:06 c",
    ];
    let found: Vec<_> =
        lines.iter().map(|line| detector.find(line, NOW).map(|seen| (seen.start, seen.end))).collect();
    assert_eq!(found, [Some((0, 19)), Some((0, 19)), Some((0, 15)), None, Some((0, 19))]);
    let forms: Vec<u64> = detector.forms().map(|(_, count)| count).collect();
    assert_eq!(forms.iter().sum::<u64>(), 4);
}

#[test]
fn lines_that_are_laid_out_alike_say_what_the_machine_finds() {
    let mut forms = Forms::new(None).unwrap();
    forms.add(r"^(?:%Y-)?%m-%d[ T]%H:%M:%S(?:\.%f)?").unwrap();
    let dates = [
        "[2026-01-23 21:59:59] NOTICE[12]: a message",
        "2026/12/31T09:05:60.123456 +0100 a message of some length",
        "2026.02.09  10:20:30,5 Z a message of some length",
        "Sun Jan 23 23:59:01.5 2005 a message of some length",
        "(<Dec  5 01:02:03: a message of some length",
        "Sat Oct 30 2010 20:00:09.1 a message of some length",
        "31/Oct/2006:09:22:55 -0000 a message of some length",
        "12-30-2012 16:22:44.252 a message of some length",
        "01-30 16:22:44 a message of some length",
        "130322 11:46:11 a message of some length",
        "20050123T215959,9+01:30 a message of some length",
        "@4000000050aa8f4b0d8a7f5c a message of some length",
    ];
    let mut seed = 7_u32;
    let mut random = |upto: usize| {
        seed = seed.wrapping_mul(0x915f_77f5).wrapping_add(1);
        (seed >> 8) as usize % upto
    };
    let mut layouts = vec![Layouts::default(); forms.templates.len()];
    let mut alike = 0;
    for _ in 0..10_000 {
        let mut line: Vec<char> = dates[random(dates.len())].chars().collect();
        for _ in 0..random(6) {
            let at = random(line.len().min(30));
            match random(12) {
                0 => line.insert(at, '0'),
                1 => drop(line.remove(at)),
                2 => line[at] = ": -/.,[TZJanfebé\u{1c}_\u{663}".chars().nth(random(19)).unwrap(),
                3 => line.splice(0..3, ["Feb", "Mon", "may", "Fra"][random(4)].chars()).for_each(drop),
                _ if line[at].is_ascii_digit() => line[at] = char::from(b'0' + random(10) as u8),
                _ => {}
            }
        }
        let line: String = line.into_iter().collect();
        for (template, layouts) in forms.templates.iter().zip(&mut layouts) {
            let (mut like, mut machine) = (Found::default(), Found::default());
            if !layouts.recall((&template.pattern, &template.groups), &line, &mut like) {
                continue;
            }
            alike += 1;
            assert_eq!(template.pattern.search(&line, &mut machine), Ok(true), "{} {line}", template.name);
            let time = |found| template.time(&line, found, (NOW, &zone()), &mut Calendar::default());
            let told = |found| (Found::span(found, 0), found.span(1), time(found));
            assert_eq!(told(&like), told(&machine), "{} {line}", template.name);
            let end = like.span(0).unwrap().1;
            assert!((end..=end + 8).contains(&like.reach()), "{} {line}", template.name);
        }
    }
    assert!(alike > 4000, "{alike} alike");
}
