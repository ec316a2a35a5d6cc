use super::code::{ALL, Code, Op};
use super::paths::Told;
use super::program::Program;
use super::set::Set;

/// What stands between two letters.
mod look;
/// Sets as often as they can be, or as seldom.
mod runs;
/// Steps that take what they take by one look.
mod simple;

/// Runs programs; what it needs is kept from one run to the next.
#[derive(Clone, Debug, Default)]
pub(super) struct Machine {
    slots: Vec<usize>,
    back: Vec<Way>,
    left: usize,
    /// Steps of all runs since [`Machine::forget_work`].
    work: usize,
    /// Nothing from this place on was looked at.
    reach: usize,
    /// It looks round, and may have to take all of that back.
    nested: bool,
}

/// What a run found.
#[derive(Clone, Debug)]
pub(super) struct Places {
    slots: Box<[usize]>,
    reach: usize,
}

impl Places {
    /// As [`Machine::reach`] behind that run.
    pub(super) const fn reach(&self) -> usize {
        self.reach
    }
}

const NOWHERE: usize = usize::MAX;
/// Bytes of a letter in UTF-8.
const LONGEST_LETTER: usize = 4;

/// What to do when it goes no further.
#[derive(Clone, Copy, Debug)]
enum Way {
    Try {
        step: usize,
        at: usize,
    },
    Restore {
        slot: u32,
        at: usize,
    },
    /// A run that may give back letters down to `low`.
    Shorter {
        step: u32,
        low: usize,
        at: usize,
    },
    /// A run that may take so many more.
    Longer {
        step: u32,
        at: usize,
        more: u32,
    },
}

/// It took more steps than it was given.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) struct Exhausted;

impl Machine {
    /// Looks for the first place where the program matches.
    pub(super) fn search(
        &mut self,
        program: &Program,
        text: &str,
        from: usize,
        steps: usize,
    ) -> Result<bool, Exhausted> {
        self.left = steps;
        let matched = self.run(program, text, from);
        self.work = self.work.saturating_add(steps.saturating_sub(self.left));
        matched
    }

    fn run(&mut self, program: &Program, text: &str, from: usize) -> Result<bool, Exhausted> {
        self.nested = false;
        // Its first letter is looked at before all.
        self.reach = if program.at_start { 1 } else { NOWHERE };
        let bytes = text.as_bytes();
        let mut start = from;
        loop {
            if !program.first.is_any() && !program.first.may_be(bytes.get(start)) {
                if program.at_start {
                    return Ok(false);
                }
                let rest = bytes.get(start..).unwrap_or_default();
                let skipped =
                    rest.iter().position(|byte| program.first.may_be(Some(byte))).unwrap_or(rest.len());
                start += skipped + usize::from(skipped == rest.len() && !program.first.may_be(None));
                self.left = self.left.saturating_sub(skipped / 64);
            }
            if start > bytes.len() || (program.at_start && start > 0) {
                return Ok(false);
            }
            if text.is_char_boundary(start) {
                self.slots.clear();
                self.slots.resize(program.slots, NOWHERE);
                self.back.clear();
                if let Some(end) = (Reader { code: &program.code, text }).go(self, 0, start)? {
                    self.set(0, start);
                    self.set(1, end);
                    return Ok(true);
                }
            }
            if self.left == 0 {
                return Err(Exhausted);
            }
            start += 1;
        }
    }

    #[inline]
    pub(super) fn span(&self, group: usize) -> Option<(usize, usize)> {
        let from = group.wrapping_mul(2);
        match self.slots.get(from..from.wrapping_add(2)) {
            Some(&[start, end]) if start != NOWHERE && end != NOWHERE => Some((start, end)),
            _ => None,
        }
    }

    /// From this place on the text could be another, and the same would have been found.
    pub(super) const fn reach(&self) -> usize {
        self.reach
    }

    /// Takes over what another engine found: beginning and end of each group.
    pub(super) fn take(&mut self, places: impl Iterator<Item = Option<usize>>) {
        self.looked_everywhere();
        self.slots.clear();
        self.slots.extend(places.map(|at| at.unwrap_or(NOWHERE)));
    }

    /// Takes over what an automaton tells of so many slots.
    pub(super) fn told(
        &mut self,
        slots: usize,
        tell: impl FnOnce(&mut [usize]) -> Option<Told>,
    ) -> Option<Told> {
        self.slots.clear();
        self.slots.resize(slots, NOWHERE);
        let told = tell(&mut self.slots)?;
        self.reach = told.reach;
        Some(told)
    }

