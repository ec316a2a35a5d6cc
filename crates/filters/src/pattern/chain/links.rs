use super::ways::{self, Way};
use crate::pattern::set::{Letters, letters};
use crate::python::{Class, Greed, Kind, Look, Node, Tree};

/// A link of which the letters are not classes yet.
#[derive(Clone, Debug)]
pub(super) enum Raw {
    Piece {
        group: Option<usize>,
        ways: Vec<Way>,
        follow: Follow,
    },
    Run {
        set: Letters,
        least: usize,
    },
    Save(usize),
    /// The letter that a group took, which is one of a set.
    Back {
        group: usize,
        set: Letters,
    },
    Maybe {
        end: usize,
        groups: Vec<usize>,
    },
    Taken,
    Bound,
}

/// What may come next.
#[derive(Clone, Copy, Debug)]
pub(super) struct Follow {
    pub(super) letters: Letters,
    pub(super) end: bool,
}

const ANYTHING: Follow = Follow { letters: Letters::MAX, end: true };

impl Raw {
    /// What tells letters apart.
    pub(super) fn kinds(&self) -> Vec<Letters> {
        match self {
            Self::Piece { ways, follow, .. } => {
                ways.iter().flat_map(|way| way.letters.iter().copied()).chain([follow.letters]).collect()
            }
            Self::Run { set, .. } | Self::Back { set, .. } => vec![*set],
            Self::Save(_) | Self::Maybe { .. } | Self::Taken | Self::Bound => Vec::new(),
        }
    }

    /// Words of three letters, of which the first is large if it may be.
    pub(super) fn names(&self) -> Vec<[u8; 3]> {
        let Self::Piece { ways, .. } = self else { return Vec::new() };
        let letter =
            |set: &Letters, of: fn(&u8) -> bool| (b'A'..=b'z').find(|byte| of(byte) && set >> byte & 1 == 1);
        let small = |set: &Letters| letter(set, u8::is_ascii_lowercase);
        let of_way = |way: &Way| match way.letters.get(..way.part)? {
            [one, two, three] if [one, two, three].iter().all(|set| set.count_ones() <= 2) => {
                let first = letter(one, u8::is_ascii_uppercase).or_else(|| small(one))?;
                Some([first, small(two)?, small(three)?])
            }
            _ => None,
        };
        ways.iter().filter_map(of_way).collect()
    }
}

/// The links of an expression that holds at the beginning of a text only.
pub(super) fn of(tree: &Tree, groups: &[usize]) -> Option<Vec<Raw>> {
    let Node::Concat(nodes) = &tree.root else { return None };
    let (Node::Look(Look::Start), nodes) = nodes.split_first()? else { return None };
    let mut wanted = groups.to_vec();
    tree.root.each(&mut |node| {
        if let Node::Back { index, .. } = node {
            wanted.push(*index);
        }
    });
    let mut writer = Writer { links: Vec::new(), wanted, within: false };
    nodes.iter().try_for_each(|node| writer.node(node))?;
    let Writer { mut links, .. } = writer;
    for at in 0..links.len() {
        let after = follow(&links, at + 1, links.get(at).is_some_and(ends_in_word));
        match links.get_mut(at) {
            Some(Raw::Piece { follow, .. }) => *follow = after,
            // A shorter run is never what Python takes.
            Some(Raw::Run { set, .. }) if *set & after.letters != 0 => return None,
            _ => {}
        }
    }
    Some(links)
}

struct Writer {
    links: Vec<Raw>,
    /// Groups that are told.
    wanted: Vec<usize>,
    /// In what may be left out.
    within: bool,
}

