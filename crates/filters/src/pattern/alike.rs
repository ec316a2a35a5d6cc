//! What became of texts that begin alike.
//!
//! Who cannot tell letters apart does the same with texts that differ in nothing else, as far as it looked. `sshd[1234]: ` and
//! `sshd[5678]: ` are the same to all that asks for digits. Who goes down the tree, several letters at a time, comes to what became of
//! such a text.

/// Texts that are remembered, letters of all together, and letters of each.
const MAX_TEXTS: usize = 1024;
const MAX_LETTERS: usize = 32_768;
const MAX_LEN: usize = 512;
/// So many unknown texts for each that is known, and all are forgotten.
const MISSES_PER_TEXT: usize = 64;
/// Places where another way is open that are remembered, and such ways that are tried.
const MAX_OTHERS: usize = 4;
const MAX_TRIED: usize = 8;
/// Nodes that are passed in search of a text: a stranger may choose letters so that many stand in one place.
const MAX_PASSED: usize = 256;
/// Letters that are compared as one number.
const EIGHT: usize = 8;

/// A tree of texts. Of two of which one begins the other the shorter one is told.
#[derive(Clone, Debug)]
pub(crate) struct Alike<T> {
    /// By who looks: for each byte a number, the same for those that are not told apart.
    classes: Vec<[u8; 256]>,
    /// The first is the root.
    nodes: Vec<Node>,
    /// Classes of letters, of which each node has some, and such letters.
    letters: Vec<u8>,
    samples: Vec<u8>,
    told: Vec<T>,
    /// Unknown texts since there was no more room.
    missed: usize,
}

/// Letters that nothing divides. Numbers are places among the nodes; none leads to the root.
#[derive(Clone, Copy, Debug, Default)]
struct Node {
    /// Of its first letters, eight or as many as there are: some that stood there, their classes, and a byte of ones for each.
    sample: u64,
    classes: u64,
    mask: u64,
    /// Where its letters are.
    from: u32,
    len: u32,
    /// Whose classes they are.
    whose: u32,
    /// The first of those that may follow it, and the next that may stand here instead.
    follows: u32,
    instead: u32,
    /// Of those some have other classes.
    is_mixed: bool,
    /// What is told of a text that ends here, from 1.
    told: u32,
}

impl<T> Alike<T> {
    /// Whoever looks at letters is told by the number of the classes that it tells apart.
    pub(crate) fn new(classes: Vec<[u8; 256]>) -> Self {
        Self {
            classes,
            nodes: vec![Node::default()],
            letters: Vec::new(),
            samples: Vec::new(),
            told: Vec::new(),
            missed: 0,
        }
    }

    /// What became of a text that is the same as far as anybody looked.
    #[inline]
    pub(crate) fn recall(&self, text: &[u8]) -> Option<&T> {
        // Where others of other classes stand instead, the way that was taken may be the wrong one.
        let mut others = [(0, text); MAX_OTHERS];
        let (mut open, mut tried, mut left) = (0_usize, 0, MAX_PASSED);
        let (mut at, mut rest) = (self.nodes.first()?.follows, text);
        loop {
            match self.below(at, rest, &mut left) {
                Some((node, behind)) => {
                    if node.told > 0 {
                        return self.told.get(node.told as usize - 1);
                    }
                    if node.is_mixed
                        && let Some(other) = others.get_mut(open)
                    {
                        *other = (node.instead, rest);
                        open += 1;
                    }
                    (at, rest) = (node.follows, behind);
                }
                None => {
                    open = open.checked_sub(1)?;
                    tried += 1;
                    (at, rest) = *others.get(open).filter(|_| tried <= MAX_TRIED)?;
                }
            }
        }
    }

