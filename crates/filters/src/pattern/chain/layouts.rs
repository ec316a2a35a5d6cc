use super::layout::Layout;
use super::{Chain, Trace};
use crate::pattern::{Found, Pattern};

/// Layouts that are known at once.
const MAX_KNOWN: usize = 8;
/// Of the first texts of unknown layout each is learned from, then some; and after so many all are forgotten.
const FIRST: usize = 32;
const SOME: usize = 256;
const MAX_MISSED: usize = 1 << 14;

/// How texts were laid out in which an expression matched that is a chain.
#[derive(Clone, Debug, Default)]
pub(crate) struct Layouts {
    known: Vec<Layout>,
    /// Made when it is first wanted; `None` within if it is none.
    chain: Option<Option<Box<Chain>>>,
    /// Texts of unknown layout.
    missed: usize,
}

impl Layouts {
    /// Whether an expression matches a text that is laid out as another was; says where some of its groups are, always the same.
    pub(crate) fn recall(&mut self, of: (&Pattern, &[usize]), text: &str, found: &mut Found) -> bool {
        if let Some(layout) = self.known.iter().find(|layout| layout.fits(text.as_bytes())) {
            found.machine.put_back(layout.places());
            return true;
        }
        // Nothing can be learned of what is no chain.
        if matches!(self.chain, Some(None)) {
            return false;
        }
        self.missed += 1;
        if self.missed > FIRST && !self.missed.is_multiple_of(SOME) {
            return false;
        }
        if self.missed > MAX_MISSED {
            self.known.clear();
            self.missed = 0;
        }
        self.learn(of, text, found) == Some(true)
    }

    #[cold]
    fn learn(
        &mut self,
        (pattern, groups): (&Pattern, &[usize]),
        text: &str,
        found: &mut Found,
    ) -> Option<bool> {
        let chain = self.chain.get_or_insert_with(|| Chain::new(&pattern.tree, groups).map(Box::new));
        let chain = chain.as_ref()?;
        let mut trace = Trace::default();
        let told = found.machine.told(chain.slots, |slots| chain.search(text, slots, &mut trace))?;
        if told.matched
            && self.known.len() < MAX_KNOWN
            && let Some(layout) = Layout::new(chain, text, &trace, found.machine.places())
            // It asks for whole words: a short text does not have them.
            && layout.fits(text.as_bytes())
        {
            self.known.push(layout);
        }
        Some(told.matched)
    }
}
