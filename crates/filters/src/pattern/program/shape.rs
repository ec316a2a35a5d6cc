use crate::python::{Look, Node};

/// Whether it may match without a letter.
pub(in crate::pattern) fn may_be_empty(node: &Node) -> bool {
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
pub(super) fn width(node: &Node) -> Option<usize> {
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

pub(in crate::pattern) fn begins_at_start(node: &Node) -> bool {
    match node {
        Node::Look(look) => *look == Look::Start,
        Node::Group { node, .. } | Node::Atomic(node) => begins_at_start(node),
        Node::Concat(nodes) => nodes.first().is_some_and(begins_at_start),
        Node::Either(nodes) => nodes.iter().all(begins_at_start),
        Node::Empty
        | Node::Literal { .. }
        | Node::Any { .. }
        | Node::Class(_)
        | Node::Around { .. }
        | Node::Back { .. }
        | Node::If { .. }
        | Node::Repeat { .. } => false,
    }
}
