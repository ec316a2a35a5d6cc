//! All signatures in one deterministic automaton, in the layout that the gate walks.
//!
//! `regex-automata` determinises; here its automaton is copied into rows of 256 next states, reduced to the fewest
//! states (Moore's partition refinement), and renumbered so that accepting states come first: "is there a signature"
//! is then one comparison.

use std::collections::{BTreeMap, HashMap};

use gate::layout::{MAX_OUTPUTS, Output, Outputs};
use regex_automata::dfa::{Automaton as _, dense};
use regex_automata::nfa::thompson;
use regex_automata::util::primitives::StateID;
use regex_automata::util::start;
use regex_automata::{Anchored, MatchKind};
use regex_syntax::hir::Hir;

use crate::ruleset::capital;

/// 16 MiB of rows. A thousand scanner names take about 10,000 states.
pub const MAX_STATES: usize = 16_384;

/// One signature: what to look for, and what the gate is told when it is found.
#[derive(Clone, Debug)]
pub struct Needle {
    pub pattern: Hir,
    pub output: Output,
}

/// Rows, and what ends where.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Automaton {
    /// 256 next states per state.
    pub rows: Vec<[u32; 256]>,
    /// One per accepting state; those are the lowest numbers.
    pub outputs: Vec<Outputs>,
    /// The state before the first byte.
    pub start: u32,
}

/// The same in less memory: rows with one next state for each class of bytes that no signature tells apart.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Classed {
    /// The class of each byte.
    pub classes: [u8; 256],
    pub rows: Vec<Vec<u32>>,
    /// As of an [`Automaton`].
    pub outputs: Vec<Outputs>,
    pub start: u32,
}

/// Why the signatures do not fit.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum AutomatonError {
    /// More than the bound, which is told.
    #[error("the signatures need more than {0} automaton states; use fewer or simpler regular expressions")]
    TooManyStates(usize),
    /// More than [`MAX_OUTPUTS`] signatures end at one byte.
    #[error("more than {MAX_OUTPUTS} signatures end at the same byte; remove the ones that contain another")]
    TooManyOutputs,
    /// The library's word.
    #[error("the signatures cannot be compiled: {0}")]
    Library(String),
}

/// Compiles `needles`; without any, an automaton of one state that accepts nothing.
///
/// # Errors
///
/// [`AutomatonError`], when the signatures are too many or too complex.
pub fn compile(needles: &[Needle]) -> Result<Automaton, AutomatonError> {
    classed(needles, MAX_STATES).map(Automaton::from)
}

/// The same with rows by classes, and another bound than [`MAX_STATES`].
///
/// # Errors
///
/// [`AutomatonError`], when the signatures are too many or too complex.
pub fn classed(needles: &[Needle], most: usize) -> Result<Classed, AutomatonError> {
    if needles.is_empty() {
        return Ok(Classed { classes: [0; 256], rows: vec![vec![0]], outputs: Vec::new(), start: 0 });
    }
    let raw = determinise(needles, most)?;
    let kinds = minimise(&raw.rows, &raw.ends);
    if kinds.iter().max().is_some_and(|kind| *kind as usize >= most) {
        return Err(AutomatonError::TooManyStates(most));
    }
    number(needles, &raw, &kinds)
}

impl From<Classed> for Automaton {
    fn from(classed: Classed) -> Self {
        let Classed { classes, rows, outputs, start } = classed;
        let wide = |row: &Vec<u32>| classes.map(|class| row.get(usize::from(class)).copied().unwrap_or(0));
        Self { rows: rows.iter().map(wide).collect(), outputs, start }
    }
}

/// What the library made, with more states than are needed.
#[derive(Debug)]
struct Raw {
    classes: [u8; 256],
    rows: Vec<Vec<u32>>,
    /// The signatures that end in each state.
    ends: Vec<Vec<usize>>,
    start: usize,
}

