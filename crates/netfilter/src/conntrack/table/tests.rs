use std::collections::HashMap;
use std::net::Ipv4Addr;

use super::*;

const NOW: Duration = Duration::from_secs(1);

/// One of 256, so that they meet again; some are their own answers.
fn tuple(number: u64) -> Tuple {
    let two_bits = |at: u64| u8::try_from(number >> at & 3).unwrap();
    let address = |at| Ipv4Addr::new(10, 0, 0, two_bits(at));
    Tuple::udp_v4(address(0), address(2), (two_bits(4).into(), two_bits(6).into()))
}

#[test]
fn an_entry_is_found_both_ways_until_it_is_removed() {
    let mut table = Table::new(1 << 10);
    let mut known: HashMap<Tuple, (Handle, Direction)> = HashMap::new();
    let (mut random, mut most, mut own_answers) = (1_u64, 0, 0);
    for step in 0..20_000 {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let original = tuple(random >> 40);
        let reply = original.inverse().unwrap();
        match known.get(&original).copied() {
            None => {
                let mut entry = Entry::new(original, reply, Progress::Fixed { timeout: 1 });
                entry.expires = NOW * 2;
                table.insert(entry, NOW);
                let (handle, _) = table.find(&original, NOW).expect("it was inserted");
                own_answers += u32::from(original == reply);
                known.insert(reply, (handle, Direction::Reply));
                known.insert(original, (handle, Direction::Original));
            }
            // Those that are there stay for a while.
            Some(_) if random >> 61 != 0 => {}
            Some((handle, _)) => {
                table.remove(handle);
                known.remove(&original);
                known.remove(&reply);
            }
        }
        most = most.max(known.len());
        if step % 16 == 0 {
            let found = (0..256).map(|number| (number, table.find(&tuple(number), NOW)));
            for (number, found) in found.collect::<Vec<_>>() {
                assert_eq!(found, known.get(&tuple(number)).copied(), "{step}: {number}");
            }
        }
    }
    assert!(most > 200 && own_answers > 100, "{most} {own_answers}");
    assert!(table.find(&tuple(0), NOW * 3).is_none(), "its time is over");
}
