use super::program::Step;
use super::set::Set;
use crate::python::{Greed, Look};

/// With what a program may go on: a bit for each byte, and whether the text may end.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Next {
    bytes: [u64; 4],
    end: bool,
}

/// Steps that are looked at to find out; beyond them anything may come.
const MAX_LOOKED_AT: usize = 300;

impl Next {
    pub(super) const ANY: Self = Self { bytes: [u64::MAX; 4], end: true };
    const NONE: Self = Self { bytes: [0; 4], end: false };

    #[inline]
    pub(super) fn may_be(&self, byte: Option<&u8>) -> bool {
        match byte {
            Some(byte) => {
                self.bytes.get(usize::from(byte >> 6)).is_some_and(|word| word >> (byte & 63) & 1 == 1)
            }
            None => self.end,
        }
    }

    /// The letter of ASCII that alone may come, and not the end.
    #[inline]
    pub(super) fn only(&self) -> Option<u8> {
        match self.bytes {
            [word, 0, 0, 0] if word.is_power_of_two() && !self.end => {
                u8::try_from(word.trailing_zeros()).ok()
            }
            [0, word, 0, 0] if word.is_power_of_two() && !self.end => {
                u8::try_from(64 + word.trailing_zeros()).ok()
            }
            _ => None,
        }
    }

    pub(super) fn is_any(&self) -> bool {
        *self == Self::ANY
    }

    fn add(&mut self, byte: u8) {
        if let Some(word) = self.bytes.get_mut(usize::from(byte >> 6)) {
            *word |= 1 << (byte & 63);
        }
    }

    fn add_set(&mut self, set: Option<&Set>) {
        let Some(set) = set else { return };
        (0..=255).filter(|byte| set.may_begin(*byte)).for_each(|byte| self.add(byte));
    }
}

/// Tells each step that chooses what must follow its choices.
pub(super) fn foresee(steps: &mut [Step], sets: &[Set]) {
    for at in 0..steps.len() {
        let found = match steps.get(at) {
            Some(Step::Either { ways: [first, second], .. }) => {
                [of(steps, sets, *first), of(steps, sets, *second)]
            }
            Some(Step::Run { .. }) => [of(steps, sets, at + 1), Next::ANY],
            _ => continue,
        };
        match (steps.get_mut(at), found) {
            (Some(Step::Either { next, .. }), found) => *next = found,
            (Some(Step::Run { set, next, greed, .. }), [found, _]) => {
                *next = found;
                // Where no letter of the run can be what follows it, none is ever given back.
                let shared =
                    |byte| sets.get(*set).is_some_and(|set| set.may_begin(byte)) && found.may_be(Some(&byte));
                if *greed == Greed::Greedy && !(0..=255).any(shared) {
                    *greed = Greed::Possessive;
                }
            }
            _ => {}
        }
    }
}

/// With what a program goes on from a step.
pub(super) fn of(steps: &[Step], sets: &[Set], from: usize) -> Next {
    let mut next = Next::NONE;
    let mut seen: Vec<usize> = Vec::new();
    let mut todo = vec![from];
    while let Some(at) = todo.pop() {
        if seen.contains(&at) {
            continue;
        }
        seen.push(at);
        if seen.len() > MAX_LOOKED_AT {
            return Next::ANY;
        }
        match steps.get(at) {
            None | Some(Step::Match | Step::Back { .. }) => return Next::ANY,
            Some(Step::Byte(byte)) => next.add(*byte),
            Some(Step::Text(text)) => text.first().into_iter().for_each(|byte| next.add(*byte)),
            Some(Step::Words { words, fold }) => {
                for byte in words.iter().filter_map(|word| word.first()) {
                    next.add(*byte);
                    if *fold {
                        next.add(byte.to_ascii_lowercase());
                        next.add(byte.to_ascii_uppercase());
                    }
                }
            }
            Some(Step::Set(set)) => next.add_set(sets.get(*set)),
            Some(Step::Run { set, min, .. }) => {
                next.add_set(sets.get(*set));
                if *min == 0 {
                    todo.push(at + 1);
                }
            }
            Some(Step::Either { ways, .. }) => todo.extend(ways),
            Some(Step::Jump(to)) => todo.push(*to),
            Some(Step::Save(_)) => todo.push(at + 1),
            Some(Step::Progress { out, .. }) => todo.extend([at + 1, *out]),
            Some(Step::If { no, .. }) => todo.extend([at + 1, *no]),
            Some(Step::Around { end, .. }) => todo.push(*end),
            Some(Step::Atomic { .. }) => todo.push(at + 1),
            Some(Step::Look(Look::End | Look::EndOfLine)) => {
                next.add(b'\n');
                next.end = true;
            }
            Some(Step::Look(Look::VeryEnd)) => next.end = true,
            Some(Step::Look(_)) => todo.push(at + 1),
        }
    }
    next
}
