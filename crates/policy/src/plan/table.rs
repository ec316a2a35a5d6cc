//! The automaton in the shape that the gate walks: classes of bytes, then rows of one entry per class.

use std::collections::{HashMap, VecDeque};

use gate::automaton::{ACCEPTS, Automaton as Layout, ROWS_SIZE, lay_out, state};

use crate::plan::automaton::{Automaton, AutomatonError};

/// See [`gate::automaton`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    pub automaton: Box<Layout>,
    /// The state before the first byte.
    pub start: u32,
    /// Entries of a row.
    pub width: u32,
}

impl Table {
    /// Lays out `automaton`.
    ///
    /// # Errors
    ///
    /// [`AutomatonError::TooManyStates`] if its rows do not fit.
    pub fn new(automaton: &Automaton) -> Result<Self, AutomatonError> {
        let classes = classes(automaton);
        let width = classes.iter().max().map_or(1, |most| most + 1);
        let states = ROWS_SIZE / width as usize;
        if automaton.rows.len() > states {
            return Err(AutomatonError::TooManyStates(states));
        }
        let accepting = automaton.outputs.len();
        let order = order(automaton);
        let mut places = vec![0; order.len()];
        for (place, number) in (0u32..).zip(&order) {
            if let Some(slot) = places.get_mut(*number as usize) {
                *slot = place;
            }
        }
        let state = |number: u32| {
            let accepts = if (number as usize) < accepting { ACCEPTS } else { 0 };
            state(places.get(number as usize).copied().unwrap_or(0), width) | accepts
        };
        let row = |from: &[u32; 256]| {
            let mut row = vec![0; width as usize];
            for (class, next) in classes.iter().zip(from) {
                if let Some(slot) = row.get_mut(*class as usize) {
                    *slot = state(*next);
                }
            }
            row
        };
        let rows: Vec<Vec<u32>> =
            order.iter().filter_map(|number| automaton.rows.get(*number as usize)).map(row).collect();
        let start = state(automaton.start);
        let automaton = lay_out(&classes, &rows).ok_or(AutomatonError::TooManyStates(states))?;
        Ok(Self { automaton, start, width })
    }
}

/// The states in the order of their rows: the accepting ones, as they are; then each one with what follows it in a signature
/// close behind, so that a text that is nearly a signature stays in few pages of memory.
fn order(automaton: &Automaton) -> Vec<u32> {
    let targets = |state: u32| automaton.rows.get(state as usize).into_iter().flatten().copied();
    let count = automaton.rows.len();
    // How many bytes lead to each state at least. What leads one farther is the next byte of some signature.
    let mut depths = vec![usize::MAX; count];
    let mut queue = VecDeque::from([automaton.start]);
    if let Some(depth) = depths.get_mut(automaton.start as usize) {
        *depth = 0;
    }
    let depth = |depths: &[usize], state: u32| depths.get(state as usize).copied().unwrap_or(0);
    while let Some(state) = queue.pop_front() {
        let next = depth(&depths, state) + 1;
        for target in targets(state) {
            if let Some(depth) = depths.get_mut(target as usize)
                && *depth == usize::MAX
            {
                *depth = next;
                queue.push_back(target);
            }
        }
    }
    let mut order: Vec<u32> = (0u32..).take(automaton.outputs.len()).collect();
    let mut placed = vec![false; count];
    placed.iter_mut().take(order.len()).for_each(|placed| *placed = true);
    let mut seen = vec![false; count];
    // Whatever no byte leads to comes last.
    let mut stack: Vec<u32> = (0u32..).take(count).chain([automaton.start]).collect();
    while let Some(state) = stack.pop() {
        if seen.get_mut(state as usize).is_none_or(|seen| std::mem::replace(seen, true)) {
            continue;
        }
        if placed.get_mut(state as usize).is_some_and(|placed| !std::mem::replace(placed, true)) {
            order.push(state);
        }
        let next = depth(&depths, state).saturating_add(1);
        stack.extend(targets(state).filter(|target| depth(&depths, *target) == next));
    }
    order
}

/// The class of each byte: bytes that lead to the same states everywhere share one.
fn classes(automaton: &Automaton) -> [u32; 256] {
    let mut known: HashMap<Vec<u32>, u32> = HashMap::new();
    let mut classes = [0; 256];
    for (byte, class) in classes.iter_mut().enumerate() {
        let column = automaton.rows.iter().filter_map(|row| row.get(byte).copied()).collect();
        let fresh = u32::try_from(known.len()).unwrap_or(u32::MAX);
        *class = *known.entry(column).or_insert(fresh);
    }
    classes
}

#[cfg(test)]
mod tests {
    use gate::automaton::{next, row};
    use gate::layout::Output;

    use super::*;
    use crate::plan::automaton::{Needle, compile, literal};

    #[test]
    fn it_walks_like_the_rows_that_it_came_from() {
        let texts = ["friendly-scanner", "sipvicious", "sip", "iWar", "\u{7f}ELF"];
        let needles: Vec<Needle> = (0u16..)
            .zip(texts)
            .map(|(number, text)| Needle {
                pattern: literal(text.as_bytes(), number % 2 == 0),
                output: Output { signature: number, group: number, to: u16::MAX, ..Output::default() },
            })
            .collect();
        let automaton = compile(&needles).unwrap();
        let table = Table::new(&automaton).unwrap();
        assert!(table.width <= 40, "{}", table.width);
        let mut places = HashMap::new();
        let mut state = automaton.start;
        let mut fast = table.start;
        let mut random = 1u32;
        for round in 0..100_000 {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let text = texts[random as usize % texts.len()].as_bytes();
            // Mostly texts, so that deep states are met, and any byte between.
            let bytes = if round % 3 == 0 { vec![(random >> 13) as u8] } else { text.to_vec() };
            for byte in bytes {
                state = automaton.rows[state as usize][usize::from(byte)];
                fast = next(&table.automaton, fast, byte);
                let accepts = (state as usize) < automaton.outputs.len();
                assert_eq!(fast & ACCEPTS != 0, accepts);
                // The rows of the others may stand anywhere, but always there.
                let place = row(fast, table.width);
                assert_eq!(*places.entry(state).or_insert(place), place);
                assert!(!accepts || place == state);
            }
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let rows = vec![std::array::from_fn(|byte| byte as u32); ROWS_SIZE / 256 + 1];
        let automaton = Automaton { rows, outputs: Vec::new(), start: 0 };
        assert_eq!(Table::new(&automaton), Err(AutomatonError::TooManyStates(ROWS_SIZE / 256)));
    }
}
