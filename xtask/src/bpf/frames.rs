//! How much stack the chains of calls in an object take, as the verifier of Linux 6.1 counts it (`check_max_stack_depth` in
//! kernel/bpf/verifier.c): newer kernels accept more, so that building and loading here shows nothing.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result, bail, ensure};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind};

/// Bytes of all frames of a chain (`MAX_BPF_STACK`).
const MOST: u32 = 512;
/// The same where a function on the way makes tail calls.
const MOST_WITH_TAIL_CALLS: u32 = 256;
/// Functions of a chain (`MAX_CALL_FRAMES`).
const MOST_FRAMES: usize = 8;
/// Every frame takes a multiple of this.
const UNIT: u32 = 32;
/// Bytes of an instruction.
const INSTRUCTION: usize = 8;

/// Where a function begins: section and offset.
type Place = (usize, u64);

#[derive(Debug, Default)]
struct Function {
    name: String,
    /// Bytes below the frame pointer that are used.
    stack: u32,
    /// Who is called, or given to a helper that calls it.
    calls: Vec<Place>,
    has_tail_calls: bool,
}

/// The chain that takes most.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub(super) struct Chain {
    /// Names with the bytes of each frame, the program first.
    pub(super) frames: Vec<(String, u32)>,
    has_tail_calls: bool,
}

impl Chain {
    pub(super) fn bytes(&self) -> u32 {
        self.frames.iter().map(|(_, bytes)| bytes).sum()
    }
}

impl std::fmt::Display for Chain {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (number, (name, bytes)) in self.frames.iter().enumerate() {
            write!(f, "{}{name} ({bytes})", if number > 0 { " > " } else { "" })?;
        }
        Ok(())
    }
}

/// The deepest chain of calls of an object.
///
/// # Errors
///
/// One that Linux 6.1 refuses, or an object that is none.
pub(super) fn check(elf: &[u8]) -> Result<Chain> {
    let functions = functions(elf)?;
    ensure!(!functions.is_empty(), "there is no function in it");
    let mut worst = Chain::default();
    for place in functions.keys() {
        let chain = deepest(&functions, *place, &mut Vec::new())?;
        let most = if chain.has_tail_calls { MOST_WITH_TAIL_CALLS } else { MOST };
        ensure!(
            chain.bytes() <= most,
            "a chain of calls takes {} bytes of stack, and Linux 6.1 allows {most}: {chain}",
            chain.bytes()
        );
        if chain.bytes() > worst.bytes() {
            worst = chain;
        }
    }
    Ok(worst)
}

fn deepest(functions: &BTreeMap<Place, Function>, place: Place, way: &mut Vec<Place>) -> Result<Chain> {
    let function = functions.get(&place).context("a call goes to no function")?;
    ensure!(!way.contains(&place), "`{}` calls itself", function.name);
    ensure!(way.len() < MOST_FRAMES, "a chain of calls has more than {MOST_FRAMES} functions");
    way.push(place);
    let mut below = Chain::default();
    let mut has_tail_calls = function.has_tail_calls;
    for called in &function.calls {
        let chain = deepest(functions, *called, way)?;
        has_tail_calls |= chain.has_tail_calls;
        if (chain.bytes(), chain.frames.len()) > (below.bytes(), below.frames.len()) {
            below = chain;
        }
    }
    way.pop();
    below.frames.insert(0, (function.name.clone(), function.stack.max(1).next_multiple_of(UNIT)));
    below.has_tail_calls = has_tail_calls;
    Ok(below)
}

fn functions(elf: &[u8]) -> Result<BTreeMap<Place, Function>> {
    let file = object::File::parse(elf).context("it is no object")?;
    let mut functions = BTreeMap::new();
    for symbol in file.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        let (Some(section), Ok(name)) = (symbol.section_index(), symbol.name()) else { continue };
        if symbol.size() == 0 {
            continue;
        }
        let section = file.section_by_index(section)?;
        let code = section.data_range(symbol.address(), symbol.size())?.context("a function without code")?;
        let mut targets = BTreeMap::new();
        for (at, relocation) in section.relocations() {
            let RelocationTarget::Symbol(index) = relocation.target() else { continue };
            let target = file.symbol_by_index(index)?;
            if let Some(section) = target.section_index()
                && file.section_by_index(section)?.kind() == object::SectionKind::Text
            {
                targets.insert(at, (section.0, target.address()));
            }
        }
        let place = (section.index().0, symbol.address());
        functions.insert(place, function(name, code, place, &targets)?);
    }
    Ok(functions)
}

