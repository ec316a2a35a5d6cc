use super::*;
use tcp_flags::{ACK, FIN, RST, SYN};

/// A connection as the tracker sees it, with sequence numbers relative to each end's first.
struct Wire {
    tracker: Option<Tracker>,
    standing: Standing,
    settings: Settings,
}

const CLIENT: Direction = Direction::Original;
const SERVER: Direction = Direction::Reply;

/// Initial sequence numbers; the client's wraps early.
fn initial(direction: Direction) -> u32 {
    match direction {
        Direction::Original => u32::MAX - 50,
        Direction::Reply => 5000,
    }
}

impl Wire {
    fn new() -> Self {
        let standing =
            Standing { seen_reply: false, assured: false, remaining: Duration::from_secs(400_000) };
        Self { tracker: None, standing, settings: Settings::default() }
    }

    /// An open connection.
    fn open() -> Self {
        let mut wire = Self::new();
        wire.valid(CLIENT, SYN, 0, 0, 0);
        wire.valid(SERVER, SYN | ACK, 0, 1, 0);
        wire.valid(CLIENT, ACK, 1, 1, 0);
        assert_eq!((wire.state(), wire.standing.assured), (State::Established, true));
        wire
    }

    fn send(&mut self, direction: Direction, flags: u8, sequence: u32, ack: u32, len: usize) -> Step {
        self.send_window(direction, flags, sequence, ack, len, 1000)
    }

    fn send_window(
        &mut self,
        direction: Direction,
        flags: u8,
        sequence: u32,
        ack: u32,
        len: usize,
        window: u16,
    ) -> Step {
        let tcp = Tcp {
            source: 0,
            destination: 0,
            sequence: initial(direction).wrapping_add(sequence),
            acknowledgement: if flags & ACK == 0 { 0 } else { initial(direction.other()).wrapping_add(ack) },
            flags,
            window,
            header_len: 20,
            options: Some(&[]),
            data: &[],
        };
        let segment = Segment::new(&tcp, 20 + len);
        if self.tracker.is_none() {
            self.tracker = Tracker::begin(&segment, &self.settings);
        }
        let Some(tracker) = &mut self.tracker else { return Step::unchanged(Judgement::Invalid) };
        let step = tracker.step(&segment, direction, self.standing, &self.settings);
        self.standing.assured |= step.assures;
        self.standing.seen_reply |= direction == SERVER && step.judgement == Judgement::Valid;
        step
    }

    fn valid(&mut self, direction: Direction, flags: u8, sequence: u32, ack: u32, len: usize) {
        assert_eq!(self.send(direction, flags, sequence, ack, len).judgement, Judgement::Valid);
    }

    fn invalid(&mut self, direction: Direction, flags: u8, sequence: u32, ack: u32, len: usize) {
        assert_eq!(self.send(direction, flags, sequence, ack, len).judgement, Judgement::Invalid);
    }

    fn state(&self) -> State {
        self.tracker.as_ref().unwrap().state
    }
}

#[test]
fn a_connection_opens_talks_and_closes() {
    let mut wire = Wire::open();
    wire.valid(CLIENT, ACK, 1, 1, 100);
    wire.valid(SERVER, ACK, 1, 101, 0);
    wire.valid(CLIENT, FIN | ACK, 101, 1, 0);
    assert_eq!(wire.state(), State::FinWait);
    wire.valid(SERVER, ACK, 1, 102, 0);
    assert_eq!(wire.state(), State::CloseWait);
    wire.valid(SERVER, FIN | ACK, 1, 102, 0);
    assert_eq!(wire.state(), State::LastAck);
    let last = wire.send(CLIENT, ACK, 102, 2, 0);
    assert_eq!((last.judgement, last.timeout), (Judgement::Valid, Some(120)));
    assert_eq!(wire.state(), State::TimeWait);
    assert_eq!(wire.send(CLIENT, SYN, 5000, 0, 0).judgement, Judgement::Reopens);
}

#[test]
fn only_lawful_flags_are_sound() {
    let sound = |flags: u8| {
        let tcp = Tcp {
            source: 0,
            destination: 0,
            sequence: 0,
            acknowledgement: 0,
            flags,
            window: 0,
            header_len: 20,
            options: Some(&[]),
            data: &[],
        };
        is_sound(&tcp, 20)
    };
    for flags in [SYN, SYN | ACK, RST, RST | ACK, FIN | ACK, ACK, ACK | tcp_flags::PSH, SYN | tcp_flags::ECE]
    {
        assert!(sound(flags), "{flags:#x}");
    }
    for flags in
        [0, FIN, SYN | FIN, SYN | RST, FIN | RST, tcp_flags::URG, FIN | tcp_flags::PSH | tcp_flags::URG]
    {
        assert!(!sound(flags), "{flags:#x}");
    }
}

