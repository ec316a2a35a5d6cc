/// The first bytes of a word, up to eight, in one number.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::pattern) struct Head {
    len: u8,
    bytes: [u8; 8],
}

impl Head {
    /// `None` for what is longer.
    pub(super) fn of_all(text: &[u8]) -> Option<Self> {
        (text.len() <= 8).then(|| Self::of(text))
    }

    fn of(text: &[u8]) -> Self {
        let mut bytes = [0; 8];
        let mut len = 0;
        for (place, byte) in bytes.iter_mut().zip(text) {
            *place = *byte;
            len += 1;
        }
        Self { len, bytes }
    }

    pub(in crate::pattern) const fn len(&self) -> usize {
        self.len as usize
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.bytes.get(..self.len()).unwrap_or_default()
    }

    /// Whether a text begins so.
    #[inline]
    pub(in crate::pattern) fn begins(&self, text: &[u8]) -> bool {
        match text.first_chunk() {
            Some(there) => (u64::from_le_bytes(*there) ^ u64::from_le_bytes(self.bytes)) & self.mask() == 0,
            None => self.bytes.get(..self.len()).is_some_and(|bytes| text.starts_with(bytes)),
        }
    }

    /// A bit for each bit of its bytes.
    #[inline]
    const fn mask(&self) -> u64 {
        u64::MAX.unbounded_shr(64 - 8 * self.len as u32)
    }
}

/// One of several words of ASCII, of which none begins like another as a whole.
#[derive(Clone, Debug)]
pub(in crate::pattern) struct Words {
    words: Box<[Word]>,
    fold: bool,
    /// So long is the longest.
    pub(in crate::pattern) longest: usize,
}

#[derive(Clone, Debug)]
struct Word {
    /// Its first bytes, in small letters where case does not matter.
    head: u64,
    mask: u64,
    /// What makes its letters small.
    small: u64,
    bytes: Box<[u8]>,
}

impl Words {
    pub(super) fn new(words: &[Box<[u8]>], fold: bool) -> Self {
        let longest = words.iter().map(|word| word.len()).max().unwrap_or(0);
        Self { words: words.iter().map(|word| Word::new(word, fold)).collect(), fold, longest }
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &[u8]> {
        self.words.iter().map(|word| &*word.bytes)
    }

    /// The length of the word with which a text begins.
    #[inline]
    pub(in crate::pattern) fn begins(&self, text: &[u8]) -> Option<usize> {
        let whole = |word: &Word| {
            let there = text.get(..word.bytes.len());
            there.is_some_and(|there| {
                if self.fold { there.eq_ignore_ascii_case(&word.bytes) } else { *there == *word.bytes }
            })
        };
        let fits = |word: &&Word| match text.first_chunk() {
            Some(there) => {
                (u64::from_le_bytes(*there) | word.small) & word.mask == word.head
                    && (word.bytes.len() <= 8 || whole(word))
            }
            None => whole(word),
        };
        self.words.iter().find(fits).map(|word| word.bytes.len())
    }
}

impl Word {
    fn new(word: &[u8], fold: bool) -> Self {
        let small: Vec<u8> =
            word.iter().map(|byte| if fold && byte.is_ascii_alphabetic() { 0x20 } else { 0 }).collect();
        let small = u64::from_le_bytes(Head::of(&small).bytes);
        let head = Head::of(word);
        Self { head: u64::from_le_bytes(head.bytes) | small, mask: head.mask(), small, bytes: word.into() }
    }
}
