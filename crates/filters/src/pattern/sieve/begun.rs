use super::Bits;

/// Beginnings that are remembered, a power of two, and letters of each.
const PLACES: usize = 64;
const MAX_LEN: usize = 64;
/// Letters that say where one is remembered.
const HEAD: usize = 8;
/// Spreads them over the places.
const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;

/// How texts began, and who may match them: most lines begin with words that the program has for all of its lines.
#[derive(Clone, Debug, Default)]
pub(super) struct Begun {
    /// Made when the first comes.
    places: Vec<Place>,
}

#[derive(Clone, Copy, Debug)]
struct Place {
    text: [u8; MAX_LEN],
    /// So much of it was read; 0 where nothing is remembered.
    read: usize,
    which: Bits,
}

const EMPTY: Place = Place { text: [0; MAX_LEN], read: 0, which: 0 };

impl Begun {
    /// Who may match a text, and how much of it was read to see that.
    #[inline]
    pub(super) fn recall(&self, text: &[u8]) -> Option<(Bits, usize)> {
        let place = self.places.get(place(text)?)?;
        let seen = place.text.get(..place.read)?;
        (place.read > 0 && text.starts_with(seen)).then_some((place.which, place.read))
    }

    pub(super) fn remember(&mut self, text: &[u8], (which, read): (Bits, usize)) {
        let (Some(place), Some(seen)) = (place(text), text.get(..read).filter(|_| read > 0)) else { return };
        if self.places.is_empty() {
            self.places = vec![EMPTY; PLACES];
        }
        if let Some(place) = self.places.get_mut(place)
            && let Some(letters) = place.text.get_mut(..read)
        {
            letters.copy_from_slice(seen);
            (place.read, place.which) = (read, which);
        }
    }
}

/// Where a text is remembered that begins so.
#[inline]
fn place(text: &[u8]) -> Option<usize> {
    let head = u64::from_le_bytes(*text.first_chunk::<HEAD>()?);
    usize::try_from(head.wrapping_mul(SPREAD) >> (u64::BITS - PLACES.trailing_zeros())).ok()
}
