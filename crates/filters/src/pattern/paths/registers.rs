use std::collections::HashMap;

use foldhash::fast::RandomState;

use super::ways::Origin;

/// Registers, so few that a byte names each, and different things that are held in them.
pub(super) const MAX_REGISTERS: usize = 256;
const MAX_HELD: usize = 4096;
/// Slots of all that is held.
const MAX_SLOTS: usize = 1 << 18;

/// The register with the place that is looked at, the one that is always empty, and one for what changes its place.
pub(super) const HERE: u8 = 0;
pub(super) const NOWHERE: u8 = 1;
const SPARE: u8 = 2;
const FIRST: u8 = 3;

/// One register takes over what another holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Move {
    pub(super) to: u8,
    pub(super) from: u8,
}

/// Moves nothing that is read.
pub(super) const IDLE: Move = Move { to: SPARE, from: HERE };

/// In which registers ways hold where groups begin and end.
///
/// Of each slot, ways that hold the same place share one register, and registers are numbered in the order of the ways. So a letter
/// that leads through no bounds of a group moves nothing.
#[derive(Clone, Debug)]
pub(super) struct Registers {
    slots: usize,
    /// The registers of each slot.
    of_slots: Vec<Vec<u8>>,
    count: usize,
    /// Lists of registers, one for each slot.
    held: Vec<Box<[u8]>>,
    numbers: HashMap<Box<[u8]>, u32, RandomState>,
}

impl Registers {
    pub(super) fn new(slots: usize) -> Self {
        Self {
            slots,
            of_slots: vec![Vec::new(); slots],
            count: usize::from(FIRST),
            held: Vec::new(),
            numbers: HashMap::default(),
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Self::new(self.slots);
    }

    pub(super) fn has_room(&self) -> bool {
        self.held.len() < MAX_HELD && self.held.len() * self.slots < MAX_SLOTS
    }

    /// What a way holds that has passed nothing.
    pub(super) fn nothing(&mut self) -> u32 {
        self.number(vec![NOWHERE; self.slots])
    }

    /// The registers of each slot, by the number of the list.
    #[inline]
    pub(super) fn of(&self, held: u32) -> &[u8] {
        self.held.get(held as usize).map_or(&[], |list| list)
    }

    /// What ways hold that come from others, past some slots, and what has to be moved for it.
    pub(super) fn turn<'s>(
        &mut self,
        held: &[u32],
        origins: &[Origin],
        passed: impl Fn(u16) -> &'s [u16],
    ) -> Option<(Box<[u32]>, Vec<Move>)> {
        let came = |origin: &Origin| self.passed(held, *origin, &passed);
        let mut lists = origins.iter().map(came).collect::<Option<Vec<_>>>()?;
        let mut moves = Vec::new();
        for slot in 0..self.slots {
            // The registers that ways hold now, in the order of the ways.
            let mut from: Vec<u8> = Vec::new();
            for list in &mut lists {
                let place = list.get_mut(slot)?;
                if *place == NOWHERE {
                    continue;
                }
                let known = from.iter().position(|register| register == place).unwrap_or_else(|| {
                    from.push(*place);
                    from.len() - 1
                });
                *place = self.register(slot, known)?;
            }
            let to = self.of_slots.get(slot)?;
            let pairs = from.iter().zip(to).map(|(from, to)| Move { to: *to, from: *from });
            in_order(pairs.filter(|pair| pair.to != pair.from).collect(), &mut moves);
        }
        let held = lists.into_iter().map(|list| self.number(list)).collect();
        Some((held, moves))
    }

    /// What a way holds that matches here.
    pub(super) fn end<'s>(
        &mut self,
        held: &[u32],
        origin: Origin,
        passed: impl Fn(u16) -> &'s [u16],
    ) -> Option<u32> {
        let list = self.passed(held, origin, &passed)?;
        Some(self.number(list))
    }

    /// What a way holds, and what it passed here.
    fn passed<'s>(
        &self,
        held: &[u32],
        origin: Origin,
        passed: &impl Fn(u16) -> &'s [u16],
    ) -> Option<Vec<u8>> {
        let mut list = self.of(*held.get(usize::from(origin.way))?).to_vec();
        for slot in passed(origin.saves) {
            *list.get_mut(usize::from(*slot))? = HERE;
        }
        Some(list)
    }

    /// A register of a slot, by its number there.
    fn register(&mut self, slot: usize, number: usize) -> Option<u8> {
        let registers = self.of_slots.get_mut(slot)?;
        if number == registers.len() {
            registers.push(u8::try_from(self.count).ok()?);
            self.count += 1;
        }
        registers.get(number).copied()
    }

    fn number(&mut self, list: Vec<u8>) -> u32 {
        let list = list.into_boxed_slice();
        if let Some(known) = self.numbers.get(&list) {
            return *known;
        }
        let number = u32::try_from(self.held.len()).unwrap_or(u32::MAX);
        self.held.push(list.clone());
        self.numbers.insert(list, number);
        number
    }
}

/// Moves that are meant to happen at once, one after another: none writes what another has still to read.
pub(super) fn in_order(mut pairs: Vec<Move>, moves: &mut Vec<Move>) {
    while !pairs.is_empty() {
        let is_read = |to: u8| pairs.iter().any(|other| other.from == to);
        match pairs.iter().position(|pair| !is_read(pair.to)) {
            Some(free) => moves.push(pairs.swap_remove(free)),
            // They go round in a ring.
            None => {
                let Some(from) = pairs.first().map(|pair| pair.from) else { return };
                moves.push(Move { to: SPARE, from });
                pairs.iter_mut().filter(|pair| pair.from == from).for_each(|pair| pair.from = SPARE);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moves_that_happen_at_once_read_what_was_there_before() {
        for pairs in [
            vec![(3, 4), (4, 3)],
            vec![(3, 4), (4, 5), (5, 3)],
            vec![(4, 3), (5, 4), (3, HERE)],
            vec![(3, 4), (4, 3), (5, 6), (6, 5)],
        ] {
            let before: Vec<u8> = (100..110).collect();
            let mut expected = before.clone();
            pairs.iter().for_each(|(to, from)| expected[*to as usize] = before[*from as usize]);
            let mut moves = Vec::new();
            in_order(pairs.iter().map(|(to, from)| Move { to: *to, from: *from }).collect(), &mut moves);
            let mut after = before;
            moves.iter().for_each(|pair| after[pair.to as usize] = after[pair.from as usize]);
            after[SPARE as usize] = expected[SPARE as usize];
            assert_eq!(after, expected, "{pairs:?}");
        }
    }
}
