use super::Flags;
use super::ast::{Class, Greed, Kind, Look, Node, Tree};
use super::parse_class;
use crate::Error;

/// How deep groups may lie in one another.
const MAX_DEPTH: usize = 200;
/// Python's own bound of a group's number.
const MAX_GROUPS: usize = 100;

/// Reads an expression as Python 3.11 does, with what fail2ban adds: flags in the middle are taken, as older Pythons took them.
pub(crate) fn parse(text: &str, flags: Flags) -> Result<Tree, Error> {
    let (text, flags) = super::parse_class::global_flags(text, flags)?;
    let mut parser = Parser {
        letters: text.chars().collect(),
        at: 0,
        flags,
        groups: 0,
        open: Vec::new(),
        names: Vec::new(),
        depth: 0,
    };
    let root = parser.either()?;
    if parser.at < parser.letters.len() {
        return Err(Error::new("there is a `)` too many"));
    }
    Ok(Tree { root, groups: parser.groups, names: parser.names })
}

pub(super) struct Parser {
    letters: Vec<char>,
    pub(super) at: usize,
    pub(super) flags: Flags,
    groups: usize,
    /// Groups that are not closed.
    open: Vec<usize>,
    names: Vec<(String, usize)>,
    depth: usize,
}

impl Parser {
    pub(super) fn peek(&self) -> Option<char> {
        self.letters.get(self.at).copied()
    }

    pub(super) fn next(&mut self) -> Option<char> {
        let letter = self.peek()?;
        self.at += 1;
        Some(letter)
    }

    pub(super) fn eat(&mut self, text: &str) -> bool {
        let fits =
            text.chars().enumerate().all(|(step, letter)| self.letters.get(self.at + step) == Some(&letter));
        if fits {
            self.at += text.chars().count();
        }
        fits
    }

    fn either(&mut self) -> Result<Node, Error> {
        let mut branches = vec![self.concat()?];
        while self.eat("|") {
            branches.push(self.concat()?);
        }
        let only = if branches.len() == 1 { branches.pop() } else { None };
        Ok(only.unwrap_or(Node::Either(branches)))
    }

    fn concat(&mut self) -> Result<Node, Error> {
        let mut nodes = Vec::new();
        while let Some(letter) = self.peek() {
            if matches!(letter, '|' | ')') {
                break;
            }
            if self.flags.verbose && self.blank(letter) {
                continue;
            }
            let node = self.atom()?;
            let node = self.repeated(node)?;
            if node != Node::Empty {
                nodes.push(node);
            }
        }
        let only = if nodes.len() == 1 { nodes.pop() } else { None };
        let rest = if nodes.is_empty() { Node::Empty } else { Node::Concat(nodes) };
        Ok(only.unwrap_or(rest))
    }

    /// What `(?x)` leaves out.
    fn blank(&mut self, letter: char) -> bool {
        if letter == '#' {
            while self.next().is_some_and(|letter| letter != '\n') {}
            return true;
        }
        if letter.is_ascii_whitespace() {
            self.at += 1;
            return true;
        }
        false
    }

    fn atom(&mut self) -> Result<Node, Error> {
        let Some(letter) = self.next() else { return Ok(Node::Empty) };
        Ok(match letter {
            '.' => Node::Any { all: self.flags.dot_all },
            '^' if self.flags.multi_line => Node::Look(Look::StartOfLine),
            '^' => Node::Look(Look::Start),
            '$' if self.flags.multi_line => Node::Look(Look::EndOfLine),
            '$' => Node::Look(Look::End),
            '[' => Node::Class(parse_class::class(self)?),
            '(' => return self.group(),
            '\\' => return self.escape(),
            '*' | '+' | '?' => return Err(Error::new(format!("`{letter}` has nothing before it to repeat"))),
            _ => self.literal(letter),
        })
    }

    pub(super) fn literal(&self, letter: char) -> Node {
        Node::Literal { letter, fold: self.flags.ignore_case }
    }

    fn escape(&mut self) -> Result<Node, Error> {
        let ascii = self.flags.ascii;
        let Some(letter) = self.peek() else { return Err(Error::new("the expression ends with `\\`")) };
        let look = match letter {
            'A' => Some(Look::Start),
            'Z' => Some(Look::VeryEnd),
            'b' => Some(Look::Edge { ascii }),
            'B' => Some(Look::NoEdge { ascii }),
            _ => None,
        };
        if let Some(look) = look {
            self.at += 1;
            return Ok(Node::Look(look));
        }
        if let Some((kind, negated)) = kind(letter) {
            self.at += 1;
            return Ok(Node::Class(Class::of(kind, negated, ascii)));
        }
        if let Some(index) = self.back_reference()? {
            return Ok(Node::Back { index, fold: self.flags.ignore_case });
        }
        let letter = parse_class::escaped_letter(self)?;
        Ok(self.literal(letter))
    }