    /// The first of the nodes that may stand at a place with which a text begins, and what is behind it; `left` are those that may
    /// still be passed.
    #[inline]
    fn below<'t>(&self, mut at: u32, text: &'t [u8], left: &mut usize) -> Option<(&Node, &'t [u8])> {
        let first = *text.first()?;
        loop {
            *left = left.checked_sub(1)?;
            // The root stands nowhere instead of another.
            let node = self.nodes.get(at as usize).filter(|_| at > 0)?;
            if node.first() == self.class(node.whose, first) {
                let behind = self.behind(node, text);
                if behind.is_some() || !node.is_mixed {
                    return Some((node, behind?));
                }
            }
            at = node.instead;
        }
    }

    /// Remembers what came of all texts that begin so: behind it nobody looked. `looked` says up to where who looked, from the
    /// beginning on.
    pub(crate) fn remember(&mut self, seen: &[u8], looked: &[(usize, u32)], told: impl FnOnce() -> T) {
        if seen.is_empty() || seen.len() > MAX_LEN {
            return;
        }
        if self.told.len() >= MAX_TEXTS || self.letters.len() + seen.len() > MAX_LETTERS {
            self.missed += 1;
            if self.missed > self.told.len() * MISSES_PER_TEXT {
                self.forget();
            }
            return;
        }
        let (mut end, mut from) = (0, 0);
        for (upto, whose) in looked {
            let samples = seen.get(from..*upto.min(&seen.len())).unwrap_or_default();
            let classes: Vec<u8> = samples.iter().map(|byte| self.class(*whose, *byte)).collect();
            end = self.grow(end, &classes, samples, *whose);
            from += samples.len();
        }
        let next = number(self.told.len() + 1);
        // One that is not found again is not told twice.
        if let Some(node) = self.nodes.get_mut(end).filter(|node| node.told == 0 && from == seen.len()) {
            node.told = next;
            self.told.push(told());
        }
    }

    pub(crate) fn forget(&mut self) {
        self.nodes.truncate(1);
        self.nodes.fill(Node::default());
        self.letters.clear();
        self.samples.clear();
        self.told.clear();
        self.missed = 0;
    }

    #[inline]
    fn class(&self, whose: u32, byte: u8) -> u8 {
        let of = |classes: &[u8; 256]| classes.get(usize::from(byte)).copied();
        self.classes.get(whose as usize).and_then(of).unwrap_or(byte)
    }

    /// What follows the letters of a node, if they stand there: most are the same as last time, and of the others the class is.
    #[inline]
    fn behind<'t>(&self, node: &Node, text: &'t [u8]) -> Option<&'t [u8]> {
        let len = node.len as usize;
        let classes_of = self.classes.get(node.whose as usize)?;
        let Some(head) = text.first_chunk() else {
            let letters = self.letters.get(node.from as usize..)?;
            let (there, behind) = text.split_at_checked(len)?;
            let is_like = |(byte, class): (&u8, &u8)| self.class(node.whose, *byte) == *class;
            return there.iter().zip(letters).all(is_like).then_some(behind);
        };
        if !is_like(classes_of, head, (node.sample, node.classes), node.mask) {
            return None;
        }
        if len > EIGHT {
            let to = node.from as usize + len;
            let (classes, samples) =
                (self.letters.get(node.from as usize..to)?, self.samples.get(node.from as usize..to)?);
            let there = text.get(..len)?;
            let is_like = |there: &[u8; EIGHT], sample: &[u8; EIGHT], classes: &[u8; EIGHT]| {
                let known = (u64::from_le_bytes(*sample), u64::from_le_bytes(*classes));
                is_like(classes_of, there, known, u64::MAX)
            };
            let [eights, known, of] = [there, samples, classes].map(|letters| letters.as_chunks::<EIGHT>().0);
            let more = eights.get(1..)?.iter().zip(known.get(1..)?).zip(of.get(1..)?);
            for ((there, sample), classes) in more {
                if !is_like(there, sample, classes) {
                    return None;
                }
            }
            // The last eight, of which some were looked at.
            if !is_like(there.last_chunk()?, samples.last_chunk()?, classes.last_chunk()?) {
                return None;
            }
        }
        text.get(len..)
    }

    fn child(&self, at: usize, class: u8, whose: u32) -> Option<usize> {
        let mut at = self.nodes.get(at)?.follows as usize;
        while at != 0 {
            let node = self.nodes.get(at)?;
            if node.whose == whose && node.first() == class {
                return Some(at);
            }
            at = node.instead as usize;
        }
        None
    }

    /// The node where letters behind a node end, which is made if it is not there.
    fn grow(&mut self, mut at: usize, letters: &[u8], mut samples: &[u8], whose: u32) -> usize {
        let mut left = letters;
        while let Some(class) = left.first() {
            let Some(child) = self.child(at, *class, whose) else {
                return self.add(at, left, samples, whose);
            };
            let Some(below) = self.nodes.get(child).copied() else { return 0 };
            let label = self.letters.get(below.from as usize..).unwrap_or_default();
            let label = label.get(..below.len as usize).unwrap_or_default();
            let same = label.iter().zip(left).take_while(|(one, other)| one == other).count();
            if same < below.len as usize {
                self.divide(child, below, same);
            }
            left = left.get(same..).unwrap_or_default();
            samples = samples.get(same..).unwrap_or_default();
            at = child;
        }
        at
    }

    fn add(&mut self, at: usize, letters: &[u8], samples: &[u8], whose: u32) -> usize {
        let new = self.nodes.len();
        let Some(node) = self.nodes.get_mut(at) else { return 0 };
        let instead = std::mem::replace(&mut node.follows, number(new));
        let (from, len) = (number(self.letters.len()), number(letters.len()));
        self.letters.extend_from_slice(letters);
        self.samples.extend_from_slice(samples);
        let node = self.node(from, len);
        let is_mixed = self
            .nodes
            .get(instead as usize)
            .is_some_and(|other| instead > 0 && (other.whose != whose || other.is_mixed));
        self.nodes.push(Node { instead, whose, is_mixed, ..node });
        new
    }

    /// What is behind so many letters of a node becomes a node below it.
    fn divide(&mut self, at: usize, node: Node, upto: usize) {
        let upto = number(upto);
        let rest = self.node(node.from + upto, node.len - upto);
        let new = number(self.nodes.len());
        self.nodes.push(Node { follows: node.follows, told: node.told, whose: node.whose, ..rest });
        let first = self.node(node.from, upto);
        if let Some(place) = self.nodes.get_mut(at) {
            *place = Node {
                follows: new,
                instead: node.instead,
                whose: node.whose,
                is_mixed: node.is_mixed,
                ..first
            };
        }
    }

    /// A node of so many letters from a place on.
    fn node(&self, from: u32, len: u32) -> Node {
        let first = |letters: &[u8]| {
            let letters = letters.get(from as usize..).unwrap_or_default().iter().take(len as usize);
            let mut eight = [0; EIGHT];
            eight.iter_mut().zip(letters).for_each(|(place, letter)| *place = *letter);
            u64::from_le_bytes(eight)
        };
        let mask = std::array::from_fn(|at| if at < len as usize { u8::MAX } else { 0 });
        Node {
            sample: first(&self.samples),
            classes: first(&self.letters),
            mask: u64::from_le_bytes(mask),
            from,
            len,
            ..Node::default()
        }
    }
}

