//! A batch, with what was found out about its frames.

use std::time::Duration;

use capture::Batch;
use engine::Reading;
use netfilter::stack::Flow;
use sip::payload::{Payload, classify};
use sip::{Carrier, Message, View};

use super::flows::Flows;
use super::prepared::Prepared;
use super::{Asked, OfFlow, Read};

/// A batch of which a first part was looked at.
#[derive(Debug, Default)]
pub(super) struct Ready<'a> {
    pub(super) source: Option<Source<'a>>,
    /// In the order of the batch.
    places: Vec<Place>,
    /// Once where [`Flows`] remembers it; of IPv6, with IP options, or where flows share a place, once for each packet. So there are at
    /// most as many as frames.
    flows: Vec<Flow<'a>>,
    whole: Vec<Prepared<'a>>,
    /// Of the frames that hold SIP, and what they mean; both are large.
    views: Vec<View<'a>>,
    messages: Vec<Message<'a>>,
}

/// What a batch was made ready from.
#[derive(Clone, Copy, Debug)]
pub(super) struct Source<'a> {
    pub(super) batch: &'a Batch,
    pub(super) asked: Asked<'a>,
    /// The batch's number.
    pub(super) round: u64,
}

/// Where a frame's parts are.
#[derive(Clone, Copy, Debug)]
enum Place {
    /// Of media.
    Flow { time: Duration, flow: usize, len: usize },
    /// Where view and message are, if it holds SIP.
    Whole { at: usize, sip: Option<usize> },
}

impl<'a> Source<'a> {
    /// All that can be told of a frame without any other.
    pub(super) fn prepared(&self, at: usize) -> Option<Prepared<'a>> {
        let Self { batch, asked, .. } = *self;
        Some(Prepared::of(batch.frame(at)?, asked.locals, asked.interface))
    }
}

impl<'a> Ready<'a> {
    /// How many frames it has.
    pub(super) fn len(&self) -> usize {
        self.source.map_or(0, |source| source.batch.len())
    }

    /// Looks at the first `count` frames.
    pub(super) fn look(&mut self, count: usize, flows: &mut Flows) {
        let Some(source) = self.source else { return };
        for at in self.places.len()..count {
            self.look_at(source, at, flows);
        }
    }

    /// Shows a frame; one that nobody looked at before is looked at, and forgotten again.
    pub(super) fn show<R>(
        &mut self,
        at: usize,
        flows: &mut Flows,
        take: impl FnOnce(Read<'_, 'a>) -> R,
    ) -> Option<R> {
        if let Some(place) = self.places.get(at) {
            return self.read(*place, at).map(take);
        }
        let source = self.source?;
        let (places, whole, sip) = (self.places.len(), self.whole.len(), self.views.len());
        self.look_at(source, at, flows);
        let taken = self.places.get(places).and_then(|place| self.read(*place, at)).map(take);
        self.places.truncate(places);
        self.whole.truncate(whole);
        self.views.truncate(sip);
        self.messages.truncate(sip);
        taken
    }

    fn look_at(&mut self, source: Source<'a>, at: usize, flows: &mut Flows) {
        let Source { batch, asked, round } = source;
        let Some(frame) = batch.frame(at) else { return };
        if let Some((flow, len)) = flows.find(&frame, batch.interface(at), asked, round, &mut self.flows) {
            self.places.push(Place::Flow { time: frame.time, flow, len });
            return;
        }
        let prepared = Prepared::of(frame, asked.locals, asked.interface);
        if let Some((flow, len)) = prepared.flow(asked) {
            self.flows.push(flow);
            self.places.push(Place::Flow { time: prepared.frame.time, flow: self.flows.len() - 1, len });
            return;
        }
        let datagram = asked.ports.and_then(|ports| prepared.sip(ports));
        let sip = datagram.and_then(|bytes| self.read_sip(bytes));
        self.whole.push(prepared);
        self.places.push(Place::Whole { at: self.whole.len() - 1, sip });
    }

    /// Reads the SIP of a datagram where it is kept, as view and message are large; tells where that is.
    fn read_sip(&mut self, datagram: &'a [u8]) -> Option<usize> {
        let Payload::Message(bytes) = classify(datagram) else { return None };
        let at = self.views.len();
        self.views.push(View::new());
        let view = self.views.last_mut()?;
        if view.read(bytes, Carrier::Datagram).is_err() {
            self.views.pop();
            return None;
        }
        self.messages.push(Message::new());
        self.messages.last_mut()?.fill(view);
        Some(at)
    }

    fn read(&self, place: Place, at: usize) -> Option<Read<'_, 'a>> {
        let reading =
            |at: usize| Some(Reading { view: self.views.get(at)?, message: self.messages.get(at)? });
        Some(match place {
            Place::Flow { time, flow, len } => {
                let source = self.source.as_ref()?;
                Read::Flow(OfFlow { time, flow: self.flows.get(flow)?, len, at, source })
            }
            Place::Whole { at, sip } => Read::Whole(self.whole.get(at)?, sip.and_then(reading)),
        })
    }

    /// Whether more than a few of the frames that were looked at hold SIP.
    pub(super) fn is_sip(&self) -> bool {
        self.views.len() > self.places.len() / 4
    }

    /// Its room, for another batch: what is this large costs more to have anew than to fill.
    pub(super) fn emptied(self) -> Ready<'static> {
        let Self { source: _, mut places, flows, whole, views, messages } = self;
        places.clear();
        Ready {
            source: None,
            places,
            flows: emptied(flows),
            whole: emptied(whole),
            views: emptied(views),
            messages: emptied(messages),
        }
    }

    /// The file has no more.
    pub(super) fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A list of nothing, in the memory of one whose lifetime ends: `collect` takes over what it consumes.
fn emptied<A, B>(mut list: Vec<A>) -> Vec<B> {
    list.clear();
    list.into_iter().filter_map(|_| None).collect()
}

#[cfg(test)]
mod tests;
