use super::set::Letters;

/// Sets of letters of ASCII, each once, that steps name by their numbers.
#[derive(Clone, Debug, Default)]
pub(super) struct Sets(Vec<Letters>);

impl Sets {
    /// The number of a set, a new one if it was not there.
    pub(super) fn number(&mut self, letters: Letters) -> Option<u32> {
        let place = self.0.iter().position(|other| *other == letters).unwrap_or_else(|| {
            self.0.push(letters);
            self.0.len() - 1
        });
        u32::try_from(place).ok()
    }

    pub(super) fn holds(&self, set: u32, byte: u8) -> bool {
        byte < 128 && self.get(set).is_some_and(|letters| letters >> byte & 1 == 1)
    }

    pub(super) fn get(&self, set: u32) -> Option<Letters> {
        self.0.get(set as usize).copied()
    }

    pub(super) fn all(&self) -> &[Letters] {
        &self.0
    }
}

/// A class for each letter of ASCII, the same for letters that none of `kinds` tells apart, and the first letter of each class.
pub(super) fn classes(kinds: &[Letters]) -> ([u8; 128], Vec<u8>) {
    let mut known: Vec<Vec<bool>> = Vec::new();
    let mut firsts = Vec::new();
    let mut classes = [0; 128];
    for (byte, class) in (0_u8..128).zip(&mut classes) {
        let kind: Vec<bool> = kinds.iter().map(|kind| kind >> byte & 1 == 1).collect();
        let place = known.iter().position(|other| *other == kind).unwrap_or_else(|| {
            known.push(kind);
            firsts.push(byte);
            known.len() - 1
        });
        *class = u8::try_from(place).unwrap_or(0);
    }
    (classes, firsts)
}
