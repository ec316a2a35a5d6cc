//! The search for one signature in user space, with the automaton that the gate walks: in less memory, as rows of a kilobyte each
//! have no room in the near memory of a processor that does something else between two packets.

use crate::plan::automaton::{self, AutomatonError, Classed, Needle};
use crate::ruleset::HeaderText;

/// A signature on a header, ready to be searched for in packets.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// The class of each byte.
    classes: [u8; 256],
    /// Row after row, a next state for each class. A state is told by the place where its row begins.
    next: Vec<u32>,
    start: u32,
    /// The rows of accepting states are before.
    accepting: u32,
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
        Ok(Self::with(&automaton::classed(&[needle], MAX_STATES)?))
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
        Ok(Self::with(&automaton::classed(&needles, automaton::MAX_STATES)?))
    }

    fn with(automaton: &Classed) -> Self {
        let Classed { classes, rows, outputs, start } = automaton;
        let width = rows.first().map_or(0, Vec::len);
        // No automaton has so many states that a place has no room.
        let place = |state: usize| u32::try_from(state * width).unwrap_or(u32::MAX);
        let mut matcher = Self {
            classes: *classes,
            next: rows.iter().flatten().map(|state| place(*state as usize)).collect(),
            start: place(*start as usize),
            accepting: place(outputs.len()),
            idle: None,
        };
        matcher.idle = Idle::of(&matcher);
        matcher
    }

    /// Whether the signature is in `packet`: the bytes from its network header to the end of its datagram.
    pub fn is_in(&self, packet: &[u8]) -> bool {
        let mut state = self.start;
        let mut rest = packet;
        loop {
            if let Some(idle) = &self.idle
                && state == idle.state
            {
                rest = idle.behind_what_begins_nothing(rest);
            }
            let Some((byte, after)) = rest.split_first() else { return false };
            state = self.behind(state, *byte);
            if self.accepts(state) {
                return true;
            }
            rest = after;
        }
    }

    /// The state behind a byte.
    #[inline]
    fn behind(&self, state: u32, byte: u8) -> u32 {
        let class = self.classes.get(usize::from(byte)).copied().unwrap_or(0);
        self.next.get(state as usize + usize::from(class)).copied().unwrap_or(0)
    }

    #[inline]
    fn accepts(&self, state: u32) -> bool {
        state < self.accepting
    }
}

impl Idle {
    /// `None` where too many bytes begin something.
    fn of(matcher: &Matcher) -> Option<Self> {
        // Where a NUL byte leads, nothing has begun; any state would do that few bytes leave.
        let state = matcher.behind(matcher.start, 0);
        let mut begins = (0..=u8::MAX).filter(|byte| matcher.behind(state, *byte) != state);
        let one = begins.next()?;
        let (two, three) = (begins.next().unwrap_or(one), begins.next().unwrap_or(one));
        (!matcher.accepts(state) && begins.next().is_none())
            .then_some(Self { state, begins: [one, two, three] })
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
    use crate::plan::automaton::Automaton;
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
        let mut state = matcher.start;
        packet.iter().any(|byte| {
            state = matcher.behind(state, *byte);
            matcher.accepts(state)
        })
    }

    /// The walk of the gate, whose rows have a next state for each byte.
    fn widely(automaton: &Automaton, packet: &[u8]) -> bool {
        let mut state = automaton.start;
        packet.iter().any(|byte| {
            state = automaton.rows[state as usize][usize::from(*byte)];
            (state as usize) < automaton.outputs.len()
        })
    }

    #[test]
    fn what_is_skipped_holds_nothing() {
        let agent =
            |text: &str| HeaderText::new("User-Agent", HeaderPattern::Text(text.to_owned()), true).unwrap();
        let headers = [agent("sipcli"), regex("User-Agent", "^iwar"), regex("From", "nm@"), agent("sip")];
        let matchers = [Matcher::any(&headers).unwrap(), Matcher::new(&headers[1]).unwrap()];
        let wide = [compile(&headers).unwrap(), compile(&headers[1..2]).unwrap()];
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
            for (matcher, wide) in matchers.iter().zip(&wide) {
                assert_eq!(matcher.is_in(&packet), plainly(matcher, &packet), "{packet:?}");
                assert_eq!(matcher.is_in(&packet), widely(wide, &packet), "{packet:?}");
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
                    let states =
                        matcher.next.len() / (1 + usize::from(*matcher.classes.iter().max().unwrap()));
                    assert!(states < 700, "{states}");
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
