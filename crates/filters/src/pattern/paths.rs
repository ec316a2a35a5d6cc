//! An expression as one automaton that also knows which way it came.
//!
//! It goes all ways of an expression at once, in the order in which Python tries them, and looks at each letter once: a state is
//! the list of the ways that are open, best first, and is made when it is first met. Where a way passes the bounds of a group, the
//! place is put into a register; a state knows in which registers each of its ways holds its places. Texts that must not follow
//! (`(?! from )`) and conditions (`(?(1)…)`) are something that a way keeps in mind.
//!
//! It knows ASCII only, and not all that Python knows; then, and where there would be too many states, the machine is asked.

/// Where ways hold what they passed.
mod registers;
/// States that are met for the first time.
mod states;
/// The expression before its states are known.
mod steps;
/// Where ways lead.
mod ways;

use std::collections::HashMap;

use super::{Pattern, sets};
use registers::{HERE, MAX_REGISTERS, Move, Registers};
use states::Name;
use steps::Steps;
use ways::Ways;

/// States that are kept, ways in all of them, letters that lead somewhere notable, and what is moved there.
const MAX_STATES: usize = 2048;
const MAX_WAYS: usize = 1 << 16;
const MAX_TURNS: usize = 1 << 15;
const MAX_MOVES: usize = 1 << 16;
/// Letters of one text of which it is not known where they lead, and steps that finding that out may take, so that nobody can write one
/// that costs much.
const MAX_NEW: usize = 256;
const MAX_SPENT: usize = 20_000;
/// Bytes that must have been read for each state before all are forgotten.
const BYTES_PER_STATE: usize = 100;

/// The automaton of one expression, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Paths {
    ways: Ways,
    /// Letters that the expression does not tell apart.
    classes: Box<[u8; 256]>,
    /// A letter of each class; none for the end and for what is not ASCII.
    letters: Vec<Option<u8>>,
    /// So many places each state has: one for each class, and one for the number of its leap.
    width: usize,
    states: Vec<Name>,
    leaps: Vec<Leap>,
    /// Where each state goes with each class: the place of that state's own, or a turn.
    table: Vec<u32>,
    turns: Vec<Turn>,
    /// Of all turns.
    moves: Vec<Move>,
    known: HashMap<Name, u32>,
    start: u32,
    kept: usize,
    read: usize,
    registers: Registers,
    /// What they hold on this text.
    places: Box<[usize; MAX_REGISTERS]>,
}

/// The automaton, which is made when it is first wanted.
#[derive(Clone, Debug, Default)]
pub(super) enum Lazily {
    #[default]
    Unknown,
    /// The machine does it.
    Never,
    Made(Box<Paths>),
}

/// Where a letter leads, and what is notable about it.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// [`DEAD`] if no way is left.
    next: u32,
    /// In which registers the places of a way are that matches before the letter, or [`NONE`].
    matched: u32,
    /// What is moved: how much, the first two, and where among all moves the others are.
    count: u16,
    first: [Move; 2],
    others: u32,
    /// It is a line end.
    line_end: bool,
}

/// Many letters at once.
#[derive(Clone, Debug)]
enum Leap {
    /// These bytes lead nowhere else.
    Over(Box<[bool; 256]>),
    /// This text leads to a state.
    Through(Box<[u8]>, u32),
}

/// What became of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Told {
    pub(super) matched: bool,
    /// From this place on the text could be another.
    pub(super) reach: usize,
    /// About how many nanoseconds it took.
    pub(super) cost: u64,
}

const DEAD: u32 = u32::MAX;
const NONE: u32 = u32::MAX;
/// Marks a turn in the place of a state.
const TURN: u32 = 1 << 31;
/// Marks a state from which a leap can be tried.
const LEAP: u32 = 1 << 30;
/// What a leap costs, and a letter that is notable, as [`Told::cost`].
const LEAP_COST: usize = 5;
const TURN_COST: usize = 3;
/// A text must have so many letters to be worth a leap.
const MIN_LEAP: usize = 4;
/// Where a state goes that has not been asked, and where only the machine goes on.
const UNKNOWN: u32 = u32::MAX;
const LOST: u32 = u32::MAX - 1;
/// The classes of the end, of what is not ASCII, and of a line end.
const END: u8 = 0;
const OTHER: u8 = 1;

impl Lazily {
    pub(super) fn of(&mut self, pattern: &Pattern) -> Option<&mut Paths> {
        if matches!(self, Self::Unknown) {
            *self = Paths::new(pattern).map_or(Self::Never, |paths| Self::Made(Box::new(paths)));
        }
        match self {
            Self::Made(paths) => Some(paths),
            Self::Unknown | Self::Never => None,
        }
    }
}

impl Paths {
    /// `None` for what only the machine can do.
    pub(super) fn new(pattern: &Pattern) -> Option<Self> {
        let steps = Steps::new(&pattern.tree.root, pattern.in_line)?;
        let (classes, letters) = classes(&steps)?;
        let mut paths = Self {
            ways: Ways::new(steps),
            classes: Box::new(classes),
            width: letters.len() + 1,
            letters,
            states: Vec::new(),
            leaps: Vec::new(),
            table: Vec::new(),
            turns: Vec::new(),
            moves: Vec::new(),
            known: HashMap::new(),
            start: 0,
            kept: 0,
            read: 0,
            registers: Registers::new((pattern.tree.groups + 1) * 2),
            places: Box::new([usize::MAX; MAX_REGISTERS]),
        };
        paths.forget();
        Some(paths)
    }

