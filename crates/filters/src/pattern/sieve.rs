//! Which of many expressions can match a text at all, told in one look at each of its letters.
//!
//! What looks round, refers back or depends on something is left out, so that all of them together are one automaton, of which the
//! states are made when they are first met. It knows ASCII only; behind other letters it says nothing.

/// The automaton before its states are known.
mod steps;

use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::Pattern;
use super::alike::Alike;
use steps::{Step, Steps};

/// So many expressions are told apart.
pub(crate) const MOST: usize = 128;
/// States that are kept; with them the table of where each goes.
const MAX_STATES: usize = 4096;
/// Steps in all states together.
const MAX_KEPT: usize = 1 << 20;
/// States that one text may add, so that nobody can write one that costs much.
const MAX_NEW: usize = 256;
/// Bytes that must have been read for each state before all are forgotten.
const BYTES_PER_STATE: usize = 100;

/// Some of the expressions: a bit each.
pub(crate) type Bits = u128;

/// Several expressions in a weaker form.
#[derive(Clone, Debug)]
pub(crate) struct Sieve {
    steps: Steps,
    /// Letters that no expression tells apart.
    classes: Box<[u8; 256]>,
    /// A state has so many classes, a power of two.
    shift: u32,
    states: Vec<State>,
    /// Where each state goes with each class of letters: the place of that state's own, and whether it is notable.
    table: Vec<u32>,
    start: u32,
    known: HashMap<Box<[u32]>, u32, RandomState>,
    /// Steps in all states.
    kept: usize,
    /// Bytes read since all was forgotten.
    read: usize,
    todo: Vec<u32>,
    seen: Vec<bool>,
    /// What was told, by each care, and how much was read for it.
    few: Alike<(Bits, usize)>,
    full: Alike<(Bits, usize)>,
}

#[derive(Clone, Debug, Default)]
struct State {
    /// Steps that wait for a letter.
    steps: Box<[u32]>,
    /// Who has matched, who has if the text ends here, and who has or may yet.
    matched: Bits,
    at_end: Bits,
    alive: Bits,
}

/// What was read of a text.
enum Read {
    /// Who may match, and how much was read.
    Settled(Bits, usize),
    /// All; who has matched, and in which state.
    Open { matched: Bits, row: u32 },
}

/// How much is asked for.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Care {
    /// Who is the only one left need not be asked.
    Few,
    /// Whoever cannot match is told.
    Full,
}

const DEAD: u32 = 0;
/// Where a state goes that has not been asked.
const UNKNOWN: u32 = u32::MAX;
/// Marks a state in which somebody has matched, or nobody can any more.
const NOTABLE: u32 = 1 << 31;
/// Marks a state in which only one is left.
const ALONE: u32 = 1 << 30;