impl Node {
    /// The class of its first letter.
    const fn first(&self) -> u8 {
        (self.classes & 0xff) as u8
    }
}

/// Whether eight letters are those that stood there before, or have their classes.
#[inline]
fn is_like(of: &[u8; 256], there: &[u8; EIGHT], (sample, classes): (u64, u64), mask: u64) -> bool {
    if (u64::from_le_bytes(*there) ^ sample) & mask == 0 {
        return true;
    }
    let class = |byte: u8| of.get(usize::from(byte)).copied().unwrap_or(byte);
    (u64::from_le_bytes(there.map(class)) ^ classes) & mask == 0
}

fn number(place: usize) -> u32 {
    u32::try_from(place).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Digits are one class.
    fn alike() -> Alike<usize> {
        let class = |byte: u8| if byte.is_ascii_digit() { b'0' } else { byte };
        Alike::new(vec![
            std::array::from_fn(|byte| class(byte as u8)),
            std::array::from_fn(|byte| byte as u8),
        ])
    }

    #[test]
    fn a_text_is_known_by_what_is_the_same_in_another() {
        let mut tree = alike();
        let texts = [
            "a[1]: ",
            "a[12]: ",
            "a[12] ",
            "b",
            "program name[12345]: a long text",
            "program name[12345]: a long talk",
            "program name[1234567]: ",
            "x=00000000000000000000;",
        ];
        for (number, text) in texts.iter().enumerate() {
            assert_eq!(tree.recall(text.as_bytes()), None, "{text}");
            tree.remember(text.as_bytes(), &[(text.len(), 0)], || number);
        }
        for (number, text) in texts.iter().enumerate() {
            for more in ["", "1", "more than eight letters"] {
                let other: String =
                    text.chars().map(|letter| if letter.is_ascii_digit() { '7' } else { letter }).collect();
                for text in [format!("{text}{more}"), format!("{other}{more}")] {
                    assert_eq!(tree.recall(text.as_bytes()), Some(&number), "{text}");
                }
            }
            for upto in 0..text.len() {
                assert_eq!(tree.recall(text.get(..upto).unwrap().as_bytes()), None, "{text} up to {upto}");
                let mut other = text.as_bytes().to_vec();
                other[upto] = b'~';
                assert_eq!(tree.recall(&other), None, "{text} without {upto}");
            }
        }
    }

    #[test]
    fn each_letter_is_told_apart_by_who_looks_at_it() {
        let mut tree = alike();
        tree.remember(b"a 123 456 rest", &[(4, 0), (7, 1), (usize::MAX, 0)], || 1);
        tree.remember(b"a 123 4", &[(4, 1), (6, 0)], || 2);
        for (text, told) in [
            ("a 123 456 rest", Some(&1)),
            ("a 993 499 rest, and more", Some(&1)),
            ("a 124 456 rest", None),
            ("a 123 556 rest", None),
            ("a 123 45", None),
        ] {
            assert_eq!(tree.recall(text.as_bytes()), told, "{text}");
        }
        // Somebody looked behind what is said.
        assert_eq!(tree.told, [1]);
        // Another way begins in the same way.
        tree.remember(b"a 12 x", &[(6, 1)], || 3);
        tree.remember(b"a 12 y", &[(6, 1)], || 4);
        for (text, told) in [("a 123 456 rest", 1), ("a 12 x", 3), ("a 12 y", 4)] {
            assert_eq!(tree.recall(text.as_bytes()), Some(&told), "{text}");
        }
        tree.remember(b"a 12 y", &[(6, 1)], || 5);
        assert_eq!(tree.told, [1, 3, 4]);
    }

    #[test]
    fn so_many_texts_are_remembered() {
        let mut tree = alike();
        let letters = |number: usize| -> String {
            (0..3).map(|at| char::from(b'a' + (number / 26_usize.pow(at) % 26) as u8)).collect()
        };
        for number in 0..MAX_TEXTS + 500 {
            tree.remember(letters(number).as_bytes(), &[(3, 0)], || number);
        }
        assert_eq!((tree.told.len(), tree.missed), (MAX_TEXTS, 500));
        assert_eq!(tree.recall(letters(MAX_TEXTS - 1).as_bytes()), Some(&(MAX_TEXTS - 1)));
        tree.remember(&[b'z'; MAX_LEN + 1], &[(MAX_LEN + 1, 0)], || 0);
        assert_eq!(tree.missed, 500);
        for _ in 500..=MAX_TEXTS * MISSES_PER_TEXT {
            tree.remember(b"~", &[(1, 0)], || 0);
        }
        assert_eq!((tree.told.len(), tree.nodes.len(), tree.letters.len()), (0, 1, 0));
        tree.remember(b"~", &[(1, 0)], || 1);
        assert_eq!(tree.recall(b"~"), Some(&1));
    }
}