/// Reads the instructions of a function (`struct bpf_insn` in include/uapi/linux/bpf.h). `targets` is where relocations of its section
/// point into code.
fn function(name: &str, code: &[u8], place: Place, targets: &BTreeMap<u64, Place>) -> Result<Function> {
    const LOAD_64: u8 = 0x18;
    const CALL: u8 = 0x85;
    const MOVE: u8 = 0xbf;
    const ADD: u8 = 0x07;
    /// Calls a function of the object, not a helper.
    const OURS: u8 = 1;
    const TAIL_CALL: i32 = 12;
    const FRAME_POINTER: u8 = 10;
    let mut found = Function { name: words(name), ..Function::default() };
    // Which registers hold the frame pointer itself.
    let mut copies = [false; 16];
    let mut is_second_half = false;
    for (number, instruction) in code.chunks(INSTRUCTION).enumerate() {
        let &[operation, registers, low, high, a, b, c, d] = instruction else {
            bail!("half an instruction")
        };
        if std::mem::take(&mut is_second_half) {
            continue;
        }
        let at = place.1 + (number * INSTRUCTION) as u64;
        let (target, source) = (registers & 15, registers >> 4);
        let (offset, value) = (i16::from_le_bytes([low, high]), i32::from_le_bytes([a, b, c, d]));
        let mut reach = |offset: i32| {
            let below = u32::try_from(-i64::from(offset)).unwrap_or(0);
            found.stack = found.stack.max(below);
        };
        // Loads have the address in the source, stores in the target.
        let base = match operation & 7 {
            1 => Some(source),
            2 | 3 => Some(target),
            _ => None,
        };
        if base == Some(FRAME_POINTER) {
            reach(offset.into());
        }
        let target_is_copy = copies.get(usize::from(target)).copied().unwrap_or(false);
        if operation == ADD && target_is_copy {
            reach(value);
        }
        let source_is_copy =
            source == FRAME_POINTER || copies.get(usize::from(source)).copied().unwrap_or(false);
        // Loads and arithmetic change the target.
        if matches!(operation & 7, 0 | 1 | 4 | 7)
            && let Some(copy) = copies.get_mut(usize::from(target))
        {
            *copy = operation == MOVE && source_is_copy;
        }
        match operation {
            CALL if source == OURS => {
                let (section, start) = targets.get(&at).copied().unwrap_or((place.0, at));
                let next = i64::from(value) + 1;
                let callee = start.checked_add_signed(next * INSTRUCTION as i64);
                found.calls.push((section, callee.context("a call goes nowhere")?));
            }
            CALL if source == 0 && value == TAIL_CALL => found.has_tail_calls = true,
            LOAD_64 => {
                is_second_half = true;
                if let Some((section, start)) = targets.get(&at) {
                    let callee = start.checked_add_signed(value.into());
                    found.calls.push((*section, callee.context("an address of nothing")?));
                }
            }
            _ => {}
        }
    }
    Ok(found)
}

