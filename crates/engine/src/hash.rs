//! A keyed hash: fast, and not to be predicted by whoever does not know the key.

/// The key of all tables of one engine.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Salt(u64);

impl Salt {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed ^ 0x9e37_79b9_7f4a_7c15)
    }

    /// A hash of parts, of which none can lend bytes to its neighbour. Never 0, which marks an empty slot.
    pub(crate) fn of(self, parts: &[&[u8]]) -> u64 {
        let mut state = self.0;
        for part in parts {
            let (words, rest) = part.as_chunks::<8>();
            for word in words {
                state = fold(state ^ u64::from_le_bytes(*word), 0xa076_1d64_78bd_642f);
            }
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            state = fold(state ^ last_word(part, rest), 0xe703_7ed1_a0b4_28db ^ len);
        }
        fold(state, 0x8ebc_6af0_9c88_c6e3) | 1 << 63
    }

    /// A hash of a number.
    pub(crate) const fn of_number(self, number: u64) -> u64 {
        fold(number ^ self.0, 0xa076_1d64_78bd_642f) | 1 << 63
    }
}

/// The bytes behind the last whole word of a part, with zeros behind them: without a loop whose length nobody can predict.
fn last_word(part: &[u8], rest: &[u8]) -> u64 {
    if rest.is_empty() {
        return 0;
    }
    if let Some(last) = part.last_chunk::<8>() {
        return u64::from_le_bytes(*last) >> (8 * (8 - rest.len()));
    }
    let [high, low] = [rest.last_chunk::<4>(), rest.first_chunk::<4>()];
    if let (Some(high), Some(low)) = (high, low) {
        // Of four to seven bytes; where both halves overlap they are the same.
        return u64::from(u32::from_le_bytes(*low))
            | u64::from(u32::from_le_bytes(*high)) << (8 * (rest.len() - 4));
    }
    rest.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte))
}

/// Both halves of the product, folded.
const fn fold(a: u64, b: u64) -> u64 {
    let product = a as u128 * b as u128;
    (product >> 64) as u64 ^ product as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_do_not_run_together() {
        let salt = Salt::new(1);
        assert_ne!(salt.of(&[b"ab", b"c"]), salt.of(&[b"a", b"bc"]));
        assert_ne!(salt.of(&[b"", b"a"]), salt.of(&[b"a", b""]));
        assert_ne!(salt.of(&[b"a"]), Salt::new(2).of(&[b"a"]));
        assert_ne!(salt.of(&[b"a\0"]), salt.of(&[b"a"]));
    }

    #[test]
    fn what_is_left_of_a_part_is_a_word() {
        let text: Vec<u8> = (1..=40).collect();
        for len in 0..text.len() {
            let part = &text[..len];
            let (_, rest) = part.as_chunks::<8>();
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            assert_eq!(last_word(part, rest), u64::from_le_bytes(word), "{len}");
        }
    }
}
