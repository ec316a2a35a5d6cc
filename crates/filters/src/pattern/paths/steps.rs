use crate::pattern::program::{begins_at_start, may_be_empty};
use crate::pattern::set::{Letters, letters, letters_of};
use crate::pattern::sets::Sets;
use crate::python::{Class, Greed, Item, Look, Node};

/// Steps of an expression; a larger one is left to the machine.
const MAX_STEPS: usize = 6000;
/// Conditions that are told apart, and letters of a group that is asked for again.
const MAX_FLAGS: u8 = 16;
const MAX_AGAIN: usize = 4;

const ALL: Letters = Letters::MAX;
const LINE_END: Letters = 1 << b'\n';

/// An expression as steps that are all tried at once, in the order in which Python tries them.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    pub(super) start: u32,
    sets: Sets,
    /// Texts that must not follow.
    pub(super) texts: Vec<Box<[u8]>>,
    /// Something asks what stands before it.
    pub(super) looks_back: bool,
    flags: Vec<Flag>,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A letter of a set.
    Set {
        set: u32,
        next: u32,
    },
    /// First one way, then the other.
    Either(u32, u32),
    Jump(u32),
    Save {
        slot: u16,
        next: u32,
    },
    Look {
        look: Look,
        next: u32,
    },
    /// This text does not follow.
    Not {
        text: u16,
        next: u32,
    },
    /// Something holds from here on.
    Flag {
        flag: u8,
        next: u32,
    },
    If {
        flag: u8,
        yes: u32,
        no: u32,
    },
    Match,
}

/// What holds for a way.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Flag {
    /// A group took something.
    Took(usize),
    /// A group took this letter.
    Letter(usize, u8),
}

impl Steps {
    /// `None` for what only the machine can do. In one line, `$` is before the line end.
    pub(super) fn new(root: &Node, in_line: bool) -> Option<Self> {
        let mut steps = Self::default();
        steps.know_flags(root)?;
        let end = steps.push(Step::Match)?;
        let end = steps.push(Step::Save { slot: 1, next: end })?;
        let start = steps.node(root, end, in_line, false)?;
        let start = steps.push(Step::Save { slot: 0, next: start })?;
        steps.start = if begins_at_start(root) { start } else { steps.lazily(ALL, start)? };
        Some(steps)
    }

    pub(super) fn holds(&self, set: u32, byte: u8) -> bool {
        self.sets.holds(set, byte)
    }

    /// The letter of a set that has but one.
    pub(super) fn only(&self, set: u32) -> Option<u8> {
        let letters = self.sets.get(set).filter(|letters| letters.count_ones() == 1)?;
        u8::try_from(letters.trailing_zeros()).ok()
    }

    /// What tells letters apart.
    pub(super) fn kinds(&self) -> Vec<Letters> {
        let word = Class::of(crate::python::Kind::Word, false, true);
        let single = self.texts.iter().flat_map(|text| text.iter()).map(|byte| 1 << byte);
        self.sets.all().iter().copied().chain(single).chain([letters(&word), LINE_END]).collect()
    }

    /// Groups that are asked for later.
    fn know_flags(&mut self, root: &Node) -> Option<()> {
        let (mut conditions, mut again) = (Vec::new(), Vec::new());
        root.each(&mut |node| {
            if let Node::If { index, .. } = node {
                conditions.push(Flag::Took(*index));
            } else if let Node::Back { index, .. } = node {
                again.push(*index);
            }
        });
        for index in again {
            let mut class = None;
            root.each(&mut |node| {
                if let Node::Group { index: this, node } = node
                    && *this == index
                {
                    class = few_letters(node);
                }
            });
            conditions.extend(class?.into_iter().map(|letter| Flag::Letter(index, letter)));
        }
        for flag in conditions {
            if !self.flags.contains(&flag) {
                self.flags.push(flag);
            }
        }
        (self.flags.len() <= usize::from(MAX_FLAGS)).then_some(())
    }

    fn flag(&self, wanted: Flag) -> Option<u8> {
        let place = self.flags.iter().position(|flag| *flag == wanted)?;
        u8::try_from(place).ok()
    }

    fn push(&mut self, step: Step) -> Option<u32> {
        if self.steps.len() >= MAX_STEPS {
            return None;
        }
        self.steps.push(step);
        u32::try_from(self.steps.len() - 1).ok()
    }

    fn set(&mut self, letters: Letters, next: u32) -> Option<u32> {
        let set = self.sets.number(letters)?;
        self.push(Step::Set { set, next })
    }

    fn lazily(&mut self, letters: Letters, next: u32) -> Option<u32> {
        let split = self.push(Step::Jump(next))?;
        let again = self.set(letters, split)?;
        *self.steps.get_mut(split as usize)? = Step::Either(next, again);
        Some(split)
    }

