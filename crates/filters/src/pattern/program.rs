/// What a tree is like.
mod shape;

use super::code::Code;
use super::next::{self, Next};
use super::set::Set;
use crate::Error;
use crate::python::{Class, Greed, Item, Look, Node, Tree};
use shape::width;
pub(super) use shape::{begins_at_start, may_be_empty};

/// Steps of a program. An expression that repeats something large often is refused.
const MAX_STEPS: usize = 50_000;

/// An expression as a list of steps, for a machine that tries one way after another as Python's does.
#[derive(Clone, Debug)]
pub(super) struct Program {
    pub(super) code: Code,
    /// Places for groups, two each, the whole first, and behind them for loops.
    pub(super) slots: usize,
    /// With what a match may begin.
    pub(super) first: Next,
    /// It matches at the beginning of the text or nowhere.
    pub(super) at_start: bool,
    /// It asks for a text again that stood before.
    pub(super) refers_back: bool,
}

#[derive(Clone, Debug)]
pub(super) enum Step {
    Byte(u8),
    Text(Box<[u8]>),
    /// One of several words of which none begins like another as a whole.
    Words {
        words: Box<[Box<[u8]>]>,
        fold: bool,
    },
    Set(usize),
    /// A set as often as it can be, or as seldom; no letter is taken where the text `until` begins.
    Run {
        set: usize,
        until: Option<Box<[u8]>>,
        min: u32,
        max: u32,
        greed: Greed,
        next: Next,
    },
    /// First one way, then the other, each with what it may begin with.
    Either {
        ways: [usize; 2],
        next: [Next; 2],
    },
    Jump(usize),
    Save(usize),
    /// Goes on to a place if the loop has come no further since `Save`.
    Progress {
        slot: usize,
        out: usize,
    },
    Look(Look),
    /// Looks round with the steps that follow, up to `end`.
    Around {
        back: Option<usize>,
        negated: bool,
        end: usize,
    },
    /// Goes with the steps that follow, up to `end`, and does not come back.
    Atomic {
        end: usize,
    },
    Back {
        group: usize,
        fold: bool,
    },
    If {
        group: usize,
        no: usize,
    },
    Match,
}

impl Program {
    pub(super) fn new(tree: &Tree) -> Result<Self, Error> {
        let mut writer = Writer { steps: Vec::new(), sets: Vec::new(), slots: (tree.groups + 1) * 2 };
        writer.node(&tree.root)?;
        writer.push(Step::Match)?;
        let Writer { mut steps, sets, slots } = writer;
        for step in &mut steps {
            if let Step::Text(text) = step
                && let [byte] = **text
            {
                *step = Step::Byte(byte);
            }
        }
        next::foresee(&mut steps, &sets);
        let first = next::of(&steps, &sets, 0);
        let at_start = begins_at_start(&tree.root);
        let mut refers_back = false;
        tree.root.each(&mut |node| refers_back |= matches!(node, Node::Back { .. }));
        Ok(Self { code: Code::new(&steps, sets), slots, first, at_start, refers_back })
    }
}

impl Step {
    /// Whether it takes what it takes by one look, or nothing.
    pub(super) const fn is_simple(&self) -> bool {
        match self {
            Self::Byte(_) | Self::Text(_) | Self::Words { .. } | Self::Set(_) => true,
            Self::Run { .. }
            | Self::Either { .. }
            | Self::Jump(_)
            | Self::Save(_)
            | Self::Progress { .. }
            | Self::Look(_)
            | Self::Around { .. }
            | Self::Atomic { .. }
            | Self::Back { .. }
            | Self::If { .. }
            | Self::Match => false,
        }
    }
}

const fn either(first: usize, second: usize) -> Step {
    Step::Either { ways: [first, second], next: [Next::ANY; 2] }
}

struct Writer {
    steps: Vec<Step>,
    sets: Vec<Set>,
    slots: usize,
}

impl Writer {
    fn push(&mut self, step: Step) -> Result<usize, Error> {
        if self.steps.len() >= MAX_STEPS {
            return Err(Error::new("is too large")
                .help("a repetition such as `{1000}` of something large is too much"));
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
            Node::Literal { letter, .. } => self.text(*letter)?,
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
            Node::Concat(nodes) => {
                // A text must not grow over a place where something else goes on.
                let mut last_was_text = false;
                for node in nodes {
                    let is_text = matches!(node, Node::Literal { .. }) && single(node).is_none();
                    match (node, self.steps.last_mut()) {
                        (Node::Literal { letter, .. }, Some(Step::Text(text)))
                            if is_text && last_was_text =>
                        {
                            let mut bytes = [0; 4];
                            *text = [text, letter.encode_utf8(&mut bytes).as_bytes()].concat().into();
                        }
                        _ => self.node(node)?,
                    }
                    last_was_text = is_text;
                }
            }
            Node::Either(nodes) => self.either(nodes)?,
        }
        Ok(())
    }