#[test]
fn what_cannot_open_a_connection_is_invalid() {
    for flags in [RST, RST | ACK, SYN | ACK, FIN | ACK] {
        Wire::new().invalid(CLIENT, flags, 1, 1, 0);
    }
    let mut strict = Wire::new();
    strict.settings.tcp_loose = false;
    strict.invalid(CLIENT, ACK, 1, 1, 0);
}

#[test]
fn the_middle_of_a_connection_is_picked_up() {
    let mut wire = Wire::new();
    let first = wire.send(CLIENT, ACK, 1000, 900, 10);
    assert_eq!((first.judgement, first.timeout), (Judgement::Valid, Some(300)));
    wire.valid(SERVER, ACK, 900, 1010, 0);
    assert!(!wire.standing.assured, "the answer itself does not yet count");
    wire.valid(CLIENT, ACK, 1010, 900, 0);
    assert!(wire.standing.assured);
    wire.valid(SERVER, ACK, 90_000, 1010, 0);
}

#[test]
fn data_beyond_the_window_is_invalid() {
    let mut wire = Wire::open();
    wire.invalid(CLIENT, ACK, 100_000, 1, 10);
    wire.invalid(CLIENT, ACK, 1, 2, 10);
    wire.valid(CLIENT, ACK, 1, 1, 10);
    wire.settings.tcp_liberal = true;
    wire.valid(CLIENT, ACK, 100_000, 1, 10);
}

#[test]
fn old_segments_pass_without_effect() {
    let mut wire = Wire::open();
    wire.valid(CLIENT, ACK, 1, 1, 900);
    wire.valid(SERVER, ACK, 1, 901, 0);
    wire.valid(CLIENT, ACK, 901, 1, 900);
    wire.valid(SERVER, ACK, 1, 1801, 0);
    let old = wire.send(CLIENT, ACK, 1, 1, 100);
    assert_eq!((old.judgement, old.timeout), (Judgement::Valid, None));
}

#[test]
fn a_forged_reset_does_not_end_the_connection() {
    let mut wire = Wire::open();
    wire.valid(CLIENT, ACK, 1, 1, 100);
    wire.valid(SERVER, ACK, 1, 101, 0);
    wire.invalid(CLIENT, RST, 1, 0, 0);
    let near = wire.send(CLIENT, RST, 500, 0, 0);
    assert_eq!((near.judgement, near.timeout), (Judgement::Valid, Some(10)));
    assert_eq!(wire.state(), State::Established);
    wire.valid(CLIENT, RST, 101, 0, 0);
    assert_eq!(wire.state(), State::Closed);
}

#[test]
fn a_refused_connection_is_forgotten() {
    let mut wire = Wire::new();
    wire.valid(CLIENT, SYN, 0, 0, 0);
    assert_eq!(wire.send(SERVER, RST | ACK, 0, 1, 0).judgement, Judgement::Ends);
}

#[test]
fn a_repeated_syn_does_not_renew() {
    let mut wire = Wire::new();
    assert_eq!(wire.send(CLIENT, SYN, 0, 0, 0).timeout, Some(120));
    assert_eq!(wire.send(CLIENT, SYN, 0, 0, 0).timeout, None);
}

#[test]
fn both_ends_may_open_at_once() {
    let mut wire = Wire::new();
    wire.valid(CLIENT, SYN, 0, 0, 0);
    wire.valid(SERVER, SYN, 0, 0, 0);
    assert_eq!(wire.state(), State::SynCrossed);
    wire.valid(CLIENT, SYN | ACK, 0, 1, 0);
    assert_eq!(wire.state(), State::SynReceived);
    wire.valid(SERVER, ACK, 1, 1, 0);
    assert_eq!(wire.state(), State::Established);
}

#[test]
fn a_new_handshake_over_a_stale_entry_gets_into_step() {
    let mut wire = Wire::open();
    wire.valid(CLIENT, SYN, 400_000, 0, 0);
    assert_eq!(wire.state(), State::Established);
    wire.valid(SERVER, SYN | ACK, 700_000, 400_001, 0);
    assert_eq!(wire.state(), State::SynReceived);
    wire.valid(CLIENT, ACK, 400_001, 700_001, 0);
    assert_eq!(wire.state(), State::Established);
}

#[test]
fn unacknowledged_data_and_retransmissions_shorten_the_life() {
    let mut wire = Wire::open();
    assert_eq!(wire.send(CLIENT, ACK, 1, 1, 100).timeout, Some(300));
    assert_eq!(wire.send(SERVER, ACK, 1, 101, 0).timeout, Some(432_000));
    assert_eq!(wire.send_window(SERVER, ACK, 1, 101, 0, 0).timeout, Some(300), "a closed window");
}
