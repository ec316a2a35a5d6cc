use super::set::Set;
use crate::Error;
use crate::python::{Class, Greed, Item, Look, Node, Tree};

/// Steps of a program. An expression that repeats something large often is refused.
const MAX_STEPS: usize = 50_000;

/// An expression as a list of steps, for a machine that tries one way after another as Python's does.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) steps: Vec<Step>,
    pub(super) sets: Vec<Set>,
    /// Places for groups, two each, the whole first, and behind them for loops.
    pub(super) slots: usize,
    /// With which bytes a match may begin; `None` if with any, or if it may be empty.
    pub(super) first: Option<Box<[bool; 256]>>,
    /// It matches at the beginning of the text or nowhere.
    pub(super) at_start: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Byte(u8),
    Set(usize),
    /// A set as often as it can be, or as seldom.
    Run { set: usize, min: u32, max: u32, greed: Greed, next: Option<u8> },
    /// First one way, then the other.
    Either(usize, usize),
    Jump(usize),
    Save(usize),
    /// Goes on to a place if the loop has come no further since `Save`.
    Progress { slot: usize, out: usize },
    Look(Look),
    /// Looks round with the steps that follow, up to `end`.
    Around { back: Option<usize>, negated: bool, end: usize },
    /// Goes with the steps that follow, up to `end`, and does not come back.
    Atomic { end: usize },
    Back { group: usize, fold: bool },
    If { group: usize, no: usize },
    Match,
}

impl Program {
    pub(super) fn new(tree: &Tree) -> Result<Self, Error> {
        let mut writer = Writer { steps: Vec::new(), sets: Vec::new(), slots: (tree.groups + 1) * 2 };
        writer.node(&tree.root)?;
        writer.push(Step::Match)?;
        let Writer { mut steps, sets, slots } = writer;
        foresee(&mut steps);
        let mut first = Box::new([false; 256]);
        let may_be_empty = first_bytes(&tree.root, &mut first);
        let all = first.iter().all(|is_in| *is_in);
        let first = (!may_be_empty && !all).then_some(first);
        Ok(Self { steps, sets, slots, first, at_start: begins_at_start(&tree.root) })
    }
}

struct Writer {
    steps: Vec<Step>,
    sets: Vec<Set>,
    slots: usize,
}

impl Writer {
    fn push(&mut self, step: Step) -> Result<usize, Error> {
        if self.steps.len() >= MAX_STEPS {
            return Err(Error::new("is too large").help("a repetition such as `{1000}` of something large is too much"));
        }
        self.steps.push(step);
        Ok(self.steps.len() - 1)
    }

    fn set(&mut self, set: Set) -> usize {
        self.sets.iter().position(|other| *other == set).unwrap_or_else(|| {
            self.sets.push(set);
            self.sets.len() - 1
        })
    }

    /// Sets where a step that was written before goes on.
    fn patch(&mut self, at: usize, step: Step) {
        if let Some(place) = self.steps.get_mut(at) {
            *place = step;
        }
    }

    fn node(&mut self, node: &Node) -> Result<(), Error> {
        if let Some(set) = single(node) {
            let set = self.set(set);
            self.push(Step::Set(set))?;
            return Ok(());
        }
        match node {
            Node::Empty | Node::Any { .. } | Node::Class(_) => {}
            Node::Literal { letter, .. } => {
                let mut bytes = [0; 4];
                for byte in letter.encode_utf8(&mut bytes).bytes() {
                    self.push(Step::Byte(byte))?;
                }
            }
            Node::Look(look) => drop(self.push(Step::Look(*look))?),
            Node::Group { index, node } => {
                self.push(Step::Save(index * 2))?;
                self.node(node)?;
                self.push(Step::Save(index * 2 + 1))?;
            }
            Node::Around { behind, negated, node } => self.around(*behind, *negated, node)?,
            Node::Back { index, fold } => drop(self.push(Step::Back { group: *index, fold: *fold })?),
            Node::If { index, yes, no } => self.condition(*index, yes, no)?,
            Node::Atomic(node) => self.atomic(node)?,
            Node::Repeat { node, min, max, greed } => self.repeat(node, *min, *max, *greed)?,
            Node::Concat(nodes) => nodes.iter().try_for_each(|node| self.node(node))?,
            Node::Either(nodes) => self.either(nodes)?,
        }
        Ok(())
    }

