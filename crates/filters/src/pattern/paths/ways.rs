use std::collections::{HashMap, HashSet};

use foldhash::fast::RandomState;

use super::steps::{Step, Steps};
use crate::pattern::set::is_word;
use crate::python::Look;

/// Steps that one letter may lead through.
const MAX_VISITED: usize = 4000;
/// Different things that ways keep in mind.
const MAX_KEPT: usize = 4096;
/// Letters of a text that is compared at once.
const MAX_TEXT: usize = 64;

/// Where a way is, and what it keeps in mind.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) struct Way {
    step: u32,
    kept: u32,
}

/// From which way one comes, and what it passed at the place between: a list of slots, 0 if none.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Origin {
    pub(super) way: u16,
    pub(super) saves: u16,
}

/// What stands before the next letter, as far as anybody asks.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, PartialEq)]
pub(super) struct Before {
    start: bool,
    word: bool,
    line_end: bool,
}

/// What a letter leads to.
#[derive(Debug, Default)]
pub(super) struct Turned {
    pub(super) ways: Vec<Way>,
    pub(super) origins: Vec<Origin>,
    /// A way that matches before the letter, which is better than all that came behind it.
    pub(super) matched: Option<Origin>,
    pub(super) before: Before,
}

/// What a way keeps in mind: conditions that hold, and texts of which so many letters stood there, and which must not become whole.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
struct Kept {
    flags: u16,
    texts: Vec<(u16, u16)>,
}

/// All ways of an expression at once.
#[derive(Clone, Debug)]
pub(super) struct Ways {
    pub(super) steps: Steps,
    kept: Vec<Kept>,
    kept_numbers: HashMap<Kept, u32, RandomState>,
    saves: Vec<Box<[u16]>>,
    saves_numbers: HashMap<Box<[u16]>, u16, RandomState>,
    seen: HashSet<Way, RandomState>,
    /// A way, the last slot that it passed and the one before, by its number in the second.
    todo: Vec<(Way, usize)>,
    passed: Vec<(u16, usize)>,
}

impl Ways {
    pub(super) fn new(steps: Steps) -> Self {
        let mut ways = Self {
            steps,
            kept: Vec::new(),
            kept_numbers: HashMap::default(),
            saves: Vec::new(),
            saves_numbers: HashMap::default(),
            seen: HashSet::default(),
            todo: Vec::new(),
            passed: Vec::new(),
        };
        ways.forget();
        ways
    }

    pub(super) fn forget(&mut self) {
        self.kept = vec![Kept::default()];
        self.kept_numbers = std::iter::once((Kept::default(), 0)).collect();
        self.saves = vec![Box::default()];
        self.saves_numbers = std::iter::once((Box::default(), 0)).collect();
    }

    pub(super) const fn start(&self) -> (Way, Before) {
        let before = Before { start: self.steps.looks_back, word: false, line_end: false };
        (Way { step: self.steps.start, kept: 0 }, before)
    }

    /// The slots of a list.
    #[inline]
    pub(super) fn slots(&self, saves: u16) -> &[u16] {
        self.saves.get(usize::from(saves)).map_or(&[], |slots| slots)
    }