impl Sieve {
    /// `None` where there are too many of them, or they are too large.
    pub(crate) fn new<'p>(patterns: impl Iterator<Item = &'p Pattern>) -> Option<Self> {
        let steps = Steps::new(patterns.map(|pattern| &pattern.tree.root), MOST)?;
        let (classes, width) = steps.classes();
        let seen = vec![false; steps.steps.len()];
        let mut sieve = Self {
            steps,
            few: Alike::new(vec![classes]),
            full: Alike::new(vec![classes]),
            classes: Box::new(classes),
            shift: width.trailing_zeros(),
            states: Vec::new(),
            table: Vec::new(),
            start: DEAD,
            known: HashMap::default(),
            kept: 0,
            read: 0,
            todo: Vec::new(),
            seen,
        };
        sieve.forget();
        Some(sieve)
    }

    /// A number for each byte, the same for those that it does not tell apart.
    pub(crate) const fn classes(&self) -> &[u8; 256] {
        &self.classes
    }

    /// Who may match, and how much of the text was read to see that; `None` if it cannot tell.
    pub(crate) fn which(&mut self, text: &str, care: Care) -> Option<(Bits, usize)> {
        let known = if care == Care::Few { &self.few } else { &self.full };
        if let Some(known) = known.recall(text.as_bytes()) {
            return Some(*known);
        }
        match self.read(text, Some(care))? {
            Read::Settled(which, read) => {
                let known = if care == Care::Few { &mut self.few } else { &mut self.full };
                if let Some(seen) = text.as_bytes().get(..read) {
                    known.remember(seen, &[(read, 0)], || (which, read));
                }
                Some((which, read))
            }
            // That it ends there was read, too.
            Read::Open { matched, row } => Some((matched | self.state_of(row)?.at_end, text.len() + 1)),
        }
    }

    /// Who may match a text that begins so; `None` if it cannot tell.
    pub(crate) fn alive(&mut self, text: &str) -> Option<Bits> {
        match self.read(text, None)? {
            Read::Settled(which, _) => Some(which),
            Read::Open { matched, row } => Some(matched | self.state_of(row)?.alive),
        }
    }

    /// Goes from state to state, until all is settled or the text ends.
    fn read(&mut self, text: &str, care: Option<Care>) -> Option<Read> {
        let stop = if care == Some(Care::Few) { ALONE } else { NOTABLE };
        let mut new = 0;
        let (mut row, mut matched) = (self.start & !(NOTABLE | ALONE), 0);
        if self.start >= stop {
            let state = self.state_of(row)?;
            matched = state.matched;
            if let Some(which) = state.settled(matched, care) {
                return Some(Read::Settled(which, 0));
            }
        }
        for (at, byte) in text.bytes().enumerate() {
            let class = *self.classes.get(usize::from(byte))?;
            let place = row as usize | usize::from(class);
            let mut next = *self.table.get(place)?;
            if next >= stop {
                if next == UNKNOWN {
                    if !byte.is_ascii() {
                        return None;
                    }
                    new += 1;
                    if new > MAX_NEW || !self.has_room() {
                        self.make_room(at);
                        return None;
                    }
                    next = self.go(row, byte)?;
                    *self.table.get_mut(place)? = next;
                }
                if next >= stop {
                    let state = self.state_of(next & !(NOTABLE | ALONE))?;
                    matched |= state.matched;
                    if let Some(which) = state.settled(matched, care) {
                        self.read += at;
                        return Some(Read::Settled(which, at + 1));
                    }
                }
            }
            row = next & !(NOTABLE | ALONE);
        }
        self.read += text.len();
        Some(Read::Open { matched, row })
    }

    fn state_of(&self, row: u32) -> Option<&State> {
        self.states.get(row as usize >> self.shift)
    }

    fn has_room(&self) -> bool {
        self.states.len() < MAX_STATES && self.kept < MAX_KEPT
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
        self.table.clear();
        self.known.clear();
        (self.kept, self.read) = (0, 0);
        self.state(Box::default());
        let starts = self.steps.starts.clone();
        self.start = self.follow(starts);
    }

    /// The state that a letter leads to.
    fn go(&mut self, from: u32, byte: u8) -> Option<u32> {
        let mut next = Vec::new();
        for step in &self.state_of(from)?.steps {
            if let Some(Step::Set { set, next: to }) = self.steps.steps.get(*step as usize)
                && self.steps.holds(*set, byte)
            {
                next.push(*to);
            }
        }
        Some(self.follow(next))
    }

    /// The state of all steps that can be reached from these without a letter.
    fn follow(&mut self, from: Vec<u32>) -> u32 {
        let mut reached = Vec::new();
        self.todo = from;
        while let Some(at) = self.todo.pop() {
            let Some(seen) = self.seen.get_mut(at as usize) else { continue };
            if std::mem::replace(seen, true) {
                continue;
            }
            reached.push(at);
            match self.steps.steps.get(at as usize) {
                Some(Step::Either(first, second)) => self.todo.extend([*first, *second]),
                Some(Step::Jump(to)) => self.todo.push(*to),
                Some(Step::Set { .. } | Step::Match(_) | Step::MatchAtEnd(_)) | None => {}
            }
        }
        for at in &reached {
            if let Some(seen) = self.seen.get_mut(*at as usize) {
                *seen = false;
            }
        }
        reached.retain(|at| {
            !matches!(self.steps.steps.get(*at as usize), Some(Step::Either(..) | Step::Jump(_)))
        });
        reached.sort_unstable();
        self.state(reached.into())
    }

    fn state(&mut self, steps: Box<[u32]>) -> u32 {
        if let Some(known) = self.known.get(&steps) {
            return *known;
        }
        let mut state = State::default();
        for step in &steps {
            state.alive |= 1 << self.steps.expression_of(*step);
            match self.steps.steps.get(*step as usize) {
                Some(Step::Match(expression)) => state.matched |= 1 << expression,
                Some(Step::MatchAtEnd(expression)) => state.at_end |= 1 << expression,
                Some(Step::Set { .. } | Step::Either(..) | Step::Jump(_)) | None => {}
            }
        }
        let mut name = u32::try_from(self.table.len()).unwrap_or(DEAD);
        if state.matched != 0 || state.alive == 0 {
            name |= NOTABLE;
        }
        if state.alive.count_ones() == 1 {
            name |= ALONE;
        }
        self.kept += steps.len();
        state.steps.clone_from(&steps);
        self.states.push(state);
        self.table.resize(self.table.len() + (1 << self.shift), UNKNOWN);
        self.known.insert(steps, name);
        name
    }
}

impl State {
    /// Who may match, where no more letters are needed to say so.
    fn settled(&self, matched: Bits, care: Option<Care>) -> Option<Bits> {
        let open = self.alive & !matched;
        let is_settled = match care {
            Some(Care::Few) => open.count_ones() + matched.count_ones() < 2,
            Some(Care::Full) | None => false,
        };
        (open == 0 || is_settled).then_some(matched | open)
    }
}
