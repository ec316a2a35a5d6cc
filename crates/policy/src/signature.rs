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
