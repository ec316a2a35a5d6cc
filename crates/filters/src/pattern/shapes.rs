//! What an expression that begins at the start of a text did with texts of the same shape.
//!
//! Two texts have the same shape as far as an expression looked if it cannot tell their letters apart: then it does the same with
//! both. `sshd[1234]: ` and `sshd[5678]: ` are the same to all that asks for digits. What a prefix makes of a line is known by its
//! shape nearly always.

use super::code::{Code, Op};
use super::machine::Places;
use super::set::is_word;
use super::{Found, Pattern};

/// Shapes that are remembered, letters of all together, and letters of each.
const MAX_SHAPES: usize = 1024;
const MAX_LETTERS: usize = 32_768;
const MAX_LEN: usize = 384;
/// So many texts of unknown shape for each that is known, and all are forgotten.
const MISSES_PER_SHAPE: usize = 64;

/// A tree of shapes: who goes down, several letters at a time, comes to what became of a text that began so.
#[derive(Clone, Debug)]
pub(crate) struct Shapes {
    /// For each byte a number, the same for those that the expression does not tell apart.
    classes: Box<[u8; 256]>,
    /// The first is the root.
    nodes: Vec<Node>,
    /// Classes of letters, of which each node has some, and such letters.
    letters: Vec<u8>,
    samples: Vec<u8>,
    shapes: Vec<Shape>,
    /// Texts of unknown shape since there was no more room.
    missed: usize,
    /// Each text is one line, and perhaps a line end after it.
    in_line: bool,
}

/// Letters of shapes that nothing divides. Numbers are places among the nodes; none leads to the root.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Its letters; the first is looked at before the others.
    first: u8,
    from: u32,
    len: u32,
    /// The first of those that may follow it, and the next that may stand here instead.
    follows: u32,
    instead: u32,
    /// A shape that ends here, from 1.
    shape: u32,
}

#[derive(Clone, Debug)]
struct Shape {
    matched: bool,
    places: Places,
}

impl Shapes {
    /// `None` for what may match anywhere, or asks for a text that stood before.
    pub(crate) fn of(pattern: &Pattern) -> Option<Self> {
        let code = &pattern.program.code;
        let refers = code.ops.iter().any(|op| matches!(op, Op::Back { .. }));
        let classes = || Box::new(classes(code));
        (pattern.is_at_start() && !refers).then(|| Self {
            classes: classes(),
            nodes: vec![Node::default()],
            letters: Vec::new(),
            samples: Vec::new(),
            shapes: Vec::new(),
            missed: 0,
            in_line: pattern.in_line,
        })
    }

    /// Whether the expression matches a text, if one of its shape is known; says where, too.
    pub(crate) fn recall(&self, text: &str, found: &mut Found) -> Option<bool> {
        let mut node = self.nodes.first()?;
        let mut rest = text.as_bytes();
        while node.shape == 0 {
            node = self.nodes.get(self.child(node, self.class(*rest.first()?))?)?;
            let (there, behind) = rest.split_at_checked(node.len as usize)?;
            if !self.is_there(node, there) {
                return None;
            }
            rest = behind;
        }
        let shape = self.shapes.get((node.shape as usize).checked_sub(1)?)?;
        found.machine.put_back(&shape.places);
        Some(shape.matched)
    }

    /// Remembers what came of a text.
    pub(crate) fn remember(&mut self, text: &str, matched: bool, found: &Found) {
        // Behind a line end nothing follows in a line: who has seen that it ends has seen all of it.
        let is_line = || {
            self.in_line && memchr::memchr(b'\n', text.as_bytes()).is_some_and(|end| end + 1 == text.len())
        };
        let seen = text.as_bytes().get(..found.reach()).or_else(|| is_line().then_some(text.as_bytes()));
        let Some(seen) = seen.filter(|seen| seen.len() <= MAX_LEN) else { return };
        if self.shapes.len() >= MAX_SHAPES || self.letters.len() + seen.len() > MAX_LETTERS {
            self.missed += 1;
            if self.missed > self.shapes.len() * MISSES_PER_SHAPE {
                self.nodes.truncate(1);
                self.nodes.fill(Node::default());
                self.letters.clear();
                self.samples.clear();
                self.shapes.clear();
                self.missed = 0;
            }
            return;
        }
        let classes: Vec<u8> = seen.iter().map(|byte| self.class(*byte)).collect();
        let end = self.grow(&classes, seen);
        self.shapes.push(Shape { matched, places: found.machine.places() });
        if let Some(node) = self.nodes.get_mut(end) {
            node.shape = u32::try_from(self.shapes.len()).unwrap_or(0);
        }
    }

