//! Any changes in any order: the ledger answers as a simple model does.

use std::collections::BTreeMap;

use ledger::{
    Ban, BanRow, Bounds, By, Change, Counts, Ended, Evidence, Kind, Net, Past, Reader, Scope, Time, Trust,
    Unban, Which,
};
use proptest::prelude::*;
use proptest::sample::select;

use crate::sample::{fresh, net};

const SOURCES: &[&str] = &[
    "10.0.0.1",
    "10.0.0.2",
    "10.0.0.0/24",
    "10.0.0.0/8",
    "2001:db8::/64",
    "2001:db8:0:1::/64",
    "2001:db8::/48",
];
const REASONS: &[&str] = &["guess", "scan", "listed"];
const BOUNDS: Bounds =
    Bounds { evidence: 6, evidence_per_source: 3, past: 8, past_per_source: 2, trust: 100 };

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_ledger_answers_as_the_model(
        batches in prop::collection::vec(prop::collection::vec(change(), 1..8), 1..10),
        now in time(),
    ) {
        let (_directory, path, ledger) = fresh();
        let mut ledger = ledger.with_bounds(BOUNDS);
        let reader = Reader::open(&path).unwrap();
        let mut model = Model::default();
        for batch in &batches {
            ledger.apply(batch).unwrap();
            batch.iter().for_each(|change| model.apply(change));
            model.trim();
            model.agrees(&reader, now);
        }
    }
}

#[derive(Debug, Default)]
struct Model {
    active: BTreeMap<(Net, By), Ban>,
    past: Vec<Past>,
    evidence: Vec<Evidence>,
    trust: BTreeMap<String, Trust>,
}

impl Model {
    fn apply(&mut self, change: &Change) {
        match change {
            Change::Ban(ban) => self.ban(ban),
            Change::Dropped { source, packets, at } => {
                let mut bans = self.active.values_mut();
                if let Some(ban) = bans.find(|ban| ban.source == *source && ban.is_in_force(*at)) {
                    ban.dropped += packets;
                    ban.last_seen = ban.last_seen.max(*at);
                }
            }
            Change::Evidence(evidence) => {
                self.evidence.push(evidence.clone());
                keep(&mut self.evidence, BOUNDS.evidence_per_source, |row| row.source == evidence.source);
            }
            Change::Expire { now } => {
                let mut over: Vec<Ban> =
                    self.active.values().filter(|ban| !ban.is_in_force(*now)).cloned().collect();
                over.sort_by_key(|ban| ban.until);
                over.iter().for_each(|ban| self.end(ban, ban.until.unwrap(), Ended::Expire));
            }
            Change::Position(_) | Change::Grace { .. } | Change::EndGrace { .. } => {}
            Change::Trust(trust) => drop(self.trust.insert(trust.what.clone(), trust.clone())),
            Change::Unban(Unban { which, who, note, at }) => {
                let lifted: Vec<Ban> =
                    self.active.values().filter(|ban| matches(which, ban)).cloned().collect();
                for ban in lifted {
                    if ban.is_in_force(*at) {
                        self.end(&ban, *at, Ended::Unban { who: who.clone(), note: note.clone() });
                    } else {
                        self.end(&ban, ban.until.unwrap(), Ended::Expire);
                    }
                }
            }
            Change::Untrust { what } => drop(self.trust.remove(what)),
        }
    }

    fn ban(&mut self, ban: &Ban) {
        let key = (ban.source, ban.by.clone());
        let mut ban = ban.clone();
        if let Some(known) = self.active.get(&key).cloned() {
            if known.is_in_force(ban.since) {
                ban.since = known.since;
                ban.first_seen = known.first_seen;
                ban.last_seen = ban.last_seen.max(known.last_seen);
                ban.until = if known.until.is_none() {
                    None
                } else {
                    ban.until.map(|until| until.max(known.until.unwrap()))
                };
                ban.level = ban.level.max(known.level);
                ban.scope = ban.scope.max(known.scope);
                ban.dropped += known.dropped;
                ban.evidence += known.evidence;
            } else {
                self.end(&known, known.until.unwrap(), Ended::Expire);
            }
        }
        self.active.insert(key, ban);
    }

    fn end(&mut self, ban: &Ban, ended: Time, why: Ended) {
        self.active.remove(&(ban.source, ban.by.clone()));
        self.past.push(Past { ban: ban.clone(), ended, why });
        keep(&mut self.past, BOUNDS.past_per_source, |row| row.ban.source == ban.source);
    }

    fn trim(&mut self) {
        keep(&mut self.past, BOUNDS.past, |_| true);
        keep(&mut self.evidence, BOUNDS.evidence, |_| true);
    }

    fn agrees(&self, reader: &Reader, now: Time) {
        let mut rows = Vec::new();
        reader.active(now, |row| rows.push(row)).unwrap();
        assert_eq!(rows, self.rows(now));

        let mut counts = Counts::default();
        for ban in self.active.values().filter(|ban| ban.is_in_force(now)) {
            counts.total += 1;
            *counts.by.entry(ban.by.clone()).or_default() += 1;
            *counts.reason.entry(ban.reason.clone()).or_default() += 1;
        }
        assert_eq!(reader.counts(now).unwrap(), counts);
        assert_eq!(reader.trusted().unwrap(), self.trust.values().cloned().collect::<Vec<_>>());
        SOURCES.iter().for_each(|source| self.tells(reader, net(source), now));
        for which in [
            Which { reason: Some("scan".to_owned()), ..Which::default() },
            Which { within: Some(net("10.0.0.0/24")), kind: Some(Kind::Feed), ..Which::default() },
            Which { within: Some(net("2001:db8::/48")), feed: Some("a".to_owned()), ..Which::default() },
        ] {
            let mut wanted = self.rows(now);
            wanted.retain(|row| matches(&which, &row.ban));
            let page = reader.bans(&which, None, 100, now).unwrap();
            assert_eq!((page.rows, page.next), (wanted, None));
        }
    }

