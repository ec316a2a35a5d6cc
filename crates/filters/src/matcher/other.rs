use super::groups::Fields;
use super::guards::MASK;
use super::hits::Content;
use super::{Matcher, Outcome};
use crate::Host;
use crate::pattern::Care;

/// So many places are masked before it is given up.
const MAX_MASKED: usize = 8;
/// Masks of an address, and more.
const MASKS: &str = "\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}\u{1}";

impl Matcher {
    /// Whom the filter would find in a text if the host that it found did not stand there.
    pub(super) fn other(
        &mut self,
        text: &str,
        host: (usize, usize),
        content: Content,
        found: &Host,
    ) -> Option<Host> {
        let named = matches!(found, Host::Id(_));
        if !named && (self.is_guarded(text, host.0, content) || !may_hold_host(text.as_bytes(), host)) {
            return None;
        }
        let mut masked = std::mem::take(&mut self.masked);
        masked.clear();
        masked.push_str(text);
        let other = self.other_in(&mut masked, host, content, (found, named));
        self.masked = masked;
        other
    }

    /// Whether whoever may match with the host masked would find a host only behind what stands nowhere else than before it.
    fn is_guarded(&mut self, text: &str, host: usize, content: Content) -> bool {
        if self.filter.max_lines() > 1 {
            return false;
        }
        let from = before_mapped(text, host);
        if self.guards.is_prefix_sure(text, from) {
            return true;
        }
        // What is before the host is the same with it masked, and so is who may match after that.
        let Some(before) = text.get(content.start..from).filter(|_| content.reach <= from) else {
            return false;
        };
        if !self.guards.has_any() {
            return false;
        }
        let candidates =
            if content.read <= before.len() { Some(content.candidates) } else { self.screen.alive(before) };
        let rest = text.get(content.start..).unwrap_or_default();
        candidates.is_some_and(|candidates| self.guards.are_sure(candidates, rest, before.len()))
    }

    fn other_in(
        &mut self,
        masked: &mut String,
        mut host: (usize, usize),
        Content { start, reach, .. }: Content,
        (found, named): (&Host, bool),
    ) -> Option<Host> {
        for round in 0..MAX_MASKED {
            let from = before_mapped(masked, host.0);
            masked.replace_range(
                from..host.1,
                MASKS.get(..host.1 - from).unwrap_or(&MASK.to_string().repeat(host.1 - from)),
            );
            // The prefix saw nothing of the host: it would leave the same, in which perhaps nothing can match.
            let same_prefix = round == 0 && reach <= from && self.filter.max_lines() == 1;
            if same_prefix && self.screen.candidates(masked.get(start..)?, Care::Full).0.is_none() {
                return None;
            }
            let mut searched = String::new();
            let mut fields = Fields::default();
            let mut outcome = Outcome::default();
            let hit = self.first_hit((masked, &mut searched), &mut fields, &mut outcome, false)?;
            let (other, _) = fields.host()?;
            let next = hit.host;
            if other != *found && is_somebody(&other, named) {
                return Some(other);
            }
            host = next?;
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
    for at in memchr::memchr2_iter(b'.', b':', text) {
        let before = at.checked_sub(1).and_then(|at| text.get(at)).copied().unwrap_or(b' ');
        let (Some(byte), Some(after)) = (text.get(at).copied(), text.get(at + 1).copied()) else { continue };
        if at + 1 >= start && at < end {
            continue;
        }
        let colon = |byte: u8| byte == b':' || byte.is_ascii_hexdigit();
        let point = byte == b'.' && !before.is_ascii_whitespace() && !after.is_ascii_whitespace();
        colons += usize::from(byte == b':' && (colon(before) || colon(after)));
        if point || colons >= 2 {
            return true;
        }
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
