//! Names with wildcards, as `glob(3)` has them: `*`, `?`, `[a-z]`, `{a,b}`.

use std::path::{Component, Path, PathBuf};

use crate::files::Files;

/// The most paths that one pattern may become on its way.
const MAX_PATHS: usize = 1_000;

/// Whether the name holds anything to expand.
pub(super) fn is_pattern(name: &str) -> bool {
    name.contains(['*', '?', '[', '{'])
}

/// All paths that match, in order.
pub(super) fn expand(files: &dyn Files, pattern: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for pattern in braces(&pattern.to_string_lossy()) {
        found.extend(walk(files, Path::new(&pattern)));
        found.truncate(MAX_PATHS);
    }
    found
}

fn braces(pattern: &str) -> Vec<String> {
    let mut ready = Vec::new();
    let mut open = vec![pattern.to_owned()];
    while let Some(pattern) = open.pop() {
        let parts = pattern
            .split_once('{')
            .and_then(|(before, rest)| rest.split_once('}').map(|(choice, after)| (before, choice, after)));
        match parts {
            Some((before, choice, after)) if open.len() + ready.len() < MAX_PATHS => {
                open.extend(choice.split(',').rev().map(|word| format!("{before}{word}{after}")));
            }
            _ => ready.push(pattern),
        }
    }
    ready
}

fn walk(files: &dyn Files, pattern: &Path) -> Vec<PathBuf> {
    let mut paths = vec![PathBuf::new()];
    for component in pattern.components() {
        let wild = match component {
            Component::Normal(name) => name.to_str().filter(|name| is_pattern(name)),
            Component::Prefix(_) | Component::RootDir | Component::CurDir | Component::ParentDir => None,
        };
        let Some(wild) = wild else {
            paths.iter_mut().for_each(|path| path.push(component));
            continue;
        };
        let mut next = Vec::new();
        for path in &paths {
            let mut entries = files.list(path).unwrap_or_default();
            entries.sort();
            next.extend(entries.into_iter().filter(|entry| {
                entry.file_name().and_then(|name| name.to_str()).is_some_and(|name| matches(wild, name))
            }));
            next.truncate(MAX_PATHS);
        }
        paths = next;
    }
    paths
}

/// Whether the name matches; a leading dot has to be said.
fn matches(pattern: &str, name: &str) -> bool {
    if name.starts_with('.') && !pattern.starts_with('.') {
        return false;
    }
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut at, mut in_name) = (0, 0);
    // Where the last star was, and what it has swallowed: going back to it alone suffices.
    let mut star: Option<(usize, usize)> = None;
    while in_name < name.len() {
        let letter = name.get(in_name).copied().unwrap_or_default();
        if pattern.get(at) == Some(&'*') {
            star = Some((at, in_name));
            at += 1;
        } else if let Some(length) = one(pattern.get(at..).unwrap_or_default(), letter) {
            at += length;
            in_name += 1;
        } else if let Some((back, swallowed)) = star {
            star = Some((back, swallowed + 1));
            (at, in_name) = (back + 1, swallowed + 1);
        } else {
            return false;
        }
    }
    pattern.get(at..).unwrap_or_default().iter().all(|letter| *letter == '*')
}

/// How much of the pattern matches the letter.
fn one(pattern: &[char], letter: char) -> Option<usize> {
    match pattern {
        [] => None,
        ['?', ..] => Some(1),
        ['[', inner @ ..] => {
            let end = inner.iter().skip(1).position(|letter| *letter == ']').map(|place| place + 1);
            let Some(class) = end.and_then(|end| inner.get(..end)) else {
                return (letter == '[').then_some(1);
            };
            let (negated, set) = match class {
                ['!' | '^', set @ ..] => (true, set),
                set => (false, set),
            };
            (in_set(set, letter) != negated).then_some(class.len() + 2)
        }
        [first, ..] => (*first == letter).then_some(1),
    }
}

fn in_set(mut set: &[char], letter: char) -> bool {
    loop {
        match set {
            [] => return false,
            [low, '-', high, rest @ ..] => {
                if (*low..=*high).contains(&letter) {
                    return true;
                }
                set = rest;
            }
            [one, rest @ ..] => {
                if *one == letter {
                    return true;
                }
                set = rest;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_match() {
        for (pattern, name) in [("*.conf", "a.conf"), ("a?c*", "abcd"), ("[a-c]x[!0-9]", "bxy"), ("*", "x")] {
            assert!(matches(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in [("*.conf", "a.conf~"), ("*", ".hidden"), ("[a-c]", "d"), ("a*b*c", "aXbX")] {
            assert!(!matches(pattern, name), "{pattern} {name}");
        }
        assert_eq!(braces("a{b,c}d"), ["abd", "acd"]);
    }
}
