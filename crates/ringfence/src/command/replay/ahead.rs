//! What can be known of a frame by itself, found out while another processor judges the frames before it.
//!
//! Frames go in batches. The judge takes a batch that is ready, in order, and meanwhile the next one is read from the file and made
//! ready. So what is printed does not depend on who was faster.

use std::ops::{ControlFlow, Range};
use std::panic;
use std::thread;
use std::time::Duration;

use capture::link::{Decoded, Payload, decode};
use capture::{Direction, Frame, Reader};
use engine::Reading;
use netfilter::packet::{Malformed, Packet, Transport};
use policy::detection::SipPorts;
use sip::{Message, View};

use super::course::Course;
use super::locals::Locals;
use crate::exit::Exit;

/// Bytes of a batch, at most, the last frame excepted.
const BATCH_BYTES: usize = 1 << 20;
/// Frames of a batch, at most: many of media, which are small. Of SIP it ends by its bytes before, with some 2,000 messages. Each batch costs
/// a thread, and SIP that no longer fits into the near memory costs more.
const BATCH_FRAMES: usize = 1 << 13;

/// What is to be found out beside the headers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked<'a> {
    /// Where SIP is read, if anywhere.
    pub(super) ports: Option<&'a SipPorts>,
    /// Whose traffic it is, as far as that is known.
    pub(super) locals: &'a Locals,
}

/// Shows `take` the frames of a file one after another, each with what was read of it, until it has enough or fails.
pub(super) fn frames(
    reader: &mut Reader<'_>,
    asked: Asked<'_>,
    mut take: impl FnMut(&Prepared<'_>, Option<Reading<'_, '_>>) -> Result<ControlFlow<()>, Exit>,
) -> Result<(), Exit> {
    let mut take_all = |ready: Ready<'_>| -> Result<Option<Ready<'static>>, Exit> {
        for (prepared, reading) in ready.frames() {
            if take(prepared, reading)?.is_break() {
                return Ok(None);
            }
        }
        Ok(Some(ready.emptied()))
    };
    let may_share = thread::available_parallelism().is_ok_and(|processors| processors.get() > 1);
    let (mut one, mut other) = (Batch::default(), Batch::default());
    let mut room = Ready::default();
    let mut first = one.next(reader, asked, Ready::default());
    // Two batches take turns: one is taken while the other is made ready.
    while !first.is_empty() {
        let (taken, second) = at_once(may_share, || take_all(first), || other.next(reader, asked, room))?;
        let Some(empty) = taken? else { return Ok(()) };
        if second.is_empty() {
            return Ok(());
        }
        let taken;
        (taken, first) = at_once(may_share, || take_all(second), || one.next(reader, asked, empty))?;
        let Some(empty) = taken? else { return Ok(()) };
        room = empty;
    }
    Ok(())
}

/// Frames as the file has them.
#[derive(Debug, Default)]
struct Batch {
    bytes: Vec<u8>,
    frames: Vec<Held>,
    /// Their names, each once.
    interfaces: Vec<String>,
}

/// A frame whose bytes and interface stand elsewhere in its batch.
#[derive(Debug)]
struct Held {
    number: u64,
    time: Duration,
    interface: Option<usize>,
    direction: Option<Direction>,
    link: u16,
    data: Range<usize>,
    original_len: usize,
}

/// A batch with all that is known about its frames.
#[derive(Debug, Default)]
struct Ready<'a> {
    frames: Vec<(Prepared<'a>, Option<usize>)>,
    /// Of the frames that hold SIP, and what they mean; both are large.
    views: Vec<View<'a>>,
    messages: Vec<Message<'a>>,
}

/// A frame with what can be told without any other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) decoded: Decoded<'a>,
    /// Of IP.
    pub(super) packet: Option<Result<Packet<'a>, Malformed>>,
    /// Of a packet that could be read.
    pub(super) course: Course,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(frame: Frame<'a>, locals: &Locals) -> Self {
        let decoded = decode(&frame);
        let packet = match decoded.payload {
            Payload::Ip { data, wire_len } => Some(Packet::parse(data, wire_len)),
            Payload::Other(_) | Payload::Cut | Payload::Unsupported(_) => None,
        };
        let course = match &packet {
            Some(Ok(packet)) => Course::of(packet, &decoded, locals),
            Some(Err(_)) | None => Course::default(),
        };
        Self { frame, decoded, packet, course }
    }

    /// The SIP in a whole datagram between ports that the engine asks for.
    fn view(&self, ports: &SipPorts) -> Option<View<'a>> {
        let Some(Ok(packet)) = &self.packet else { return None };
        let (source, destination) = packet.ports()?;
        let may_be_sip = |port: u16| port == crate::detection::SIP || ports.has_udp(port);
        let is_asked_for = packet.fragment().is_none() && (may_be_sip(source) || may_be_sip(destination));
        is_asked_for.then(|| datagram(packet)).flatten().and_then(|bytes| View::of_datagram(bytes).ok())
    }
}

