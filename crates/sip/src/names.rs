//! Names that are told apart, in any case, without a branch for each of them: by a perfect hash that is found at compile time.

/// Bytes of a name, at most.
pub(crate) const LONGEST: usize = 24;
const SLOTS: usize = 512;
/// What makes a small letter of every letter.
const SMALL: u64 = 0x2020_2020_2020_2020;

/// Names with a number each.
#[derive(Debug)]
pub(crate) struct Names<const COUNT: usize> {
    multiplier: u64,
    /// Which name may be at a hash.
    slots: [u8; SLOTS],
    names: [Name; COUNT],
}

#[derive(Clone, Copy, Debug)]
struct Name {
    /// In small letters, with zeros behind it.
    words: [u64; 3],
    /// Where there are letters: what makes them small.
    letters: [u64; 3],
    len: usize,
    number: u8,
}

impl<const COUNT: usize> Names<COUNT> {
    /// Of ASCII letters and `-`.
    #[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
    pub(crate) const fn new(list: [(&str, u8); COUNT]) -> Self {
        let mut names = [Name { words: [0; 3], letters: [0; 3], len: 0, number: 0 }; COUNT];
        let mut index = 0;
        while index < COUNT {
            names[index] = Name::new(list[index].0.as_bytes(), list[index].1);
            index += 1;
        }
        let mut multiplier: u64 = 0x9e37_79b9_7f4a_7c15;
        loop {
            if let Some(slots) = slots(&names, multiplier) {
                return Self { multiplier, slots, names };
            }
            multiplier = multiplier.wrapping_mul(0x5851_f42d_4c95_7f2d).wrapping_add(2);
        }
    }

    /// The number of the name that the first `len` bytes of `text` are.
    #[inline]
    pub(crate) fn find(&self, text: &[u8], len: usize) -> Option<u8> {
        let masks = MASKS.get(len)?;
        let mut room = [0; LONGEST];
        let bytes = text.first_chunk().unwrap_or_else(|| {
            room.iter_mut().zip(text).for_each(|(to, from)| *to = *from);
            &room
        });
        let (&[a, b, c], _) = bytes.as_chunks::<8>().0.split_first_chunk()?;
        let words = [
            u64::from_le_bytes(a) & masks[0],
            u64::from_le_bytes(b) & masks[1],
            u64::from_le_bytes(c) & masks[2],
        ];
        let name = self.names.get(usize::from(*self.slots.get(slot(words[0], len, self.multiplier))?))?;
        let differs = |((word, name), letters): ((u64, u64), u64)| (word ^ name) & !letters;
        let places = words.into_iter().zip(name.words).zip(name.letters);
        let differences = places.fold(0, |all, place| all | differs(place));
        (differences == 0 && len == name.len).then_some(name.number)
    }
}

impl Name {
    #[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
    const fn new(name: &[u8], number: u8) -> Self {
        let (mut words, mut letters) = ([0; 3], [0; 3]);
        let mut at = 0;
        while at < name.len() {
            let shift = 8 * (at % 8);
            words[at / 8] |= (name[at].to_ascii_lowercase() as u64) << shift;
            if name[at].is_ascii_alphabetic() {
                letters[at / 8] |= 0x20 << shift;
            }
            at += 1;
        }
        Self { words, letters, len: name.len(), number }
    }
}

/// Which bits are a name's, by its length.
#[expect(clippy::indexing_slicing, reason = "evaluated at compile time")]
const MASKS: [[u64; 3]; LONGEST + 1] = {
    let mut masks = [[0; 3]; LONGEST + 1];
    let mut len = 1;
    while len <= LONGEST {
        masks[len] = masks[len - 1];
        masks[len][(len - 1) / 8] |= 0xff << (8 * ((len - 1) % 8));
        len += 1;
    }
    masks
};

/// By the first eight letters and the length, in which all names differ.
const fn slot(word: u64, len: usize, multiplier: u64) -> usize {
    let mixed = (word | SMALL).wrapping_mul(multiplier).wrapping_add((len as u64) << 58);
    (mixed >> (u64::BITS - SLOTS.trailing_zeros())) as usize
}

/// A slot for each name, if no two names want the same.
#[expect(
    clippy::indexing_slicing,
    clippy::cast_possible_truncation,
    reason = "evaluated at compile time; there are few names"
)]
const fn slots(names: &[Name], multiplier: u64) -> Option<[u8; SLOTS]> {
    let mut slots = [0; SLOTS];
    let mut is_taken = [false; SLOTS];
    let mut index = 0;
    while index < names.len() {
        let slot = slot(names[index].words[0], names[index].len, multiplier);
        if is_taken[slot] {
            return None;
        }
        is_taken[slot] = true;
        slots[slot] = index as u8;
        index += 1;
    }
    Some(slots)
}

#[cfg(test)]
mod tests {
    use super::*;

    const COLOURS: Names<3> = Names::new([("Red", 7), ("dark-blue", 8), ("a-colour-of-24-letters--", 9)]);

    #[test]
    fn names_are_found_in_any_case_with_anything_behind_them() {
        let find = |text: &str, len| COLOURS.find(text.as_bytes(), len);
        assert_eq!((find("red", 3), find("RED: and more", 3)), (Some(7), Some(7)));
        assert_eq!(find("Dark-Blue", 9), Some(8));
        assert_eq!(find("A-COLOUR-OF-24-LETTERS--", 24), Some(9));
    }

    #[test]
    fn no_other_name_is_found() {
        for other in [
            "",
            "re",
            "rede",
            "red\0",
            "r\u{5}d",
            "dark\rblue",
            "dark_blue",
            "a-colour-of-24-letters---",
            "blue",
        ] {
            assert_eq!(COLOURS.find(other.as_bytes(), other.len()), None, "{other:?}");
        }
        assert_eq!(COLOURS.find(b"red", 2), None);
    }
}
