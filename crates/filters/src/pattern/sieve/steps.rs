use crate::pattern::program::begins_at_start;
use crate::pattern::set::{Letters, letters, letters_of};
use crate::pattern::sets::{Sets, classes};
use crate::python::{Look, Node};

/// Steps of all expressions together.
const MAX_STEPS: usize = 50_000;
/// A repetition is counted up to here, and beyond it may go on for ever.
const MAX_COUNTED: u32 = 12;

const ALL: Letters = Letters::MAX;
const LINE_END: Letters = 1 << b'\n';

/// Expressions as steps that are all tried at once.
#[derive(Clone, Debug, Default)]
pub(super) struct Steps {
    pub(super) steps: Vec<Step>,
    pub(super) starts: Vec<u32>,
    /// Steps before this one are those of the first expression, and so on.
    ends: Vec<usize>,
    sets: Sets,
}

#[derive(Clone, Copy, Debug)]
pub(super) enum Step {
    /// A letter of a set.
    Set {
        set: u32,
        next: u32,
    },
    Either(u32, u32),
    Jump(u32),
    /// This expression matches.
    Match(u8),
    /// It does if the text ends here.
    MatchAtEnd(u8),
}

impl Steps {
    pub(super) fn new<'n>(roots: impl Iterator<Item = &'n Node>, most: usize) -> Option<Self> {
        let mut steps = Self::default();
        for (expression, root) in roots.enumerate() {
            if expression >= most {
                return None;
            }
            let start = steps.expression(root, u8::try_from(expression).ok()?)?;
            steps.starts.push(start);
            steps.ends.push(steps.steps.len());
        }
        Some(steps)
    }

    pub(super) fn holds(&self, set: u32, byte: u8) -> bool {
        self.sets.holds(set, byte)
    }

    /// Whose step it is.
    pub(super) fn expression_of(&self, step: u32) -> usize {
        self.ends.partition_point(|end| *end <= step as usize)
    }

    /// A number for each letter, the same for letters that no set tells apart, and how many numbers there are.
    pub(super) fn classes(&self) -> ([u8; 256], usize) {
        let (of_letters, firsts) = classes(self.sets.all());
        // What is not ASCII is a class of its own.
        let mut classes = [u8::try_from(firsts.len()).unwrap_or(u8::MAX); 256];
        for (class, of_letter) in classes.iter_mut().zip(of_letters) {
            *class = of_letter;
        }
        (classes, (firsts.len() + 1).next_power_of_two())
    }

    /// Steps are written from the end on: each knows what follows it.
    fn expression(&mut self, root: &Node, expression: u8) -> Option<u32> {
        let mut end = self.push(Step::Match(expression))?;
        let (root, last) = without_end(root);
        if last {
            let at_end = self.push(Step::MatchAtEnd(expression))?;
            let line_end = self.set(LINE_END, end)?;
            end = self.push(Step::Either(line_end, at_end))?;
        }
        let mut start = end;
        for node in root.iter().rev() {
            start = self.node(node, start)?;
        }
        if root.first().is_some_and(begins_at_start) {
            return Some(start);
        }
        self.any_number(ALL, start)
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

    fn any_number(&mut self, letters: Letters, next: u32) -> Option<u32> {
        let split = self.push(Step::Jump(next))?;
        let again = self.set(letters, split)?;
        *self.steps.get_mut(split as usize)? = Step::Either(again, next);
        Some(split)
    }

    /// Writes a node before what follows it.
    fn node(&mut self, node: &Node, next: u32) -> Option<u32> {
        match node {
            Node::Empty | Node::Look(_) | Node::Around { .. } => Some(next),
            Node::Literal { letter, fold } => self.set(letters_of(*letter, *fold), next),
            Node::Any { all } => self.set(if *all { ALL } else { ALL & !LINE_END }, next),
            Node::Class(class) => self.set(letters(class), next),
            Node::Group { node, .. } | Node::Atomic(node) => self.node(node, next),
            Node::Back { .. } => self.any_number(ALL, next),
            Node::If { yes, no, .. } => {
                let (yes, no) = (self.node(yes, next)?, self.node(no, next)?);
                self.push(Step::Either(yes, no))
            }
            Node::Concat(nodes) => nodes.iter().rev().try_fold(next, |next, node| self.node(node, next)),
            Node::Either(nodes) => {
                let mut ways = None;
                for node in nodes {
                    let way = self.node(node, next)?;
                    ways = match ways {
                        None => Some(way),
                        Some(other) => Some(self.push(Step::Either(other, way))?),
                    };
                }
                ways
            }
            Node::Repeat { node, min, max, .. } => self.repeat(node, (*min, *max), next),
        }
    }

    fn repeat(&mut self, node: &Node, (min, max): (u32, Option<u32>), next: u32) -> Option<u32> {
        let min = min.min(MAX_COUNTED);
        let mut start = next;
        match max.filter(|max| *max <= MAX_COUNTED) {
            Some(max) => {
                for _ in min..max {
                    let once = self.node(node, start)?;
                    start = self.push(Step::Either(once, next))?;
                }
            }
            None => {
                let split = self.push(Step::Jump(next))?;
                let again = self.node(node, split)?;
                *self.steps.get_mut(split as usize)? = Step::Either(again, next);
                start = split;
            }
        }
        for _ in 0..min {
            start = self.node(node, start)?;
        }
        Some(start)
    }
}

/// What an expression says before a `$` at its end, and whether there is one.
fn without_end(root: &Node) -> (&[Node], bool) {
    let nodes = if let Node::Concat(nodes) = root { nodes.as_slice() } else { std::slice::from_ref(root) };
    match nodes.split_last() {
        Some((Node::Look(Look::End | Look::EndOfLine | Look::VeryEnd), before)) => (before, true),
        _ => (nodes, false),
    }
}
