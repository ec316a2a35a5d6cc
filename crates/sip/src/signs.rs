//! Where the signs stand that separate the parts of a message: found 64 bytes at a time, so that what reads a field goes from sign to
//! sign instead of from byte to byte.

use arrayvec::ArrayVec;

/// Bytes that one word tells of.
pub(crate) const BLOCK: usize = 64;
/// Words that are kept: the headers of nearly all messages. What is behind them is read without signs.
const WORDS: usize = 32;

/// Where the signs of a message's start line and headers stand, as far as they are kept: blanks and what is below them, and `"`, `,`, `:`
/// to `@` (with `;`, `<`, `=`, `>`, `?`), `[` to `]` (with the backslash). A bit for each byte; the lowest is the first.
#[derive(Clone, Debug)]
pub(crate) struct Signs(ArrayVec<u64, WORDS>);

impl Signs {
    pub(crate) const fn new() -> Self {
        Self(ArrayVec::new_const())
    }

    /// Another message is looked at.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// Keeps the signs of the next block, if it is one of the first.
    #[inline(always)]
    pub(crate) fn keep(&mut self, signs: u64) {
        if !self.0.is_full() {
            self.0.push(signs);
        }
    }

    /// From `at` on, up to where `part` ends, which begins where the message does; `None` if some of them are not kept.
    #[inline(always)]
    pub(crate) fn walk<'s, 'a>(&'s self, part: &'a [u8], at: usize) -> Option<Walk<'s, 'a>> {
        (part.len() <= self.0.len() * BLOCK).then(|| self.walk_kept(part, at))
    }

    /// The first sign from `at` on, if it is kept.
    #[inline(always)]
    pub(crate) fn first(&self, message: &[u8], at: usize) -> Option<(usize, u8)> {
        self.walk_kept(message, at).next()
    }

    #[inline(always)]
    fn walk_kept<'s, 'a>(&'s self, part: &'a [u8], at: usize) -> Walk<'s, 'a> {
        let base = at / BLOCK * BLOCK;
        let word = self.0.get(at / BLOCK).copied().unwrap_or(0) & (u64::MAX << (at % BLOCK));
        Walk { signs: self, part, at, base, word }
    }
}

/// Goes from sign to sign of a part of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Walk<'s, 'a> {
    signs: &'s Signs,
    /// From the start of the message to the end of the part.
    part: &'a [u8],
    /// Where the part begins.
    at: usize,
    /// Where the block begins.
    base: usize,
    /// Those of its signs that were not passed yet.
    word: u64,
}

impl<'a> Walk<'_, 'a> {
    /// The next sign and where it stands; `None` at the end of the part.
    #[inline(always)]
    pub(crate) fn next(&mut self) -> Option<(usize, u8)> {
        while self.word == 0 {
            self.base += BLOCK;
            if self.base >= self.part.len() {
                return None;
            }
            self.word = *self.signs.0.get(self.base / BLOCK)?;
        }
        let place = self.base + self.word.trailing_zeros() as usize;
        self.word &= self.word - 1;
        self.part.get(place).map(|sign| (place, *sign))
    }

    /// Where the part begins.
    #[inline(always)]
    pub(crate) const fn at(&self) -> usize {
        self.at
    }

    /// Where the part ends.
    #[inline(always)]
    pub(crate) const fn end(&self) -> usize {
        self.part.len()
    }

    #[inline(always)]
    pub(crate) fn text(&self, at: usize, end: usize) -> &'a [u8] {
        self.part.get(at..end).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scan::Scan;

    #[test]
    fn a_walk_ends_with_its_part() {
        let text = [b"a;b=c".as_slice(), &[b'x'; 100], b";d;"].concat();
        let mut signs = Signs::new();
        Scan::new().go_on(&text, &mut signs);
        let mut walk = signs.walk(&text[..text.len() - 1], 2).unwrap();
        assert_eq!(walk.next(), Some((3, b'=')));
        assert_eq!(walk.next(), Some((105, b';')));
        assert_eq!(walk.next(), None);
        assert_eq!(walk.next(), None);
        assert_eq!(signs.first(&text, 106), Some((107, b';')));
    }

    #[test]
    fn a_part_that_is_not_kept_whole_has_no_walk() {
        let text = [b'x'; WORDS * BLOCK + 1];
        let mut signs = Signs::new();
        assert!(signs.walk(&text[..BLOCK], 0).is_none());
        Scan::new().go_on(&text, &mut signs);
        assert!(signs.walk(&text[..WORDS * BLOCK], 0).is_some());
        assert!(signs.walk(&text, 0).is_none());
        assert_eq!(signs.first(&text, WORDS * BLOCK), None);
    }
}
