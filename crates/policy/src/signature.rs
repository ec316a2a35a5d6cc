//! The search for one signature in user space, with the automaton that the gate walks.

use crate::plan::automaton::{self, Automaton, AutomatonError, Needle};
use crate::ruleset::HeaderText;

/// A signature on a header, ready to be searched for in packets.
#[derive(Clone, Debug)]
pub struct Matcher {
    automaton: Automaton,
    idle: Option<Idle>,
}

/// The state in which nothing has begun, and the bytes that leave it: one to three. What is between them need not be walked.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
struct Idle {
    state: u32,
    begins: [u8; 3],
}

impl Matcher {
    /// Compiles a signature.
    ///
    /// # Errors
    ///
    /// A regular expression that needs more than [`MAX_STATES`]. None that came from a policy does.
    pub fn new(header: &HeaderText) -> Result<Self, AutomatonError> {
        let needle = Needle { pattern: header.needle().clone(), output: gate::layout::Output::default() };
        Ok(Self::with(automaton::compile_within(&[needle], MAX_STATES)?))
    }

    /// Compiles many signatures to one search, which finds that any of them is there.
    ///
    /// # Errors
    ///
    /// More than [`automaton::MAX_STATES`] together. No policy's are.
    pub fn any<'a>(headers: impl IntoIterator<Item = &'a HeaderText>) -> Result<Self, AutomatonError> {
        // Which one it is does not matter, so all are one expression.
        let pattern = HeaderText::any_of(headers);
        let needles = [Needle { pattern, output: gate::layout::Output::default() }];
        Ok(Self::with(automaton::compile(&needles)?))
    }

    fn with(automaton: Automaton) -> Self {
        let idle = Idle::of(&automaton);
        Self { automaton, idle }
    }

    /// Whether the signature is in `packet`: the bytes from its network header to the end of its datagram.
    pub fn is_in(&self, packet: &[u8]) -> bool {
        let Self { automaton, idle } = self;
        let mut state = automaton.start;
        let mut rest = packet;
        loop {
            if let Some(idle) = idle
                && state == idle.state
            {
                rest = idle.behind_what_begins_nothing(rest);
            }
            let Some((byte, after)) = rest.split_first() else { return false };
            let row = automaton.rows.get(state as usize);
            state = row.and_then(|row| row.get(usize::from(*byte))).copied().unwrap_or(0);
            if (state as usize) < automaton.outputs.len() {
                return true;
            }
            rest = after;
        }
    }
}

impl Idle {
    /// `None` where too many bytes begin something.
    fn of(automaton: &Automaton) -> Option<Self> {
        // Where a NUL byte leads, nothing has begun; any state would do that few bytes leave.
        let state = *automaton.rows.get(automaton.start as usize)?.first()?;
        let row = automaton.rows.get(state as usize)?;
        let mut begins = (0..=u8::MAX).zip(row).filter(|(_, next)| **next != state).map(|(byte, _)| byte);
        let one = begins.next()?;
        let (two, three) = (begins.next().unwrap_or(one), begins.next().unwrap_or(one));
        let is_accepting = (state as usize) < automaton.outputs.len();
        (!is_accepting && begins.next().is_none()).then_some(Self { state, begins: [one, two, three] })
    }

    fn behind_what_begins_nothing<'a>(&self, bytes: &'a [u8]) -> &'a [u8] {
        let [one, two, three] = self.begins;
        // Headers begin with a line end only, which is found faster than one of three bytes.
        let found =
            if one == two { memchr::memchr(one, bytes) } else { memchr::memchr3(one, two, three, bytes) };
        found.and_then(|at| bytes.get(at..)).unwrap_or_default()
    }
}

