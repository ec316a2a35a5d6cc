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
use netfilter::stack::{Flow, Settings, Way};
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
    at: usize,
    source: Source<'a>,
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
        let Source { batch, asked } = self.source;
        let frame = batch.frame(batch.frames.get(self.at)?);
        Some(Prepared::of(frame, asked.locals, asked.interface))
    }
}

/// Shows `take` the frames of a file one after another, each with what was read of it, until it has enough or fails.
pub(super) fn frames(
    reader: &mut Reader<'_>,
    asked: Asked<'_>,
    mut take: impl FnMut(Read<'_, '_>) -> Result<ControlFlow<()>, Exit>,
) -> Result<(), Exit> {
    let mut take_all = |ready: Ready<'_>| -> Result<Option<Ready<'static>>, Exit> {
        for read in ready.frames() {
            if take(read)?.is_break() {
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
    source: Option<Source<'a>>,
    /// In the order of the batch.
    frames: Vec<Place<'a>>,
    whole: Vec<Prepared<'a>>,
    /// Of the frames that hold SIP, and what they mean; both are large.
    views: Vec<View<'a>>,
    messages: Vec<Message<'a>>,
}

/// What a batch was made ready from.
#[derive(Clone, Copy, Debug)]
struct Source<'a> {
    batch: &'a Batch,
    asked: Asked<'a>,
}

/// Where a frame's parts are.
#[derive(Debug)]
enum Place<'a> {
    Flow(Duration, Flow<'a>),
    Whole {
        at: usize,
        /// Where view and message are, if it holds SIP.
        sip: Option<usize>,
    },
}

/// A frame with what can be told without any other.
#[derive(Clone, Copy, Debug)]
pub(super) struct Prepared<'a> {
    pub(super) frame: Frame<'a>,
    pub(super) decoded: Decoded<'a>,
    /// Of IP, with the interfaces that its way has.
    pub(super) packet: Option<Result<Packet<'a>, Malformed>>,
    /// Of a packet that could be read.
    pub(super) course: Course,
}

impl<'a> Prepared<'a> {
    pub(super) fn of(frame: Frame<'a>, locals: &Locals, interface: Option<&'a str>) -> Self {
        let decoded = decode(&frame);
        let mut packet = match decoded.payload {
            Payload::Ip { data, wire_len } => Some(Packet::parse(data, wire_len)),
            Payload::Other(_) | Payload::Cut | Payload::Unsupported(_) => None,
        };
        let course = match &mut packet {
            Some(Ok(packet)) => {
                let course = Course::of(packet, &decoded, locals);
                let name = if course.is_loopback { Some("lo") } else { frame.interface.or(interface) };
                match course.way {
                    Some(Way::Input | Way::Forward) => packet.set_interfaces(name, None),
                    Some(Way::Output) => packet.set_interfaces(None, name),
                    Some(Way::Loopback) => packet.set_interfaces(name, name),
                    None => {}
                }
                course
            }
            Some(Err(_)) | None => Course::default(),
        };
        Self { frame, decoded, packet, course }
    }

    /// The SIP in a whole datagram between ports that the engine asks for.
    fn view(&self, ports: &SipPorts) -> Option<View<'a>> {
        let Some(Ok(packet)) = &self.packet else { return None };
        let is_asked_for = packet.fragment().is_none() && may_be_sip(packet, ports);
        is_asked_for.then(|| datagram(packet)).flatten().and_then(|bytes| View::of_datagram(bytes).ok())
    }

    /// The flow, where it may be enough.
    fn flow(&self, asked: Asked<'a>) -> Option<Flow<'a>> {
        let (Some(Ok(packet)), Some(ports), Some(settings)) = (&self.packet, asked.ports, asked.flows) else {
            return None;
        };
        if self.course.is_loopback || may_be_sip(packet, ports) {
            return None;
        }
        Flow::of(packet, self.course.way?, settings)
    }
}

/// Whether the engine may ask for a datagram between these ports.
fn may_be_sip(packet: &Packet<'_>, ports: &SipPorts) -> bool {
    let is_asked_for = |port: u16| port == crate::detection::SIP || ports.has_udp(port);
    let Transport::Udp(udp) = packet.transport() else { return false };
    is_asked_for(udp.source) || is_asked_for(udp.destination)
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
    fn next<'a>(&'a mut self, reader: &mut Reader<'_>, asked: Asked<'a>, mut room: Ready<'a>) -> Ready<'a> {
        self.fill(reader);
        let batch = &*self;
        let Ready { source, frames, whole, views, messages } = &mut room;
        *source = Some(Source { batch, asked });
        frames.extend(batch.frames.iter().map(|held| {
            let prepared = Prepared::of(batch.frame(held), asked.locals, asked.interface);
            if let Some(flow) = prepared.flow(asked) {
                return Place::Flow(held.time, flow);
            }
            let sip = asked.ports.and_then(|ports| prepared.view(ports)).map(|view| {
                messages.push(Message::read(&view));
                views.push(view);
                views.len() - 1
            });
            whole.push(prepared);
            Place::Whole { at: whole.len() - 1, sip }
        }));
        room
    }

    fn frame(&self, held: &Held) -> Frame<'_> {
        Frame {
            number: held.number,
            time: held.time,
            interface: held.interface.and_then(|at| self.interfaces.get(at)).map(String::as_str),
            direction: held.direction,
            link: held.link,
            data: self.bytes.get(held.data.clone()).unwrap_or_default(),
            original_len: held.original_len,
        }
    }
}

impl<'a> Ready<'a> {
    /// In the order of the file.
    fn frames(&self) -> impl Iterator<Item = Read<'_, 'a>> {
        let reading =
            |at: usize| Some(Reading { view: self.views.get(at)?, message: self.messages.get(at)? });
        self.frames.iter().enumerate().filter_map(move |(at, place)| {
            Some(match place {
                Place::Flow(time, flow) => Read::Flow(OfFlow { time: *time, flow, at, source: self.source? }),
                Place::Whole { at, sip } => Read::Whole(self.whole.get(*at)?, sip.and_then(reading)),
            })
        })
    }

    /// Its room, for another batch: what is this large costs more to have anew than to fill.
    fn emptied(self) -> Ready<'static> {
        Ready {
            source: None,
            frames: emptied(self.frames),
            whole: emptied(self.whole),
            views: emptied(self.views),
            messages: emptied(self.messages),
        }
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
