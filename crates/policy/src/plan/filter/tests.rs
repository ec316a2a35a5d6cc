use gate::filter::{FOLD, Suspicion};
use gate::frame::Copied;
use gate::memory::MemoryTables;
use gate::scan::Search;
use gate::{Fragment, Packet};
use proptest::prelude::*;
use regex_syntax::hir::Hir;

use super::*;
use crate::plan::automaton::literal;

/// What the gate makes of `text`, as a datagram of its own.
fn suspicion(filter: &Filter, text: &[u8]) -> Option<Suspicion> {
    let mut tables = MemoryTables::default();
    tables.policy.filter = Some(filter.table.clone().into());
    tables.policy.config.pairs = filter.pairs.len() as u32;
    for (slot, pair) in tables.policy.config.pair.iter_mut().zip(&filter.pairs) {
        *slot = gate::filter::lane(*pair);
    }
    let packet = Packet { length: text.len() as u16, fragment: Fragment::Whole, ..Packet::UNREAD };
    let search = Search { frame: text, tables: &tables, packet: &packet, config: &tables.policy.config };
    Some(gate::filter::suspicion(&search, &mut { Copied::EMPTY })).filter(|found| found.from < found.to)
}

fn filter(texts: &[&str]) -> Filter {
    let patterns: Vec<Hir> = texts.iter().map(|text| literal(text.as_bytes(), false)).collect();
    plan(&patterns.iter().collect::<Vec<_>>()).unwrap()
}

const ARTICLE: [&str; 7] =
    ["friendly-scanner", "sipvicious", "sundayddr", "sip-scan", "sipsak", "sipcli", "iWar"];

#[test]
fn every_text_is_noticed_at_every_offset() {
    let filter = filter(&ARTICLE);
    for text in ARTICLE {
        for begin in 0..140 {
            for end in 0..12 {
                let datagram = [vec![b'.'; begin], text.as_bytes().to_vec(), vec![b'.'; end]].concat();
                let found = suspicion(&filter, &datagram).expect("nothing noticed");
                let middle = (begin + text.len() / 2) as u32;
                assert!(found.from <= middle + 64 && middle <= found.to + 64, "{text} at {begin}: {found:?}");
            }
        }
    }
}

#[test]
fn lawful_text_is_cleared() {
    let filter = filter(&ARTICLE);
    let lawful = "REGISTER sip:198.51.100.1 SIP/2.0\r\nVia: SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK776asd;rport\r\n\
        From: \"Sipke de Vries\" <sip:1000@198.51.100.1>;tag=19283\r\nUser-Agent: Sipura/SPA2102-5.2.10\r\n";
    for begin in 0..4 {
        let datagram = format!("{}{lawful}", ".".repeat(begin));
        assert_eq!(suspicion(&filter, datagram.as_bytes()), None, "from {begin}");
    }
}

/// The policy that most people have must not be slow.
#[test]
fn the_shipped_policy_has_a_filter() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../packaging/policy.toml");
    let policy = crate::Policy::parse("policy.toml", std::fs::read(path).unwrap()).unwrap();
    let plan = crate::plan::gate::plan(policy.sets(), policy.networks(), policy.unproven()).unwrap();
    assert!(plan.tables.filter.is_some());
    assert!(plan.tables.config.pairs <= 2, "{}", plan.tables.config.pairs);
}

#[test]
fn what_cannot_be_filtered_is_left_to_the_automaton() {
    let texts = |texts: &[&str]| {
        let patterns: Vec<Hir> = texts.iter().map(|text| literal(text.as_bytes(), true)).collect();
        plan(&patterns.iter().collect::<Vec<_>>())
    };
    assert_eq!(texts(&["abc"]), None, "three bytes");
    assert_eq!(texts(&["iwar", "nmap", "zmap"]), None, "three pairs");
    assert!(texts(&["iwar", "nmap"]).is_some(), "two pairs");
    let many: Vec<String> = (0..5000).map(|number| format!("{number:05}")).collect();
    assert_eq!(texts(&many.iter().map(String::as_str).collect::<Vec<_>>()), None, "too dense");
}

#[test]
fn the_rarest_literal_of_an_expression_is_its_factor() {
    let lawful = Lawful::new();
    let required = |expression: &str| {
        let hir =
            regex_syntax::ParserBuilder::new().utf8(false).unicode(false).build().parse(expression).unwrap();
        factor::required(&hir, &lawful)
            .map(|set| set.iter().map(|one| String::from_utf8_lossy(one).into_owned()).collect::<Vec<_>>())
    };
    assert_eq!(required("\nUser-Agent:.*Friendly.scanner"), Some(vec!["friendly".to_owned()]));
    assert_eq!(required("(?i)sip(vicious|kali)"), Some(vec!["sipvicious".to_owned(), "sipkali".to_owned()]));
    assert_eq!(required("a{7}b?"), Some(vec!["aaaaaaa".to_owned()]));
    assert_eq!(required("sip-?scan"), Some(vec!["sipscan".to_owned(), "sip-scan".to_owned()]));
    assert_eq!(required("[0-9]+x"), None);
    assert_eq!(required("(scanner|.*)"), None);
}

proptest! {
    /// Whatever the texts and wherever they stand: the filter never clears a datagram that has one of them.
    #[test]
    fn nothing_is_missed(
        texts in prop::collection::vec(prop::collection::vec(any::<u8>(), 4..14), 1..6),
        before in prop::collection::vec(any::<u8>(), 0..150),
        after in prop::collection::vec(any::<u8>(), 0..70),
        which in any::<prop::sample::Index>(),
        flips in any::<u8>(),
    ) {
        let patterns: Vec<Hir> = texts.iter().map(|text| literal(text, false)).collect();
        if let Some(filter) = plan(&patterns.iter().collect::<Vec<_>>()) {
            let mut text = which.get(&texts).clone();
            // The case of a letter does not matter to the filter.
            if let Some(first) = text.first_mut() {
                *first ^= flips & FOLD;
            }
            let datagram = [before, text, after].concat();
            prop_assert!(suspicion(&filter, &datagram).is_some());
        }
    }
}
