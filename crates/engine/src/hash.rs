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
            let mut last = [0; 8];
            for (to, from) in last.iter_mut().zip(rest) {
                *to = *from;
            }
            let len = u64::try_from(part.len()).unwrap_or(u64::MAX);
            state = fold(state ^ u64::from_le_bytes(last), 0xe703_7ed1_a0b4_28db ^ len);
        }
        fold(state, 0x8ebc_6af0_9c88_c6e3) | 1 << 63
    }

    /// A hash of a number.
    pub(crate) const fn of_number(self, number: u64) -> u64 {
        fold(number ^ self.0, 0xa076_1d64_78bd_642f) | 1 << 63
    }
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
}
