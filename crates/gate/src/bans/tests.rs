use std::collections::HashMap;
use std::convert::Infallible;

use super::*;

#[derive(Default)]
struct Memory(HashMap<(u8, u32), Bucket>);

impl Store<Infallible> for Memory {
    fn get(&mut self, family: Family, number: u32) -> Result<Bucket, Infallible> {
        Ok(self.0.get(&(family as u8, number)).copied().unwrap_or_default())
    }

    fn set(&mut self, family: Family, number: u32, bucket: &Bucket) -> Result<(), Infallible> {
        self.0.insert((family as u8, number), *bucket);
        Ok(())
    }
}

impl Memory {
    fn find(&mut self, address: &Address, family: Family, key: [u64; 2]) -> Option<Term> {
        let (first, second) = places(address, family, key);
        for number in [first, second] {
            match ask(&self.get(family, number).unwrap(), address, family) {
                Answer::Banned(term) => return Some(term),
                Answer::No => return None,
                Answer::Elsewhere => {}
            }
        }
        None
    }
}

const KEY: [u64; 2] = [11, 22];

fn address(family: Family, number: u32) -> Address {
    match family {
        Family::Ipv4 => Address::v4(number.wrapping_mul(2_654_435_761).to_be_bytes()),
        Family::Ipv6 => Address((u128::from(number.wrapping_mul(2_654_435_761)) << 70 | 5).to_be_bytes()),
    }
}

#[test]
fn a_term_is_what_it_says() {
    let second = 1_000_000_000;
    let term = Term::new(100 * second, false);
    assert!(term.lasts(0) && term.lasts(100 * second), "not before its time");
    assert!(!term.lasts(102 * second), "nor long after");
    assert!(!term.covers_all_ports() && Term::new(1, true).covers_all_ports());
    assert!(Term::new(u64::MAX, false).lasts(u64::MAX) && Term::new(u64::MAX, false).until() == u64::MAX);
    assert!(!Term::OVER.lasts(0));
}

#[test]
fn a_million_of_each_family_find_a_place_and_only_they_are_found() {
    for family in [Family::Ipv4, Family::Ipv6] {
        let mut memory = Memory::default();
        let mut refused = 0;
        for number in 0..1_000_000 {
            let term = Term::new(u64::from(number) << 40, false);
            refused +=
                usize::from(!insert(&mut memory, &address(family, number), family, term, KEY, 0).unwrap());
        }
        println!("{family:?}: {refused} of 1,000,000 have no place in the buckets");
        assert!(refused < 20_000, "{refused}");
        let missed = (0..1_000_000)
            .filter(|number| memory.find(&address(family, *number), family, KEY).is_none())
            .count();
        assert_eq!(missed, refused);
        assert!(
            (1_000_000..1_100_000).all(|number| memory.find(&address(family, number), family, KEY).is_none())
        );
    }
}

#[test]
fn what_was_taken_out_hides_nobody() {
    for family in [Family::Ipv4, Family::Ipv6] {
        let mut memory = Memory::default();
        // One bucket is enough to be full: the key is chosen so that many share it.
        let crowd: Vec<Address> = (0..4_000_000)
            .map(|number| address(family, number))
            .filter(|address| places(address, family, KEY).0 == 7)
            .take(20)
            .collect();
        assert!(crowd.len() >= 7, "{}", crowd.len());
        let term = Term::new(u64::MAX, false);
        for address in &crowd {
            assert!(insert(&mut memory, address, family, term, KEY, 0).unwrap());
            assert!(insert(&mut memory, address, family, term, KEY, 0).unwrap(), "again");
        }
        for gone in 0..crowd.len() {
            assert!(remove(&mut memory, &crowd[gone], family, KEY).unwrap());
            assert!(!remove(&mut memory, &crowd[gone], family, KEY).unwrap());
            for (index, address) in crowd.iter().enumerate() {
                assert_eq!(memory.find(address, family, KEY).is_some(), index > gone, "{index} after {gone}");
            }
        }
    }
}

#[test]
fn what_is_over_makes_room() {
    let mut memory = Memory::default();
    let family = Family::Ipv4;
    let now = 1 << 40;
    for number in 0..3_000_000 {
        let begin = u64::from(number / 1_000_000);
        let until = begin * now + 1;
        assert!(
            insert(
                &mut memory,
                &address(family, number),
                family,
                Term::new(until, false),
                KEY,
                until + (2 << UNIT)
            )
            .unwrap(),
            "{number}"
        );
    }
    let seen: usize = memory.0.values().map(|bucket| contents(bucket, family, 2 * now).count()).sum();
    assert!(seen <= 1_000_000, "{seen}");
}
