//! The table of the gate's first look at a datagram (`gate::filter`): which aligned groups of four bytes may be part of a
//! signature.
//!
//! A signature always has some literal in it (its *factor*). Wherever the factor begins, one of its four alignments holds
//! for it; for each alignment one gram of the factor is chosen, the one that lawful SIP has least, and entered. A factor
//! that is too short for an alignment leaves one byte of the gram open, and all 256 grams are entered; where two bytes
//! are open, the gate compares the two known ones instead.

mod factor;
mod lawful;

use std::collections::HashSet;

use gate::filter::{FIRST, SECOND, first, second};
use gate::layout::{FILTER_SIZE, MAX_PAIRS};
use regex_syntax::hir::Hir;

use self::lawful::Lawful;

/// Beyond this share of [`FILTER_SIZE`] too many lawful grams are there by chance, and the automaton alone is faster.
const MAX_GRAMS: usize = FILTER_SIZE / 16;

/// The table, and what else the first look has to know.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Filter {
    pub table: Box<[u8; FILTER_SIZE]>,
    /// Folded pairs to look for at even offsets: at most [`MAX_PAIRS`].
    pub pairs: Vec<[u8; 2]>,
}

/// The filter for signatures; `None` if there is none that would save time.
pub fn plan(patterns: &[&Hir]) -> Option<Filter> {
    let lawful = Lawful::new();
    let mut factors = HashSet::new();
    for pattern in patterns {
        factors.extend(factor::required(pattern, &lawful)?);
    }
    // The order decides which grams are shared.
    let mut factors: Vec<Vec<u8>> = factors.into_iter().collect();
    factors.sort_unstable();
    let mut draft = Draft { lawful, grams: HashSet::new(), pairs: Vec::new() };
    for factor in &factors {
        for alignment in 0..4 {
            draft.cover(factor, alignment)?;
        }
        if draft.grams.len() > MAX_GRAMS {
            return None;
        }
    }
    Some(draft.finish())
}

/// What was chosen so far.
struct Draft {
    lawful: Lawful,
    grams: HashSet<[u8; 4]>,
    pairs: Vec<[u8; 2]>,
}

impl Draft {
    /// Makes sure that an occurrence of `factor` is noticed whose byte `alignment` stands at a multiple of four. `None`
    /// if that cannot be done.
    fn cover(&mut self, factor: &[u8], alignment: usize) -> Option<()> {
        let whole = factor.get(alignment..).unwrap_or_default().windows(4).step_by(4);
        let choice = whole
            .filter_map(|gram| <[u8; 4]>::try_from(gram).ok())
            .min_by_key(|gram| (self.lawful.count(gram), !self.grams.contains(gram)));
        if let Some(gram) = choice {
            self.grams.insert(gram);
            return Some(());
        }
        // Three bytes at the end of the factor, or three at its beginning behind an open one.
        let behind = factor.get(alignment..alignment + 3).map(|known| (known, 3));
        let before = if alignment == 3 { factor.get(..3).map(|known| (known, 0)) } else { None };
        let choice = [behind, before].into_iter().flatten().min_by_key(|(known, _)| self.lawful.count(known));
        if let Some((&[a, b, c], open)) = choice.and_then(|(known, open)| Some((known.first_chunk()?, open)))
        {
            let entries = (0..=u8::MAX).map(|any| if open == 0 { [any, a, b, c] } else { [a, b, c, any] });
            self.grams.extend(entries.map(|gram| gram.map(|byte| byte | gate::filter::FOLD)));
            return Some(());
        }
        let behind = factor.get(alignment..alignment + 2);
        let before = if alignment == 2 { factor.get(..2) } else { None };
        let known = [behind, before].into_iter().flatten().min_by_key(|known| self.lawful.count(known))?;
        let pair = *known.first_chunk()?;
        if !self.pairs.contains(&pair) {
            self.pairs.push(pair);
        }
        (self.pairs.len() <= MAX_PAIRS).then_some(())
    }

    fn finish(self) -> Filter {
        let mut table = Box::new([0; FILTER_SIZE]);
        for gram in self.grams {
            let gram = u32::from_le_bytes(gram);
            for (index, bit) in [(first(gram), FIRST), (second(gram), SECOND)] {
                if let Some(entry) = table.get_mut(index) {
                    *entry |= bit;
                }
            }
        }
        Filter { table, pairs: self.pairs }
    }
}

#[cfg(test)]
mod tests;