fn determinise(needles: &[Needle], most: usize) -> Result<Raw, AutomatonError> {
    let library = |error: &dyn std::fmt::Display| AutomatonError::Library(error.to_string());
    let patterns: Vec<&Hir> = needles.iter().map(|needle| &needle.pattern).collect();
    let nfa = thompson::Compiler::new()
        .configure(thompson::Config::new().utf8(false).shrink(false).nfa_size_limit(Some(64 << 20)))
        .build_many_from_hir(&patterns)
        .map_err(|error| library(&error))?;
    // Twins (a state and its "just matched" variant) double the number before they are merged.
    let row_size = size_of::<u32>() << nfa.byte_classes().stride2();
    let config = dense::Config::new()
        .match_kind(MatchKind::All)
        .start_kind(regex_automata::dfa::StartKind::Unanchored)
        .dfa_size_limit(Some(2 * most.saturating_mul(row_size) + (1 << 20)))
        .determinize_size_limit(Some(256 << 20));
    let dfa = dense::Builder::new().configure(config).build_from_nfa(&nfa).map_err(|error| {
        if error.is_size_limit_exceeded() { AutomatonError::TooManyStates(most) } else { library(&error) }
    })?;
    let start =
        dfa.start_state(&start::Config::new().anchored(Anchored::No)).map_err(|error| library(&error))?;
    let classes =
        std::array::from_fn(|byte| u8::try_from(byte).map_or(0, |byte| dfa.byte_classes().get(byte)));
    // In the order of their classes.
    let bytes: Vec<u8> = dfa.byte_classes().representatives(..).filter_map(|unit| unit.as_u8()).collect();
    // States are multiples of the length of a row.
    let place = |state: StateID| state.as_usize() >> dfa.stride2();
    let mut numbers: Vec<Option<u32>> = Vec::new();
    let mut queue = Vec::new();
    let mut number = |state: StateID, queue: &mut Vec<StateID>| {
        if numbers.len() <= place(state) {
            numbers.resize(place(state) + 1, None);
        }
        let fresh = u32::try_from(queue.len()).unwrap_or(u32::MAX);
        numbers.get_mut(place(state)).map_or(0, |number| {
            *number.get_or_insert_with(|| {
                queue.push(state);
                fresh
            })
        })
    };
    number(start, &mut queue);
    let mut rows: Vec<Vec<u32>> = Vec::new();
    let mut ends = Vec::new();
    while let Some(&state) = queue.get(rows.len()) {
        rows.push(bytes.iter().map(|&byte| number(dfa.next_state(state, byte), &mut queue)).collect());
        // The library reports a match one byte late; what would match at the end of input ends exactly here.
        let end = dfa.next_eoi_state(state);
        let count = if dfa.is_match_state(end) { dfa.match_len(end) } else { 0 };
        ends.push((0..count).map(|index| dfa.match_pattern(end, index).as_usize()).collect());
        if rows.len() > 2 * most {
            return Err(AutomatonError::TooManyStates(most));
        }
    }
    Ok(Raw { classes, rows, ends, start: 0 })
}

/// Moore's partition refinement: the kind of each state, equal for states that no input tells apart.
fn minimise(rows: &[Vec<u32>], ends: &[Vec<usize>]) -> Vec<u32> {
    let mut sets: BTreeMap<&[usize], u32> = BTreeMap::new();
    let mut kinds: Vec<u32> = Vec::with_capacity(rows.len());
    for end in ends {
        let fresh = u32::try_from(sets.len()).unwrap_or(u32::MAX);
        kinds.push(*sets.entry(end).or_insert(fresh));
    }
    let mut count = sets.len();
    loop {
        let mut seen: HashMap<Vec<u32>, u32> = HashMap::new();
        let refined: Vec<u32> = rows
            .iter()
            .zip(&kinds)
            .map(|(row, kind)| {
                let mut key = Vec::with_capacity(row.len() + 1);
                key.push(*kind);
                key.extend(row.iter().map(|next| kinds.get(*next as usize).copied().unwrap_or(0)));
                let fresh = u32::try_from(seen.len()).unwrap_or(u32::MAX);
                *seen.entry(key).or_insert(fresh)
            })
            .collect();
        if seen.len() == count {
            return kinds;
        }
        count = seen.len();
        kinds = refined;
    }
}

/// One row per kind of states, accepting ones first.
fn number(needles: &[Needle], raw: &Raw, kinds: &[u32]) -> Result<Classed, AutomatonError> {
    let Raw { classes, rows, ends, start } = raw;
    let mut representatives: BTreeMap<u32, usize> = BTreeMap::new();
    for (state, kind) in kinds.iter().enumerate() {
        representatives.entry(*kind).or_insert(state);
    }
    let accepts = |state: &usize| ends.get(*state).is_some_and(|end| !end.is_empty());
    let (accepting, others): (Vec<_>, Vec<_>) = representatives.iter().partition(|(_, state)| accepts(state));
    let order: Vec<(u32, usize)> =
        accepting.iter().chain(&others).map(|(kind, state)| (**kind, **state)).collect();
    let numbers: HashMap<u32, u32> =
        (0u32..).zip(&order).map(|(number, (kind, _))| (*kind, number)).collect();
    let renumber = |state: usize| kinds.get(state).and_then(|kind| numbers.get(kind)).copied().unwrap_or(0);
    let mut automaton =
        Classed { classes: *classes, rows: Vec::new(), outputs: Vec::new(), start: renumber(*start) };
    for (_, state) in &order {
        let next = rows.get(*state).map_or(&[] as &[u32], Vec::as_slice);
        automaton.rows.push(next.iter().map(|state| renumber(*state as usize)).collect());
    }
    for (_, state) in accepting {
        automaton.outputs.push(outputs(needles, ends.get(*state).map_or(&[], Vec::as_slice))?);
    }
    Ok(automaton)
}

