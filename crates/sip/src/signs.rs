//! Where the signs stand that separate the parts of a message: found 64 bytes at a time, so that what reads a field goes from sign to
//! sign instead of from byte to byte.

use wide::u8x16;

/// Bytes that one word tells of.
pub(crate) const BLOCK: usize = 64;
/// Words that are kept: the headers of nearly all messages. What is behind them is read without signs.
const WORDS: usize = 32;

/// What 64 bytes are, a bit each; the lowest is the first.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Block {
    /// Blanks and what is below them, and `"`, `,`, `:` to `@` (with `;`, `<`, `=`, `>`, `?`), `[` to `]` (with the backslash).
    pub(crate) signs: u64,
    pub(crate) line_feeds: u64,
    pub(crate) returns: u64,
    /// A NUL or a byte beyond ASCII is among them.
    pub(crate) is_odd: bool,
}

impl Block {
    /// The block of that number; without a bit for what is beyond the end of `bytes`.
    #[inline(always)]
    pub(crate) fn of(bytes: &[u8], number: usize) -> Self {
        let bytes = bytes.get(number * BLOCK..).unwrap_or_default();
        match bytes.first_chunk() {
            Some(block) => Self::of_whole(block),
            None => Self::of_rest(bytes),
        }
    }

    fn of_rest(bytes: &[u8]) -> Self {
        let mut block = [b'.'; BLOCK];
        if let Some(room) = block.get_mut(..bytes.len()) {
            room.copy_from_slice(bytes);
        }
        Self::of_whole(&block)
    }

    #[inline(always)]
    fn of_whole(block: &[u8; BLOCK]) -> Self {
        let (mut signs, mut line_feeds, mut returns) = (0, 0, 0);
        let mut odd = u8x16::ZERO;
        let (parts, _) = block.as_chunks::<16>();
        for (part, shift) in parts.iter().zip([0, 16, 32, 48]) {
            let part = u8x16::new(*part);
            let is = |byte: u8| part.simd_eq(u8x16::splat(byte));
            let is_within = |first: u8, last: u8| {
                let above = part - u8x16::splat(first);
                above.min(u8x16::splat(last - first)).simd_eq(above)
            };
            let mask = |bytes: u8x16| u64::from(bytes.to_bitmask()) << shift;
            let blank = part.min(u8x16::splat(b' ')).simd_eq(part);
            signs |= mask(blank | is(b'"') | is(b',') | is_within(b':', b'@') | is_within(b'[', b']'));
            line_feeds |= mask(is(b'\n'));
            returns |= mask(is(b'\r'));
            odd |= part | is(0);
        }
        Self { signs, line_feeds, returns, is_odd: odd.any() }
    }
}

/// The signs of a message's start line and headers, as far as they are kept.
#[derive(Clone, Debug)]
pub(crate) struct Signs([u64; WORDS]);

impl Signs {
    pub(crate) const fn new() -> Self {
        Self([0; WORDS])
    }

    /// Keeps the signs of a block, if it is one of the first.
    pub(crate) fn keep(&mut self, number: usize, signs: u64) {
        if let Some(word) = self.0.get_mut(number) {
            *word = signs;
        }
    }

    /// From `at` on, up to where `part` ends, which begins where the message does; `None` if some of them are not kept.
    #[inline(always)]
    pub(crate) fn walk<'s, 'a>(&'s self, part: &'a [u8], at: usize) -> Option<Walk<'s, 'a>> {
        (part.len() <= WORDS * BLOCK).then(|| self.walk_kept(part, at))
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

    const SIGNS: &[u8] = b"\",:;<=>?@[\\]";

    #[test]
    fn every_sign_is_found_wherever_it_stands() {
        for len in [1, 20, 40, 63, 64, 65, 200] {
            for byte in 0..=u8::MAX {
                let mut text = vec![b'x'; len];
                text[len - 1] = byte;
                let here = 1 << ((len - 1) % BLOCK);
                let block = Block::of(&text, (len - 1) / BLOCK);
                let is_sign = byte <= b' ' || SIGNS.contains(&byte);
                assert_eq!(block.signs, if is_sign { here } else { 0 }, "{byte} of {len}");
                assert_eq!(block.line_feeds, if byte == b'\n' { here } else { 0 });
                assert_eq!(block.returns, if byte == b'\r' { here } else { 0 });
                assert_eq!(block.is_odd, byte == 0 || byte >= 0x80);
            }
        }
    }

    #[test]
    fn a_walk_ends_with_its_part() {
        let text = [b"a;b=c".as_slice(), &[b'x'; 100], b";d;"].concat();
        let mut signs = Signs::new();
        (0..2).for_each(|number| signs.keep(number, Block::of(&text, number).signs));
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
        let signs = Signs::new();
        assert!(signs.walk(&text[..WORDS * BLOCK], 0).is_some());
        assert!(signs.walk(&text, 0).is_none());
        assert_eq!(signs.first(&text, WORDS * BLOCK), None);
    }
}