/// The payload of a whole UDP datagram.
pub(super) fn datagram<'a>(packet: &Packet<'a>) -> Option<&'a [u8]> {
    let Transport::Udp(udp) = packet.transport() else { return None };
    let data = packet.payload().get(8..).unwrap_or_default();
    // What lies behind the length of UDP is no part of it.
    let len = usize::from(udp.len).saturating_sub(8);
    Some(data.get(..len).unwrap_or(data))
}

impl Batch {
    /// Takes the next frames of a file; none at its end.
    fn fill(&mut self, reader: &mut Reader<'_>) {
        self.bytes.clear();
        self.frames.clear();
        self.interfaces.clear();
        while self.bytes.len() < BATCH_BYTES && self.frames.len() < BATCH_FRAMES {
            let Some(frame) = reader.next_frame() else { return };
            let begin = self.bytes.len();
            self.bytes.extend_from_slice(frame.data);
            let interfaces = &mut self.interfaces;
            let interface = frame.interface.map(|name| {
                interfaces.iter().position(|known| known == name).unwrap_or_else(|| {
                    interfaces.push(name.to_owned());
                    interfaces.len() - 1
                })
            });
            self.frames.push(Held {
                number: frame.number,
                time: frame.time,
                interface,
                direction: frame.direction,
                link: frame.link,
                data: begin..self.bytes.len(),
                original_len: frame.original_len,
            });
        }
    }

    /// The next frames of a file, with what is asked for. They come in `room`, which is empty.
    fn next<'a>(&'a mut self, reader: &mut Reader<'_>, asked: Asked<'_>, mut room: Ready<'a>) -> Ready<'a> {
        self.fill(reader);
        let Ready { frames, views, messages } = &mut room;
        frames.extend(self.frames().map(|frame| {
            let prepared = Prepared::of(frame, asked.locals);
            let at = asked.ports.and_then(|ports| prepared.view(ports)).map(|view| {
                messages.push(Message::read(&view));
                views.push(view);
                views.len() - 1
            });
            (prepared, at)
        }));
        room
    }

    fn frames(&self) -> impl Iterator<Item = Frame<'_>> {
        self.frames.iter().map(|held| Frame {
            number: held.number,
            time: held.time,
            interface: held.interface.and_then(|at| self.interfaces.get(at)).map(String::as_str),
            direction: held.direction,
            link: held.link,
            data: self.bytes.get(held.data.clone()).unwrap_or_default(),
            original_len: held.original_len,
        })
    }
}

impl<'a> Ready<'a> {
    /// In the order of the file, each with what was read of it.
    fn frames(&self) -> impl Iterator<Item = (&Prepared<'a>, Option<Reading<'_, 'a>>)> {
        let reading =
            |at: usize| Some(Reading { view: self.views.get(at)?, message: self.messages.get(at)? });
        self.frames.iter().map(move |(prepared, at)| (prepared, at.and_then(reading)))
    }

    /// Its room, for another batch: what is this large costs more to have anew than to fill.
    fn emptied(self) -> Ready<'static> {
        Ready { frames: emptied(self.frames), views: emptied(self.views), messages: emptied(self.messages) }
    }

    /// The file has no more.
    fn is_empty(&self) -> bool {
        self.frames.is_empty()
    }
}

/// A list of nothing, in the memory of one whose lifetime ends: `collect` takes over what it consumes.
fn emptied<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().filter_map(|_| None).collect()
}

/// Does both, on two processors if there are.
fn at_once<A, B: Send>(
    may_share: bool,
    here: impl FnOnce() -> A,
    there: impl FnOnce() -> B + Send,
) -> Result<(A, B), Exit> {
    if !may_share {
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