    /// `\1`, unless it is an octal number.
    fn back_reference(&mut self) -> Result<Option<usize>, Error> {
        let digit = |parser: &Self, step: usize| {
            parser.letters.get(parser.at + step).and_then(|letter| letter.to_digit(10))
        };
        let Some(first) = digit(self, 0).filter(|digit| *digit != 0) else { return Ok(None) };
        let second = digit(self, 1);
        if let (0..=3, Some(0..=7), Some(0..=7)) = (first, second, digit(self, 2)) {
            return Ok(None);
        }
        self.at += 1 + usize::from(second.is_some());
        let index = second.map_or(first, |second| first * 10 + second) as usize;
        self.check_reference(index)?;
        Ok(Some(index))
    }

    fn check_reference(&self, index: usize) -> Result<(), Error> {
        if index > self.groups {
            return Err(Error::new(format!("there is no group {index} before this reference to it")));
        }
        if self.open.contains(&index) {
            return Err(Error::new(format!("group {index} is referred to from within")));
        }
        Ok(())
    }

    fn group(&mut self) -> Result<Node, Error> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err(Error::new(format!("groups lie more than {MAX_DEPTH} deep")));
        }
        let flags = self.flags;
        let node = if self.eat("?") { self.extension()? } else { self.capture(None)? };
        self.flags = flags;
        self.depth -= 1;
        Ok(node)
    }

    fn capture(&mut self, name: Option<String>) -> Result<Node, Error> {
        self.groups += 1;
        let index = self.groups;
        if index > MAX_GROUPS {
            return Err(Error::new(format!("there are more than {MAX_GROUPS} groups")));
        }
        if let Some(name) = name {
            if self.names.iter().any(|(other, _)| *other == name) {
                return Err(Error::new(format!("two groups are named `{name}`")).help(
                    "a filter may find one host in one expression; write two expressions, a line each",
                ));
            }
            self.names.push((name, index));
        }
        self.open.push(index);
        let node = Box::new(self.closed()?);
        self.open.retain(|open| *open != index);
        Ok(Node::Group { index, node })
    }

    /// The rest of a group.
    fn closed(&mut self) -> Result<Node, Error> {
        let node = self.either()?;
        if self.eat(")") { Ok(node) } else { Err(Error::new("a `)` is missing")) }
    }

    /// What begins with `(?`.
    fn extension(&mut self) -> Result<Node, Error> {
        let around = [("<=", true, false), ("<!", true, true), ("=", false, false), ("!", false, true)];
        for (sign, behind, negated) in around {
            if self.eat(sign) {
                let node = self.closed()?;
                return Ok(bound(behind, negated, &node).unwrap_or_else(|| Node::Around {
                    behind,
                    negated,
                    node: Box::new(node),
                }));
            }
        }
        if self.eat(":") {
            return self.closed();
        }
        if self.eat(">") {
            return Ok(Node::Atomic(Box::new(self.closed()?)));
        }
        if self.eat("P<") {
            let name = self.name('>')?;
            return self.capture(Some(name));
        }
        if self.eat("P=") {
            let name = self.name(')')?;
            let index = self.named(&name)?;
            self.check_reference(index)?;
            return Ok(Node::Back { index, fold: self.flags.ignore_case });
        }
        if self.eat("#") {
            while self.next().ok_or_else(|| Error::new("a comment `(?#` does not end"))? != ')' {}
            return Ok(Node::Empty);
        }
        if self.eat("(") {
            return self.condition();
        }
        self.local_flags()
    }

    fn condition(&mut self) -> Result<Node, Error> {
        let name = self.name(')')?;
        let index = match name.parse() {
            Ok(index) => index,
            Err(_) => self.named(&name)?,
        };
        if index == 0 || index > self.groups {
            return Err(Error::new(format!("`(?({name})` asks for a group that is not there yet")));
        }
        let yes = Box::new(self.concat()?);
        let no = Box::new(if self.eat("|") { self.concat()? } else { Node::Empty });
        if self.eat(")") {
            Ok(Node::If { index, yes, no })
        } else {
            Err(Error::new(format!("`(?({name})` has more than two branches, or no end")))
        }
    }

    /// `(?i:…)`, `(?i-s:…)`
    fn local_flags(&mut self) -> Result<Node, Error> {
        let mut on = true;
        while let Some(letter) = self.next() {
            match letter {
                ':' => return self.closed(),
                '-' => on = false,
                _ => parse_class::flag(&mut self.flags, letter, on)?,
            }
        }
        Err(Error::new("a group begins with `(?` and does not go on"))
    }

    /// A group's name, up to a sign.
    fn name(&mut self, end: char) -> Result<String, Error> {
        let mut name = String::new();
        while let Some(letter) = self.next() {
            if letter == end {
                break;
            }
            name.push(letter);
        }
        let good = !name.is_empty() && name.chars().all(|letter| letter.is_alphanumeric() || letter == '_');
        if good { Ok(name) } else { Err(Error::new(format!("`{name}` is no name of a group"))) }
    }

    fn named(&self, name: &str) -> Result<usize, Error> {
        let found = self.names.iter().find(|(other, _)| other == name);
        found.map(|(_, index)| *index).ok_or_else(|| Error::new(format!("no group before is named `{name}`")))
    }

    fn repeated(&mut self, node: Node) -> Result<Node, Error> {
        let start = self.at;
        let Some((min, max)) = self.repetition()? else { return Ok(node) };
        if matches!(node, Node::Look(_) | Node::Empty) {
            let sign: String = self.letters.get(start..self.at).unwrap_or_default().iter().collect();
            return Err(Error::new(format!("`{sign}` has nothing before it to repeat")));
        }
        let greed = match self.peek() {
            Some('?') => Greed::Lazy,
            Some('+') => Greed::Possessive,
            _ => Greed::Greedy,
        };
        self.at += usize::from(greed != Greed::Greedy);
        if self.repetition()?.is_some() {
            return Err(Error::new("a repetition is repeated").help("put it into `(?:…)`"));
        }
        Ok(Node::Repeat { node: Box::new(node), min, max, greed })
    }

    /// `*`, `+`, `?`, `{2,3}`; a `{` that is none of these is a letter.
    fn repetition(&mut self) -> Result<Option<(u32, Option<u32>)>, Error> {
        let start = self.at;
        let simple = match self.peek() {
            Some('*') => Some((0, None)),
            Some('+') => Some((1, None)),
            Some('?') => Some((0, Some(1))),
            Some('{') => None,
            _ => return Ok(None),
        };
        self.at += 1;
        if simple.is_some() {
            return Ok(simple);
        }
        let min = self.number()?;
        let max = if self.eat(",") { self.number()? } else { min };
        let comma = self.letters.get(start..self.at).is_some_and(|read| read.contains(&','));
        if !self.eat("}") || (min.is_none() && !comma) {
            self.at = start;
            return Ok(None);
        }
        let least = min.unwrap_or(0);
        if max.is_some_and(|max| max < least) {
            return Err(Error::new("a repetition has its larger number first"));
        }
        Ok(Some((least, max)))
    }

    fn number(&mut self) -> Result<Option<u32>, Error> {
        let start = self.at;
        while self.peek().is_some_and(|letter| letter.is_ascii_digit()) {
            self.at += 1;
        }
        let digits: String = self.letters.get(start..self.at).unwrap_or_default().iter().collect();
        if digits.is_empty() {
            return Ok(None);
        }
        let number = digits.parse().ok();
        number.map(Some).ok_or_else(|| Error::new(format!("`{digits}` is too often")))
    }
}

/// `\d` and its kin, and whether it is the contrary.
pub(super) fn kind(letter: char) -> Option<(Kind, bool)> {
    Some(match letter {
        'd' => (Kind::Digit, false),
        'D' => (Kind::Digit, true),
        's' => (Kind::Space, false),
        'S' => (Kind::Space, true),
        'w' => (Kind::Word, false),
        'W' => (Kind::Word, true),
        _ => return None,
    })
}

/// What fail2ban puts before and after a date says in both cases: not within a word. `regex` can say that without looking round.
fn bound(behind: bool, negated: bool, node: &Node) -> Option<Node> {
    let Node::Either(branches) = node else { return None };
    let no_word = Node::Class(Class::of(Kind::Word, true, false));
    let edge = Node::Look(Look::Edge { ascii: false });
    let before = [Node::Look(Look::Start), edge.clone(), no_word.clone()];
    let after = [edge, no_word, Node::Look(Look::End)];
    let fits = !behind && !negated && (branches[..] == before || branches[..] == after);
    fits.then_some(Node::Look(Look::Bound))
}
