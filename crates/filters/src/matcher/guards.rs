use super::groups::Groups;
use super::screen::Candidates;
use crate::pattern::{Before, Pattern};

/// Takes the place of a letter of the host: no letter, no digit, no space, nothing that stands in a name or an address.
pub(super) const MASK: char = '\u{1}';

/// What stands right before each host that can be found: where it stands but once, there is but one host.
#[derive(Clone, Debug)]
pub(super) struct Guards {
    /// Where the prefix finds the host, and nobody else does.
    prefix: Option<Before>,
    /// By the number of an expression.
    failures: Vec<Option<Before>>,
}

impl Guards {
    pub(super) fn new(prefix: Option<(&Pattern, &Groups)>, failures: &[Pattern], groups: &[Groups]) -> Self {
        let guard = |(pattern, groups): (&Pattern, &Groups)| pattern.before(&groups.hosts()?, MASK);
        let has_none = |groups: &Groups| groups.hosts().is_some_and(|hosts| hosts.is_empty());
        let alone = groups.iter().all(has_none);
        let by_prefix = !prefix.is_none_or(|(_, groups)| has_none(groups));
        Self {
            prefix: prefix.filter(|_| by_prefix && alone).and_then(guard),
            failures: failures
                .iter()
                .zip(groups)
                .map(|of| if by_prefix { None } else { guard(of) })
                .collect(),
        }
    }

    /// Whether the prefix can find no host in a text but at this one place.
    pub(super) fn is_prefix_sure(&self, text: &str, host: usize) -> bool {
        self.prefix.as_ref().is_some_and(|before| is_only(before, text, host))
    }

    /// Whether any expression can be sure.
    pub(super) fn has_any(&self) -> bool {
        self.failures.iter().any(Option::is_some)
    }

    /// Whether none of the candidates can find a host in a text but at this one place.
    pub(super) fn are_sure(&self, candidates: Candidates, text: &str, host: usize) -> bool {
        let mut from = 0;
        while let Some(regex) = candidates.from(from, self.failures.len()) {
            from = regex + 1;
            let is_sure =
                |before: &Option<Before>| before.as_ref().is_some_and(|before| is_only(before, text, host));
            if !self.failures.get(regex).is_some_and(is_sure) {
                return false;
            }
        }
        true
    }
}

/// Whether no host can be in a text but at this place.
fn is_only(before: &Before, text: &str, host: usize) -> bool {
    before.places(text).all(|place| place == host || place >= text.len())
}
