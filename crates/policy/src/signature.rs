//! The search for one signature in user space, with the automaton that the gate walks.

use crate::plan::automaton::{self, Automaton, AutomatonError, Needle};
use crate::ruleset::HeaderText;

/// A signature on a header, ready to be searched for in packets.
#[derive(Clone, Debug)]
pub struct Matcher {
    automaton: Automaton,
}

impl Matcher {
    /// Compiles a signature.
    ///
    /// # Errors
    ///
    /// A regular expression that needs more than [`MAX_STATES`]. None that came from a policy does.
    pub fn new(header: &HeaderText) -> Result<Self, AutomatonError> {
        let needle = Needle { pattern: header.needle().clone(), output: gate::layout::Output::default() };
        Ok(Self { automaton: automaton::compile_within(&[needle], MAX_STATES)? })
    }

    /// Compiles many signatures to one search, which finds that any of them is there.
    ///
    /// # Errors
    ///
    /// More than [`automaton::MAX_STATES`] together. No policy's are.
    pub fn any<'a>(headers: impl IntoIterator<Item = &'a HeaderText>) -> Result<Self, AutomatonError> {
        let needle = |header: &HeaderText| Needle {
            pattern: header.needle().clone(),
            output: gate::layout::Output::default(),
        };
        let needles: Vec<Needle> = headers.into_iter().map(needle).collect();
        Ok(Self { automaton: automaton::compile(&needles)? })
    }

    /// Whether the signature is in `packet`: the bytes from its network header to the end of its datagram.
    pub fn is_in(&self, packet: &[u8]) -> bool {
        let mut state = self.automaton.start;
        packet.iter().any(|byte| {
            let row = self.automaton.rows.get(state as usize);
            state = row.and_then(|row| row.get(usize::from(*byte))).copied().unwrap_or(0);
            (state as usize) < self.automaton.outputs.len()
        })
    }
}

/// Bound of one signature. All of a policy share [`automaton::MAX_STATES`].
pub const MAX_STATES: usize = 1024;

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;
    use crate::ruleset::HeaderPattern;

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
