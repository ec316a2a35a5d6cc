use std::collections::{BTreeMap, BTreeSet};

use crate::{Error, MAX_OPTION};

/// How often one tag may be replaced in one option.
const MAX_REPLACED: usize = 25;

/// Replaces `<name>` in every option by the option of that name, or by what `other` says of it, again and again, so that
/// `<mdre-<mode>>` first becomes `<mdre-normal>`. What nobody knows stays: `<HOST>`, and Python's `(?P<name>…)`.
pub(crate) fn replace(
    options: &mut BTreeMap<String, String>,
    ignored: &BTreeSet<String>,
    mut other: impl FnMut(&str) -> Option<String>,
) -> Result<(), (String, Error)> {
    let names: Vec<String> = options.keys().filter(|name| !ignored.contains(*name)).cloned().collect();
    let mut counts: BTreeMap<String, BTreeMap<String, usize>> = BTreeMap::new();
    loop {
        let mut again = false;
        for name in &names {
            let Some(value) = options.get(name).filter(|value| value.contains('<')) else { continue };
            let counts = counts.entry(name.clone()).or_default();
            let replaced = one(name, value, options, ignored, counts, &mut other)
                .map_err(|error| (name.clone(), error))?;
            if replaced != *value {
                again |= next_tag(&replaced, 0).is_some();
                options.insert(name.clone(), replaced);
            }
        }
        if !again {
            return Ok(());
        }
    }
}

fn one(
    name: &str,
    value: &str,
    options: &BTreeMap<String, String>,
    ignored: &BTreeSet<String>,
    counts: &mut BTreeMap<String, usize>,
    other: &mut impl FnMut(&str) -> Option<String>,
) -> Result<String, Error> {
    let mut value = value.to_owned();
    let mut from = 0;
    while let Some((start, end, tag)) = next_tag(&value, from) {
        if ignored.contains(&tag) {
            from = end;
            continue;
        }
        let count = counts.entry(tag.clone()).or_default();
        if tag == name || *count > MAX_REPLACED {
            return Err(Error::new(format!("`<{tag}>` in `{name}` leads back to itself")));
        }
        let Some(replacement) = options.get(&tag).cloned().or_else(|| other(&tag)) else {
            from = end;
            continue;
        };
        value = value.replace(&format!("<{tag}>"), &replacement);
        *count += 1;
        from = start;
        if value.len() > MAX_OPTION {
            return Err(Error::new(format!("grows beyond {MAX_OPTION} bytes")));
        }
    }
    Ok(value)
}

/// The first `<…>` without space or angle bracket in it: its start, its end, its name.
fn next_tag(text: &str, from: usize) -> Option<(usize, usize, String)> {
    let mut open = None;
    for (at, letter) in text.char_indices() {
        if at < from {
            continue;
        }
        match letter {
            '<' => open = Some(at),
            ' ' => open = None,
            '>' => match open.take() {
                Some(start) if start + 1 < at => {
                    return Some((start, at + 1, text.get(start + 1..at)?.to_owned()));
                }
                _ => {}
            },
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replaced(given: &[(&str, &str)]) -> Result<BTreeMap<String, String>, (String, Error)> {
        let mut options = given.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        replace(&mut options, &BTreeSet::new(), |tag| (tag == "other").then(|| "o<mode>".to_owned()))?;
        Ok(options)
    }

    #[test]
    fn tags_lie_within_tags() {
        let options = replaced(&[
            ("failregex", "^(?P<user>\\S+) <mdre-<mode>> from <HOST> <other> < HOST>"),
            ("mdre-normal", "fine"),
            ("mode", "normal"),
        ]);
        assert_eq!(options.unwrap()["failregex"], "^(?P<user>\\S+) fine from <HOST> onormal < HOST>");
    }

    #[test]
    fn circles_are_found() {
        let (name, error) = replaced(&[("a", "<b>"), ("b", "x<a>")]).unwrap_err();
        assert_eq!((name.as_str(), error.to_string().as_str()), ("a", "`<a>` in `a` leads back to itself"));
    }
}