    fn either(&mut self, nodes: &[Node]) -> Result<(), Error> {
        let mut jumps = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let is_last = number + 1 == nodes.len();
            let split = if is_last { None } else { Some(self.push(Step::Match)?) };
            self.node(node)?;
            if let Some(split) = split {
                jumps.push(self.push(Step::Match)?);
                let next = self.steps.len();
                self.patch(split, Step::Either(split + 1, next));
            }
        }
        let end = self.steps.len();
        jumps.into_iter().for_each(|jump| self.patch(jump, Step::Jump(end)));
        Ok(())
    }

    fn around(&mut self, behind: bool, negated: bool, node: &Node) -> Result<(), Error> {
        let back = match (behind, width(node)) {
            (false, _) => None,
            (true, Some(width)) => Some(width),
            (true, None) => return Err(Error::new("a look back `(?<…)` has no fixed width, which Python refuses, too")),
        };
        let at = self.push(Step::Match)?;
        self.node(node)?;
        self.push(Step::Match)?;
        let end = self.steps.len();
        self.patch(at, Step::Around { back, negated, end });
        Ok(())
    }

    fn atomic(&mut self, node: &Node) -> Result<(), Error> {
        let at = self.push(Step::Match)?;
        self.node(node)?;
        self.push(Step::Match)?;
        let end = self.steps.len();
        self.patch(at, Step::Atomic { end });
        Ok(())
    }

    fn condition(&mut self, group: usize, yes: &Node, no: &Node) -> Result<(), Error> {
        let at = self.push(Step::Match)?;
        self.node(yes)?;
        let jump = self.push(Step::Match)?;
        let otherwise = self.steps.len();
        self.node(no)?;
        let end = self.steps.len();
        self.patch(at, Step::If { group, no: otherwise });
        self.patch(jump, Step::Jump(end));
        Ok(())
    }

    fn repeat(&mut self, node: &Node, min: u32, max: Option<u32>, greed: Greed) -> Result<(), Error> {
        if let Some(set) = single(node).or_else(|| single_literal(node)) {
            let set = self.set(set);
            let max = max.unwrap_or(u32::MAX);
            self.push(Step::Run { set, min, max, greed, next: None })?;
            return Ok(());
        }
        if greed == Greed::Possessive {
            let greedy = Node::Repeat { node: Box::new(node.clone()), min, max, greed: Greed::Greedy };
            return self.atomic(&greedy);
        }
        let ways = |into: usize, out: usize| if greed == Greed::Lazy { Step::Either(out, into) } else { Step::Either(into, out) };
        for _ in 0..min {
            self.node(node)?;
        }
        let Some(max) = max else {
            let split = self.push(Step::Match)?;
            let slot = may_be_empty(node).then_some(self.slots);
            if let Some(slot) = slot {
                self.slots += 1;
                self.push(Step::Save(slot))?;
            }
            self.node(node)?;
            let after = self.steps.len() + 1 + usize::from(slot.is_some());
            if let Some(slot) = slot {
                self.push(Step::Progress { slot, out: after })?;
            }
            self.push(Step::Jump(split))?;
            self.patch(split, ways(split + 1, after));
            return Ok(());
        };
        let mut splits = Vec::new();
        for _ in min..max {
            splits.push(self.push(Step::Match)?);
            self.node(node)?;
        }
        let end = self.steps.len();
        splits.into_iter().for_each(|split| self.patch(split, ways(split + 1, end)));
        Ok(())
    }
}

/// A node that is one letter of several.
fn single(node: &Node) -> Option<Set> {
    match node {
        Node::Any { all } => {
            let items = if *all { Vec::new() } else { vec![Item::Letter('\n')] };
            Some(Set::of(Class { negated: true, items, fold: false }))
        }
        Node::Class(class) => Some(Set::of(class.clone())),
        Node::Literal { letter, fold: true } if letter.is_alphabetic() => Some(Set::folded(*letter)),
        _ => None,
    }
}

