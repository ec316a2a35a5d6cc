use std::ops::Range;

use super::layout::{Name, Pair, Sign, is_pair};
use super::{Chain, Read, Trace};

/// Finds out what else may stand in a text, so that each read of it tells the same and ends in the same place.
///
/// Of what may differ, two numbers never make a difference to the same read, and what makes none is looked at with each of the others.
pub(super) struct Learner<'t> {
    chain: &'t Chain,
    text: &'t [u8],
    trace: &'t Trace,
    pub(super) letters: Vec<Letter>,
    /// Places where digits may differ in the end.
    may_differ: Vec<bool>,
    /// Reads to which something makes a difference already.
    owned: Vec<bool>,
}

/// What may stand at a place of a text.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Letter {
    Fixed(u8),
    Digit,
    /// Of a name, or one of some letters.
    Other,
}

impl<'t> Learner<'t> {
    pub(super) fn new(chain: &'t Chain, text: &'t [u8], trace: &'t Trace) -> Self {
        let letters = text.iter().map(|byte| Letter::Fixed(*byte)).collect();
        let (may_differ, owned) = (vec![false; text.len()], vec![false; trace.reads.len()]);
        let mut learner = Self { chain, text, trace, letters, may_differ, owned };
        for (at, _) in text.iter().enumerate().filter(|(_, byte)| byte.is_ascii_digit()) {
            let is_free = !trace.compared.contains(&at)
                && learner.reads(at..at + 1).all(|(_, read)| learner.is_free(text, read, at));
            if is_free && let Some(letter) = learner.letters.get_mut(at) {
                *letter = Letter::Digit;
            }
            let is_in_pair = |(from, to): &(usize, usize)| {
                (*from..*to).contains(&at) && text.get(*from..*to).is_some_and(is_pair)
            };
            if let Some(place) = learner.may_differ.get_mut(at) {
                *place = is_free || trace.taken.iter().any(is_in_pair);
            }
        }
        learner
    }

    /// Which pairs of digits may stand at a place, if others may.
    pub(super) fn pair(&mut self, at: usize) -> Option<Pair> {
        let places = at..at + 2;
        if self.letters.get(places.clone())? == [Letter::Digit; 2] {
            return None;
        }
        let pairs = (0..100_u8).map(|number| [b'0' + number / 10, b'0' + number % 10]);
        let allowed: Vec<[u8; 2]> = pairs.filter(|pair| self.is_same(pair, at)).collect();
        self.own(places, &allowed, Letter::Digit).then(|| Pair::new(at, &allowed))
    }

    /// Which names may stand at a place, if others may.
    pub(super) fn name(&mut self, at: usize) -> Option<Name> {
        let names = self.chain.names.iter().filter(|name| self.is_same(*name, at));
        let allowed: Vec<[u8; 3]> = names.copied().collect();
        self.own(at..at + 3, &allowed, Letter::Other).then_some(Name { at, allowed })
    }

    /// Which letters may stand at a place, if others may, where all reads end that looked at it: behind a date, the first letter of
    /// what a program or a host is called.
    pub(super) fn sign(&mut self, at: usize) -> Option<Sign> {
        let is_fixed = |letter: &Letter| matches!(letter, Letter::Fixed(_));
        let byte = *self.text.get(at).filter(|byte| byte.is_ascii() && !byte.is_ascii_digit())?;
        if !self.letters.get(at).is_some_and(is_fixed) || self.trace.compared.contains(&at) {
            return None;
        }
        let mut allowed: Vec<u8> = (0..128).collect();
        for (_, read) in self.reads(at..at + 1) {
            if read.end != at + 1 || !self.letters.get(read.at..at)?.iter().all(is_fixed) {
                return None;
            }
            let row = self.text.get(read.at..at)?.iter().try_fold(read.row, |row, byte| {
                self.chain.next(row, Some(*byte)).and_then(|next| usize::try_from(next).ok())
            })?;
            let told = self.chain.next(row, Some(byte)).filter(|told| *told == read.told)?;
            allowed.retain(|other| self.chain.next(row, Some(*other)) == Some(told));
        }
        *self.letters.get_mut(at)? = Letter::Other;
        Some(Sign::new(at, &allowed))
    }

    /// The reads that looked at some letters.
    fn reads(&self, places: Range<usize>) -> impl Iterator<Item = (usize, &'t Read)> + use<'t> {
        let overlaps = move |read: &Read| read.at < places.end && places.start < read.end;
        self.trace.reads.iter().enumerate().filter(move |(_, read)| overlaps(read))
    }

    /// Those to which some letters make a difference.
    fn reads_that_differ(&self, places: &Range<usize>) -> impl Iterator<Item = (usize, &'t Read)> {
        self.reads(places.clone()).filter(|(_, read)| {
            let mut looked_at = places.clone().filter(|at| (read.at..read.end).contains(at));
            !looked_at.all(|at| self.is_free(self.text, read, at))
        })
    }

    /// Whether each digit at a place leads a read to the same row.
    fn is_free(&self, text: &[u8], read: &Read, place: usize) -> bool {
        let letters = text.get(read.at..place).unwrap_or_default();
        let row = letters.iter().try_fold(read.row, |row, byte| {
            self.chain.next(row, Some(*byte)).and_then(|next| usize::try_from(next).ok())
        });
        let Some(row) = row.filter(|_| text.get(place).is_some_and(u8::is_ascii_digit)) else { return false };
        let first = self.chain.next(row, Some(b'0'));
        first.is_some() && (b'1'..=b'9').all(|digit| self.chain.next(row, Some(digit)) == first)
    }

    /// Whether all reads tell the same where other letters stand at a place, whatever differs beside them.
    fn is_same(&self, letters: &[u8], at: usize) -> bool {
        let mut text = self.text.to_vec();
        let places = at..at + letters.len();
        let Some(place) = text.get_mut(places.clone()) else { return false };
        place.copy_from_slice(letters);
        self.reads_that_differ(&places).all(|(_, read)| {
            let again = self.chain.read(&text, read.at, read.row, &mut Trace::default());
            let mut beside = (read.at..read.end).filter(|at| !places.contains(at));
            again.is_some_and(|again| again.told == read.told && again.end == read.end)
                && beside.all(|at| self.may_differ.get(at) != Some(&true) || self.is_free(&text, read, at))
        })
    }

    /// Lets others stand in the place of some letters, unless something else makes a difference to who looks at them.
    fn own<const N: usize>(&mut self, places: Range<usize>, allowed: &[[u8; N]], letter: Letter) -> bool {
        let is_there = |letters: &[u8; N]| self.text.get(places.clone()) == Some(letters.as_slice());
        if !allowed.iter().any(is_there) {
            return false;
        }
        let reads: Vec<usize> = self.reads_that_differ(&places).map(|(number, _)| number).collect();
        let is_owned = reads.iter().any(|number| self.owned.get(*number) != Some(&false));
        if is_owned || places.clone().any(|at| self.trace.compared.contains(&at)) {
            return false;
        }
        for number in reads {
            if let Some(owned) = self.owned.get_mut(number) {
                *owned = true;
            }
        }
        if let Some(letters) = self.letters.get_mut(places) {
            letters.fill(letter);
        }
        true
    }
}