    fn tells(&self, reader: &Reader, source: Net, now: Time) {
        let story = reader.story(source, now).unwrap();
        let mut active: Vec<_> =
            self.active.values().filter(|ban| ban.source.contains(&source)).cloned().collect();
        let mut past: Vec<_> =
            self.past.iter().filter(|past| past.ban.source.contains(&source)).cloned().collect();
        let over = active.extract_if(.., |ban| !ban.is_in_force(now));
        past.extend(over.map(|ban| Past { ended: ban.until.unwrap(), ban, why: Ended::Expire }));
        active.sort_by_key(|ban| (ban.by.kind(), std::cmp::Reverse(ban.source.prefix())));
        assert_eq!(story.active, ranked(&active));
        assert_eq!(sorted(story.past.clone()), sorted(past));
        assert!(story.past.is_sorted_by_key(|past| past.ended));
        let mut evidence: Vec<_> =
            self.evidence.iter().filter(|row| row.source.contains(&source)).cloned().collect();
        evidence.sort_by_key(|row| (row.time, row.source.prefix()));
        assert_eq!(story.evidence, evidence);
        let covering = self.trust.values().filter(|trust| net(&trust.what).contains(&source));
        assert_eq!(story.trust.as_ref(), covering.max_by_key(|trust| net(&trust.what).prefix()));
    }

    fn rows(&self, now: Time) -> Vec<BanRow> {
        let active: Vec<_> = self.active.values().filter(|ban| ban.is_in_force(now)).cloned().collect();
        active.chunk_by(|a, b| a.source == b.source).flat_map(ranked).collect()
    }
}

fn ranked(bans: &[Ban]) -> Vec<BanRow> {
    let forever = bans.iter().any(|ban| ban.until.is_none());
    let until = if forever { None } else { bans.iter().filter_map(|ban| ban.until).max() };
    let scope = bans.iter().map(|ban| ban.scope).max();
    let row = |(place, ban): (usize, &Ban)| BanRow {
        ban: ban.clone(),
        rules: place == 0,
        until,
        scope: scope.unwrap(),
    };
    bans.iter().enumerate().map(row).collect()
}

/// Drops all but the newest of those rows.
fn keep<T>(rows: &mut Vec<T>, limit: u32, of: impl Fn(&T) -> bool) {
    let mut excess = rows.iter().filter(|row| of(row)).count().saturating_sub(limit as usize);
    rows.retain(|row| {
        let goes = excess > 0 && of(row);
        excess -= usize::from(goes);
        !goes
    });
}

fn matches(which: &Which, ban: &Ban) -> bool {
    which.within.is_none_or(|net| net.contains(&ban.source))
        && which.kind.is_none_or(|kind| ban.by.kind() == kind)
        && which.feed.as_ref().is_none_or(|feed| ban.by == By::Feed(feed.clone()))
        && which.reason.as_ref().is_none_or(|reason| ban.reason == *reason)
}

fn sorted(mut past: Vec<Past>) -> Vec<String> {
    past.sort_by_key(|past| (past.ended, past.ban.source));
    let mut texts: Vec<_> = past.iter().map(|past| format!("{past:?}")).collect();
    texts.sort();
    texts
}

fn time() -> impl Strategy<Value = Time> {
    (0_i64..20).prop_map(Time)
}

fn source() -> impl Strategy<Value = Net> {
    select(SOURCES).prop_map(net)
}

fn who() -> impl Strategy<Value = By> {
    select(vec![By::Operator, By::Detector, By::Feed("a".to_owned()), By::Feed("b".to_owned())])
}

fn reason() -> impl Strategy<Value = String> {
    select(REASONS).prop_map(str::to_owned)
}

prop_compose! {
    fn bans()(
        source in source(), by in who(), reason in reason(), detail in "[a-z]{0,3}", since in time(),
        until in prop::option::of(time()), first_seen in time(), last_seen in time(), level in 0_u32..5,
        scope in select(vec![Scope::SipPorts, Scope::AllPorts]), dropped in 0_u64..100, evidence in 0_u32..100,
    ) -> Ban {
        Ban { source, by, reason, detail, since, until, first_seen, last_seen, level, scope, dropped, evidence }
    }
}

prop_compose! {
    fn unban()(
        within in prop::option::of(source()), kind in prop::option::of(select(vec![Kind::Operator, Kind::Feed])),
        feed in prop::option::of(Just("a".to_owned())), reason in prop::option::of(reason()), at in time(),
    ) -> Change {
        let which = Which { within, kind, feed, reason, ..Which::default() };
        Change::Unban(Unban { which, who: "admin".to_owned(), note: String::new(), at })
    }
}

fn change() -> impl Strategy<Value = Change> {
    let trust = (source(), time()).prop_map(|(what, since)| Trust {
        what: what.to_string(),
        note: "known".to_owned(),
        since,
    });
    prop_oneof![
        8 => bans().prop_map(Change::Ban),
        2 => (source(), 0_u64..100, time())
            .prop_map(|(source, packets, at)| Change::Dropped { source, packets, at }),
        4 => (source(), time(), "[a-z]{3}").prop_map(|(source, time, detail)| Change::Evidence(Evidence {
            source, time, detector: "guess".to_owned(), detail, line: None,
        })),
        2 => time().prop_map(|now| Change::Expire { now }),
        1 => trust.prop_map(Change::Trust),
        2 => unban(),
        1 => source().prop_map(|what| Change::Untrust { what: what.to_string() }),
    ]
}
