use std::fmt::Write as _;

use super::ast::{Class, Greed, Item, Kind, Look, Node};

/// For whom an expression is written.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(crate) enum Dialect {
    /// For `fancy_regex`.
    Fancy,
    /// For `regex`, of an expression that it can do.
    Plain,
    /// For `regex`, of any: matches wherever the expression does, and perhaps elsewhere.
    Loose,
}

/// Letters of words as Python sees them.
const WORD: &str = r"\p{L}\p{N}_";
/// Python counts the four separators of ASCII as space, too.
const SPACE: &str = r"\s\x1c-\x1f";

/// Writes a tree as an expression in which every group has a number and none a name; and says which group each is, as one
/// that was unrolled stands in several places.
pub(crate) fn write(node: &Node, dialect: Dialect) -> (String, Vec<usize>) {
    let mut writer = Writer { out: String::new(), groups: Vec::new(), dialect };
    writer.node(node);
    (writer.out, writer.groups)
}

struct Writer {
    out: String,
    groups: Vec<usize>,
    dialect: Dialect,
}

impl Writer {
    fn node(&mut self, node: &Node) {
        match node {
            Node::Empty => self.out.push_str("(?:)"),
            Node::Literal { letter, fold } => self.literal(*letter, *fold),
            Node::Any { all: true } => self.out.push_str("(?s:.)"),
            Node::Any { all: false } => self.out.push_str(r"[^\n]"),
            Node::Class(class) => self.class(class),
            Node::Look(look) => self.look(*look),
            Node::Group { index, node } => {
                self.groups.push(*index);
                self.wrapped("(", node);
            }
            Node::Around { behind, negated, node } => self.around(*behind, *negated, node),
            Node::Back { index, fold } => self.back(*index, *fold),
            Node::If { index, yes, no } => self.condition(*index, yes, no),
            Node::Atomic(node) if self.dialect == Dialect::Fancy => self.wrapped("(?>", node),
            Node::Atomic(node) => self.wrapped("(?:", node),
            Node::Repeat { node, min, max, greed } => self.repeat(node, (*min, *max), *greed),
            Node::Concat(nodes) => nodes.iter().for_each(|node| match node {
                Node::Either(_) => self.wrapped("(?:", node),
                _ => self.node(node),
            }),
            Node::Either(nodes) => {
                for (number, node) in nodes.iter().enumerate() {
                    if number > 0 {
                        self.out.push('|');
                    }
                    self.node(node);
                }
            }
        }
    }

    fn wrapped(&mut self, open: &str, node: &Node) {
        self.out.push_str(open);
        self.node(node);
        self.out.push(')');
    }

    fn literal(&mut self, letter: char, fold: bool) {
        let fold = fold && letter.is_alphabetic();
        if fold {
            self.out.push_str("(?i:");
        }
        self.letter(letter);
        if fold {
            self.out.push(')');
        }
    }

    fn letter(&mut self, letter: char) {
        if letter.is_ascii_alphanumeric() || letter == '_' || letter == ' ' || !letter.is_ascii() {
            self.out.push(letter);
        } else {
            let _ = write!(self.out, r"\x{:02x}", u32::from(letter));
        }
    }

    fn class(&mut self, class: &Class) {
        if class.fold {
            self.out.push_str("(?i:");
        }
        self.out.push_str(if class.negated { "[^" } else { "[" });
        for item in &class.items {
            match item {
                Item::Letter(letter) => self.letter(*letter),
                Item::Range(low, high) => {
                    self.letter(*low);
                    self.out.push('-');
                    self.letter(*high);
                }
                Item::Kind { kind, negated, ascii } => self.kind(*kind, *negated, *ascii),
            }
        }
        self.out.push(']');
        if class.fold {
            self.out.push(')');
        }
    }

    fn kind(&mut self, kind: Kind, negated: bool, ascii: bool) {
        let set = match (kind, ascii) {
            (Kind::Digit, false) => r"\p{Nd}",
            (Kind::Digit, true) => "0-9",
            (Kind::Space, false) => SPACE,
            (Kind::Space, true) => r"\x09-\x0d\x20",
            (Kind::Word, false) => WORD,
            (Kind::Word, true) => "0-9A-Za-z_",
        };
        self.out.push_str(if negated { "[^" } else { "[" });
        self.out.push_str(set);
        self.out.push(']');
    }

    fn look(&mut self, look: Look) {
        self.out.push_str(match (look, self.dialect) {
            (Look::Start, _) => r"\A",
            (Look::StartOfLine, _) => "(?m:^)",
            (Look::End, Dialect::Fancy) => r"(?=\n?\z)",
            (Look::End, Dialect::Plain | Dialect::Loose) | (Look::EndOfLine, _) => "(?m:$)",
            (Look::VeryEnd, _) => r"\z",
            (Look::Edge { ascii: false }, _) => r"\b",
            (Look::NoEdge { ascii: false }, _) => r"\B",
            (Look::Edge { ascii: true }, Dialect::Fancy) => r"\b",
            (Look::NoEdge { ascii: true }, Dialect::Fancy) => r"\B",
            (Look::Edge { ascii: true }, _) => r"(?-u:\b)",
            (Look::NoEdge { ascii: true }, _) => r"(?-u:\B)",
            (Look::Bound, Dialect::Fancy) => r"(?:\b|(?<!\w)|(?!\w))",
            (Look::Bound, _) => r"(?:\b{start-half}|\b{end-half})",
        });
    }

    fn around(&mut self, behind: bool, negated: bool, node: &Node) {
        // What only looks takes nothing away from what matches.
        if self.dialect != Dialect::Fancy {
            return self.out.push_str("(?:)");
        }
        let open = match (behind, negated) {
            (false, false) => "(?=",
            (false, true) => "(?!",
            (true, false) => "(?<=",
            (true, true) => "(?<!",
        };
        self.wrapped(open, node);
    }

    fn back(&mut self, index: usize, fold: bool) {
        let _ = match (self.dialect, fold) {
            (Dialect::Fancy, false) => write!(self.out, r"(?:\{index})"),
            (Dialect::Fancy, true) => write!(self.out, r"(?i:\{index})"),
            (Dialect::Plain | Dialect::Loose, _) => write!(self.out, "(?s:.*)"),
        };
    }

    fn condition(&mut self, index: usize, yes: &Node, no: &Node) {
        if self.dialect == Dialect::Fancy {
            let _ = write!(self.out, "(?({index})");
        } else {
            self.out.push_str("(?:");
        }
        for (number, node) in [yes, no].into_iter().enumerate() {
            if number > 0 {
                self.out.push('|');
            }
            self.wrapped("(?:", node);
        }
        self.out.push(')');
    }

    fn repeat(&mut self, node: &Node, (min, max): (u32, Option<u32>), greed: Greed) {
        let possessive = greed == Greed::Possessive && self.dialect == Dialect::Fancy;
        self.out.push_str(if possessive { "(?>" } else { "" });
        self.wrapped("(?:", node);
        let _ = match (min, max) {
            (0, None) => write!(self.out, "*"),
            (1, None) => write!(self.out, "+"),
            (0, Some(1)) => write!(self.out, "?"),
            (min, None) => write!(self.out, "{{{min},}}"),
            (min, Some(max)) => write!(self.out, "{{{min},{max}}}"),
        };
        self.out.push_str(if greed == Greed::Lazy { "?" } else { "" });
        self.out.push_str(if possessive { ")" } else { "" });
    }
}