/// What a mangled name says, as far as people need it: its words.
fn words(name: &str) -> String {
    let Some(mangled) = name.strip_prefix("_R") else { return name.to_owned() };
    let mut found: Vec<&str> = Vec::new();
    let mut rest = mangled;
    while let Some(at) = rest.find(|letter: char| letter.is_ascii_digit()) {
        rest = rest.get(at..).unwrap_or_default();
        let digits = rest.find(|letter: char| !letter.is_ascii_digit()).unwrap_or(rest.len());
        let (number, after) = rest.split_at(digits);
        let length: usize = number.parse().unwrap_or(0);
        match after.get(..length) {
            Some(word) if length > 2 && word.chars().all(|one| one.is_ascii_lowercase() || one == '_') => {
                found.push(word);
                rest = after.get(length..).unwrap_or_default();
            }
            _ => rest = after,
        }
    }
    found.retain(|word| *word != "gate" && *word != "context" && *word != "tables");
    found.dedup();
    if found.is_empty() { name.to_owned() } else { found.join("::") }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instruction(operation: u8, registers: u8, offset: i16, value: i32) -> Vec<u8> {
        let mut bytes = vec![operation, registers];
        bytes.extend(offset.to_le_bytes());
        bytes.extend(value.to_le_bytes());
        bytes
    }

    fn chain(stacks: &[u32]) -> BTreeMap<Place, Function> {
        let function = |(number, stack): (usize, &u32)| {
            let number = number as u64;
            let calls = if number + 1 < stacks.len() as u64 { vec![(1, number + 1)] } else { Vec::new() };
            let name = format!("f{number}");
            ((1, number), Function { name, stack: *stack, calls, has_tail_calls: false })
        };
        stacks.iter().enumerate().map(function).collect()
    }

    #[test]
    fn frames_are_counted_as_linux_6_1_does() {
        let sum = |stacks: &[u32]| deepest(&chain(stacks), (1, 0), &mut Vec::new()).unwrap().bytes();
        assert_eq!(sum(&[0]), 32, "a frame of nothing");
        assert_eq!(sum(&[192, 160, 96, 64]), 512);
        assert_eq!(sum(&[193, 160, 96, 64]), 544);
    }

    #[test]
    fn instructions_tell_what_a_function_needs() {
        let code = [
            // *(u64 *)(r10 - 24) = r1
            instruction(0x7b, 0x1a, -24, 0),
            // r2 = r10, r2 += -200: where something of 200 bytes is
            instruction(0xbf, 0xa2, 0, 0),
            instruction(0x07, 0x02, 0, -200),
            // r3 = r1, r3 += -4000: not of the stack
            instruction(0xbf, 0x13, 0, 0),
            instruction(0x07, 0x03, 0, -4000),
            // call what stands one instruction behind this one
            instruction(0x85, 0x10, 0, 1),
            // r1 = the function at 800 of another section
            instruction(0x18, 0x01, 0, 800),
            instruction(0, 0, 0, 0),
            instruction(0x85, 0, 0, 12),
        ]
        .concat();
        let targets = BTreeMap::from([(1048, (7, 0))]);
        let found = function("f", &code, (3, 1000), &targets).unwrap();
        assert_eq!((found.stack, found.has_tail_calls), (200, true));
        assert_eq!(found.calls, [(3, 1056), (7, 800)]);
        assert!(function("f", &code[..20], (3, 1000), &targets).is_err());
    }

    #[test]
    fn a_function_that_calls_itself_is_no_chain() {
        let mut functions = chain(&[8, 8]);
        functions.get_mut(&(1, 1)).unwrap().calls.push((1, 0));
        assert!(deepest(&functions, (1, 0), &mut Vec::new()).is_err());
    }

    #[test]
    fn the_committed_gate_fits_and_a_deeper_one_is_found() {
        let mut elf = std::fs::read(crate::workspace().join("bpf/gate.bpf.o")).unwrap();
        let worst = check(&elf).unwrap();
        assert!(worst.bytes() > 256 && worst.frames.len() > 2, "{worst}");
        // Its program stores one word deeper down.
        let file = object::File::parse(&*elf).unwrap();
        let program = file.symbols().find(|symbol| symbol.name() == Ok("ringfence_xdp")).unwrap();
        let section = file.section_by_index(program.section_index().unwrap()).unwrap();
        let at = usize::try_from(section.file_range().unwrap().0 + program.address()).unwrap();
        elf[at..at + INSTRUCTION].copy_from_slice(&instruction(0x7b, 0x1a, -512, 0));
        let why = check(&elf).unwrap_err().to_string();
        assert!(why.contains("bytes of stack, and Linux 6.1 allows 512: ringfence_xdp (512) > "), "{why}");
    }
}
