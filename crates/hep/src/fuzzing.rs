//! What the fuzz target and the replay of its corpus run: any bytes, as a packet and as a stream.

use crate::{MAX_INFLATED, Packet, Stream};

pub fn packet(data: &[u8]) {
    if let Ok(packet) = Packet::parse(data) {
        let mut written = Vec::new();
        if packet.write(&mut written).is_ok() {
            let again = Packet::parse(&written).map(|again| Packet { skipped: packet.skipped, ..again });
            assert_eq!(again, Ok(packet), "what was written is what was read");
        }
        if let Ok(payload) = packet.payload.bytes() {
            assert!(payload.len() <= MAX_INFLATED, "bounded");
        }
    }
    stream(data);
}

/// The first byte says how the rest is cut into pieces; that changes nothing.
fn stream(data: &[u8]) {
    let Some((&first, bytes)) = data.split_first() else { return };
    let whole = packets(bytes, bytes.len().max(1));
    assert_eq!(packets(bytes, usize::from(first) + 1), whole, "pieces change nothing");
    let total: usize = whole.iter().map(Vec::len).sum();
    assert!(total <= bytes.len(), "nothing is made up");
}

fn packets(bytes: &[u8], size: usize) -> Vec<Vec<u8>> {
    let (mut stream, mut found) = (Stream::default(), Vec::new());
    for mut piece in bytes.chunks(size) {
        loop {
            match stream.take(&mut piece) {
                Ok(Some(packet)) => found.push(packet),
                Ok(None) => break,
                Err(_) => return found,
            }
        }
    }
    found
}
