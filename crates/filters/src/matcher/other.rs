use super::groups::Fields;
use super::{Candidates, Matcher, Outcome};
use crate::Host;

/// So many places are masked before it is given up.
const MAX_MASKED: usize = 8;
/// Takes the place of a letter of the host: no letter, no digit, no space, nothing that stands in a name or an address.
const MASK: &str = "\u{1}";

impl Matcher {
    /// Whom the filter would find in a text if the host that it found did not stand there.
    pub(super) fn other(&mut self, text: &str, host: (usize, usize), fields: &Fields) -> Option<Host> {
        let (found, _) = fields.host()?;
        let mut masked = text.to_owned();
        let mut span = host;
        for _ in 0..MAX_MASKED {
            masked.replace_range(span.0..span.1, &MASK.repeat(span.1 - span.0));
            let hit = self.first_hit(&masked, Candidates::ALL, &mut Outcome::default(), false)?;
            let (other, _) = hit.fields.host()?;
            if other != found {
                return Some(other);
            }
            span = hit.host?;
        }
        None
    }
}
