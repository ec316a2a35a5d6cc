//! Literals that every match of a signature contains.

use gate::filter::{FOLD, SHORTEST};
use regex_syntax::hir::{Class, Hir, HirKind};

use super::lawful::Lawful;

/// Alternatives beyond this are not followed: they would fill the table with chance.
const MAX_LITERALS: usize = 64;
/// Nothing is gained by longer literals.
const MAX_LENGTH: usize = 64;

/// A set of folded literals, one of which is in every match; `None` if there is none of at least [`SHORTEST`] bytes.
pub(super) fn required(pattern: &Hir, lawful: &Lawful) -> Option<Vec<Vec<u8>>> {
    let mut best = best(pattern, lawful)?;
    // What contains another of them needs no mention.
    let all = best.clone();
    let contains = |longer: &[u8], other: &[u8]| {
        longer.len() > other.len() && longer.windows(other.len()).any(|window| window == other)
    };
    best.retain(|literal| !all.iter().any(|other| !other.is_empty() && contains(literal, other)));
    (shortest(&best) >= SHORTEST).then_some(best)
}

/// The better of two sets has fewer occurrences in lawful SIP, then the longer literals.
fn better(one: Vec<Vec<u8>>, other: Vec<Vec<u8>>, lawful: &Lawful) -> Vec<Vec<u8>> {
    let rank = |set: &[Vec<u8>]| {
        let usable = shortest(set) >= SHORTEST;
        let common: usize = set.iter().map(|literal| lawful.count(literal)).sum();
        // From seven bytes on, every alignment has a gram of its own.
        (!usable, common, std::cmp::Reverse(shortest(set).min(7)), set.len())
    };
    if rank(&other) < rank(&one) { other } else { one }
}

fn shortest(set: &[Vec<u8>]) -> usize {
    set.iter().map(Vec::len).min().unwrap_or(0)
}

fn best(pattern: &Hir, lawful: &Lawful) -> Option<Vec<Vec<u8>>> {
    if let Some(set) = exact(pattern) {
        return Some(set);
    }
    match pattern.kind() {
        HirKind::Empty | HirKind::Literal(_) | HirKind::Class(_) | HirKind::Look(_) => None,
        HirKind::Capture(capture) => best(&capture.sub, lawful),
        HirKind::Repetition(repetition) if repetition.min > 0 => best(&repetition.sub, lawful),
        HirKind::Repetition(_) => None,
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(best(branch, lawful)?);
            }
            (all.len() <= MAX_LITERALS).then_some(all)
        }
        HirKind::Concat(parts) => concat(parts, lawful),
    }
}

/// The best of all runs of parts with finitely many texts, and of what is in the other parts.
fn concat(parts: &[Hir], lawful: &Lawful) -> Option<Vec<Vec<u8>>> {
    let mut found: Option<Vec<Vec<u8>>> = None;
    let mut offer = |set: Vec<Vec<u8>>| {
        found = Some(match found.take() {
            Some(known) => better(known, set, lawful),
            None => set,
        });
    };
    let mut run: Option<Vec<Vec<u8>>> = None;
    for part in parts {
        let Some(next) = exact(part) else {
            run.take().map(&mut offer);
            best(part, lawful).map(&mut offer);
            continue;
        };
        run = match run {
            Some(known) => match product(&known, &next) {
                Some(both) => Some(both),
                None => {
                    offer(known);
                    Some(next)
                }
            },
            None => Some(next),
        };
    }
    run.map(&mut offer);
    found
}

/// All texts that a pattern matches, folded, if they are few.
fn exact(pattern: &Hir) -> Option<Vec<Vec<u8>>> {
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => Some(vec![Vec::new()]),
        HirKind::Literal(literal) => Some(vec![fold(&literal.0)]),
        HirKind::Class(Class::Bytes(class)) => {
            few(class.iter().flat_map(|range| range.start()..=range.end()).map(|byte| fold(&[byte])))
        }
        HirKind::Class(Class::Unicode(class)) => {
            let letters = class.iter().flat_map(|range| range.start()..=range.end());
            few(letters.map(|letter| fold(letter.encode_utf8(&mut [0; 4]).as_bytes())))
        }
        HirKind::Capture(capture) => exact(&capture.sub),
        HirKind::Repetition(repetition) => {
            let one = exact(&repetition.sub)?;
            let mut all = Vec::new();
            let mut times = vec![Vec::new()];
            for count in 0..=repetition.max? {
                if count >= repetition.min {
                    all.extend(times.iter().cloned());
                }
                times = product(&times, &one)?;
            }
            few(all.into_iter())
        }
        HirKind::Concat(parts) => {
            parts.iter().try_fold(vec![Vec::new()], |all, part| product(&all, &exact(part)?))
        }
        HirKind::Alternation(branches) => {
            let mut all = Vec::new();
            for branch in branches {
                all.extend(exact(branch)?);
            }
            few(all.into_iter())
        }
    }
}

/// Without repetition, if there are few.
fn few(texts: impl Iterator<Item = Vec<u8>>) -> Option<Vec<Vec<u8>>> {
    let mut all = Vec::new();
    for text in texts {
        if !all.contains(&text) {
            all.push(text);
        }
        if all.len() > MAX_LITERALS {
            return None;
        }
    }
    Some(all)
}

fn product(heads: &[Vec<u8>], tails: &[Vec<u8>]) -> Option<Vec<Vec<u8>>> {
    let longest = |set: &[Vec<u8>]| set.iter().map(Vec::len).max().unwrap_or(0);
    if heads.len() * tails.len() > MAX_LITERALS || longest(heads) + longest(tails) > MAX_LENGTH {
        return None;
    }
    few(heads
        .iter()
        .flat_map(|head| tails.iter().map(move |tail| [head.as_slice(), tail.as_slice()].concat())))
}

fn fold(bytes: &[u8]) -> Vec<u8> {
    bytes.iter().map(|byte| byte | FOLD).collect()
}
