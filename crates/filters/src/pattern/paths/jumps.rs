//! Texts that often stand in the same place.
//!
//! What a program logs is mostly the same from line to line. Some texts are looked at again, and where from one state the same text
//! leads on in several of them, it is compared as a whole the next time. That it leads there is sure; which texts are tried is a guess.

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::registers::{HERE, MAX_REGISTERS, Move, NOWHERE, in_order};
use super::{DEAD, LEAP, LOST, Leap, MAX_SPENT, NONE, Paths, TURN, UNKNOWN};

/// Texts that are looked at together, and letters of each.
const TEXTS: usize = 24;
const MAX_LETTERS: usize = 512;
/// Letters that are compared to find out what texts share, and jumps that are made of it.
const MAX_COMPARED: usize = 1 << 18;
const MAX_MADE: usize = 256;
/// After so many searches texts are looked at for the first time, and again each time there were so many times as many.
pub(super) const FIRST_LESSON: u32 = 12;
const AGAIN: u32 = 16;
const LAST_LESSON: u32 = 1 << 20;
/// Between two texts there is up to this part of all searches so far.
const FAR_APART: u32 = 16;
const SPREAD: u32 = 0x9e37_79b1;
/// A jump must have so many letters, of which the first are compared as one number, and be seen so often.
const MIN_JUMP: usize = 8;
const MIN_SEEN: usize = 2;
/// So many letters are two numbers.
const TWO_NUMBERS: usize = 2 * MIN_JUMP;
/// Jumps from one state.
const MAX_JUMPS: usize = 8;
/// A state that is come to more often than that for each jump is in a loop.
const MAX_VISITS: usize = 4;

/// A text that leads from one state to another.
#[derive(Clone, Debug)]
pub(super) struct Jump {
    /// Its first and its last eight letters.
    head: u64,
    mask: u64,
    tail: u64,
    text: Box<[u8]>,
    pub(super) to: u32,
    pub(super) moves: Box<[Move]>,
    /// Registers that take a place within the text.
    pub(super) marks: Box<[(u8, u32)]>,
    /// Nothing else can stand there.
    is_forced: bool,
}

/// A text, and the state before each of its letters.
#[derive(Clone, Debug)]
pub(super) struct Trace {
    text: Box<[u8]>,
    rows: Vec<u32>,
}

/// What a register holds behind a text: what another held before it, or a place within.
#[derive(Clone, Copy)]
enum Holds {
    Register(u8),
    Place(usize),
}

impl Jump {
    pub(super) fn forced(text: &[u8], to: u32) -> Self {
        Self { is_forced: true, ..Self::new(text, to, (Vec::new(), Vec::new())) }
    }

    fn new(text: &[u8], to: u32, (moves, marks): (Vec<Move>, Vec<(u8, u32)>)) -> Self {
        let number = |byte: &dyn Fn(usize) -> u8| u64::from_le_bytes(std::array::from_fn(byte));
        Self {
            head: number(&|at| text.get(at).copied().unwrap_or(0)),
            mask: number(&|at| if at < text.len() { u8::MAX } else { 0 }),
            tail: number(&|at| text.get((text.len() + at).wrapping_sub(MIN_JUMP)).copied().unwrap_or(0)),
            text: text.into(),
            to,
            moves: moves.into(),
            marks: marks.into(),
            is_forced: false,
        }
    }

    pub(super) const fn len(&self) -> usize {
        self.text.len()
    }

    /// Whether a text begins so.
    #[inline]
    pub(super) fn begins(&self, text: &[u8]) -> bool {
        match text.first_chunk() {
            Some(there) => {
                (u64::from_le_bytes(*there) ^ self.head) & self.mask == 0
                    && match self.text.len() {
                        ..=MIN_JUMP => true,
                        len @ ..=TWO_NUMBERS => {
                            let there = text.get(len - MIN_JUMP..).and_then(<[u8]>::first_chunk);
                            there.is_some_and(|there| u64::from_le_bytes(*there) == self.tail)
                        }
                        _ => text.starts_with(&self.text),
                    }
            }
            None => text.starts_with(&self.text),
        }
    }
}

impl Paths {
    /// Looks at a text again, and learns from it and others.
    #[cold]
    pub(super) fn look_again(&mut self, text: &[u8]) {
        if let Some(trace) = self.trace(text) {
            self.traces.push(trace);
        }
        let next = if self.traces.len() < TEXTS {
            // Neighbours in a log are more alike than others, and programs may take turns.
            self.searched.wrapping_mul(SPREAD) % (self.searched / FAR_APART + 1) + 1
        } else {
            self.learn();
            self.searched.saturating_mul(AGAIN).min(LAST_LESSON)
        };
        self.lesson = self.searched.saturating_add(next);
    }