    fn text(&mut self, letter: char) -> Result<(), Error> {
        let mut bytes = [0; 4];
        self.push(Step::Text(letter.encode_utf8(&mut bytes).as_bytes().into()))?;
        Ok(())
    }

    fn either(&mut self, nodes: &[Node]) -> Result<(), Error> {
        if let Some((words, fold)) = words(nodes) {
            self.push(Step::Words { words, fold })?;
            return Ok(());
        }
        let mut jumps = Vec::new();
        for (number, node) in nodes.iter().enumerate() {
            let is_last = number + 1 == nodes.len();
            let split = if is_last { None } else { Some(self.push(Step::Match)?) };
            self.node(node)?;
            if let Some(split) = split {
                jumps.push(self.push(Step::Match)?);
                let next = self.steps.len();
                self.patch(split, either(split + 1, next));
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
            (true, None) => {
                return Err(Error::new("a look back `(?<…)` has no fixed width, which Python refuses, too"));
            }
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
            self.push(Step::Run { set, until: None, min, max, greed, next: Next::ANY })?;
            return Ok(());
        }
        if let Some((set, until)) = tempered(node) {
            let (set, max) = (self.set(set), max.unwrap_or(u32::MAX));
            self.push(Step::Run { set, until: Some(until), min, max, greed, next: Next::ANY })?;
            return Ok(());
        }
        if greed == Greed::Possessive {
            let greedy = Node::Repeat { node: Box::new(node.clone()), min, max, greed: Greed::Greedy };
            return self.atomic(&greedy);
        }
        let ways = |into: usize, out: usize| {
            if greed == Greed::Lazy { either(out, into) } else { either(into, out) }
        };
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

/// `(?! from ).`: a letter of a set, but not where a text begins.
fn tempered(node: &Node) -> Option<(Set, Box<[u8]>)> {
    let Node::Concat(nodes) = node else { return None };
    let [Node::Around { behind: false, negated: true, node: text }, letter] = nodes.as_slice() else {
        return None;
    };
    let letters =
        if let Node::Concat(nodes) = &**text { nodes.as_slice() } else { std::slice::from_ref(&**text) };
    let mut until = String::new();
    for node in letters {
        let (letter, _) = node.letter().filter(|(letter, fold)| !*fold || !letter.is_alphabetic())?;
        until.push(letter);
    }
    let set = single(letter).or_else(|| single_literal(letter))?;
    (!until.is_empty()).then(|| (set, until.into_bytes().into()))
}

/// Words, and whether their case does not matter.
type Words = (Box<[Box<[u8]>]>, bool);

/// Alternatives that are words of ASCII, all in one case or all in either, of which at most one can stand in a place.
fn words(nodes: &[Node]) -> Option<Words> {
    let letter = |node: &Node| {
        let (letter, fold) = node.letter()?;
        Some((u8::try_from(letter).ok().filter(u8::is_ascii)?, fold))
    };
    let mut words: Vec<Box<[u8]>> = Vec::new();
    let mut folds = Vec::new();
    for node in nodes {
        let letters =
            if let Node::Concat(nodes) = node { nodes.as_slice() } else { std::slice::from_ref(node) };
        let letters = letters.iter().map(letter).collect::<Option<Vec<_>>>()?;
        folds.extend(letters.iter().filter(|(byte, _)| byte.is_ascii_alphabetic()).map(|(_, fold)| *fold));
        words.push(letters.into_iter().map(|(byte, _)| byte).collect());
    }
    let fold = folds.first().copied().unwrap_or(false);
    let apart = |one: &[u8], other: &[u8]| {
        let len = one.len().min(other.len());
        !one.get(..len).unwrap_or_default().eq_ignore_ascii_case(other.get(..len).unwrap_or_default())
    };
    let all_apart =
        words.iter().enumerate().all(|(at, word)| words.iter().skip(at + 1).all(|other| apart(word, other)));
    (all_apart && folds.iter().all(|other| *other == fold)).then(|| (words.into(), fold))
}

/// A node that is one letter of several.
fn single(node: &Node) -> Option<Set> {
    if let Node::Any { all } = node {
        let items = if *all { Vec::new() } else { vec![Item::Letter('\n')] };
        return Some(Set::of(Class { negated: true, items, fold: false }));
    }
    if let Node::Class(class) = node {
        return Some(Set::of(class.clone()));
    }
    node.letter()
        .filter(|(letter, fold)| *fold && letter.is_alphabetic())
        .map(|(letter, _)| Set::folded(letter))
}

fn single_literal(node: &Node) -> Option<Set> {
    let (letter, _) = node.letter()?;
    Some(Set::of(Class { negated: false, items: vec![Item::Letter(letter)], fold: false }))
}
