use super::ast::{Class, Item, Kind, Node, Tree};

/// Letters that a group may hold to be unrolled.
const MAX_LETTERS: usize = 4;

/// Replaces a reference back to a group of one letter of a few, `(?P<s>[-/])…(?P=s)`, by one branch for each letter, which
/// `regex` can do. The group stands in several places then.
pub(crate) fn unroll(tree: Tree) -> Tree {
    let Tree { root, groups, names } = tree;
    Tree { root: node(root), groups, names }
}

fn node(tree: Node) -> Node {
    match tree {
        Node::Concat(nodes) => {
            let nodes: Vec<Node> = nodes.into_iter().map(node).collect();
            row(nodes)
        }
        Node::Either(nodes) => Node::Either(nodes.into_iter().map(node).collect()),
        Node::Group { index, node: inner } => Node::Group { index, node: Box::new(node(*inner)) },
        other => other,
    }
}

fn row(nodes: Vec<Node>) -> Node {
    let found = nodes.iter().enumerate().find_map(|(at, node)| {
        let Node::Group { index, node } = node else { return None };
        let last =
            nodes.iter().rposition(|node| matches!(node, Node::Back { index: back, .. } if back == index))?;
        Some((at, *index, letters(node)?, last))
    });
    let Some((first, group, letters, last)) = found else { return Node::Concat(nodes) };
    let branch = |letter: char| {
        let literal = Node::Literal { letter, fold: false };
        let nodes =
            nodes.iter().enumerate().skip(first).take(last + 1 - first).map(|(at, node)| match node {
                _ if at == first => Node::Group { index: group, node: Box::new(literal.clone()) },
                Node::Back { index, .. } if *index == group => literal.clone(),
                node => node.clone(),
            });
        Node::Concat(nodes.collect())
    };
    let mut row: Vec<Node> = nodes.get(..first).unwrap_or_default().to_vec();
    row.push(Node::Either(letters.into_iter().map(branch).collect()));
    row.extend(nodes.get(last + 1..).unwrap_or_default().iter().cloned());
    Node::Concat(row)
}

fn letters(node: &Node) -> Option<Vec<char>> {
    let Node::Class(class) = node else { return None };
    let letters: Option<Vec<char>> = class
        .items
        .iter()
        .map(|item| match item {
            Item::Letter(letter) if !letter.is_alphabetic() => Some(*letter),
            Item::Letter(_) | Item::Range(..) | Item::Kind { .. } => None,
        })
        .collect();
    letters.filter(|letters| !class.negated && letters.len() <= MAX_LETTERS)
}

/// Whether an expression is `^(?:\W{0,2})?(…)` and a bound, and what is in the group begins with a letter or a digit. Then the
/// group begins after what is neither, and ends where the match does.
pub(crate) fn leads(node: &Node) -> bool {
    let Node::Concat(nodes) = node else { return false };
    let group = match nodes.as_slice() {
        [Node::Look(_), Node::Repeat { .. }, Node::Group { index: 1, node }] => node,
        [Node::Look(_), Node::Repeat { .. }, Node::Group { index: 1, node }, Node::Look(_)] => node,
        _ => return false,
    };
    begins_with_word(group) == Some(true)
}

/// `None`: it may be empty.
fn begins_with_word(node: &Node) -> Option<bool> {
    let all = |found: Vec<Option<bool>>| {
        if found.contains(&Some(false)) {
            Some(false)
        } else if found.contains(&None) {
            None
        } else {
            Some(true)
        }
    };
    match node {
        Node::Empty | Node::Look(_) => None,
        Node::Literal { letter, .. } => Some(letter.is_alphanumeric() || *letter == '_'),
        Node::Class(class) => Some(is_word(class)),
        Node::Group { node, .. } => begins_with_word(node),
        Node::Repeat { node, min, .. } => {
            let inner = begins_with_word(node);
            if *min == 0 && inner == Some(true) { None } else { inner }
        }
        Node::Either(nodes) => all(nodes.iter().map(begins_with_word).collect()),
        Node::Concat(nodes) => nodes.iter().map(begins_with_word).find(Option::is_some).flatten(),
        Node::Any { .. } | Node::Around { .. } | Node::Back { .. } | Node::If { .. } | Node::Atomic(_) => {
            Some(false)
        }
    }
}

fn is_word(class: &Class) -> bool {
    let item = |item: &Item| match item {
        Item::Letter(letter) => letter.is_alphanumeric() || *letter == '_',
        Item::Range(low, high) => low.is_ascii_alphanumeric() && high.is_ascii_alphanumeric(),
        Item::Kind { kind, negated, .. } => !negated && *kind != Kind::Space,
    };
    !class.negated && class.items.iter().all(item)
}
