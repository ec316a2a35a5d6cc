//! What an expression that begins at the start of a text did with texts of the same shape.
//!
//! Two texts have the same shape as far as an expression looked if it cannot tell their letters apart. What a prefix makes of a line is
//! known by its shape nearly always.

use super::alike::Alike;
use super::code::Code;
use super::machine::Places;
use super::set::is_word;
use super::{Found, Pattern};

/// What an expression made of texts, by their shape.
#[derive(Clone, Debug)]
pub(crate) struct Shapes {
    tree: Alike<Shape>,
    /// Each text is one line, and perhaps a line end after it.
    in_line: bool,
}

#[derive(Clone, Debug)]
struct Shape {
    matched: bool,
    places: Places,
}

impl Shapes {
    /// `None` for what may match anywhere, or asks for a text that stood before.
    pub(crate) fn of(pattern: &Pattern) -> Option<Self> {
        let tree = || Alike::new(vec![classes(&pattern.program.code)]);
        (pattern.is_at_start() && !pattern.refers_back())
            .then(|| Self { tree: tree(), in_line: pattern.in_line })
    }

    /// Whether the expression matches a text, if one of its shape is known; says where, too.
    pub(crate) fn recall(&self, text: &str, found: &mut Found) -> Option<bool> {
        let shape = self.tree.recall(text.as_bytes())?;
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
        if let Some(seen) = seen {
            let shape = || Shape { matched, places: found.machine.places() };
            self.tree.remember(seen, &[(seen.len(), 0)], shape);
        }
    }
}

/// Divides classes, so that bytes have one only where they also have the same in others.
pub(crate) fn divide(by: &[u8; 256], classes: &mut [u8; 256]) {
    let mut numbers: Vec<(u8, u8)> = Vec::new();
    for (class, other) in classes.iter_mut().zip(by) {
        let number = numbers.iter().position(|known| *known == (*class, *other)).unwrap_or_else(|| {
            numbers.push((*class, *other));
            numbers.len() - 1
        });
        *class = u8::try_from(number).unwrap_or(u8::MAX);
    }
}

/// Numbers for bytes that no step tells apart.
pub(super) fn classes(code: &Code) -> [u8; 256] {
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