    /// Where all ways go with a letter of ASCII, or with the end; `None` if that is too much, or cannot be told so soon.
    pub(super) fn turn(
        &mut self,
        ways: &[Way],
        before: Before,
        byte: Option<u8>,
        spent: &mut usize,
    ) -> Option<Turned> {
        let mut turned =
            Turned { before: byte.map_or(before, |byte| self.behind(byte)), ..Turned::default() };
        self.seen.clear();
        self.passed.clear();
        let mut visited = 0;
        let mut reached: HashSet<Way, RandomState> = HashSet::default();
        'ways: for (number, way) in ways.iter().enumerate() {
            let number = u16::try_from(number).ok()?;
            self.todo.clear();
            self.todo.push((*way, 0));
            while let Some((way, passed)) = self.todo.pop() {
                if !self.seen.insert(way) {
                    continue;
                }
                visited += 1;
                *spent += 1;
                if visited > MAX_VISITED {
                    return None;
                }
                let go = |step: u32| (Way { step, ..way }, passed);
                match *self.steps.steps.get(way.step as usize)? {
                    Step::Set { set, next } => {
                        let Some(byte) = byte.filter(|byte| self.steps.holds(set, *byte)) else { continue };
                        let Some(kept) = self.after(way.kept, byte)? else { continue };
                        let next = Way { step: next, kept };
                        if reached.insert(next) {
                            turned.ways.push(next);
                            turned.origins.push(Origin { way: number, saves: self.list(passed)? });
                        }
                    }
                    Step::Either(first, second) => self.todo.extend([go(second), go(first)]),
                    Step::Jump(to) => self.todo.push(go(to)),
                    Step::Save { slot, next } => {
                        self.passed.push((slot, passed));
                        self.todo.push((Way { step: next, ..way }, self.passed.len()));
                    }
                    Step::Look { look, next } => {
                        if looks(look, before, byte) {
                            self.todo.push(go(next));
                        }
                    }
                    Step::Not { text, next } => {
                        let kept = self.with_text(way.kept, text)?;
                        self.todo.push((Way { step: next, kept }, passed));
                    }
                    Step::Flag { flag, next } => {
                        let kept = self.with_flag(way.kept, flag)?;
                        self.todo.push((Way { step: next, kept }, passed));
                    }
                    Step::If { flag, yes, no } => {
                        let holds = self.kept.get(way.kept as usize)?.flags >> flag & 1 == 1;
                        self.todo.push(go(if holds { yes } else { no }));
                    }
                    Step::Match => {
                        // A text that must not follow may still do so.
                        if self.is_open(way.kept, byte) {
                            return None;
                        }
                        turned.matched = Some(Origin { way: number, saves: self.list(passed)? });
                        break 'ways;
                    }
                }
            }
        }
        Some(turned)
    }

    /// The text that alone goes on where there is but one way, and where it leads.
    pub(super) fn text(&self, ways: &[Way], before: Before) -> (Vec<u8>, Way, Before) {
        let mut text = Vec::new();
        let [mut way] = *ways else { return (text, Way { step: 0, kept: 0 }, before) };
        let mut behind = before;
        if self.kept.get(way.kept as usize).is_some_and(|kept| kept.texts.is_empty()) {
            while let Some(step) = self.steps.steps.get(way.step as usize) {
                way.step = match *step {
                    Step::Jump(to) => to,
                    Step::Set { set, next } => {
                        let Some(byte) = self.steps.only(set).filter(|byte| *byte != b'\n') else { break };
                        text.push(byte);
                        behind = self.behind(byte);
                        next
                    }
                    Step::Either(..)
                    | Step::Save { .. }
                    | Step::Look { .. }
                    | Step::Not { .. }
                    | Step::Flag { .. }
                    | Step::If { .. }
                    | Step::Match => break,
                };
                if text.len() >= MAX_TEXT {
                    break;
                }
            }
        }
        (text, way, behind)
    }

    /// What is asked about a letter by what follows it.
    fn behind(&self, byte: u8) -> Before {
        let word = is_word(char::from(byte), true);
        if self.steps.looks_back {
            Before { start: false, word, line_end: byte == b'\n' }
        } else {
            Before::default()
        }
    }

    /// What a way keeps in mind behind a letter; `None` within, if a text has become whole.
    fn after(&mut self, kept: u32, byte: u8) -> Option<Option<u32>> {
        let Kept { flags, texts } = self.kept.get(kept as usize)?;
        if texts.is_empty() {
            return Some(Some(kept));
        }
        let mut left = Vec::new();
        for (text, at) in texts {
            let whole = self.steps.texts.get(usize::from(*text))?;
            if whole.get(usize::from(*at)) == Some(&byte) {
                if usize::from(*at) + 1 == whole.len() {
                    return Some(None);
                }
                left.push((*text, at + 1));
            }
        }
        let kept = Kept { flags: *flags, texts: left };
        self.number(kept).map(Some)
    }

    fn is_open(&self, kept: u32, byte: Option<u8>) -> bool {
        let Some(byte) = byte else { return false };
        let goes_on = |(text, at): &(u16, u16)| {
            self.steps.texts.get(usize::from(*text)).and_then(|text| text.get(usize::from(*at)))
                == Some(&byte)
        };
        self.kept.get(kept as usize).is_none_or(|kept| kept.texts.iter().any(goes_on))
    }

    fn with_text(&mut self, kept: u32, text: u16) -> Option<u32> {
        let mut kept = self.kept.get(kept as usize)?.clone();
        if !kept.texts.contains(&(text, 0)) {
            kept.texts.push((text, 0));
            kept.texts.sort_unstable();
        }
        self.number(kept)
    }

    fn with_flag(&mut self, kept: u32, flag: u8) -> Option<u32> {
        let mut kept = self.kept.get(kept as usize)?.clone();
        kept.flags |= 1 << flag;
        self.number(kept)
    }

    fn number(&mut self, kept: Kept) -> Option<u32> {
        if let Some(known) = self.kept_numbers.get(&kept) {
            return Some(*known);
        }
        if self.kept.len() >= MAX_KEPT {
            return None;
        }
        let number = u32::try_from(self.kept.len()).ok()?;
        self.kept.push(kept.clone());
        self.kept_numbers.insert(kept, number);
        Some(number)
    }

    /// The list of the slots that were passed.
    fn list(&mut self, mut passed: usize) -> Option<u16> {
        if passed == 0 {
            return Some(0);
        }
        let mut slots = Vec::new();
        while let Some((slot, before)) = passed.checked_sub(1).and_then(|at| self.passed.get(at)) {
            if !slots.contains(slot) {
                slots.push(*slot);
            }
            passed = *before;
        }
        slots.sort_unstable();
        let slots: Box<[u16]> = slots.into();
        if let Some(known) = self.saves_numbers.get(&slots) {
            return Some(*known);
        }
        let number = u16::try_from(self.saves.len()).ok()?;
        self.saves.push(slots.clone());
        self.saves_numbers.insert(slots, number);
        Some(number)
    }
}

/// Whether something holds between what stands before and a letter or the end; that a line end is the last letter is known.
fn looks(look: Look, before: Before, byte: Option<u8>) -> bool {
    let word = byte.is_some_and(|byte| is_word(char::from(byte), true));
    match look {
        Look::Start => before.start,
        Look::StartOfLine => before.start || before.line_end,
        Look::End | Look::EndOfLine => byte.is_none_or(|byte| byte == b'\n'),
        Look::VeryEnd => byte.is_none(),
        Look::Edge { .. } => before.word != word,
        Look::NoEdge { .. } => before.word == word,
        Look::Bound => !(before.word && word),
    }
}