    /// Steps that it took, of all runs since they were forgotten.
    pub(super) const fn work(&self) -> usize {
        self.work
    }

    /// Counts its steps from here on.
    pub(super) const fn forget_work(&mut self) {
        self.work = 0;
    }

    /// What the last run found, and how far it looked.
    pub(super) fn places(&self) -> Places {
        Places { slots: self.slots.as_slice().into(), reach: self.reach }
    }

    /// As if the last run had found that.
    pub(super) fn put_back(&mut self, places: &Places) {
        self.slots.clear();
        self.slots.extend_from_slice(&places.slots);
        self.reach = places.reach;
    }

    fn set(&mut self, slot: usize, at: usize) {
        if let Some(place) = self.slots.get_mut(slot) {
            *place = at;
        }
    }

    pub(super) const fn looked_everywhere(&mut self) {
        self.reach = NOWHERE;
    }

    /// It has looked at all before this place.
    fn looked_up_to(&mut self, place: usize) {
        self.reach = self.reach.max(place);
    }

    /// Goes back to the base, as if nothing had been tried since.
    fn undo(&mut self, base: usize) {
        while self.back.len() > base {
            if let Some(Way::Restore { slot, at }) = self.back.pop() {
                self.set(slot as usize, at);
            }
        }
    }

    /// Forgets the other ways since the base, but not what is to be restored.
    fn commit(&mut self, base: usize) {
        let mut kept = base;
        for at in base..self.back.len() {
            if matches!(self.back.get(at), Some(Way::Restore { .. })) {
                self.back.swap(kept, at);
                kept += 1;
            }
        }
        self.back.truncate(kept);
    }
}

/// A program on a text.
#[derive(Clone, Copy)]
struct Reader<'a> {
    code: &'a Code,
    text: &'a str,
}