/// What one accepting state reports: of signatures that only differ in their number, the lowest.
fn outputs(needles: &[Needle], ends: &[usize]) -> Result<Outputs, AutomatonError> {
    let mut all: Vec<Output> = Vec::new();
    for output in ends.iter().filter_map(|end| needles.get(*end)).map(|needle| needle.output) {
        let same = |other: &&mut Output| {
            other.group == output.group
                && other.length == output.length
                && (other.from, other.to) == (output.from, output.to)
        };
        match all.iter_mut().find(same) {
            Some(other) => other.signature = other.signature.min(output.signature),
            None => all.push(output),
        }
    }
    // A signature that may stand anywhere and comes first in its group makes the later ones of that group moot.
    let anywhere: Vec<Output> =
        all.iter().filter(|one| one.from == 0 && one.to == u16::MAX).copied().collect();
    all.retain(|one| {
        !anywhere.iter().any(|other| other.group == one.group && other.signature < one.signature)
    });
    let mut outputs = Outputs::default();
    if all.len() > MAX_OUTPUTS {
        return Err(AutomatonError::TooManyOutputs);
    }
    for (slot, output) in outputs.outputs.iter_mut().zip(&all) {
        *slot = *output;
    }
    outputs.count = u16::try_from(all.len()).unwrap_or(0);
    Ok(outputs)
}

/// A literal; where case is to be ignored, every byte stands for all that the kernel holds for the same letter.
pub fn literal(bytes: &[u8], ignore_case: bool) -> Hir {
    use regex_syntax::hir::{Class, ClassBytes, ClassBytesRange};
    if !ignore_case {
        return Hir::literal(bytes);
    }
    let one = |byte: &u8| {
        let same = (0..=u8::MAX).filter(|other| capital(*other) == capital(*byte));
        Hir::class(Class::Bytes(ClassBytes::new(same.map(|other| ClassBytesRange::new(other, other)))))
    };
    Hir::concat(bytes.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needle(text: &str, ignore_case: bool, group: u16, signature: u16) -> Needle {
        let length = u16::try_from(text.len()).unwrap();
        Needle {
            pattern: literal(text.as_bytes(), ignore_case),
            output: Output { signature, group, length, from: 0, to: u16::MAX },
        }
    }

    /// Ends of all occurrences, as (end, signature), by walking the automaton.
    fn walk(automaton: &Automaton, text: &[u8]) -> Vec<(usize, u16)> {
        let mut state = automaton.start;
        let mut hits = Vec::new();
        for (index, byte) in text.iter().enumerate() {
            state = automaton.rows[state as usize][usize::from(*byte)];
            if let Some(outputs) = automaton.outputs.get(state as usize) {
                let found = &outputs.outputs[..usize::from(outputs.count)];
                hits.extend(found.iter().map(|output| (index + 1, output.signature)));
            }
        }
        hits
    }

    #[test]
    fn nothing_to_look_for_accepts_nothing() {
        let automaton = compile(&[]).unwrap();
        assert_eq!(walk(&automaton, b"anything"), []);
    }

    #[test]
    fn every_occurrence_is_reported_at_its_last_byte() {
        let needles = [needle("sipcli", false, 0, 0), needle("sip", false, 1, 1), needle("CLI", true, 2, 2)];
        let automaton = compile(&needles).unwrap();
        let mut hits = walk(&automaton, b"xsipcli sipsip");
        hits.sort_unstable();
        assert_eq!(hits, [(4, 1), (7, 0), (7, 2), (11, 1), (14, 1)]);
        assert_eq!(walk(&automaton, b"SIPCLi"), [(6, 2)]);
    }

    #[test]
    fn literals_need_one_state_a_byte_like_aho_corasick() {
        let automaton = compile(&[needle("friendly-scanner", false, 0, 0)]).unwrap();
        assert_eq!(automaton.rows.len(), "friendly-scanner".len() + 1);
        assert_eq!(automaton.outputs.len(), 1);
    }

    #[test]
    fn of_equal_signatures_of_a_group_the_first_is_told() {
        let automaton = compile(&[needle("abc", false, 0, 4), needle("bc", false, 0, 2)]).unwrap();
        assert_eq!(walk(&automaton, b"abc"), [(3, 2)]);
    }

    #[test]
    fn too_many_different_ends_are_refused() {
        let text = "abcdefghijkl";
        let needles: Vec<Needle> =
            (0..12).map(|from| needle(text.split_at(from).1, false, from as u16, from as u16)).collect();
        assert_eq!(compile(&needles), Err(AutomatonError::TooManyOutputs));
    }
}
