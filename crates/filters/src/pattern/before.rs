use memchr::memmem::Finder;

use super::set::{self, Set};
use crate::python::Node;

/// What stands right before each host that an expression finds: a text, and from there one way only.
#[derive(Clone, Debug)]
pub(crate) struct Before {
    text: Finder<'static>,
    parts: Vec<Part>,
}

#[derive(Clone, Debug)]
enum Part {
    Text(Vec<u8>),
    One(Set),
    /// All letters of a set that there are: none of them can be what follows.
    All(Set),
}

impl Before {
    /// What every match that finds one of some groups has right before it, with something behind that does not begin with
    /// `never`. `None` where that is not sure.
    pub(super) fn of(root: &Node, groups: &[usize], never: char) -> Option<Self> {
        let mut parts = parts(root, Vec::new(), groups, never)?;
        let len = |part: &Part| if let Part::Text(text) = part { text.len() } else { 0 };
        let longest = (0..parts.len()).max_by_key(|at| parts.get(*at).map_or(0, len))?;
        let rest = parts.split_off(longest + 1);
        match parts.pop() {
            Some(Part::Text(text)) => Some(Self { text: Finder::new(&text).into_owned(), parts: rest }),
            _ => None,
        }
    }

    /// The places in a text where a host may begin.
    pub(crate) fn places<'t>(&'t self, text: &'t str) -> impl Iterator<Item = usize> + 't {
        let mut from = 0;
        // One copy may begin within another.
        let copies = std::iter::from_fn(move || {
            let place = from + self.text.find(text.as_bytes().get(from..)?)?;
            from = place + 1;
            Some(place + self.text.needle().len())
        });
        copies.filter_map(|place| self.parts.iter().try_fold(place, |at, part| part.end(text, at)))
    }
}

impl Part {
    /// Where it ends if it stands at a place.
    fn end(&self, text: &str, at: usize) -> Option<usize> {
        match self {
            Self::Text(part) => text.as_bytes().get(at..)?.starts_with(part).then_some(at + part.len()),
            Self::One(set) => set.take(text, at).map(|len| at + len),
            Self::All(set) => Some(set.all(text, at)),
        }
    }
}

/// The parts before the host in a node, before which others stand.
fn parts(node: &Node, before: Vec<Part>, groups: &[usize], never: char) -> Option<Vec<Part>> {
    let is_host = must_begin(node) && !may_begin(node, never);
    match node {
        Node::Group { index, .. } if groups.contains(index) => is_host.then_some(before),
        Node::Group { node, .. } | Node::Atomic(node) => parts(node, before, groups, never),
        Node::Repeat { node, max, .. } => {
            parts(node, if *max == Some(1) { before } else { Vec::new() }, groups, never)
        }
        Node::Either(ways) => {
            let mut with = ways.iter().filter(|way| holds(way, groups));
            match (with.next(), with.next()) {
                (Some(way), None) => parts(way, before, groups, never),
                _ => is_host.then_some(before),
            }
        }
        Node::Concat(nodes) => {
            let mut with = nodes.iter().enumerate().filter(|(_, node)| holds(node, groups));
            let ((place, node), None) = (with.next()?, with.next()) else { return None };
            // An optional letter such as `[` belongs to the host.
            let optional = |node: &&Node| {
                matches!(node, Node::Repeat { node, min: 0, max: Some(1), .. }
                    if node.letter().is_some_and(|(letter, _)| letter != never))
            };
            let ahead = nodes.get(..place)?;
            let ahead = ahead.get(..place - ahead.iter().rev().take_while(optional).count())?;
            parts(node, joined(before, ahead), groups, never)
        }
        Node::Empty
        | Node::Literal { .. }
        | Node::Any { .. }
        | Node::Class(_)
        | Node::Look(_)
        | Node::Around { .. }
        | Node::Back { .. }
        | Node::If { .. } => None,
    }
}

/// Parts, and behind them those of some nodes; only the last where between them is something else.
fn joined(mut parts: Vec<Part>, nodes: &[Node]) -> Vec<Part> {
    for node in nodes {
        if let Some(letter) = exact(node) {
            let mut letter = letter.to_string().into_bytes();
            let is_in = |set: &Set| letter.first().is_some_and(|byte| set.may_begin(*byte));
            match parts.last_mut() {
                Some(Part::Text(text)) => text.append(&mut letter),
                // The run could end before its end.
                Some(Part::All(set)) if is_in(set) => parts = vec![Part::Text(letter)],
                Some(Part::All(_) | Part::One(_)) | None => parts.push(Part::Text(letter)),
            }
            continue;
        }
        // A run ends in one place only before a text, and all begins with one.
        let part = letters(node).filter(|_| !matches!(parts.last(), None | Some(Part::All(_))));
        match part {
            Some(part) => parts.push(part),
            None => parts.clear(),
        }
    }
    if matches!(parts.last(), Some(Part::All(_))) { Vec::new() } else { parts }
}

/// A letter of a class, or a run of them.
fn letters(node: &Node) -> Option<Part> {
    if let Node::Class(class) = node {
        return Some(Part::One(Set::of(class.clone())));
    }
    let Node::Repeat { node, .. } = node else { return None };
    if let Node::Class(class) = &**node { Some(Part::All(Set::of(class.clone()))) } else { None }
}

/// A letter that stands for itself only.
fn exact(node: &Node) -> Option<char> {
    node.letter().filter(|(letter, fold)| !*fold || !letter.is_alphabetic()).map(|(letter, _)| letter)
}

fn holds(node: &Node, groups: &[usize]) -> bool {
    let mut found = false;
    node.each(&mut |node| found |= matches!(node, Node::Group { index, .. } if groups.contains(index)));
    found
}

/// Whether a node never matches nothing.
fn must_begin(node: &Node) -> bool {
    match node {
        Node::Literal { .. } | Node::Any { .. } | Node::Class(_) => true,
        Node::Empty | Node::Look(_) | Node::Around { .. } | Node::Back { .. } => false,
        Node::Group { node, .. } | Node::Atomic(node) => must_begin(node),
        Node::If { yes, no, .. } => must_begin(yes) && must_begin(no),
        Node::Repeat { node, min, .. } => *min > 0 && must_begin(node),
        Node::Concat(nodes) => nodes.iter().any(must_begin),
        Node::Either(nodes) => nodes.iter().all(must_begin),
    }
}

/// Whether what a node matches may begin with a letter.
fn may_begin(node: &Node, letter: char) -> bool {
    match node {
        Node::Literal { letter: other, .. } => *other == letter,
        Node::Any { .. } | Node::Back { .. } => true,
        Node::Class(class) => set::holds(class, letter),
        Node::Empty | Node::Look(_) | Node::Around { .. } => false,
        Node::Group { node, .. } | Node::Atomic(node) | Node::Repeat { node, .. } => may_begin(node, letter),
        Node::If { yes, no, .. } => may_begin(yes, letter) || may_begin(no, letter),
        Node::Concat(nodes) => {
            let first = nodes.iter().position(must_begin).unwrap_or(nodes.len());
            nodes.iter().take(first + 1).any(|node| may_begin(node, letter))
        }
        Node::Either(nodes) => nodes.iter().any(|node| may_begin(node, letter)),
    }
}
