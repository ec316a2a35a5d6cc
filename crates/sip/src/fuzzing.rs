//! What the fuzz targets and the replay of their corpus run: every reader on any bytes.

use crate::payload::{Payload, classify};
use crate::stream::Framer;
use crate::{Carrier, HeaderName, Message, View};

/// Reads everything that there is in a datagram.
pub fn message(data: &[u8]) {
    let Payload::Message(bytes) = classify(data) else { return };
    let Ok(view) = View::parse(bytes, Carrier::Datagram) else { return };
    let message = Message::read(&view);
    let mut anomalies = message.anomalies;
    let _ = message.sdp(&mut anomalies);
    let kept = view.headers().count();
    assert!(kept <= crate::view::MAX_HEADERS, "no more headers than there is room for");
    for &name in HeaderName::KNOWN {
        assert_eq!(view.all(name).next(), view.get(name), "the first of all is the one");
    }
}

/// The first byte says how long segments are; the rest is the stream.
pub fn stream(data: &[u8]) {
    const LIMIT: usize = 2048;
    let Some((&size, stream)) = data.split_first() else { return };
    let mut framer = Framer::new(LIMIT);
    let mut sequence = 0xffff_fff0_u32;
    for segment in stream.chunks(usize::from(size).max(1)) {
        framer.push(sequence, segment, |_| {});
        sequence = sequence.wrapping_add(u32::try_from(segment.len()).unwrap_or(0));
        assert!(framer.buffered() <= 2 * LIMIT, "a bound is a bound");
    }
}
