//! An expression as one automaton that also knows which way it came.
//!
//! It goes all ways of an expression at once, in the order in which Python tries them, and looks at each letter once: a state is
//! the list of the ways that are open, best first, and is made when it is first met. Where ways split, join or pass the bounds of a
//! group, the place is noted; once it is known which way matches, the notes are read backwards, along that way only. Texts that
//! must not follow (`(?! from )`) and conditions (`(?(1)…)`) are something that a way keeps in mind.
//!
//! It knows ASCII only, and not all that Python knows; then, and where there would be too many states, the machine is asked.

/// The expression before its states are known.
mod steps;
/// Where ways lead.
mod ways;

use std::collections::HashMap;

use super::{Pattern, sets};
use steps::Steps;
use ways::{Before, Origin, Turned, Way, Ways};

/// States that are kept, ways in all of them, and letters that lead somewhere notable.
const MAX_STATES: usize = 2048;
const MAX_WAYS: usize = 1 << 16;
const MAX_TURNS: usize = 1 << 15;
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
    states: Vec<State>,
    leaps: Vec<Leap>,
    /// Where each state goes with each class: the place of that state's own, or a turn.
    table: Vec<u32>,
    turns: Vec<Turn>,
    /// From which way each comes, of all turns.
    origins: Vec<Origin>,
    known: HashMap<(Box<[Way]>, Before), u32>,
    start: u32,
    kept: usize,
    read: usize,
    /// Where ways changed their places or passed bounds on this text, and from where on it is told among the origins.
    trail: Vec<(u32, u32)>,
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

#[derive(Clone, Debug)]
struct State {
    ways: Box<[Way]>,
    before: Before,
}