    /// Whether the expression matches a text, and where, as the machine would find it; `None` if it has to be asked.
    pub(super) fn search(&mut self, text: &str, slots: &mut [usize]) -> Option<Told> {
        let bytes = text.as_bytes();
        let (mut next, mut at) = (self.start, 0);
        let (mut new, mut spent) = (0, 0);
        let (mut best, mut is_told, mut matched) = ((0, 0), true, false);
        let (mut leapt, mut work) = (0, 0);
        let reach = loop {
            let mut row = next;
            if next >= LEAP {
                let from = at;
                (row, at) = self.leap(next & !LEAP, bytes, at);
                leapt += at - from;
                work += LEAP_COST;
            }
            let place = loop {
                let class = bytes.get(at).map_or(END, |byte| self.class(*byte));
                let place = (row as usize).wrapping_add(usize::from(class));
                next = *self.table.get(place)?;
                if next >= LEAP {
                    break place;
                }
                (row, at) = (next, at + 1);
            };
            if next == UNKNOWN {
                new += 1;
                if new > MAX_NEW || spent > MAX_SPENT || !self.has_room() {
                    self.make_room(at);
                    return None;
                }
                next = self.go(row, bytes.get(at).copied(), &mut spent)?;
                *self.table.get_mut(place)? = next;
            }
            if next < TURN {
                at += 1;
                continue;
            }
            if next == LOST {
                return None;
            }
            let turn = self.turns.get((next & !TURN) as usize)?;
            // Only the last letter may be one.
            if turn.line_end && at + 1 < bytes.len() {
                return None;
            }
            if turn.matched != NONE {
                (best, is_told, matched) = ((at, turn.matched), false, true);
            }
            if turn.next == DEAD {
                break at + 1;
            }
            next = turn.next;
            if turn.count > 0 {
                let turn = *turn;
                // What matched is told before it is gone.
                if !is_told {
                    self.tell(best, slots);
                    is_told = true;
                }
                work += TURN_COST + usize::from(turn.count);
                self.put(HERE, at);
                let [first, second] = turn.first;
                self.go_on(first);
                self.go_on(second);
                if turn.count > 2 {
                    let others = turn.others as usize;
                    for at in others..others + usize::from(turn.count - 2) {
                        self.go_on(*self.moves.get(at)?);
                    }
                }
            }
            at += 1;
        };
        self.read += at;
        if !is_told {
            self.tell(best, slots);
        }
        let cost = ((at - leapt) * 3 / 2 + leapt / 2 + work) as u64;
        Some(Told { matched, reach, cost })
    }

    /// Tells where groups are that a way passed which matched at a place.
    fn tell(&mut self, (at, held): (usize, u32), slots: &mut [usize]) {
        self.put(HERE, at);
        for (slot, register) in slots.iter_mut().zip(self.registers.of(held)) {
            *slot = self.place(*register);
        }
    }

    #[inline]
    fn go_on(&mut self, Move { to, from }: Move) {
        self.put(to, self.place(from));
    }

    #[inline]
    fn place(&self, register: u8) -> usize {
        self.places.get(usize::from(register)).copied().unwrap_or(usize::MAX)
    }

    #[inline]
    fn put(&mut self, register: u8, at: usize) {
        if let Some(place) = self.places.get_mut(usize::from(register)) {
            *place = at;
        }
    }

    /// Where many letters at once lead from a state.
    #[inline]
    fn leap(&self, row: u32, bytes: &[u8], at: usize) -> (u32, usize) {
        let number = self.table.get((row as usize).wrapping_add(self.width - 1)).copied().unwrap_or(UNKNOWN);
        let rest = bytes.get(at..).unwrap_or_default();
        match self.leaps.get(number as usize) {
            Some(Leap::Over(stays)) => {
                let is_over = |byte: &u8| stays.get(usize::from(*byte)) != Some(&true);
                (row, at + rest.iter().position(is_over).unwrap_or(rest.len()))
            }
            Some(Leap::Through(text, to)) if rest.starts_with(text) => (*to, at + text.len()),
            Some(Leap::Through(..)) | None => (row, at),
        }
    }

    #[inline]
    fn class(&self, byte: u8) -> u8 {
        self.classes.get(usize::from(byte)).copied().unwrap_or(OTHER)
    }

    fn has_room(&self) -> bool {
        self.states.len() < MAX_STATES
            && self.kept < MAX_WAYS
            && self.turns.len() < MAX_TURNS
            && self.moves.len() < MAX_MOVES
            && self.registers.has_room()
    }

    /// Forgets all states, if that is not done for every other text.
    fn make_room(&mut self, read: usize) {
        self.read += read;
        if !self.has_room() && self.read / BYTES_PER_STATE > self.states.len() {
            self.forget();
        }
    }
}

/// A class for each byte, and a letter of each class, behind those of the end and of what is not ASCII.
fn classes(steps: &Steps) -> Option<([u8; 256], Vec<Option<u8>>)> {
    let (of_letters, firsts) = sets::classes(&steps.kinds());
    let mut classes = [OTHER; 256];
    for (class, of_letter) in classes.iter_mut().zip(of_letters) {
        *class = of_letter.checked_add(2)?;
    }
    Some((classes, [None, None].into_iter().chain(firsts.into_iter().map(Some)).collect()))
}
