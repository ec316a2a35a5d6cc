use super::paths::{Lazily, Told};
use super::{Found, GaveUp, Pattern};

/// Of so many searches the first are shared out between both engines, and the second half of those counts: an automaton has to get
/// to know its states.
const ROUND: u32 = 8192;
const TRIED: u32 = 256;
/// What an automaton that cannot tell costs beside what the machine does then, as [`Told::cost`]: about nanoseconds.
const IN_VAIN: u64 = 200;

/// Which engine does less for an expression on the lines of a log: the machine is faster where the first way is the right one, the
/// automaton where the machine goes back and forth.
#[derive(Clone, Debug, Default)]
pub(crate) struct Choice {
    paths: Lazily,
    searched: u32,
    /// What both did in this round.
    machine: u64,
    automaton: u64,
}

impl Choice {
    /// As [`Pattern::search`].
    pub(crate) fn search(
        &mut self,
        pattern: &Pattern,
        text: &str,
        found: &mut Found,
    ) -> Result<bool, GaveUp> {
        let round = self.searched % ROUND;
        self.searched = self.searched.wrapping_add(1);
        if round <= TRIED / 2 {
            (self.machine, self.automaton) = (0, 0);
        }
        let is_tried = round < TRIED;
        // Not every other text: where programs take turns, each engine would get its own kind of them.
        let is_automaton = if is_tried { round.count_ones() % 2 == 1 } else { self.automaton < self.machine };
        if is_automaton {
            if let Some(Told { matched, cost, .. }) = found.told(pattern, self.paths.of(pattern), text) {
                self.automaton += if is_tried { cost } else { 0 };
                return Ok(matched);
            }
            self.automaton += if is_tried { IN_VAIN } else { 0 };
        }
        // What others did with the same machine is not this expression's.
        let _ = found.take_cost();
        let matched = pattern.search(text, found);
        if is_tried {
            let cost = if is_automaton { &mut self.automaton } else { &mut self.machine };
            *cost += found.take_cost();
        }
        matched
    }
}