/// Where a letter leads, and what is notable about it.
#[derive(Clone, Copy, Debug)]
struct Turn {
    /// [`DEAD`] if no way is left.
    next: u32,
    /// Where the origins begin, or [`PLAIN`] if each way comes from that of its own number and past no bounds.
    origins: u32,
    matched: Option<Origin>,
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
const PLAIN: u32 = u32::MAX;
/// Marks a turn in the place of a state.
const TURN: u32 = 1 << 31;
/// Marks a state from which a leap can be tried.
const LEAP: u32 = 1 << 30;
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
            origins: Vec::new(),
            known: HashMap::new(),
            start: 0,
            kept: 0,
            read: 0,
            trail: Vec::new(),
        };
        paths.forget();
        Some(paths)
    }

    /// Whether the expression matches a text, and where, as the machine would find it; `None` if it has to be asked.
    pub(super) fn search(&mut self, text: &str, slots: &mut [usize]) -> Option<Told> {
        let bytes = text.as_bytes();
        self.trail.clear();
        let (mut next, mut at) = (self.start, 0);
        let (mut new, mut spent) = (0, 0);
        let mut best = None;
        let reach = loop {
            let mut row = next;
            if next >= LEAP {
                (row, at) = self.leap(next & !LEAP, bytes, at);
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
            // Only the last letter may be a line end.
            if next == LOST || (bytes.get(at) == Some(&b'\n') && at + 1 < bytes.len()) {
                return None;
            }
            let turn = *self.turns.get((next & !TURN) as usize)?;
            if let Some(matched) = turn.matched {
                best = Some((at, self.trail.len(), matched));
            }
            if turn.next == DEAD {
                break at + 1;
            }
            if turn.origins != PLAIN {
                self.trail.push((at as u32, turn.origins));
            }
            (next, at) = (turn.next, at + 1);
        };
        self.read += at;
        if let Some((at, notes, matched)) = best {
            self.read_back(at, notes, matched, slots)?;
        }
        let cost = (at * 3 / 2 + self.trail.len() * 7) as u64;
        Some(Told { matched: best.is_some(), reach, cost })
    }

    /// Reads the notes backwards: what a group took last counts.
    fn read_back(&self, at: usize, notes: usize, matched: Origin, slots: &mut [usize]) -> Option<()> {
        let mut pass = |saves: u16, at: usize| {
            for slot in self.ways.slots(saves) {
                if let Some(slot) = slots.get_mut(usize::from(*slot)).filter(|slot| **slot == usize::MAX) {
                    *slot = at;
                }
            }
        };
        pass(matched.saves, at);
        let mut way = matched.way;
        for (at, origins) in self.trail.get(..notes)?.iter().rev() {
            let origin = *self.origins.get((*origins as usize).wrapping_add(usize::from(way)))?;
            if origin.saves != 0 {
                pass(origin.saves, *at as usize);
            }
            way = origin.way;
        }
        Some(())
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
        self.states.len() < MAX_STATES && self.kept < MAX_WAYS && self.turns.len() < MAX_TURNS
    }

    /// Forgets all states, if that is not done for every other text.
    fn make_room(&mut self, read: usize) {
        self.read += read;
        if !self.has_room() && self.read / BYTES_PER_STATE > self.states.len() {
            self.forget();
        }
    }

    fn forget(&mut self) {
        self.states.clear();
        self.leaps.clear();
        self.table.clear();
        self.turns.clear();
        self.origins.clear();
        self.known.clear();
        self.ways.forget();
        (self.kept, self.read) = (0, 0);
        let (way, before) = self.ways.start();
        self.start = self.state(vec![way], before);
    }

    /// Where a letter or the end leads from a state.
    fn go(&mut self, from: u32, byte: Option<u8>, spent: &mut usize) -> Option<u32> {
        if byte.is_some_and(|byte| !byte.is_ascii()) {
            return Some(LOST);
        }
        // Letters of a class lead to the same place.
        let letter =
            byte.map_or(Some(None), |byte| self.letters.get(usize::from(self.class(byte))).copied())?;
        let state = self.states.get(from as usize / self.width)?.clone();
        let Some(turned) = self.ways.turn(&state.ways, state.before, letter, spent) else {
            return Some(LOST);
        };
        let is_plain = turned.is_plain() && byte != Some(b'\n');
        let Turned { ways, origins, matched, before } = turned;
        let next = if ways.is_empty() { DEAD } else { self.state(ways, before) };
        if is_plain && next != DEAD {
            if next == from {
                self.stay(from, &state, spent)?;
                return Some(next | LEAP);
            }
            return Some(next);
        }
        let is_same = origins.iter().zip(0..).all(|(origin, way)| *origin == Origin { way, saves: 0 });
        let from = u32::try_from(self.origins.len()).ok()?;
        let origins = if is_same {
            PLAIN
        } else {
            self.origins.extend(origins);
            from
        };
        self.turns.push(Turn { next, origins, matched });
        Some(u32::try_from(self.turns.len() - 1).ok()? | TURN)
    }

    /// Finds out which letters do not lead away from a state.
    fn stay(&mut self, row: u32, state: &State, spent: &mut usize) -> Option<()> {
        if *self.table.get(row as usize + self.width - 1)? != UNKNOWN {
            return Some(());
        }
        let mut stays = Box::new([false; 256]);
        let mut same = vec![false; self.letters.len()];
        for (letter, same) in self.letters.iter().zip(&mut same) {
            let Some(byte) = letter.filter(|byte| *byte != b'\n') else { continue };
            if *spent > MAX_SPENT {
                // Of the rest it is not known, and each is looked up when it comes.
                break;
            }
            let turned = self.ways.turn(&state.ways, state.before, Some(byte), spent);
            *same = turned.is_some_and(|turned| {
                turned.is_plain() && *turned.ways == *state.ways && turned.before == state.before
            });
        }
        for (stays, class) in stays.iter_mut().zip(self.classes.iter()) {
            *stays = same.get(usize::from(*class)) == Some(&true);
        }
        self.put_leap(row, Leap::Over(stays))
    }

    fn put_leap(&mut self, row: u32, leap: Leap) -> Option<()> {
        let number = u32::try_from(self.leaps.len()).ok()?;
        self.leaps.push(leap);
        *self.table.get_mut(row as usize + self.width - 1)? = number;
        Some(())
    }

    /// The place of a state, with a sign if many letters at once may lead on from it.
    fn state(&mut self, ways: Vec<Way>, before: Before) -> u32 {
        let name = (ways.into_boxed_slice(), before);
        if let Some(known) = self.known.get(&name) {
            return *known;
        }
        let row = u32::try_from(self.table.len()).unwrap_or(0);
        self.kept += name.0.len();
        self.states.push(State { ways: name.0.clone(), before });
        self.table.resize(self.table.len() + self.width, UNKNOWN);
        let (text, way, behind) = self.ways.text(&name.0, before);
        let mut named = row;
        if text.len() >= MIN_LEAP {
            self.known.insert(name.clone(), row);
            let to = self.state(vec![way], behind) & !LEAP;
            if self.put_leap(row, Leap::Through(text.into(), to)).is_some() {
                named |= LEAP;
            }
        }
        self.known.insert(name, named);
        named
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