fn single_literal(node: &Node) -> Option<Set> {
    match node {
        Node::Literal { letter, .. } => {
            Some(Set::of(Class { negated: false, items: vec![Item::Letter(*letter)], fold: false }))
        }
        _ => None,
    }
}

fn may_be_empty(node: &Node) -> bool {
    match node {
        Node::Empty | Node::Look(_) | Node::Around { .. } | Node::Back { .. } => true,
        Node::Literal { .. } | Node::Any { .. } | Node::Class(_) => false,
        Node::Group { node, .. } | Node::Atomic(node) => may_be_empty(node),
        Node::If { yes, no, .. } => may_be_empty(yes) || may_be_empty(no),
        Node::Repeat { node, min, .. } => *min == 0 || may_be_empty(node),
        Node::Concat(nodes) => nodes.iter().all(may_be_empty),
        Node::Either(nodes) => nodes.iter().any(may_be_empty),
    }
}

/// How many letters a node has, if it always has as many.
fn width(node: &Node) -> Option<usize> {
    match node {
        Node::Empty | Node::Look(_) | Node::Around { .. } => Some(0),
        Node::Literal { .. } | Node::Any { .. } | Node::Class(_) => Some(1),
        Node::Group { node, .. } | Node::Atomic(node) => width(node),
        Node::Back { .. } => None,
        Node::If { yes, no, .. } => width(yes).filter(|yes| Some(*yes) == width(no)),
        Node::Repeat { node, min, max, .. } if Some(*min) == *max => Some(width(node)? * *min as usize),
        Node::Repeat { .. } => None,
        Node::Concat(nodes) => nodes.iter().map(width).sum(),
        Node::Either(nodes) => {
            let mut widths = nodes.iter().map(width);
            let first = widths.next()??;
            widths.all(|width| width == Some(first)).then_some(first)
        }
    }
}

/// Adds the bytes that a node may begin with; says whether it may be empty.
fn first_bytes(node: &Node, first: &mut [bool; 256]) -> bool {
    if let Some(set) = single(node).or_else(|| single_literal(node)) {
        for (byte, is_first) in (0_u8..=255).zip(first.iter_mut()) {
            *is_first |= set.has_byte(byte);
        }
        return false;
    }
    match node {
        Node::Literal { .. } | Node::Any { .. } | Node::Class(_) => false,
        Node::Empty | Node::Look(_) | Node::Around { .. } => true,
        Node::Back { .. } => {
            first.fill(true);
            true
        }
        Node::Group { node, .. } | Node::Atomic(node) => first_bytes(node, first),
        Node::If { yes, no, .. } => first_bytes(yes, first) | first_bytes(no, first),
        Node::Repeat { node, min, .. } => first_bytes(node, first) || *min == 0,
        Node::Concat(nodes) => nodes.iter().all(|node| first_bytes(node, first)),
        Node::Either(nodes) => nodes.iter().fold(false, |empty, node| first_bytes(node, first) | empty),
    }
}

fn begins_at_start(node: &Node) -> bool {
    match node {
        Node::Look(look) => *look == Look::Start,
        Node::Group { node, .. } | Node::Atomic(node) => begins_at_start(node),
        Node::Concat(nodes) => nodes.first().is_some_and(begins_at_start),
        Node::Either(nodes) => nodes.iter().all(begins_at_start),
        _ => false,
    }
}

/// Tells each run which byte must follow, where that is known.
fn foresee(steps: &mut [Step]) {
    for at in 0..steps.len() {
        let following = steps.get(at + 1..).unwrap_or_default().iter().find(|step| !matches!(step, Step::Save(_)));
        let Some(Step::Byte(byte)) = following else { continue };
        let byte = *byte;
        if let Some(Step::Run { next, .. }) = steps.get_mut(at) {
            *next = Some(byte);
        }
    }
}
