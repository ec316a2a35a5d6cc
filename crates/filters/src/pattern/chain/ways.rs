use crate::pattern::program::may_be_empty;
use crate::pattern::set::{Letters, letters, letters_of};
use crate::python::{Greed, Node};

/// Ways of a piece, a bit each, and letters of each.
const MAX_WAYS: usize = 31;
const MAX_LEN: usize = 24;

/// One after another, a letter of each of these sets.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Way {
    pub(super) letters: Vec<Letters>,
    /// So many of them are the group's; behind them are letters that always follow.
    pub(super) part: usize,
}

/// All ways that a node may go, as Python tries them; `None` for too many, or what asks for more than letters.
pub(super) fn of(node: &Node) -> Option<Vec<Way>> {
    let ways = expand(node)?.into_iter();
    Some(ways.map(|letters| Way { part: letters.len(), letters }).collect())
}

fn expand(node: &Node) -> Option<Vec<Vec<Letters>>> {
    match node {
        Node::Empty => Some(vec![Vec::new()]),
        Node::Literal { letter, fold } if letter.is_ascii() => Some(vec![vec![letters_of(*letter, *fold)]]),
        Node::Class(class) => Some(vec![vec![letters(class)]]),
        Node::Group { node, .. } => expand(node),
        Node::Concat(nodes) => {
            nodes.iter().try_fold(vec![Vec::new()], |ways, node| joined(&ways, &expand(node)?))
        }
        Node::Either(nodes) => {
            let each = nodes.iter().map(expand).collect::<Option<Vec<_>>>()?;
            few(each.into_iter().flatten())
        }
        // What may be empty may be left out as well, but not come again.
        Node::Repeat { node, min, max: Some(max), greed: Greed::Greedy }
            if *max == 1 || !may_be_empty(node) =>
        {
            let once = expand(node)?;
            let mut ways = vec![Vec::new()];
            // From the last on: each may be followed by one more, or not.
            for count in (0..*max).rev() {
                ways = joined(&once, &ways)?;
                if count >= *min {
                    ways.push(Vec::new());
                }
            }
            few(ways.into_iter())
        }
        Node::Literal { .. }
        | Node::Any { .. }
        | Node::Look(_)
        | Node::Around { .. }
        | Node::Back { .. }
        | Node::If { .. }
        | Node::Atomic(_)
        | Node::Repeat { .. } => None,
    }
}

fn joined(ways: &[Vec<Letters>], behind: &[Vec<Letters>]) -> Option<Vec<Vec<Letters>>> {
    few(ways.iter().flat_map(|way| behind.iter().map(move |behind| [way.as_slice(), behind].concat())))
}

/// Each of them once.
fn few(ways: impl Iterator<Item = Vec<Letters>>) -> Option<Vec<Vec<Letters>>> {
    let mut kept: Vec<Vec<Letters>> = Vec::new();
    for way in ways {
        if kept.contains(&way) {
            continue;
        }
        if kept.len() >= MAX_WAYS || way.len() > MAX_LEN {
            return None;
        }
        kept.push(way);
    }
    Some(kept)
}