impl Reader<'_> {
    /// Where it ends if it matches from here.
    ///
    /// Nearly all steps are of the few kinds that are done here and go on at once; who comes behind the `match` goes another way.
    fn go(self, machine: &mut Machine, step: usize, at: usize) -> Result<Option<usize>, Exhausted> {
        let base = machine.back.len();
        let (mut step, mut at) = (step, at);
        let mut left = machine.left;
        let ops = self.code.ops.as_slice();
        let bytes = self.text.as_bytes();
        loop {
            let Some(fewer) = left.checked_sub(1) else {
                machine.left = 0;
                return Err(Exhausted);
            };
            left = fewer;
            match ops.get(step) {
                None | Some(Op::Match) => {
                    machine.left = left;
                    machine.looked_up_to(self.behind(at));
                    return Ok(Some(at));
                }
                Some(Op::Byte(byte)) => {
                    if bytes.get(at) == Some(byte) {
                        (step, at) = (step + 1, at + 1);
                        continue;
                    }
                }
                Some(Op::Short(head)) => {
                    if bytes.get(at..).is_some_and(|rest| head.begins(rest)) {
                        (step, at) = (step + 1, at + head.len());
                        continue;
                    }
                    machine.looked_up_to(at + head.len());
                }
                Some(Op::Set(set)) => {
                    if let Some(len) = self.set(*set).and_then(|set| set.take(self.text, at)) {
                        (step, at) = (step + 1, at + len);
                        continue;
                    }
                }
                Some(Op::Take { set, least, most: ALL }) if *least < 2 => {
                    let end = self.set(*set).map_or(at, |set| set.all(self.text, at));
                    let len = end - at;
                    if len >= usize::from(*least) {
                        left = left.saturating_sub(len / 16);
                        (step, at) = (step + 1, end);
                        continue;
                    }
                }
                Some(Op::Take { set, least, most }) => {
                    if let Some(end) = self.set(*set).and_then(|set| set.some(self.text, at, *least, *most)) {
                        left = left.saturating_sub((end - at) / 16);
                        (step, at) = (step + 1, end);
                        continue;
                    }
                    machine.looked_up_to(at.saturating_add(usize::from(*least) * LONGEST_LETTER));
                }
                Some(Op::Either(fork)) => {
                    if let Some(fork) = self.code.forks.get(*fork as usize) {
                        let [first, second] = fork.ways;
                        let open = fork.open(bytes.get(at));
                        if open & 1 == 1 {
                            if open == 3 {
                                machine.back.push(Way::Try { step: second as usize, at });
                            }
                            step = first as usize;
                            continue;
                        }
                        if open == 2 {
                            step = second as usize;
                            continue;
                        }
                    }
                }
                Some(Op::Save(slot)) => {
                    if let Some(place) = machine.slots.get_mut(*slot as usize) {
                        // Where nothing can be taken back, nothing is restored.
                        if machine.nested || !machine.back.is_empty() {
                            machine.back.push(Way::Restore { slot: *slot, at: *place });
                        }
                        *place = at;
                    }
                    step += 1;
                    continue;
                }
                Some(Op::Jump(to)) => {
                    step = *to as usize;
                    continue;
                }
                Some(op) => {
                    machine.left = left;
                    let next = self.less_common(machine, *op, step, at)?;
                    left = machine.left;
                    if let Some(next) = next {
                        (step, at) = next;
                        continue;
                    }
                }
            }
            machine.looked_up_to(self.behind(at));
            machine.left = left;
            let Some(way) = self.other_way(machine, base) else { return Ok(None) };
            (step, at) = way;
            left = machine.left;
        }
    }

    /// Where a step leads, if it does.
    fn less_common(
        self,
        machine: &mut Machine,
        op: Op,
        step: usize,
        at: usize,
    ) -> Result<Option<(usize, usize)>, Exhausted> {
        Ok(match op {
            Op::Run(run) => {
                let run = self.code.runs.get(run as usize);
                run.and_then(|run| self.run(machine, step, at, run)).map(|end| (step + 1, end))
            }
            Op::Peek { negated, end } => {
                let op = self.code.ops.get(step + 1).copied().unwrap_or(Op::Match);
                machine.looked_up_to(self.looked(op, at));
                (self.simple(op, at).is_some() != negated).then_some((end as usize, at))
            }
            Op::Progress { slot, out } => {
                let is_stuck = machine.slots.get(slot as usize) == Some(&at);
                Some((if is_stuck { out as usize } else { step + 1 }, at))
            }
            Op::Look(look) => self.looks(look, at).then_some((step + 1, at)),
            Op::Around { back, negated, end } => {
                self.around(machine, step + 1, at, back, negated)?.then_some((end as usize, at))
            }
            Op::Atomic { end } => {
                let mark = machine.back.len();
                let ended = self.go(machine, step + 1, at)?;
                machine.commit(mark);
                ended.map(|at| (end as usize, at))
            }
            Op::Back { group, fold } => machine.span(group as usize).and_then(|(start, end)| {
                let len = end.saturating_sub(start);
                machine.looked_up_to(at + len);
                self.again((start, end), fold, at).then_some((step + 1, at + len))
            }),
            Op::If { group, no } => {
                let is_there = machine.span(group as usize).is_some();
                Some((if is_there { step + 1 } else { no as usize }, at))
            }
            // The others are done where they are most often met.
            Op::Byte(_)
            | Op::Short(_)
            | Op::Text(_)
            | Op::Words(_)
            | Op::Set(_)
            | Op::Take { .. }
            | Op::Either(_)
            | Op::Jump(_)
            | Op::Save(_)
            | Op::Match => {
                let len = self.simple(op, at);
                if len.is_none() {
                    machine.looked_up_to(self.looked(op, at));
                }
                len.map(|len| (step + 1, at + len))
            }
        })
    }

    fn set(&self, set: u32) -> Option<&Set> {
        self.code.sets.get(set as usize)
    }

    /// Takes back what was tried last, and goes another way.
    fn other_way(self, machine: &mut Machine, base: usize) -> Option<(usize, usize)> {
        while machine.back.len() > base {
            match machine.back.pop()? {
                Way::Restore { slot, at } => machine.set(slot as usize, at),
                Way::Try { step, at } => return Some((step, at)),
                Way::Shorter { step, low, at } => {
                    if let Some(shorter) = self.give_back(machine, step, (low, at)) {
                        return Some((step as usize + 1, shorter));
                    }
                }
                Way::Longer { step, at, more } => {
                    if let Some(longer) = self.longer(machine, step, at, more) {
                        return Some((step as usize + 1, longer));
                    }
                }
            }
        }
        None
    }
}