    #[inline]
    fn class(&self, byte: u8) -> u8 {
        self.classes.get(usize::from(byte)).copied().unwrap_or(byte)
    }

    fn label(&self, node: &Node) -> &[u8] {
        let from = node.from as usize;
        self.letters.get(from..from + node.len as usize).unwrap_or_default()
    }

    /// Whether letters are those of a node: most are the same as last time, and of the others the class is.
    #[inline]
    fn is_there(&self, node: &Node, letters: &[u8]) -> bool {
        let (from, to) = (node.from as usize, node.from as usize + letters.len());
        let (Some(classes), Some(samples)) = (self.letters.get(from..to), self.samples.get(from..to)) else {
            return false;
        };
        let is_like = |letters: &[u8], classes: &[u8]| {
            letters.iter().zip(classes).all(|(byte, class)| self.class(*byte) == *class)
        };
        let (eights, rest) = letters.as_chunks::<8>();
        let (class_eights, class_rest) = classes.as_chunks::<8>();
        let is_alike = |(letters, (samples, classes)): (&[u8; 8], (&[u8; 8], &[u8; 8]))| {
            letters == samples || is_like(letters, classes)
        };
        // Few letters are looked up sooner than compared.
        eights.iter().zip(samples.as_chunks::<8>().0.iter().zip(class_eights)).all(is_alike)
            && is_like(rest, class_rest)
    }

    #[inline]
    fn child(&self, node: &Node, class: u8) -> Option<usize> {
        let mut at = node.follows as usize;
        while at != 0 {
            let node = self.nodes.get(at)?;
            if node.first == class {
                return Some(at);
            }
            at = node.instead as usize;
        }
        None
    }

    /// The node where letters end, which is made if it is not there.
    fn grow(&mut self, letters: &[u8], mut samples: &[u8]) -> usize {
        let (mut at, mut left) = (0, letters);
        while let Some(class) = left.first() {
            let Some(node) = self.nodes.get(at).copied() else { return 0 };
            let Some(child) = self.child(&node, *class) else { return self.add(at, left, samples) };
            let Some(below) = self.nodes.get(child).copied() else { return 0 };
            let same = self.label(&below).iter().zip(left).take_while(|(one, other)| one == other).count();
            if same < below.len as usize {
                self.divide(child, below, same);
            }
            left = left.get(same..).unwrap_or_default();
            samples = samples.get(same..).unwrap_or_default();
            at = child;
        }
        at
    }

    fn add(&mut self, at: usize, letters: &[u8], samples: &[u8]) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return 0 };
        let instead = std::mem::replace(&mut node.follows, number(new));
        let first = letters.first().copied().unwrap_or_default();
        let (from, len) = (number(self.letters.len()), number(letters.len()));
        self.letters.extend_from_slice(letters);
        self.samples.extend_from_slice(samples);
        self.nodes.push(Node { first, from, len, instead, ..Node::default() });
        new
    }

    /// What is behind so many letters of a node becomes a node below it.
    fn divide(&mut self, at: usize, node: Node, upto: usize) {
        let from = node.from + number(upto);
        let first = self.letters.get(from as usize).copied().unwrap_or_default();
        let rest = Node { first, from, len: node.len - number(upto), instead: 0, ..node };
        let new = number(self.nodes.len());
        self.nodes.push(rest);
        if let Some(place) = self.nodes.get_mut(at) {
            *place = Node { len: number(upto), follows: new, shape: 0, ..node };
        }
    }
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

/// Numbers for bytes that no step tells apart.
fn classes(code: &Code) -> [u8; 256] {
    let mut alone = [false; 256];
    let mut see = |byte: u8| {
        for byte in [byte, byte.to_ascii_lowercase(), byte.to_ascii_uppercase()] {
            if let Some(alone) = alone.get_mut(usize::from(byte)) {
                *alone = true;
            }
        }
    };
    see(b'\n');
    code.literals().for_each(|text| text.iter().copied().for_each(&mut see));
    let is_same = |one: u8, other: u8| {
        let word = |byte: u8| is_word(char::from(byte), true);
        word(one) == word(other) && code.sets.iter().all(|set| set.may_begin(one) == set.may_begin(other))
    };
    let mut classes = [0; 256];
    for byte in 0..=255_u8 {
        // Of longer letters the others have to be asked, too.
        let is_alone = !byte.is_ascii() || alone.get(usize::from(byte)) == Some(&true);
        let like = |other: &u8| alone.get(usize::from(*other)) == Some(&false) && is_same(byte, *other);
        let class = if is_alone { byte } else { (0..byte).find(like).unwrap_or(byte) };
        if let Some(place) = classes.get_mut(usize::from(byte)) {
            *place = class;
        }
    }
    classes
}
