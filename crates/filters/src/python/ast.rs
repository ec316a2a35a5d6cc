/// A regular expression, taken apart. Flags stand where they count.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Node {
    Empty,
    Literal {
        letter: char,
        fold: bool,
    },
    /// `.`, and whether it takes a line end.
    Any {
        all: bool,
    },
    Class(Class),
    Look(Look),
    /// A capturing group, from 1.
    Group {
        index: usize,
        node: Box<Self>,
    },
    /// `(?=…)` and its kin.
    Around {
        behind: bool,
        negated: bool,
        node: Box<Self>,
    },
    /// `\1`, `(?P=name)`
    Back {
        index: usize,
        fold: bool,
    },
    /// `(?(1)yes|no)`
    If {
        index: usize,
        yes: Box<Self>,
        no: Box<Self>,
    },
    /// `(?>…)`
    Atomic(Box<Self>),
    Repeat {
        node: Box<Self>,
        min: u32,
        max: Option<u32>,
        greed: Greed,
    },
    Concat(Vec<Self>),
    Either(Vec<Self>),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Greed {
    Greedy,
    Lazy,
    Possessive,
}

/// Something between two letters.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Look {
    /// `^`, `\A`
    Start,
    /// `^` with `(?m)`
    StartOfLine,
    /// `$`: the end, or before the line end that is last
    End,
    /// `$` with `(?m)`
    EndOfLine,
    /// `\Z`
    VeryEnd,
    /// `\b`
    Edge { ascii: bool },
    /// `\B`
    NoEdge { ascii: bool },
    /// Not between two letters of one word: what fail2ban puts at both ends of a date.
    Bound,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) struct Class {
    pub(crate) negated: bool,
    pub(crate) items: Vec<Item>,
    pub(crate) fold: bool,
}

#[derive(Clone, Debug, Eq, PartialEq)]
pub(crate) enum Item {
    Letter(char),
    Range(char, char),
    Kind { kind: Kind, negated: bool, ascii: bool },
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Kind {
    /// `\d`
    Digit,
    /// `\s`
    Space,
    /// `\w`
    Word,
}

impl Class {
    /// `\w` as a class of its own.
    pub(crate) fn of(kind: Kind, negated: bool, ascii: bool) -> Self {
        Self { negated: false, items: vec![Item::Kind { kind, negated, ascii }], fold: false }
    }
}

/// A whole expression.
#[derive(Clone, Debug)]
pub(crate) struct Tree {
    pub(crate) root: Node,
    /// Number of capturing groups.
    pub(crate) groups: usize,
    pub(crate) names: Vec<(String, usize)>,
}

impl Tree {
    /// Where the expression ends with `<F-CONTENT>.+</F-CONTENT>$`, makes that `<F-CONTENT>.</F-CONTENT>`, which matches the same
    /// lines; says whether it did.
    pub(crate) fn open_content(&mut self) -> bool {
        let content = self.names.iter().find(|(name, _)| name == "content").map(|(_, index)| *index);
        let Node::Concat(nodes) = &mut self.root else { return false };
        let [.., Node::Group { index, node }, Node::Look(Look::End)] = nodes.as_mut_slice() else {
            return false;
        };
        let rest = Node::Repeat {
            node: Box::new(Node::Any { all: false }),
            min: 1,
            max: None,
            greed: Greed::Greedy,
        };
        if Some(*index) != content || **node != rest {
            return false;
        }
        **node = Node::Any { all: false };
        nodes.pop();
        true
    }
}

impl Node {
    /// A letter, and whether its case does not matter.
    pub(crate) const fn letter(&self) -> Option<(char, bool)> {
        if let Self::Literal { letter, fold } = self { Some((*letter, *fold)) } else { None }
    }

    /// Calls for this node and each in it.
    pub(crate) fn each(&self, call: &mut impl FnMut(&Self)) {
        call(self);
        match self {
            Self::Empty
            | Self::Literal { .. }
            | Self::Any { .. }
            | Self::Class(_)
            | Self::Look(_)
            | Self::Back { .. } => {}
            Self::Group { node, .. }
            | Self::Around { node, .. }
            | Self::Atomic(node)
            | Self::Repeat { node, .. } => node.each(call),
            Self::If { yes, no, .. } => {
                yes.each(call);
                no.each(call);
            }
            Self::Concat(nodes) | Self::Either(nodes) => nodes.iter().for_each(|node| node.each(call)),
        }
    }

    /// Whether `regex` can do it on one line, where `$` is before each line end, as there is one.
    pub(crate) fn is_plain_in_line(&self) -> bool {
        !self.needs_more(false)
    }

    /// Whether `regex` cannot do it.
    pub(crate) fn is_fancy(&self) -> bool {
        self.needs_more(true)
    }

    fn needs_more(&self, lines: bool) -> bool {
        let mut fancy = false;
        self.each(&mut |node| {
            fancy |= match node {
                Self::Around { .. } | Self::Back { .. } | Self::If { .. } | Self::Atomic(_) => true,
                Self::Repeat { greed, .. } => *greed == Greed::Possessive,
                Self::Look(look) => lines && *look == Look::End,
                Self::Empty
                | Self::Literal { .. }
                | Self::Any { .. }
                | Self::Class(_)
                | Self::Group { .. }
                | Self::Concat(_)
                | Self::Either(_) => false,
            };
        });
        fancy
    }
}
