use std::collections::BTreeMap;

use crate::Error;

/// Takes `sshd[mode=aggressive, logtype="short"]` apart: the name, and the options in brackets.
pub(crate) fn parse(text: &str) -> Result<(String, BTreeMap<String, String>), Error> {
    let text = text.trim();
    let mut options = BTreeMap::new();
    let Some((name, rest)) = text.split_once('[') else { return Ok((text.to_owned(), options)) };
    let Some(mut rest) = rest.strip_suffix(']') else {
        return Err(Error::new(format!("`{text}` has no `]` at its end")));
    };
    // Several groups are one: `[a=1][b=2]`.
    while !rest.trim().is_empty() {
        let (option, after) = rest.split_once('=').ok_or_else(|| wrong(rest))?;
        let option = option.trim();
        let named = |letter: char| letter.is_alphanumeric() || matches!(letter, '-' | '_' | '.' | '/');
        if option.is_empty() || !option.chars().all(named) {
            return Err(wrong(rest));
        }
        let (value, after) = value(after)?;
        options.insert(option.to_owned(), value.trim().to_owned());
        rest = next(after)?;
    }
    Ok((name.trim().to_owned(), options))
}

/// A value, quoted or up to the next comma, and what follows it.
fn value(text: &str) -> Result<(&str, &str), Error> {
    for quote in ['"', '\''] {
        if let Some(inner) = text.strip_prefix(quote) {
            return inner.split_once(quote).ok_or_else(|| Error::new(format!("no {quote} ends `{text}`")));
        }
    }
    let end = text.find([',', ']']).unwrap_or(text.len());
    text.split_at_checked(end).ok_or_else(|| wrong(text))
}

/// What follows the comma, or the brackets between two groups.
fn next(text: &str) -> Result<&str, Error> {
    let text = text.trim_start();
    if text.is_empty() {
        return Ok(text);
    }
    let between = |text: &'_ str| -> Option<usize> {
        let rest = text.strip_prefix(']')?.trim_start().strip_prefix('[')?;
        Some(text.len() - rest.len())
    };
    match text.strip_prefix(',') {
        Some(rest) => Ok(rest),
        None => between(text).and_then(|at| text.get(at..)).ok_or_else(|| wrong(text)),
    }
}

fn wrong(text: &str) -> Error {
    let text: String = text.chars().take(25).collect();
    Error::new(format!("expected `option=value` at `{text}`"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_stand_in_brackets() {
        for (text, name, expected) in [
            ("sshd", "sshd", &[] as &[(&str, &str)]),
            ("sshd[mode=aggressive]", "sshd", &[("mode", "aggressive")]),
            ("a[x=1, y=\"2, ]3\",z='4'] ", "a", &[("x", "1"), ("y", "2, ]3"), ("z", "4")]),
            ("a[x=1][y=2]", "a", &[("x", "1"), ("y", "2")]),
            ("a[]", "a", &[]),
            ("/etc/x/b.conf[_daemon=c d]", "/etc/x/b.conf", &[("_daemon", "c d")]),
        ] {
            let (found, options) = parse(text).unwrap();
            let options: Vec<_> =
                options.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
            assert_eq!((found.as_str(), options.as_slice()), (name, expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_option_is_told() {
        assert_eq!(parse("a[x]").unwrap_err().to_string(), "expected `option=value` at `x`");
        assert_eq!(parse("a[x=1").unwrap_err().to_string(), "`a[x=1` has no `]` at its end");
        assert_eq!(parse("a[x=\"1]").unwrap_err().to_string(), "no \" ends `\"1`");
        assert_eq!(parse("a[x=\"1\" y]").unwrap_err().to_string(), "expected `option=value` at `y`");
    }
}
