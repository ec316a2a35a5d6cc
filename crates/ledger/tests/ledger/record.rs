//! What is written is read again, and means what it should.

use std::os::unix::fs::PermissionsExt as _;

use crate::sample::{ban, evidence, fresh, net, seconds};
use ledger::{
    Ban, BanRow, Bounds, By, Change, Ended, Error, Family, Kind, Ledger, MAX_TEXT, Past, Position, Reader,
    Scope, Trust, Unban, Which,
};

fn active(reader: &Reader, second: i64) -> Vec<BanRow> {
    let mut rows = Vec::new();
    reader.active(seconds(second), |row| rows.push(row)).unwrap();
    rows
}

fn sources(rows: &[BanRow]) -> Vec<String> {
    rows.iter().map(|row| row.ban.source.to_string()).collect()
}

fn unban(which: Which, second: i64) -> Change {
    Change::Unban(Unban { which, who: "admin".to_owned(), note: "a friend".to_owned(), at: seconds(second) })
}

fn within(text: &str) -> Which {
    Which { within: Some(net(text)), ..Which::default() }
}

#[test]
fn every_field_comes_back_after_the_file_was_closed() {
    let (_directory, path, mut ledger) = fresh();
    let full = Ban {
        by: By::Feed("drop list".to_owned()),
        until: None,
        level: u32::MAX,
        scope: Scope::AllPorts,
        dropped: i64::MAX as u64,
        evidence: u32::MAX,
        ..ban("2001:db8:1:2::/64")
    };
    let bans = [ban("0.0.0.0/0"), ban("203.0.113.9"), ban("255.255.255.255"), full, ban("fe80::/10")];
    ledger.apply(&bans.clone().map(Change::Ban)).unwrap();
    let seen = evidence("203.0.113.9", seconds(1), "a \"quoted\" ünicode line\0");
    ledger.apply(&[Change::Evidence(seen.clone())]).unwrap();
    drop(ledger);

    assert_eq!(path.metadata().unwrap().permissions().mode() & 0o777, 0o600);
    let ledger = Ledger::open(&path).unwrap();
    let mut read: Vec<Ban> = active(ledger.read(), 0).into_iter().map(|row| row.ban).collect();
    let mut wrote = bans.to_vec();
    read.sort_by_key(|ban| ban.source);
    wrote.sort_by_key(|ban| ban.source);
    assert_eq!(read, wrote);
    assert_eq!(ledger.read().story(net("203.0.113.9"), seconds(0)).unwrap().evidence, [seen]);
}

#[test]
fn a_ban_again_is_more_of_the_same_ban() {
    let (_directory, _path, mut ledger) = fresh();
    let again = Ban {
        reason: "scan".to_owned(),
        detail: "200 extensions".to_owned(),
        since: seconds(100),
        until: Some(seconds(50)),
        first_seen: seconds(90),
        last_seen: seconds(100),
        level: 3,
        scope: Scope::AllPorts,
        ..ban("203.0.113.9")
    };
    ledger.apply(&[Change::Ban(ban("203.0.113.9")), Change::Ban(again.clone())]).unwrap();
    let merged = Ban {
        since: seconds(0),
        until: Some(seconds(3600)),
        first_seen: seconds(-60),
        dropped: 10,
        evidence: 24,
        ..again
    };
    assert_eq!(active(ledger.read(), 0)[0].ban, merged);
    let counts = ledger.read().counts(seconds(0)).unwrap();
    assert_eq!(counts.reason.into_iter().collect::<Vec<_>>(), [("scan".to_owned(), 1)]);
    // After its end a new one begins, also when nobody has moved the old one into history.
    let later = Ban { since: seconds(3600), until: None, ..ban("203.0.113.9") };
    ledger.apply(&[Change::Ban(later.clone())]).unwrap();
    let story = ledger.read().story(net("203.0.113.9"), seconds(3600)).unwrap();
    assert_eq!(story.active[0].ban, later);
    assert_eq!(story.past, [Past { ban: merged, ended: seconds(3600), why: Ended::Expire }]);
}