impl Writer {
    fn node(&mut self, node: &Node) -> Option<()> {
        if !self.holds_wanted(node)
            && let Some(ways) = ways::of(node)
        {
            self.piece(None, ways);
            return Some(());
        }
        match node {
            Node::Concat(nodes) => nodes.iter().try_for_each(|node| self.node(node)),
            Node::Group { index, node } if !self.wanted.contains(index) => self.node(node),
            Node::Group { index, node } => match ways::of(node).filter(|_| !self.holds_wanted(node)) {
                Some(ways) => {
                    self.piece(Some(*index), ways);
                    Some(())
                }
                None => {
                    self.links.push(Raw::Save(index * 2));
                    self.node(node)?;
                    self.links.push(Raw::Save(index * 2 + 1));
                    Some(())
                }
            },
            Node::Repeat { node, min, max: None, greed: Greed::Greedy } => {
                let Node::Class(class) = &**node else { return None };
                self.links.push(Raw::Run { set: letters(class), least: usize::try_from(*min).ok()? });
                Some(())
            }
            Node::Repeat { node, min: 0, max: Some(1), greed: Greed::Greedy } if !self.within => {
                let start = self.links.len();
                self.links.push(Raw::Taken);
                self.within = true;
                self.node(node)?;
                self.within = false;
                self.links.push(Raw::Taken);
                let groups = self.wanted.iter().filter(|group| has_group(node, **group)).copied().collect();
                let end = self.links.len();
                *self.links.get_mut(start)? = Raw::Maybe { end, groups };
                Some(())
            }
            Node::Back { index, fold: false } => {
                let set = self.links.iter().find_map(|link| {
                    let Raw::Piece { group, ways, .. } = link else { return None };
                    if *group == Some(*index) { only_letter(ways) } else { None }
                })?;
                self.links.push(Raw::Back { group: *index, set });
                Some(())
            }
            Node::Look(Look::Bound) => {
                self.links.push(Raw::Bound);
                Some(())
            }
            Node::Empty
            | Node::Literal { .. }
            | Node::Any { .. }
            | Node::Class(_)
            | Node::Look(_)
            | Node::Around { .. }
            | Node::Back { .. }
            | Node::If { .. }
            | Node::Atomic(_)
            | Node::Either(_)
            | Node::Repeat { .. } => None,
        }
    }

    /// Adds a piece; what has but one way is put behind the ways of the piece before.
    fn piece(&mut self, group: Option<usize>, ways: Vec<Way>) {
        if let ([way], None, Some(Raw::Piece { ways: before, .. })) =
            (ways.as_slice(), group, self.links.last_mut())
        {
            before.iter_mut().for_each(|before| before.letters.extend(&way.letters));
            return;
        }
        self.links.push(Raw::Piece { group, ways, follow: ANYTHING });
    }

    fn holds_wanted(&self, node: &Node) -> bool {
        self.wanted.iter().any(|group| has_group(node, *group))
    }
}

fn has_group(node: &Node, group: usize) -> bool {
    let mut found = false;
    node.each(&mut |node| found |= matches!(node, Node::Group { index, .. } if *index == group));
    found
}

/// The letters that ways of one letter take.
fn only_letter(ways: &[Way]) -> Option<Letters> {
    ways.iter().try_fold(0, |all, way| {
        (way.part == 1).then(|| way.letters.first().map(|letters| all | letters)).flatten()
    })
}

/// What may come from a link on, behind a letter of a word or something else.
fn follow(links: &[Raw], at: usize, after_word: bool) -> Follow {
    let or = |one: Follow, other: Follow| Follow {
        letters: one.letters | other.letters,
        end: one.end || other.end,
    };
    match links.get(at) {
        Some(Raw::Piece { ways, .. }) => {
            let of = |way: &Way| match way.letters.first() {
                Some(letters) => Follow { letters: *letters, end: false },
                None => follow(links, at + 1, after_word),
            };
            ways.iter().map(of).fold(Follow { letters: 0, end: false }, or)
        }
        Some(Raw::Run { set, least: 1.. }) | Some(Raw::Back { set, .. }) => {
            Follow { letters: *set, end: false }
        }
        Some(Raw::Run { set, .. }) => {
            or(Follow { letters: *set, end: false }, follow(links, at + 1, after_word))
        }
        Some(Raw::Save(_) | Raw::Taken) => follow(links, at + 1, after_word),
        Some(Raw::Maybe { end, .. }) => {
            or(follow(links, at + 1, after_word), follow(links, *end, after_word))
        }
        Some(Raw::Bound) if after_word => Follow { letters: !word(), end: true },
        Some(Raw::Bound) | None => ANYTHING,
    }
}

/// Whether a link always ends with a letter of a word.
fn ends_in_word(link: &Raw) -> bool {
    let Raw::Piece { ways, .. } = link else { return false };
    ways.iter().all(|way| way.letters.last().is_some_and(|letters| letters & !word() == 0))
}

fn word() -> Letters {
    letters(&Class::of(Kind::Word, false, true))
}