/// Bound of one signature. All of a policy share [`automaton::MAX_STATES`].
pub const MAX_STATES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::ruleset::{HeaderPattern, LONGEST_PATTERN};

    fn compile(signatures: &[HeaderText]) -> Result<Automaton, AutomatonError> {
        let needles: Vec<Needle> = (0..)
            .zip(signatures)
            .map(|(signature, header)| Needle {
                pattern: header.needle().clone(),
                output: gate::layout::Output { signature, to: u16::MAX, ..Default::default() },
            })
            .collect();
        automaton::compile(&needles)
    }

    fn regex(header: &str, expression: &str) -> HeaderText {
        HeaderText::new(header, HeaderPattern::Regex(expression.to_owned()), true).unwrap()
    }

    /// Sixty signatures of every kind over three headers. The time is what the debug profile needs with room to spare.
    #[test]
    fn many_signatures_compile_soon() {
        let start = Instant::now();
        let mut signatures = Vec::new();
        for number in 0..30 {
            let word = format!("scanner-{:x}-{}", number * 7919, "agent".repeat(number % 3));
            signatures.push(HeaderText::new("User-Agent", HeaderPattern::Text(word), true).unwrap());
            signatures.push(regex("From", &format!("^\"?{}[0-9]+\"?$", ["ab", "cd", "ef"][number % 3])));
            signatures.push(regex("Subject", &format!("tool[0-9a-f]{{2}}{number}")));
        }
        let automaton = compile(&signatures[..60]).unwrap();
        println!("{} states in {:?}", automaton.rows.len(), start.elapsed());
        assert!(start.elapsed().as_secs() < 2, "{:?}", start.elapsed());
        assert!(automaton.rows.len() < 4000, "{}", automaton.rows.len());
    }

    /// The walk that looks at every byte.
    fn plainly(matcher: &Matcher, packet: &[u8]) -> bool {
        let mut state = matcher.automaton.start;
        packet.iter().any(|byte| {
            state = matcher.automaton.rows[state as usize][usize::from(*byte)];
            (state as usize) < matcher.automaton.outputs.len()
        })
    }

    #[test]
    fn what_is_skipped_holds_nothing() {
        let agent =
            |text: &str| HeaderText::new("User-Agent", HeaderPattern::Text(text.to_owned()), true).unwrap();
        let headers = [agent("sipcli"), regex("User-Agent", "^iwar"), regex("From", "nm@"), agent("sip")];
        let matchers = [Matcher::any(&headers).unwrap(), Matcher::new(&headers[1]).unwrap()];
        assert!(matchers.iter().all(|matcher| matcher.idle.is_some()), "headers begin with a line end");
        let parts: [&[u8]; 10] = [
            b"\r\n",
            b"\n",
            b"User-Agent:",
            b"user-agent :",
            b" iwar",
            b"sipcli",
            b"f: <nm@",
            b"x",
            b"\0\0\0\0",
            b"\r\n ",
        ];
        let mut random = 1_u64;
        let mut hits = 0;
        for _ in 0..20_000 {
            let mut packet = Vec::new();
            for _ in 0..random >> 60 {
                random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                packet.extend(parts[usize::try_from(random >> 40).unwrap() % parts.len()]);
            }
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            for matcher in &matchers {
                assert_eq!(matcher.is_in(&packet), plainly(matcher, &packet), "{packet:?}");
                hits += usize::from(matcher.is_in(&packet));
            }
        }
        assert!(hits > 100, "{hits}");
    }

    /// Such are not compiled to see whether they are too complex.
    #[test]
    fn plain_texts_fit_in_every_header() {
        let texts = ["a".repeat(LONGEST_PATTERN - 2), "a ".repeat(63), "ab-a".repeat(31), "aab".repeat(42)];
        for header in ["From", "Subject", &"a".repeat(LONGEST_PATTERN), &"a-ab".repeat(32)] {
            for text in &texts {
                let anchored = [format!("^{text}$"), format!("^{text}"), format!("{text}$"), text.clone()];
                for expression in &anchored {
                    let matcher = Matcher::new(&regex(header, expression)).unwrap();
                    assert!(matcher.automaton.rows.len() < 700, "{}", matcher.automaton.rows.len());
                }
            }
        }
    }

    #[test]
    fn what_explodes_is_refused_soon() {
        let start = Instant::now();
        let bomb = regex("User-Agent", "a[ab]{16}b");
        assert!(matches!(Matcher::new(&bomb), Err(AutomatonError::TooManyStates(MAX_STATES))));
        // Each alone is small; together every one of them may be under way or not.
        let many: Vec<HeaderText> = (b'a'..=b'y')
            .map(|letter| regex("User-Agent", &format!("{}.*{}x", letter as char, (letter + 1) as char)))
            .collect();
        for one in &many {
            Matcher::new(one).unwrap();
        }
        assert_eq!(compile(&many), Err(AutomatonError::TooManyStates(automaton::MAX_STATES)));
        println!("{:?}", start.elapsed());
        assert!(start.elapsed().as_secs() < 30, "{:?}", start.elapsed());
    }
}
