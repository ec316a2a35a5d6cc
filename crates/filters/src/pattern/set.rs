use std::sync::LazyLock;

use regex_automata::meta::Regex;

use crate::python::{Class, Item, Kind};

/// Letters, of which those of ASCII are looked up.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Set {
    ascii: [bool; 128],
    class: Class,
    /// Whether any letter beyond ASCII may be in it.
    pub(super) beyond: bool,
}

impl Set {
    pub(super) fn of(class: Class) -> Self {
        let mut ascii = [false; 128];
        for (byte, is_in) in (0_u8..128).zip(&mut ascii) {
            *is_in = holds(&class, char::from(byte));
        }
        let only_ascii = |item: &Item| match item {
            Item::Letter(letter) => letter.is_ascii() && !(class.fold && letter.is_ascii_alphabetic()),
            Item::Range(_, high) => high.is_ascii() && !class.fold,
            Item::Kind { negated, ascii, .. } => !negated && *ascii,
        };
        let beyond = class.negated || !class.items.iter().all(only_ascii);
        Self { ascii, class, beyond }
    }

    /// A letter, in either case.
    pub(super) fn folded(letter: char) -> Self {
        Self::of(Class { negated: false, items: vec![Item::Letter(letter)], fold: true })
    }

    pub(super) fn has_byte(&self, byte: u8) -> bool {
        self.ascii.get(usize::from(byte)).copied().unwrap_or(self.beyond)
    }

    /// How many bytes the letter at a place has, if it is in the set.
    pub(super) fn take(&self, text: &str, at: usize) -> Option<usize> {
        let byte = *text.as_bytes().get(at)?;
        match self.ascii.get(usize::from(byte)) {
            Some(is_in) => is_in.then_some(1),
            None if !self.beyond => None,
            None => {
                let letter = text.get(at..)?.chars().next()?;
                holds(&self.class, letter).then_some(letter.len_utf8())
            }
        }
    }
}

fn holds(class: &Class, letter: char) -> bool {
    let is_in = |letter: char| class.items.iter().any(|item| item_holds(item, letter));
    let folded = || letter.to_lowercase().chain(letter.to_uppercase()).any(is_in) || special(letter).is_some_and(is_in);
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
        Kind::Digit => letter.is_ascii_digit() || (!ascii && !letter.is_ascii() && is_unicode(&DIGIT, letter)),
        Kind::Space => {
            let separator = ('\u{1c}'..='\u{1f}').contains(&letter);
            if ascii { matches!(letter, '\t'..='\r' | ' ') } else { letter.is_whitespace() || separator }
        }
        Kind::Word => is_word(letter, ascii),
    }
}

/// `\w`
pub(super) fn is_word(letter: char, ascii: bool) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || (!ascii && !letter.is_ascii() && is_unicode(&WORD, letter))
}

static DIGIT: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A\p{Nd}\z").ok());
static WORD: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\A[\p{L}\p{N}]\z").ok());

fn is_unicode(kind: &LazyLock<Option<Regex>>, letter: char) -> bool {
    let mut bytes = [0; 4];
    kind.as_ref().is_some_and(|kind| kind.is_match(&*letter.encode_utf8(&mut bytes)))
}