    /// The states that a text leads through, up to where something matches or the line ends.
    fn trace(&mut self, text: &[u8]) -> Option<Trace> {
        let mut spent = 0;
        let mut rows = vec![self.start & !LEAP];
        for byte in text.iter().take(MAX_LETTERS) {
            let row = *rows.last()?;
            let place = row as usize + usize::from(self.class(*byte));
            let mut entry = *self.table.get(place)?;
            if entry == UNKNOWN {
                if spent > MAX_SPENT || !self.has_room() {
                    break;
                }
                entry = self.go(row, Some(*byte), &mut spent)?;
                *self.table.get_mut(place)? = entry;
            }
            let Some(next) = self.plain(entry) else { break };
            rows.push(next & !LEAP);
        }
        let text = text.get(..rows.len() - 1)?.into();
        Some(Trace { text, rows })
    }

    /// The state that an entry of the table leads to, if nothing is to be told or asked there.
    fn plain(&self, entry: u32) -> Option<u32> {
        if entry < TURN {
            return Some(entry);
        }
        let turn = self.turns.get((entry & !TURN) as usize).filter(|_| entry != LOST)?;
        (!turn.line_end && turn.matched == NONE && turn.next != DEAD).then_some(turn.next)
    }

    /// Goes through all texts at once, and makes jumps where several go the same way.
    fn learn(&mut self) {
        let traces = std::mem::take(&mut self.traces);
        for leap in &mut self.leaps {
            if let Leap::Jumps(jumps) = leap {
                jumps.retain(|jump| jump.is_forced);
            }
        }
        let mut visits: HashMap<u32, usize, RandomState> = HashMap::default();
        for row in traces.iter().flat_map(|trace| &trace.rows) {
            *visits.entry(*row).or_default() += 1;
        }
        let mut made: HashMap<u32, Vec<(usize, Jump)>, RandomState> = HashMap::default();
        let mut left: Vec<(&Trace, usize)> = traces.iter().map(|trace| (trace, 0)).collect();
        let (mut compared, mut count) = (0, 0);
        while compared < MAX_COMPARED && count < MAX_MADE {
            left.retain(|(trace, at)| at + MIN_JUMP <= trace.text.len());
            let Some((trace, at)) = left.iter().min_by_key(|(_, at)| at) else { break };
            let Some(row) = trace.rows.get(*at).copied() else { break };
            let is_there = |(trace, at): &(&Trace, usize)| trace.rows.get(*at) == Some(&row);
            let coming = left.iter().filter(|this| is_there(this)).count();
            let visits = visits.get(&row).copied().unwrap_or(0);
            if coming >= MIN_SEEN && visits <= TEXTS * MAX_VISITS && !self.is_over(row) {
                let jumps = made.entry(row).or_default();
                let here: Vec<(&Trace, usize)> = left.iter().filter(|this| is_there(this)).copied().collect();
                let before = jumps.len();
                compared += self.add_jumps(&here, visits, jumps);
                count += jumps.len() - before;
            }
            let jumps = made.get(&row).map_or(&[][..], Vec::as_slice);
            for (trace, at) in left.iter_mut().filter(|this| is_there(this)) {
                let rest = trace.text.get(*at..).unwrap_or_default();
                *at += match jumps.iter().find(|(_, jump)| jump.begins(rest)) {
                    Some((_, jump)) => jump.len(),
                    // Letters that lead nowhere else are passed at once.
                    None => trace.rows.iter().skip(*at).take_while(|other| **other == row).count().max(1),
                };
            }
        }
        for (row, mut jumps) in made {
            jumps.sort_by_key(|(seen, _)| std::cmp::Reverse(*seen));
            self.put_jumps(row, jumps.into_iter().map(|(_, jump)| jump).collect());
        }
        self.sign();
    }

    /// Adds jumps from a state, to which several texts lead, over what they share from there on. Tells how many letters were compared.
    fn add_jumps(&self, here: &[(&Trace, usize)], visits: usize, jumps: &mut Vec<(usize, Jump)>) -> usize {
        let mut compared = 0;
        let rests: Vec<&[u8]> = here.iter().map(rest_of).collect();
        for (this, rest) in here.iter().zip(&rests) {
            if jumps.len() >= MAX_JUMPS {
                break;
            }
            if jumps.iter().any(|(_, jump)| jump.begins(rest)) {
                continue;
            }
            compared += rest.len() * rests.len();
            let (len, seen) = most_shared(rest, &rests);
            if seen >= MIN_SEEN
                && visits <= seen * MAX_VISITS
                && let Some(jump) = self.jump(*this, len)
            {
                jumps.push((seen, jump));
            }
        }
        compared
    }

    fn is_over(&self, row: u32) -> bool {
        matches!(self.leap_of(row), Some(Leap::Over(_)))
    }

