use super::groups::Fields;
use super::{Candidates, Matcher, Outcome};
use crate::Host;

/// So many places are masked before it is given up.
const MAX_MASKED: usize = 8;
/// Takes the place of a letter of the host: no letter, no digit, no space, nothing that stands in a name or an address.
const MASK: &str = "\u{1}";

impl Matcher {
    /// Whom the filter would find in a text if the host that it found did not stand there.
    pub(super) fn other(
        &mut self,
        text: &str,
        host: (usize, usize),
        fields: &Fields,
        candidates: Candidates,
    ) -> Option<Host> {
        let (found, _) = fields.host()?;
        let named = matches!(found, Host::Id(_));
        if !named && !may_hold_host(text.as_bytes(), host) {
            return None;
        }
        let mut masked = text.to_owned();
        let mut span = host;
        for _ in 0..MAX_MASKED {
            let start = before_mapped(&masked, span.0);
            masked.replace_range(start..span.1, &MASK.repeat(span.1 - start));
            let hit = self.first_hit(&masked, candidates, &mut Outcome::default(), false)?;
            let (other, _) = hit.fields.host()?;
            if other != found && is_somebody(&other, named) {
                return Some(other);
            }
            span = hit.host?;
        }
        None
    }
}

/// `::ffff:` belongs to the address behind it.
fn before_mapped(text: &str, start: usize) -> usize {
    let before = text.get(..start).unwrap_or_default();
    ["::ffff:", "::FFFF:"].iter().find_map(|prefix| before.strip_suffix(prefix)).map_or(start, str::len)
}

/// Whether anything outside of the place could be an address or a name with a point.
fn may_hold_host(text: &[u8], (start, end): (usize, usize)) -> bool {
    let mut colons = 0;
    let mut before = b' ';
    for (at, window) in text.windows(2).enumerate() {
        let [byte, after] = *window else { continue };
        let outside = at + 1 < start || at >= end;
        let point = byte == b'.' && !before.is_ascii_whitespace() && !after.is_ascii_whitespace();
        let colon = |byte: u8| byte == b':' || byte.is_ascii_hexdigit();
        colons += usize::from(outside && byte == b':' && (colon(before) || colon(after)));
        if outside && (point || colons >= 2) {
            return true;
        }
        before = byte;
    }
    false
}

/// A name without a point is a word, or a port: `<HOST>` takes any. What is no address (`1:2`) is somebody only where the filter
/// tells failures apart by such.
fn is_somebody(host: &Host, named: bool) -> bool {
    match host {
        Host::Addr(_) | Host::Net { .. } => true,
        Host::Id(_) => named,
        Host::Name(name) => name.rsplit_once('.').is_some_and(|(_, last)| last.contains(char::is_alphabetic)),
    }
}