#[test]
fn the_operator_rules_and_the_latest_end_counts() {
    let (_directory, _path, mut ledger) = fresh();
    let source = "203.0.113.9";
    let feed = Ban { by: By::Feed("b".to_owned()), until: Some(seconds(9000)), ..ban(source) };
    let other = Ban { by: By::Feed("a".to_owned()), scope: Scope::AllPorts, ..ban(source) };
    let operator = Ban { by: By::Operator, until: Some(seconds(60)), ..ban(source) };
    ledger.apply(&[feed, ban(source), other, operator].map(Change::Ban)).unwrap();
    let ruled = |second| {
        let rows = active(ledger.read(), second);
        assert_eq!(rows.iter().filter(|row| row.rules).count(), 1);
        assert!(rows.iter().all(|row| row.until == Some(seconds(9000))));
        (rows[0].ban.by.clone(), rows[0].scope, rows.len())
    };
    assert_eq!(ruled(0), (By::Operator, Scope::AllPorts, 4));
    assert_eq!(ruled(60), (By::Detector, Scope::AllPorts, 3));
    assert_eq!(ruled(3600), (By::Feed("b".to_owned()), Scope::SipPorts, 1));
    ledger.apply(&[Change::Dropped { source: net(source), packets: 7, at: seconds(60) }]).unwrap();
    let rows = active(ledger.read(), 0);
    assert_eq!(rows.iter().map(|row| row.ban.dropped).collect::<Vec<_>>(), [5, 12, 5, 5]);
    assert_eq!(rows[1].ban.last_seen, seconds(60));
}

#[test]
fn a_story_has_all_that_covers_the_address() {
    let (_directory, _path, mut ledger) = fresh();
    let wide = Ban { by: By::Operator, ..ban("203.0.0.0/16") };
    let trust = |what: &str| Trust { what: what.to_owned(), note: String::new(), since: seconds(0) };
    ledger
        .apply(&[
            Change::Ban(ban("203.0.113.9")),
            Change::Ban(wide),
            Change::Ban(ban("203.0.114.0/24")),
            Change::Evidence(evidence("203.0.113.9", seconds(2), "second")),
            Change::Evidence(evidence("203.0.113.0/24", seconds(1), "first")),
            Change::Evidence(evidence("203.0.113.8", seconds(1), "another")),
            Change::Trust(trust("203.0.0.0/8")),
            Change::Trust(trust(" 203.0.113.0/24 ")),
            Change::Trust(trust("PBX.example.org")),
        ])
        .unwrap();
    let story = ledger.read().story(net("203.0.113.9"), seconds(0)).unwrap();
    assert_eq!(sources(&story.active), ["203.0.0.0/16", "203.0.113.9"]);
    assert!(story.active[0].rules && !story.active[1].rules);
    let details: Vec<_> = story.evidence.iter().map(|evidence| &*evidence.detail).collect();
    assert_eq!(details, ["first", "second"]);
    assert_eq!(story.trust, Some(trust("203.0.113.0/24")));
    ledger.apply(&[Change::Untrust { what: "pbx.EXAMPLE.org".to_owned() }]).unwrap();
    assert_eq!(ledger.read().trusted().unwrap(), [trust("203.0.0.0/8"), trust("203.0.113.0/24")]);
}

#[test]
fn lifting_takes_what_is_in_the_network_and_nothing_else() {
    let (_directory, _path, mut ledger) = fresh();
    let texts = ["10.0.0.0/8", "10.1.0.0/16", "10.1.0.0/24", "10.1.255.255", "10.2.0.0", "a01::/64"];
    let bans: Vec<_> = texts.iter().map(|text| Change::Ban(ban(text))).collect();
    ledger.apply(&bans).unwrap();
    ledger.apply(&[unban(within("10.1.0.0/16"), 10)]).unwrap();
    assert_eq!(sources(&active(ledger.read(), 0)), ["10.0.0.0/8", "10.2.0.0", "a01::/64"]);
    let past = ledger.read().story(net("10.1.0.1"), seconds(10)).unwrap().past;
    assert_eq!(past.len(), 2);
    let why = Ended::Unban { who: "admin".to_owned(), note: "a friend".to_owned() };
    assert!(past.iter().all(|past| past.why == why && past.ended == seconds(10)));

    let only = Which { reason: Some("scan".to_owned()), ..within("10.0.0.0/8") };
    ledger.apply(&[unban(only, 10)]).unwrap();
    assert_eq!(active(ledger.read(), 0).len(), 3, "nobody is banned for a scan");
    let feed = Which { feed: Some("drop".to_owned()), ..Which::default() };
    ledger.apply(&[Change::Ban(Ban { by: By::Feed("drop".to_owned()), ..ban("10.2.0.0") })]).unwrap();
    ledger.apply(&[unban(feed, 10)]).unwrap();
    assert_eq!(sources(&active(ledger.read(), 0)), ["10.0.0.0/8", "10.2.0.0", "a01::/64"]);
}

