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
        self.learn(of, text, found).is_some()
    }

    #[cold]
    fn learn(
        &mut self,
        (pattern, groups): (&Pattern, &[usize]),
        text: &str,
        found: &mut Found,
    ) -> Option<()> {
        let chain = self.chain.get_or_insert_with(|| Chain::new(&pattern.tree, groups).map(Box::new));
        let chain = chain.as_ref()?;
        let mut trace = Trace::default();
        found.machine.told(chain.slots, |slots| chain.search(text, slots, &mut trace))?;
        if self.known.len() < MAX_KNOWN
            && let Some(layout) = Layout::new(chain, text, &trace, found.machine.places())
            // It asks for whole words: a short text does not have them.
            && layout.fits(text.as_bytes())
        {
            self.known.push(layout);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::pattern::Haystack;
    use crate::python::Flags;

    /// Chains, of which the second has pieces that may be left out, and texts.
    const CHAINS: [(&str, &[&str]); 4] = [
        (
            r"^((?P<m>Jan|Feb|Mar) (?P<d>3[01]|[12]\d|[ 0]?[1-9]) (?P<H>[01]\d|2[0-3]):(?P<M>[0-5]\d))(?=\b|\W|$)",
            &["Jan 11 10:20 host name", "Feb  7 23:59 other name", "Mar 31 00:00: a b c d e"],
        ),
        (
            r"^((?P<H>[01]\d|2[0-3]):(?P<M>[0-5]\d)(?: (?P<Y>20\d\d))?)(?=\b|\W|$)",
            &[
                "10:20 2026 and so on",
                "10:20 host and so on",
                "10:20.123 2026 and so",
                "10:20.5 other and so",
            ],
        ),
        (
            r"^((?P<Y>20\d\d)(?P<sep>[-/])(?P<m>1[0-2]|0?[1-9])(?P=sep)(?P<d>3[01]|[12]\d|0?[1-9]))(?=\b|\W|$)",
            &["2026-11-28 and so on", "2026/1/28 and so on", "2026-1-2x and so on"],
        ),
        (r"^(ab?c?)(?=\b|\W|$)", &["abc and so on", "ab and so on", "ac and so on"]),
    ];

    #[test]
    fn a_layout_says_what_a_search_finds() {
        for (regex, texts) in CHAINS {
            let pattern = Pattern::new(regex, Flags::default(), Haystack::Line).unwrap();
            let groups: Vec<usize> = (1..=pattern.tree.groups).collect();
            let mut layouts = Layouts::default();
            let (mut recalled, mut found) = (Found::default(), Found::default());
            let mut is_known = 0;
            // Each letter of each text becomes each other one, several times, so that it is learned from some of them.
            for round in 0..3_u8 {
                for (text, at) in
                    texts.iter().flat_map(|text| (0..text.len().min(20)).map(move |at| (text, at)))
                {
                    for byte in (b' '..=b'~').filter(|byte| round > 0 || byte.is_ascii_digit()) {
                        let mut text = text.as_bytes().to_vec();
                        text[at] = byte;
                        let text = String::from_utf8(text).unwrap();
                        if layouts.recall((&pattern, &groups), &text, &mut recalled) {
                            is_known += 1;
                            assert_eq!(pattern.search(&text, &mut found), Ok(true), "{regex} in {text}");
                            for group in 0..=pattern.tree.groups {
                                assert_eq!(
                                    recalled.span(group),
                                    found.span(group),
                                    "{group} of {regex} in {text}"
                                );
                            }
                        }
                        assert!(layouts.known.len() <= MAX_KNOWN);
                    }
                }
            }
            assert!(is_known > 500, "{is_known} of {regex}");
        }
    }

    #[test]
    fn so_many_layouts_are_known() {
        let pattern = Pattern::new(r"^(\d{1,20}:)", Flags::default(), Haystack::Line).unwrap();
        let mut layouts = Layouts::default();
        for len in (1..=20).cycle().take(SOME * 20) {
            let text = format!("{}: and behind it more", "1".repeat(len));
            assert!(layouts.recall((&pattern, &[1]), &text, &mut Found::default()) || layouts.missed > 8);
        }
        assert_eq!(layouts.known.len(), MAX_KNOWN);
    }
}