    /// The jump over so many letters of a text from a place on.
    fn jump(&self, (trace, from): (&Trace, usize), len: usize) -> Option<Jump> {
        let text = trace.text.get(from..from + len)?;
        let to = *trace.rows.get(from + len)?;
        let mut holds: Vec<Holds> = (0..=u8::MAX).map(Holds::Register).collect();
        for (at, byte) in text.iter().enumerate() {
            let row = *trace.rows.get(from + at)?;
            let entry = *self.table.get(row as usize + usize::from(self.class(*byte)))?;
            self.plain(entry)?;
            let Some(turn) = self.turns.get((entry & !TURN) as usize).filter(|_| entry >= TURN) else {
                continue;
            };
            *holds.get_mut(usize::from(HERE))? = Holds::Place(at);
            let others = self.moves.get(turn.from as usize..)?.iter().take(usize::from(turn.others));
            let moves = turn.first.iter().chain(others);
            for pair in moves {
                *holds.get_mut(usize::from(pair.to))? = *holds.get(usize::from(pair.from))?;
            }
        }
        // Only what ways hold at the end counts.
        let mut held = [false; MAX_REGISTERS];
        for list in &self.states.get(to as usize / self.width)?.held {
            for register in self.registers.of(*list) {
                *held.get_mut(usize::from(*register))? = *register != NOWHERE;
            }
        }
        let (mut moves, mut marks) = (Vec::new(), Vec::new());
        for (register, holds) in
            (0..=u8::MAX).zip(holds).filter(|(at, _)| held.get(usize::from(*at)) == Some(&true))
        {
            match holds {
                Holds::Register(from) if from == register => {}
                Holds::Register(from) => moves.push(Move { to: register, from }),
                Holds::Place(at) => marks.push((register, u32::try_from(at).ok()?)),
            }
        }
        let mut ordered = Vec::new();
        in_order(moves, &mut ordered);
        Some(Jump::new(text, to, (ordered, marks)))
    }

    fn put_jumps(&mut self, row: u32, mut jumps: Vec<Jump>) {
        if jumps.is_empty() {
            return;
        }
        let place = row as usize + self.width - 1;
        let number = self.table.get(place).copied().unwrap_or(UNKNOWN);
        match self.leaps.get_mut(number as usize) {
            Some(Leap::Jumps(known)) => {
                jumps.append(known);
                *known = jumps;
            }
            Some(Leap::Over(_)) => {}
            None => drop(self.put_leap(row, Leap::Jumps(jumps))),
        }
    }

    /// Marks the states from which there are jumps, wherever they are named.
    fn sign(&mut self) {
        let jumps = |leap: Option<&Leap>| matches!(leap, Some(Leap::Jumps(jumps)) if !jumps.is_empty());
        let jumping: Vec<bool> =
            (0..self.states.len()).map(|state| jumps(self.leap_of((state * self.width) as u32))).collect();
        let width = self.width;
        let sign = |name: &mut u32| {
            if *name < LEAP && jumping.get(*name as usize / width) == Some(&true) {
                *name |= LEAP;
            }
        };
        // The last place of each state is no name.
        self.table.chunks_mut(width).for_each(|row| row.iter_mut().take(width - 1).for_each(sign));
        self.turns.iter_mut().map(|turn| &mut turn.next).for_each(sign);
        self.known.values_mut().for_each(sign);
        for leap in &mut self.leaps {
            if let Leap::Jumps(jumps) = leap {
                jumps.iter_mut().map(|jump| &mut jump.to).for_each(sign);
            }
        }
        sign(&mut self.start);
    }
}

fn rest_of<'t>((trace, at): &(&'t Trace, usize)) -> &'t [u8] {
    trace.text.get(*at..).unwrap_or_default()
}

/// How many letters of a text are shared with others, itself among them, and by how many: where most letters are spared.
fn most_shared(text: &[u8], others: &[&[u8]]) -> (usize, usize) {
    let same = |other: &&[u8]| text.iter().zip(*other).take_while(|(one, other)| one == other).count();
    let mut shared: Vec<usize> = others.iter().map(same).filter(|len| *len >= MIN_JUMP).collect();
    shared.sort_unstable_by_key(|len| std::cmp::Reverse(*len));
    let seen = (1..).zip(&shared).filter(|(seen, _)| *seen >= MIN_SEEN);
    let best = seen.max_by_key(|(seen, len)| (**len - MIN_JUMP / 2) * seen);
    let (len, seen) = best.map_or((0, 0), |(seen, len)| (*len, seen));
    // What goes on within a word or a number is there by chance.
    let is_within = |at: usize| {
        let is_word =
            |at: Option<usize>| at.and_then(|at| text.get(at)).is_some_and(u8::is_ascii_alphanumeric);
        is_word(at.checked_sub(1)) && is_word(Some(at))
    };
    match (MIN_JUMP..=len).rev().find(|at| !is_within(*at)) {
        Some(len) => (len, seen),
        None => (0, 0),
    }
}
