//! The way through a message's head, 64 bytes at a time: where its lines end, where the signs stand that separate their parts, whether
//! there are bytes that no text has. With the widest vectors that the processor has.

use fearless_simd::{Level, Simd, dispatch, prelude::*, u8x64};

use crate::signs::{BLOCK, Signs};

/// Ends of lines that are told at once.
const ENDS: usize = 2 * BLOCK;

/// How far a message was looked at, and what was found. A message begins with its start line.
#[derive(Debug)]
pub(crate) struct Scan {
    /// The next block.
    number: usize,
    /// Where the line feeds stand that were found last.
    ends: [u16; ENDS],
    count: usize,
    /// The line feeds and returns of the block before.
    before: (u64, u64),
    bare_returns: u64,
    odd: u64,
    percents: u64,
    /// Behind the empty line.
    body_at: Option<usize>,
}

/// What 64 bytes are, a bit each; the lowest is the first.
#[derive(Clone, Copy, Debug)]
struct Block {
    /// See [`Signs`].
    signs: u64,
    line_feeds: u64,
    returns: u64,
    percents: u64,
    /// NULs, and what is beyond ASCII.
    odd: u64,
}

impl Scan {
    pub(crate) const fn new() -> Self {
        Self {
            number: 0,
            ends: [0; ENDS],
            count: 0,
            before: (0, 0),
            bare_returns: 0,
            odd: 0,
            percents: 0,
            body_at: None,
        }
    }

    /// Looks on, up to the empty line behind the headers, to the end of the message, or until there is no room for more ends of lines;
    /// keeps the signs. Those ends are told until it is called again; without one, all was looked at.
    pub(crate) fn go_on(&mut self, message: &[u8], signs: &mut Signs) {
        dispatch!(Level::new(), simd => self.blocks(simd, message, signs));
    }

    /// Where the line feeds are that the last [`Self::go_on`] found, in order.
    pub(crate) fn ends(&self) -> &[u16] {
        self.ends.get(..self.count).unwrap_or_default()
    }

    /// Where the body begins: behind the empty line, if there is one so far.
    pub(crate) const fn body_at(&self) -> Option<usize> {
        self.body_at
    }

    /// Whether a return ends no line. The last byte of all has nothing behind it that would tell.
    pub(crate) const fn has_bare_return(&self) -> bool {
        self.bare_returns != 0
    }

    /// Whether there may be a NUL or something beyond ASCII in the head: in the block in which it ends it may be in the body.
    pub(crate) const fn may_be_odd(&self) -> bool {
        self.odd != 0
    }

    /// The same of `%`.
    pub(crate) const fn may_have_percent(&self) -> bool {
        self.percents != 0
    }

    #[inline(always)]
    fn blocks<S: Simd>(&mut self, simd: S, message: &[u8], signs: &mut Signs) {
        // What every block changes stays in registers.
        let Self { number, bare_returns, odd, percents, .. } = *self;
        let (mut number, mut bare_returns, mut odd, mut percents) = (number, bare_returns, odd, percents);
        let (mut feeds_before, mut returns_before) = self.before;
        let mut count = 0;
        let blocks = message.len().div_ceil(BLOCK);
        while number < blocks && self.body_at.is_none() && count + BLOCK <= ENDS {
            let begin = number * BLOCK;
            let block = Block::at(simd, message, begin);
            signs.keep(block.signs);
            number += 1;
            odd |= block.odd;
            percents |= block.percents;
            let Block { line_feeds, returns, .. } = block;
            let behind_feed = line_feeds << 1 | feeds_before >> 63;
            let two_behind_feed = line_feeds << 2 | feeds_before >> 62;
            let behind_return = returns << 1 | returns_before >> 63;
            (feeds_before, returns_before) = (line_feeds, returns);
            let empty = line_feeds & (behind_feed | behind_return & two_behind_feed);
            let mut here = u64::MAX;
            if empty != 0 {
                let place = empty.trailing_zeros();
                self.body_at = Some(begin + place as usize + 1);
                here >>= u64::BITS - 1 - place;
            } else if number == blocks {
                // The last byte of all has nothing behind it.
                here >>= number * BLOCK - message.len();
            }
            bare_returns |= behind_return & !line_feeds & here;
            count = note_ends(&mut self.ends, count, begin, line_feeds & here);
        }
        self.before = (feeds_before, returns_before);
        (self.number, self.count) = (number, count);
        (self.bare_returns, self.odd, self.percents) = (bare_returns, odd, percents);
    }
}

/// Adds where the line feeds of a block are to `ends`, of which there are `count`; tells how many there are then.
#[inline(always)]
fn note_ends(ends: &mut [u16; ENDS], count: usize, begin: usize, line_feeds: u64) -> usize {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "no byte of a message stands beyond; without one it is not told"
    )]
    let end = |feeds: u64| (begin + feeds.trailing_zeros() as usize) as u16;
    // Two at most are in nearly every block, and written without asking how many there are.
    let others = line_feeds & line_feeds.wrapping_sub(1);
    if let Some([one, other, ..]) = ends.get_mut(count..) {
        (*one, *other) = (end(line_feeds), end(others));
    }
    let mut more = others & others.wrapping_sub(1);
    let mut at = count + 2;
    while more != 0 {
        if let Some(room) = ends.get_mut(at) {
            *room = end(more);
        }
        more &= more - 1;
        at += 1;
    }
    count + line_feeds.count_ones() as usize
}

impl Block {
    /// The block that begins at `begin`; without a bit for what is beyond the end of the message.
    #[inline(always)]
    fn at<S: Simd>(simd: S, message: &[u8], begin: usize) -> Self {
        let rest = message.get(begin..).unwrap_or_default();
        if let Some(block) = rest.first_chunk() {
            return Self::of(simd, block);
        }
        if let Some(last) = message.last_chunk() {
            // Some of these bytes were looked at already.
            return Self::of(simd, last).behind(BLOCK - rest.len());
        }
        let mut block = [b'.'; BLOCK];
        block.iter_mut().zip(rest).for_each(|(to, from)| *to = *from);
        Self::of(simd, &block)
    }

    #[inline(always)]
    fn of<S: Simd>(simd: S, block: &[u8; BLOCK]) -> Self {
        let block = u8x64::simd_from(simd, *block);
        let is = |byte: u8| block.simd_eq(u8x64::splat(simd, byte));
        let is_within = |first: u8, last: u8| (block - first).simd_le(u8x64::splat(simd, last - first));
        let blank = block.simd_le(u8x64::splat(simd, b' '));
        let signs = blank | is(b'"') | is(b',') | is_within(b':', b'@') | is_within(b'[', b']');
        Self {
            signs: signs.to_bitmask(),
            line_feeds: is(b'\n').to_bitmask(),
            returns: is(b'\r').to_bitmask(),
            percents: is(b'%').to_bitmask(),
            // One less than NUL is 255.
            odd: (block - 1).simd_ge(u8x64::splat(simd, 0x7f)).to_bitmask(),
        }
    }

    /// Without the first bytes.
    #[inline(always)]
    const fn behind(self, bytes: usize) -> Self {
        Self {
            signs: self.signs >> bytes,
            line_feeds: self.line_feeds >> bytes,
            returns: self.returns >> bytes,
            percents: self.percents >> bytes,
            odd: self.odd >> bytes,
        }
    }
}

#[cfg(test)]
mod tests;
