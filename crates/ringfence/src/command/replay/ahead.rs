//! What can be known of a frame by itself, found out while another processor judges the frames before it.
//!
//! Frames go in batches. The judge takes a batch that is ready, in order, and meanwhile the next one is read from the file and made
//! ready. Where that takes longer, the judge is left some frames that nobody looked at, and looks at them itself. So what is printed
//! does not depend on who was faster.

mod flows;
mod prepared;
mod ready;
mod share;

use std::ops::ControlFlow;
use std::panic;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use capture::{Batch, Reader};
use engine::Reading;
use netfilter::stack::{Flow, Settings};
use policy::detection::SipPorts;

use super::locals::Locals;
use crate::exit::Exit;
use flows::Flows;
pub(super) use prepared::{Prepared, datagram};
use ready::{Ready, Source};
use share::Share;

/// Bytes of a batch, at most, the last frame excepted. Each costs a thread.
const BATCH_BYTES: usize = 1 << 20;
/// Of one with SIP, some 500 messages: what is read of one is several times as large, and costs more where it does not fit into the
/// near memory.
const SIP_BYTES: usize = 1 << 18;
/// Frames of a batch, at most: many of media, which are small.
const BATCH_FRAMES: usize = 1 << 13;

/// What is to be found out beside the headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Where SIP is read, if anywhere.
    pub(super) ports: Option<&'a SipPorts>,
    /// Whose traffic it is, as far as that is known.
    pub(super) locals: &'a Locals,
    /// Of frames for which the capture names none.
    pub(super) interface: Option<&'a str>,
    /// Of the stack that judges, where it may do with the flow of a packet that is neither SIP nor told one by one.
    pub(super) flows: Option<&'a Settings>,
}

/// A frame, as far as it was looked at.
#[derive(Clone, Copy, Debug)]
pub(super) enum Read<'r, 'a> {
    /// Of media, which the engine does not ask for: what is known of its flow may be enough.
    Flow(OfFlow<'r, 'a>),
    Whole(&'r Prepared<'a>, Option<Reading<'r, 'a>>),
}

/// What is read of a frame in any case, and where the rest is.
#[derive(Clone, Copy, Debug)]
pub(super) struct OfFlow<'r, 'a> {
    pub(super) time: Duration,
    pub(super) flow: &'r Flow<'a>,
    /// Of its datagram, in bytes.
    pub(super) len: usize,
    at: usize,
    source: &'r Source<'a>,
}

impl Read<'_, '_> {
    pub(super) fn time(&self) -> Duration {
        match self {
            Self::Flow(of_flow) => of_flow.time,
            Self::Whole(prepared, _) => prepared.frame.time,
        }
    }
}

impl<'a> OfFlow<'_, 'a> {
    /// All that can be told without any other frame.
    pub(super) fn whole(&self) -> Option<Prepared<'a>> {
        self.source.prepared(self.at)
    }
}

/// Shows `take` the frames of a file one after another, each with what was read of it, until it has enough or fails.
pub(super) fn frames(
    reader: &mut Reader<'_>,
    asked: Asked<'_>,
    mut take: impl FnMut(Read<'_, '_>) -> Result<ControlFlow<()>, Exit>,
) -> Result<(), Exit> {
    let (mut here, mut there) = (Flows::default(), There::new(reader, asked));
    let mut take_all = |mut ready: Ready<'_>| -> Result<Option<Ready<'static>>, Exit> {
        for at in 0..ready.len() {
            if let Some(taken) = ready.show(at, &mut here, &mut take)
                && taken?.is_break()
            {
                return Ok(None);
            }
        }
        Ok(Some(ready.emptied()))
    };
    let (mut one, mut other) = (Batch::default(), Batch::default());
    let mut room = Ready::default();
    let mut first = there.next(&mut one, Ready::default());
    // Two batches take turns: one is taken while the other is made ready.
    while !first.is_empty() {
        let (taken, second) = there.meanwhile(|| take_all(first), &mut other, room)?;
        let Some(empty) = taken? else { return Ok(()) };
        if second.is_empty() {
            return Ok(());
        }
        let taken;
        (taken, first) = there.meanwhile(|| take_all(second), &mut one, empty)?;
        let Some(empty) = taken? else { return Ok(()) };
        room = empty;
    }
    Ok(())
}

/// What the reader works with.
struct There<'r, 'f, 'a> {
    reader: &'r mut Reader<'f>,
    asked: Asked<'a>,
    flows: Flows,
    share: Share,
    /// Batches so far.
    round: u64,
    /// What was last read is SIP for a good part, so that what comes may be, too.
    is_sip: bool,
}

impl<'r, 'f, 'a> There<'r, 'f, 'a> {
    fn new(reader: &'r mut Reader<'f>, asked: Asked<'a>) -> Self {
        Self { reader, asked, flows: Flows::default(), share: Share::ALL, round: 0, is_sip: true }
    }

    /// The next frames of the file, in `batch`; what is found out about them comes in `room`, which is empty.
    fn next<'b>(&mut self, batch: &'b mut Batch, mut room: Ready<'b>) -> Ready<'b>
    where
        'a: 'b,
    {
        let bytes = if self.is_sip { SIP_BYTES } else { BATCH_BYTES };
        self.reader.next_batch(batch, bytes, BATCH_FRAMES);
        self.round += 1;
        room.source = Some(Source { batch, asked: self.asked, round: self.round });
        room.look(self.share.of(room.len()), &mut self.flows);
        self.is_sip = room.is_sip();
        room
    }

    /// As [`There::next`], while `judge` does its work.
    fn meanwhile<'b, T>(
        &mut self,
        judge: impl FnOnce() -> T,
        batch: &'b mut Batch,
        room: Ready<'b>,
    ) -> Result<(T, Ready<'b>), Exit>
    where
        'a: 'b,
    {
        let ((judged, judging), (ready, reading)) =
            at_once(|| timed(judge), || timed(|| self.next(batch, room)))?;
        if may_share() {
            self.share.follow(judging, reading);
        }
        Ok((judged, ready))
    }
}

fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let start = Instant::now();
    let done = work();
    (done, start.elapsed())
}

/// Does both, on two processors if there are.
pub(super) fn at_once<A, B: Send>(
    here: impl FnOnce() -> A,
    there: impl FnOnce() -> B + Send,
) -> Result<(A, B), Exit> {
    if !may_share() {
        return Ok((here(), there()));
    }
    thread::scope(|scope| {
        let builder = thread::Builder::new().name("reader".to_owned());
        let other = builder
            .spawn_scoped(scope, there)
            .map_err(|error| Exit::System(format!("cannot start a thread: {error}")))?;
        let done = here();
        let other = other.join().unwrap_or_else(|panic| panic::resume_unwind(panic));
        Ok((done, other))
    })
}

fn may_share() -> bool {
    static MAY: OnceLock<bool> = OnceLock::new();
    *MAY.get_or_init(|| thread::available_parallelism().is_ok_and(|processors| processors.get() > 1))
}