#[test]
fn more_than_a_chunk_is_lifted_whole() {
    let (_directory, _path, mut ledger) = fresh();
    let address = |number: u32| format!("10.0.{}.{}", number / 256, number % 256);
    let bans: Vec<_> = (0..2500).map(|number| Change::Ban(ban(&address(number)))).collect();
    ledger.apply(&bans).unwrap();
    ledger.apply(&[unban(Which::default(), 0)]).unwrap();
    assert_eq!(active(ledger.read(), 0), []);
    assert_eq!(ledger.read().counts(seconds(0)).unwrap().total, 0);
}

#[test]
fn pages_follow_each_other() {
    let (_directory, path, mut ledger) = fresh();
    let mut bans: Vec<_> = (0..25).map(|number| ban(&format!("10.0.0.{number}"))).collect();
    bans.extend((0..5).map(|number| ban(&format!("2001:db8:{number}::"))));
    bans.extend((0..5).map(|number| Ban { by: By::Operator, ..ban(&format!("10.0.0.{number}")) }));
    ledger.apply(&bans.into_iter().map(Change::Ban).collect::<Vec<_>>()).unwrap();
    let reader = Reader::open(&path).unwrap();
    let all = |which: &Which| {
        let mut rows = Vec::new();
        let mut after = None;
        loop {
            let page = reader.bans(which, after.as_ref(), 7, seconds(0)).unwrap();
            assert!(page.rows.len() <= 7);
            rows.extend(page.rows);
            after = page.next;
            if after.is_none() {
                return rows;
            }
        }
    };
    assert_eq!(all(&Which::default()), active(&reader, 0));
    assert_eq!(all(&Which { family: Some(Family::V6), ..Which::default() }).len(), 5);
    assert_eq!(all(&Which { kind: Some(Kind::Operator), ..Which::default() }).len(), 5);
    assert_eq!(all(&within("10.0.0.8/29")).len(), 8);
    assert_eq!(all(&within("::/0")).len(), 5);
    let hidden = all(&Which { kind: Some(Kind::Detector), ..within("10.0.0.0/30") });
    assert!(hidden.iter().all(|row| !row.rules), "the operator rules, although he was not asked for");
}

#[test]
fn only_so_much_is_kept() {
    let (_directory, path, ledger) = fresh();
    let bounds = Bounds { evidence: 10, evidence_per_source: 3, past: 10, past_per_source: 3, trust: 2 };
    let mut ledger = ledger.with_bounds(bounds);
    for number in 0..8 {
        for source in ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"] {
            let seen = evidence(source, seconds(number), &number.to_string());
            ledger.apply(&[Change::Evidence(seen), Change::Ban(ban(source))]).unwrap();
            ledger.apply(&[unban(within(source), number)]).unwrap();
        }
    }
    let kept = |source| {
        let story = ledger.read().story(net(source), seconds(0)).unwrap();
        let seen: Vec<_> = story.evidence.into_iter().map(|evidence| evidence.detail).collect();
        (seen.join(" "), story.past.len())
    };
    assert_eq!(kept("10.0.0.4"), ("5 6 7".to_owned(), 3));
    assert_eq!(kept("10.0.0.3"), ("5 6 7".to_owned(), 3));
    assert_eq!(kept("10.0.0.1"), ("6 7".to_owned(), 2), "the oldest of all are gone");

    let trust =
        |what: &str| Change::Trust(Trust { what: what.into(), note: String::new(), since: seconds(0) });
    ledger.apply(&[trust("a"), trust("b")]).unwrap();
    let full = ledger.apply(&[Change::Ban(ban("10.0.0.9")), trust("c")]);
    assert_eq!(full, Err(Error::TrustFull { limit: 2 }));
    assert_eq!(active(&Reader::open(&path).unwrap(), 0), [], "all or nothing");
    let long = Ban { detail: "x".repeat(1_000_000), ..ban("10.0.0.9") };
    ledger.apply(&[Change::Ban(long)]).unwrap();
    assert_eq!(active(ledger.read(), 0)[0].ban.detail.len(), MAX_TEXT);
}

