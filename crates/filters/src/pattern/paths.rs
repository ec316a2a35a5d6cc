//! An expression as one automaton that also knows which way it came.
//!
//! It goes all ways of an expression at once, in the order in which Python tries them, and looks at each letter once: a state is
//! the list of the ways that are open, best first, and is made when it is first met. Where a way passes the bounds of a group, the
//! place is put into a register; a state knows in which registers each of its ways holds its places. Texts that must not follow
//! (`(?! from )`) and conditions (`(?(1)…)`) are something that a way keeps in mind.
//!
//! It knows ASCII only, and not all that Python knows; then, and where there would be too many states, the machine is asked.

/// Texts that often stand in the same place.
mod jumps;
/// Where ways hold what they passed.
mod registers;
/// States that are met for the first time.
mod states;
/// The expression before its states are known.
mod steps;
/// Where ways lead.
mod ways;

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::{Pattern, sets};
use jumps::{FIRST_LESSON, Jump, Trace};
use registers::{HERE, IDLE, MAX_REGISTERS, Move, Registers};
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
/// Jumps of one text that may lead nowhere before no more are tried.
const MAX_FAILED: usize = 256;
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
    known: HashMap<Name, u32, RandomState>,
    start: u32,
    kept: usize,
    read: usize,
    registers: Registers,
    /// What they hold on this text.
    places: Places,
    /// Searches so far, after how many texts are looked at again, and those that were.
    searched: u32,
    lesson: u32,
    traces: Vec<Trace>,
}

/// What registers hold.
#[derive(Clone, Debug)]
struct Places(Box<[usize; MAX_REGISTERS]>);

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
    /// What is moved: the first two, where among all moves the others are, and how many.
    first: [Move; 2],
    from: u32,
    others: u16,
    /// Something matches, no way is left, or it is a line end.
    is_rare: bool,
    line_end: bool,
    /// In which registers the places of a way are that matches before the letter, or [`NONE`].
    matched: u32,
}

/// Many letters at once.
#[derive(Clone, Debug)]
enum Leap {
    /// These bytes lead nowhere else.
    Over(Box<[bool; 256]>),
    /// One of these texts may follow.
    Jumps(Vec<Jump>),
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
            known: HashMap::default(),
            start: 0,
            kept: 0,
            read: 0,
            registers: Registers::new((pattern.tree.groups + 1) * 2),
            places: Places(Box::new([usize::MAX; MAX_REGISTERS])),
            searched: 0,
            lesson: FIRST_LESSON,
            traces: Vec::new(),
        };
        paths.forget();
        Some(paths)
    }

    /// Whether the expression matches a text, and where, as the machine would find it; `None` if it has to be asked.
    pub(super) fn search(&mut self, text: &str, slots: &mut [usize]) -> Option<Told> {
        let bytes = text.as_bytes();
        let (mut next, mut at) = (self.start, 0);
        let (mut new, mut spent, mut failed) = (0, 0, 0);
        let (mut best, mut is_told, mut matched) = ((0, 0), true, false);
        let mut work = 0_usize;
        let reach = loop {
            let row = next & !LEAP;
            if next >= LEAP {
                let rest = bytes.get(at..)?;
                work = work.wrapping_add(LEAP_COST);
                let number = *self.table.get((row as usize).wrapping_add(self.width - 1))?;
                match self.leaps.get(number as usize) {
                    Some(Leap::Over(stays)) => {
                        let is_over = |byte: &u8| stays.get(usize::from(*byte)) != Some(&true);
                        let len = rest.iter().position(is_over).unwrap_or(rest.len());
                        (at, work) = (at.wrapping_add(len), work.wrapping_sub(len));
                    }
                    Some(Leap::Jumps(jumps)) if failed < MAX_FAILED => {
                        if let Some(jump) = jumps.iter().find(|jump| jump.begins(rest)) {
                            if !is_told {
                                self.places.tell(best, &self.registers, slots);
                                is_told = true;
                            }
                            jump.moves.iter().for_each(|pair| self.places.go_on(*pair));
                            jump.marks
                                .iter()
                                .for_each(|(to, len)| self.places.put(*to, at.wrapping_add(*len as usize)));
                            let len = jump.len();
                            (next, at, work) = (jump.to, at.wrapping_add(len), work.wrapping_sub(len));
                            continue;
                        }
                        failed += 1;
                    }
                    Some(Leap::Jumps(_)) | None => {}
                }
            }
            let mut row = row;
            let place = loop {
                let class = bytes.get(at).map_or(END, |byte| self.class(*byte));
                let place = (row as usize).wrapping_add(usize::from(class));
                next = *self.table.get(place)?;
                if next >= LEAP {
                    break place;
                }
                (row, at) = (next, at.wrapping_add(1));
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
            // Neither a state nor what is lost is a number of a turn.
            let Some(turn) = self.turns.get((next ^ TURN) as usize) else {
                if next < TURN {
                    at = at.wrapping_add(1);
                    continue;
                }
                return None;
            };
            if turn.is_rare {
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
            }
            // What matched is told before it is gone.
            if !is_told && turn.first != [IDLE; 2] {
                self.places.tell(best, &self.registers, slots);
                is_told = true;
            }
            self.places.put(HERE, at);
            let [first, second] = turn.first;
            self.places.go_on(first);
            self.places.go_on(second);
            let others = usize::from(turn.others);
            work = work.wrapping_add(TURN_COST + others);
            if others > 0 {
                let from = turn.from as usize;
                let others = self.moves.get(from..from + others)?;
                others.iter().for_each(|pair| self.places.go_on(*pair));
            }
            (next, at) = (turn.next, at.wrapping_add(1));
        };
        self.read += at;
        if !is_told {
            self.places.tell(best, &self.registers, slots);
        }
        self.searched = self.searched.wrapping_add(1);
        if self.searched >= self.lesson {
            self.look_again(bytes);
        }
        // A letter that is leapt over is one less.
        let cost = (at.wrapping_mul(3) / 2).wrapping_add(work) as u64;
        Some(Told { matched, reach, cost })
    }

    #[inline]
    fn leap_of(&self, row: u32) -> Option<&Leap> {
        let number = self.table.get((row as usize).wrapping_add(self.width - 1)).copied()?;
        self.leaps.get(number as usize)
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

impl Places {
    /// Tells where groups are that a way passed which matched at a place.
    fn tell(&mut self, (at, held): (usize, u32), registers: &Registers, slots: &mut [usize]) {
        self.put(HERE, at);
        for (slot, register) in slots.iter_mut().zip(registers.of(held)) {
            *slot = self.get(*register);
        }
    }

    #[inline]
    fn go_on(&mut self, Move { to, from }: Move) {
        self.put(to, self.get(from));
    }

    #[inline]
    fn get(&self, register: u8) -> usize {
        self.0.get(usize::from(register)).copied().unwrap_or(usize::MAX)
    }

    #[inline]
    fn put(&mut self, register: u8, at: usize) {
        if let Some(place) = self.0.get_mut(usize::from(register)) {
            *place = at;
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
