//! Whether a segment can have been sent by its end, and could be taken by the other: "Real Stateful TCP Packet Filtering in
//! IP Filter" (Guido van Rooij), with Linux' additions for SACK, window scaling and connections picked up in their middle.
//!
//! For a segment from A to B, four bounds: (I) its data does not go beyond what B's last window allowed; (II) it is not older
//! than what A sent less B's largest window; (III) it does not acknowledge what B never sent; (IV) its acknowledgement is not
//! older than B's data less a generous window.

use super::segment::{Kind, Segment, TcpOption, after, before};
use super::{Direction, Settings, State, Tracker};

/// One end of a connection, as seen from between.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct End {
    /// Highest sequence number after data that it sent.
    pub(super) end: u32,
    /// Highest sequence number that its peer's acknowledgements and windows allow.
    pub(super) max_end: u32,
    /// Largest window that it offered, scaled; 0 while nothing was seen of it.
    pub(super) max_window: u32,
    /// Highest number that it acknowledged.
    pub(super) max_acknowledgement: Option<u32>,
    scale: u8,
    offers_scale: bool,
    sack_permitted: bool,
    /// Its windows are not enforced.
    liberal: bool,
    /// Data of it has not been acknowledged.
    pub(super) unacknowledged: bool,
    /// Its FIN began the end.
    pub(super) closed_first: bool,
}

/// Whether a segment fits.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fit {
    Inside,
    /// Late or a bit too much: it passes and changes nothing.
    LetThrough,
    Outside,
}

/// Bound IV is not closer than this, however small the windows are.
const LEAST_ACK_WINDOW: u32 = 66_000;

/// RFC 7323 section 2.3.
const MAX_SCALE: u8 = 14;

impl End {
    /// The sender of a SYN that opens a connection.
    pub(super) fn opening(segment: &Segment<'_>) -> Self {
        let mut end = Self::default().at(segment.end, segment.window);
        end.read_options(segment);
        end
    }

    /// An end of which nothing is known any more but how strictly it is to be taken (measured on Linux 6.18).
    pub(super) fn forgotten(&self) -> Self {
        Self { liberal: self.liberal, ..Self::default() }
    }

    /// An end that has sent up to `end` and offers `window`, and whose peer has not answered.
    pub(super) fn at(self, end: u32, window: u16) -> Self {
        Self { end, max_end: end, max_window: u32::from(window).max(1), ..self }
    }

    /// The sender of the first segment seen, somewhere in the middle: its window scale is unknown.
    pub(super) fn picked_up(segment: &Segment<'_>) -> Self {
        let max_window = u32::from(segment.window).max(1);
        Self { end: segment.end, max_end: segment.end.wrapping_add(max_window), max_window, ..Self::unseen() }
    }

    /// The other end of such a connection.
    pub(super) fn unseen() -> Self {
        Self { sack_permitted: true, liberal: true, ..Self::default() }
    }

    /// Window scale and SACK, as a SYN offers them. A SYN without any option leaves what was known before, as in
    /// `tcp_options`.
    pub(super) fn read_options(&mut self, segment: &Segment<'_>) {
        if !segment.has_options() {
            return;
        }
        self.scale = 0;
        self.offers_scale = false;
        self.sack_permitted = false;
        self.max_acknowledgement = None;
        self.unacknowledged = false;
        self.closed_first = false;
        for option in segment.options() {
            match option {
                TcpOption::WindowScale(shift) => {
                    self.scale = shift.min(MAX_SCALE);
                    self.offers_scale = true;
                }
                TcpOption::SackPermitted => self.sack_permitted = true,
                TcpOption::Sack(_) | TcpOption::Other => {}
            }
        }
    }

    /// The sender of a SYN or SYN/ACK is as new (`tcp_init_sender`). Scaling holds only when both offer it.
    fn restart(&mut self, receiver: &mut Self, segment: &Segment<'_>, direction: Direction) {
        *self = self.at(segment.end, segment.window);
        self.read_options(segment);
        if direction == Direction::Reply && !(self.offers_scale && receiver.offers_scale) {
            self.scale = 0;
            receiver.scale = 0;
        }
    }

    /// The first segment seen of this end, not a SYN.
    fn join(&mut self, receiver: &mut Self, segment: &Segment<'_>, highest_acknowledged: u32) {
        self.end = segment.end;
        self.max_window = (u32::from(segment.window) << self.scale).max(1);
        self.max_end = segment.end.wrapping_add(self.max_window);
        if receiver.max_window == 0 {
            receiver.end = highest_acknowledged;
            receiver.max_end = highest_acknowledged;
        } else if highest_acknowledged == receiver.end.wrapping_add(1) {
            // The answer to a keep-alive, which repeats the last byte.
            receiver.end = receiver.end.wrapping_add(1);
        }
    }
}

