use super::*;

#[derive(Clone, Debug, Default)]
struct Guest(u8, u32);

impl Worth for Guest {
    fn worth(&self) -> (u8, Tick) {
        (self.0, Tick(self.1))
    }
}

#[test]
fn a_flood_of_strangers_displaces_strangers_only() {
    let mut table: Bounded<Guest> = Bounded::new(100, Salt::new(0));
    for key in 1..=50 {
        *table.entry(key) = Guest(1, 0);
    }
    for key in 1000..100_000 {
        *table.entry(key) = Guest(0, 1);
    }
    assert!((1..=50).all(|key| table.get(key).is_some()));
    assert_eq!(table.fill("test"), Fill { table: "test", used: 100, limit: 100 });
    assert!(table.evicted() > 90_000);
}

#[test]
fn strangers_go_in_the_order_in_which_they_were_seen_last() {
    let mut table: Bounded<Guest> = Bounded::new(16, Salt::new(0));
    for key in 1..=16 {
        // The last was seen first.
        *table.entry(key) = Guest(0, 100 - u32::try_from(key).unwrap());
    }
    table.entry(101);
    assert!(table.get(16).is_none());
    // These are known to go next; one of them comes again, one is worth something now.
    table.entry(15).1 = 200;
    table.entry(14).0 = 1;
    table.entry(102);
    assert!(table.get(15).is_some() && table.get(14).is_some() && table.get(13).is_none());
    let left = (1..=12).filter(|&key| table.get(key).is_some()).count();
    assert_eq!(left, 12);
}

/// A quarter of what was compared: the others have been seen later, and are compared again.
#[test]
fn the_oldest_of_those_that_were_compared_go() {
    let mut table: Bounded<Guest> = Bounded::new(16, Salt::new(0));
    // In no order, each of them once.
    let seen = |key: u64| 100 + u32::try_from(key * 7 % 17).unwrap();
    for key in 1..=16 {
        *table.entry(key) = Guest(0, seen(key));
    }
    let mut oldest: Vec<u64> = (1..=16).collect();
    oldest.sort_by_key(|&key| seen(key));
    for (gone, new) in (1000..1004).enumerate() {
        *table.entry(new) = Guest(0, 7);
        for (place, &key) in oldest.iter().enumerate() {
            assert_eq!(table.get(key).is_some(), place > gone, "{key}");
        }
    }
    // Those that came meanwhile are older than all that are left.
    table.entry(2000);
    assert!(oldest.iter().skip(4).all(|&key| table.get(key).is_some()));
}

/// What was known of one must not be held against the next, nor speak for it.
#[test]
fn who_takes_a_place_begins_anew() {
    for worth in [0, 3] {
        let mut table: Bounded<Guest> = Bounded::new(1, Salt::new(0));
        *table.entry(1) = Guest(worth, 77);
        let Guest(worth, last) = table.entry(2);
        assert_eq!((*worth, *last), (0, 0));
        assert!(table.get(1).is_none());
        assert_eq!((table.len, table.evicted(), table.spare.len()), (1, 1, 0));
    }
}

#[test]
fn where_all_are_worth_something_the_least_worthy_goes() {
    let mut table: Bounded<Guest> = Bounded::new(64, Salt::new(0));
    for key in 1..=64 {
        *table.entry(key) = Guest(if key == 50 { 1 } else { 2 }, 7);
    }
    table.entry(100);
    assert!(table.get(50).is_none());
    assert_eq!((1..=64).filter(|&key| table.get(key).is_some()).count(), 63);
}

#[test]
fn the_index_agrees_with_the_rows() {
    let mut table: Bounded<Guest> = Bounded::new(64, Salt::new(3));
    let mut random = 12345_u64;
    for _ in 0..20_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let key = 1 + (random >> 40) % 300;
        *table.entry(key) = Guest(0, u32::try_from(key).unwrap());
        assert_eq!(table.get(key).map(|guest| u64::from(guest.1)), Some(key));
        assert_eq!(table.index.iter().filter(|&&entry| entry != 0).count(), table.len);
    }
    let found = (1..=300).filter(|&key| table.get(key).is_some()).count();
    assert_eq!(found, 64);
}

#[test]
fn the_index_grows_with_the_rows() {
    let mut table: Bounded<Guest> = Bounded::new(10_000, Salt::new(5));
    for key in 1..=30_000 {
        *table.entry(key) = Guest(1, u32::try_from(key).unwrap());
        assert!(table.index.len() >= 2 * table.len && table.index.len() <= SLOTS.max(4 * table.len));
        assert!(table.get(1 + key / 2).is_some() || key > 10_000);
    }
    assert_eq!((table.index.len(), table.len), (32_768, 10_000));
    assert_eq!(table.index.iter().filter(|&&entry| entry != 0).count(), 10_000);
    assert_eq!((1..=30_000).filter(|&key| table.get(key).is_some()).count(), 10_000);
}
