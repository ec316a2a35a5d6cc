use std::fmt::Write as _;

use super::ast::{Class, Greed, Item, Kind, Look, Node};

/// Letters of words as Python sees them.
const WORD: &str = r"\p{L}\p{N}_";
/// Python counts the four separators of ASCII as space, too.
const SPACE: &str = r"\s\x1c-\x1f";

/// Writes a tree as an expression that matches wherever it does; if it looks round, perhaps elsewhere, too. Its groups have
/// numbers only.
pub(crate) fn write(node: &Node) -> String {
    let mut writer = Writer { out: String::new() };
    writer.node(node);
    writer.out
}

struct Writer {
    out: String,
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
            Node::Group { node, .. } => self.wrapped("(", node),
            // What only looks takes nothing away from what matches.
            Node::Around { .. } => self.out.push_str("(?:)"),
            Node::Back { .. } => self.out.push_str("(?s:.*)"),
            Node::If { yes, no, .. } => {
                self.wrapped("(?:(?:", yes);
                self.wrapped("|(?:", no);
                self.out.push(')');
            }
            Node::Atomic(node) => self.wrapped("(?:", node),
            Node::Repeat { node, min, max, greed } => self.repeat(node, (*min, *max), *greed),
            Node::Concat(nodes) => {
                for node in nodes {
                    if matches!(node, Node::Either(_)) {
                        self.wrapped("(?:", node);
                    } else {
                        self.node(node);
                    }
                }
            }
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
        self.out.push_str(match look {
            Look::Start => r"\A",
            Look::StartOfLine => "(?m:^)",
            Look::End | Look::EndOfLine => "(?m:$)",
            Look::VeryEnd => r"\z",
            Look::Edge { ascii: false } => r"\b",
            Look::NoEdge { ascii: false } => r"\B",
            Look::Edge { ascii: true } => r"(?-u:\b)",
            Look::NoEdge { ascii: true } => r"(?-u:\B)",
            Look::Bound => r"(?:\b{start-half}|\b{end-half})",
        });
    }

    fn repeat(&mut self, node: &Node, (min, max): (u32, Option<u32>), greed: Greed) {
        self.wrapped("(?:", node);
        let _ = match (min, max) {
            (0, None) => write!(self.out, "*"),
            (1, None) => write!(self.out, "+"),
            (0, Some(1)) => write!(self.out, "?"),
            (min, None) => write!(self.out, "{{{min},}}"),
            (min, Some(max)) => write!(self.out, "{{{min},{max}}}"),
        };
        self.out.push_str(if greed == Greed::Lazy { "?" } else { "" });
    }
}
