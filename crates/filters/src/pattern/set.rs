use std::sync::LazyLock;

use regex_automata::meta::Regex;

use crate::python::{Class, Item, Kind};

/// Letters, of which those of ASCII are looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Set {
    /// By the first byte of a letter.
    table: [Has; 256],
    class: Class,
    /// All letters but one.
    but: Option<u8>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Has {
    No,
    Yes,
    /// The letter is longer, and has to be looked at.
    Perhaps,
}

impl Set {
    pub(super) fn of(class: Class) -> Self {
        let only_ascii = |item: &Item| match item {
            Item::Letter(letter) => letter.is_ascii() && !(class.fold && letter.is_ascii_alphabetic()),
            Item::Range(_, high) => high.is_ascii() && !class.fold,
            Item::Kind { negated, ascii, .. } => !negated && *ascii,
        };
        let beyond =
            if class.negated || !class.items.iter().all(only_ascii) { Has::Perhaps } else { Has::No };
        let mut table = [beyond; 256];
        for (byte, has) in (0_u8..128).zip(table.iter_mut()) {
            *has = if holds(&class, char::from(byte)) { Has::Yes } else { Has::No };
        }
        let but = match class.items.as_slice() {
            [Item::Letter(letter)] if class.negated && !class.fold => {
                u8::try_from(*letter).ok().filter(u8::is_ascii)
            }
            _ => None,
        };
        Self { table, class, but }
    }

    /// A letter, in either case.
    pub(super) fn folded(letter: char) -> Self {
        Self::of(Class { negated: false, items: vec![Item::Letter(letter)], fold: true })
    }

    /// Where the wanted letter of ASCII stands next, behind one or more letters of the set, if that is known without looking at
    /// each: the set is all letters but one.
    pub(super) fn up_to(&self, wanted: u8, text: &str, at: usize) -> Option<Option<usize>> {
        let but = self.but?;
        let found = || {
            let from = at + self.take(text, at)?;
            let rest = text.as_bytes().get(from..)?;
            let found = from + memchr::memchr2(wanted, but, rest)?;
            (text.as_bytes().get(found) == Some(&wanted)).then_some(found)
        };
        Some(found())
    }

    /// Whether a letter that begins with this byte may be in it.
    #[inline]
    pub(super) fn may_begin(&self, byte: u8) -> bool {
        self.has(byte) != Has::No
    }

    #[inline]
    fn has(&self, byte: u8) -> Has {
        self.table.get(usize::from(byte)).copied().unwrap_or(Has::No)
    }

    /// How many bytes the letter at a place has, if it is in the set.
    #[inline]
    pub(super) fn take(&self, text: &str, at: usize) -> Option<usize> {
        match self.has(*text.as_bytes().get(at)?) {
            Has::Yes => Some(1),
            Has::No => None,
            Has::Perhaps => self.take_long(text, at),
        }
    }

    /// The end of all letters from a place on that are in it.
    pub(super) fn all(&self, text: &str, from: usize) -> usize {
        match self.but {
            Some(byte) => {
                let rest = text.as_bytes().get(from..).unwrap_or_default();
                memchr::memchr(byte, rest).map_or(text.len(), |len| from + len)
            }
            None => {
                let mut end = from;
                loop {
                    let rest = text.as_bytes().get(end..).unwrap_or_default();
                    let taken = rest.iter().position(|byte| self.has(*byte) != Has::Yes);
                    end += taken.unwrap_or(rest.len());
                    match self.take(text, end) {
                        Some(len) => end += len,
                        None => return end,
                    }
                }
            }
        }
    }

    /// The end of so many at least and so many at most, if there are as many.
    #[inline]
    pub(super) fn some(&self, text: &str, from: usize, least: u8, most: u8) -> Option<usize> {
        let (mut end, mut count) = (from, 0);
        while count < most {
            let Some(len) = self.take(text, end) else { break };
            end += len;
            // Who asks for 255 asks for all.
            count = if most == u8::MAX { (count + 1).min(least) } else { count + 1 };
        }
        (count >= least).then_some(end)
    }

