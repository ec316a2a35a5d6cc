//! The automaton in the shape that the gate walks: classes of bytes, then rows of one entry per class.

use std::collections::HashMap;

use gate::automaton::{ACCEPTS, Automaton as Layout, ROWS_SIZE, lay_out, state};

use crate::plan::automaton::{Automaton, AutomatonError};

/// See [`gate::automaton`].
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Table {
    pub automaton: Box<Layout>,
    /// The state before the first byte.
    pub start: u32,
    /// Binary logarithm of a row's length.
    pub shift: u32,
}

impl Table {
    /// Lays out `automaton`.
    ///
    /// # Errors
    ///
    /// [`AutomatonError::TooManyStates`] if its rows do not fit.
    pub fn new(automaton: &Automaton) -> Result<Self, AutomatonError> {
        let classes = classes(automaton);
        let count = classes.iter().max().map_or(1, |most| most + 1);
        let shift = count.next_power_of_two().ilog2();
        let states = ROWS_SIZE >> shift;
        if automaton.rows.len() > states {
            return Err(AutomatonError::TooManyStates(states));
        }
        let accepting = automaton.outputs.len();
        let state = |number: u32| {
            let accepts = if (number as usize) < accepting { ACCEPTS } else { 0 };
            state(number, shift) | accepts
        };
        let row = |from: &[u32; 256]| {
            let mut row = vec![0; 1 << shift];
            for (class, next) in classes.iter().zip(from) {
                if let Some(slot) = row.get_mut(*class as usize) {
                    *slot = state(*next);
                }
            }
            row
        };
        let rows: Vec<Vec<u32>> = automaton.rows.iter().map(row).collect();
        let start = state(automaton.start);
        let automaton = lay_out(&classes, &rows, shift).ok_or(AutomatonError::TooManyStates(states))?;
        Ok(Self { automaton, start, shift })
    }
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
        assert!(table.shift <= 6, "{}", table.shift);
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
                assert_eq!(row(fast, table.shift), state);
                assert_eq!(fast & ACCEPTS != 0, (state as usize) < automaton.outputs.len());
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