    /// Writes a node before what follows it.
    fn node(&mut self, node: &Node, next: u32, in_line: bool, repeated: bool) -> Option<u32> {
        match node {
            Node::Empty => Some(next),
            Node::Literal { letter, fold } => self.set(letters_of(*letter, *fold), next),
            Node::Any { all } => self.set(if *all { ALL } else { ALL & !LINE_END }, next),
            Node::Class(class) => self.set(letters(class), next),
            Node::Look(look) => self.look(*look, next, in_line),
            Node::Group { index, node } => {
                let slot = u16::try_from(index.checked_mul(2)?).ok()?;
                let mut end = next;
                if let Some(flag) = self.flag(Flag::Took(*index)) {
                    end = self.push(Step::Flag { flag, next: end })?;
                }
                end = self.push(Step::Save { slot: slot.checked_add(1)?, next: end })?;
                let kept = few_letters(node).filter(|found| {
                    found.iter().any(|letter| self.flag(Flag::Letter(*index, *letter)).is_some())
                });
                let start = match kept {
                    // Which letter it was holds from here on: it must be the only one.
                    Some(_) if repeated => return None,
                    Some(kept) => self.letters_of(*index, &kept, end)?,
                    None => self.node(node, end, in_line, repeated)?,
                };
                self.push(Step::Save { slot, next: start })
            }
            Node::Around { behind: false, negated: true, node } => {
                let text = exact(node)?;
                self.texts.push(text);
                let text = u16::try_from(self.texts.len() - 1).ok()?;
                self.push(Step::Not { text, next })
            }
            Node::Around { .. } | Node::Atomic(_) => None,
            Node::Back { index, fold } => self.again(*index, *fold, next),
            Node::If { index, yes, no } => {
                let flag = self.flag(Flag::Took(*index))?;
                let yes = self.node(yes, next, in_line, repeated)?;
                let no = self.node(no, next, in_line, repeated)?;
                self.push(Step::If { flag, yes, no })
            }
            Node::Concat(nodes) => {
                nodes.iter().rev().try_fold(next, |next, node| self.node(node, next, in_line, repeated))
            }
            Node::Either(nodes) => {
                let mut ways = None;
                for node in nodes.iter().rev() {
                    let way = self.node(node, next, in_line, repeated)?;
                    ways = match ways {
                        None => Some(way),
                        Some(other) => Some(self.push(Step::Either(way, other))?),
                    };
                }
                ways
            }
            Node::Repeat { greed: Greed::Possessive, .. } => None,
            Node::Repeat { node, min, max, greed } => {
                self.repeat(node, (*min, *max), *greed == Greed::Lazy, next, in_line)
            }
        }
    }

    fn look(&mut self, look: Look, next: u32, in_line: bool) -> Option<u32> {
        self.looks_back |= match look {
            Look::Start | Look::StartOfLine | Look::Edge { .. } | Look::NoEdge { .. } | Look::Bound => true,
            // Elsewhere a line end need not be the last letter.
            Look::End if !in_line => return None,
            Look::End | Look::EndOfLine | Look::VeryEnd => false,
        };
        self.push(Step::Look { look, next })
    }

    /// A group of one of few letters, each of which is remembered.
    fn letters_of(&mut self, group: usize, kept: &[u8], next: u32) -> Option<u32> {
        let mut ways = None;
        for letter in kept {
            let flag = self.flag(Flag::Letter(group, *letter))?;
            let flagged = self.push(Step::Flag { flag, next })?;
            let way = self.set(1 << letter, flagged)?;
            ways = match ways {
                None => Some(way),
                Some(other) => Some(self.push(Step::Either(way, other))?),
            };
        }
        ways
    }

    /// The letter that a group took.
    fn again(&mut self, group: usize, fold: bool, next: u32) -> Option<u32> {
        let flags: Vec<(u8, u8)> = (0_u8..)
            .zip(&self.flags)
            .filter_map(|(at, flag)| match flag {
                Flag::Letter(of, letter) if *of == group => Some((at, *letter)),
                Flag::Letter(..) | Flag::Took(_) => None,
            })
            .collect();
        if flags.is_empty() || (fold && flags.iter().any(|(_, letter)| letter.is_ascii_alphabetic())) {
            return None;
        }
        let mut way = self.set(0, next)?;
        for (flag, letter) in flags {
            let yes = self.set(1 << letter, next)?;
            way = self.push(Step::If { flag, yes, no: way })?;
        }
        Some(way)
    }

    fn repeat(
        &mut self,
        node: &Node,
        (min, max): (u32, Option<u32>),
        lazy: bool,
        next: u32,
        in_line: bool,
    ) -> Option<u32> {
        let either =
            |into: u32, out: u32| if lazy { Step::Either(out, into) } else { Step::Either(into, out) };
        let mut start = next;
        match max {
            Some(max) => {
                for _ in min..max {
                    let once = self.node(node, start, in_line, true)?;
                    start = self.push(either(once, next))?;
                }
            }
            // The machine counts how far such a loop came.
            None if may_be_empty(node) => return None,
            None => {
                let split = self.push(Step::Jump(next))?;
                let again = self.node(node, split, in_line, true)?;
                *self.steps.get_mut(split as usize)? = either(again, next);
                start = split;
            }
        }
        for _ in 0..min {
            start = self.node(node, start, in_line, true)?;
        }
        Some(start)
    }
}

/// The letters of a class that has few.
fn few_letters(node: &Node) -> Option<Vec<u8>> {
    let Node::Class(class) = node else { return None };
    let is_sign = |letter: &char| letter.is_ascii() && !(class.fold && letter.is_alphabetic());
    let is_few = |item: &Item| matches!(item, Item::Letter(letter) if is_sign(letter));
    if class.negated || !class.items.iter().all(is_few) {
        return None;
    }
    let found: Vec<u8> = (0_u8..128).filter(|byte| letters(class) >> byte & 1 == 1).collect();
    (found.len() <= MAX_AGAIN).then_some(found)
}

/// A text that stands for itself only.
fn exact(node: &Node) -> Option<Box<[u8]>> {
    let nodes = if let Node::Concat(nodes) = node { nodes.as_slice() } else { std::slice::from_ref(node) };
    let letter = |node: &Node| {
        let (letter, _) = node.letter().filter(|(letter, fold)| !*fold || !letter.is_alphabetic())?;
        u8::try_from(letter).ok().filter(u8::is_ascii)
    };
    let text: Box<[u8]> = nodes.iter().map(letter).collect::<Option<_>>()?;
    (!text.is_empty()).then_some(text)
}