impl Tracker {
    /// Judges the segment and learns from it (`tcp_in_window`).
    pub(super) fn fit(&mut self, segment: &Segment<'_>, direction: Direction, settings: &Settings) -> Fit {
        let state = self.state;
        let (sender, receiver) = match direction {
            Direction::Original => (&mut self.original, &mut self.reply),
            Direction::Reply => (&mut self.reply, &mut self.original),
        };
        let mut acknowledged = segment.acknowledgement;
        let mut highest =
            if receiver.sack_permitted { segment.highest_acknowledged() } else { segment.acknowledgement };
        let opening = matches!(state, State::SynSent | State::SynReceived);
        let anew = segment.has_syn && after(segment.end, sender.end) && opening;
        if sender.max_window == 0 && !segment.has_syn {
            sender.join(receiver, segment, highest);
        } else if sender.max_window == 0 || anew {
            let first = sender.max_window == 0;
            sender.restart(receiver, segment, direction);
            // Simultaneous open.
            if !segment.has_ack && (first || direction == Direction::Reply) {
                return Fit::Inside;
            }
        }
        let void_reset = segment.has_reset && segment.has_ack && segment.acknowledgement == 0;
        if !segment.has_ack || void_reset {
            acknowledged = receiver.end;
            highest = receiver.end;
        }
        let (mut sequence, mut end) = (segment.sequence, segment.end);
        if segment.has_reset && sequence == 0 && state == State::SynSent {
            // It answers a SYN and has no number of its own.
            (sequence, end) = (sender.end, sender.end);
        }
        let liberal = sender.liberal || settings.tcp_liberal;
        match judge(sender, receiver, sequence, end, highest) {
            Bounds::Kept => {}
            Bounds::Exceeded => {
                sender.end = end;
                sender.unacknowledged = true;
                return if liberal { Fit::Inside } else { Fit::LetThrough };
            }
            Bounds::Late => return if liberal { Fit::Inside } else { Fit::LetThrough },
            Bounds::Broken => return if liberal { Fit::Inside } else { Fit::Outside },
        }
        learn(sender, receiver, segment, end, acknowledged, highest);
        if segment.kind == Kind::Ack {
            self.note_acknowledgement(segment, direction, sequence, acknowledged, end);
        }
        Fit::Inside
    }

    /// The same ACK again and again means that the other end does not answer.
    fn note_acknowledgement(
        &mut self,
        segment: &Segment<'_>,
        direction: Direction,
        sequence: u32,
        acknowledged: u32,
        end: u32,
    ) {
        let last = &mut self.last;
        let same = last.direction == direction
            && last.sequence == sequence
            && last.acknowledgement == acknowledged
            && last.end == end
            && last.window == segment.window;
        if same {
            self.retransmissions = self.retransmissions.saturating_add(1);
        } else {
            last.direction = direction;
            last.sequence = sequence;
            last.acknowledgement = acknowledged;
            last.end = end;
            last.window = segment.window;
            self.retransmissions = 0;
        }
    }
}

/// How a segment stands to the four bounds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Bounds {
    /// I or III is broken.
    Broken,
    /// I is broken by no more than one window of the receiver: some stacks do that, and their peers take it.
    Exceeded,
    Kept,
    /// II or IV is broken: a repetition, or delayed.
    Late,
}

fn judge(sender: &End, receiver: &End, sequence: u32, end: u32, highest: u32) -> Bounds {
    let oldest_data = sender.end.wrapping_sub(receiver.max_window).wrapping_sub(1);
    let ack_window = sender.max_window.max(LEAST_ACK_WINDOW);
    let oldest_ack = receiver.end.wrapping_sub(ack_window).wrapping_sub(1);
    let beyond_receiver = receiver.end.wrapping_add(1);
    if !before(sequence, sender.max_end.wrapping_add(1)) {
        let excess = end.wrapping_sub(sender.max_end).wrapping_add(1);
        let tolerable = receiver.max_window != 0
            && after(end, oldest_data)
            && after(highest, oldest_ack)
            && excess <= receiver.max_window
            && before(highest, beyond_receiver);
        return if tolerable { Bounds::Exceeded } else { Bounds::Broken };
    }
    if !before(highest, beyond_receiver) {
        return Bounds::Broken;
    }
    let recent_data = receiver.max_window == 0 || after(end, oldest_data);
    if recent_data && after(highest, oldest_ack) { Bounds::Kept } else { Bounds::Late }
}

/// A segment inside its bounds moves them.
fn learn(
    sender: &mut End,
    receiver: &mut End,
    segment: &Segment<'_>,
    end: u32,
    acknowledged: u32,
    highest: u32,
) {
    // The window of a SYN is never scaled.
    let scale = if segment.has_syn { 0 } else { sender.scale };
    let window = u32::from(segment.window) << scale;
    sender.max_window = sender.max_window.max(window.wrapping_add(highest.wrapping_sub(acknowledged)));
    if after(end, sender.end) {
        sender.end = end;
        sender.unacknowledged = true;
    }
    if segment.has_ack && sender.max_acknowledgement.is_none_or(|before| after(acknowledged, before)) {
        sender.max_acknowledgement = Some(acknowledged);
    }
    if receiver.max_window != 0 && after(end, sender.max_end) {
        receiver.max_window = receiver.max_window.wrapping_add(end.wrapping_sub(sender.max_end));
    }
    let allowed = highest.wrapping_add(window);
    if after(allowed, receiver.max_end.wrapping_sub(1)) {
        // A closed window still allows a probe of one byte.
        receiver.max_end = allowed.wrapping_add(u32::from(window == 0));
    }
    if acknowledged == receiver.end {
        receiver.unacknowledged = false;
    }
}
