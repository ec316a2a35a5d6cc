use super::*;

/// Bytes that are gone are not counted: else one peer could use up what all have, and divided messages were read no more.
#[test]
fn incomplete_messages_are_counted_as_long_as_they_are_kept() {
    let mut connections = Connections::new(4, Salt::new(1));
    let local = "198.51.100.1:5060".parse().unwrap();
    for port in 0..4000_u16 {
        // Eight ports, each of them more than once: connections begin anew, and make room for one another.
        let peer = SocketAddr::from(([203, 0, 113, 9], 4000 + port % 8));
        let key = Connections::key(peer, local, Salt::new(1));
        let segment = |sequence, acknowledgment, syn| Segment {
            sequence,
            acknowledgment,
            syn,
            ack: true,
            fin: false,
            rst: false,
        };
        let times = (Tick(u32::from(port)), Tick(1));
        connections.follow(key, (peer, local), Direction::Out, &segment(5000, 1001, true), false, times);
        connections.follow(key, (peer, local), Direction::In, &segment(1001, 5001, false), true, times);
        let mut framer = connections.take_framer(key, Direction::In).unwrap();
        let part = [b"OPTIONS sip:a SIP/2.0\r\nX: ".as_slice(), &[b'x'; 15_000]].concat();
        framer.push(1001, &part, |_| {});
        assert!(framer.buffered() > 15_000);
        connections.give_framer(key, Direction::In, framer);
    }
    let kept: usize = connections.table.values().map(Connection::weight).sum();
    assert!(kept > 0);
    assert_eq!(connections.partials, kept);
}

/// Those of others, and of closed connections, make room: who opens many cannot keep the rest from being read.
#[test]
fn there_is_always_room_for_an_incomplete_message() {
    let (salt, local) = (Salt::new(1), "198.51.100.1:5060".parse().unwrap());
    let mut connections = Connections::new(1 << 14, salt);
    let part = [b"OPTIONS sip:a SIP/2.0\r\nX: ".as_slice(), &[b'x'; 15_000]].concat();
    for port in 0..5000_u16 {
        let peer = SocketAddr::from(([203, 0, 113, 9], 4000 + port));
        let key = Connections::key(peer, local, salt);
        let segment = |syn, fin| Segment {
            sequence: if syn { 5000 } else { 1001 },
            acknowledgment: if syn { 1001 } else { 5001 },
            syn,
            ack: true,
            fin,
            rst: false,
        };
        let times = (Tick(u32::from(port)), Tick(1));
        connections.follow(key, (peer, local), Direction::Out, &segment(true, false), false, times);
        connections.follow(key, (peer, local), Direction::In, &segment(false, false), true, times);
        let mut framer = connections.take_framer(key, Direction::In).unwrap();
        framer.push(1001, &part, |_| {});
        connections.give_framer(key, Direction::In, framer);
        assert!(connections.get(key).unwrap().weight() > 15_000, "{port}");
        // Every other one is closed.
        if port % 2 == 0 {
            connections.follow(key, (peer, local), Direction::In, &segment(false, true), false, times);
        }
        assert!(connections.partials <= MAX_PARTIALS);
    }
    let kept = connections.table.values().map(Connection::weight).sum::<usize>();
    assert!(connections.partials == kept && kept > MAX_PARTIALS / 2, "{kept}");
    let closed = connections.table.values().filter(|one| one.is_closed && one.weight() > 0).count();
    let open = connections.table.values().filter(|one| !one.is_closed && one.weight() > 0).count();
    assert!(closed < open, "{closed} {open}");
}
