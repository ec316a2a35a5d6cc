use super::learner::{Learner, Letter};
use super::{Chain, Trace};
use crate::pattern::machine::Places;

/// Letters of a layout, eight of which are a number.
const MAX_LEN: usize = 64;
const EIGHT: usize = 8;
/// In each of eight letters.
const LOW: u8 = 0x0f;
const HIGH: u8 = 0xf0;
/// What makes sixteen of a ten.
const SIX: u64 = 0x0606_0606_0606_0606;
const SIXTEEN: u64 = 0x1010_1010_1010_1010;

/// Letters that are the same in all texts that a chain reads in the same way, and where these may differ.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    eights: Box<[Eight]>,
    pairs: Box<[Pair]>,
    names: Box<[Name]>,
    sign: Option<Sign>,
    places: Places,
}

/// Eight letters: those that are fixed, and where others are digits.
#[derive(Clone, Copy, Debug, Default)]
struct Eight {
    letters: u64,
    fixed: u64,
    digits: u64,
}

/// Two digits, and which may stand there: a bit each, four bits of its place for each digit.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pair {
    at: usize,
    allowed: [u64; 4],
}

/// Three letters, and which may stand there.
#[derive(Clone, Debug)]
pub(super) struct Name {
    pub(super) at: usize,
    pub(super) allowed: Vec<[u8; 3]>,
}

/// A letter, and which may stand there: a bit each.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sign {
    at: usize,
    allowed: u128,
}

impl Layout {
    /// How a text is laid out that a chain read up to a place.
    pub(super) fn new(chain: &Chain, text: &str, trace: &Trace, places: Places) -> Option<Self> {
        let text = text.as_bytes().get(..places.reach()).filter(|text| text.len() <= MAX_LEN)?;
        let mut learner = Learner::new(chain, text, trace);
        let (mut pairs, mut names) = (Vec::new(), Vec::new());
        for (from, to) in &trace.taken {
            let taken = text.get(*from..*to)?;
            if is_pair(taken) {
                pairs.extend(learner.pair(*from));
            } else if taken.len() == 3 && taken.iter().all(u8::is_ascii_alphabetic) {
                names.extend(learner.name(*from));
            }
        }
        // The last letter only says that something does not go on.
        let sign = text.len().checked_sub(1).and_then(|last| learner.sign(last));
        let eights = learner.letters.chunks(EIGHT).map(Eight::new).collect();
        Some(Self { eights, pairs: pairs.into(), names: names.into(), sign, places })
    }

    pub(super) const fn places(&self) -> &Places {
        &self.places
    }

    /// Whether a text is laid out so.
    #[inline]
    pub(super) fn fits(&self, text: &[u8]) -> bool {
        let (eights, _) = text.as_chunks::<EIGHT>();
        eights.len() >= self.eights.len()
            && self.eights.iter().zip(eights).all(|(eight, there)| eight.fits(u64::from_le_bytes(*there)))
            && self.sign.is_none_or(|sign| sign.fits(text))
            && self.pairs.iter().all(|pair| pair.fits(text))
            && self.names.iter().all(|name| {
                let there = text.get(name.at..).and_then(<[u8]>::first_chunk);
                there.is_some_and(|there| name.allowed.contains(there))
            })
    }
}

impl Eight {
    fn new(letters: &[Letter]) -> Self {
        let number = |of: fn(&Letter) -> u8| {
            u64::from_le_bytes(std::array::from_fn(|at| letters.get(at).map_or(0, of)))
        };
        Self {
            letters: number(|letter| match letter {
                Letter::Fixed(byte) => *byte,
                Letter::Digit => b'0',
                Letter::Other => 0,
            }),
            fixed: number(|letter| match letter {
                Letter::Fixed(_) => u8::MAX,
                Letter::Digit => HIGH,
                Letter::Other => 0,
            }),
            digits: number(|letter| if *letter == Letter::Digit { LOW } else { 0 }),
        }
    }

    #[inline]
    const fn fits(self, there: u64) -> bool {
        let is_ten = ((there & self.digits).wrapping_add(self.digits & SIX)) & SIXTEEN;
        (there ^ self.letters) & self.fixed | is_ten == 0
    }
}

impl Pair {
    pub(super) fn new(at: usize, allowed: &[[u8; 2]]) -> Self {
        let mut pair = Self { at, allowed: [0; 4] };
        for [one, other] in allowed {
            let place = place(*one, *other);
            if let Some(allowed) = pair.allowed.get_mut(place >> 6) {
                *allowed |= 1 << (place & 63);
            }
        }
        pair
    }

    #[inline]
    fn fits(&self, text: &[u8]) -> bool {
        let Some([one, other]) = text.get(self.at..).and_then(<[u8]>::first_chunk) else { return false };
        let place = place(*one, *other);
        self.allowed.get(place >> 6).is_some_and(|allowed| allowed >> (place & 63) & 1 == 1)
    }
}

impl Sign {
    pub(super) fn new(at: usize, allowed: &[u8]) -> Self {
        Self { at, allowed: allowed.iter().fold(0, |all, byte| all | 1 << byte) }
    }

    #[inline]
    fn fits(self, text: &[u8]) -> bool {
        text.get(self.at).is_some_and(|byte| byte.is_ascii() && self.allowed >> byte & 1 == 1)
    }
}

/// Two digits.
pub(super) fn is_pair(letters: &[u8]) -> bool {
    letters.len() == 2 && letters.iter().all(u8::is_ascii_digit)
}

#[inline]
fn place(one: u8, other: u8) -> usize {
    usize::from((one & LOW) << 4 | other & LOW)
}