    /// The end of so many at most.
    pub(super) fn most(&self, text: &str, from: usize, most: u32) -> usize {
        let (mut end, mut more) = (from, most);
        let bytes = text.as_bytes();
        while more > 0 {
            match bytes.get(end).map_or(Has::No, |byte| self.has(*byte)) {
                Has::Yes => end += 1,
                Has::No => return end,
                Has::Perhaps => match self.take_long(text, end) {
                    Some(len) => end += len,
                    None => return end,
                },
            }
            more -= 1;
        }
        end
    }

    #[cold]
    fn take_long(&self, text: &str, at: usize) -> Option<usize> {
        let letter = text.get(at..)?.chars().next()?;
        holds(&self.class, letter).then_some(letter.len_utf8())
    }
}

/// Letters of ASCII: a bit each.
pub(in crate::pattern) type Letters = u128;

/// The letters of ASCII that are in a class.
pub(in crate::pattern) fn letters(class: &Class) -> Letters {
    (0_u8..128).filter(|byte| holds(class, char::from(*byte))).fold(0, |letters, byte| letters | 1 << byte)
}

/// The letters of ASCII that a letter stands for, which is itself and, where case does not matter, the other.
pub(in crate::pattern) fn letters_of(letter: char, fold: bool) -> Letters {
    match u8::try_from(letter).ok().filter(u8::is_ascii) {
        Some(byte) if fold => 1 << byte.to_ascii_lowercase() | 1 << byte.to_ascii_uppercase(),
        Some(byte) => 1 << byte,
        None if fold => letters(&Class { negated: false, items: vec![Item::Letter(letter)], fold }),
        None => 0,
    }
}

pub(in crate::pattern) fn holds(class: &Class, letter: char) -> bool {
    let is_in = |letter: char| class.items.iter().any(|item| item_holds(item, letter));
    let folded = || {
        letter.to_lowercase().chain(letter.to_uppercase()).any(is_in) || special(letter).is_some_and(is_in)
    };
    (is_in(letter) || (class.fold && folded())) != class.negated
}

/// Two letters that are the same as a letter of ASCII when case does not matter.
const fn special(letter: char) -> Option<char> {
    match letter {
        'ſ' => Some('s'),
        '\u{212a}' => Some('k'),
        _ => None,
    }
}

fn item_holds(item: &Item, letter: char) -> bool {
    match item {
        Item::Letter(other) => letter == *other,
        Item::Range(low, high) => (*low..=*high).contains(&letter),
        Item::Kind { kind, negated, ascii } => kind_holds(*kind, letter, *ascii) != *negated,
    }
}

fn kind_holds(kind: Kind, letter: char, ascii: bool) -> bool {
    match kind {
        Kind::Digit => {
            letter.is_ascii_digit() || (!ascii && !letter.is_ascii() && is_unicode(&DIGIT, letter))
        }
        Kind::Space => {
            let separator = ('\u{1c}'..='\u{1f}').contains(&letter);
            if ascii { matches!(letter, '\t'..='\r' | ' ') } else { letter.is_whitespace() || separator }
        }
        Kind::Word => is_word(letter, ascii),
    }
}

/// `\w`
pub(super) fn is_word(letter: char, ascii: bool) -> bool {
    letter.is_ascii_alphanumeric()
        || letter == '_'
        || (!ascii && !letter.is_ascii() && is_unicode(&WORD, letter))
}

static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A\p{Nd}\z").ok());
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A[\p{L}\p{N}]\z").ok());

fn is_unicode(kind: &LazyLock<Option<Regex>>, letter: char) -> bool {
    let mut bytes = [0; 4];
    kind.as_ref().is_some_and(|kind| kind.is_match(&*letter.encode_utf8(&mut bytes)))
}
