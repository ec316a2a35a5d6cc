//! What a reader gives, frame by frame and by the batch, which is the same.

use super::*;

/// What the tests compare of a frame.
#[derive(Debug, PartialEq)]
pub(super) struct Seen {
    pub(super) number: u64,
    pub(super) nanoseconds: u128,
    pub(super) interface: Option<String>,
    pub(super) direction: Option<Direction>,
    pub(super) link: u16,
    pub(super) data: Vec<u8>,
    pub(super) original_len: usize,
}

impl From<Frame<'_>> for Seen {
    fn from(frame: Frame<'_>) -> Self {
        Self {
            number: frame.number,
            nanoseconds: frame.time.as_nanos(),
            interface: frame.interface.map(str::to_owned),
            direction: frame.direction,
            link: frame.link,
            data: frame.data.to_vec(),
            original_len: frame.original_len,
        }
    }
}

pub(super) fn read(file: &[u8]) -> (Vec<Seen>, Vec<String>) {
    seen_at_once(file, 1 << 20, 2)
}

/// In batches of up to `frames` with up to `bytes`.
pub(super) fn seen_at_once(file: &[u8], bytes: usize, frames: usize) -> (Vec<Seen>, Vec<String>) {
    let mut reader = Reader::new(file).expect("a capture");
    let mut seen: Vec<Seen> = Vec::new();
    while let Some(frame) = reader.next_frame() {
        seen.push(frame.into());
    }
    let problems = problems(&mut reader);
    let mut again = Reader::new(file).expect("a capture");
    let (mut batch, mut at_once) = (Batch::default(), Vec::new());
    loop {
        again.next_batch(&mut batch, bytes, frames);
        assert!(batch.len() <= frames);
        if batch.is_empty() {
            break;
        }
        at_once.extend((0..batch.len()).map(|at| Seen::from(batch.frame(at).expect("a frame"))));
        let (_, before) = at_once[at_once.len() - batch.len()..].split_last().expect("a frame");
        let held: usize = before.iter().map(|seen| seen.data.len()).sum();
        assert!(held < bytes, "{held} bytes before the last frame");
    }
    assert_eq!(at_once, seen);
    assert_eq!(self::problems(&mut again), problems);
    (seen, problems)
}

fn problems(reader: &mut Reader<'_>) -> Vec<String> {
    let problems = reader.take_problems().into_iter();
    problems.map(|problem| format!("{}: {}", problem.frame, problem.what)).collect()
}