#[test]
fn a_reader_sees_what_is_committed_and_cannot_write() {
    let (_directory, path, mut ledger) = fresh();
    let reader = Reader::open(&path).unwrap();
    let reader = std::thread::spawn(move || {
        assert_eq!(active(&reader, 0), []);
        reader
    });
    let reader = reader.join().unwrap();
    ledger.apply(&[Change::Ban(ban("10.0.0.1"))]).unwrap();
    assert_eq!(active(&reader, 0).len(), 1);
    let missing = path.with_file_name("other.db");
    assert_eq!(Reader::open(&missing).unwrap_err(), Error::Missing { path: missing.clone() });
    assert!(!missing.exists());
}

#[test]
fn positions_are_replaced_and_kept_over_a_restart() {
    let (_directory, path, mut ledger) = fresh();
    let position = |log: &str, place: &str, at| Position { log: log.to_owned(), place: place.to_owned(), at };
    let first = position("sshd /var/log/auth.log", "1:2 100", seconds(1));
    let second = position("sshd /var/log/auth.log", "1:2 200", seconds(2));
    let other = position("asterisk /var/log/asterisk/security", "1:3 7", seconds(1));
    let changes = [first, other.clone(), second.clone()].map(Change::Position);
    ledger.apply(&changes).unwrap();
    drop(ledger);
    assert_eq!(Ledger::open(&path).unwrap().read().positions().unwrap(), [other, second]);
}

#[test]
fn how_often_somebody_was_banned_is_known_when_the_ban_is_over() {
    let (_directory, _path, mut ledger) = fresh();
    let over =
        |source: &str, level, until| Change::Ban(Ban { level, until: Some(seconds(until)), ..ban(source) });
    let changes = [
        over("203.0.113.9", 1, 10),
        Change::Expire { now: seconds(20) },
        over("203.0.113.9", 2, 30),
        over("198.51.100.7", 1, 40),
        Change::Expire { now: seconds(50) },
        over("192.0.2.1", 3, 100),
        Change::Ban(Ban { by: By::Operator, until: Some(seconds(40)), ..ban("192.0.2.2") }),
        Change::Expire { now: seconds(60) },
    ];
    ledger.apply(&changes).unwrap();
    let levels = |since, most| ledger.read().levels(seconds(since), most).unwrap();
    let latest = [(net("198.51.100.7"), 1), (net("203.0.113.9"), 2)];
    assert_eq!(levels(25, 100), latest);
    assert_eq!(levels(0, 100).len(), 3);
    assert_eq!(levels(0, 1), [latest[0]]);
}

#[test]
fn a_grace_lasts_until_its_end_or_the_operators_word() {
    let (_directory, path, mut ledger) = fresh();
    let grace = |source: &str, second| Change::Grace { source: net(source), until: seconds(second) };
    ledger
        .apply(&[grace("203.0.113.9", 10), grace("203.0.113.9", 20), grace("198.51.100.0/24", 30)])
        .unwrap();
    drop(ledger);
    let mut ledger = Ledger::open(&path).unwrap();
    let graces = |ledger: &Ledger, second| ledger.read().graces(seconds(second)).unwrap();
    let both = [(net("198.51.100.0/24"), seconds(30)), (net("203.0.113.9"), seconds(20))];
    assert_eq!(graces(&ledger, 15), both);
    assert_eq!(graces(&ledger, 20), both[..1]);
    ledger.apply(&[Change::EndGrace { source: net("198.51.100.0/24") }]).unwrap();
    assert_eq!(graces(&ledger, 0), both[1..]);
    ledger.apply(&[Change::Expire { now: seconds(20) }]).unwrap();
    assert_eq!(graces(&ledger, 0), []);
}
