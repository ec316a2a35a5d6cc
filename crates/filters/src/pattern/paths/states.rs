use super::jumps::{FIRST_LESSON, Jump};
use super::registers::{IDLE, Move};
use super::ways::{Before, Turned, Way};
use super::{DEAD, LEAP, LOST, Leap, MAX_SPENT, MIN_LEAP, NONE, Paths, TURN, Turn, UNKNOWN};

/// Ways that are open, best first, in which registers each holds its places, and what stands before them.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Name {
    ways: Box<[Way]>,
    pub(super) held: Box<[u32]>,
    before: Before,
}

/// Where a letter leads from a state.
struct Lead {
    to: Name,
    moves: Vec<Move>,
    matched: u32,
}

impl Lead {
    /// Whether nothing is notable.
    fn is_plain(&self) -> bool {
        self.moves.is_empty() && self.matched == NONE && !self.to.ways.is_empty()
    }
}

impl Paths {
    pub(super) fn forget(&mut self) {
        self.states.clear();
        self.leaps.clear();
        self.table.clear();
        self.turns.clear();
        self.moves.clear();
        self.known.clear();
        self.ways.forget();
        self.registers.forget();
        self.traces.clear();
        (self.kept, self.read, self.searched, self.lesson) = (0, 0, 0, FIRST_LESSON);
        let (way, before) = self.ways.start();
        let held = self.registers.nothing();
        self.start = self.state(Name { ways: [way].into(), held: [held].into(), before });
    }

    /// Where a letter or the end leads from a state.
    pub(super) fn go(&mut self, from: u32, byte: Option<u8>, spent: &mut usize) -> Option<u32> {
        if byte.is_some_and(|byte| !byte.is_ascii()) {
            return Some(LOST);
        }
        // Letters of a class lead to the same place.
        let letter =
            byte.map_or(Some(None), |byte| self.letters.get(usize::from(self.class(byte))).copied())?;
        let state = self.states.get(from as usize / self.width)?.clone();
        let Some(lead) = self.lead(&state, letter, spent) else {
            return Some(LOST);
        };
        let is_plain = lead.is_plain() && byte != Some(b'\n');
        let Lead { to, moves, matched } = lead;
        let next = if to.ways.is_empty() { DEAD } else { self.state(to) };
        if is_plain {
            if next & !LEAP == from {
                self.stay(from, &state, spent)?;
                return Some(next | LEAP);
            }
            return Some(next);
        }
        let mut first = [IDLE; 2];
        first.iter_mut().zip(&moves).for_each(|(place, pair)| *place = *pair);
        let from = u32::try_from(self.moves.len()).ok()?;
        self.moves.extend(moves.iter().skip(first.len()));
        let others = u16::try_from(moves.len().saturating_sub(first.len())).ok()?;
        let line_end = byte == Some(b'\n');
        let is_rare = line_end || matched != NONE || next == DEAD;
        self.turns.push(Turn { next, first, from, others, is_rare, line_end, matched });
        Some(u32::try_from(self.turns.len() - 1).ok()? | TURN)
    }

    fn lead(&mut self, state: &Name, letter: Option<u8>, spent: &mut usize) -> Option<Lead> {
        let turned = self.ways.turn(&state.ways, state.before, letter, spent)?;
        let Turned { ways, origins, matched, before } = turned;
        let (of_ways, registers) = (&self.ways, &mut self.registers);
        let (held, moves) = registers.turn(&state.held, &origins, |saves| of_ways.slots(saves))?;
        let matched = match matched {
            Some(origin) => registers.end(&state.held, origin, |saves| of_ways.slots(saves))?,
            None => NONE,
        };
        Some(Lead { to: Name { ways: ways.into(), held, before }, moves, matched })
    }

    /// Finds out which letters do not lead away from a state.
    fn stay(&mut self, row: u32, state: &Name, spent: &mut usize) -> Option<()> {
        if *self.table.get(row as usize + self.width - 1)? != UNKNOWN {
            return Some(());
        }
        let mut stays = Box::new([false; 256]);
        let mut same = vec![false; self.letters.len()];
        for (class, same) in same.iter_mut().enumerate() {
            let letter = self.letters.get(class).copied().flatten();
            let Some(byte) = letter.filter(|byte| *byte != b'\n') else { continue };
            if *spent > MAX_SPENT {
                // Of the rest it is not known, and each is looked up when it comes.
                break;
            }
            let lead = self.lead(state, Some(byte), spent);
            *same = lead.is_some_and(|lead| lead.is_plain() && lead.to == *state);
        }
        for (stays, class) in stays.iter_mut().zip(self.classes.iter()) {
            *stays = same.get(usize::from(*class)) == Some(&true);
        }
        self.put_leap(row, Leap::Over(stays))
    }

    pub(super) fn put_leap(&mut self, row: u32, leap: Leap) -> Option<()> {
        let number = u32::try_from(self.leaps.len()).ok()?;
        self.leaps.push(leap);
        *self.table.get_mut(row as usize + self.width - 1)? = number;
        Some(())
    }

    /// The place of a state, with a sign if many letters at once may lead on from it.
    fn state(&mut self, name: Name) -> u32 {
        if let Some(known) = self.known.get(&name) {
            return *known;
        }
        let row = u32::try_from(self.table.len()).unwrap_or(0);
        self.kept += name.ways.len();
        self.states.push(name.clone());
        self.table.resize(self.table.len() + self.width, UNKNOWN);
        let (text, way, before) = self.ways.text(&name.ways, name.before);
        let mut named = row;
        if text.len() >= MIN_LEAP {
            self.known.insert(name.clone(), row);
            let to = Name { ways: [way].into(), held: name.held.clone(), before };
            let to = self.state(to) & !LEAP;
            if self.put_leap(row, Leap::Jumps(vec![Jump::forced(&text, to)])).is_some() {
                named |= LEAP;
            }
        }
        self.known.insert(name, named);
        named
    }
}
